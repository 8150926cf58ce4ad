//! How far it has come, on one line of a terminal that is written over. Where standard error is none, nothing is shown.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::daemon::clock::Clock;
use crate::daemon::doctor::{AppReport, Doctor, Progress};

/// Between two looks.
const GLANCE: Duration = Duration::from_millis(200);
/// To the beginning of the line, and what is on it erased.
const ERASE: &str = "\r\x1b[K";

/// Examines, and shows how far it has come.
pub(super) async fn shown(doctor: Doctor, clock: &Clock) -> Vec<AppReport> {
    let progress = doctor.progress();
    let mut err = std::io::stderr();
    let examined = doctor.examine(clock);
    if !err.is_terminal() {
        return examined.await;
    }
    let mut examined = std::pin::pin!(examined);
    let found = loop {
        let line = line(*progress.borrow());
        // Whoever does not see it misses nothing that counts.
        let _ = write!(err, "{ERASE}{line}").and_then(|()| err.flush());
        tokio::select! {
            found = &mut examined => break found,
            () = clock.sleep(GLANCE) => {}
        }
    };
    let _ = write!(err, "{ERASE}").and_then(|()| err.flush());
    found
}

fn line(progress: Progress) -> String {
    let Progress { apps, of_apps, users, of_users } = progress;
    format!("examining: {apps} of {of_apps} apps done, {users} of {of_users} users")
}
