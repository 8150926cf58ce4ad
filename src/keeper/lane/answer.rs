//! What an answer changes.

use std::time::Duration;

use super::super::agenda::Queue;
use super::super::event::{Call, Event, Lease, Output, Record, Trouble, Why};
use super::super::funding;
use super::super::id::{Generation, Slot, UserId};
use super::super::outcome::{Loss, Outcome, Refusal, TokenAnswer};
use super::super::presence::Wish;
use super::super::session::{Asked, Fate, Need};
use super::super::snapshot::Phase;
use super::super::time::MonoTime;
use super::super::token::Fetched;
use super::Lane;

/// A parked user is tried again after this long, doubling each time.
const PARK_FIRST: Duration = Duration::from_secs(300);
const PARK_LONGEST: Duration = Duration::from_secs(3_600);
/// So many different users rejected on a fresh token say that it is not about them.
const REJECTED_USERS: usize = 5;

impl Lane {
    /// A request was answered. Returns the user, if this set a session for the first time.
    pub(in super::super) fn answered(
        &mut self,
        slot: Slot,
        outcome: Outcome,
        now: MonoTime,
    ) -> Option<UserId> {
        let asked = self.with(slot, |s| s.asked.take())?;
        self.budget.answered(now);
        self.tally.answered(asked.call, outcome);
        let probe = self.standing.answered(slot);
        match outcome {
            Outcome::Granted => return self.granted(slot, asked, probe, now),
            Outcome::Throttled { retry_after } => self.throttled(slot, retry_after, probe, now),
            Outcome::TokenRejected => self.token_rejected(slot, asked.generation, probe, now),
            Outcome::Refused(refusal) => self.refused(slot, refusal, asked, probe, now),
            Outcome::Lost { loss, retry_after } => self.lost(slot, loss, retry_after, probe, now),
        }
        None
    }

    fn granted(&mut self, slot: Slot, asked: Asked, probe: bool, now: MonoTime) -> Option<UserId> {
        self.token.granted(asked.generation);
        let was_parked = self.standing.parked();
        let was_probing = self.standing.probes();
        self.standing.granted(probe);
        self.notice_lapse(slot, now);
        self.unwatch(slot);
        let unparked = self.with(slot, |s| {
            s.attempt = 0;
            s.parks = 0;
            s.rejected = Generation(0);
            s.parked.take().is_some()
        });
        if unparked {
            let user = self.session(slot).user;
            self.out.push_back(Output::Event(Event::Unparked { session: self.session_ix(slot), user }));
        }
        let set = match asked.call {
            Call::Set(sent) => self.granted_set(slot, sent, asked, now),
            Call::Clear => {
                self.granted_clear(slot, now);
                None
            }
        };
        if let Some(since) = self.down_since.filter(|_| !self.standing.probes()) {
            self.down_since = None;
            self.out.push_back(Output::Event(Event::LaneUp {
                lane: self.ix,
                down_for: now.since(since),
                lapsed: self.count(Phase::Lapsed),
            }));
        }
        if was_parked && !self.standing.parked() {
            self.unpark(now);
        }
        if was_probing && !self.standing.probes() {
            self.forget_losses(now);
        }
        set
    }

    /// The outage is over: what its probes met was about the lane, and they are as urgent as their leases say.
    fn forget_losses(&mut self, now: MonoTime) {
        let retries: Vec<Slot> = self.agenda.before(Queue::Retry, MonoTime::FAR).collect();
        for slot in retries {
            if self.session(slot).rejected == Generation(0) {
                self.with(slot, |s| s.attempt = 0);
                self.settle(slot, now);
            }
        }
    }

    fn granted_set(&mut self, slot: Slot, sent: Wish, asked: Asked, now: MonoTime) -> Option<UserId> {
        let wish = asked.wish.unwrap_or(sent);
        let lease = Lease { granted: sent, sent_at: asked.at };
        let (before, was_lapsed) = self.with(slot, |s| {
            let before = s.lease.replace(lease);
            s.granted_for = Some(wish);
            s.holds_until = s.holds_until.max(now + sent.expiration.duration());
            (before, s.lapsed)
        });
        if lease.lapses_at() > now {
            self.with(slot, |s| s.lapsed = false);
        }
        self.notice_lapse(slot, now);
        let session = self.session_ix(slot);
        let user = self.session(slot).user;
        self.out.push_back(Output::Remember {
            session,
            user,
            record: Some(Record { wish, lease: Some(lease) }),
        });
        let from = before.map(|lease| lease.granted.state);
        let renewed = from == Some(sent.state);
        if renewed {
            self.tally.renewals += 1;
            self.with(slot, |s| s.renewals = s.renewals.saturating_add(1));
        }
        if !renewed || was_lapsed {
            let why = match from {
                None => Why::Added,
                Some(_) if renewed => Why::Regained,
                Some(_) => Why::Changed,
            };
            self.out.push_back(Output::Event(Event::Set { session, user, from, to: sent.state, why }));
        }
        self.settle(slot, now);
        from.is_none().then_some(user)
    }

    fn granted_clear(&mut self, slot: Slot, now: MonoTime) {
        let session = self.session_ix(slot);
        let user = self.session(slot).user;
        self.forget(slot);
        self.out.push_back(Output::Event(Event::Cleared { session, user }));
        self.settle(slot, now);
    }

    fn throttled(&mut self, slot: Slot, retry_after: Option<Duration>, probe: bool, now: MonoTime) {
        let used = self.budget.used(now);
        if let Some(closed) = self.standing.throttled(retry_after, probe, now) {
            self.standing.forgive(now, self.normal(now));
            // A rate that cannot keep what is funded would help nobody.
            let foreign = self.budget.throttled(funding::least_rate(self.load), now);
            let quota = self.head.quota.requests;
            self.out.push_back(Output::Event(Event::Throttled {
                lane: self.ix,
                retry_after,
                closed,
                used,
                quota,
                foreign,
            }));
        }
        self.settle(slot, now);
        self.watch(slot);
    }

    fn token_rejected(&mut self, slot: Slot, generation: Generation, probe: bool, now: MonoTime) {
        if probe {
            self.standing.probe_refused(now);
        }
        let first = self.session(slot).rejected;
        let doubted = if first == Generation(0) {
            self.with(slot, |s| s.rejected = generation);
            self.token.rejected(generation, slot, now)
        } else if first < generation && self.token.has_grants(generation) {
            self.park(slot, Refusal::Unauthorized, now);
            return;
        } else {
            if first < generation {
                self.rejected_on_a_new_token(slot, generation, now);
            }
            self.token.rejected_again(generation, slot, now)
        };
        if self.standing.parked() {
            self.token.renew();
        }
        if doubted {
            self.out.push_back(Output::Event(Event::TokenRejected { lane: self.ix }));
        }
        // Of a token that was good until now, the next may be good again.
        if self.token.usable(now).is_none() && self.token.is_unproven(generation) {
            self.tell_down(Trouble::TokenRejected, now);
        }
        self.awaiting_token.push(slot);
        self.retry(slot, None, now);
    }

    /// The user was rejected on a token that was fetched because of an earlier rejection: it is the user, or nobody's
    /// token is any good.
    fn rejected_on_a_new_token(&mut self, slot: Slot, generation: Generation, now: MonoTime) {
        self.unproven = Some(generation);
        let enough = REJECTED_USERS.min(self.wanted().max(1) as usize);
        let user = self.session(slot).user;
        if self.standing.refused(user, Refusal::Unauthorized, enough, now).is_some() {
            self.standing.forgive(now, self.normal(now));
            self.tell_down(Trouble::TokenRejected, now);
        }
    }

    fn refused(&mut self, slot: Slot, refusal: Refusal, asked: Asked, probe: bool, now: MonoTime) {
        if probe {
            self.standing.probe_refused(now);
        }
        // Whoever was refused before says nothing about the others.
        let first = self.session(slot).parks == 0;
        self.park(slot, refusal, now);
        if asked.call == Call::Clear || !first || self.token.has_grants(asked.generation) {
            return;
        }
        let user = self.session(slot).user;
        if let Some(trouble) = self.standing.refused(user, refusal, usize::MAX, now) {
            self.standing.forgive(now, self.normal(now));
            // Consent takes effect with a new token.
            self.token.renew();
            self.tell_down(trouble, now);
        } else if self.standing.parked() {
            self.token.renew();
        }
    }

    /// Leaves a session alone for a while, longer each time.
    fn park(&mut self, slot: Slot, refusal: Refusal, now: MonoTime) {
        self.unwatch(slot);
        let (before, wanted) = self.with(slot, |s| {
            let wanted = s.fate == Fate::Planned;
            s.parked = wanted.then_some(refusal);
            s.rejected = Generation(0);
            let before = s.parks;
            s.parks = s.parks.saturating_add(1);
            (before, wanted)
        });
        let next_try = PARK_FIRST.saturating_mul(1 << before.min(4)).min(PARK_LONGEST);
        let (session, user) = (self.session_ix(slot), self.session(slot).user);
        if self.session(slot).need() == Need::Nothing {
            self.settle(slot, now);
            return;
        }
        self.stand(slot, Some((Queue::Parked, now + next_try)));
        if wanted {
            self.out.push_back(Output::Event(Event::Parked { session, user, refusal, next_try }));
            self.notice_all_parked(refusal, now);
        }
    }

    /// When the last of several users is parked, one by one, that is about the lane, too: one line in all, after those on
    /// each of them. Of an only user nothing is left to say.
    fn notice_all_parked(&mut self, refusal: Refusal, now: MonoTime) {
        let parked = self.count(Phase::Parked(refusal));
        if parked > 1 && parked == self.wanted() {
            self.tell_down(Trouble::Refused(refusal), now);
        }
    }

    fn lost(&mut self, slot: Slot, loss: Loss, retry_after: Option<Duration>, probe: bool, now: MonoTime) {
        let normal = self.normal(now);
        if let Some(trouble) = self.standing.lost(loss, probe, now, normal) {
            self.tell_down(trouble, now);
        }
        self.retry(slot, retry_after, now);
    }

    /// Sends it again after a while.
    fn retry(&mut self, slot: Slot, retry_after: Option<Duration>, now: MonoTime) {
        let wait = self.backoff(slot, retry_after, now);
        self.with(slot, |s| s.attempt = s.attempt.saturating_add(1));
        if self.session(slot).need() == Need::Nothing {
            self.settle(slot, now);
            return;
        }
        self.stand(slot, Some((Queue::Retry, now + wait)));
        if self.session(slot).need() == Need::Renewal {
            self.watch(slot);
        }
    }

    /// A token request was answered.
    pub(in super::super) fn token_answered(&mut self, answer: TokenAnswer, now: MonoTime) {
        self.tally.token(answer);
        match self.token.answered(answer, now) {
            Fetched::Token { lifetime, news } => {
                self.standing.new_token();
                for slot in std::mem::take(&mut self.awaiting_token) {
                    let session = self.session(slot);
                    let waits = session.place.is_some_and(|(queue, _)| queue == Queue::Retry);
                    if waits && session.rejected != Generation(0) {
                        self.settle(slot, now);
                    }
                }
                if news {
                    self.out.push_back(Output::Event(Event::TokenGranted { lane: self.ix, lifetime }));
                }
            }
            Fetched::Nothing { attempt, next_try } => {
                let good_for = self.token.good_for(now);
                self.out.push_back(Output::Event(Event::TokenFailed {
                    lane: self.ix,
                    attempt,
                    next_try,
                    good_for,
                }));
                if self.token.usable(now).is_none() {
                    self.tell_down(Trouble::NoToken, now);
                }
            }
        }
    }

    /// The credential is another.
    pub(in super::super) fn credential_changed(&mut self, now: MonoTime) {
        self.token.credential_changed(now);
        self.standing.try_now(now);
    }
}
