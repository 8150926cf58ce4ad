//! What the service counts, and the gaps it saw: the judgement on its clients.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::reads::Reads;
use crate::keeper::time::MonoTime;

/// How many gaps are named one by one.
pub const NAMED_GAPS: usize = 20;

/// The calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// `setPresence`.
    SetPresence,
    /// `clearPresence`.
    ClearPresence,
    /// `setUserPreferredPresence`.
    SetPreferred,
    /// `clearUserPreferredPresence`.
    ClearPreferred,
    /// GET of one presence.
    GetPresence,
    /// `getPresencesByUserId`.
    GetPresences,
    /// GET of a group.
    GetGroup,
    /// GET of a page of a group's members.
    GetMembers,
    /// GET of a user.
    GetUser,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It was answered with this status.
    Status(u16),
    /// It was carried out, and the connection closed without an answer.
    Lost,
    /// It was not carried out, and the connection closed without an answer.
    Reset,
    /// It was not answered.
    Hung,
}

impl Outcome {
    /// The word for it in reports: the status, or `lost`, `reset`, `hung`.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::Lost => "lost".to_owned(),
            Self::Reset => "reset".to_owned(),
            Self::Hung => "hung".to_owned(),
        }
    }
}

/// Everything that is counted since the start or the last reset, but for what belongs to a lane.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Presence requests, items of batches one by one.
    pub requests: u64,
    /// The same by call and outcome.
    pub by_call: BTreeMap<(CallKind, Outcome), u64>,
    /// Batches as such.
    pub batches: u64,
    /// Sets that were carried out.
    pub sets: u64,
    /// Clears that ended a session.
    pub clears: u64,
    /// Clears that found none.
    pub clears_without_session: u64,
    /// Reads of the directory.
    pub reads: Reads,
    /// Presence requests answered 429.
    pub throttled: u64,
    /// Requests of any kind that a correct client does not make.
    pub invalid: u64,
    /// Token requests.
    pub tokens: TokenCounts,
    /// Sessions seen wrong.
    pub gaps: Gaps,
}

/// Token requests, of one lane or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenCounts {
    /// All of them.
    pub requests: u64,
    /// Those that got a token.
    pub granted: u64,
    /// Those that were answered with an error, or not at all.
    pub rejected: u64,
    /// Those that wait for their answer now.
    pub in_flight: u64,
    /// The most of one lane that ever waited at a time.
    pub max_in_flight: u64,
}

impl TokenCounts {
    /// Counts one that has come in.
    pub fn begin(&mut self) {
        self.requests += 1;
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
    }

    /// Counts what it came to.
    pub fn decide(&mut self, granted: bool) {
        if granted {
            self.granted += 1;
        } else {
            self.rejected += 1;
        }
    }

    /// Counts one as answered.
    pub fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Forgets all but what is under way.
    pub fn reset(&mut self) {
        *self = Self { in_flight: self.in_flight, max_in_flight: self.in_flight, ..Self::default() };
    }
}

/// One time that a session was seen wrong.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// Whose session.
    pub user: Uuid,
    /// In which tenant.
    pub tenant: Uuid,
    /// Of which app.
    pub client: Uuid,
    /// Since when.
    pub from: MonoTime,
    /// For how long.
    pub length: Duration,
    /// Whether a request for the user was refused by script since the last set.
    pub excused: bool,
    /// Whether the lane was in a trouble by script at any time since the last set.
    pub in_outage: bool,
}

/// Gaps taken together.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    /// How many were nobody's script: the figure that must stay zero.
    pub lapses: u64,
    /// How many of them had a trouble of their lane in them.
    pub in_outage: u64,
    /// How many were of users under a scripted refusal. They count nowhere else.
    pub excused: u64,
    /// How many ended with the session being cleared. They count nowhere else.
    pub ended_by_clear: u64,
    /// The longest of `lapses`.
    pub longest: Duration,
    /// All of `lapses`.
    pub total: Duration,
    /// The first of `lapses`.
    pub first: Vec<Gap>,
}

impl Gaps {
    /// Counts one gap, ended by another set or going on.
    pub fn add(&mut self, gap: Gap) {
        if gap.excused {
            self.excused += 1;
            return;
        }
        self.lapses += 1;
        self.in_outage += u64::from(gap.in_outage);
        self.longest = self.longest.max(gap.length);
        self.total += gap.length;
        if self.first.len() < NAMED_GAPS {
            self.first.push(gap);
        }
    }
}
