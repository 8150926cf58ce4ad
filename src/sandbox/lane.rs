//! One app registration in one tenant, as the service sees it: its quota and its counts.

use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::counts::TokenCounts;
use super::quota::{Limit, Window, WindowKind};
use super::reads::{Budget, LaneReads};
use crate::keeper::time::MonoTime;

/// The span over which a client's restraint in an outage is judged. It limits nothing.
const FIVE_MINUTES: Limit = Limit { requests: u32::MAX, per_s: 300 };

/// One app in one tenant.
#[derive(Debug)]
pub struct Lane {
    /// The tenant.
    pub tenant: Uuid,
    /// The app's client id, which is the id of its sessions too.
    pub client: Uuid,
    /// Where the app's budget over all tenants is kept.
    pub global: usize,
    /// Whether a script stops it now.
    pub stopped: bool,
    /// When the last script that stopped it ended.
    pub stopped_until: Option<MonoTime>,
    /// What it did since the start or the last reset.
    pub counts: LaneCounts,
    window: Window,
    five_minutes: Window,
    /// From when to when it was told to keep away.
    told: Told,
    /// Its reads of the directory.
    pub reads: Budget,
}

/// From when to when a client was told to keep away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told(Option<(MonoTime, MonoTime)>);

/// What a lane did.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct LaneCounts {
    /// Presence requests with a token of its own, good or not.
    pub requests: u64,
    /// Those answered 429.
    pub throttled: u64,
    /// Those that came although a Retry-After that had been answered was not over. What was under way already
    /// when the answer reached the client is among them.
    pub in_retry_after: u64,
    /// Sets that were carried out.
    pub sets: u64,
    /// Clears that ended a session.
    pub clears: u64,
    /// Token requests.
    pub tokens: TokenCounts,
}

impl Lane {
    /// A lane that has done nothing.
    #[must_use]
    pub fn new(tenant: Uuid, client: Uuid, global: usize, stopped: bool) -> Self {
        Self {
            tenant,
            client,
            global,
            stopped,
            stopped_until: None,
            counts: LaneCounts::default(),
            window: Window::default(),
            five_minutes: Window::default(),
            told: Told::default(),
            reads: Budget::default(),
        }
    }

    /// Counts a presence request that arrives now. Returns how long to wait when it is one too many.
    pub fn arrive(&mut self, now: MonoTime, quota: Limit, kind: WindowKind) -> Option<Duration> {
        self.counts.requests += 1;
        self.counts.in_retry_after += u64::from(self.told.is_in(now));
        self.five_minutes.arrive(now, FIVE_MINUTES, WindowKind::Sliding);
        self.window.arrive(now, quota, kind)
    }

    /// Notes that a 429 reaches the client at `from` and tells it to keep away for `wait`.
    pub fn tell(&mut self, from: MonoTime, wait: Duration) {
        self.told.tell(from, wait);
    }

    /// Notes whether a script stops the lane from now on.
    pub fn stop(&mut self, now: MonoTime, stopped: bool) {
        if self.stopped && !stopped {
            self.stopped_until = Some(now);
        }
        self.stopped = stopped;
    }

    /// Whether a script stopped it at any time after `since`.
    #[must_use]
    pub fn was_stopped(&self, since: MonoTime) -> bool {
        self.stopped || self.stopped_until.is_some_and(|until| until > since)
    }

    /// Requests in the quota's window that ends now.
    pub fn used(&mut self, now: MonoTime, quota: Limit) -> usize {
        self.window.used(now, quota)
    }

    /// The most requests in any window of the quota's length.
    #[must_use]
    pub const fn peak(&self) -> usize {
        self.window.peak()
    }

    /// The most requests in any five minutes.
    #[must_use]
    pub const fn peak_five_minutes(&self) -> usize {
        self.five_minutes.peak()
    }

    /// Begins to count anew; what is in the windows now is in them.
    pub fn reset(&mut self, now: MonoTime, quota: Limit) {
        let mut tokens = self.counts.tokens;
        tokens.reset();
        self.counts = LaneCounts { tokens, ..LaneCounts::default() };
        self.reads.counts = LaneReads::default();
        self.window.reset_peak(now, quota);
        self.five_minutes.reset_peak(now, FIVE_MINUTES);
    }
}

impl Told {
    /// Whether that is now.
    #[must_use]
    pub fn is_in(&self, now: MonoTime) -> bool {
        self.0.is_some_and(|(from, until)| from <= now && now < until)
    }

    /// Notes that a 429 reaches the client at `from` and tells it to keep away for `wait`. A shorter wait does not take
    /// back a longer one that was answered before.
    pub fn tell(&mut self, from: MonoTime, wait: Duration) {
        let until = from + wait;
        self.0 = Some(match self.0 {
            Some((earlier, later)) if from < later && earlier < until => {
                (earlier.min(from), later.max(until))
            }
            _ => (from, until),
        });
    }
}
