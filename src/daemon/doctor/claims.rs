//! What a token says of itself. It is for people alone: its signature is not looked at, and Graph may make its tokens
//! unreadable at any time.
//!
//! Source: the page "Access tokens in the Microsoft identity platform" and its reference of claims.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;

use super::report::{Check, CheckName};
use crate::config::settings::{App, Credential};
use crate::daemon::network::answer::shown;
use crate::daemon::token::AccessToken;
use crate::keeper::id::UserId;

/// What lets an app set everyone's presence. Source: the page on `setPresence`.
const OF_APPS: &str = "Presence.ReadWrite.All";
/// The id of that permission, which managed identities are given by. Source: the permissions reference of Graph.
const OF_APPS_ID: &str = "83cded22-8297-4ff6-a7fa-e97e9545a259";
/// What lets a user's app set that user's own.
const OF_USERS: &str = "Presence.ReadWrite";
/// What lets it read that user's own; setting alone does not. Source: the page "Get presence".
const READS_OWN: [&str; 2] = ["Presence.Read", "Presence.Read.All"];
/// So many of the permissions in a token are named.
const NAMED: usize = 10;

/// What is read of a token.
#[derive(Deserialize)]
pub(super) struct Claims {
    tid: Option<String>,
    appid: Option<String>,
    azp: Option<String>,
    oid: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    scp: Option<String>,
}

impl Claims {
    /// Those of a token; `None` where it cannot be read.
    pub(super) fn of(token: &AccessToken) -> Option<Self> {
        let payload = token.text().split('.').nth(1)?;
        let json = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
        serde_json::from_slice(&json).ok()
    }

    /// Whose presence the token is for, where a user has signed in.
    pub(super) fn user(&self) -> Option<UserId> {
        self.oid.as_deref()?.parse().ok()
    }

    /// Whether a token in a user's name allows to read that user's presence.
    pub(super) fn reads_own(&self) -> bool {
        let mut scopes = self.scp.as_deref().unwrap_or_default().split_ascii_whitespace();
        scopes.any(|scope| READS_OWN.contains(&scope))
    }

    pub(super) fn tenant(&self, app: &App) -> Check {
        let name = CheckName::Tenant;
        let wanted = app.tenant.to_string();
        match self.tid.as_deref() {
            Some(tid) if tid.eq_ignore_ascii_case(&wanted) => Check::ok(name, wanted),
            tid => Check::failed(
                name,
                format!("the token is for {}, the config has {wanted}", named(tid)),
                "check the app's tenant, and which tenant its credential belongs to",
            ),
        }
    }

    pub(super) fn client_id(&self, app: &App) -> Check {
        let name = CheckName::ClientId;
        let wanted = app.client_id.to_string();
        match self.appid.as_deref().or(self.azp.as_deref()) {
            Some(id) if id.eq_ignore_ascii_case(&wanted) => Check::ok(name, wanted),
            id => Check::failed(
                name,
                format!("the token is for {}, the config has {wanted}", named(id)),
                "write that id as the app's client_id, or use its own credential: Graph takes no other session id than \
                 that of the token's app",
            ),
        }
    }

    pub(super) fn permission(&self, app: &App) -> Check {
        let scopes = self.scp.as_deref().unwrap_or_default();
        let given: Vec<&str> =
            self.roles.iter().map(String::as_str).chain(scopes.split_ascii_whitespace()).collect();
        let needed = match app.credential {
            Credential::SignedIn(_) => OF_USERS,
            _ => OF_APPS,
        };
        if given.contains(&needed) {
            return Check::ok(CheckName::Permission, needed);
        }
        let mut has: Vec<String> = given.iter().take(NAMED).filter_map(|given| shown(given, "")).collect();
        if given.len() > NAMED {
            has.push(format!("{} more", given.len() - NAMED));
        }
        let has = if has.is_empty() { "no permission at all".to_owned() } else { has.join(", ") };
        Check::failed(
            CheckName::Permission,
            format!("{needed} is not in the token, which has {has}"),
            remedy(app),
        )
    }
}

/// How the permission comes into the token.
fn remedy(app: &App) -> String {
    match app.credential {
        Credential::SignedIn(_) => format!(
            "add the delegated permission {OF_USERS} of Microsoft Graph (app registration, API permissions), and sign in \
             again: `presenced login {}`",
            app.name
        ),
        Credential::ManagedIdentity(_) => format!(
            "assign the app role {OF_APPS} ({OF_APPS_ID}) of Microsoft Graph to the service principal of the managed \
             identity; it takes up to a day until its tokens have it"
        ),
        _ => format!(
            "add the application permission {OF_APPS} of Microsoft Graph (app registration, API permissions), and have an \
             admin of the tenant consent: {}",
            consent_url(app)
        ),
    }
}

/// How the permission to read the own presence comes into a user's token. What an admin has granted is in it, also what a
/// sign-in does not ask for. Source: the page "oAuth2PermissionGrant resource type".
pub(super) fn how_to_read_own(app: &App) -> String {
    format!(
        "nothing has to be done for the daemon; to have it read here, add the delegated permission {} of Microsoft Graph \
         (app registration, API permissions), have an admin of the tenant consent, {}, and sign in again: `presenced \
         login {}`",
        READS_OWN[0],
        consent_url(app),
        app.name
    )
}

/// Where an admin of the tenant consents to what the app asks for. Source: the page "Grant tenant-wide admin consent to
/// an application".
pub(super) fn consent_url(app: &App) -> String {
    let login = app.cloud.login.as_str().trim_end_matches('/');
    format!("{login}/{}/adminconsent?client_id={}", app.tenant, app.client_id)
}

fn named(id: Option<&str>) -> String {
    id.and_then(|id| shown(id, "")).unwrap_or_else(|| "none that it names".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::settings::Identity;
    use crate::daemon::doctor::Status;
    use crate::daemon::network::testing;

    const TENANT: &str = "9c7f0000-0000-4000-8000-000000000001";
    const CLIENT: &str = "22553876-f5ab-4529-bffb-cfe50aa89f87";

    fn claims(said: &Value) -> Option<Claims> {
        let payload = URL_SAFE_NO_PAD.encode(said.to_string());
        Claims::of(&AccessToken::bearer(&format!("e30.{payload}.sig")).unwrap())
    }

    fn app(credential: Credential) -> App {
        testing::app("https://login.example/", credential)
    }

    fn with_secret() -> App {
        app(Credential::SecretEnv("X".to_owned()))
    }

    #[test]
    fn a_token_that_cannot_be_read_says_nothing() {
        for text in ["opaque", "a.b.c", "e30.!!!.x", "..", "e30.bnVsbA.x"] {
            assert!(Claims::of(&AccessToken::bearer(text).unwrap()).is_none(), "{text}");
        }
    }

    #[test]
    fn tenant_and_app_are_compared_without_case_in_both_versions_of_tokens() {
        for key in ["appid", "azp"] {
            let said = claims(&json!({ "tid": TENANT.to_uppercase(), key: CLIENT })).unwrap();
            assert_eq!(said.tenant(&with_secret()).status, Status::Ok);
            assert_eq!(said.client_id(&with_secret()).status, Status::Ok);
        }
        let other = claims(&json!({ "tid": "other\u{202e}", "appid": TENANT })).unwrap();
        let (tenant, client) = (other.tenant(&with_secret()), other.client_id(&with_secret()));
        assert_eq!((tenant.status, client.status), (Status::Failed, Status::Failed));
        assert!(tenant.detail.starts_with("the token is for other, "), "{tenant:?}");
        assert!(client.detail.contains(CLIENT) && client.detail.contains(TENANT), "{client:?}");
        assert!(claims(&json!({})).unwrap().tenant(&with_secret()).detail.contains("none that it names"));
    }

    #[test]
    fn to_set_the_own_presence_does_not_allow_to_read_it() {
        for (scopes, reads) in [
            ("Presence.ReadWrite openid", false),
            ("Presence.ReadWrite Presence.Read", true),
            ("Presence.Read.All Presence.ReadWrite", true),
            ("", false),
        ] {
            assert_eq!(claims(&json!({ "scp": scopes })).unwrap().reads_own(), reads, "{scopes}");
        }
        assert!(!claims(&json!({"roles": ["Presence.Read.All"]})).unwrap().reads_own());
    }

    #[test]
    fn each_way_in_needs_its_permission_and_is_told_how_it_comes_by_it() {
        let user = app(Credential::SignedIn("x".into()));
        let identity = app(Credential::ManagedIdentity(Identity::SystemAssigned));
        let status = |app: &App, said: Value| claims(&said).unwrap().permission(app).status;
        assert_eq!(status(&with_secret(), json!({"roles": ["A", OF_APPS]})), Status::Ok);
        assert_eq!(status(&identity, json!({"roles": [OF_APPS]})), Status::Ok);
        assert_eq!(status(&user, json!({"scp": "openid Presence.ReadWrite"})), Status::Ok);
        assert_eq!(status(&user, json!({"scp": "Presence.ReadWrite.All"})), Status::Failed);
        assert_eq!(status(&with_secret(), json!({"scp": "Presence.ReadWrite"})), Status::Failed);

        let check = claims(&json!({"roles": ["Presence.Read.All"]})).unwrap().permission(&with_secret());
        assert!(check.detail.contains("which has Presence.Read.All"), "{check:?}");
        let url = format!("https://login.example/{TENANT}/adminconsent?client_id={CLIENT}");
        assert!(check.advice.unwrap().ends_with(&url));
        let check = claims(&json!({})).unwrap().permission(&identity);
        assert!(check.advice.unwrap().contains(OF_APPS_ID));
        let check = claims(&json!({})).unwrap().permission(&user);
        assert!(check.advice.unwrap().contains("`presenced login contoso`"));
    }
}
