//! Where a session stands: in which queue, watched or not, or nowhere.

use std::time::Duration;

use super::super::agenda::{Place, Queue};
use super::super::event::{Lease, Output};
use super::super::id::Slot;
use super::super::session::{Fate, Need, Session, phase_index};
use super::super::time::MonoTime;
use super::Lane;

/// How long a user who moves is kept here while the state is not set in the other lane.
const MOVE_PATIENCE: Duration = Duration::from_secs(300);

impl Lane {
    /// Puts a session where it belongs. Harmless when it stands there already.
    pub(super) fn settle(&mut self, slot: Slot, now: MonoTime) {
        let session = self.session(slot);
        if session.asked.is_some() {
            return;
        }
        let place = match session.need() {
            Need::Nothing => {
                self.stand(slot, None);
                if self.session(slot).fate != Fate::Planned {
                    self.dismiss(slot);
                }
                return;
            }
            Need::Clear if session.fate == Fate::Moving => (Queue::Moving, session.since + MOVE_PATIENCE),
            // Who is to show nothing for a while waits no longer than who is to show something else.
            Need::Clear | Need::Change if session.fate == Fate::Planned => {
                (if session.urgent { Queue::Override } else { Queue::Change }, session.since)
            }
            Need::Clear | Need::Change => (Queue::Clear, session.since),
            Need::Renewal => self.renewal_place(session, now),
        };
        self.stand(slot, Some(place));
    }

    /// Where a session stands whose lease is as wanted.
    fn renewal_place(&self, session: &Session, now: MonoTime) -> Place {
        let lease = session.lease.expect("only a lease needs renewing");
        let lapses_at = lease.lapses_at();
        let due = self.due_at(&lease, session.until, now);
        if session.lapsed {
            (Queue::Lapsed, lapses_at)
        } else if due <= now {
            (Queue::Renewal, lapses_at)
        } else {
            (Queue::Due, due)
        }
    }

    /// Since when a session is due that is to be renewed now; `None`: it is not, its renewal would be an early one.
    pub(super) fn due_since(&self, slot: Slot, now: MonoTime) -> Option<MonoTime> {
        let session = self.session(slot);
        let due = session.need() == Need::Renewal
            && session.place.is_some_and(|(queue, _)| !matches!(queue, Queue::Due | Queue::Moving));
        let lease = session.lease.filter(|_| due)?;
        // The fraction may have grown since it became due.
        Some(self.due_at(&lease, session.until, now).min(now))
    }

    /// When a lease is renewed: f x term after its send; not before the wish ends if it lasts that long.
    fn due_at(&self, lease: &Lease, until: MonoTime, now: MonoTime) -> MonoTime {
        /// What comes at the edge is given this long to arrive.
        const LATE_EDGE: Duration = Duration::from_secs(5);
        let lapses_at = lease.lapses_at();
        if lease.sent_at < until && until <= lapses_at {
            return until + LATE_EDGE.min(lapses_at.since(until) / 2);
        }
        lease.sent_at + lease.granted.term().mul_f64(self.fraction(now))
    }

    pub(super) fn stand(&mut self, slot: Slot, place: Option<Place>) {
        let session = &mut self.sessions[slot.0 as usize];
        if session.place == place {
            return;
        }
        if let Some(before) = std::mem::replace(&mut session.place, place) {
            self.agenda.take(slot, before);
        }
        if let Some(place) = place {
            self.agenda.put(slot, place);
        }
    }

    pub(super) fn watch(&mut self, slot: Slot) {
        let session = &mut self.sessions[slot.0 as usize];
        if let Some(lease) = session.lease.filter(|_| !session.watched && !session.lapsed) {
            session.watched = true;
            self.agenda.watch(slot, lease.lapses_at());
        }
    }

    pub(super) fn unwatch(&mut self, slot: Slot) {
        let session = &mut self.sessions[slot.0 as usize];
        if let Some(lease) = session.lease.filter(|_| session.watched) {
            session.watched = false;
            self.agenda.unwatch(slot, lease.lapses_at());
        }
    }

    /// The service holds this session no more, or may keep what it holds.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.unwatch(slot);
        let owned = self.with(slot, |s| {
            s.lease = None;
            s.granted_for = None;
            s.lapsed = false;
            std::mem::replace(&mut s.holds_until, MonoTime::ZERO) > MonoTime::ZERO
        });
        if owned {
            let (session, user) = (self.session_ix(slot), self.session(slot).user);
            self.out.push_back(Output::Remember { session, user, record: None });
        }
    }

    /// Gives up the place of a session that nobody wants.
    fn dismiss(&mut self, slot: Slot) {
        self.forget(slot);
        let session = self.session(slot);
        let (phase, user) = (session.phase(), session.user);
        self.phases[phase_index(phase)] -= 1;
        self.by_user.remove(&user);
        self.overridden.remove(&slot);
        self.free.push(slot);
    }
}
