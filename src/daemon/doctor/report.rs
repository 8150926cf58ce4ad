//! What an examination found.

use std::sync::Arc;

use crate::daemon::graph::Seen;
use crate::keeper::id::{ClientId, TenantId, UserId};

/// How something stands. The words are stable: they stand in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Status {
    /// As it should be.
    Ok,
    /// Not looked at: something before it is missing, or there is nothing to look at.
    Skipped,
    /// It works, and someone should look.
    Warning,
    /// It does not work.
    Failed,
}

impl Status {
    /// Its stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What is looked at, in this order. The words are stable: they stand in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckName {
    /// The login host can be reached.
    Login,
    /// Graph can be reached.
    Graph,
    /// This machine's clock is right.
    Clock,
    /// The credential does not end soon.
    CredentialEnd,
    /// A token can be had.
    Token,
    /// It is for the tenant of the config.
    Tenant,
    /// It is for the app of the config.
    ClientId,
    /// It allows what the daemon does.
    Permission,
    /// It is of the user of the config, where a user has signed in.
    SignedIn,
    /// What is asked of the directory can be read, where something is.
    Groups,
    /// Graph gives the presence of the users.
    Users,
}

impl CheckName {
    /// Its stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Graph => "graph",
            Self::Clock => "clock",
            Self::CredentialEnd => "credential_end",
            Self::Token => "token",
            Self::Tenant => "tenant",
            Self::ClientId => "client_id",
            Self::Permission => "permission",
            Self::SignedIn => "signed_in",
            Self::Groups => "groups",
            Self::Users => "users",
        }
    }
}

/// What one look found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// At what.
    pub name: CheckName,
    /// How it stands.
    pub status: Status,
    /// What was seen, or why nothing was.
    pub detail: String,
    /// What to do, where something is to be done.
    pub advice: Option<String>,
}

impl Check {
    pub(super) fn ok(name: CheckName, detail: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, detail: detail.into(), advice: None }
    }

    pub(super) fn skipped(name: CheckName, why: impl Into<String>) -> Self {
        Self { name, status: Status::Skipped, detail: why.into(), advice: None }
    }

    pub(super) fn warning(name: CheckName, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, status: Status::Warning, detail: detail.into(), advice: Some(advice.into()) }
    }

    pub(super) fn failed(name: CheckName, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, status: Status::Failed, detail: detail.into(), advice: Some(advice.into()) }
    }
}

/// What was found of one user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// What others see now.
    Seen(Seen),
    /// Graph has no presence of this user.
    Missing,
    /// Nothing was read, and why.
    NotRead(Arc<str>),
}

impl Finding {
    /// How that user stands.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            // Graph's word for someone of whom it knows nothing.
            Self::Seen(seen) if seen.availability.eq_ignore_ascii_case("PresenceUnknown") => Status::Warning,
            Self::Seen(_) => Status::Ok,
            Self::Missing => Status::Failed,
            Self::NotRead(_) => Status::Skipped,
        }
    }
}

/// One user of an app.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserReport {
    /// Who.
    pub user: UserId,
    /// What was found.
    pub finding: Finding,
}

/// What was found of one app.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppReport {
    /// Its name in the config.
    pub app: Arc<str>,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its registration.
    pub client_id: ClientId,
    /// Each look, in order.
    pub checks: Vec<Check>,
    /// Its users, in the order of their ids.
    pub users: Vec<UserReport>,
    /// Whether its credential is refused: a token will not come until someone mends something.
    pub refused: bool,
}

impl AppReport {
    /// Whether all of it works.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.checks.iter().all(|check| check.status != Status::Failed)
    }

    /// Whether someone should look at it: something does not work, or will not for long.
    #[must_use]
    pub fn has_notes(&self) -> bool {
        self.checks.iter().any(|check| matches!(check.status, Status::Warning | Status::Failed))
    }
}
