//! Reads of the directory as the service counts them. They have a quota of their own, and the presence figures are
//! without them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counts::{CallKind, Outcome};
use super::lane::Told;
use crate::keeper::time::MonoTime;

/// A quota in resource units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// How many.
    pub units: u32,
    /// In how many seconds.
    pub per_s: u32,
}

impl Units {
    /// Per app and tenant, for a tenant of more than 500 users: 8,000 in 10 s. Source: Microsoft's page "Microsoft Graph
    /// service-specific throttling limits", identity and access.
    pub const IDENTITY: Self = Self { units: 8_000, per_s: 10 };
}

/// All reads since the start or the last reset.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// By call and outcome.
    pub by_call: BTreeMap<(CallKind, Outcome), u64>,
    /// Resource units that were used.
    pub units: u64,
}

/// The reads of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LaneReads {
    /// All of them.
    pub requests: u64,
    /// Those answered 429.
    pub throttled: u64,
    /// Those that came although a Retry-After that had been answered was not over.
    pub in_retry_after: u64,
}

/// The account of all reads.
#[derive(Clone, Debug, Serialize)]
pub struct ReadReport {
    /// All.
    pub total: u64,
    /// By call, then by status or `lost`, `reset`, `hung`.
    pub by_call: BTreeMap<CallKind, BTreeMap<String, u64>>,
    /// Those answered 429.
    pub throttled: u64,
    /// Resource units that were used.
    pub units: u64,
    /// The quota of each lane.
    pub quota: Units,
}

impl Reads {
    /// The account.
    #[must_use]
    pub fn report(&self, quota: Units) -> ReadReport {
        let mut by_call: BTreeMap<CallKind, BTreeMap<String, u64>> = BTreeMap::new();
        for ((call, outcome), count) in &self.by_call {
            *by_call.entry(*call).or_default().entry(outcome.word()).or_default() += count;
        }
        let throttled = self.by_call.iter().filter(|((_, outcome), _)| *outcome == Outcome::Status(429));
        ReadReport {
            total: self.by_call.values().sum(),
            throttled: throttled.map(|(_, count)| count).sum(),
            by_call,
            units: self.units,
            quota,
        }
    }
}

/// A lane's budget of resource units: a bucket that is full at the start and fills evenly. What is throttled costs
/// nothing. Source: the page on the limits names a token bucket, and says that only what exceeds it is throttled.
#[derive(Debug, Default)]
pub struct Budget {
    /// What the lane did.
    pub counts: LaneReads,
    /// From when to when it was told to keep away.
    pub told: Told,
    /// When the bucket is full again.
    full_at: Option<MonoTime>,
}

impl Budget {
    /// Counts a read that arrives now. Returns how long to wait when it is one too many.
    pub fn arrive(&mut self, now: MonoTime, units: u32, quota: Units) -> Option<Duration> {
        self.counts.requests += 1;
        self.counts.in_retry_after += u64::from(self.told.is_in(now));
        let whole = Duration::from_secs(u64::from(quota.per_s));
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        // A request that costs more than there can be waits for a full bucket.
        let cost = (whole * units / quota.units).min(whole);
        let missing = full_at.since(now) + cost;
        if missing > whole {
            return Some(missing.saturating_sub(whole));
        }
        self.full_at = Some(full_at + cost);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_serves_what_is_in_it_and_then_what_has_come_in_since() {
        let quota = Units { units: 100, per_s: 10 };
        let at = |millis: u64| MonoTime::from_secs(100) + Duration::from_millis(millis);
        let mut budget = Budget::default();
        for _ in 0..25 {
            assert_eq!(budget.arrive(at(0), 4, quota), None);
        }
        assert_eq!(budget.arrive(at(0), 4, quota), Some(Duration::from_millis(400)));
        assert_eq!(
            budget.arrive(at(399), 4, quota),
            Some(Duration::from_millis(1)),
            "the throttled one was free"
        );
        assert_eq!(budget.arrive(at(400), 4, quota), None);
        assert_eq!(budget.arrive(at(60_000), 1_000, quota), None, "more than there can be takes all");
        assert_eq!(budget.arrive(at(60_000), 1, quota), Some(Duration::from_millis(100)));
        assert_eq!(budget.counts.requests, 30);
    }
}
