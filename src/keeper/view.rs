//! Renders the machine's state for the outside: counters, lane figures, sessions page by page.

use super::agenda::Queue;
use super::id::{LaneIx, LaneKey, SessionIx, Slot, UserId};
use super::lane::Lane;
use super::machine::Keeper;
use super::session::Session;
use super::snapshot::{LaneSnapshot, Next, Page, Phase, Query, SessionView, Snapshot, Standing};
use super::tally::Answers;
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
        for ix in query.from.lane.0 as usize..self.lanes.len() {
            let Some(lane) = &self.lanes[ix] else { continue };
            // A lane that has closed since leaves its place in it to nobody.
            let mut slot = if lane.ix == query.from.lane { query.from.slot.0 as usize } else { 0 };
            while let Some(session) = lane.sessions.get(slot) {
                let at = SessionIx { lane: lane.ix, slot: Slot(u32::try_from(slot).unwrap_or(u32::MAX)) };
                if page.sessions.len() == query.limit {
                    page.next = Some(at);
                    return page;
                }
                if lane.slot_of(session.user) == Some(at.slot) {
                    page.sessions.push(view_session(lane, at, session));
                }
                slot += 1;
            }
        }
        page
    }

    /// The session of a user in a lane.
    #[must_use]
    pub fn find(&self, lane: LaneIx, user: UserId) -> Option<SessionIx> {
        let lane = self.lanes.get(lane.0 as usize)?.as_ref()?;
        lane.slot_of(user).map(|slot| lane.session_ix(slot))
    }

    /// How a session stands; `None`: there is none at this place.
    #[must_use]
    pub fn session(&self, at: SessionIx) -> Option<SessionView> {
        let lane = self.lanes.get(at.lane.0 as usize)?.as_ref()?;
        let session = lane.sessions.get(at.slot.0 as usize)?;
        (lane.slot_of(session.user) == Some(at.slot)).then(|| view_session(lane, at, session))
    }

    /// The place of the lane with this key.
    #[must_use]
    pub fn lane(&self, key: &LaneKey) -> Option<LaneIx> {
        self.by_key.get(key).copied()
    }

    /// Sessions that are held and late, at most `limit` of each lane. The work does not grow with the other sessions.
    pub fn late(&self, now: MonoTime, limit: usize) -> impl Iterator<Item = SessionView> + '_ {
        self.lanes.iter().flatten().flat_map(move |lane| {
            let view = |slot| view_session(lane, lane.session_ix(slot), lane.session(slot));
            lane.late(now).take(limit).map(view)
        })
    }

    /// Sessions that are not held as they are wanted, at most `limit` of them, of one lane or of all: lapsed ones first, the
    /// longest lapsed before all others, then those that are refused, wait for a repeat, or are still to be set. The work
    /// does not grow with the sessions.
    #[must_use]
    pub fn worst(&self, limit: usize, only: Option<LaneIx>) -> Vec<SessionView> {
        const WORST: [Queue; 5] =
            [Queue::Lapsed, Queue::Parked, Queue::Retry, Queue::Override, Queue::Change];
        let mut worst = Vec::new();
        for (rank, queue) in WORST.into_iter().enumerate() {
            for lane in self.lanes.iter().flatten().filter(|lane| only.is_none_or(|only| lane.ix == only)) {
                let first = lane.agenda().entries(queue).take(limit - limit.min(worst.len()));
                worst.extend(first.map(|(key, slot)| (rank, key, lane, slot)));
            }
            if worst.len() >= limit {
                break;
            }
        }
        worst.sort_by_key(|&(rank, key, lane, slot)| (rank, key, lane.ix, slot));
        worst.truncate(limit);
        let view = |(_, _, lane, slot): (usize, MonoTime, &Lane, Slot)| {
            view_session(lane, lane.session_ix(slot), lane.session(slot))
        };
        worst.into_iter().map(view).collect()
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
    let of = |count: fn(&Answers) -> u64| count(&lane.tally.sets) + count(&lane.tally.clears);
    LaneSnapshot {
        lane: lane.ix,
        key: lane.key.clone(),
        name: lane.head.name.clone(),
        sessions: held + lapsed + parked + unfunded + pending,
        held,
        late: u32::try_from(lane.late(now).count()).unwrap_or(u32::MAX),
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
        granted: of(|answers| answers.granted),
        throttled: of(|answers| answers.throttled),
        token_rejected: of(|answers| answers.token_rejected),
        refused: of(|answers| answers.refused),
        lost: of(|answers| answers.lost),
        lapses: lane.tally.lapses,
        tally: lane.tally,
    }
}

fn view_session(lane: &Lane, at: SessionIx, s: &Session) -> SessionView {
    let planned = lane.overridden.get(&at.slot);
    SessionView {
        session: at,
        user: s.user,
        wish: s.wish,
        overridden: planned.is_some(),
        until: s.until,
        planned: planned.map_or(s.wish, |planned| planned.wish),
        granted: s.lease.map(|lease| lease.granted.state),
        sent_at: s.lease.map(|lease| lease.sent_at),
        lapses_at: s.lease.map(|lease| lease.lapses_at()),
        expires_at: s.lease.map(|lease| lease.expires_at()),
        phase: s.phase(),
        next: next_of(s),
        lost: s.attempt,
        renewals: s.renewals,
    }
}

fn next_of(s: &Session) -> Next {
    match s.place {
        _ if s.asked.is_some() => Next::Answer,
        None => Next::Nothing,
        Some((Queue::Due | Queue::Moving, at)) => Next::Renewal(at),
        Some((Queue::Retry, at)) => Next::Retry(at),
        Some((Queue::Parked, at)) => Next::Trial(at),
        Some((Queue::Renewal | Queue::Lapsed | Queue::Override | Queue::Change | Queue::Clear, _)) => {
            Next::Turn
        }
    }
}
