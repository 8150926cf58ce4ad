//! The control API: how others look at the daemon and steer it, as HTTP with JSON over a Unix socket, and over TCP for
//! those who have a token.
//!
//! Its description is `docs/control.openapi.json`. What is asked goes to the driver as a command; what takes long, reading
//! files for instance, happens on threads of its own.

mod caller;
mod overrides;
pub(in crate::daemon) mod people;
pub(in crate::daemon) mod problem;
mod routes;
mod sessions;
pub mod socket;
pub mod status;
mod why;
pub mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot, watch};

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
        Self { commands, figures, clock, state, config, names: Arc::default() }
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

    /// Who is called what in the config in force.
    pub(in crate::daemon) async fn names(&self) -> Result<Arc<Names>, Problem> {
        let accepted = self.figures().accepted.clone();
        let mut known = self.names.lock().await;
        if let Some(names) = known.as_ref().filter(|names| names.are_of(&accepted)) {
            return Ok(Arc::clone(names));
        }
        // With a million users this takes a while: not on a thread that talks to others.
        let names = tokio::task::spawn_blocking(move || Arc::new(Names::new(accepted)));
        let names = names.await.map_err(|_| Problem::bug())?;
        *known = Some(Arc::clone(&names));
        Ok(names)
    }
}
