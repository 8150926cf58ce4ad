//! What is asked of the authority, read from forms.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::problem::TokenProblem;
use crate::sandbox::route::object_id;
use crate::sandbox::token::Claims;

/// The resource of a permission that names none. Source: Microsoft's page "Scopes and permissions in the Microsoft
/// identity platform".
const DEFAULT_RESOURCE: &str = "https://graph.microsoft.com";
/// The permissions that Graph knows, as far as the sandbox does.
pub(super) const KNOWN_PERMISSIONS: [&str; 4] =
    ["Presence.Read", "Presence.Read.All", "Presence.ReadWrite", "User.Read"];
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A well-formed request to the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAsk {
    /// The tenant of the path.
    pub tenant: Uuid,
    /// The app.
    pub client: Uuid,
    /// The endpoint's URL as the client sees it, without the scheme.
    pub endpoint: String,
    /// How the app proves who it is; public clients do not.
    pub proof: Option<Proof>,
    /// In whose name it asks.
    pub grant: GrantAsk,
    /// What it asks for in `claims`.
    pub claims: Claims,
}

/// How a client proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By its secret.
    Secret(String),
    /// By an assertion: its own, signed with its certificate, or that of an issuer it trusts.
    Assertion(String),
}

/// In whose name a token is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantAsk {
    /// In the app's own: all that it was granted on this resource.
    App(String),
    /// In that of the person who has entered the code that goes with this device code.
    DeviceCode(String),
    /// In that of the user of this refresh token, for these permissions; absent: those of the sign-in.
    Refresh(String, Option<Scope>),
}

/// A well-formed request for a device code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAsk {
    /// The tenant of the path.
    pub tenant: Uuid,
    /// The app.
    pub client: Uuid,
    /// What it asks for.
    pub scope: Scope,
}

/// What is asked for in a user's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Graph's root.
    pub resource: String,
    /// The permissions on it; `.default` is all that were consented to.
    pub permissions: Vec<String>,
    /// `openid`: an id token, too.
    pub open_id: bool,
    /// `offline_access`: a refresh token, too.
    pub offline: bool,
}

/// The fields of a form that say something.
struct Form<'a>(BTreeMap<Cow<'a, str>, Cow<'a, str>>);

impl<'a> Form<'a> {
    fn read(form: &'a [u8]) -> Self {
        Self(url::form_urlencoded::parse(form).collect())
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value).filter(|value| !value.is_empty())
    }

    fn required(&self, name: &str) -> Result<&str, TokenProblem> {
        self.field(name).ok_or_else(|| TokenProblem::missing(name))
    }

    fn client(&self, tenant: Uuid) -> Result<Uuid, TokenProblem> {
        let client = self.required("client_id")?;
        object_id(client).ok_or_else(|| TokenProblem::no_app(client, tenant))
    }

    fn proof(&self) -> Result<Option<Proof>, TokenProblem> {
        let field = |name| self.field(name);
        match (field("client_secret"), field("client_assertion"), field("client_assertion_type")) {
            (None, None, _) => Ok(None),
            (Some(secret), None, _) => Ok(Some(Proof::Secret(secret.to_owned()))),
            (Some(_), Some(_), _) => Err(TokenProblem::both_proofs()),
            (None, Some(assertion), Some(ASSERTION_TYPE)) => Ok(Some(Proof::Assertion(assertion.to_owned()))),
            (None, Some(_), _) => Err(TokenProblem::malformed_assertion("client_assertion_type is another")),
        }
    }
}

impl TokenAsk {
    /// Reads the form of a request to the token endpoint of `tenant` on `host`.
    ///
    /// # Errors
    /// What the endpoint answers to a form that is no request for a token.
    pub fn read(host: &str, tenant: &str, form: &[u8]) -> Result<Self, TokenProblem> {
        let endpoint = format!("{host}/{tenant}/oauth2/v2.0/token");
        let tenant = read_tenant(tenant)?;
        let form = Form::read(form);
        let grant_type = form.required("grant_type")?;
        let client = form.client(tenant)?;
        let grant = match grant_type {
            "client_credentials" => GrantAsk::App(read_default_scope(form.required("scope")?)?),
            "refresh_token" => {
                let scope = form.field("scope").map(Scope::read).transpose()?;
                GrantAsk::Refresh(form.required("refresh_token")?.to_owned(), scope)
            }
            DEVICE_CODE => GrantAsk::DeviceCode(form.required("device_code")?.to_owned()),
            other => return Err(TokenProblem::unsupported_grant(other)),
        };
        let claims = form.field("claims").map_or(Ok(Claims::default()), read_claims)?;
        Ok(Self { tenant, client, endpoint, proof: form.proof()?, grant, claims })
    }

    /// The request of an app with a secret, for Graph: the one of most tests.
    #[must_use]
    pub fn with_secret(tenant: Uuid, client: Uuid, secret: &str) -> Self {
        Self {
            tenant,
            client,
            endpoint: String::new(),
            proof: Some(Proof::Secret(secret.to_owned())),
            grant: GrantAsk::App(DEFAULT_RESOURCE.to_owned()),
            claims: Claims::default(),
        }
    }
}

impl DeviceAsk {
    /// Reads the form of a request to the device code endpoint of `tenant`.
    ///
    /// # Errors
    /// What the endpoint answers to a form that is no request for a code.
    pub fn read(tenant: &str, form: &[u8]) -> Result<Self, TokenProblem> {
        let tenant = read_tenant(tenant)?;
        let form = Form::read(form);
        let client = form.client(tenant)?;
        Ok(Self { tenant, client, scope: Scope::read(form.required("scope")?)? })
    }
}

impl Scope {
    /// Reads a list of permissions in a user's name.
    fn read(text: &str) -> Result<Self, TokenProblem> {
        let bad = || TokenProblem::bad_scope(text);
        let mut scope =
            Self { resource: String::new(), permissions: Vec::new(), open_id: false, offline: false };
        for word in text.split_whitespace() {
            match word {
                "openid" => scope.open_id = true,
                "offline_access" => scope.offline = true,
                "profile" | "email" => {}
                permission => {
                    let (resource, name) =
                        permission.rsplit_once('/').unwrap_or((DEFAULT_RESOURCE, permission));
                    if name != ".default" && !KNOWN_PERMISSIONS.contains(&name)
                        || !(scope.resource.is_empty() || scope.resource == resource)
                    {
                        return Err(bad());
                    }
                    resource.clone_into(&mut scope.resource);
                    scope.permissions.push(name.to_owned());
                }
            }
        }
        if scope.permissions.is_empty() { Err(bad()) } else { Ok(scope) }
    }
}

fn read_tenant(tenant: &str) -> Result<Uuid, TokenProblem> {
    object_id(tenant).ok_or_else(|| TokenProblem::no_tenant(tenant))
}

fn read_default_scope(scope: &str) -> Result<String, TokenProblem> {
    let resource = scope.strip_suffix("/.default").filter(|resource| !resource.contains(char::is_whitespace));
    resource.map(str::to_owned).ok_or_else(|| TokenProblem::no_default_scope(scope))
}

/// Of a claims request those for the access token that the sandbox knows: `xms_cc` and `nbf`. Numbers come as strings.
fn read_claims(text: &str) -> Result<Claims, TokenProblem> {
    let request: Value = serde_json::from_str(text).map_err(|_| TokenProblem::claims_unreadable())?;
    let Value::Object(_) = request else { return Err(TokenProblem::claims_unreadable()) };
    let token = &request["access_token"];
    let capabilities = token["xms_cc"]["values"].as_array().map(Vec::as_slice).unwrap_or_default();
    let nbf = &token["nbf"]["value"];
    let nbf = nbf.as_u64().or_else(|| nbf.as_str().and_then(|text| text.parse().ok()));
    if !token["nbf"].is_null() && nbf.is_none() {
        return Err(TokenProblem::claims_unreadable());
    }
    Ok(Claims { cp1: capabilities.iter().any(|capability| capability == "cp1"), nbf })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "9c7f0000-0000-4000-8000-000000000001";
    const CLIENT: &str = "22553876-f5ab-4529-bffb-cfe50aa89f87";
    const HOST: &str = "127.0.0.1:8000";

    fn refusal(tenant: &str, form: &str) -> (u16, String, u32) {
        let problem = TokenAsk::read(HOST, tenant, form.as_bytes()).unwrap_err();
        (problem.status, problem.error.into_owned(), problem.code)
    }

    #[test]
    fn a_form_is_read_and_each_mistake_in_it_has_its_own_number() {
        let scope = "scope=https%3A%2F%2Fgraph.microsoft.com%2F.default";
        let good = format!("client_id={CLIENT}&{scope}&client_secret=a%2Bb+c&grant_type=client_credentials");
        let ask = TokenAsk::read(HOST, TENANT, good.as_bytes()).unwrap();
        assert_eq!(ask.proof, Some(Proof::Secret("a+b c".to_owned())));
        assert_eq!(ask.grant, GrantAsk::App("https://graph.microsoft.com".to_owned()));
        assert_eq!(ask.endpoint, format!("127.0.0.1:8000/{TENANT}/oauth2/v2.0/token"));
        assert_eq!(refusal("contoso", &good).2, 90_002);
        assert_eq!(refusal(TENANT, &good.replace("grant_type", "grant")).2, 900_144);
        assert_eq!(refusal(TENANT, &good.replace("=client_credentials", "=password")).2, 70_003);
        assert_eq!(refusal(TENANT, &good.replace(CLIENT, "presenced")).2, 700_016);
        assert_eq!(refusal(TENANT, &good.replace(".default", "Presence.ReadWrite")).2, 1_002_012);
        assert_eq!(refusal(TENANT, &format!("{good}&client_assertion=a.b.c")).2, 90_023);
        assert_eq!(refusal(TENANT, &format!("{good}&claims=cp1")).2, 9_002_313);
        let neither = good.replace("client_secret", "secret");
        assert_eq!(TokenAsk::read(HOST, TENANT, neither.as_bytes()).unwrap().proof, None);
    }

    #[test]
    fn an_assertion_needs_its_type() {
        let form = |kind: &str| {
            format!(
                "client_id={CLIENT}&scope=g/.default&grant_type=client_credentials\
                 &client_assertion_type={kind}&client_assertion=a.b.c"
            )
        };
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        let ask = TokenAsk::read(HOST, TENANT, form(kind).as_bytes()).unwrap();
        assert_eq!(ask.proof, Some(Proof::Assertion("a.b.c".to_owned())));
        assert_eq!(refusal(TENANT, &form("jwt")).2, 50_027);
    }

    #[test]
    fn permissions_are_read_with_the_resource_they_are_on() {
        let scope = Scope::read("http://127.0.0.1:8000/Presence.ReadWrite offline_access openid").unwrap();
        assert_eq!(
            (scope.resource.as_str(), scope.open_id, scope.offline),
            ("http://127.0.0.1:8000", true, true)
        );
        assert_eq!(scope.permissions, ["Presence.ReadWrite"]);
        let bare = Scope::read("Presence.ReadWrite").unwrap();
        assert_eq!((bare.resource.as_str(), bare.open_id, bare.offline), (DEFAULT_RESOURCE, false, false));
        for wrong in ["openid", "https://a.example/Presence.Read https://b.example/.default", "Presence.Rule"]
        {
            assert_eq!(Scope::read(wrong).unwrap_err().code, 70_011, "{wrong}");
        }
    }

    #[test]
    fn claims_are_those_of_the_access_token() {
        let both =
            r#"{"access_token":{"nbf":{"essential":true,"value":"1726258122"},"xms_cc":{"values":["cp1"]}}}"#;
        assert_eq!(read_claims(both), Ok(Claims { cp1: true, nbf: Some(1_726_258_122) }));
        assert_eq!(read_claims(r#"{"id_token":{"acr":null}}"#), Ok(Claims::default()));
        for wrong in ["[]", "{", r#"{"access_token":{"nbf":{"value":"soon"}}}"#] {
            assert_eq!(read_claims(wrong).unwrap_err().code, 9_002_313, "{wrong}");
        }
    }
}
