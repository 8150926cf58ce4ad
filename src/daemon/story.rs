//! What became of each session lately: what it showed and since when, and its last answer. In memory, bounded.

use std::collections::{HashMap, VecDeque};
use std::time::SystemTime;

use uuid::Uuid;

use super::graph::Detail;
use crate::keeper::event::Event;
use crate::keeper::id::{LaneIx, SessionIx};
use crate::keeper::{MonoTime, Outcome, PresenceState};

/// So many sessions are followed: those that are heard of first.
const SESSIONS: usize = 100_000;
/// So much is known of each: the latest.
const MOMENTS: usize = 64;

/// What a session showed from a moment on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// From when on.
    pub at: MonoTime,
    /// What.
    pub what: What,
}

/// What a session showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// It was held in this state.
    Held {
        /// The state.
        state: PresenceState,
        /// Whether an override wanted it.
        overridden: bool,
    },
    /// It was held, close to its lapse or waiting for a repeat.
    Late {
        /// The state.
        state: PresenceState,
        /// Whether an override wanted it.
        overridden: bool,
    },
    /// It was past its lapse.
    Lapsed,
    /// Graph refused it.
    Parked,
    /// There was none.
    Empty,
    /// There was none, because somebody released it.
    Released,
}

/// The last answer to a request for a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastAnswer {
    /// When it came.
    pub at: SystemTime,
    /// What it was.
    pub outcome: Outcome,
    /// Graph's error code, or what went wrong on the way.
    pub cause: Option<Box<str>>,
    /// Graph's `request-id`.
    pub request_id: Option<Uuid>,
}

/// What holds for a session instead of the config.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instead {
    /// An override.
    Override,
    /// A release.
    Release,
}

/// All that is known.
#[derive(Debug, Default)]
pub struct Story {
    moments: HashMap<SessionIx, VecDeque<Moment>>,
    answers: HashMap<SessionIx, LastAnswer>,
}

impl Story {
    /// Takes in what the keeper says, and what holds for its session instead of the config.
    pub fn hear(&mut self, event: &Event, now: MonoTime, instead: Option<Instead>) {
        match event {
            Event::Set { session, to, .. } => {
                let overridden = instead == Some(Instead::Override);
                self.note(*session, What::Held { state: *to, overridden }, now);
            }
            Event::Cleared { session, .. } => {
                let released = instead == Some(Instead::Release);
                self.note(*session, if released { What::Released } else { What::Empty }, now);
            }
            Event::Parked { session, .. } => self.note(*session, What::Parked, now),
            Event::SessionLapsed { session, .. } => self.note(*session, What::Lapsed, now),
            _ => {}
        }
    }

    /// A session is late: told as often as one likes, it is noted once.
    pub fn late(&mut self, session: SessionIx, state: PresenceState, overridden: bool, now: MonoTime) {
        self.note(session, What::Late { state, overridden }, now);
    }

    /// A session was granted what it shows: of a renewal the keeper says nothing. `shows`: what that is, and whether
    /// an override wants it; asked only where nothing else tells.
    pub fn granted(
        &mut self,
        session: SessionIx,
        now: MonoTime,
        shows: impl FnOnce() -> Option<(PresenceState, bool)>,
    ) {
        let last = self.moments.get(&session).and_then(VecDeque::back).map(|moment| moment.what);
        let held = match last {
            Some(What::Late { state, overridden }) => Some((state, overridden)),
            // One that was refused may still hold what it was granted before.
            Some(What::Parked) => shows(),
            None if self.moments.len() < SESSIONS => shows(),
            None | Some(_) => None,
        };
        if let Some((state, overridden)) = held {
            self.note(session, What::Held { state, overridden }, now);
        }
    }

    /// Takes in an answer. `request_id` is that of one that was granted; others have it in their detail.
    pub fn answered(
        &mut self,
        session: SessionIx,
        outcome: Outcome,
        detail: Option<&Detail>,
        request_id: Option<Uuid>,
        at: SystemTime,
    ) {
        if self.answers.len() >= SESSIONS && !self.answers.contains_key(&session) {
            return;
        }
        let told = detail.and_then(|detail| detail.request_id.as_deref()?.parse().ok());
        let cause = detail.and_then(|detail| detail.code.as_deref().or(detail.cause.as_deref()));
        let request_id = request_id.or(told);
        self.answers.insert(session, LastAnswer { at, outcome, cause: cause.map(Box::from), request_id });
    }

    /// A lane is gone, and its places with it.
    pub fn closed(&mut self, lane: LaneIx) {
        self.moments.retain(|session, _| session.lane != lane);
        self.answers.retain(|session, _| session.lane != lane);
    }

    /// What a session showed, the oldest first. The first may be from before its user had this place.
    pub fn of(&self, session: SessionIx) -> impl Iterator<Item = Moment> + '_ {
        self.moments.get(&session).into_iter().flatten().copied()
    }

    /// The last answer on a session.
    #[must_use]
    pub fn last_answer(&self, session: SessionIx) -> Option<&LastAnswer> {
        self.answers.get(&session)
    }

    fn note(&mut self, session: SessionIx, what: What, at: MonoTime) {
        if self.moments.len() >= SESSIONS && !self.moments.contains_key(&session) {
            return;
        }
        let moments = self.moments.entry(session).or_default();
        if moments.back().is_some_and(|last| last.what == what) {
            return;
        }
        if moments.len() == MOMENTS {
            moments.pop_front();
        }
        moments.push_back(Moment { at, what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::event::Why;
    use crate::keeper::id::{Guid, Slot};

    fn at(secs: u64) -> MonoTime {
        MonoTime::from_secs(secs)
    }

    #[test]
    fn a_session_has_a_moment_for_each_change_and_the_latest_are_kept() {
        let (session, user) = (SessionIx { lane: LaneIx(0), slot: Slot(3) }, Guid::from_u128(1));
        let mut story = Story::default();
        let set = |to| Event::Set { session, user, from: None, to, why: Why::Changed };
        story.hear(&set(PresenceState::Available), at(1), None);
        story.hear(&set(PresenceState::Available), at(2), None);
        story.hear(&Event::SessionLapsed { session, user }, at(3), None);
        story.hear(&set(PresenceState::InACall), at(4), Some(Instead::Override));
        let told: Vec<(MonoTime, What)> = story.of(session).map(|moment| (moment.at, moment.what)).collect();
        assert_eq!(
            told,
            [
                (at(1), What::Held { state: PresenceState::Available, overridden: false }),
                (at(3), What::Lapsed),
                (at(4), What::Held { state: PresenceState::InACall, overridden: true }),
            ]
        );
        for n in 0..100 {
            story.hear(&set(PresenceState::ALL[n % 5]), at(10 + n as u64), None);
        }
        assert_eq!(story.of(session).count(), MOMENTS);
        assert_eq!(story.of(session).last().map(|moment| moment.at), Some(at(109)));
        story.closed(LaneIx(0));
        assert_eq!(story.of(session).count(), 0);
    }

    #[test]
    fn lateness_is_noted_once_and_ends_with_the_renewal_that_was_late() {
        let (session, user) = (SessionIx { lane: LaneIx(0), slot: Slot(3) }, Guid::from_u128(1));
        let state = PresenceState::Away;
        let mut story = Story::default();
        story.granted(session, at(1), || Some((state, true)));
        for secs in 2..5 {
            story.late(session, state, true, at(secs));
        }
        story.granted(session, at(6), || panic!("it is followed"));
        story.granted(session, at(7), || panic!("it is followed"));
        story.hear(&Event::Cleared { session, user }, at(8), Some(Instead::Release));
        let told: Vec<(MonoTime, What)> = story.of(session).map(|moment| (moment.at, moment.what)).collect();
        let held = What::Held { state, overridden: true };
        assert_eq!(
            told,
            [
                (at(1), held),
                (at(2), What::Late { state, overridden: true }),
                (at(6), held),
                (at(8), What::Released)
            ]
        );
    }
}
