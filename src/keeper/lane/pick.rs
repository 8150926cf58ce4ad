//! Which request goes out next, and when.

use std::time::Duration;

use super::super::agenda::Queue;
use super::super::budget::Budget;
use super::super::event::{Call, Event, Output, Record, Request};
use super::super::id::{Generation, LaneIx, Slot};
use super::super::presence::{Expiration, Wish};
use super::super::session::{Asked, Fate, Need, Session};
use super::super::snapshot::Phase;
use super::super::time::MonoTime;
use super::{Drain, Lane};

/// A renewal that lapses sooner than this goes before everything else.
pub(in crate::keeper) const CLOSE: Duration = Duration::from_secs(20);
/// One request in so many is a clear, if any waits.
const CLEAR_SHARE: u8 = 20;
/// How many sessions are moved from one queue to another before the lane is left for others.
const MOVES: usize = 256;
/// How many slots a walk looks at before the lane is left for others.
const STEPS: usize = 1_024;
/// The bounds of a request's time.
const REQUEST_LONGEST: Duration = Duration::from_secs(20);
const REQUEST_SHORTEST: Duration = Duration::from_secs(2);
/// In flight at a time: what the quota sends in this long, and never fewer than [`IN_FLIGHT_FEW`]. More would only
/// pile up on a service that hangs.
const IN_FLIGHT_SECS: f64 = 5.0;
const IN_FLIGHT_FEW: f64 = 64.0;

/// What a lane does next.
#[derive(Debug)]
pub(in super::super) enum Step {
    /// This request goes out.
    Send(Request),
    /// A token is to be fetched.
    Fetch(Generation, MonoTime),
    /// It would send, but for the budget that it shares. It wants to be asked again then in any case.
    Starved(Urgency, MonoTime),
    /// It wants to be asked again then.
    Wait(MonoTime),
    /// It is closed, and nothing of it is in flight.
    Close,
}

/// How urgent a request is: rank, then the key of its queue. Smaller goes first.
pub(in super::super) type Urgency = (u8, MonoTime);
/// A lane's place in the queue for the budget that it shares: how urgent it is, when it was served last.
pub(in super::super) type Turn = (Urgency, u64, LaneIx);

impl Lane {
    /// The next thing to do. `turn` says whether the shared budget, where it is short, is this lane's to spend.
    pub(in super::super) fn step(&mut self, now: MonoTime, shared: &mut Budget, turn: bool) -> Step {
        if self.over(now) {
            return Step::Close;
        }
        if self.wants_token() && self.token.fetch_at() <= now {
            let (generation, deadline) = self.token.fetch(now);
            return Step::Fetch(generation, deadline);
        }
        let all_moved = self.promote(now);
        self.notice_lapses(now);
        let wake = if all_moved { self.next_promotion() } else { now };
        let Some((slot, urgency)) = self.pick(now) else {
            // A walk that has found nothing yet goes on.
            let walks = self.renew_all.left > 0 && self.drain.is_none();
            return Step::Wait(if walks { now } else { wake });
        };
        let Some(generation) = self.token.usable(now) else { return Step::Wait(wake) };
        let free = self.free_at(now);
        if free > now {
            return Step::Wait(wake.min(free));
        }
        if !turn || shared.free_at(now) > now {
            return Step::Starved(urgency, wake);
        }
        shared.spend(now);
        Step::Send(self.send(slot, generation, now))
    }

    /// Whether its app is gone from the config and nothing is left to do, or the time for it is over.
    fn over(&mut self, now: MonoTime) -> bool {
        let Some(closes_at) = self.closes_at else { return false };
        if closes_at <= now {
            self.drain = Some(Drain { clear: false });
        }
        let done = !self.has_sessions() || closes_at <= now;
        done && self.budget.in_flight() == 0 && !self.token.asked()
    }

    fn wants_token(&self) -> bool {
        self.has_sessions() && self.drain.as_ref().is_none_or(|drain| drain.clear && self.owned > 0)
    }

    /// When the lane's own limits allow a request.
    fn free_at(&mut self, now: MonoTime) -> MonoTime {
        let limit = (self.head.quota.per_second() * IN_FLIGHT_SECS).max(IN_FLIGHT_FEW);
        if f64::from(self.budget.in_flight()) >= limit {
            return MonoTime::FAR;
        }
        let normal = self.normal(now);
        self.standing.free_at(now, normal).max(self.budget.free_at(now))
    }

    /// Whether it may not send at the moment, or has something else to send.
    pub(in super::super) fn is_occupied(&mut self, now: MonoTime) -> bool {
        self.drain.is_some() || self.free_at(now) > now || self.pick(now).is_some()
    }

    /// Moves sessions whose time has come to where they are chosen from. Returns whether all are moved.
    fn promote(&mut self, now: MonoTime) -> bool {
        for _ in 0..MOVES {
            let queues = [Queue::Due, Queue::Retry, Queue::Parked, Queue::Moving];
            let come = |queue| self.agenda.come(queue, now).map(|slot| (queue, slot));
            let Some((queue, slot)) = queues.into_iter().find_map(come) else {
                return true;
            };
            if self.session(slot).fate == Fate::Moving {
                self.with(slot, |s| s.fate = Fate::Clear);
            }
            if self.session(slot).need() == Need::Clear && self.session(slot).holds_until <= now {
                self.forget(slot);
            }
            self.settle(slot, now);
            if queue == Queue::Retry {
                self.go_on_early(slot);
            }
        }
        false
    }

    /// An early renewal whose answer was lost is sent again, not left until it is due.
    fn go_on_early(&mut self, slot: Slot) {
        let session = self.session(slot);
        let waits = session.place.is_some_and(|(queue, _)| queue == Queue::Due);
        let lease = session.lease.filter(|lease| waits && lease.sent_at < self.renew_all.began);
        if let Some(lease) = lease {
            self.stand(slot, Some((Queue::Renewal, lease.lapses_at())));
        }
    }

    /// Marks leases that have lapsed.
    fn notice_lapses(&mut self, now: MonoTime) {
        while let Some(slot) = self.agenda.come(Queue::Renewal, now) {
            self.lapse(slot);
            self.settle(slot, now);
        }
        while let Some((at, slot)) = self.agenda.first_watched().filter(|&(at, _)| at <= now) {
            self.agenda.unwatch(slot, at);
            self.sessions[slot.0 as usize].watched = false;
            self.lapse(slot);
        }
    }

    /// Marks its lease if it has lapsed, and nothing has marked it yet.
    pub(super) fn notice_lapse(&mut self, slot: Slot, now: MonoTime) {
        let session = self.session(slot);
        if !session.lapsed && session.lease.is_some_and(|lease| lease.lapses_at() <= now) {
            self.lapse(slot);
        }
    }

    fn lapse(&mut self, slot: Slot) {
        let first = self.count(Phase::Lapsed) == 0;
        let held = self.session(slot).phase() == Phase::Held;
        self.with(slot, |s| s.lapsed = true);
        if held {
            self.tally.lapses += 1;
            let (session, user) = (self.session_ix(slot), self.session(slot).user);
            self.out.push_back(Output::Event(Event::SessionLapsed { session, user }));
            if first {
                self.out.push_back(Output::Event(Event::Lapsed { lane: self.ix, user }));
            }
        }
    }

    /// When something will change by itself.
    fn next_promotion(&self) -> MonoTime {
        let first = |queue| self.agenda.first(queue).map_or(MonoTime::FAR, |(at, _)| at);
        let token = if self.wants_token() { self.token.fetch_at() } else { MonoTime::FAR };
        first(Queue::Due)
            .min(first(Queue::Retry))
            .min(first(Queue::Parked))
            .min(first(Queue::Moving))
            .min(first(Queue::Renewal))
            .min(self.agenda.first_watched().map_or(MonoTime::FAR, |(at, _)| at))
            .min(token)
            .min(self.closes_at.filter(|_| self.drain.is_none()).unwrap_or(MonoTime::FAR))
    }

    /// The session whose request is next, and how urgent it is.
    fn pick(&mut self, now: MonoTime) -> Option<(Slot, Urgency)> {
        if self.drain.as_ref().is_some_and(|drain| !drain.clear) {
            return None;
        }
        let ranked = |queue, rank: u8| self.agenda.first(queue).map(|(key, slot)| (slot, (rank, key)));
        let clear = ranked(Queue::Clear, 5);
        if clear.is_some() && self.since_clear + 1 >= CLEAR_SHARE {
            return clear;
        }
        let renewal = ranked(Queue::Renewal, 3);
        if self.standing.parked() {
            // Everyone was refused: ask with one that was granted before, if there is any.
            let granted = renewal.or_else(|| ranked(Queue::Due, 3)).or_else(|| ranked(Queue::Lapsed, 4));
            if granted.is_some() {
                return granted;
            }
        }
        renewal
            .filter(|(_, (_, lapses_at))| *lapses_at < now + CLOSE)
            .map(|(slot, (_, key))| (slot, (0, key)))
            .or_else(|| ranked(Queue::Override, 1))
            .or_else(|| ranked(Queue::Change, 2))
            .or(renewal)
            .or_else(|| ranked(Queue::Lapsed, 4))
            .or(clear)
            .or_else(|| if self.standing.probes() { ranked(Queue::Retry, 6) } else { None })
            .or_else(|| self.pick_witness().or_else(|| self.pick_extra()).map(|slot| (slot, (7, now))))
    }

    /// Where one user is rejected (401) on a token that nobody has been granted with: the session that shows what the
    /// token is worth, and so whether it is the user.
    fn pick_witness(&self) -> Option<Slot> {
        self.unproven.filter(|&generation| self.token.is_unproven(generation))?;
        self.agenda.first(Queue::Due).map(|(_, slot)| slot)
    }

    /// The next session that is renewed ahead of its time.
    fn pick_extra(&mut self) -> Option<Slot> {
        for _ in 0..STEPS.min(self.renew_all.left) {
            let walk = &mut self.renew_all;
            walk.next %= self.sessions.len();
            let session = &self.sessions[walk.next];
            let waits = session.place.is_some_and(|(queue, _)| queue == Queue::Due);
            if waits && session.lease.is_some_and(|lease| lease.sent_at < walk.began) {
                return Some(Slot(u32::try_from(walk.next).unwrap_or(u32::MAX)));
            }
            walk.next += 1;
            walk.left -= 1;
        }
        None
    }

    fn send(&mut self, slot: Slot, generation: Generation, now: MonoTime) -> Request {
        let due = self.due_since(slot, now);
        self.stand(slot, None);
        // Its answer will tell.
        self.unproven = None;
        let session = self.session(slot);
        let wish = session.kept_wish();
        let call = wish.map_or(Call::Clear, |wish| Call::Set(self.shortened(wish, session.until, now)));
        let time = match call {
            Call::Set(sent) => self.request_time(sent.term(), now),
            Call::Clear => REQUEST_LONGEST,
        };
        let (user, deadline) = (session.user, now + time);
        let may_lapse = session.lease.is_some_and(|lease| lease.lapses_at() <= deadline);
        if let Some(record) = unsettled(session, call, wish) {
            // From here on the service may show either; only an answer tells.
            self.unwatch(slot);
            self.with(slot, |s| s.granted_for = None);
            let session = self.session_ix(slot);
            self.out.push_back(Output::Remember { session, user, record: Some(record) });
        }
        self.with(slot, |s| {
            s.asked = Some(Asked { call, wish, at: now, generation });
            if let Call::Set(sent) = call {
                s.holds_until = s.holds_until.max(deadline + sent.expiration.duration());
            }
        });
        if may_lapse && self.session(slot).need() == Need::Renewal {
            self.watch(slot);
        }
        self.budget.spend(now);
        self.standing.sent(slot, now);
        self.since_clear = if call == Call::Clear { 0 } else { (self.since_clear + 1).min(CLEAR_SHARE) };
        Request { session: self.session_ix(slot), user, call, generation, deadline, due }
    }

    /// The wish with the expiration that is sent: where its end is known, no longer than that and a cold start.
    fn shortened(&self, wish: Wish, until: MonoTime, now: MonoTime) -> Wish {
        if until == MonoTime::FAR || until <= now {
            return wish;
        }
        let needed = Expiration::covering(until.since(now) + self.cold_start());
        Wish { expiration: wish.expiration.min(needed), ..wish }
    }

    /// How long an answer is waited for: three tries must fit between due time and lapse.
    fn request_time(&self, term: Duration, now: MonoTime) -> Duration {
        (term.mul_f64(1.0 - self.fraction(now)) / 3).clamp(REQUEST_SHORTEST, REQUEST_LONGEST)
    }

    /// The wait before a request whose answer was lost is sent again: `min(1 s x 2^n, slack/8)`, and never so short
    /// that it hammers.
    pub(super) fn backoff(&self, slot: Slot, retry_after: Option<Duration>, now: MonoTime) -> Duration {
        const FIRST: Duration = Duration::from_secs(1);
        const LONGEST: Duration = Duration::from_secs(60);
        const SHORTEST: Duration = Duration::from_millis(250);
        let session = self.session(slot);
        let wait = FIRST.saturating_mul(1 << session.attempt.min(6)).min(LONGEST);
        if session.need() != Need::Renewal || session.lapsed {
            return wait.max(retry_after.unwrap_or_default().min(LONGEST));
        }
        let slack = session.lease.map_or(Duration::ZERO, |lease| lease.lapses_at().since(now));
        // What the server asks for is granted as long as it leaves time for another try.
        wait.min(slack / 8).max(SHORTEST).max(retry_after.unwrap_or_default().min(slack / 2))
    }
}

/// What is to be remembered while a request is under way that changes what the service shows, or may: that we do not
/// know. `None` for a renewal, which leaves all as it is.
fn unsettled(session: &Session, call: Call, wish: Option<Wish>) -> Option<Record> {
    let granted = session.lease.map(|lease| lease.granted);
    let renewal = match call {
        Call::Set(sent) => {
            session.granted_for.is_some() && session.granted_for == wish && granted == Some(sent)
        }
        Call::Clear => false,
    };
    let wish = wish.or(session.granted_for).or(granted)?;
    (!renewal).then_some(Record { wish, lease: None })
}
