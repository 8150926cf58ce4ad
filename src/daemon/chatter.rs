//! Which lines about single sessions are worth reading.

use std::collections::HashMap;
use std::time::Duration;

use crate::keeper::diff::Counts;
use crate::keeper::event::{Event, Why};
use crate::keeper::id::{LaneIx, SessionIx};
use crate::keeper::{MonoTime, Refusal};

/// Quiets what comes in heaps: the sessions of a large plan, those that come back after an outage, and what was said
/// before. A quiet line is a debug line; counts are in the lines about the whole.
#[derive(Debug, Default)]
pub(super) struct Chatter {
    /// Sessions of a large plan that nothing was heard of yet.
    of_plan: usize,
    /// The same of large plans before this one: which sessions they are is not known.
    of_older: usize,
    /// When all lines of heaps that were told so far have been made up for, at one a [`Self::PACE`].
    told_until: MonoTime,
    parked: HashMap<SessionIx, Refusal>,
}

impl Chatter {
    /// A plan that changes more sessions than this is large.
    const MANY: usize = 100;
    /// So many sessions of a heap have a line each: enough to see what it is about, in a log that stays readable.
    const FEW: u32 = 20;
    /// After those, one more in this time has one, so that what trickles for days is not silent.
    const PACE: Duration = Duration::from_secs(60);

    /// A plan is about to be carried out.
    pub(super) fn plan(&mut self, counts: Counts) {
        let all = counts.added + counts.changed + counts.removed;
        let rest = self.of_plan + self.of_older;
        (self.of_plan, self.of_older) = (if all > Self::MANY { all } else { 0 }, rest);
    }

    /// A lane is gone, and its places with it.
    pub(super) fn closed(&mut self, lane: LaneIx) {
        self.parked.retain(|session, _| session.lane != lane);
    }

    /// Whether this event's line is worth reading.
    pub(super) fn is_loud(&mut self, event: &Event, now: MonoTime) -> bool {
        match event {
            Event::Set { session, why, .. } => {
                self.parked.remove(session);
                if *why == Why::Regained { self.one_of_a_few(now) } else { self.planned(now) }
            }
            Event::Cleared { session, .. } => {
                self.parked.remove(session);
                self.planned(now)
            }
            Event::Parked { session, refusal, .. } => {
                self.of_plan = self.of_plan.saturating_sub(1);
                self.parked.insert(*session, *refusal) != Some(*refusal)
            }
            Event::Unparked { session, .. } => self.parked.remove(session).is_some(),
            _ => true,
        }
    }

    fn planned(&mut self, now: MonoTime) -> bool {
        if self.of_plan > 0 {
            self.of_plan -= 1;
            return false;
        }
        if self.of_older > 0 {
            self.of_older -= 1;
            return self.one_of_a_few(now);
        }
        true
    }

    fn one_of_a_few(&mut self, now: MonoTime) -> bool {
        let until = self.told_until.max(now);
        if until.since(now) > Self::PACE * (Self::FEW - 1) {
            return false;
        }
        self.told_until = until + Self::PACE;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::PresenceState;
    use crate::keeper::id::{Guid, Slot};

    const NOW: MonoTime = MonoTime::from_secs(1_000);

    fn session(slot: u32) -> SessionIx {
        SessionIx { lane: LaneIx(0), slot: Slot(slot) }
    }

    fn set(slot: u32, why: Why) -> Event {
        let user = Guid::from_u128(slot.into());
        Event::Set { session: session(slot), user, from: None, to: PresenceState::Away, why }
    }

    fn parked(slot: u32, refusal: Refusal) -> Event {
        let user = Guid::from_u128(slot.into());
        Event::Parked { session: session(slot), user, refusal, next_try: Duration::from_secs(300) }
    }

    fn added(added: usize) -> Counts {
        Counts { added, ..Counts::default() }
    }

    #[test]
    fn a_small_plan_is_told_session_by_session_and_a_large_one_is_not() {
        let mut chatter = Chatter::default();
        chatter.plan(added(100));
        assert!((0..100).all(|slot| chatter.is_loud(&set(slot, Why::Added), NOW)));

        chatter.plan(added(101));
        assert!((0..101).all(|slot| !chatter.is_loud(&set(slot, Why::Added), NOW)));
        assert!(chatter.is_loud(&set(1, Why::Changed), NOW), "the plan is through");
    }

    #[test]
    fn a_small_plan_amid_a_large_one_does_not_tell_the_rest_of_it() {
        let mut chatter = Chatter::default();
        chatter.plan(added(10_000));
        assert!((0..1_000).all(|slot| !chatter.is_loud(&set(slot, Why::Added), NOW)));
        chatter.plan(added(1));
        assert!(chatter.is_loud(&set(10_001, Why::Added), NOW), "the small one's");
        let loud = (1_000..10_000).filter(|&slot| chatter.is_loud(&set(slot, Why::Added), NOW)).count();
        assert!(loud <= 21, "{loud}");
        chatter.plan(added(100));
        assert!((0..99).all(|slot| chatter.is_loud(&set(slot, Why::Changed), NOW + Chatter::PACE)));
    }

    #[test]
    fn after_an_outage_the_first_twenty_are_told_and_then_one_a_minute() {
        let mut chatter = Chatter::default();
        let mut loud_at = |secs: u64| {
            let now = NOW + Duration::from_secs(secs);
            (0..1_000).filter(|&slot| chatter.is_loud(&set(slot, Why::Regained), now)).count()
        };
        assert_eq!([0, 59, 60, 180, 24 * 3_600].map(&mut loud_at), [20, 0, 1, 2, 20]);
    }

    #[test]
    fn a_user_who_stays_parked_is_told_once() {
        let mut chatter = Chatter::default();
        assert!(chatter.is_loud(&parked(1, Refusal::NotFound), NOW));
        assert!(!chatter.is_loud(&parked(1, Refusal::NotFound), NOW));
        assert!(chatter.is_loud(&parked(1, Refusal::Forbidden), NOW), "that is news");
        chatter.closed(LaneIx(0));
        assert!(chatter.is_loud(&parked(1, Refusal::Forbidden), NOW), "another lane's user");
    }
}
