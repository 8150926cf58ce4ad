//! The presence service as a pure machine: requests go in with the time of their arrival, answers come out.
//!
//! It reads no clock, does no IO and draws no chance but from its seed and the number of a request. Its rules come
//! from Microsoft's documentation and from what users saw; each names its source where it is written.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::call::{Bearer, Call, Request, Set, UserCall};
use super::counts::{CallKind, Counts, Outcome};
use super::directory::Directory;
use super::faults::{Fate, Faults, Trouble};
use super::lane::Lane;
use super::presence::{PreferredState, SessionState, Shown};
use super::problem::Problem;
use super::quota::{Limit, RetryAfter, Window, WindowKind};
use super::reply::{Content, Delivery, Reply, TokenContent, TokenReply, TokenTicket};
use super::token::{Grant, Proof, TokenAsk, TokenId, TokenProblem, Tokens};
use crate::keeper::time::MonoTime;

pub(super) mod calls;

/// How many requests are remembered one by one, over all users.
const REMEMBERED_REQUESTS: usize = 100_000;

/// What a service is like from its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// The quota of each app in each tenant.
    pub quota: Limit,
    /// The quota of each app over all tenants.
    pub global_quota: Limit,
    /// How the quotas' windows lie.
    pub window: WindowKind,
    /// How long tokens live; absent: 60 to 90 minutes, by chance.
    pub token_life: Option<Duration>,
    /// What goes wrong. Its seed is that of the tokens too.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quota: Limit::PRESENCE,
            global_quota: Limit::GLOBAL,
            window: WindowKind::Sliding,
            token_life: None,
            faults: Faults::default(),
        }
    }
}

/// One request on record.
#[derive(Clone, Copy, Debug)]
pub struct Remembered {
    /// When it arrived.
    pub at: MonoTime,
    /// Whom it named.
    pub user: Uuid,
    /// What it asked.
    pub kind: CallKind,
    /// The state and the expiration that a set asked for.
    pub asked: Option<(SessionState, Duration)>,
    /// What became of it.
    pub outcome: Outcome,
}

/// The service. Time never goes back from call to call.
#[derive(Debug)]
pub struct Service {
    pub(super) options: Options,
    pub(super) started: MonoTime,
    pub(super) faults: Faults,
    pub(super) lanes: Vec<Lane>,
    pub(super) directory: Directory,
    pub(super) counts: Counts,
    pub(super) log: VecDeque<Remembered>,
    /// Only looked up, never walked.
    lane_index: HashMap<(Uuid, Uuid), u32>,
    global: Vec<Window>,
    global_index: BTreeMap<Uuid, usize>,
    tokens: Tokens,
    /// Presence requests and batches ever.
    number: u64,
    /// Token requests ever.
    token_number: u64,
}

impl Service {
    /// A service that has seen nothing, started at `now`.
    #[must_use]
    pub fn new(options: Options, now: MonoTime) -> Self {
        Self {
            faults: options.faults.clone(),
            options,
            started: now,
            lanes: Vec::new(),
            directory: Directory::default(),
            counts: Counts::default(),
            log: VecDeque::new(),
            lane_index: HashMap::new(),
            global: Vec::new(),
            global_index: BTreeMap::new(),
            tokens: Tokens::default(),
            number: 0,
            token_number: 0,
        }
    }

    /// setPresence from inside the process: exactly what the same request over HTTP does, without the writing and
    /// reading of it. The session id is that of the token's app.
    pub fn set_presence(
        &mut self,
        now: MonoTime,
        token: TokenId,
        user: Uuid,
        state: SessionState,
        expiration: Duration,
    ) -> Reply {
        let set = Set { session: self.client_of(token), state, expiration };
        let call = Call::User(Some(user), UserCall::Set(set.checked()));
        self.handle(now, &Request { bearer: Bearer::Token(token), call })
    }

    /// clearPresence from inside the process.
    pub fn clear_presence(&mut self, now: MonoTime, token: TokenId, user: Uuid) -> Reply {
        let call = Call::User(Some(user), UserCall::Clear(Ok(self.client_of(token))));
        self.handle(now, &Request { bearer: Bearer::Token(token), call })
    }

    /// GET of one presence from inside the process.
    pub fn get_presence(&mut self, now: MonoTime, token: TokenId, user: Uuid) -> Reply {
        self.handle(
            now,
            &Request { bearer: Bearer::Token(token), call: Call::User(Some(user), UserCall::Get) },
        )
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
    pub(super) fn handle_batch(&mut self, now: MonoTime, bearer: Bearer) -> Result<u64, Reply> {
        let number = self.next_number();
        self.counts.batches += 1;
        self.gate(number).map_or(Ok(()), Err)?;
        match self.good_token(now, bearer, self.grant(bearer)) {
            Ok(_) => Ok(number),
            Err(problem) => Err(self.refuse(number, problem)),
        }
    }

    /// The answer to something that no call was made of.
    pub(super) fn refuse(&mut self, number: u64, problem: Problem) -> Reply {
        self.counts.invalid += u64::from(problem.invalid);
        self.problem(number, problem)
    }

    /// Takes a request that arrives now and of which nothing else can be made. It belongs to no lane.
    pub fn stray(&mut self, problem: Problem) -> Reply {
        let number = self.next_number();
        self.refuse(number, problem)
    }

    /// Takes a token request that arrives now. The ticket of the answer goes back by [`Self::token_done`].
    pub fn token(&mut self, now: MonoTime, ask: Result<TokenAsk, TokenProblem>) -> TokenReply {
        self.token_number += 1;
        let number = self.token_number;
        self.counts.tokens.requests += 1;
        let mut reply = TokenReply {
            number,
            status: 200,
            content: TokenContent::Gateway,
            retry_after: None,
            delivery: Delivery::Answered(self.faults.error_body),
            latency: self.faults.latency(number),
            ticket: None,
        };
        match ask {
            Err(problem) => {
                self.counts.invalid += 1;
                self.counts.tokens.decide(false);
                reply.status = problem.status;
                reply.content = TokenContent::Problem(problem);
            }
            Ok(ask) => {
                let lane = self.lane_of(ask.tenant, ask.client);
                reply.ticket = Some(TokenTicket(lane));
                self.lanes[lane as usize].counts.tokens.begin();
                self.decide_token(now, lane, &ask, &mut reply);
                let granted = matches!(reply.content, TokenContent::Granted(..));
                self.lanes[lane as usize].counts.tokens.decide(granted);
                self.counts.tokens.decide(granted);
            }
        }
        reply
    }

    /// Notes that a token request has its answer, or that its client has gone.
    pub fn token_done(&mut self, ticket: TokenTicket) {
        self.lanes[ticket.0 as usize].counts.tokens.end();
    }

    /// The token of a bearer text.
    #[must_use]
    pub fn bearer(&self, text: Option<&str>) -> Bearer {
        let Some(text) = text else { return Bearer::Missing };
        TokenId::from_text(text, self.options.faults.seed).map_or(Bearer::Unknown, Bearer::Token)
    }

    /// The text of a token.
    #[must_use]
    pub fn token_text(&self, token: TokenId) -> String {
        token.text(self.options.faults.seed)
    }

    /// What goes wrong at present.
    #[must_use]
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Puts another script in force.
    pub fn set_faults(&mut self, now: MonoTime, faults: Faults) {
        for lane in &mut self.lanes {
            lane.stop(now, faults.stops(lane.tenant, lane.client));
        }
        self.faults = faults;
    }

    /// Changes the script by a merge patch. `"revoke_tokens": true` in it is an order: every token that is out is
    /// worth nothing from now on.
    ///
    /// # Errors
    /// Says in a sentence what is wrong; nothing has changed then.
    pub fn patch_faults(&mut self, now: MonoTime, mut patch: Value) -> Result<(), String> {
        let order = patch.as_object_mut().and_then(|patch| patch.remove("revoke_tokens"));
        let revoke = match order {
            None => false,
            Some(order) => order.as_bool().ok_or("revoke_tokens is true or false")?,
        };
        let faults = self.faults.patched(patch)?;
        self.set_faults(now, faults);
        if revoke {
            self.revoke_tokens();
        }
        Ok(())
    }

    /// Makes every token that is out worth nothing.
    pub fn revoke_tokens(&mut self) {
        self.tokens.revoke_all();
    }

    /// Replaces the sessions of a user's Teams clients.
    pub fn set_teams_clients(&mut self, tenant: Uuid, user: Uuid, clients: Vec<Shown>) {
        self.directory.enter(tenant, user).own_mut().clients = clients;
    }

    /// Sets what a user prefers, for how long, or that nothing is preferred.
    pub fn set_preferred(
        &mut self,
        now: MonoTime,
        tenant: Uuid,
        user: Uuid,
        preferred: Option<(PreferredState, Duration)>,
    ) {
        let own = self.directory.enter(tenant, user).own_mut();
        own.preferred = preferred.map(|(state, length)| (state, now + length));
    }

    /// The tenant, where there was only one so far.
    #[must_use]
    pub fn only_tenant(&self) -> Option<Uuid> {
        let tenant = self.lanes.first()?.tenant;
        self.lanes.iter().all(|lane| lane.tenant == tenant).then_some(tenant)
    }

    /// The quota of each lane at present.
    #[must_use]
    pub fn quota(&self) -> Limit {
        self.faults.quota.unwrap_or(self.options.quota)
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn grant(&self, bearer: Bearer) -> Option<Grant> {
        match bearer {
            Bearer::Token(id) => self.tokens.get(id),
            Bearer::Missing | Bearer::Unknown => None,
        }
    }

    fn client_of(&self, token: TokenId) -> Option<Uuid> {
        self.tokens.get(token).map(|grant| self.lanes[grant.lane as usize].client)
    }

    fn lane_of(&mut self, tenant: Uuid, client: Uuid) -> u32 {
        if let Some(lane) = self.lane_index.get(&(tenant, client)) {
            return *lane;
        }
        let global = *self.global_index.entry(client).or_insert_with(|| {
            self.global.push(Window::default());
            self.global.len() - 1
        });
        let number = u32::try_from(self.lanes.len()).expect("lanes are made one by one and fit into memory");
        self.lanes.push(Lane::new(tenant, client, global, self.faults.stops(tenant, client)));
        self.lane_index.insert((tenant, client), number);
        number
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

    fn good_token(&self, now: MonoTime, bearer: Bearer, grant: Option<Grant>) -> Result<u32, Problem> {
        match grant {
            Some(grant) if !grant.revoked && now < grant.expires_at => Ok(grant.lane),
            None if bearer == Bearer::Missing => Err(Problem::token_missing()),
            _ => Err(Problem::token_rejected()),
        }
    }

    /// What stops every request but those for a token.
    fn gate(&self, number: u64) -> Option<Reply> {
        let everything_hangs = Trouble { hang: true, ..Trouble::default() };
        let trouble = if self.faults.hang { Some(&everything_hangs) } else { self.faults.outage.as_ref() };
        trouble.map(|trouble| self.trouble(number, trouble))
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
            Ok(lane) => {
                let done = self.call(now, number, lane, &request.call);
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

    /// All that can keep a request from being looked at: scripts, the token, the quota, chance. Returns the lane.
    fn before_the_call(
        &mut self,
        now: MonoTime,
        number: u64,
        request: &Request,
        grant: Option<Grant>,
        wait: Option<Duration>,
        fate: Fate,
    ) -> Result<u32, Reply> {
        self.gate(number).map_or(Ok(()), Err)?;
        let lane =
            self.good_token(now, request.bearer, grant).map_err(|problem| self.problem(number, problem))?;
        if let Some(throttle) = &self.faults.throttle {
            let trouble = Trouble { retry_after: throttle.retry_after.clone(), ..Trouble::status(429) };
            return Err(self.trouble(number, &trouble));
        }
        if let Some(wait) = wait {
            let retry_after = RetryAfter::of(wait, self.faults.retry_after_form);
            return Err(Reply { retry_after, ..self.problem(number, Problem::of_status(429)) });
        }
        let Lane { tenant, client, .. } = &self.lanes[lane as usize];
        if let Some(trouble) = self.faults.tenants.get(tenant).or_else(|| self.faults.apps.get(client)) {
            return Err(self.trouble(number, trouble));
        }
        match fate {
            Fate::Fails(status) => Err(self.trouble(number, &Trouble::status(status))),
            Fate::Reset => Err(self.trouble(number, &Trouble { reset: true, ..Trouble::default() })),
            Fate::Healthy | Fate::Lost => Ok(lane),
        }
    }

    fn decide_token(&mut self, now: MonoTime, lane: u32, ask: &TokenAsk, reply: &mut TokenReply) {
        if let Some(trouble) = self.faults.token.as_ref().filter(|t| t.is_for(ask.tenant, ask.client)) {
            reply.retry_after = trouble.retry_after.clone().map(RetryAfter::Text);
            reply.delivery = match (trouble.hang, trouble.reset) {
                (true, _) => Delivery::Hung,
                (false, true) => Delivery::Cut,
                (false, false) => Delivery::Answered(trouble.body),
            };
            reply.status = trouble.status;
            if let Some(problem) = trouble.problem() {
                reply.status = problem.status;
                reply.content = TokenContent::Problem(problem);
            }
            return;
        }
        if let (Some(right), Proof::Secret(secret)) = (&self.faults.secret, &ask.proof)
            && right != secret
        {
            let problem = TokenProblem::wrong_secret(ask.client);
            reply.status = problem.status;
            reply.content = TokenContent::Problem(problem);
            return;
        }
        let seed = self.options.faults.seed;
        let (token, life) = self.tokens.give(seed, lane, now, self.options.token_life);
        reply.content = TokenContent::Granted(token, life.as_secs());
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

    fn problem(&self, number: u64, problem: Problem) -> Reply {
        Reply::problem(number, self.faults.latency(number), self.faults.error_body, problem)
    }

    fn trouble(&self, number: u64, trouble: &Trouble) -> Reply {
        Reply::trouble(number, self.faults.latency(number), self.faults.error_body, trouble)
    }
}

#[cfg(test)]
pub(super) mod tests;
