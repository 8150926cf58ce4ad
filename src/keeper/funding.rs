//! How much a quota can keep: load, the lane's fraction, and which sessions are left out when it is too small.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::plan::{LanePlan, Quota, SessionPlan};
use super::presence::Wish;

/// The shortest share of its term after which a session is renewed.
pub const FRACTION_MIN: f64 = 0.5;
/// The longest: 10 s before an Available session fades.
pub const FRACTION_MAX: f64 = 29.0 / 30.0;
/// Planned renewals aim to stay at or under this share of the quota; the rest is for changes, repeats and reads.
pub const UTILISATION: f64 = 0.90;
/// What is accepted, with a warning, once the fraction is at its longest.
pub const UTILISATION_MAX: f64 = 0.97;

/// Renewals per second if each session were renewed once a term: the sum of 1/term.
///
/// Kept as an integer in units of 2^-40 per second, so that adding and taking away leave no residue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Load(u64);

impl Load {
    const UNITS_PER_HERTZ: f64 = (1_u64 << 40) as f64;

    /// What one session with this wish adds.
    #[must_use]
    pub const fn of(wish: Wish) -> Self {
        Self((1_u64 << 40) / wish_term_secs(wish))
    }

    /// As much as renewals at this rate, once a term.
    #[must_use]
    pub fn from_hertz(rate: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rates are positive; `as` saturates"
        )]
        Self((rate * Self::UNITS_PER_HERTZ) as u64)
    }

    /// Renewals per second, once a term.
    #[must_use]
    pub fn hertz(self) -> f64 {
        self.0 as f64 / Self::UNITS_PER_HERTZ
    }

    /// Adds what a session needs.
    pub fn add(&mut self, more: Self) {
        self.0 += more.0;
    }

    /// Takes away what a session needed.
    pub fn take(&mut self, less: Self) {
        self.0 -= less.0;
    }
}

const fn wish_term_secs(wish: Wish) -> u64 {
    match wish.state {
        super::presence::PresenceState::Available => 300,
        _ => wish.expiration.duration().as_secs(),
    }
}

/// After which share of its term a session is renewed: the smallest in 1/2 to 29/30 that keeps the renewals of
/// `load` at or under 90 % of `rate` (requests per second).
#[must_use]
pub fn fraction(load: Load, rate: f64) -> f64 {
    (load.hertz() / (UTILISATION * rate)).clamp(FRACTION_MIN, FRACTION_MAX)
}

/// The largest load that a quota can keep.
#[must_use]
pub fn capacity(quota: Quota) -> Load {
    Load::from_hertz(UTILISATION_MAX * FRACTION_MAX * quota.per_second())
}

/// The lowest rate (requests per second) that a lane with this load is slowed down to while someone else spends its
/// quota: it leaves a quarter of each term for what goes wrong, and 429s do.
#[must_use]
pub fn least_rate(load: Load) -> f64 {
    const FRACTION: f64 = 0.75;
    load.hertz() / FRACTION / UTILISATION
}

/// How long setting this many sessions takes at a quota's pace.
#[must_use]
pub fn time_to_set(sessions: usize, quota: Quota) -> Duration {
    Duration::from_secs_f64(sessions as f64 / quota.per_second())
}

/// Settles `funded` for every session: those with the highest priority first, then by user, as long as the lane's
/// quota and the one that lanes of one client id share can keep them. The same plan always leaves out the same ones.
pub(super) fn fund(lanes: &mut [LanePlan]) {
    let mut apps: BTreeMap<_, Vec<&mut LanePlan>> = BTreeMap::new();
    for lane in lanes {
        for session in &mut lane.sessions {
            session.funded = session.wish.is_some();
        }
        let own = capacity(lane.head.quota);
        leave_out(&mut [&mut *lane], own);
        apps.entry((lane.key.graph.clone(), lane.key.client)).or_default().push(lane);
    }
    for of_one_client in apps.values_mut() {
        leave_out(of_one_client, capacity(Quota::APP));
    }
}

fn leave_out(lanes: &mut [&mut LanePlan], capacity: Load) {
    let mut total = Load::default();
    for session in lanes.iter().flat_map(|lane| &lane.sessions).filter(|s| s.funded) {
        total.add(session.wish.map_or(Load::default(), Load::of));
    }
    if total <= capacity {
        return;
    }
    let mut funded: Vec<&mut SessionPlan> =
        lanes.iter_mut().flat_map(|lane| &mut lane.sessions).filter(|s| s.funded).collect();
    funded.sort_by_key(|s| (Reverse(s.priority), s.user));
    let mut left = capacity;
    for session in funded {
        let need = session.wish.map_or(Load::default(), Load::of);
        session.funded = need <= left;
        if session.funded {
            left.take(need);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::id::{Guid, LaneKey};
    use crate::keeper::plan::{LaneHead, Plan};
    use crate::keeper::presence::{Expiration, PresenceState};

    fn available(user: u128, priority: i32) -> SessionPlan {
        let wish = Wish { state: PresenceState::Available, expiration: Expiration::MAX };
        SessionPlan { priority, ..SessionPlan::new(Guid::from_u128(user), Some(wish)) }
    }

    fn lane(tenant: u128, sessions: Vec<SessionPlan>) -> LanePlan {
        LanePlan {
            key: LaneKey { graph: "g".into(), tenant: Guid::from_u128(tenant), client: Guid::from_u128(1) },
            head: LaneHead { name: "a".into(), quota: Quota::PRESENCE },
            sessions,
        }
    }

    fn funded(plan: &Plan) -> usize {
        plan.lanes().iter().flat_map(|l| &l.sessions).filter(|s| s.funded).count()
    }

    #[test]
    fn a_lane_keeps_as_many_available_sessions_as_its_quota_allows() {
        let plan = |n: u128| Plan::new(vec![lane(1, (0..n).map(|u| available(u, 0)).collect())]);
        assert_eq!(funded(&plan(14_000)), 14_000);
        assert_eq!(funded(&plan(15_500)), 14_065, "97 % of 50 a second, once in 290 s");
    }

    #[test]
    fn the_fraction_goes_from_a_half_to_ten_seconds_before_the_fade() {
        let f = |n: u64| fraction(Load::from_hertz(n as f64 / 300.0), 50.0);
        assert!((f(40) - 0.5).abs() < 1e-9);
        assert!((f(10_000) - 10_000.0 / (300.0 * 45.0)).abs() < 1e-6);
        assert!((f(14_000) - FRACTION_MAX).abs() < 1e-9);
    }

    #[test]
    fn priority_decides_who_is_left_out_and_what_is_cheap_still_fits() {
        let mut sessions: Vec<_> = (0..14_100).map(|u| available(u, 0)).collect();
        sessions.push(available(20_000, 5));
        let away = |user, minutes, priority| {
            let expiration = Expiration::from_minutes(minutes).unwrap();
            let wish = Wish { state: PresenceState::Away, expiration };
            SessionPlan { priority, ..SessionPlan::new(Guid::from_u128(user), Some(wish)) }
        };
        sessions.push(away(20_002, 10, 9));
        sessions.push(away(20_001, 240, -1));
        let plan = Plan::new(vec![lane(1, sessions)]);
        let lane = &plan.lanes()[0];
        assert!(lane.session(Guid::from_u128(20_000)).unwrap().funded, "the highest priority");
        assert!(!lane.session(Guid::from_u128(14_099)).unwrap().funded, "the last by user");
        assert!(lane.session(Guid::from_u128(20_001)).unwrap().funded, "one request in four hours");
    }

    #[test]
    fn lanes_of_one_client_share_what_graph_grants_an_app() {
        let lanes = (0..280).map(|t| lane(t, (0..14_000).map(|u| available(u, 0)).collect())).collect();
        let plan = Plan::new(lanes);
        assert_eq!(plan.len(), 3_920_000);
        let kept = funded(&plan);
        assert!((3_656_000..3_657_000).contains(&kept), "97 % of 13,000 a second, once in 290 s: {kept}");
    }
}
