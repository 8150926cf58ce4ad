//! What the plan, the ledger and changes between plans make of the sessions.

use super::super::event::{OnRemove, Record};
use super::super::funding::Load;
use super::super::id::{Slot, UserId};
use super::super::plan::SessionPlan;
use super::super::presence::{Expiration, Wish};
use super::super::session::{Fate, Session, phase_index};
use super::super::time::MonoTime;
use super::Lane;

impl Lane {
    /// A place for a new session.
    fn admit(&mut self, session: Session) -> Slot {
        self.phases[phase_index(session.phase())] += 1;
        self.owned += u32::from(session.owned());
        self.load.add(session.kept_wish().map(Load::of).unwrap_or_default());
        let user = session.user;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.sessions[slot.0 as usize] = session;
                slot
            }
            None => {
                self.sessions.push(session);
                Slot(
                    u32::try_from(self.sessions.len() - 1)
                        .expect("no lane has four thousand million sessions"),
                )
            }
        };
        self.by_user.insert(user, slot);
        slot
    }

    /// Puts a session back as the ledger remembers it, in the slot that it had. Slots come in
    /// their order; those left out are free.
    pub(in super::super) fn restore(
        &mut self,
        slot: Slot,
        user: UserId,
        record: Record,
        funded: bool,
        now: MonoTime,
    ) {
        while self.sessions.len() < slot.0 as usize {
            self.free.push(Slot(u32::try_from(self.sessions.len()).unwrap_or(u32::MAX)));
            self.sessions.push(Session::new(UserId::default(), None, false, now));
        }
        let mut session = Session::new(user, Some(record.wish), funded, now);
        session.lease = record.lease.filter(|lease| lease.sent_at <= now);
        session.granted_for = session.lease.map(|_| record.wish);
        session.holds_until = match session.lease {
            Some(lease) => lease.expires_at(),
            None => now + Expiration::MAX.duration(),
        };
        self.phases[phase_index(session.phase())] += 1;
        self.owned += 1;
        self.load.add(session.kept_wish().map(Load::of).unwrap_or_default());
        debug_assert_eq!(self.sessions.len(), slot.0 as usize, "slots are restored in their order");
        self.sessions.push(session);
        self.by_user.insert(user, slot);
    }

    /// Places what was restored, now that the load of all is known.
    pub(in super::super) fn restored(&mut self, now: MonoTime) {
        let sent = self.sessions.iter().filter_map(|session| Some(session.lease?.sent_at));
        self.budget.resume(sent, now);
        for slot in self.slots() {
            self.settle(slot, now);
        }
    }

    /// The plan has this session, new or changed.
    pub(in super::super) fn plan(&mut self, plan: SessionPlan, now: MonoTime) {
        let Some(slot) = self.slot_of(plan.user) else {
            let slot = self.admit(Session::new(plan.user, plan.wish, plan.funded, now));
            self.settle(slot, now);
            return;
        };
        self.notice_lapse(slot, now);
        let changed = self.with(slot, |s| {
            let changed = (s.wish, s.funded, s.fate) != (plan.wish, plan.funded, Fate::Planned);
            s.wish = plan.wish;
            s.until = MonoTime::FAR;
            s.urgent = false;
            s.funded = plan.funded;
            s.fate = Fate::Planned;
            if changed {
                s.since = now;
                s.attempt = 0;
            }
            changed
        });
        if changed {
            self.settle(slot, now);
        }
    }

    /// Between plans something else is wanted of a session. One that is told again, or whose session is gone, changes
    /// nothing.
    pub(in super::super) fn change(
        &mut self,
        slot: Slot,
        wish: Option<Wish>,
        until: MonoTime,
        urgent: bool,
        now: MonoTime,
    ) {
        let Some(before) = self.sessions.get(slot.0 as usize) else { return };
        let told_again = (before.wish, before.until, before.urgent) == (wish, until, urgent);
        if told_again || self.slot_of(before.user) != Some(slot) {
            return;
        }
        self.notice_lapse(slot, now);
        self.with(slot, |s| {
            if s.wish != wish {
                s.since = now;
                s.attempt = 0;
            }
            s.wish = wish;
            s.until = until;
            s.urgent = urgent;
        });
        self.settle(slot, now);
    }

    /// The plan has this session no more.
    pub(in super::super) fn remove(&mut self, user: UserId, moves: bool, on_remove: OnRemove, now: MonoTime) {
        let Some(slot) = self.slot_of(user) else { return };
        let fate = match on_remove {
            OnRemove::Leave => Fate::Leave,
            OnRemove::Clear if moves => Fate::Moving,
            OnRemove::Clear => Fate::Clear,
        };
        self.with(slot, |s| {
            s.fate = fate;
            s.since = now;
            s.parked = None;
            s.parks = 0;
            s.attempt = 0;
        });
        self.settle(slot, now);
    }

    /// The user of a session that moves is set where it moves to.
    pub(in super::super) fn moved(&mut self, slot: Slot, user: UserId, now: MonoTime) {
        if self.slot_of(user) == Some(slot) && self.session(slot).fate == Fate::Moving {
            self.with(slot, |s| s.fate = Fate::Clear);
            self.settle(slot, now);
        }
    }
}
