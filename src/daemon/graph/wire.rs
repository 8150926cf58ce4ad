//! What is sent: the URLs and bodies of `setPresence`, `clearPresence`, `$batch` and of reads (Microsoft Graph v1.0).

use std::fmt::{self, Write as _};

use url::Url;

use super::Ask;
use crate::keeper::id::{ClientId, UserId};
use crate::keeper::{Call, Wish};

/// What is the same in all requests of a lane.
#[derive(Debug)]
pub(super) struct Wire {
    /// `{graph}/v1.0`.
    root: String,
    /// `{"sessionId":"{client id}"`: the session's id is the app registration's.
    session: String,
}

impl Wire {
    /// For this Graph root and app registration.
    pub(super) fn new(graph: &Url, client: ClientId) -> Self {
        Self {
            root: format!("{}/v1.0", graph.as_str().trim_end_matches('/')),
            session: format!("{{\"sessionId\":\"{client}\""),
        }
    }

    /// The root of all URLs, `{graph}/v1.0`.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Where a call goes. `None` cannot be for a root that is a URL with a host.
    pub(super) fn url(&self, ask: Ask) -> Option<Url> {
        Url::parse(&format!("{}{}", self.root, Path(ask))).ok()
    }

    /// Where a batch goes.
    pub(super) fn batch_url(&self) -> Option<Url> {
        Url::parse(&format!("{}/$batch", self.root)).ok()
    }

    /// Where the presence of several users is read.
    pub(super) fn presences_url(&self) -> Option<Url> {
        Url::parse(&format!("{}/communications/getPresencesByUserId", self.root)).ok()
    }

    /// Whose: the JSON of that read.
    pub(super) fn presences(users: &[UserId]) -> String {
        let mut json = String::with_capacity(16 + users.len() * 39);
        json.push_str("{\"ids\":[");
        for (place, user) in users.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(json, "{comma}\"{user}\"");
        }
        json.push_str("]}");
        json
    }

    /// Where the presence of one user is read.
    pub(super) fn presence_url(&self, user: UserId) -> Option<Url> {
        Url::parse(&format!("{}/users/{user}/presence", self.root)).ok()
    }

    /// The JSON of a batch: each call by its place among `asks`, from 0, as its id.
    ///
    /// Source: the page "Combine multiple HTTP requests using JSON batching"; an item with a body needs its
    /// `Content-Type`.
    pub(super) fn batch(&self, asks: &[Ask]) -> String {
        let mut json = String::with_capacity(64 + asks.len() * 320);
        json.push_str("{\"requests\":[");
        for (place, &ask) in asks.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(
                json,
                "{comma}{{\"id\":\"{place}\",\"method\":\"POST\",\"url\":\"{}\",\
                 \"headers\":{{\"Content-Type\":\"application/json\"}},\"body\":{}}}",
                Path(ask),
                self.body(ask.call),
            );
        }
        json.push_str("]}");
        json
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

/// The path of a call below the version.
struct Path(Ask);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.0.call {
            Call::Set(_) => "setPresence",
            Call::Clear => "clearPresence",
        };
        write!(f, "/users/{}/presence/{action}", self.0.user)
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
            let url = wire(root).url(Ask { user, call: Call::Clear }).unwrap();
            assert_eq!(
                url.as_str(),
                format!("https://graph.microsoft.com/v1.0/users/{USER}/presence/clearPresence")
            );
        }
        let wish = Wish { state: PresenceState::Away, expiration: Expiration::MIN };
        let set = Ask { user, call: Call::Set(wish) };
        let url = wire("http://127.0.0.1:8000/sandbox/").url(set).unwrap();
        assert_eq!(
            url.as_str(),
            format!("http://127.0.0.1:8000/sandbox/v1.0/users/{USER}/presence/setPresence")
        );
    }

    #[test]
    fn a_batch_has_each_call_as_it_would_be_alone() {
        let wire = wire("https://graph.microsoft.com/");
        assert_eq!(wire.batch_url().unwrap().as_str(), "https://graph.microsoft.com/v1.0/$batch");
        let user = USER.parse().unwrap();
        let wish = Wish { state: PresenceState::Away, expiration: Expiration::MIN };
        let asks = [Call::Set(wish), Call::Clear].map(|call| Ask { user, call });
        let item = |id: &str, action: &str, call: Call| {
            json!({
                "id": id,
                "method": "POST",
                "url": format!("/users/{USER}/presence/{action}"),
                "headers": { "Content-Type": "application/json" },
                "body": sent(call),
            })
        };
        let expected = [item("0", "setPresence", Call::Set(wish)), item("1", "clearPresence", Call::Clear)];
        let batch: serde_json::Value = serde_json::from_str(&wire.batch(&asks)).unwrap();
        assert_eq!(batch, json!({ "requests": expected }));
    }
}
