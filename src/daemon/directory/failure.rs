//! Why a read of a directory brought nothing, and what to do about it.

use std::time::Duration;

use crate::daemon::graph::Answer;
use crate::keeper::{Outcome, Refusal};

/// Why a read brought nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What kind it is: a stable word. One that goes on is told once.
    pub class: &'static str,
    /// What was answered, in words.
    pub detail: Option<String>,
    /// What to do, where something is to be done.
    pub advice: Option<&'static str>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// Graph's `request-id`.
    pub request_id: Option<String>,
    /// When Graph wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// What an app needs to read groups.
pub(in crate::daemon) const FOR_GROUPS: &str = "grant the app the application permission GroupMember.Read.All of Microsoft Graph with admin consent, which the next \
     token has, within an hour or so; or list the members in `members` or `members_from`";
/// What an app needs to look up names.
pub(in crate::daemon) const FOR_NAMES: &str = "grant the app the application permission User.ReadBasic.All of Microsoft Graph with admin consent, which the next \
     token has, within an hour or so; or write object ids in place of user principal names";
/// What to do about a group that is not there.
pub(in crate::daemon) const NO_GROUP: &str =
    "see that entra_group is the object id of a group in the app's tenant";

impl Failure {
    /// One that is none of Graph's.
    #[must_use]
    pub const fn of(class: &'static str, detail: Option<String>, advice: Option<&'static str>) -> Self {
        Self { class, detail, advice, status: None, request_id: None, retry_after: None }
    }

    /// That of an answer to a read of a group, or else of a user.
    #[must_use]
    pub fn from_answer(answer: &Answer, of_group: bool) -> Self {
        let (class, advice) = match answer.outcome {
            Outcome::Throttled { .. } => ("throttled", None),
            Outcome::TokenRejected | Outcome::Refused(Refusal::Unauthorized) => ("token_rejected", None),
            Outcome::Refused(Refusal::Forbidden) if of_group => ("forbidden", Some(FOR_GROUPS)),
            Outcome::Refused(Refusal::Forbidden) => ("forbidden", Some(FOR_NAMES)),
            Outcome::Refused(Refusal::NotFound) => ("not_found", Some(NO_GROUP)),
            Outcome::Refused(_) => ("refused", None),
            Outcome::Granted | Outcome::Lost { .. } => ("no_answer", None),
        };
        let retry_after = match answer.outcome {
            Outcome::Throttled { retry_after } | Outcome::Lost { retry_after, .. } => retry_after,
            Outcome::Granted | Outcome::TokenRejected | Outcome::Refused(_) => None,
        };
        let detail = answer.detail.as_deref();
        let words = detail.and_then(|detail| {
            let said = detail.cause.as_ref().or(detail.message.as_ref()).or(detail.code.as_ref());
            said.cloned()
        });
        Self {
            class,
            detail: words,
            advice,
            status: detail.and_then(|detail| detail.status),
            request_id: detail.and_then(|detail| detail.request_id.clone()),
            retry_after,
        }
    }
}
