//! The machine itself.

use super::event::{Because, Input, Output};
use super::snapshot::{Page, Query, Snapshot};
use super::time::MonoTime;

/// Decides which request goes out when.
#[derive(Debug, Default)]
pub struct Keeper {
    now: MonoTime,
}

impl Keeper {
    /// A keeper without lanes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened, at `now`. Follow it with [`Keeper::poll_output`] until that says `Sleep`.
    pub fn handle(&mut self, _input: Input, now: MonoTime) {
        self.now = now;
    }

    /// The next thing to do as of the last `handle`.
    pub fn poll_output(&mut self) -> Output {
        Output::Sleep { until: MonoTime::FAR, because: Because::Nothing }
    }

    /// Counters and lane figures.
    #[must_use]
    pub fn snapshot(&self, _now: MonoTime) -> Snapshot {
        Snapshot::default()
    }

    /// Sessions, page by page.
    #[must_use]
    pub fn sessions(&self, _query: Query, _now: MonoTime) -> Page {
        Page::default()
    }
}
