//! One lane: its sessions and what it has to spend. Lanes know nothing of each other.

mod answer;
mod intake;
mod pick;
mod place;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::agenda::{Agenda, Queue};
use super::budget::Budget;
use super::event::{Event, OnRemove, Output};
use super::funding::{self, Load};
use super::id::{Generation, LaneIx, LaneKey, SessionIx, Slot, UserId};
use super::plan::LaneHead;
use super::session::{Fate, Need, PHASES, Session, phase_index};
use super::snapshot::Phase;
use super::tally::Tally;
use super::time::MonoTime;
use super::token::Token;
use super::trouble::Standing;

pub(super) use pick::{CLOSE, Step, Turn};

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
    /// What the plan says of those that are overridden.
    pub(super) overridden: HashMap<Slot, intake::Planned>,
    /// Whoever is new is overridden with no session.
    pub(super) released: bool,
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
    /// Requests since the last clear.
    since_clear: u8,
    /// Sessions that are renewed ahead of their time.
    renew_all: Walk,
    pub(super) drain: Option<Drain>,
    /// The app is gone from the config: what is left here ends by then.
    pub(super) closes_at: Option<MonoTime>,
    /// Since when it cannot renew.
    pub(super) down_since: Option<MonoTime>,
    /// Sessions rejected on a token, to be tried again with the next.
    awaiting_token: Vec<Slot>,
    /// Somebody was rejected on this token a second time: another session is to show whether it is any good.
    unproven: Option<Generation>,
    /// What is to go out.
    pub(super) out: Outbox,
}

/// A walk once round all slots, a few at a time.
#[derive(Debug, Default)]
struct Walk {
    /// Leases sent before then are renewed.
    began: MonoTime,
    next: usize,
    /// Slots to look at.
    left: usize,
}

/// The end of all sending.
#[derive(Debug)]
pub(super) struct Drain {
    /// Whether what we hold is cleared first.
    pub(super) clear: bool,
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
            overridden: HashMap::new(),
            released: false,
            agenda: Agenda::default(),
            budget,
            token: Token::default(),
            standing: Standing::default(),
            load: Load::default(),
            shared_fraction: funding::FRACTION_MIN,
            phases: [0; PHASES],
            owned: 0,
            tally: Tally::default(),
            since_clear: 0,
            renew_all: Walk::default(),
            drain: None,
            closes_at: None,
            down_since: None,
            awaiting_token: Vec::new(),
            unproven: None,
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

    pub(super) fn agenda(&self) -> &Agenda {
        &self.agenda
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

    /// The slots that are taken, ascending.
    fn slots(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.by_user.values().copied().collect();
        slots.sort_unstable();
        slots
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

    /// Tries what was refused again, at once.
    pub(super) fn unpark(&mut self, now: MonoTime) {
        self.standing.try_now(now);
        while let Some((_, slot)) = self.agenda.first(Queue::Parked) {
            self.settle(slot, now);
        }
    }

    pub(super) fn renew_all(&mut self, now: MonoTime) {
        // It goes on where the last one was: asked for often, it still comes to everyone.
        self.renew_all.began = now;
        self.renew_all.left = self.sessions.len();
    }

    /// Ends all sending but, if asked, a clear of each session that we hold.
    pub(super) fn begin_drain(&mut self, clear: bool, now: MonoTime) {
        self.drain = Some(Drain { clear });
        self.renew_all = Walk::default();
        if clear {
            for slot in self.slots() {
                self.remove(self.session(slot).user, false, OnRemove::Clear, now);
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
    pub(super) fn late(&self, now: MonoTime) -> impl Iterator<Item = Slot> + '_ {
        let margin = Duration::from_secs(300).mul_f64((1.0 - self.fraction(now)) / 2.0);
        let renewals = self.agenda.before(Queue::Renewal, now + margin);
        let repeats = self.agenda.before(Queue::Retry, MonoTime::FAR);
        renewals.chain(repeats).filter(|slot| self.session(*slot).phase() == Phase::Held)
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
