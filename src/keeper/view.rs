//! Renders the machine's state for the outside: counters, lane figures, sessions page by page.

use super::id::{LaneIx, SessionIx, Slot};
use super::lane::Lane;
use super::machine::Keeper;
use super::session::Session;
use super::snapshot::{LaneSnapshot, Page, Phase, Query, SessionView, Snapshot, Standing};
use super::time::MonoTime;

impl Keeper {
    /// Counters and lane figures. The work grows with the lanes and with the sessions that are late.
    #[must_use]
    pub fn snapshot(&mut self, now: MonoTime) -> Snapshot {
        Snapshot { lanes: self.lanes.iter_mut().flatten().map(|lane| view_lane(lane, now)).collect() }
    }

    /// Sessions from `query.from` on, at most `query.limit` of them.
    #[must_use]
    pub fn sessions(&self, query: Query) -> Page {
        let mut page = Page::default();
        let mut slot = query.from.slot.0 as usize;
        for ix in query.from.lane.0 as usize..self.lanes.len() {
            let Some(lane) = &self.lanes[ix] else { continue };
            while let Some(session) = lane.sessions.get(slot) {
                let at = SessionIx { lane: lane.ix, slot: Slot(u32::try_from(slot).unwrap_or(u32::MAX)) };
                if page.sessions.len() == query.limit {
                    page.next = Some(at);
                    return page;
                }
                if lane.slot_of(session.user) == Some(at.slot) {
                    page.sessions.push(view_session(at, session));
                }
                slot += 1;
            }
            slot = 0;
        }
        page
    }

    /// The session of a user in a lane.
    #[must_use]
    pub fn find(&self, lane: LaneIx, user: super::id::UserId) -> Option<SessionIx> {
        let lane = self.lanes.get(lane.0 as usize)?.as_ref()?;
        lane.slot_of(user).map(|slot| lane.session_ix(slot))
    }
}

fn view_lane(lane: &mut Lane, now: MonoTime) -> LaneSnapshot {
    let held = lane.count(Phase::Held);
    let lapsed = lane.count(Phase::Lapsed);
    let parked = lane.count(Phase::Parked(super::outcome::Refusal::NotFound));
    let unfunded = lane.count(Phase::Unfunded);
    let pending = lane.count(Phase::Pending);
    let standing = match lane.standing.view() {
        Standing::Open if lane.token.usable(now).is_none() => Standing::NoToken,
        standing => standing,
    };
    LaneSnapshot {
        lane: lane.ix,
        key: lane.key.clone(),
        name: lane.head.name.clone(),
        sessions: held + lapsed + parked + unfunded + pending,
        held,
        late: lane.late(now),
        lapsed,
        parked,
        unfunded,
        pending,
        clearing: lane.clearing(),
        in_flight: lane.budget.in_flight(),
        quota_used: lane.budget.used(now),
        quota: lane.head.quota.requests,
        fraction: lane.fraction(now),
        next_lapse_in: lane.next_lapse().map(|at| at.since(now)),
        standing,
        token_good_for: lane.token.good_for(now),
        renewals: lane.tally.renewals,
        granted: lane.tally.granted,
        throttled: lane.tally.throttled,
        token_rejected: lane.tally.token_rejected,
        refused: lane.tally.refused,
        lost: lane.tally.lost,
        lapses: lane.tally.lapses,
    }
}

fn view_session(session: SessionIx, s: &Session) -> SessionView {
    SessionView {
        session,
        user: s.user,
        wish: s.wish,
        granted: s.lease.map(|lease| lease.granted.state),
        lapses_at: s.lease.map(|lease| lease.lapses_at()),
        phase: s.phase(),
        renewals: s.renewals,
    }
}
