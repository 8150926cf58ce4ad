//! The examination before the first call: what will not work, and what to do about it. It reads, and writes nothing to
//! the service; of a user's sign-in the next refresh token is kept, as at each use.
//!
//! Nothing here is printed or logged. What is found holds no secret and no token.

mod asked;
mod claims;
mod credential;
mod examine;
mod reach;
mod report;
mod users;

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::watch;

pub use report::{AppReport, Check, CheckName, Finding, Status, UserReport};

use self::examine::Patient;
use super::clock::Clock;
use super::network::NetworkError;
use crate::config::directory::Asks;
use crate::config::settings::{App, Network};
use crate::keeper::Plan;

/// So many apps are examined at a time. They have the login host in common, which takes a storm of token requests for a
/// loop.
const AT_A_TIME: usize = 8;
/// Longest time for a question that needs no token.
const REACH_TIME: Duration = Duration::from_secs(10);
/// Longest time for a token. A host that vouches asks a service behind it.
const TOKEN_TIME: Duration = Duration::from_secs(30);
/// Longest time for a read of 650 users.
const READ_TIME: Duration = Duration::from_secs(20);

/// How far an examination has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Apps that are done.
    pub apps: usize,
    /// All apps.
    pub of_apps: usize,
    /// Users who were read, or who cannot be.
    pub users: usize,
    /// All users.
    pub of_users: usize,
}

/// Examines apps, side by side.
pub struct Doctor {
    patients: Vec<Patient>,
    progress: watch::Sender<Progress>,
}

impl Doctor {
    /// For these apps, their users in the plan, and what they ask of their directories. Opens no connection yet.
    ///
    /// # Errors
    /// When `[network]` cannot be done: a CA file that cannot be read, a proxy that cannot be used.
    pub fn new<'a>(
        apps: impl IntoIterator<Item = &'a App>,
        plan: &Plan,
        asks: &Asks,
        network: &Network,
    ) -> Result<Self, NetworkError> {
        let patients: Vec<Patient> =
            apps.into_iter().map(|app| Patient::new(app, plan, asks, network)).collect::<Result<_, _>>()?;
        let progress = Progress {
            of_apps: patients.len(),
            of_users: patients.iter().map(Patient::users).sum(),
            ..Progress::default()
        };
        Ok(Self { patients, progress: watch::Sender::new(progress) })
    }

    /// How far it has come, at any time.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Examines all of them, and returns what was found, in their order.
    ///
    /// It ends whatever the services do: each question has a time of its own. What takes long are the users: each app is
    /// asked for 650 of them a second.
    pub async fn examine(self, clock: &Clock) -> Vec<AppReport> {
        let progress = &self.progress;
        let examined = stream::iter(&self.patients).map(async |patient| {
            let report = patient.examine(clock, progress).await;
            let unread =
                report.users.iter().filter(|user| matches!(user.finding, Finding::NotRead(_))).count();
            progress.send_modify(|progress| {
                progress.apps += 1;
                progress.users += unread;
            });
            report
        });
        examined.buffered(AT_A_TIME).collect().await
    }
}

impl std::fmt::Debug for Doctor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doctor").field("progress", &*self.progress.borrow()).finish_non_exhaustive()
    }
}
