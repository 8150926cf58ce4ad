//! What the host's answers mean.

use std::time::SystemTime;

use serde_json::Value;

use super::host::Host;
use crate::config::settings::{Credential, Identity};
use crate::daemon::network::answer::shown;
use crate::daemon::token::failure::Class;
use crate::daemon::token::post::Answer;
use crate::daemon::token::reply::{self, Asked};
use crate::daemon::token::{TokenDetail, TokenReply};

/// Reads the answers of a host.
pub(super) struct Reader<'a> {
    pub(super) host: &'a Host,
    pub(super) identity: Identity,
    /// What no text may hold.
    pub(super) secret: &'a str,
    /// The wall time now.
    pub(super) wall: SystemTime,
}

impl Reader<'_> {
    /// What an answer means.
    ///
    /// By Microsoft's page, 404, 429 and 5xx are to be tried again, and so is 410, for up to 70 s: the service is being
    /// updated. No other 4xx is.
    pub(super) fn read(&self, answer: &Answer) -> TokenReply {
        let asked = Asked {
            credential: &Credential::ManagedIdentity(self.identity),
            app: "",
            id: answer.id.clone(),
            secret: self.secret,
            wall: self.wall,
        };
        let granted = (200..300).contains(&answer.status);
        if granted {
            let reply = reply::read(answer.status, &answer.headers, &answer.body, &asked);
            if reply.token.is_some() {
                return reply;
            }
        }
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |key: &str| said[key].as_str().and_then(|text| shown(text, self.secret));
        let error = text("error").unwrap_or_else(|| format!("status {}", answer.status));
        let own = text("error_description").or_else(|| text("message"));
        let own = own.map(|own| format!(": {own}")).unwrap_or_default();
        let (class, meaning, advice) = self.meaning(answer.status, &own);
        let correlation_id = Some(asked.id);
        let detail = TokenDetail { error, class, meaning, advice, correlation_id, ..TokenDetail::default() };
        reply::failed(reply::wait(&answer.headers), detail)
    }

    fn meaning(&self, status: u16, own: &str) -> (Class, String, String) {
        let name = self.host.name();
        let passes = |what: &str| {
            (Class::Again, format!("{name} {what}{own}"), "nothing to do: it is tried again".to_owned())
        };
        match status {
            404 => (
                Class::Again,
                format!("{name} does not know this address, or is not ready yet{own}"),
                "it is tried again; if it goes on, see that this host has a managed identity".to_owned(),
            ),
            410 => passes("is being updated, which takes 70 s at most"),
            429 => passes("is busy"),
            408 | 500.. => passes("has a passing trouble"),
            200..300 => (
                Class::Again,
                format!("{name} gave an answer without a token"),
                "see whether something else answers in its place".to_owned(),
            ),
            300..400 => (
                Class::Again,
                format!("{name} sent a redirect, which is never followed"),
                "see whether something else answers in its place".to_owned(),
            ),
            _ => (Class::Fix, format!("{name} gives no token{own}"), self.advice()),
        }
    }

    fn advice(&self) -> String {
        match self.identity {
            Identity::SystemAssigned => {
                "give this host a managed identity of its own (Identity, System assigned, On), or name a user-assigned one: \
                 managed_identity = \"its client id\""
                    .to_owned()
            }
            Identity::UserAssigned(client) => {
                format!("assign the identity with the client id {client} to this host (Identity, User assigned)")
            }
        }
    }
}

/// No answer at all: most likely this is no Azure host.
pub(super) fn no_answer(host: &Host, mut reply: TokenReply) -> TokenReply {
    if let Some(detail) = &mut reply.detail {
        detail.advice = match host {
            Host::AppService { .. } => "it is tried again; if it goes on, restart the app".to_owned(),
            Host::Arc { .. } => "see that the Azure Connected Machine agent runs: `azcmagent show`".to_owned(),
            Host::Imds { .. } => {
                "a managed identity is there on Azure hosts and Arc machines only; elsewhere use certificate_file in the \
                 app's credential"
                    .to_owned()
            }
        };
    }
    reply
}
