//! The control API: how others look at the daemon and steer it, as HTTP with JSON over a Unix socket, and over TCP for
//! those who have a token.
//!
//! Its description is `docs/control.openapi.yaml`. What is asked goes to the driver as a command; what takes long, reading
//! files for instance, happens on threads of its own.

mod caller;
mod groups;
mod overrides;
pub(in crate::daemon) mod people;
pub(in crate::daemon) mod problem;
mod routes;
mod schedules;
mod sessions;
pub mod socket;
pub mod status;
mod why;
pub mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};

use self::people::Names;
use self::problem::Problem;
use super::clock::Clock;
use super::driver::Command;
use super::figures::Figures;

pub use routes::router;

/// How long the driver may take to answer: it does so between two renewals.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a reload may take: a million users are read in seconds.
const RELOAD_PATIENCE: Duration = Duration::from_secs(300);

/// How long it may take until an override is on disk; then whoever waits is told that it is not.
const KEEPING: Duration = Duration::from_secs(3);
/// Callers whose tokens are looked up at a time.
const CHECKS: usize = 8;

/// What the control API has of the daemon.
#[derive(Clone, Debug)]
pub struct Desk {
    /// To the driver.
    pub commands: mpsc::Sender<Command>,
    /// How the daemon stands, once a second.
    figures: watch::Receiver<Arc<Figures>>,
    /// The daemon's clock.
    pub clock: Clock,
    /// The state directory, where the history is.
    pub state: PathBuf,
    /// The main file of the config.
    pub config: PathBuf,
    names: Arc<Mutex<Option<Arc<Names>>>>,
    /// Looks into files that somebody has asked for, one at a time: a config of a million users takes a gigabyte.
    looking: Arc<Mutex<()>>,
    /// Files of tokens that are being read: they may be on a disk that hangs.
    checking: Arc<Semaphore>,
}

impl Desk {
    /// A desk for a daemon that runs.
    #[must_use]
    pub fn new(
        commands: mpsc::Sender<Command>,
        figures: watch::Receiver<Arc<Figures>>,
        clock: Clock,
        state: PathBuf,
        config: PathBuf,
    ) -> Self {
        Self {
            commands,
            figures,
            clock,
            state,
            config,
            names: Arc::default(),
            looking: Arc::default(),
            checking: Arc::new(Semaphore::new(CHECKS)),
        }
    }

    /// How the daemon stands.
    #[must_use]
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures.borrow())
    }

    /// Asks the driver.
    pub(in crate::daemon) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Problem> {
        self.ask_for(PATIENCE, command).await
    }

    async fn ask_for<T>(
        &self,
        patience: Duration,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Problem> {
        let (to, answer) = oneshot::channel();
        let asked = async {
            self.commands.send(command(to)).await.map_err(|_| Problem::stopping())?;
            answer.await.map_err(|_| Problem::stopping())
        };
        tokio::time::timeout(patience, asked).await.map_err(|_| Problem::busy())?
    }

    /// The users of the config in force.
    pub(in crate::daemon) async fn names(&self) -> Arc<Names> {
        let accepted = self.figures().accepted.clone();
        let mut known = self.names.lock().await;
        if let Some(names) = known.as_ref().filter(|names| names.are_of(&accepted)) {
            return Arc::clone(names);
        }
        let names = Arc::new(Names::new(accepted));
        if let Some(before) = known.replace(Arc::clone(&names)) {
            // With a million users, freeing them takes a while.
            drop(tokio::task::spawn_blocking(move || drop(before)));
        }
        names
    }

    /// Looks somebody up, on a thread: among a million users it takes a while.
    async fn find<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Names) -> Result<T, Problem> + Send + 'static,
    ) -> Result<(T, Arc<Names>), Problem> {
        let names = self.names().await;
        let found = tokio::task::spawn_blocking(move || look(&names).map(|found| (found, names)));
        found.await.map_err(|_| Problem::bug())?
    }
}
