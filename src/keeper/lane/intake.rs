//! What the plan, the ledger and changes between plans make of the sessions.

use super::super::event::{OnRemove, Over, Record};
use super::super::funding::{self, Load};
use super::super::id::{Slot, UserId};
use super::super::plan::SessionPlan;
use super::super::presence::{Expiration, Wish};
use super::super::session::{Fate, Session, phase_index};
use super::super::time::MonoTime;
use super::Lane;

/// What the plan says of a session that is overridden.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Planned {
    pub(in super::super) wish: Option<Wish>,
    /// When it ends, as far as known; else [`MonoTime::FAR`].
    pub(in super::super) until: MonoTime,
    /// Whether the quota was found to keep what it wants, now or at another time of the day.
    funded: bool,
}

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
        let wish = Some(record.wish).filter(|_| !self.released);
        if self.released {
            self.overridden.insert(slot, Planned { wish: Some(record.wish), until: MonoTime::FAR, funded });
        }
        let mut session = Session::new(user, wish, funded, now);
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

    /// The plan has this session, new or changed, and says the same of it `until` then.
    pub(in super::super) fn plan(&mut self, plan: SessionPlan, until: MonoTime, now: MonoTime) {
        let SessionPlan { wish, funded, .. } = plan;
        let planned = Planned { wish, until, funded };
        let Some(slot) = self.slot_of(plan.user) else {
            let mut session = Session::new(plan.user, wish, funded, now);
            session.until = until;
            if self.released {
                (session.wish, session.until) = (None, MonoTime::FAR);
            }
            let slot = self.admit(session);
            if self.released {
                self.overridden.insert(slot, planned);
            }
            self.settle(slot, now);
            return;
        };
        self.notice_lapse(slot, now);
        let overridden = self.overridden.get_mut(&slot).map(|was| *was = planned).is_some();
        let changed = self.with(slot, |s| {
            let (before, ended) = ((s.wish, s.funded, s.fate), s.until);
            if !overridden {
                s.wish = wish;
                s.until = until;
                s.urgent = false;
            }
            // Where the plan wants nothing at any time, what an override wants was weighed when it came.
            s.funded = funded || overridden && wish.is_none() && s.funded;
            s.fate = Fate::Planned;
            let changed = before != (s.wish, s.funded, s.fate);
            if changed {
                s.since = now;
                s.attempt = 0;
            }
            changed || ended != s.until
        });
        if changed {
            self.settle(slot, now);
        }
    }

    /// Between plans the plan's word on a session is another. One that is told again, or whose session is gone, changes
    /// nothing.
    pub(in super::super) fn change(
        &mut self,
        slot: Slot,
        wish: Option<Wish>,
        until: MonoTime,
        now: MonoTime,
    ) {
        if !self.is_taken(slot) {
            return;
        }
        match self.overridden.get_mut(&slot) {
            Some(planned) => (planned.wish, planned.until) = (wish, until),
            None => self.want(slot, wish, until, false, now),
        }
    }

    /// An override begins, is another, or ends. One that is told again, or whose session is gone, changes nothing.
    pub(in super::super) fn override_with(&mut self, slot: Slot, over: Option<Over>, now: MonoTime) {
        if !self.is_taken(slot) {
            return;
        }
        let session = self.session(slot);
        let (wish, until) = match over {
            Some(Over { wish, until }) => {
                let planned = Planned { wish: session.wish, until: session.until, funded: session.funded };
                let planned = *self.overridden.entry(slot).or_insert(planned);
                if planned.wish.is_none() && !planned.funded {
                    let fits = self.has_room_for(slot, wish);
                    self.with(slot, |s| s.funded = fits);
                }
                (wish, until)
            }
            None => match self.overridden.remove(&slot) {
                Some(Planned { wish, until, funded }) => {
                    self.with(slot, |s| s.funded = funded);
                    (wish, until)
                }
                None => return,
            },
        };
        self.want(slot, wish, until, true, now);
    }

    /// Whether the quota can keep one more session than it does: the plan has not counted on it.
    fn has_room_for(&self, slot: Slot, wish: Option<Wish>) -> bool {
        let mut load = self.load;
        load.take(self.session(slot).kept_wish().map(Load::of).unwrap_or_default());
        load.add(wish.map(Load::of).unwrap_or_default());
        load <= funding::capacity(self.head.quota)
    }

    fn is_taken(&self, slot: Slot) -> bool {
        self.sessions.get(slot.0 as usize).is_some_and(|session| self.slot_of(session.user) == Some(slot))
    }

    /// Something else is wanted of a session from now on.
    fn want(&mut self, slot: Slot, wish: Option<Wish>, until: MonoTime, urgent: bool, now: MonoTime) {
        let before = self.session(slot);
        if (before.wish, before.until, before.urgent) == (wish, until, urgent) {
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
