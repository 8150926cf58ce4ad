//! Reading what others see of an app's users: 650 at a time, at most once a second.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::report::{Check, CheckName, Finding, Status, UserReport};
use super::{Progress, READ_TIME};
use crate::daemon::clock::Clock;
use crate::daemon::graph::{self, Answer, Detail, GraphClient, InNameOf};
use crate::daemon::token::AccessToken;
use crate::keeper::id::UserId;
use crate::keeper::{MonoTime, Outcome, Refusal};

/// From one read to the next: a daemon that runs spends the same quota, and needs it more.
const PACE: Duration = Duration::from_secs(1);
/// How often a read is tried.
const TRIES: u32 = 3;
/// How long to wait where Graph does not say.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest that Graph's word on when to come back is heeded.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What to do where Graph takes no token of an app.
const REJECTED: &str = "the login has granted this token just now, and Graph does not take it: try again; if it stays so, \
                        see that the app's cloud is that of its tenant, that the app is enabled there (enterprise \
                        applications), and that no Conditional Access policy is against it";
/// What to do where Graph wants more of a token.
const CHALLENGED: &str = "Graph asks for a token with certain claims, after a revocation or by a Conditional Access policy: \
                          with cae = true in the app's table the daemon fetches one by itself; try again, and see the \
                          policies of the tenant if it stays so";

/// Who reads.
pub(super) struct Reader<'a> {
    pub(super) graph: &'a GraphClient,
    pub(super) token: &'a AccessToken,
    pub(super) clock: &'a Clock,
    pub(super) progress: &'a watch::Sender<Progress>,
}

impl Reader<'_> {
    /// Reads all of them. Where a read fails for good, it and those after it are not made.
    pub(super) async fn all(&self, users: &[UserId]) -> (Check, Vec<UserReport>) {
        let mut found = Vec::with_capacity(users.len());
        let mut next = self.clock.now();
        for some in users.chunks(GraphClient::MOST_READ) {
            match self
                .patiently(&mut next, async |wall| {
                    self.graph.presences(some, self.token, READ_TIME, wall).await
                })
                .await
            {
                Ok(mut seen) => found.extend(some.iter().map(|&user| {
                    let finding = seen.remove(&user).map_or(Finding::Missing, Finding::Seen);
                    UserReport { user, finding }
                })),
                Err(answer) => {
                    let (what, advice) = words(&answer);
                    let why: Arc<str> = what.as_str().into();
                    found.extend(not_read(&users[found.len()..], &why));
                    let check = Check::failed(CheckName::Users, format!("not read: {what}"), advice);
                    return (check, found);
                }
            }
            self.progress.send_modify(|progress| progress.users += some.len());
        }
        (summary(&found), found)
    }

    /// Reads the presence of the user who has signed in; `how` is what to do where that is not allowed.
    pub(super) async fn own(&self, user: UserId, how: String) -> (Check, Vec<UserReport>) {
        let mut next = self.clock.now();
        let read = self
            .patiently(&mut next, async |wall| self.graph.presence(user, self.token, READ_TIME, wall).await);
        let answer = match read.await {
            Ok(seen) => {
                self.progress.send_modify(|progress| progress.users += 1);
                let found = vec![UserReport { user, finding: Finding::Seen(seen) }];
                return (summary(&found), found);
            }
            Err(answer) => answer,
        };
        match answer.outcome {
            Outcome::Refused(Refusal::NotFound) => {
                self.progress.send_modify(|progress| progress.users += 1);
                let found = vec![UserReport { user, finding: Finding::Missing }];
                (summary(&found), found)
            }
            Outcome::Refused(Refusal::Forbidden) => not_allowed(user, how),
            _ => {
                let (what, advice) = words(&answer);
                let found = not_read(&[user], &what.as_str().into()).collect();
                (Check::failed(CheckName::Users, format!("not read: {what}"), advice), found)
            }
        }
    }

    /// Reads, and again where that may help. `next` is when the next read may go out.
    pub(super) async fn patiently<T>(
        &self,
        next: &mut MonoTime,
        read: impl AsyncFn(std::time::SystemTime) -> Result<T, Answer>,
    ) -> Result<T, Answer> {
        let mut tries = 0;
        loop {
            self.clock.sleep_until(*next).await;
            let sent = self.clock.now();
            let answer = match read(self.clock.wall()).await {
                Ok(seen) => {
                    *next = sent + PACE;
                    return Ok(seen);
                }
                Err(answer) => answer,
            };
            tries += 1;
            let (Outcome::Throttled { retry_after } | Outcome::Lost { retry_after, .. }) = answer.outcome
            else {
                return Err(answer);
            };
            if tries == TRIES {
                return Err(answer);
            }
            *next = self.clock.now() + retry_after.unwrap_or(PAUSE).clamp(PACE, LONGEST_PAUSE);
        }
    }
}

/// Of a user who has signed in and whose presence may be set and not be read; `how` it could be.
pub(super) fn not_allowed(user: UserId, how: String) -> (Check, Vec<UserReport>) {
    let why = "the sign-in is good for setting the presence, and not for reading it";
    (
        Check::warning(CheckName::Users, format!("not read: {why}"), how),
        not_read(&[user], &why.into()).collect(),
    )
}

/// Users of whom nothing is known.
pub(super) fn not_read(users: &[UserId], why: &Arc<str>) -> impl Iterator<Item = UserReport> {
    users.iter().map(|&user| UserReport { user, finding: Finding::NotRead(Arc::clone(why)) })
}

fn summary(found: &[UserReport]) -> Check {
    let of = |status| found.iter().filter(|user| user.finding.status() == status).count();
    let (missing, unknown) = (of(Status::Failed), of(Status::Warning));
    let detail = format!("Graph gives the presence of {} of {}", found.len() - missing, found.len());
    if missing == 0 && unknown == 0 {
        return Check::ok(CheckName::Users, detail);
    }
    if missing == 0 {
        let detail = format!("{detail}, of {unknown} as unknown");
        return Check::warning(
            CheckName::Users,
            detail,
            "see that these users have a Teams licence, and are no guests",
        );
    }
    let advice = graph::advice(Outcome::Refused(Refusal::NotFound), InNameOf::App).unwrap_or_default();
    Check::failed(CheckName::Users, detail, advice)
}

/// What came instead of a presence, and what to do.
pub(super) fn words(answer: &Answer) -> (String, String) {
    let Some(detail) = &answer.detail else { return (String::new(), String::new()) };
    let Detail { status, code, message, request_id, client_request_id, cause, advice } = &**detail;
    // What the daemon's log says of it is that it fetches another token. Here this one came a moment ago.
    let advice = match (answer.outcome, &answer.claims) {
        (Outcome::TokenRejected, None) => Some(REJECTED),
        (Outcome::TokenRejected, Some(_)) => Some(CHALLENGED),
        _ => *advice,
    };
    let Some(status) = status else {
        return (cause.clone().unwrap_or_default(), "see the checks of the hosts, and try again".to_owned());
    };
    let mut what = format!("status {status}");
    for said in [code, message].into_iter().flatten() {
        what = format!("{what}, {said}");
    }
    let id = request_id.as_ref().unwrap_or(client_request_id);
    let advice = cause.as_deref().or(advice).unwrap_or("try again; usually it passes by itself");
    (format!("{what} (request id {id})"), advice.to_owned())
}
