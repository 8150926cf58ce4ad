//! One daemon (its keeper and its ledger) and one service, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use presenced::keeper::id::{Generation, Guid, LaneIx, LaneKey, SessionIx, Slot, UserId};
use presenced::keeper::{
    Because, Call, Event, Input, Keeper, Loss, MonoTime, OnRemove, Outcome, Output, Over, Plan,
    PresenceState, Record, Refusal, Request, RestoredLane, TokenAnswer, TokenFailure, diff,
};
use presenced::sandbox::authority::ask::TokenAsk;
use presenced::sandbox::presence::SessionState;
use presenced::sandbox::quota::RetryAfter;
use presenced::sandbox::reply::{Delivery, Reply, TokenContent};
use presenced::sandbox::service::{Options, Service};
use presenced::sandbox::token::TokenId;
use uuid::Uuid;

use crate::chance::Chance;
use crate::checks::Checks;

/// When every world begins; before it there is room for leases of an earlier life.
pub const START: MonoTime = MonoTime::from_secs(1_000_000);

/// What is still to happen.
enum Happening {
    /// A request reaches the service.
    Arrives(u32, Request, TokenId),
    /// Its answer reaches the keeper of that life.
    Answered(u32, SessionIx, Outcome),
    TokenArrives(u32, LaneIx, LaneKey, Generation, MonoTime),
    TokenAnswered(u32, LaneIx, Generation, Option<TokenId>, TokenAnswer),
}

/// How long a request is on its way, there and back.
#[derive(Clone, Copy)]
pub struct Wire {
    pub there_ms: (u64, u64),
    pub back_ms: (u64, u64),
}

pub struct World {
    pub now: MonoTime,
    pub keeper: Keeper,
    pub service: Service,
    /// The plan in force.
    pub plan: Plan,
    /// What is wanted instead.
    pub over: BTreeMap<(LaneKey, UserId), Over>,
    pub checks: Checks,
    pub wire: Wire,
    /// What came out, by hash: the same seed has the same.
    trace: DefaultHasher,
    pub traced: bool,
    chance: Chance,
    to_come: BTreeMap<(MonoTime, u64), Happening>,
    number: u64,
    wake: MonoTime,
    /// Counts restarts: answers of an earlier life find nobody.
    life: u32,
    lanes: BTreeMap<LaneIx, LaneKey>,
    tokens: BTreeMap<(LaneIx, Generation), TokenId>,
    ledger: BTreeMap<LaneKey, BTreeMap<Slot, (UserId, Record)>>,
    pub renewals: u64,
    pub drained: bool,
    pub on_remove: OnRemove,
}

impl World {
    pub fn new(seed: u64, options: Options, wire: Wire) -> Self {
        Self {
            now: START,
            keeper: Keeper::new(),
            service: Service::new(options, START),
            plan: Plan::default(),
            over: BTreeMap::new(),
            checks: Checks::default(),
            wire,
            trace: DefaultHasher::new(),
            traced: false,
            chance: Chance::new(seed, 1),
            to_come: BTreeMap::new(),
            number: 0,
            wake: START,
            life: 0,
            lanes: BTreeMap::new(),
            tokens: BTreeMap::new(),
            ledger: BTreeMap::new(),
            renewals: 0,
            drained: false,
            on_remove: OnRemove::Clear,
        }
    }

    /// What came out so far, as one number.
    pub fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// Follows another plan from now on, and waits until the keeper has taken it.
    pub fn reload(&mut self, plan: Plan) {
        let change = diff(&self.plan, &plan);
        debug_assert_eq!(change.apply(&self.plan), plan);
        self.checks.reloaded(&self.plan);
        self.plan = plan;
        self.input(Input::Plan { diff: Box::new(change), on_remove: self.on_remove });
        while self.wake <= self.now {
            self.input(Input::Wake);
        }
        self.input(Input::Unpark);
        self.lay_all();
    }

    /// `kill -9`, and a start after `down` with `plan` in the file.
    pub fn restart(&mut self, down: Duration, plan: Plan) {
        self.life += 1;
        self.keeper = Keeper::new();
        self.lanes.clear();
        self.tokens.clear();
        self.checks.restarted(self.now, down);
        // The service goes on meanwhile; what was on its way arrives.
        let back = self.now + down;
        self.run_until(back);
        let remembered = std::mem::take(&mut self.ledger);
        let mut restored = Vec::new();
        let mut old = Vec::new();
        for lane in self.plan.lanes() {
            let Some(records) = remembered.get(&lane.key) else { continue };
            let mut of_lane = lane.clone();
            of_lane.sessions = records
                .values()
                .map(|(user, record)| presenced::keeper::SessionPlan::new(*user, Some(record.wish)))
                .collect();
            old.push(of_lane);
            let sessions = records.iter().map(|(slot, (user, record))| (*slot, *user, *record)).collect();
            restored.push(RestoredLane { key: lane.key.clone(), head: lane.head.clone(), sessions });
        }
        for (key, records) in remembered {
            if self.plan.lane(&key).is_some() {
                self.ledger.insert(key, records);
                continue;
            }
            // Nobody clears what is left in an app that was taken from the config before.
            for (user, _) in records.values() {
                self.checks.ran_out.insert((key.clone(), *user));
            }
        }
        self.input(Input::Restore(restored));
        self.lay_all();
        let old = Plan::new(old);
        self.checks.reloaded(&old);
        let change = diff(&old, &plan);
        self.plan = plan;
        self.input(Input::Plan { diff: Box::new(change), on_remove: self.on_remove });
        while self.wake <= self.now {
            self.input(Input::Wake);
        }
        self.lay_all();
    }

    /// Lets time pass.
    pub fn run_until(&mut self, end: MonoTime) {
        loop {
            let next = self.to_come.first_key_value().map_or(MonoTime::FAR, |((at, _), _)| *at);
            let at = next.min(self.wake);
            if at > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(at);
            if next <= self.wake {
                let Some((_, happening)) = self.to_come.pop_first() else { return };
                self.happen(happening);
            } else {
                self.input(Input::Wake);
            }
        }
    }

    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    pub fn input(&mut self, input: Input) {
        self.keeper.handle(input, self.now);
        loop {
            let output = self.keeper.poll_output();
            match output {
                Output::Sleep { until, because } => {
                    if because == Because::Plan {
                        let now = self.now;
                        self.overrides_now().into_iter().for_each(|input| self.keeper.handle(input, now));
                    }
                    self.wake = until;
                    return;
                }
                output => {
                    if self.traced {
                        (self.now, format!("{output:?}")).hash(&mut self.trace);
                    }

                    self.carry_out(output);
                }
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Open { lane, key } => {
                self.lanes.insert(lane, key);
            }
            Output::Close { lane, .. } => {
                if let Some(key) = self.lanes.remove(&lane) {
                    self.ledger.remove(&key);
                }
            }
            Output::Send(request) => {
                let key = &self.lanes[&request.session.lane];
                let over = self.over.get(&(key.clone(), request.user));
                self.checks.sent(key, &request, &self.plan, over, self.now);
                let there = self.chance.millis(self.wire.there_ms.0, self.wire.there_ms.1);
                let token = self.tokens[&(request.session.lane, request.generation)];
                self.later(there, Happening::Arrives(self.life, request, token));
            }
            Output::FetchToken { lane, generation, deadline } => {
                let key = self.lanes[&lane].clone();
                self.checks.fetching(&key, self.now);
                let there = self.chance.millis(5, 100);
                self.later(there, Happening::TokenArrives(self.life, lane, key, generation, deadline));
            }
            Output::Remember { session, user, record } => {
                let records = self.ledger.entry(self.lanes[&session.lane].clone()).or_default();
                match record {
                    Some(record) => {
                        records.insert(session.slot, (user, record));
                    }
                    None => {
                        records.remove(&session.slot);
                        self.checks.forgotten(&self.lanes[&session.lane], user);
                    }
                }
            }
            Output::Event(event) => {
                self.drained |= event == Event::Drained;
                self.checks.event(&event);
            }
            Output::Sleep { .. } => {}
        }
    }

    fn later(&mut self, wait: Duration, happening: Happening) {
        self.number += 1;
        self.to_come.insert((self.now + wait, self.number), happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives(life, request, token) => {
                let reply = self.serve(&request, token);
                let back = self.chance.millis(self.wire.back_ms.0, self.wire.back_ms.1);
                let (wait, outcome) = self.answer_to(&request, &reply, back);
                self.later(wait, Happening::Answered(life, request.session, outcome));
            }
            Happening::Answered(life, session, outcome) if life == self.life => {
                self.renewals += u64::from(outcome == Outcome::Granted);
                self.checks.answered(&self.lanes[&session.lane], session, outcome, self.now);
                self.input(Input::Answered { session, outcome });
            }
            Happening::TokenArrives(life, lane, key, generation, deadline) => {
                let ask = TokenAsk::with_secret(uuid(key.tenant), uuid(key.client), "made up");
                let reply = self.service.token(self.now, Ok(ask));
                let (token, answer) = match (reply.delivery, &reply.content) {
                    (Delivery::Answered(_), TokenContent::Granted(granted)) => {
                        let lifetime = Duration::from_secs(granted.life_s);
                        (Some(granted.token), TokenAnswer::Granted { lifetime, refresh_in: None })
                    }
                    (Delivery::Answered(_), _) if reply.status < 500 => {
                        (None, failed(TokenFailure::Rejected))
                    }
                    _ => (None, failed(TokenFailure::Unreachable)),
                };
                let wait = match reply.delivery {
                    Delivery::Hung => deadline.since(self.now),
                    Delivery::Answered(_) | Delivery::Cut => self.chance.millis(5, 100),
                };
                if let Some(ticket) = reply.ticket {
                    self.service.token_done(ticket);
                }
                self.later(wait, Happening::TokenAnswered(life, lane, generation, token, answer));
            }
            Happening::TokenAnswered(life, lane, generation, token, answer) if life == self.life => {
                if let Some(token) = token {
                    self.tokens.insert((lane, generation), token);
                }
                self.checks.fetched(&self.lanes[&lane]);
                self.input(Input::Token { lane, answer });
            }
            Happening::Answered(..) | Happening::TokenAnswered(..) => {}
        }
    }

    fn serve(&mut self, request: &Request, token: TokenId) -> Reply {
        let user = uuid(request.user);
        match request.call {
            Call::Set(wish) => self.service.set_presence(
                self.now,
                token,
                user,
                state(wish.state),
                wish.expiration.duration(),
            ),
            Call::Clear => self.service.clear_presence(self.now, token, user),
        }
    }

    /// What the daemon makes of a reply, and when.
    fn answer_to(&self, request: &Request, reply: &Reply, back: Duration) -> (Duration, Outcome) {
        let left = request.deadline.since(self.now);
        let timeout = (left, Outcome::Lost { loss: Loss::Timeout, retry_after: None });
        let wait = back + reply.latency;
        if wait > left || reply.delivery == Delivery::Hung {
            return timeout;
        }
        if reply.delivery == Delivery::Cut {
            return (wait, Outcome::Lost { loss: Loss::Transport, retry_after: None });
        }
        let retry_after = reply.retry_after.as_ref().and_then(RetryAfter::wait);
        let outcome = match reply.status {
            200..300 => Outcome::Granted,
            404 if request.call == Call::Clear => Outcome::Granted,
            429 => Outcome::Throttled { retry_after },
            401 => Outcome::TokenRejected,
            400 => Outcome::Refused(Refusal::BadRequest),
            403 => Outcome::Refused(Refusal::Forbidden),
            404 => Outcome::Refused(Refusal::NotFound),
            status => Outcome::Lost { loss: Loss::Server(status), retry_after },
        };
        (wait, outcome)
    }

    /// The users whose session of this lane lives at the service, and what each shows; faded ones are not as set.
    pub fn sessions_at_service(
        &self,
        key: &LaneKey,
        users: &BTreeSet<UserId>,
    ) -> BTreeMap<UserId, Option<PresenceState>> {
        let mut found = BTreeMap::new();
        for user in users {
            let reports = self.service.user_report(self.now, uuid(*user));
            let sessions =
                reports.iter().filter(|report| report.tenant == uuid(key.tenant)).flat_map(|r| &r.sessions);
            for session in sessions.filter(|s| s.client == uuid(key.client) && s.phase != "expired") {
                let shown = PresenceState::ALL.into_iter().find(|s| session.state == state(*s).shown());
                found.insert(*user, shown.filter(|_| session.phase == "fresh"));
            }
        }
        found
    }
}

fn failed(failure: TokenFailure) -> TokenAnswer {
    TokenAnswer::Failed { failure, retry_after: None }
}

pub fn uuid(guid: Guid) -> Uuid {
    Uuid::from_bytes(*guid.as_bytes())
}

fn state(state: PresenceState) -> SessionState {
    SessionState::from_pair(state.availability(), state.activity()).expect("both know the five pairs")
}
