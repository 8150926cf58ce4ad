//! Reading what others see of users: an aggregate over all their sessions, of which ours is one.
//!
//! Sources: the pages "getPresencesByUserId" and "Get presence" of Microsoft Graph v1.0.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::classify::by_status;
use super::client::{Asked, Heard};
use super::wire::Wire;
use super::{Answer, GraphClient};
use crate::daemon::network::answer::shown;
use crate::daemon::network::exchange::Limits;
use crate::daemon::token::AccessToken;
use crate::keeper::id::UserId;
use crate::keeper::{Loss, Outcome};

/// Longest answer that is read, in bytes: six thousand for each of 650 users. Most is a status message's.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// What others see of a user, in Graph's words; they may be ones that no page lists.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Seen {
    /// Such as `Available` or `Offline`.
    pub availability: String,
    /// Such as `InACall`.
    pub activity: String,
}

/// A presence as Graph writes it, as far as it is read. Any of it may be missing.
#[derive(Deserialize)]
struct Presence {
    id: Option<String>,
    availability: Option<String>,
    activity: Option<String>,
}

#[derive(Deserialize)]
struct Presences {
    value: Vec<Presence>,
}

impl GraphClient {
    /// The most users whose presence is read by one request.
    pub const MOST_READ: usize = 650;

    /// Reads the presence of several users, and returns within `timeout` of real time. Users whom the tenant does not
    /// have are not in it.
    ///
    /// `wall` is the wall time now; see [`GraphClient::call`].
    ///
    /// # Errors
    /// What came instead.
    ///
    /// # Panics
    /// With more than [`GraphClient::MOST_READ`] users.
    pub async fn presences(
        &self,
        users: &[UserId],
        token: &AccessToken,
        timeout: Duration,
        wall: SystemTime,
    ) -> Result<BTreeMap<UserId, Seen>, Answer> {
        assert!(users.len() <= Self::MOST_READ, "{} users in a read", users.len());
        let asked = self.asked(token, wall);
        let body = Some(Wire::presences(users));
        let heard = self.exchange(self.wire().presences_url(), body, &asked, limits(timeout)).await?;
        let Presences { value } = read(&heard, &asked)?;
        let of_user = |presence: Presence| {
            let user = presence.id.as_deref()?.parse().ok()?;
            Some((user, presence.seen(token)))
        };
        Ok(value.into_iter().filter_map(of_user).collect())
    }

    /// The same of one user, which the sign-in of that user may be good for.
    ///
    /// # Errors
    /// What came instead; 404 where the tenant does not have the user.
    pub async fn presence(
        &self,
        user: UserId,
        token: &AccessToken,
        timeout: Duration,
        wall: SystemTime,
    ) -> Result<Seen, Answer> {
        let asked = self.asked(token, wall);
        let heard = self.exchange(self.wire().presence_url(user), None, &asked, limits(timeout)).await?;
        Ok(read::<Presence>(&heard, &asked)?.seen(token))
    }
}

impl Presence {
    fn seen(&self, token: &AccessToken) -> Seen {
        let word = |word: &Option<String>| {
            let shown = word.as_deref().and_then(|text| shown(text, token.text()));
            shown.unwrap_or_else(|| "PresenceUnknown".to_owned())
        };
        Seen { availability: word(&self.availability), activity: word(&self.activity) }
    }
}

pub(super) fn limits(time: Duration) -> Limits {
    Limits { time, body_time: time, max_body: MAX_BODY }
}

/// What a granted read holds, or what was answered instead.
pub(super) fn read<'h, T: Deserialize<'h>>(heard: &'h Heard<'_>, asked: &Asked<'_>) -> Result<T, Answer> {
    let outcome = by_status(heard.status, &heard.headers, asked.wall);
    if outcome != Outcome::Granted {
        return Err(asked.refused(outcome, heard));
    }
    serde_json::from_slice(&heard.body).map_err(|_| {
        let loss = Outcome::Lost { loss: Loss::Server(heard.status), retry_after: None };
        let mut answer = asked.refused(loss, heard);
        if let Some(detail) = &mut answer.detail {
            let cut = "the answer is cut off, or holds no presence; look for a gateway on the way".to_owned();
            detail.cause.get_or_insert(cut);
        }
        answer
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Credential;
    use crate::daemon::network::testing::{LONG, Script, Server, app, direct};
    use crate::keeper::Refusal;

    const USER: &str = "fa8bf3dc-eca7-46b7-bad1-db199b62afc3";
    const OTHER: &str = "fa8bf3dc-eca7-46b7-bad1-db199b62afc4";

    fn ids(users: &[&str]) -> Vec<UserId> {
        users.iter().map(|user| user.parse().unwrap()).collect()
    }

    async fn against(
        server: &Server,
        users: &[&str],
    ) -> Result<BTreeMap<UserId, Seen>, (Outcome, Option<String>)> {
        let app = app(&server.url("http"), Credential::SecretEnv("UNUSED".to_owned()));
        let client = GraphClient::new(&app, &direct()).unwrap();
        let token = AccessToken::bearer("ey.canary-token.sig").unwrap();
        let read = client.presences(&ids(users), &token, LONG, SystemTime::UNIX_EPOCH).await;
        assert!(!format!("{read:?}").contains("canary"), "{read:?}");
        read.map_err(|answer| (answer.outcome, answer.detail.unwrap().cause))
    }

    #[tokio::test]
    async fn several_users_are_read_as_graph_documents_it() {
        let body = format!(
            "{{\"@odata.context\":\"x\",\"value\":[{{\"id\":\"{}\",\"availability\":\"Busy\",\"activity\":\"InACall\",\
             \"statusMessage\":null}},{{\"id\":\"no id\"}},{{}}]}}",
            USER.to_uppercase()
        );
        let mut server = Server::plain(vec![Script::answer(200, "", &body)]).await;
        let seen = against(&server, &[USER, OTHER]).await.unwrap();
        let busy = Seen { availability: "Busy".to_owned(), activity: "InACall".to_owned() };
        assert_eq!(seen, [(USER.parse().unwrap(), busy)].into());
        let request = server.request().await;
        let (head, sent) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /v1.0/communications/getPresencesByUserId HTTP/1.1\r\n"), "{head}");
        assert_eq!(sent, format!("{{\"ids\":[\"{USER}\",\"{OTHER}\"]}}"));
    }

    #[tokio::test]
    async fn words_of_an_answer_are_shown_without_the_token_and_without_control() {
        let body = format!(
            "{{\"value\":[{{\"id\":\"{USER}\",\"availability\":\"a\\u001b[31mb\",\
             \"activity\":\"ey.canary-token.sig\"}}]}}"
        );
        let server = Server::plain(vec![Script::answer(200, "", &body)]).await;
        let seen = against(&server, &[USER]).await.unwrap().into_values().next().unwrap();
        assert_eq!((&*seen.availability, &*seen.activity), ("a [31mb", "PresenceUnknown"));
    }

    #[tokio::test]
    async fn an_answer_that_is_no_list_is_lost_and_a_refusal_is_one() {
        let lost = |status| Outcome::Lost { loss: Loss::Server(status), retry_after: None };
        for (script, outcome, cause) in [
            (Script::cut("HTTP/1.1 200 OK\r\n\r\n{\"value\":[{\"id\":"), lost(200), Some("cut off")),
            (Script::answer(200, "content-type: text/html\r\n", "<p>"), lost(200), Some("web page answered")),
            (Script::answer(204, "", ""), lost(204), Some("cut off")),
            (Script::answer(503, "", ""), lost(503), None),
            (Script::answer(403, "", ""), Outcome::Refused(Refusal::Forbidden), None),
        ] {
            let server = Server::plain(vec![script]).await;
            let (seen, told) = against(&server, &[USER]).await.unwrap_err();
            assert_eq!(seen, outcome);
            assert_eq!(told.is_some(), cause.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(cause.unwrap_or_default()));
        }
    }
}
