//! Signals: SIGHUP reloads, SIGUSR1 renews everything, SIGTERM and SIGINT stop, a second one of them at once.
//!
//! Signals of one kind that come close together count as one, so each is a prompt to look, never a counter.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag::register_conditional_shutdown;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook_tokio::SignalsInfo;
use tokio::sync::mpsc;

use super::clock::Clock;
use super::driver::{Command, ReloadAsk};

/// Who sent a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
}

/// The signals that this process listens to, from the moment this is made: until then SIGHUP would end it.
pub struct Signals {
    stream: SignalsInfo<WithOrigin>,
    at_once: Arc<AtomicBool>,
}

impl Signals {
    /// What a process ends with that is told to stop twice.
    const STOPPED_AT_ONCE: i32 = 1;
    /// A second signal within this time is the first one's echo: `timeout` and shells send to a process and then to its
    /// group.
    const ECHO: Duration = Duration::from_millis(250);

    /// Begins to listen. Needs a runtime.
    ///
    /// # Errors
    /// When the system lets no handler be registered.
    pub fn listen() -> io::Result<Self> {
        let at_once = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            register_conditional_shutdown(signal, Self::STOPPED_AT_ONCE, Arc::clone(&at_once))?;
        }
        let stream =
            SignalsInfo::with_exfiltrator([SIGHUP, SIGUSR1, SIGTERM, SIGINT], WithOrigin::default())?;
        Ok(Self { stream, at_once })
    }

    /// Passes on what comes, until nobody listens.
    pub async fn forward(mut self, to: mpsc::Sender<Command>) {
        while let Some(origin) = self.stream.next().await {
            let by = origin
                .process
                .and_then(|sender| Some(Origin { pid: u32::try_from(sender.pid).ok()?, uid: sender.uid }));
            let stop = matches!(origin.signal, SIGTERM | SIGINT);
            let command = match origin.signal {
                SIGHUP => Command::Reload(ReloadAsk { by, ..ReloadAsk::default() }),
                SIGUSR1 => Command::RenewAll { by },
                _ => Command::Stop { by },
            };
            if to.send(command).await.is_err() {
                return;
            }
            if stop {
                Clock::real().sleep(Self::ECHO).await;
                self.at_once.store(true, Ordering::Relaxed);
            }
        }
    }
}
