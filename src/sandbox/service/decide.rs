//! How a presence request is let in, decided and put on record.

use std::time::Duration;

use super::{REMEMBERED_REQUESTS, Remembered, Service};
use crate::keeper::time::MonoTime;
use crate::sandbox::call::{Bearer, Call, Request, UserCall};
use crate::sandbox::counts::Outcome;
use crate::sandbox::faults::{Fate, Trouble};
use crate::sandbox::lane::Lane;
use crate::sandbox::problem::Problem;
use crate::sandbox::quota::RetryAfter;
use crate::sandbox::reply::{Content, Delivery, Reply};
use crate::sandbox::token::Grant;

impl Service {
    /// How long the next request is on its way. It has not arrived yet: nothing is counted.
    pub fn depart(&mut self) -> Duration {
        self.departed += 1;
        self.faults.travel(self.departed)
    }

    /// Takes a presence request that arrives now.
    pub fn handle(&mut self, now: MonoTime, request: &Request) -> Reply {
        let number = self.next_number();
        let grant = self.grant(request.bearer);
        // Who sent it is known from a token that is over, too: whatever it then comes to, it was sent.
        let wait = grant.and_then(|grant| self.count_arrival(now, grant.lane));
        let (reply, outcome) = self.decide(now, number, request, grant, wait);
        self.account(now, request, grant, &reply, outcome);
        reply
    }

    /// Lets a batch in, and returns its number. Its items are handled one by one.
    ///
    /// # Errors
    /// The answer to the batch as a whole, when something stops it.
    pub(in crate::sandbox) fn handle_batch(&mut self, now: MonoTime, bearer: Bearer) -> Result<u64, Reply> {
        let number = self.next_number();
        self.counts.batches += 1;
        self.gate(number).map_or(Ok(()), Err)?;
        match self.good_token(now, bearer, self.grant(bearer)) {
            Ok(_) => Ok(number),
            Err(problem) => Err(self.refuse(number, problem)),
        }
    }

    /// The answer to something that no call was made of.
    pub(in crate::sandbox) fn refuse(&mut self, number: u64, problem: Problem) -> Reply {
        self.counts.invalid += u64::from(problem.invalid);
        self.problem(number, problem)
    }

    /// Takes a request that arrives now and of which nothing else can be made. It belongs to no lane.
    pub fn stray(&mut self, problem: Problem) -> Reply {
        let number = self.next_number();
        self.refuse(number, problem)
    }

    fn decide(
        &mut self,
        now: MonoTime,
        number: u64,
        request: &Request,
        grant: Option<Grant>,
        wait: Option<Duration>,
    ) -> (Reply, Outcome) {
        let fate = self.faults.fate(number);
        let reply = match self.before_the_call(now, number, request, grant, wait, fate) {
            Err(reply) => reply,
            Ok(grant) => {
                let done = self.call(now, number, grant, &request.call);
                if fate == Fate::Lost && done.is_granted() {
                    return (Reply { delivery: Delivery::Cut, ..done }, Outcome::Lost);
                }
                done
            }
        };
        let outcome = match reply.delivery {
            Delivery::Answered(_) => Outcome::Status(reply.status),
            Delivery::Cut => Outcome::Reset,
            Delivery::Hung => Outcome::Hung,
        };
        (reply, outcome)
    }

    /// All that can keep a request from being looked at: scripts, the token, the quota, chance. Returns what the token
    /// allows.
    fn before_the_call(
        &mut self,
        now: MonoTime,
        number: u64,
        request: &Request,
        grant: Option<Grant>,
        wait: Option<Duration>,
        fate: Fate,
    ) -> Result<Grant, Reply> {
        self.gate(number).map_or(Ok(()), Err)?;
        let grant =
            self.good_token(now, request.bearer, grant).map_err(|problem| self.problem(number, problem))?;
        if let Some(throttle) = &self.faults.throttle {
            let trouble = Trouble { retry_after: throttle.retry_after.clone(), ..Trouble::status(429) };
            return Err(self.trouble(number, &trouble));
        }
        if let Some(wait) = wait {
            let retry_after = RetryAfter::of(wait, self.faults.retry_after_form);
            return Err(Reply { retry_after, ..self.problem(number, Problem::of_status(429)) });
        }
        let Lane { tenant, client, .. } = &self.lanes[grant.lane as usize];
        if let Some(trouble) = self.faults.tenants.get(tenant).or_else(|| self.faults.apps.get(client)) {
            return Err(self.trouble(number, trouble));
        }
        match fate {
            Fate::Fails(status) => Err(self.trouble(number, &Trouble::status(status))),
            Fate::Reset => Err(self.trouble(number, &Trouble { reset: true, ..Trouble::default() })),
            Fate::Healthy | Fate::Lost => Ok(grant),
        }
    }

    /// What stops every request but those for a token.
    pub(super) fn gate(&self, number: u64) -> Option<Reply> {
        let everything_hangs = Trouble { hang: true, ..Trouble::default() };
        let trouble = if self.faults.hang { Some(&everything_hangs) } else { self.faults.outage.as_ref() };
        trouble.map(|trouble| self.trouble(number, trouble))
    }

    pub(super) fn good_token(
        &self,
        now: MonoTime,
        bearer: Bearer,
        grant: Option<Grant>,
    ) -> Result<Grant, Problem> {
        match grant {
            Some(grant) if !grant.revoked && now < grant.expires_at => match self.challenge {
                Some(nbf) if grant.claims.cp1 && grant.claims.nbf.is_none_or(|given| given < nbf) => {
                    Err(Problem::insufficient_claims(nbf))
                }
                _ => Ok(grant),
            },
            None if bearer == Bearer::Missing => Err(Problem::token_missing()),
            _ => Err(Problem::token_rejected()),
        }
    }

    pub(super) fn grant(&self, bearer: Bearer) -> Option<Grant> {
        match bearer {
            Bearer::Token(id) => self.tokens.get(id),
            Bearer::Missing | Bearer::Unknown => None,
        }
    }

    /// Counts a request against both budgets. Returns how long to wait when it is one too many.
    fn count_arrival(&mut self, now: MonoTime, lane: u32) -> Option<Duration> {
        let kind = self.faults.window.unwrap_or(self.options.window);
        let quota = self.quota();
        let lane = &mut self.lanes[lane as usize];
        let own = lane.arrive(now, quota, kind);
        let global = self.global[lane.global].arrive(now, self.options.global_quota, kind);
        own.max(global)
    }

    fn account(
        &mut self,
        now: MonoTime,
        request: &Request,
        grant: Option<Grant>,
        reply: &Reply,
        outcome: Outcome,
    ) {
        let kind = request.call.kind();
        self.counts.requests += 1;
        *self.counts.by_call.entry((kind, outcome)).or_default() += 1;
        if matches!(&reply.content, Content::Problem(problem) if problem.invalid) {
            self.counts.invalid += 1;
        }
        if outcome == Outcome::Status(429) {
            self.counts.throttled += 1;
            if let Some(grant) = grant {
                let lane = &mut self.lanes[grant.lane as usize];
                lane.counts.throttled += 1;
                if let Some(wait) = reply.retry_after.as_ref().and_then(RetryAfter::wait) {
                    lane.tell(now + reply.latency, wait);
                }
            }
        }
        if let Some(user) = request.call.user() {
            let asked = match &request.call {
                Call::User(_, UserCall::Set(Ok(set))) => Some((set.state, set.expiration)),
                _ => None,
            };
            if self.log.len() == REMEMBERED_REQUESTS {
                self.log.pop_front();
            }
            self.log.push_back(Remembered { at: now, user, kind, asked, outcome });
        }
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub(super) fn problem(&self, number: u64, problem: Problem) -> Reply {
        Reply::problem(number, self.faults.latency(number), self.faults.error_body, problem)
    }

    pub(super) fn trouble(&self, number: u64, trouble: &Trouble) -> Reply {
        Reply::trouble(number, self.faults.latency(number), self.faults.error_body, trouble)
    }
}
