//! One app, from the hosts to its users. What needs something that is missing is skipped, and says so.

use std::sync::Arc;

use tokio::sync::watch;

use super::asked::Asked;
use super::claims::{Claims, consent_url, how_to_read_own};
use super::reach::{self, Host, Reached};
use super::report::{AppReport, Check, CheckName, Status, UserReport};
use super::users::{Reader, not_allowed, not_read};
use super::{Progress, TOKEN_TIME, credential};
use crate::config::directory::Asks;
use crate::config::settings::{App, Credential, Network};
use crate::daemon::clock::Clock;
use crate::daemon::graph::GraphClient;
use crate::daemon::network::NetworkError;
use crate::daemon::token::{AccessToken, TokenDetail, TokenReply, TokenSource};
use crate::keeper::id::UserId;
use crate::keeper::{Plan, TokenAnswer, TokenFailure};

/// Errors of the login that an admin's consent mends: nobody has consented; the app is not in the tenant yet.
const CONSENT_HELPS: [u32; 2] = [65_001, 7_000_229];

/// An app, and what it is examined with.
pub(super) struct Patient {
    app: App,
    users: Vec<UserId>,
    asked: Asked,
    login: Host,
    graph: Host,
    source: TokenSource,
    client: GraphClient,
}

impl Patient {
    pub(super) fn new(app: &App, plan: &Plan, asks: &Asks, network: &Network) -> Result<Self, NetworkError> {
        let lane = plan.lane(&app.lane());
        Ok(Self {
            users: lane.into_iter().flat_map(|lane| &lane.sessions).map(|session| session.user).collect(),
            asked: Asked::of(asks, &app.lane()),
            login: Host::login(app, network)?,
            graph: Host::graph(app, network)?,
            // Whose sign-in it is, a look of its own says.
            source: TokenSource::new(&App { user: None, ..app.clone() }, network)?,
            client: GraphClient::new(app, network)?,
            app: app.clone(),
        })
    }

    /// How many users it has.
    pub(super) fn users(&self) -> usize {
        self.users.len()
    }

    pub(super) async fn examine(&self, clock: &Clock, progress: &watch::Sender<Progress>) -> AppReport {
        let (login, graph) = self.reach(clock).await;
        let mut checks = Vec::new();
        let dated: Vec<&Reached> = login.iter().chain([&graph]).collect();
        let told = reach::clock(&dated);
        checks.push(login.as_ref().map_or_else(
            || Check::skipped(CheckName::Login, "not needed: the host that this runs on gives the tokens"),
            |login| login.check.clone(),
        ));
        checks.push(graph.check.clone());
        checks.push(told);
        let login_fails = login.as_ref().is_some_and(|login| login.check.status == Status::Failed);
        let (check, token, refused) = self.token(login_fails, clock).await;
        let end = credential::end(&self.app, &self.source, clock.wall());
        checks.push(if token.is_some() { self.works_still(end) } else { end });
        checks.push(check);
        let users = match token {
            None => self.without_token(&mut checks),
            Some(token) => {
                let reader = Reader { graph: &self.client, token: &token, clock, progress };
                self.with_token(&mut checks, &reader, graph.check.status == Status::Failed).await
            }
        };
        AppReport {
            app: Arc::clone(&self.app.name),
            tenant: self.app.tenant,
            client_id: self.app.client_id,
            checks,
            users,
            refused,
        }
    }

    /// Asks both hosts; a managed identity's tokens do not come from the login host.
    async fn reach(&self, clock: &Clock) -> (Option<Reached>, Reached) {
        let login = async {
            match self.app.credential {
                Credential::ManagedIdentity(_) => None,
                _ => Some(self.login.ask(clock).await),
            }
        };
        futures_util::future::join(login, self.graph.ask(clock)).await
    }

    async fn token(&self, login_fails: bool, clock: &Clock) -> (Check, Option<AccessToken>, bool) {
        if login_fails {
            let why = "the login host is out of reach";
            return (Check::skipped(CheckName::Token, why), None, false);
        }
        let (_, TokenReply { answer, token, detail, unwritten }) =
            self.source.fetch(TOKEN_TIME, clock.wall(), None, None).await;
        match answer {
            TokenAnswer::Granted { lifetime, .. } => {
                let granted = format!("granted for {} min", lifetime.as_secs() / 60);
                let check = match unwritten {
                    None => Check::ok(CheckName::Token, granted),
                    Some(unwritten) => self.not_kept(&granted, unwritten.why()),
                };
                (check, token, false)
            }
            TokenAnswer::Failed { failure, .. } => {
                let refused = failure == TokenFailure::Rejected;
                (self.no_token(&detail.unwrap_or_default()), None, refused)
            }
        }
    }

    /// The end of a credential that a token was granted for. A secret's is what the config says, and only that can be
    /// wrong.
    fn works_still(&self, end: Check) -> Check {
        if end.status != Status::Failed || !self.source.has_secret() {
            return end;
        }
        Check::warning(
            end.name,
            format!("{} by secret_expires, and a token is granted all the same", end.detail),
            "the secret is a new one: write its end into the app's secret_expires",
        )
    }

    /// A token came, and the refresh token that came with it is lost.
    fn not_kept(&self, granted: &str, why: &str) -> Check {
        Check::failed(
            CheckName::Token,
            format!("{granted}, but the next refresh token could not be written: {why}"),
            format!(
                "let the state directory be written to and have room; the sign-in may be over: `presenced login {}`",
                self.app.name
            ),
        )
    }

    fn no_token(&self, detail: &TokenDetail) -> Check {
        let number = detail.aadsts.map(|number| format!(" (AADSTS{number})")).unwrap_or_default();
        let id = detail.correlation_id.as_ref().map(|id| format!("; correlation id {id}"));
        let said = detail.said.as_ref().map(|said| format!(" (\"{said}\")")).unwrap_or_default();
        let what = format!("{}{number}: {}{said}{}", detail.error, detail.meaning, id.unwrap_or_default());
        let mut advice = detail.advice.clone();
        if detail.aadsts.is_some_and(|number| CONSENT_HELPS.contains(&number)) {
            advice = format!("{advice}; an admin of the tenant consents at {}", consent_url(&self.app));
        }
        Check::failed(CheckName::Token, what, advice)
    }

    /// What is left to say where there is no token.
    fn without_token(&self, checks: &mut Vec<Check>) -> Vec<UserReport> {
        const WHY: &str = "there is no token";
        let names = [CheckName::Tenant, CheckName::ClientId, CheckName::Permission];
        checks.extend(names.map(|name| Check::skipped(name, WHY)));
        if self.is_signed_in() {
            checks.push(Check::skipped(CheckName::SignedIn, WHY));
        }
        if !self.asked.is_empty() {
            checks.push(Check::skipped(CheckName::Groups, WHY));
        }
        checks.push(Check::skipped(CheckName::Users, WHY));
        self.none_read(WHY)
    }

    async fn with_token(
        &self,
        checks: &mut Vec<Check>,
        reader: &Reader<'_>,
        graph_fails: bool,
    ) -> Vec<UserReport> {
        let before = checks.len();
        let claims = Claims::of(reader.token);
        match &claims {
            Some(claims) => {
                checks.extend([
                    claims.tenant(&self.app),
                    claims.client_id(&self.app),
                    claims.permission(&self.app),
                ]);
            }
            None => checks.extend(unreadable()),
        }
        if self.is_signed_in() {
            checks.push(self.signed_in(claims.as_ref().and_then(Claims::user)));
        }
        let is_wrong = checks[before..].iter().any(|check| check.status == Status::Failed);
        if !self.asked.is_empty() {
            checks.push(match (graph_fails, is_wrong) {
                (true, _) => Check::skipped(CheckName::Groups, "Graph is out of reach"),
                (false, true) => Check::skipped(CheckName::Groups, "the token is not the right one"),
                (false, false) => self.asked.check(reader).await,
            });
        }
        let why = if graph_fails {
            "Graph is out of reach"
        } else if is_wrong {
            "the token is not the right one"
        } else if self.users.is_empty() {
            "the app has no users"
        } else {
            let (check, users) = match self.users[..] {
                [user] if self.is_signed_in() => {
                    let how = how_to_read_own(&self.app);
                    match &claims {
                        Some(claims) if !claims.reads_own() => not_allowed(user, how),
                        _ => reader.own(user, how).await,
                    }
                }
                _ => reader.all(&self.users).await,
            };
            checks.push(check);
            return users;
        };
        checks.push(Check::skipped(CheckName::Users, why));
        self.none_read(why)
    }

    /// Whether the token is that of the user in the config.
    fn signed_in(&self, user: Option<UserId>) -> Check {
        let name = CheckName::SignedIn;
        match (user, &self.users[..]) {
            (None, _) => Check::warning(
                name,
                "not known: the token does not say who has signed in",
                format!(
                    "`presenced login {}` says who it is: see that it is the user of the config",
                    self.app.name
                ),
            ),
            (Some(user), [only]) if *only == user => Check::ok(name, user.to_string()),
            (Some(user), []) => Check::warning(
                name,
                format!("{user} has signed in, and the config has no user of this app"),
                "put this user into the config",
            ),
            (Some(user), [first, rest @ ..]) => {
                let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                Check::failed(
                    name,
                    format!("{user} has signed in, and the config has {first}{more}"),
                    format!(
                        "sign in as the user of the config, `presenced login {}`, or put the one who has signed in into \
                         it: nobody else's presence can be set",
                        self.app.name
                    ),
                )
            }
        }
    }

    fn is_signed_in(&self) -> bool {
        matches!(self.app.credential, Credential::SignedIn(_))
    }

    fn none_read(&self, why: &str) -> Vec<UserReport> {
        not_read(&self.users, &why.into()).collect()
    }
}

/// What there is to say of a token that does not show what is in it. Graph may make its tokens so at any time.
fn unreadable() -> [Check; 3] {
    const WHY: &str = "the token is one that only Graph reads";
    [
        Check::skipped(CheckName::Tenant, WHY),
        Check::skipped(CheckName::ClientId, WHY),
        Check::warning(
            CheckName::Permission,
            format!("not known: {WHY}"),
            "see in the log of the daemon whether sessions are set",
        ),
    ]
}

#[cfg(test)]
mod tests;
