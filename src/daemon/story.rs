//! What became of each session lately: what it showed and since when, and its last answer. In memory, bounded.

use std::collections::{HashMap, VecDeque};
use std::time::SystemTime;

use uuid::Uuid;

use super::graph::Detail;
use crate::keeper::event::Event;
use crate::keeper::id::{LaneIx, SessionIx, UserId};
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
    /// Whose they are goes with them: a place is used again.
    moments: HashMap<SessionIx, (UserId, VecDeque<Moment>)>,
    answers: HashMap<SessionIx, (UserId, LastAnswer)>,
}

impl Story {
    /// Takes in what the keeper says, and what holds for its session instead of the config.
    pub fn hear(&mut self, event: &Event, now: MonoTime, instead: Option<Instead>) {
        match event {
            Event::Set { session, user, to, .. } => {
                let overridden = instead == Some(Instead::Override);
                self.note(*session, *user, What::Held { state: *to, overridden }, now);
            }
            Event::Cleared { session, user } => {
                let released = instead == Some(Instead::Release);
                self.note(*session, *user, if released { What::Released } else { What::Empty }, now);
            }
            Event::Parked { session, user, .. } => self.note(*session, *user, What::Parked, now),
            Event::SessionLapsed { session, user } => self.note(*session, *user, What::Lapsed, now),
            _ => {}
        }
    }

    /// A session is late: told as often as one likes, it is noted once.
    pub fn late(
        &mut self,
        (session, user): (SessionIx, UserId),
        state: PresenceState,
        overridden: bool,
        now: MonoTime,
    ) {
        self.note(session, user, What::Late { state, overridden }, now);
    }

    /// A session was granted what it shows: of a renewal the keeper says nothing. `shows`: what that is, and whether
    /// an override wants it; asked only where nothing else tells.
    pub fn granted(
        &mut self,
        (session, user): (SessionIx, UserId),
        now: MonoTime,
        shows: impl FnOnce() -> Option<(PresenceState, bool)>,
    ) {
        let own = self.moments.get(&session).filter(|(whose, _)| *whose == user);
        let last = own.and_then(|(_, moments)| moments.back()).map(|moment| moment.what);
        let held = match last {
            Some(What::Late { state, overridden }) => Some((state, overridden)),
            // One that was refused may still hold what it was granted before.
            Some(What::Parked) => shows(),
            None if self.moments.len() < SESSIONS => shows(),
            None | Some(_) => None,
        };
        if let Some((state, overridden)) = held {
            self.note(session, user, What::Held { state, overridden }, now);
        }
    }

    /// Takes in an answer. `request_id` is that of one that was granted; others have it in their detail.
    pub fn answered(
        &mut self,
        (session, user): (SessionIx, UserId),
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
        let answer = LastAnswer { at, outcome, cause: cause.map(Box::from), request_id };
        self.answers.insert(session, (user, answer));
    }

    /// A lane is gone, and its places with it.
    pub fn closed(&mut self, lane: LaneIx) {
        self.moments.retain(|session, _| session.lane != lane);
        self.answers.retain(|session, _| session.lane != lane);
    }

    /// What a user's session showed, the oldest first.
    pub fn of(&self, session: SessionIx, user: UserId) -> impl Iterator<Item = Moment> + '_ {
        let own = self.moments.get(&session).filter(|(whose, _)| *whose == user);
        own.into_iter().flat_map(|(_, moments)| moments).copied()
    }

    /// The last answer on a user's session.
    #[must_use]
    pub fn last_answer(&self, session: SessionIx, user: UserId) -> Option<&LastAnswer> {
        self.answers.get(&session).filter(|(whose, _)| *whose == user).map(|(_, answer)| answer)
    }

    fn note(&mut self, session: SessionIx, user: UserId, what: What, at: MonoTime) {
        if self.moments.len() >= SESSIONS && !self.moments.contains_key(&session) {
            return;
        }
        let (whose, moments) = self.moments.entry(session).or_default();
        if std::mem::replace(whose, user) != user {
            moments.clear();
        }
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
        let told: Vec<(MonoTime, What)> =
            story.of(session, user).map(|moment| (moment.at, moment.what)).collect();
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
        assert_eq!(story.of(session, user).count(), MOMENTS);
        assert_eq!(story.of(session, user).last().map(|moment| moment.at), Some(at(109)));
        let next = Guid::from_u128(2);
        assert_eq!(story.of(session, next).count(), 0, "somebody else has this place now");
        story.hear(&Event::Cleared { session, user: next }, at(200), None);
        assert_eq!((story.of(session, next).count(), story.of(session, user).count()), (1, 0));
        story.closed(LaneIx(0));
        assert_eq!(story.of(session, user).count(), 0);
    }

    #[test]
    fn lateness_is_noted_once_and_ends_with_the_renewal_that_was_late() {
        let (session, user) = (SessionIx { lane: LaneIx(0), slot: Slot(3) }, Guid::from_u128(1));
        let state = PresenceState::Away;
        let mut story = Story::default();
        story.granted((session, user), at(1), || Some((state, true)));
        for secs in 2..5 {
            story.late((session, user), state, true, at(secs));
        }
        story.granted((session, user), at(6), || panic!("it is followed"));
        story.granted((session, user), at(7), || panic!("it is followed"));
        story.hear(&Event::Cleared { session, user }, at(8), Some(Instead::Release));
        let told: Vec<(MonoTime, What)> =
            story.of(session, user).map(|moment| (moment.at, moment.what)).collect();
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
