//! Which call a method and a path are, for single requests and for the items of a batch alike.

use uuid::Uuid;

use super::problem::Problem;
use super::query::Place;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The presence of one user. `None` where the path does not name one by object id.
    User(Option<Uuid>, Verb),
    /// `getPresencesByUserId`.
    Presences,
    /// A read of the directory.
    Directory(Place),
    /// `$batch`.
    Batch,
    /// The token endpoint of the tenant as the path names it.
    Token(String),
    /// The device code endpoint of the tenant as the path names it.
    DeviceCode(String),
    /// The managed identity endpoint: that of App Service, or else the one of virtual machines and of Arc.
    Identity {
        /// That of App Service.
        app_service: bool,
    },
}

/// What is to be done with one user's presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read it.
    Get,
    /// `setPresence`.
    Set,
    /// `clearPresence`.
    Clear,
    /// `setUserPreferredPresence`.
    SetPreferred,
    /// `clearUserPreferredPresence`.
    ClearPreferred,
}

/// Reads a method and a path without query. Fixed segments compare without case; the actions are taken with and
/// without the `microsoft.graph.` that Microsoft's OpenAPI description spells.
///
/// # Errors
/// 404 where nothing is served, 405 where the method is another one.
pub fn route(method: &str, path: &str) -> Result<Target, Problem> {
    let segments: Vec<&str> = path.trim_start_matches('/').trim_end_matches('/').split('/').collect();
    let lower: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let (wanted, target) = match lower.as_slice() {
        ["metadata", "identity", "oauth2", "token"] => ("GET", Target::Identity { app_service: false }),
        ["msi", "token"] => ("GET", Target::Identity { app_service: true }),
        [_, "oauth2", "v2.0", "token"] => ("POST", Target::Token(segments[0].to_owned())),
        [_, "oauth2", "v2.0", "devicecode"] => ("POST", Target::DeviceCode(segments[0].to_owned())),
        ["v1.0", "$batch" | "%24batch"] => ("POST", Target::Batch),
        ["v1.0", "users", user, "presence"] | ["v1.0", "communications", "presences", user] => {
            ("GET", Target::User(object_id(user), Verb::Get))
        }
        ["v1.0", "users", user, "presence", action] => {
            ("POST", Target::User(object_id(user), verb(action).ok_or_else(Problem::no_such_path)?))
        }
        ["v1.0", "users", _] => ("GET", Target::Directory(Place::User(decoded(segments[2])))),
        ["v1.0", "groups", _] => ("GET", Target::Directory(Place::Group(decoded(segments[2])))),
        ["v1.0", "groups", _, "transitivemembers", "microsoft.graph.user"] => {
            ("GET", Target::Directory(Place::Members(decoded(segments[2]))))
        }
        ["v1.0", "communications", action] if bare(action) == "getpresencesbyuserid" => {
            ("POST", Target::Presences)
        }
        _ => return Err(Problem::no_such_path()),
    };
    if method == wanted { Ok(target) } else { Err(Problem::wrong_method()) }
}

/// An object id as Graph writes it: a GUID with hyphens and without braces.
#[must_use]
pub fn object_id(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

/// A segment of a path without its percent signs.
fn decoded(segment: &str) -> String {
    // As a form it would have other meanings for these two.
    let form = format!("={}", segment.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(form.as_bytes()).map(|(_, text)| text.into_owned()).collect()
}

fn verb(action: &str) -> Option<Verb> {
    match bare(action) {
        "setpresence" => Some(Verb::Set),
        "clearpresence" => Some(Verb::Clear),
        "setuserpreferredpresence" => Some(Verb::SetPreferred),
        "clearuserpreferredpresence" => Some(Verb::ClearPreferred),
        _ => None,
    }
}

fn bare(action: &str) -> &str {
    action.strip_prefix("microsoft.graph.").unwrap_or(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3";

    fn status(method: &str, path: &str) -> u16 {
        route(method, path).unwrap_err().status
    }

    #[test]
    fn every_served_path_has_its_target() {
        let user = USER.parse().ok();
        let cases = [
            ("GET", format!("/v1.0/users/{USER}/presence"), Target::User(user, Verb::Get)),
            ("GET", format!("/v1.0/communications/presences/{USER}"), Target::User(user, Verb::Get)),
            ("POST", format!("/v1.0/users/{USER}/presence/setPresence"), Target::User(user, Verb::Set)),
            (
                "POST",
                format!("/v1.0/users/{USER}/presence/microsoft.graph.clearPresence"),
                Target::User(user, Verb::Clear),
            ),
            ("POST", format!("/V1.0/Users/{USER}/Presence/SETPRESENCE/"), Target::User(user, Verb::Set)),
            (
                "POST",
                "/v1.0/users/anna@contoso.com/presence/setPresence".into(),
                Target::User(None, Verb::Set),
            ),
            ("POST", "/v1.0/communications/getPresencesByUserId".into(), Target::Presences),
            ("POST", "/v1.0/$batch".into(), Target::Batch),
            ("GET", format!("/v1.0/users/{USER}"), Target::Directory(Place::User(USER.into()))),
            (
                "GET",
                "/v1.0/Users/Front.Desk%23EXT%23%40contoso.com".into(),
                Target::Directory(Place::User("Front.Desk#EXT#@contoso.com".into())),
            ),
            ("GET", format!("/v1.0/groups/{USER}"), Target::Directory(Place::Group(USER.into()))),
            (
                "GET",
                format!("/v1.0/groups/{USER}/transitiveMembers/microsoft.graph.user"),
                Target::Directory(Place::Members(USER.into())),
            ),
            ("POST", "/Contoso/oauth2/v2.0/token".into(), Target::Token("Contoso".into())),
            ("POST", "/Contoso/oauth2/v2.0/devicecode".into(), Target::DeviceCode("Contoso".into())),
            ("GET", "/metadata/identity/oauth2/token".into(), Target::Identity { app_service: false }),
            ("GET", "/msi/token".into(), Target::Identity { app_service: true }),
        ];
        assert_eq!(cases.len(), 16);
        for (method, path, target) in cases {
            assert_eq!(route(method, &path), Ok(target), "{path}");
        }
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        assert_eq!(status("GET", "/v1.0/users"), 404);
        assert_eq!(status("GET", &format!("/v1.0/groups/{USER}/transitiveMembers")), 404, "without the cast");
        assert_eq!(status("PATCH", &format!("/v1.0/users/{USER}")), 405);
        assert_eq!(status("GET", "/beta/users/x/presence"), 404, "beta does not exist in every cloud");
        assert_eq!(status("POST", &format!("/v1.0/users/{USER}/presence/steal")), 404);
        assert_eq!(status("GET", &format!("/v1.0/users/{USER}/presence/setPresence")), 405);
        assert_eq!(status("DELETE", &format!("/v1.0/users/{USER}/presence")), 405);
        assert_eq!(status("GET", "/v1.0/$batch"), 405);
    }

    #[test]
    fn an_object_id_has_one_spelling() {
        assert!(object_id(USER).is_some());
        assert!(object_id(&USER.to_uppercase()).is_some());
        assert!(object_id(&USER.replace('-', "")).is_none());
        assert!(object_id(&format!("{{{USER}}}")).is_none());
    }
}
