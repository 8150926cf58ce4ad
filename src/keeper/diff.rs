//! What turns one plan into another: made on any thread, carried out by the keeper in slices.

use super::id::{LaneKey, UserId};
#[cfg(test)]
use super::plan::Quota;
use super::plan::{LaneHead, LanePlan, Plan, SessionPlan};
use super::time::MonoTime;

/// The difference between two plans, with the law `old.apply(&diff(old, new)) == new`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diff {
    /// Lanes that differ, ascending by key.
    pub lanes: Vec<LaneDiff>,
}

/// What changes in one lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneDiff {
    /// Which.
    pub key: LaneKey,
    /// Itself.
    pub head: HeadDiff,
    /// Its sessions, ascending by user.
    pub sessions: Vec<SessionDiff>,
    /// When what `sessions` want ends, one for one, [`MonoTime::FAR`] where nobody knows; empty: never, as far as known.
    pub ends: Vec<MonoTime>,
}

/// What changes of a lane besides its sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HeadDiff {
    /// Nothing.
    Same,
    /// It is new.
    Added(LaneHead),
    /// Its name or quota.
    Changed(LaneHead),
    /// It goes, with all its sessions.
    Removed,
}

/// What changes of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionDiff {
    /// It is new.
    Added(SessionPlan),
    /// Another wish, priority or funding.
    Changed(SessionPlan),
    /// It goes.
    Removed {
        /// Whose.
        user: UserId,
        /// Whether the user goes on in another lane, where the state shall be set before it is cleared here.
        moves: bool,
    },
}

impl SessionDiff {
    /// Whose.
    #[must_use]
    pub const fn user(&self) -> UserId {
        match self {
            Self::Added(plan) | Self::Changed(plan) => plan.user,
            Self::Removed { user, .. } => *user,
        }
    }
}

/// What the new plan has that the old one had not, and the other way round.
#[must_use]
pub fn diff(old: &Plan, new: &Plan) -> Diff {
    let mut lanes = Vec::new();
    merge(
        old.lanes(),
        new.lanes(),
        |lane| &lane.key,
        |pair| {
            let empty: &[SessionPlan] = &[];
            let (key, head, was, is) = match pair {
                Pair::Old(old) => (&old.key, HeadDiff::Removed, &old.sessions[..], empty),
                Pair::New(new) => (&new.key, HeadDiff::Added(new.head.clone()), empty, &new.sessions[..]),
                Pair::Both(old, new) if old.head == new.head => {
                    (&new.key, HeadDiff::Same, &old.sessions[..], &new.sessions[..])
                }
                Pair::Both(old, new) => {
                    (&new.key, HeadDiff::Changed(new.head.clone()), &old.sessions[..], &new.sessions[..])
                }
            };
            let sessions = diff_sessions(was, is);
            if head != HeadDiff::Same || !sessions.is_empty() {
                lanes.push(LaneDiff { key: key.clone(), head, sessions, ends: Vec::new() });
            }
        },
    );
    mark_moves(&mut lanes);
    Diff { lanes }
}

fn diff_sessions(old: &[SessionPlan], new: &[SessionPlan]) -> Vec<SessionDiff> {
    let mut sessions = Vec::new();
    merge(
        old,
        new,
        |session| &session.user,
        |pair| match pair {
            Pair::Old(old) => sessions.push(SessionDiff::Removed { user: old.user, moves: false }),
            Pair::New(new) => sessions.push(SessionDiff::Added(*new)),
            Pair::Both(old, new) if old != new => sessions.push(SessionDiff::Changed(*new)),
            Pair::Both(..) => {}
        },
    );
    sessions
}

/// A user who is removed in one lane and added in another with a wish that is funded moves.
fn mark_moves(lanes: &mut [LaneDiff]) {
    let any = |wanted: fn(&SessionDiff) -> bool| lanes.iter().any(|lane| lane.sessions.iter().any(wanted));
    if !any(|s| matches!(s, SessionDiff::Removed { .. })) || lanes.len() < 2 {
        return;
    }
    let mut added: Vec<UserId> = lanes
        .iter()
        .flat_map(|lane| &lane.sessions)
        .filter_map(|session| match session {
            SessionDiff::Added(plan) if plan.wish.is_some() && plan.funded => Some(plan.user),
            _ => None,
        })
        .collect();
    added.sort_unstable();
    for session in lanes.iter_mut().flat_map(|lane| &mut lane.sessions) {
        if let SessionDiff::Removed { user, moves } = session {
            *moves = added.binary_search(user).is_ok();
        }
    }
}

impl Diff {
    /// Whether both plans are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// How many sessions are added, changed and removed.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for session in self.lanes.iter().flat_map(|lane| &lane.sessions) {
            match session {
                SessionDiff::Added(_) => counts.added += 1,
                SessionDiff::Changed(_) => counts.changed += 1,
                SessionDiff::Removed { .. } => counts.removed += 1,
            }
        }
        counts
    }

    /// The plan that `old` becomes.
    #[must_use]
    pub fn apply(&self, old: &Plan) -> Plan {
        let mut lanes: Vec<LanePlan> = old.lanes().to_vec();
        for change in &self.lanes {
            let at = lanes.iter().position(|lane| lane.key == change.key);
            match (&change.head, at) {
                (HeadDiff::Removed, Some(at)) => {
                    lanes.remove(at);
                    continue;
                }
                (HeadDiff::Added(head), None) => {
                    lanes.push(LanePlan {
                        key: change.key.clone(),
                        head: head.clone(),
                        sessions: Vec::new(),
                    });
                }
                (HeadDiff::Changed(head), Some(at)) => lanes[at].head = head.clone(),
                _ => {}
            }
            let Some(lane) = lanes.iter_mut().find(|lane| lane.key == change.key) else { continue };
            for session in &change.sessions {
                apply_session(&mut lane.sessions, session);
            }
        }
        Plan::settled(lanes)
    }
}

fn apply_session(sessions: &mut Vec<SessionPlan>, change: &SessionDiff) {
    match change {
        SessionDiff::Added(plan) => sessions.push(*plan),
        SessionDiff::Changed(plan) => {
            if let Some(session) = sessions.iter_mut().find(|s| s.user == plan.user) {
                *session = *plan;
            }
        }
        SessionDiff::Removed { user, .. } => sessions.retain(|s| s.user != *user),
    }
}

/// How much a diff changes, in sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// New ones.
    pub added: usize,
    /// Those with another wish, priority or funding.
    pub changed: usize,
    /// Those that go.
    pub removed: usize,
}

enum Pair<'a, T> {
    Old(&'a T),
    New(&'a T),
    Both(&'a T, &'a T),
}

/// Walks two ascending lists side by side.
fn merge<'a, T, K: Ord>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&T) -> &K,
    mut each: impl FnMut(Pair<'a, T>),
) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => key(a).cmp(key(b)),
        };
        match order {
            std::cmp::Ordering::Less => each(Pair::Old(old.next().expect("just peeked"))),
            std::cmp::Ordering::Greater => each(Pair::New(new.next().expect("just peeked"))),
            std::cmp::Ordering::Equal => {
                each(Pair::Both(old.next().expect("just peeked"), new.next().expect("just peeked")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::id::Guid;
    use crate::keeper::presence::{Expiration, PresenceState, Wish};
    use proptest::prelude::*;
    use std::time::Duration;

    fn any_session() -> impl Strategy<Value = SessionPlan> {
        (0_u128..12, prop::option::of((0_usize..5, 5_u64..=240)), -1_i32..2).prop_map(
            |(user, wish, priority)| {
                let wish = wish.map(|(state, minutes)| Wish {
                    state: PresenceState::ALL[state],
                    expiration: Expiration::from_minutes(minutes).expect("in range"),
                });
                SessionPlan { priority, ..SessionPlan::new(Guid::from_u128(user), wish) }
            },
        )
    }

    fn any_plan() -> impl Strategy<Value = Plan> {
        // Quotas so small that some sessions are left out.
        let lane = (0_u128..4, 1_u32..3, prop::collection::vec(any_session(), 0..12));
        prop::collection::vec(lane, 0..4).prop_map(|lanes| {
            let lane = |(client, requests, sessions)| LanePlan {
                key: LaneKey {
                    graph: "g".into(),
                    tenant: Guid::from_u128(1),
                    client: Guid::from_u128(client),
                },
                head: LaneHead { name: "a".into(), quota: Quota { requests, per: Duration::from_secs(60) } },
                sessions,
            };
            Plan::new(lanes.into_iter().map(lane).collect())
        })
    }

    proptest! {
        #[test]
        fn a_diff_turns_the_old_plan_into_the_new_one(old in any_plan(), new in any_plan()) {
            let change = diff(&old, &new);
            prop_assert_eq!(change.apply(&old), new.clone());
            prop_assert_eq!(change.is_empty(), old == new);
        }
    }
}
