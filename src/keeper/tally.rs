//! What a lane counts. Counters only grow while the lane is open.

use super::event::Call;
use super::outcome::{Outcome, TokenAnswer, TokenFailure};

/// What a lane has counted since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Answers to `setPresence`.
    pub sets: Answers,
    /// Answers to `clearPresence`.
    pub clears: Answers,
    /// Answers to token requests.
    pub tokens: TokenAnswers,
    /// Sets granted to sessions that held the same state already.
    pub renewals: u64,
    /// Leases that lapsed before their renewal was granted.
    pub lapses: u64,
}

/// Answers of Graph, by outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Answers {
    /// Granted ones.
    pub granted: u64,
    /// Those with status 429.
    pub throttled: u64,
    /// Those with status 401.
    pub token_rejected: u64,
    /// Those that refuse a user.
    pub refused: u64,
    /// Those that never came.
    pub lost: u64,
}

/// Answers of the authority, by outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TokenAnswers {
    /// Tokens.
    pub granted: u64,
    /// None, and time alone may mend it.
    pub unreachable: u64,
    /// None, and someone has to mend it.
    pub rejected: u64,
}

impl Tally {
    /// Counts the answer to a call.
    pub(super) const fn answered(&mut self, call: Call, outcome: Outcome) {
        let answers = match call {
            Call::Set(_) => &mut self.sets,
            Call::Clear => &mut self.clears,
        };
        let count = match outcome {
            Outcome::Granted => &mut answers.granted,
            Outcome::Throttled { .. } => &mut answers.throttled,
            Outcome::TokenRejected => &mut answers.token_rejected,
            Outcome::Refused(_) => &mut answers.refused,
            Outcome::Lost { .. } => &mut answers.lost,
        };
        *count += 1;
    }

    /// Counts the answer to a token request.
    pub(super) const fn token(&mut self, answer: TokenAnswer) {
        let count = match answer {
            TokenAnswer::Granted { .. } => &mut self.tokens.granted,
            TokenAnswer::Failed { failure: TokenFailure::Unreachable, .. } => &mut self.tokens.unreachable,
            TokenAnswer::Failed { failure: TokenFailure::Rejected, .. } => &mut self.tokens.rejected,
        };
        *count += 1;
    }

    /// Adds what was counted between `before` and `after`.
    pub fn add(&mut self, before: &Self, after: &Self) {
        let grown = |before: u64, after: u64| after.saturating_sub(before);
        self.sets.add(&before.sets, &after.sets);
        self.clears.add(&before.clears, &after.clears);
        self.tokens.granted += grown(before.tokens.granted, after.tokens.granted);
        self.tokens.unreachable += grown(before.tokens.unreachable, after.tokens.unreachable);
        self.tokens.rejected += grown(before.tokens.rejected, after.tokens.rejected);
        self.renewals += grown(before.renewals, after.renewals);
        self.lapses += grown(before.lapses, after.lapses);
    }
}

impl Answers {
    fn add(&mut self, before: &Self, after: &Self) {
        let grown = |before: u64, after: u64| after.saturating_sub(before);
        self.granted += grown(before.granted, after.granted);
        self.throttled += grown(before.throttled, after.throttled);
        self.token_rejected += grown(before.token_rejected, after.token_rejected);
        self.refused += grown(before.refused, after.refused);
        self.lost += grown(before.lost, after.lost);
    }
}
