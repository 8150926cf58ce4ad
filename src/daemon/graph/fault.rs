//! What Graph says of itself when it does not grant a call. Only for people: nothing is decided by it.

use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::config::settings::Credential;
use crate::daemon::network::answer::shown;
use crate::keeper::{Outcome, Refusal};

/// Graph's `request-id` header.
const REQUEST_ID: &str = "request-id";
/// How deep inner errors are looked into.
const MAX_DEPTH: usize = 8;

/// What an answer that grants nothing says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// Graph's error code.
    pub code: Option<String>,
    /// Graph's words.
    pub message: Option<String>,
    /// Graph's name for the request.
    pub request_id: Option<String>,
    /// What to do, where something between us and Graph answered.
    pub cause: Option<String>,
}

impl Fault {
    /// Reads what there is; a body that is empty, cut off, HTML or anything else only leaves fields empty. A text
    /// that holds `secret` is left out.
    ///
    /// Source of the envelope: the page on Microsoft Graph error responses. Inner errors nest, and are spelled both
    /// `innerError` and `innererror`.
    pub fn read(status: u16, headers: &HeaderMap, body: &[u8], secret: &str) -> Self {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let envelope: Value = serde_json::from_slice(body).unwrap_or_default();
        let find = |key| first(&envelope["error"], key).and_then(|text| shown(text, secret));
        let request_id = header(REQUEST_ID).and_then(|id| shown(id, secret));
        Self {
            code: find("code"),
            message: find("message"),
            request_id: request_id.or_else(|| find(REQUEST_ID)),
            cause: stranger(status, headers, "Graph", secret),
        }
    }
}

/// Graph's name for a request that it granted.
pub(super) fn request_id(headers: &HeaderMap) -> Option<Uuid> {
    Uuid::try_parse_ascii(headers.get(REQUEST_ID)?.as_bytes()).ok()
}

/// What to do about an answer that is not one of `whose`: something on the way gave it. `None` when it may well be one.
/// Nothing that holds `secret` is shown.
pub(in crate::daemon) fn stranger(
    status: u16,
    headers: &HeaderMap,
    whose: &str,
    secret: &str,
) -> Option<String> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_html = header(CONTENT_TYPE).is_some_and(|kind| kind.contains("html"));
    match status {
        300..=399 => Some(redirected(header(LOCATION), secret)),
        407 => {
            Some("a proxy wants a user and a password; write them into its URL in [network] proxy".to_owned())
        }
        _ if is_html => Some(format!(
            "a web page answered in {whose}'s place; look for a gateway or a portal on the way, and check the app's \
             cloud"
        )),
        _ => None,
    }
}

/// In whose name an app asks: what has to be granted to it depends on that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::daemon) enum InNameOf {
    /// Its own.
    App,
    /// That of the user who signed in.
    User,
}

impl InNameOf {
    /// That of tokens that are had by this credential.
    pub(in crate::daemon) const fn of(credential: &Credential) -> Self {
        match credential {
            Credential::SignedIn(_) => Self::User,
            Credential::SecretFile(_)
            | Credential::SecretEnv(_)
            | Credential::Certificate(_)
            | Credential::FederatedTokenFile(_)
            | Credential::ManagedIdentity(_) => Self::App,
        }
    }
}

/// What to do about an outcome, where someone has to.
///
/// Source of the permissions and of who has presence: the pages on `setPresence` and on the presence resource. With the
/// token of a user, Graph answers 401 to "the presence of another user".
pub(in crate::daemon) const fn advice(outcome: Outcome, name: InNameOf) -> Option<&'static str> {
    match (outcome, name) {
        (Outcome::Granted | Outcome::Throttled { .. } | Outcome::Lost { .. }, _) => None,
        (Outcome::TokenRejected | Outcome::Refused(Refusal::Unauthorized), InNameOf::App) => Some(
            "a new token is fetched; if that does not help, see that the app is enabled and has the application \
             permission Presence.ReadWrite.All with admin consent",
        ),
        (Outcome::TokenRejected | Outcome::Refused(Refusal::Unauthorized), InNameOf::User) => Some(
            "a new token is fetched; if that does not help, see that this user is the one who has signed in, because \
             nobody else's presence can be set, that the app is enabled, and sign in again by `presenced login`",
        ),
        (Outcome::Refused(Refusal::Forbidden), InNameOf::App) => Some(
            "grant the app the application permission Presence.ReadWrite.All with admin consent; if others are \
             granted, see that this user has a Teams licence and is no guest",
        ),
        (Outcome::Refused(Refusal::Forbidden), InNameOf::User) => Some(
            "add the delegated permission Presence.ReadWrite to the app, and sign in again by `presenced login`; see \
             that this user is the one who has signed in, has a Teams licence and is no guest",
        ),
        (Outcome::Refused(Refusal::NotFound), _) => {
            Some("check the user's object id, and that the user is in the app's tenant")
        }
        (Outcome::Refused(Refusal::BadRequest | Refusal::Other(_)), _) => {
            Some("presenced and Graph do not understand each other: please report it with the request id")
        }
    }
}

/// The outermost non-empty text of that name in an error and the errors inside of it.
fn first<'a>(error: &'a Value, key: &str) -> Option<&'a str> {
    let inner = |error: &&'a Value| {
        let error = error.get("innerError").or_else(|| error.get("innererror"))?;
        Some(error)
    };
    std::iter::successors(Some(error), inner)
        .take(MAX_DEPTH)
        .find_map(|error| error[key].as_str().filter(|text| !text.trim().is_empty()))
}

/// Of the place to go to only the host is shown: the rest may hold anything. A place that holds `secret` is not shown
/// at all: in a host it would stand in lower case.
fn redirected(location: Option<&str>, secret: &str) -> String {
    let host = location
        .filter(|place| shown(place, secret).is_some())
        .and_then(|place| Url::parse(place).ok())
        .and_then(|url| shown(url.host_str()?, ""));
    let to = host.map(|host| format!(" to {host}")).unwrap_or_default();
    format!(
        "a redirect{to}, which is never followed; look for a portal or a gateway on the way, and check the app's cloud"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn code_message_and_request_id_are_found_in_every_shape_of_the_envelope() {
        let outer = br#"{"error":{"code":"TooManyRequests","message":"Please retry again later.",
            "innerError":{"code":"429","message":"Please retry after","request-id":"r-1","status":"429"}}}"#;
        let nested =
            br#"{"error":{"code":"","message":"","innererror":{"code":"A","innerError":{"message":"deep",
            "request-id":"r-2"}}}}"#;
        let cases: [(&[u8], _, _, _); 3] = [
            (outer, Some("TooManyRequests"), Some("Please retry again later."), Some("r-1")),
            (nested, Some("A"), Some("deep"), Some("r-2")),
            (br#"{"error":{"code":"Forbidden","message":null}}"#, Some("Forbidden"), None, None),
        ];
        for (body, code, message, id) in cases {
            let fault = Fault::read(429, &HeaderMap::new(), body, "");
            assert_eq!((fault.code.as_deref(), fault.message.as_deref()), (code, message));
            assert_eq!(fault.request_id.as_deref(), id);
        }
        let fault = Fault::read(429, &headers(&[("request-id", "r-0")]), outer, "");
        assert_eq!(fault.request_id.as_deref(), Some("r-0"), "the header goes first");
    }

    #[test]
    fn a_body_that_is_no_envelope_is_no_error() {
        let deep = "{\"error\":".repeat(10_000);
        let bodies: [&[u8]; 9] = [
            b"",
            b"null",
            b"[]",
            b"7",
            b"{\"error\":\"no\"}",
            b"{\"error\":{\"code\":7}}",
            b"{\"error\":{\"code\":\"cut",
            b"\xff\xfe",
            deep.as_bytes(),
        ];
        for body in bodies {
            assert_eq!(Fault::read(500, &HeaderMap::new(), body, ""), Fault::default());
        }
    }

    #[test]
    fn what_answers_in_graphs_place_is_named() {
        let html = headers(&[("content-type", "text/html; charset=utf-8")]);
        let cause = Fault::read(403, &html, b"<html>Blocked</html>", "").cause.unwrap();
        assert!(cause.contains("web page answered"), "{cause}");
        let to = headers(&[("location", "https://portal.example/login?user=x")]);
        let cause = Fault::read(302, &to, b"", "").cause.unwrap();
        assert!(cause.contains("redirect to portal.example,") && !cause.contains("login"), "{cause}");
        let cause = Fault::read(307, &headers(&[("location", "/elsewhere")]), b"", "").cause.unwrap();
        assert!(cause.starts_with("a redirect, "), "{cause}");
        assert!(Fault::read(407, &html, b"", "").cause.unwrap().contains("[network] proxy"));
    }

    #[test]
    fn a_user_is_not_sent_for_the_permission_of_an_app() {
        let rejected = [
            Outcome::TokenRejected,
            Outcome::Refused(Refusal::Unauthorized),
            Outcome::Refused(Refusal::Forbidden),
        ];
        for outcome in rejected {
            let app = advice(outcome, InNameOf::App).unwrap();
            assert!(app.contains("application permission Presence.ReadWrite.All"), "{app}");
            let user = advice(outcome, InNameOf::User).unwrap();
            assert!(user.contains("who has signed in") && user.contains("`presenced login`"), "{user}");
            assert!(!user.contains("application permission") && !user.contains(".All"), "{user}");
        }
        let forbidden = advice(Outcome::Refused(Refusal::Forbidden), InNameOf::User).unwrap();
        assert!(forbidden.contains("delegated permission Presence.ReadWrite"), "{forbidden}");
        assert_eq!(InNameOf::of(&Credential::SignedIn("x".into())), InNameOf::User);
        assert_eq!(InNameOf::of(&Credential::SecretFile("x".into())), InNameOf::App);
    }

    #[test]
    fn a_message_that_gives_the_token_back_is_left_out() {
        let body = br#"{"error":{"code":"X","message":"bad token ey.t0ken.sig"}}"#;
        assert_eq!(Fault::read(401, &HeaderMap::new(), body, "ey.t0ken.sig").message, None);
    }

    #[test]
    fn a_redirect_that_gives_the_token_back_is_shown_without_its_place() {
        for place in ["https://x-eY.t0ken.sig-x.example/", "https://portal.example/?t=eY.t0ken.sig"] {
            let cause =
                Fault::read(302, &headers(&[("location", place)]), b"", "eY.t0ken.sig").cause.unwrap();
            assert!(cause.starts_with("a redirect, "), "{cause}");
        }
    }
}
