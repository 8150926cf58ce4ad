//! What a plan will cost: the arithmetic of its lanes, before anything is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use super::diff::{Diff, SessionDiff};
use super::funding::{self, Load};
use super::id::UserId;
use super::lane::CLOSE;
use super::plan::{LanePlan, Plan, Quota};
use super::presence::{PresenceState, Wish};

/// What one lane will cost, as long as all goes well.
#[derive(Clone, Debug)]
pub struct LaneForecast<'a> {
    /// The lane.
    pub lane: &'a LanePlan,
    /// Sessions with a wish.
    pub sessions: usize,
    /// Those of them that shall show Available.
    pub available: usize,
    /// Those of them that the quota cannot keep.
    pub unfunded: usize,
    /// After which share of its term a session is renewed: 1/2 to 29/30.
    pub fraction: f64,
    /// Planned renewals per second of the funded ones.
    pub rate: f64,
    /// Of the funded ones, how many have which term; the shortest first.
    pub terms: BTreeMap<Duration, usize>,
    /// Whether it is Graph's limit for the app over all tenants that leaves some out, not the lane's own quota.
    pub shared_limit: bool,
}

/// What each lane of the plan will cost, in the plan's order.
#[must_use]
pub fn forecast(plan: &Plan) -> Vec<LaneForecast<'_>> {
    let mut apps: BTreeMap<_, Load> = BTreeMap::new();
    for lane in plan.lanes() {
        apps.entry((&lane.key.graph, lane.key.client)).or_default().add(load(funded(lane)));
    }
    let fraction = |lane: &LanePlan| {
        let shared = funding::fraction(apps[&(&lane.key.graph, lane.key.client)], Quota::APP.per_second());
        funding::fraction(load(funded(lane)), lane.head.quota.per_second()).max(shared)
    };
    plan.lanes().iter().map(|lane| LaneForecast::of(lane, fraction(lane))).collect()
}

/// How long it takes until everything that `diff` adds or changes in `old` is set, in the slowest of the lanes: what
/// the renewals of the others leave of the quota is for sets. At the start of a lane that is all of it. Those renewals
/// come behind the sets, and wait until they are urgent.
#[must_use]
pub fn time_to_set(old: &Plan, lanes: &[LaneForecast<'_>], diff: &Diff) -> Duration {
    let times = diff.lanes.iter().filter_map(|change| {
        let at = lanes.binary_search_by(|lane| lane.lane.key.cmp(&change.key)).ok()?;
        let old = old.lane(&change.key);
        let set = change.sessions.iter().filter_map(|session| match session {
            SessionDiff::Added(plan) | SessionDiff::Changed(plan) => plan.wish.filter(|wish| {
                let shown = old.and_then(|lane| lane.session(plan.user)).filter(|session| session.funded);
                plan.funded && shown.and_then(|session| session.wish) != Some(*wish)
            }),
            SessionDiff::Removed { .. } => None,
        });
        let lane = &lanes[at];
        let (mut count, mut others) = (0_u32, lane.terms.clone());
        for wish in set {
            count += 1;
            others.entry(wish.term()).and_modify(|others| *others -= 1);
        }
        Some(f64::from(count) / left_for_sets(lane.lane.head.quota, &others, lane.fraction))
    });
    Duration::from_secs_f64(times.fold(0.0, f64::max))
}

/// How many sets a second a quota leaves beside the renewals of others, so many of each term, in a lane with this
/// fraction. Those renewals come behind the sets, and wait until they are urgent.
#[must_use]
pub fn left_for_sets(quota: Quota, others: &BTreeMap<Duration, usize>, fraction: f64) -> f64 {
    let renewed_after = |term: Duration| term.mul_f64(fraction).max(term.saturating_sub(CLOSE)).as_secs_f64();
    let others: f64 = others.iter().map(|(&term, &count)| count as f64 / renewed_after(term)).sum();
    quota.per_second() - others
}

impl<'a> LaneForecast<'a> {
    fn of(lane: &'a LanePlan, fraction: f64) -> Self {
        let wished = || lane.sessions.iter().filter_map(|session| session.wish);
        let mut terms = BTreeMap::new();
        for wish in funded(lane) {
            *terms.entry(wish.term()).or_default() += 1;
        }
        let sessions = wished().count();
        Self {
            lane,
            sessions,
            available: wished().filter(|wish| wish.state == PresenceState::Available).count(),
            unfunded: sessions - funded(lane).count(),
            fraction,
            rate: load(funded(lane)).hertz() / fraction,
            terms,
            shared_limit: load(wished()) <= funding::capacity(lane.head.quota),
        }
    }

    /// Who is left out, in the order of their ids.
    pub fn left_out(&self) -> impl Iterator<Item = UserId> + use<'a> {
        self.lane.sessions.iter().filter(|s| s.wish.is_some() && !s.funded).map(|s| s.user)
    }

    /// Whether every session can be kept.
    #[must_use]
    pub const fn fits(&self) -> bool {
        self.unfunded == 0
    }

    /// Planned renewals as a share of the quota; above 0.9 little is left for changes and repeats.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        self.rate / self.lane.head.quota.per_second()
    }

    /// How long after its send a session with this term is renewed.
    #[must_use]
    pub fn period(&self, term: Duration) -> Duration {
        term.mul_f64(self.fraction)
    }

    /// The period of the shortest term; zero without a session.
    #[must_use]
    pub fn shortest_period(&self) -> Duration {
        self.terms.keys().next().map_or(Duration::ZERO, |&term| self.period(term))
    }

    /// How long Graph may be away without a lapse: what is left of the shortest term when a renewal is due.
    #[must_use]
    pub fn outage_budget(&self) -> Duration {
        self.terms.keys().next().map_or(Duration::ZERO, |&term| term - self.period(term))
    }

    /// How long setting every funded session takes, as at the first start.
    #[must_use]
    pub fn cold_start(&self) -> Duration {
        funding::time_to_set(self.sessions - self.unfunded, self.lane.head.quota)
    }

    /// Whether sessions lapse at a start without a ledger, which has to set all of them anew.
    #[must_use]
    pub fn lapses_without_ledger(&self) -> bool {
        self.cold_start() > self.outage_budget()
    }
}

fn funded(lane: &LanePlan) -> impl Iterator<Item = Wish> {
    lane.sessions.iter().filter(|session| session.funded).filter_map(|session| session.wish)
}

fn load(wishes: impl Iterator<Item = Wish>) -> Load {
    let mut load = Load::default();
    for wish in wishes {
        load.add(Load::of(wish));
    }
    load
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::diff::diff;
    use crate::keeper::id::{Guid, LaneKey};
    use crate::keeper::plan::{LaneHead, SessionPlan};
    use crate::keeper::presence::Expiration;

    fn lane(tenant: u128, available: u128, away: u128) -> LanePlan {
        let of =
            |state, minutes| Some(Wish { state, expiration: Expiration::from_minutes(minutes).unwrap() });
        let session = |n, wish| SessionPlan::new(Guid::from_u128(n), wish);
        LanePlan {
            key: LaneKey { graph: "g".into(), tenant: Guid::from_u128(tenant), client: Guid::from_u128(1) },
            head: LaneHead { name: "a".into(), quota: Quota::PRESENCE },
            sessions: (0..available)
                .map(|n| session(n, of(PresenceState::Available, 60)))
                .chain((0..away).map(|n| session(1 << 64 | n, of(PresenceState::Away, 240))))
                .chain([session(u128::MAX, None)])
                .collect(),
        }
    }

    #[test]
    fn a_small_lane_renews_at_half_and_a_full_one_just_in_time() {
        let plan = Plan::new(vec![lane(1, 40, 10), lane(2, 13_500, 0), lane(3, 15_500, 0)]);
        let [small, full, crowded] = &forecast(&plan)[..] else { panic!() };
        assert_eq!((small.sessions, small.available, small.fits()), (50, 40, true));
        assert_eq!(small.shortest_period(), Duration::from_secs(150));
        assert_eq!(small.terms, [(Duration::from_secs(300), 40), (Duration::from_secs(14_400), 10)].into());
        assert!((small.rate - (40.0 / 150.0 + 10.0 / 7_200.0)).abs() < 1e-9);
        assert_eq!(small.cold_start(), Duration::from_secs(1));
        assert!(!small.lapses_without_ledger());
        assert_eq!(
            (full.outage_budget(), full.cold_start()),
            (Duration::from_secs(10), Duration::from_secs(270))
        );
        assert!((full.utilisation() - 13_500.0 / 290.0 / 50.0).abs() < 1e-9);
        assert!(full.lapses_without_ledger());
        assert_eq!((crowded.unfunded, crowded.fits(), crowded.shared_limit), (15_500 - 14_065, false, false));
    }

    #[test]
    fn a_start_without_a_ledger_costs_lapses_from_seven_thousand_available_sessions_on() {
        let lapses = |n| forecast(&Plan::new(vec![lane(1, n, 0)]))[0].lapses_without_ledger();
        assert!(!lapses(7_105) && lapses(7_106));
    }

    #[test]
    fn a_change_of_many_takes_what_the_others_leave_of_the_quota() {
        let takes = |old: &Plan, new: &Plan| time_to_set(old, &forecast(new), &diff(old, new)).as_secs_f64();
        let full = Plan::new(vec![lane(1, 13_500, 0)]);
        assert!((takes(&Plan::default(), &full) - 270.0).abs() < 0.1, "a cold start");
        let mut changed = full.clone().into_lanes();
        let busy = Some(Wish { state: PresenceState::InACall, expiration: Expiration::MAX });
        changed[0].sessions[..2_000].iter_mut().for_each(|session| session.wish = busy);
        let changed = Plan::new(changed);
        let left = 50.0 - 11_500.0 / 280.0;
        assert!((takes(&full, &changed) - 2_000.0 / left).abs() < 1.0, "others wait until they are urgent");
        let mut renamed = full.clone().into_lanes();
        renamed[0].sessions.iter_mut().for_each(|session| session.priority = 1);
        assert!(takes(&full, &Plan::new(renamed)).abs() < 1e-9, "a priority sends nothing");
    }

    #[test]
    fn lanes_of_one_client_are_slowed_down_together() {
        let lanes = (0..260).map(|tenant| lane(tenant, 14_000, 0)).collect();
        let plan = Plan::new(lanes);
        let all = forecast(&plan);
        assert!(all[0].fraction > 0.96 && all[0].fits());
        let sum: f64 = all.iter().map(|lane| lane.rate).sum();
        assert!(sum < 13_000.0, "{sum} a second");
        let crowd = Plan::new((0..280).map(|tenant| lane(tenant, 14_000, 0)).collect());
        let left_out: Vec<_> = forecast(&crowd).into_iter().filter(|lane| !lane.fits()).collect();
        assert!(!left_out.is_empty() && left_out.iter().all(|lane| lane.shared_limit));
    }
}
