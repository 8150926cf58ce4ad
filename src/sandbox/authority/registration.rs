//! What is registered: tenants, apps, what they prove themselves with, what they were granted.
//!
//! It is one JSON document, read whole or not at all. Written out again it has no secret in it.

use std::collections::{BTreeMap, BTreeSet};

use jsonwebtoken::DecodingKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::certificate::Certificate;
use super::identity::Identity;
use super::problem::TokenProblem;

/// Everything that is registered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// The tenants that there are, by id.
    pub tenants: BTreeMap<Uuid, Tenant>,
    /// The resources that tokens are given for, as scopes and identities name them: Graph's root. Absent: any.
    pub resources: Option<Vec<String>>,
    /// How long after now an app's own assertion may end, in seconds.
    pub assertion_life_s: AssertionLife,
    /// The identities of this machine; the first is the one that the system assigned.
    pub managed_identities: Vec<Identity>,
    /// What App Service tells its apps to send as `X-IDENTITY-HEADER`. Absent: anything.
    pub identity_header: Option<Secret>,
    /// The file by which a client of Azure Arc shows that it may read it.
    pub arc: Option<ArcKey>,
}

/// At most ten minutes are what Microsoft's page on certificate credentials asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AssertionLife(pub u64);

impl Default for AssertionLife {
    fn default() -> Self {
        Self(600)
    }
}

/// One tenant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tenant {
    /// The apps it knows, by client id.
    pub apps: BTreeMap<Uuid, App>,
    /// The object ids of its users. Absent: any.
    pub users: Option<BTreeSet<Uuid>>,
}

/// One app in one tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// Its client secrets.
    pub secrets: Vec<ClientSecret>,
    /// Its certificates, as PEM.
    pub certificates: Vec<Certificate>,
    /// The issuers whose tokens are as good as a secret of its own.
    pub federated: Vec<Federated>,
    /// The application permissions that it was granted.
    pub roles: Vec<String>,
    /// The delegated ones that were or can be consented to.
    pub scopes: Vec<String>,
    /// The delegated ones that an admin has granted for everyone: they are in each user's token, asked for or not.
    /// Source: Microsoft's page "oAuth2PermissionGrant resource type".
    pub granted_scopes: Vec<String>,
    /// Whether it may ask without a proof: "Allow public client flows".
    pub public_client: bool,
    /// Whether anyone consented to it.
    pub consent: bool,
    /// Whether its service principal is disabled.
    pub disabled: bool,
    /// Whether Conditional Access blocks it.
    pub blocked: bool,
    /// How long its tokens live, in seconds. Absent: as all do.
    pub token_life_s: Option<u64>,
    /// `refresh_in` of its tokens, in seconds. Absent: as for all.
    pub refresh_in_s: Option<u64>,
    /// Whether a refresh token is over as soon as another was given for it. Otherwise it stays good until the other
    /// is used.
    pub single_use_refresh: bool,
    /// How long after the sign-in refresh tokens are over whatever happens, in seconds. Absent: never.
    pub refresh_life_s: Option<u64>,
}

impl Default for App {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            certificates: Vec::new(),
            federated: Vec::new(),
            roles: default_roles(),
            scopes: vec!["Presence.ReadWrite".to_owned()],
            granted_scopes: Vec::new(),
            public_client: false,
            consent: true,
            disabled: false,
            blocked: false,
            token_life_s: None,
            refresh_in_s: None,
            single_use_refresh: false,
            refresh_life_s: None,
        }
    }
}

/// What an app of a config with groups needs: without User.Read.All nobody tells it which accounts are disabled.
pub(super) fn default_roles() -> Vec<String> {
    ["Presence.ReadWrite.All", "GroupMember.Read.All", "User.Read.All"].map(str::to_owned).into()
}

/// One client secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSecret {
    #[serde(rename = "secret")]
    value: Secret,
    /// When it ends, RFC 3339. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<UnixTime>,
}

/// A text that is compared, and never shown again: only its digest is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Whether this is the text.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.0 == <[u8; 32]>::from(Sha256::digest(text))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Sha256::digest(String::deserialize(deserializer)?).into()))
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(not shown)")
    }
}

/// A moment in seconds since 1970; in JSON by RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixTime(pub i64);

impl<'de> Deserialize<'de> for UnixTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment: jiff::Timestamp =
            text.parse().map_err(|_| serde::de::Error::custom(format!("{text:?} is no time by RFC 3339")))?;
        Ok(Self(moment.as_second()))
    }
}

impl Serialize for UnixTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&jiff::Timestamp::from_second(self.0).unwrap_or_default())
    }
}

/// A federated credential. Source: Microsoft's page "Workload identity federation": issuer, subject and audience are
/// compared letter by letter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Federated {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`.
    #[serde(default = "default_audience")]
    pub audience: String,
    /// The key of the issuer, as the PEM of an RSA public key. (Entra ID would fetch it from the issuer.)
    pub key: PublicKey,
}

fn default_audience() -> String {
    "api://AzureADTokenExchange".to_owned()
}

/// A public key.
#[derive(Clone, Debug)]
pub struct PublicKey(pub DecodingKey);

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pem = String::deserialize(deserializer)?;
        let key = DecodingKey::from_rsa_pem(pem.as_bytes());
        key.map(Self).map_err(|_| serde::de::Error::custom("key is the PEM of an RSA public key"))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(an RSA public key)")
    }
}

/// The challenge of Azure Arc.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArcKey {
    /// The path that is named to the client.
    pub file: String,
    /// What stands in the file. The sandbox writes no file: whoever tests does.
    pub content: Secret,
}

impl Registration {
    /// The app of a request.
    ///
    /// # Errors
    /// AADSTS90002 for an unknown tenant, 700016 for an app that it does not know.
    pub fn app(&self, tenant: Uuid, client: Uuid) -> Result<&App, TokenProblem> {
        let known = self.tenants.get(&tenant).ok_or_else(|| TokenProblem::no_tenant(&tenant.to_string()))?;
        known.apps.get(&client).ok_or_else(|| TokenProblem::no_app(&client.to_string(), tenant))
    }

    /// Whether a tenant has a user.
    #[must_use]
    pub fn has_user(&self, tenant: Uuid, user: Uuid) -> bool {
        let users = self.tenants.get(&tenant).and_then(|tenant| tenant.users.as_ref());
        users.is_none_or(|users| users.contains(&user))
    }

    /// Whether tokens are given for a resource.
    #[must_use]
    pub fn has_resource(&self, resource: &str) -> bool {
        let known = |known: &String| known.trim_end_matches('/') == resource.trim_end_matches('/');
        self.resources.as_ref().is_none_or(|resources| resources.iter().any(known))
    }
}

impl App {
    /// Whether a secret is one of its own.
    ///
    /// # Errors
    /// AADSTS7000215 for one that is not, 7000222 for one that has ended.
    pub(super) fn check_secret(&self, client: Uuid, secret: &str, unix: u64) -> Result<(), TokenProblem> {
        let mut own = self.secrets.iter().filter(|own| own.value.is(secret)).peekable();
        if own.peek().is_none() {
            return Err(TokenProblem::wrong_secret(client));
        }
        let now = i64::try_from(unix).unwrap_or(i64::MAX);
        let good = own.any(|own| own.expires.is_none_or(|end| now < end.0));
        if good { Ok(()) } else { Err(TokenProblem::expired_secret(client)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_out_has_no_secret_in_it() {
        let tenant = "9c7f0000-0000-4000-8000-000000000001";
        let document = json!({
            "tenants": {tenant: {"apps": {tenant: {"secrets": [
                {"secret": "c4nary", "expires": "2027-03-01T00:00:00Z"},
            ]}}}},
            "identity_header": "c4nary",
            "arc": {"file": "/a.key", "content": "c4nary"},
        });
        let registration: Registration = serde_json::from_value(document).unwrap();
        let app = registration.app(tenant.parse().unwrap(), tenant.parse().unwrap()).unwrap();
        let code = |secret, unix| app.check_secret(Uuid::nil(), secret, unix).map_err(|problem| problem.code);
        assert_eq!(code("c4nary", 1_800_000_000), Ok(()));
        assert_eq!(code("c4nary", 1_900_000_000), Err(7_000_222));
        assert_eq!(code("canary", 1_800_000_000), Err(7_000_215));
        let shown = format!("{} {registration:?}", serde_json::to_string(&registration).unwrap());
        assert!(shown.contains("2027-03-01T00:00:00Z") && !shown.contains("c4nary"), "{shown}");
    }

    #[test]
    fn slips_are_told() {
        let refused = |document| serde_json::from_value::<Registration>(document).unwrap_err().to_string();
        assert!(refused(json!({"tenant": {}})).contains("tenant"));
        let app = |app: serde_json::Value| json!({"tenants": {Uuid::nil().to_string(): {"apps": {Uuid::nil().to_string(): app}}}});
        assert!(refused(app(json!({"role": []}))).contains("role"));
        assert!(refused(app(json!({"certificates": ["PEM"]}))).contains("certificate"));
        assert!(
            refused(app(json!({"federated": [{"issuer": "i", "subject": "s", "key": "k"}]}))).contains("RSA")
        );
        assert!(refused(app(json!({"secrets": [{"secret": "s", "expires": "soon"}]}))).contains("soon"));
    }
}
