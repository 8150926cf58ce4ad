//! What a plan will come to, told when it is taken: how long its changes take, and whom the quota leaves out.

use std::sync::Arc;
use std::time::Duration;

use crate::keeper::forecast::{forecast, time_to_set};
use crate::keeper::id::UserId;
use crate::keeper::{Diff, Plan};

/// So many of those left out are named.
const NAMED: usize = 5;

/// What a plan will come to.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// Sessions with a wish.
    pub sessions: usize,
    /// How long it takes until all that is new or changed is set, if nothing goes wrong.
    pub sets_take: Duration,
    /// Apps whose sessions are too many.
    pub crowded: Vec<Crowded>,
}

/// An app whose sessions are too many.
#[derive(Clone, Debug)]
pub struct Crowded {
    /// Its name.
    pub app: Arc<str>,
    /// Sessions with a wish.
    pub sessions: usize,
    /// Those of them that are left out.
    pub left_out: usize,
    /// The first of those.
    pub first: Vec<UserId>,
}

impl Outlook {
    /// Of `plan`, of which `diff` makes what is wanted now out of what `old` wanted.
    #[must_use]
    pub fn of(plan: &Plan, old: &Plan, now: &Plan, diff: &Diff) -> Self {
        let lanes = forecast(plan);
        let crowded = lanes.iter().filter(|lane| !lane.fits()).map(|lane| Crowded {
            app: Arc::clone(&lane.lane.head.name),
            sessions: lane.sessions,
            left_out: lane.unfunded,
            first: lane.left_out().take(NAMED).collect(),
        });
        let sessions = lanes.iter().map(|lane| lane.sessions).sum();
        let sets_take = time_to_set(old, &forecast(now), diff);
        Self { sessions, sets_take, crowded: crowded.collect() }
    }
}
