//! A keeper on a bench: one hand on the clock, the other answering.

use std::collections::VecDeque;
use std::time::Duration;

use presenced::keeper::id::{Guid, LaneIx, LaneKey, SessionIx, UserId};
use presenced::keeper::{
    Call, Event, Expiration, Input, Keeper, LaneHead, LanePlan, Lease, MonoTime, OnRemove, Outcome, Output,
    Plan, PresenceState, Quota, Record, Request, SessionPlan, TokenAnswer, Wish, diff,
};

pub const HOUR: Duration = Duration::from_secs(3_600);

/// 150 ms from send to answer.
pub const LATENCY: Duration = Duration::from_millis(150);

pub fn user(n: u128) -> UserId {
    Guid::from_u128(n)
}

pub fn wish(state: PresenceState, minutes: u64) -> Wish {
    Wish { state, expiration: Expiration::from_minutes(minutes).unwrap() }
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A plan in the making: lanes by number, one client each.
#[derive(Clone, Default)]
pub struct PlanOf {
    lanes: Vec<LanePlan>,
}

pub fn plan() -> PlanOf {
    PlanOf::default()
}

impl PlanOf {
    pub fn lane_with(mut self, n: u128, quota: Quota) -> Self {
        self.lanes.push(LanePlan {
            key: key(n),
            head: LaneHead { name: format!("app{n}").into(), quota },
            sessions: Vec::new(),
        });
        self
    }

    pub fn lane(self, n: u128) -> Self {
        self.lane_with(n, Quota::PRESENCE)
    }

    pub fn user(mut self, n: u128, wish: Wish) -> Self {
        self.lanes.last_mut().unwrap().sessions.push(SessionPlan::new(user(n), Some(wish)));
        self
    }

    /// A user of whom nothing is wanted.
    pub fn nobody(mut self, n: u128) -> Self {
        self.lanes.last_mut().unwrap().sessions.push(SessionPlan::new(user(n), None));
        self
    }

    pub fn users(mut self, range: std::ops::Range<u128>, wish: Wish) -> Self {
        for n in range {
            self = self.user(n, wish);
        }
        self
    }

    pub fn build(self) -> Plan {
        Plan::new(self.lanes)
    }
}

pub fn key(n: u128) -> LaneKey {
    LaneKey { graph: "https://graph.test".into(), tenant: Guid::from_u128(1), client: Guid::from_u128(n) }
}

/// The keeper, the time, and what came out and is not yet taken notice of.
pub struct Bench {
    pub keeper: Keeper,
    pub now: MonoTime,
    pub plan: Plan,
    pub on_remove: OnRemove,
    pub requests: VecDeque<Request>,
    pub events: Vec<Event>,
    pub remembered: Vec<(SessionIx, UserId, Option<Record>)>,
    pub fetches: u32,
    pub closed: Vec<LaneIx>,
    /// What token requests are answered with; `None`: they hang.
    pub token: Option<TokenAnswer>,
    until: MonoTime,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            keeper: Keeper::new(),
            now: MonoTime::from_secs(1_000_000),
            plan: Plan::default(),
            on_remove: OnRemove::Clear,
            requests: VecDeque::new(),
            events: Vec::new(),
            remembered: Vec::new(),
            fetches: 0,
            closed: Vec::new(),
            token: Some(TokenAnswer::Granted { lifetime: 1_000 * HOUR, refresh_in: None }),
            until: MonoTime::ZERO,
        }
    }

    /// With this plan, all of it granted.
    pub fn holding(plan: PlanOf) -> Self {
        let mut bench = Self::new();
        bench.reload(plan);
        let funded = bench.plan.lanes().iter().flat_map(|lane| &lane.sessions).filter(|s| s.funded).count();
        let held = |bench: &mut Self| {
            bench.keeper.snapshot(bench.now).lanes.iter().map(|l| l.held as usize).sum::<usize>()
        };
        for _ in 0..1_000 {
            bench.run(secs(1), |_| Outcome::Granted);
            if held(&mut bench) == funded {
                break;
            }
        }
        assert_eq!(held(&mut bench), funded);
        bench.events.clear();
        bench
    }

    pub fn reload(&mut self, plan: PlanOf) {
        let plan = plan.build();
        let change = diff(&self.plan, &plan);
        assert_eq!(change.apply(&self.plan), plan);
        self.input(Input::Plan { diff: Box::new(change), on_remove: self.on_remove });
        self.plan = plan;
        while self.until <= self.now {
            self.input(Input::Wake);
        }
    }

    pub fn input(&mut self, input: Input) {
        self.keeper.handle(input, self.now);
        loop {
            match self.keeper.poll_output() {
                Output::Send(request) => self.requests.push_back(request),
                Output::FetchToken { lane, .. } => {
                    self.fetches += 1;
                    if let Some(answer) = self.token {
                        self.keeper.handle(Input::Token { lane, answer }, self.now);
                    }
                }
                Output::Event(event) => self.events.push(event),
                Output::Remember { session, user, record } => self.remembered.push((session, user, record)),
                Output::Open { .. } => {}
                Output::Close { lane, .. } => self.closed.push(lane),
                Output::Sleep { until, .. } => {
                    self.until = until;
                    return;
                }
            }
        }
    }

    pub fn answer(&mut self, request: Request, outcome: Outcome) {
        self.input(Input::Answered { session: request.session, outcome });
    }

    /// Lets time pass, waking the keeper when it asks for it, until something is to be sent.
    pub fn next_request(&mut self, within: Duration) -> Request {
        let end = self.now + within;
        loop {
            if let Some(request) = self.requests.pop_front() {
                return request;
            }
            assert!(self.until <= end, "nothing was sent within {within:?}");
            self.now = self.now.max(self.until);
            self.input(Input::Wake);
        }
    }

    /// Lets time pass and answers every request after [`LATENCY`]; returns those that went out, with their times.
    pub fn run(
        &mut self,
        span: Duration,
        mut outcome: impl FnMut(&Request) -> Outcome,
    ) -> Vec<(MonoTime, Request)> {
        let end = self.now + span;
        let mut sent = Vec::new();
        let mut answers: VecDeque<(MonoTime, Request)> = VecDeque::new();
        loop {
            while let Some(request) = self.requests.pop_front() {
                sent.push((self.now, request));
                answers.push_back((self.now + LATENCY, request));
            }
            let answer = answers.front().map_or(MonoTime::FAR, |(at, _)| *at);
            let next = answer.min(self.until);
            if next > end {
                self.now = end;
                for (_, request) in answers {
                    let outcome = outcome(&request);
                    self.answer(request, outcome);
                }
                return sent;
            }
            self.now = self.now.max(next);
            if answer <= self.now {
                let (_, request) = answers.pop_front().unwrap();
                let outcome = outcome(&request);
                self.answer(request, outcome);
            } else {
                self.input(Input::Wake);
            }
        }
    }

    pub fn lapses(&mut self) -> u64 {
        self.keeper.snapshot(self.now).lanes.iter().map(|lane| lane.lapses).sum()
    }
}

pub fn is_set(request: &Request, n: u128, state: PresenceState) -> bool {
    request.user == user(n) && matches!(request.call, Call::Set(wish) if wish.state == state)
}

pub fn is_clear(request: &Request, n: u128) -> bool {
    request.user == user(n) && request.call == Call::Clear
}

pub fn lease(state: PresenceState, minutes: u64, sent_at: MonoTime) -> Lease {
    Lease { granted: wish(state, minutes), sent_at }
}
