//! What is sent: the URLs and bodies of `setPresence` and `clearPresence` (Microsoft Graph v1.0).

use url::Url;

use crate::keeper::id::{ClientId, UserId};
use crate::keeper::{Call, Wish};

/// What is the same in all requests of a lane.
#[derive(Debug)]
pub(super) struct Wire {
    /// `{graph}/v1.0/users/`.
    users: String,
    /// `{"sessionId":"{client id}"`: the session's id is the app registration's.
    session: String,
}

impl Wire {
    /// For this Graph root and app registration.
    pub(super) fn new(graph: &Url, client: ClientId) -> Self {
        Self {
            users: format!("{}/v1.0/users/", graph.as_str().trim_end_matches('/')),
            session: format!("{{\"sessionId\":\"{client}\""),
        }
    }

    /// Where a call goes. `None` cannot be for a root that is a URL with a host.
    pub(super) fn url(&self, user: UserId, call: Call) -> Option<Url> {
        let action = match call {
            Call::Set(_) => "setPresence",
            Call::Clear => "clearPresence",
        };
        Url::parse(&format!("{}{user}/presence/{action}", self.users)).ok()
    }

    /// The JSON of a call. Put together from words that need no escaping: Graph's own, digits, and a GUID.
    pub(super) fn body(&self, call: Call) -> String {
        match call {
            Call::Set(Wish { state, expiration }) => format!(
                "{},\"availability\":\"{}\",\"activity\":\"{}\",\"expirationDuration\":\"{expiration}\"}}",
                self.session,
                state.availability(),
                state.activity(),
            ),
            Call::Clear => format!("{}}}", self.session),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keeper::{Expiration, PresenceState};

    const CLIENT: &str = "22553876-f5ab-4529-bffb-cfe50aa89f87";
    const USER: &str = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3";

    fn wire(graph: &str) -> Wire {
        Wire::new(&graph.parse().unwrap(), CLIENT.parse().unwrap())
    }

    fn sent(call: Call) -> serde_json::Value {
        serde_json::from_str(&wire("https://graph.microsoft.com").body(call)).unwrap()
    }

    #[test]
    fn a_set_says_what_graph_documents_for_every_state_and_expiration() {
        for state in PresenceState::ALL {
            for minutes in 5..=240 {
                let expiration = Expiration::from_minutes(minutes).unwrap();
                let expected = json!({
                    "sessionId": CLIENT,
                    "availability": state.availability(),
                    "activity": state.activity(),
                    "expirationDuration": format!("PT{minutes}M"),
                });
                assert_eq!(sent(Call::Set(Wish { state, expiration })), expected);
            }
        }
    }

    #[test]
    fn a_clear_names_the_session_alone() {
        assert_eq!(sent(Call::Clear), json!({ "sessionId": CLIENT }));
    }

    #[test]
    fn a_call_goes_to_the_user_under_the_root() {
        let user = USER.parse().unwrap();
        for root in ["https://graph.microsoft.com", "https://graph.microsoft.com/"] {
            let url = wire(root).url(user, Call::Clear).unwrap();
            assert_eq!(
                url.as_str(),
                format!("https://graph.microsoft.com/v1.0/users/{USER}/presence/clearPresence")
            );
        }
        let wish = Wish { state: PresenceState::Away, expiration: Expiration::MIN };
        let url = wire("http://127.0.0.1:8000/sandbox/").url(user, Call::Set(wish)).unwrap();
        assert_eq!(
            url.as_str(),
            format!("http://127.0.0.1:8000/sandbox/v1.0/users/{USER}/presence/setPresence")
        );
    }
}
