//! What systemd is told: ready, reloading, stopping, a status line, and that the driver's loop turns.

use std::time::Duration;

use sd_notify::NotifyState;

use super::figures::Figures;

/// The service manager, where there is one; without one, everything here does nothing.
#[derive(Debug, Default)]
pub struct Systemd {
    manager: bool,
    watchdog: Option<Duration>,
    status: String,
}

impl Systemd {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    #[must_use]
    pub fn detect() -> Self {
        let manager = std::env::var_os("NOTIFY_SOCKET").is_some();
        Self { manager, watchdog: sd_notify::watchdog_enabled(), status: String::new() }
    }

    /// How often the watchdog wants to hear of us, in real time: a third of what it waits for. `None`: never.
    #[must_use]
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.manager).map(|patience| patience / 3)
    }

    /// The daemon does its work.
    pub fn ready(&self) {
        self.send(&[NotifyState::Ready]);
    }

    /// It takes another config; [`Systemd::ready`] follows.
    pub fn reloading(&self) {
        // systemd compares the time with that of its own signal, and waits in vain without it.
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.send(&[NotifyState::Reloading, now]);
        }
    }

    /// It ends.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// The driver's loop turns.
    pub fn watchdog(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    /// One line for `systemctl status`; nothing is sent when it is the same as before.
    pub fn status(&mut self, figures: &Figures) {
        if !self.manager {
            return;
        }
        let line = figures.status_line();
        if line != self.status {
            self.send(&[NotifyState::Status(&line)]);
            self.status = line;
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        if self.manager {
            // A manager that does not listen is no reason to stop keeping sessions.
            let _ = sd_notify::notify(states);
        }
    }
}
