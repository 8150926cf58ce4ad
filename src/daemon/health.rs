//! Whether the daemon lives, is ready, and holds what it is to hold. Pure: for probes, the control API and pings alike.

use std::time::Duration;

use super::clock::Clock;
use super::figures::{Figures, Stage};
use crate::keeper::snapshot::Standing;

/// The driver publishes once a second; one that has not for so long, in the world's time, hangs.
const ALIVE: Duration = Duration::from_secs(10);

/// Whether the driver's loop turns. It does not depend on Graph: an outage must not restart anything.
#[must_use]
pub fn is_live(figures: &Figures, clock: &Clock) -> bool {
    clock.real_span(clock.now().since(figures.at)) <= ALIVE
}

/// Whether a plan is in force, and the daemon is not about to end.
#[must_use]
pub fn is_ready(figures: &Figures) -> bool {
    matches!(figures.stage, Stage::Running | Stage::Reloading)
}

/// What keeps it from holding every session in time; empty when it does. Of those that Graph refuses, `tolerate` percent
/// are taken for well. Who is released is not to be held.
#[must_use]
pub fn unheld(figures: &Figures, tolerate: u8) -> Vec<String> {
    let sum = figures.sum();
    let mut reasons = Vec::new();
    let mut count = |count: u32, what: &str| {
        if count > 0 {
            reasons.push(format!("{count} of {} sessions {what}", sum.sessions));
        }
    };
    count(sum.lapsed, "lapsed");
    count(sum.late, "late");
    count(sum.pending, "never granted yet");
    count(sum.unfunded, "beyond the quota");
    if u64::from(sum.parked) * 100 > u64::from(sum.sessions) * u64::from(tolerate) {
        count(sum.parked, "refused by Graph");
    }
    for lane in figures.snapshot.lanes.iter().filter(|lane| lane.sessions > 0) {
        let trouble = match lane.standing {
            Standing::Open | Standing::Closed(_) => continue,
            Standing::Probing => "no answer from Graph",
            Standing::Parked => "every user refused",
            Standing::NoToken => "no token",
        };
        reasons.push(format!("app {}: {trouble}", lane.name));
    }
    reasons
}
