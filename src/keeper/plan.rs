//! What is wanted, for every session: the plan. It comes from the config, whole, and is never changed in place.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::event::RestoredLane;
use super::funding;
use super::id::{LaneKey, UserId};
use super::presence::Wish;

/// How many requests a service takes in any window of a length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// Requests, at least 1.
    pub requests: u32,
    /// Length of the window, more than zero.
    pub per: Duration,
}

impl Quota {
    /// 1,500 requests in 30 s per app and tenant for the presence resource.
    ///
    /// Source: Microsoft Graph throttling limits, "Cloud communication service limits".
    pub const PRESENCE: Self = Self { requests: 1_500, per: Duration::from_secs(30) };
    /// 130,000 requests in 10 s per app over all tenants.
    ///
    /// Source: Microsoft Graph throttling limits, "Global limit".
    pub const APP: Self = Self { requests: 130_000, per: Duration::from_secs(10) };

    /// Requests per second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.requests) / self.per.as_secs_f64()
    }
}

/// What a lane has besides its sessions; a change of it leaves them alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneHead {
    /// The app's name in the config.
    pub name: Arc<str>,
    /// What the service takes for this app in this tenant.
    pub quota: Quota,
}

/// What is wanted of one session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionPlan {
    /// Whose.
    pub user: UserId,
    /// What it shall show; `None`: we hold no session for this user.
    pub wish: Option<Wish>,
    /// Higher ones are funded first when a lane is too small.
    pub priority: i32,
    /// Whether the lane's quota can keep it. Settled by [`Plan::new`]; what is not funded is never sent.
    pub funded: bool,
}

impl SessionPlan {
    /// A session of priority 0.
    #[must_use]
    pub const fn new(user: UserId, wish: Option<Wish>) -> Self {
        Self { user, wish, priority: 0, funded: true }
    }
}

/// One lane: its head and its sessions, in the order of their users.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LanePlan {
    /// Which lane.
    pub key: LaneKey,
    /// Its name and quota.
    pub head: LaneHead,
    /// Each user once, ascending.
    pub sessions: Vec<SessionPlan>,
}

impl LanePlan {
    /// This user's session here.
    #[must_use]
    pub fn session(&self, user: UserId) -> Option<&SessionPlan> {
        self.sessions.binary_search_by_key(&user, |s| s.user).ok().map(|at| &self.sessions[at])
    }
}

/// What is wanted of every session: lanes in the order of their keys, users in theirs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    lanes: Vec<LanePlan>,
}

impl Plan {
    /// Sorts, and settles which sessions are funded. The door sees to it that no lane and no user in a lane comes
    /// twice; of doubles the first is kept.
    #[must_use]
    pub fn new(lanes: Vec<LanePlan>) -> Self {
        let Self { mut lanes } = Self::settled(lanes);
        funding::fund(&mut lanes);
        Self { lanes }
    }

    /// The same of sessions of which it is settled which are funded.
    pub(super) fn settled(mut lanes: Vec<LanePlan>) -> Self {
        lanes.sort_by(|a, b| a.key.cmp(&b.key));
        lanes.dedup_by(|later, kept| later.key == kept.key);
        for lane in &mut lanes {
            lane.sessions.sort_by_key(|s| s.user);
            lane.sessions.dedup_by_key(|s| s.user);
        }
        Self { lanes }
    }

    /// The plan that the ledger's sessions make, which the diff at a start begins with.
    ///
    /// Among them are those that the quota left out later on: they are left out again, and that diff says nothing of
    /// those that the config's plan leaves out as well.
    #[must_use]
    pub fn of_restored(lanes: &[RestoredLane]) -> Self {
        let lane = |lane: &RestoredLane| LanePlan {
            key: lane.key.clone(),
            head: lane.head.clone(),
            sessions: lane
                .sessions
                .iter()
                .map(|(_, user, record)| SessionPlan::new(*user, Some(record.wish)))
                .collect(),
        };
        Self::new(lanes.iter().map(lane).collect())
    }

    /// Its lanes, ascending by key.
    #[must_use]
    pub fn lanes(&self) -> &[LanePlan] {
        &self.lanes
    }

    /// The lane with this key.
    #[must_use]
    pub fn lane(&self, key: &LaneKey) -> Option<&LanePlan> {
        self.lanes.binary_search_by(|lane| lane.key.cmp(key)).ok().map(|at| &self.lanes[at])
    }

    /// How many sessions it has, those without a wish and without funds included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.sessions.len()).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The users of all lanes, ascending.
    fn users(&self) -> Vec<UserId> {
        let mut users: Vec<UserId> =
            self.lanes.iter().flat_map(|lane| &lane.sessions).map(|s| s.user).collect();
        users.sort_unstable();
        users
    }

    /// The same with other wishes, for the users of each lane in their order: `None` leaves one as it is. Who is funded
    /// stays as it was settled.
    #[must_use]
    pub fn with_wishes<F>(&self, mut of_lane: impl FnMut(&LanePlan) -> F) -> Self
    where
        F: FnMut(UserId) -> Option<Option<Wish>>,
    {
        let lanes = self.lanes.iter().map(|lane| {
            let mut wish_of = of_lane(lane);
            let sessions = lane.sessions.iter().map(|session| {
                let wish = wish_of(session.user).unwrap_or(session.wish);
                SessionPlan { wish, ..*session }
            });
            LanePlan { key: lane.key.clone(), head: lane.head.clone(), sessions: sessions.collect() }
        });
        Self { lanes: lanes.collect() }
    }

    /// Gives the lanes back, to build another plan of.
    #[must_use]
    pub fn into_lanes(self) -> Vec<LanePlan> {
        self.lanes
    }

    /// The same with the sessions that `old` has in these lanes and this one has not.
    #[must_use]
    pub fn keeping(self, old: &Self, lanes: &BTreeSet<LaneKey>) -> Self {
        let mut kept = self.lanes;
        for was in old.lanes.iter().filter(|lane| lanes.contains(&lane.key)) {
            let Some(lane) = kept.iter_mut().find(|lane| lane.key == was.key) else { continue };
            let lacks = |s: &&SessionPlan| lane.session(s.user).is_none();
            let lacking: Vec<SessionPlan> = was.sessions.iter().filter(lacks).copied().collect();
            lane.sessions.extend(lacking);
        }
        Self::new(kept)
    }

    /// Holds back removals that look like an accident: a lane of `old` that would lose more than `max_percent` of its
    /// sessions and more than ten, or all of them, keeps them. Returns the plan to follow, and what was held.
    ///
    /// A user who goes on in another lane is not lost and does not count. At 100 percent nothing is held.
    #[must_use]
    pub fn hold_removals(self, old: &Self, max_percent: u8) -> (Self, Vec<HeldRemovals>) {
        /// So few removals are never an accident, unless they are all there is.
        const FEW: usize = 10;
        if max_percent >= 100 {
            return (self, Vec::new());
        }
        let mut elsewhere: Option<Vec<UserId>> = None;
        let mut held = Vec::new();
        let mut kept: Vec<LanePlan> = Vec::new();
        for was in &old.lanes {
            let now = self.lane(&was.key);
            let stays = |s: &SessionPlan| now.is_some_and(|lane| lane.session(s.user).is_some());
            let mut lost: Vec<SessionPlan> = was.sessions.iter().filter(|s| !stays(s)).copied().collect();
            let suspicious = |lost: &[SessionPlan]| {
                let all = !lost.is_empty() && lost.len() == was.sessions.len();
                all || lost.len() > FEW && lost.len() * 100 > was.sessions.len() * usize::from(max_percent)
            };
            if !suspicious(&lost) {
                continue;
            }
            let wanted = elsewhere.get_or_insert_with(|| self.users());
            lost.retain(|s| wanted.binary_search(&s.user).is_err());
            if !suspicious(&lost) {
                continue;
            }
            held.push(HeldRemovals {
                lane: was.key.clone(),
                name: was.head.name.clone(),
                removed: lost.len(),
                of: was.sessions.len(),
            });
            kept.push(LanePlan { key: was.key.clone(), head: was.head.clone(), sessions: lost });
        }
        if held.is_empty() {
            return (self, held);
        }
        let mut lanes = self.lanes;
        for mut keep in kept {
            match lanes.iter_mut().find(|lane| lane.key == keep.key) {
                Some(lane) => lane.sessions.append(&mut keep.sessions),
                None => lanes.push(keep),
            }
        }
        (Self::new(lanes), held)
    }
}

/// Removals that wait for someone to say that they are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldRemovals {
    /// The lane that would lose them.
    pub lane: LaneKey,
    /// Its name.
    pub name: Arc<str>,
    /// How many sessions it would lose.
    pub removed: usize,
    /// Of how many.
    pub of: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::id::Guid;
    use crate::keeper::presence::{Expiration, PresenceState};

    fn lane(client: u128, users: std::ops::Range<u128>) -> LanePlan {
        let wish = Some(Wish { state: PresenceState::Available, expiration: Expiration::MAX });
        LanePlan {
            key: LaneKey {
                graph: "https://graph.test".into(),
                tenant: Guid::from_u128(1),
                client: Guid::from_u128(client),
            },
            head: LaneHead { name: format!("app{client}").into(), quota: Quota::PRESENCE },
            sessions: users.map(|user| SessionPlan::new(Guid::from_u128(user), wish)).collect(),
        }
    }

    fn held(old: Vec<LanePlan>, new: Vec<LanePlan>, max_percent: u8) -> (usize, usize) {
        let (plan, held) = Plan::new(new).hold_removals(&Plan::new(old), max_percent);
        (plan.len(), held.iter().map(|h| h.removed).sum())
    }

    #[test]
    fn a_lane_that_is_to_be_kept_loses_nobody() {
        let (old, new) = (Plan::new(vec![lane(1, 0..5), lane(2, 0..5)]), vec![lane(1, 4..6), lane(2, 4..6)]);
        let lanes = [old.lanes()[0].key.clone()].into();
        let kept = Plan::new(new).keeping(&old, &lanes);
        assert_eq!(kept.lanes().iter().map(|lane| lane.sessions.len()).collect::<Vec<_>>(), [6, 2]);
        assert!(kept.lanes()[0].sessions.is_sorted_by_key(|session| session.user));
    }

    #[test]
    fn many_removals_wait_and_few_go_through() {
        assert_eq!(held(vec![lane(1, 0..40)], vec![lane(1, 0..30)], 20), (30, 0), "ten are few");
        assert_eq!(
            held(vec![lane(1, 0..40)], vec![lane(1, 0..29)], 20),
            (40, 11),
            "eleven of forty are many"
        );
        assert_eq!(
            held(vec![lane(1, 0..400)], vec![lane(1, 0..350)], 20),
            (350, 0),
            "an eighth is below a fifth"
        );
        assert_eq!(held(vec![lane(1, 0..40)], vec![lane(1, 0..5)], 100), (5, 0), "accepted");
    }

    #[test]
    fn all_of_a_lane_waits_however_small_it_is() {
        assert_eq!(
            held(vec![lane(1, 0..2), lane(2, 0..2)], vec![lane(2, 0..2)], 20),
            (2, 0),
            "they go on in lane 2"
        );
        assert_eq!(held(vec![lane(1, 5..7), lane(2, 0..2)], vec![lane(2, 0..2)], 20), (4, 2));
    }

    #[test]
    fn a_held_lane_takes_its_additions_all_the_same() {
        assert_eq!(held(vec![lane(1, 0..40)], vec![lane(1, 35..45)], 20), (45, 35));
    }
}
