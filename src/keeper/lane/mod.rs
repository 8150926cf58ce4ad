//! One lane: its sessions and what it has to spend. Lanes know nothing of each other.

mod answer;
mod pick;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::agenda::{Agenda, Place, Queue};
use super::budget::Budget;
use super::event::{Event, Lease, OnRemove, Output, Record};
use super::funding::{self, Load};
use super::id::{LaneIx, LaneKey, SessionIx, Slot, UserId};
use super::machine::Turn;
use super::plan::{LaneHead, SessionPlan};
use super::presence::Wish;
use super::session::{Fate, Need, PHASES, Session, phase_index};
use super::snapshot::Phase;
use super::time::MonoTime;
use super::token::Token;
use super::trouble::Standing;

pub(super) use pick::{Step, Urgency};

/// How long a user who moves is kept here while the state is not set in the other lane.
const MOVE_PATIENCE: Duration = Duration::from_secs(300);

/// What goes out of the keeper.
pub(super) type Outbox = VecDeque<Output>;

/// One app registration in one tenant.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) ix: LaneIx,
    /// Its place among the apps whose lanes share a budget.
    pub(super) app: usize,
    /// It waits for that budget, here.
    pub(super) starved: Option<Turn>,
    /// The turn at that budget in which it was served last.
    pub(super) served: u64,
    pub(super) key: LaneKey,
    pub(super) head: LaneHead,
    pub(super) sessions: Vec<Session>,
    free: Vec<Slot>,
    by_user: HashMap<UserId, Slot>,
    agenda: Agenda,
    pub(super) budget: Budget,
    pub(super) token: Token,
    pub(super) standing: Standing,
    /// Of the sessions that are wanted and funded.
    pub(super) load: Load,
    /// The fraction that lanes of the same client id need together.
    pub(super) shared_fraction: f64,
    phases: [u32; PHASES],
    /// Sessions that the service may hold for us.
    pub(super) owned: u32,
    pub(super) tally: Tally,
    clears: ClearShare,
    renew_all: Option<Walk>,
    pub(super) drain: Option<Drain>,
    /// The app is gone from the config: what is left here ends by then.
    pub(super) closes_at: Option<MonoTime>,
    /// Since when it cannot renew.
    pub(super) down_since: Option<MonoTime>,
    /// Sessions rejected on a token, to be tried again with the next.
    awaiting_token: Vec<Slot>,
    /// What is to go out.
    pub(super) out: Outbox,
}

/// What a lane counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) renewals: u64,
    pub(super) granted: u64,
    pub(super) throttled: u64,
    pub(super) token_rejected: u64,
    pub(super) refused: u64,
    pub(super) lost: u64,
    pub(super) lapses: u64,
}

/// A walk over all slots, a few at a time.
#[derive(Debug)]
struct Walk {
    began: MonoTime,
    next: usize,
}

/// The end of all sending.
#[derive(Debug)]
pub(super) struct Drain {
    /// Whether what we hold is cleared first.
    pub(super) clear: bool,
}

/// Sees to it that clears get their share.
#[derive(Debug, Default)]
struct ClearShare {
    others_since: u8,
}

impl Lane {
    pub(super) fn new(ix: LaneIx, app: usize, key: LaneKey, head: LaneHead, now: MonoTime) -> Self {
        let budget = Budget::new(head.quota, now);
        Self {
            ix,
            app,
            starved: None,
            served: 0,
            key,
            head,
            sessions: Vec::new(),
            free: Vec::new(),
            by_user: HashMap::new(),
            agenda: Agenda::default(),
            budget,
            token: Token::default(),
            standing: Standing::default(),
            load: Load::default(),
            shared_fraction: funding::FRACTION_MIN,
            phases: [0; PHASES],
            owned: 0,
            tally: Tally::default(),
            clears: ClearShare::default(),
            renew_all: None,
            drain: None,
            closes_at: None,
            down_since: None,
            awaiting_token: Vec::new(),
            out: Outbox::new(),
        }
    }

    /// The config has it, perhaps again, with this name and quota.
    pub(super) fn reopen(&mut self, head: LaneHead, now: MonoTime) {
        self.closes_at = None;
        self.drain = None;
        self.budget.change(head.quota, now);
        self.head = head;
    }

    pub(super) fn session_ix(&self, slot: Slot) -> SessionIx {
        SessionIx { lane: self.ix, slot }
    }

    pub(super) fn session(&self, slot: Slot) -> &Session {
        &self.sessions[slot.0 as usize]
    }

    pub(super) fn count(&self, phase: Phase) -> u32 {
        self.phases[phase_index(phase)]
    }

    /// Sessions that it has to keep.
    pub(super) fn wanted(&self) -> u32 {
        self.by_user.len().try_into().unwrap_or(u32::MAX)
            - self.count(Phase::Empty)
            - self.count(Phase::Clearing)
            - self.count(Phase::Unfunded)
    }

    /// Sessions that are to be cleared.
    pub(super) fn clearing(&self) -> u32 {
        self.count(Phase::Clearing)
    }

    pub(super) fn has_sessions(&self) -> bool {
        !self.by_user.is_empty()
    }

    /// Whether this user's state is set here.
    pub(super) fn holds(&self, user: UserId) -> bool {
        self.by_user
            .get(&user)
            .map(|&slot| self.session(slot))
            .is_some_and(|s| s.fate == Fate::Planned && s.lease.is_some() && s.need() == Need::Renewal)
    }

    pub(super) fn slot_of(&self, user: UserId) -> Option<Slot> {
        self.by_user.get(&user).copied()
    }

    /// After which share of its term a session is renewed.
    pub(super) fn fraction(&self, now: MonoTime) -> f64 {
        funding::fraction(self.load, self.budget.rate(now)).max(self.shared_fraction)
    }

    /// Planned renewals in five minutes.
    pub(super) fn normal(&self, now: MonoTime) -> f64 {
        self.load.hertz() / self.fraction(now) * 300.0
    }

    /// How long setting every session would take.
    fn cold_start(&self) -> Duration {
        funding::time_to_set(self.wanted() as usize, self.head.quota)
    }

    /// Changes a session and keeps the counts right.
    fn with<T>(&mut self, slot: Slot, change: impl FnOnce(&mut Session) -> T) -> T {
        let session = &mut self.sessions[slot.0 as usize];
        let (phase, owned, load) = (session.phase(), session.owned(), session.kept_wish().map(Load::of));
        let result = change(session);
        let (phase_now, owned_now) = (session.phase(), session.owned());
        let load_now = session.kept_wish().map(Load::of);
        self.phases[phase_index(phase)] -= 1;
        self.phases[phase_index(phase_now)] += 1;
        self.owned = self.owned + u32::from(owned_now) - u32::from(owned);
        if load != load_now {
            self.load.add(load_now.unwrap_or_default());
            self.load.take(load.unwrap_or_default());
        }
        result
    }

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
    pub(super) fn restore(&mut self, slot: Slot, user: UserId, record: Record, now: MonoTime) {
        while self.sessions.len() < slot.0 as usize {
            self.free.push(Slot(u32::try_from(self.sessions.len()).unwrap_or(u32::MAX)));
            self.sessions.push(Session::new(UserId::default(), None, false, now));
        }
        let mut session = Session::new(user, Some(record.wish), true, now);
        session.lease = record.lease.filter(|lease| lease.sent_at <= now);
        session.granted_for = session.lease.map(|_| record.wish);
        session.holds_until = match session.lease {
            Some(lease) => lease.expires_at(),
            None => now + super::presence::Expiration::MAX.duration(),
        };
        self.phases[phase_index(session.phase())] += 1;
        self.owned += 1;
        self.load.add(Load::of(record.wish));
        debug_assert_eq!(self.sessions.len(), slot.0 as usize, "slots are restored in their order");
        self.sessions.push(session);
        self.by_user.insert(user, slot);
    }

    /// Places what was restored, now that the load of all is known.
    pub(super) fn restored(&mut self, now: MonoTime) {
        let slots: Vec<Slot> = self.by_user.values().copied().collect();
        for slot in slots {
            self.settle(slot, now);
        }
    }

    /// The plan has this session, new or changed.
    pub(super) fn plan(&mut self, plan: SessionPlan, now: MonoTime) {
        let Some(slot) = self.slot_of(plan.user) else {
            let slot = self.admit(Session::new(plan.user, plan.wish, plan.funded, now));
            self.settle(slot, now);
            return;
        };
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

    /// Between plans something else is wanted of a session.
    pub(super) fn change(
        &mut self,
        slot: Slot,
        wish: Option<Wish>,
        until: MonoTime,
        urgent: bool,
        now: MonoTime,
    ) {
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
    pub(super) fn remove(&mut self, user: UserId, moves: bool, on_remove: OnRemove, now: MonoTime) {
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
    pub(super) fn moved(&mut self, slot: Slot, user: UserId, now: MonoTime) {
        if self.session(slot).user == user && self.session(slot).fate == Fate::Moving {
            self.with(slot, |s| s.fate = Fate::Clear);
            self.settle(slot, now);
        }
    }

    /// Puts a session where it belongs. Harmless when it stands there already.
    fn settle(&mut self, slot: Slot, now: MonoTime) {
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
            Need::Clear if session.fate == Fate::Moving => (Queue::Retry, session.since + MOVE_PATIENCE),
            Need::Clear => (Queue::Clear, session.since),
            Need::Change if session.urgent => (Queue::Override, session.since),
            Need::Change => (Queue::Change, session.since),
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

    fn stand(&mut self, slot: Slot, place: Option<Place>) {
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

    fn watch(&mut self, slot: Slot) {
        let session = &mut self.sessions[slot.0 as usize];
        if let Some(lease) = session.lease.filter(|_| !session.watched && !session.lapsed) {
            session.watched = true;
            self.agenda.watch(slot, lease.lapses_at());
        }
    }

    fn unwatch(&mut self, slot: Slot) {
        let session = &mut self.sessions[slot.0 as usize];
        if let Some(lease) = session.lease.filter(|_| session.watched) {
            session.watched = false;
            self.agenda.unwatch(slot, lease.lapses_at());
        }
    }

    /// The service holds this session no more, or may keep what it holds.
    fn forget(&mut self, slot: Slot) {
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
        self.free.push(slot);
    }

    /// Tries what was refused again, at once.
    pub(super) fn unpark(&mut self, now: MonoTime) {
        self.standing.try_now(now);
        while let Some((_, slot)) = self.agenda.first(Queue::Parked) {
            self.settle(slot, now);
        }
    }

    pub(super) fn renew_all(&mut self, now: MonoTime) {
        self.renew_all = Some(Walk { began: now, next: 0 });
    }

    /// Ends all sending but, if asked, a clear of each session that we hold.
    pub(super) fn begin_drain(&mut self, clear: bool, now: MonoTime) {
        self.drain = Some(Drain { clear });
        self.renew_all = None;
        if clear {
            let users: Vec<UserId> = self.by_user.keys().copied().collect();
            for user in users {
                self.remove(user, false, OnRemove::Clear, now);
            }
        }
    }

    /// Whether draining has nothing more to wait for.
    pub(super) fn drained(&self) -> bool {
        self.drain
            .as_ref()
            .is_some_and(|drain| self.budget.in_flight() == 0 && (!drain.clear || self.owned == 0))
    }

    /// The first lapse that is to come, as far as it is near.
    pub(super) fn next_lapse(&self) -> Option<MonoTime> {
        let due = self.agenda.first(Queue::Due).and_then(|(_, slot)| self.session(slot).lease);
        let renewal = self.agenda.first(Queue::Renewal);
        [
            due.map(|lease| lease.lapses_at()),
            renewal.map(|(at, _)| at),
            self.agenda.first_watched().map(|(at, _)| at),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Sessions close to their lapse, or waiting for a repeat.
    pub(super) fn late(&self, now: MonoTime) -> u32 {
        let margin = Duration::from_secs(300).mul_f64((1.0 - self.fraction(now)) / 2.0);
        let held = |slot: &Slot| self.session(*slot).phase() == Phase::Held;
        let renewals = self.agenda.before(Queue::Renewal, now + margin).filter(held).count();
        let repeats = self.agenda.before(Queue::Retry, MonoTime::FAR).filter(held).count();
        u32::try_from(renewals + repeats).unwrap_or(u32::MAX)
    }

    fn tell_down(&mut self, trouble: super::event::Trouble, now: MonoTime) {
        if self.down_since.is_some() {
            return;
        }
        self.down_since = Some(now);
        self.out.push_back(Output::Event(Event::LaneDown {
            lane: self.ix,
            trouble,
            sessions: self.wanted(),
            first_lapse_in: self.next_lapse().map(|at| at.since(now)),
        }));
    }
}
