//! The presence service as a pure machine: requests go in with the time of their arrival, answers come out.
//!
//! It reads no clock, does no IO and draws no chance but from its seed and the number of a request. Its rules come
//! from Microsoft's documentation and from what users saw; each names its source where it is written.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use uuid::Uuid;

use super::authority::Authority;
use super::call::{Bearer, Call, Request, Set, UserCall};
use super::counts::{CallKind, Counts, Outcome};
use super::directory::Directory;
use super::faults::Faults;
use super::lane::Lane;
use super::objects::Objects;
use super::presence::{PreferredState, SessionState, Shown};
use super::quota::{Limit, Window, WindowKind};
use super::reads::Units;
use super::reply::Reply;
use super::token::{TokenId, Tokens};
use crate::keeper::time::MonoTime;

pub(super) mod calls;
mod decide;
mod reads;
mod token;

/// How many requests are remembered one by one, over all users.
const REMEMBERED_REQUESTS: usize = 100_000;

/// The wall time at which a service starts that was not told another: 2027-01-15, 08:00 UTC.
const WALL_AT_START: Duration = Duration::from_secs(1_800_000_000);

/// What a service is like from its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// The quota of each app in each tenant.
    pub quota: Limit,
    /// The quota of each app over all tenants.
    pub global_quota: Limit,
    /// The quota of each app in each tenant for reads of the directory.
    pub read_quota: Units,
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
            read_quota: Units::IDENTITY,
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
    /// What a test has said of users and groups.
    pub(super) objects: Objects,
    pub(super) counts: Counts,
    pub(super) log: VecDeque<Remembered>,
    /// Only looked up, never walked.
    lane_index: HashMap<(Uuid, Uuid), u32>,
    global: Vec<Window>,
    global_index: BTreeMap<Uuid, usize>,
    tokens: Tokens,
    /// Who gets one.
    pub(super) authority: Authority,
    /// The claims challenge in force: the `nbf` that tokens must have been asked for with.
    challenge: Option<u64>,
    /// A moment and the wall time that goes with it, since 1970.
    wall: (MonoTime, Duration),
    /// Requests and batches ever, but for tokens.
    number: u64,
    /// Requests ever that were asked how long they are on their way.
    departed: u64,
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
            objects: Objects::default(),
            counts: Counts::default(),
            log: VecDeque::new(),
            lane_index: HashMap::new(),
            global: Vec::new(),
            global_index: BTreeMap::new(),
            tokens: Tokens::default(),
            authority: Authority::default(),
            challenge: None,
            wall: (now, WALL_AT_START),
            number: 0,
            departed: 0,
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

    /// Changes the script by a merge patch. Some of its keys are orders, which are followed and not kept:
    /// `"revoke_tokens": true` and `"revoke_refresh_tokens": true` make all that are out worth nothing,
    /// `"challenge": true` asks for new claims from now on, and `false` no longer.
    ///
    /// # Errors
    /// Says in a sentence what is wrong; nothing has changed then.
    pub fn patch_faults(&mut self, now: MonoTime, mut patch: Value) -> Result<(), String> {
        let mut order = |name: &str| match patch.as_object_mut().and_then(|patch| patch.remove(name)) {
            None => Ok(None),
            Some(order) => order.as_bool().map(Some).ok_or_else(|| format!("{name} is true or false")),
        };
        let (revoke, revoke_refresh) = (order("revoke_tokens")?, order("revoke_refresh_tokens")?);
        let challenge = order("challenge")?;
        let faults = self.faults.patched(patch)?;
        self.set_faults(now, faults);
        if revoke == Some(true) {
            self.revoke_tokens();
        }
        if revoke_refresh == Some(true) {
            self.authority.revoke_refresh_tokens();
        }
        match challenge {
            Some(true) => self.challenge_tokens(now),
            Some(false) => self.challenge = None,
            None => {}
        }
        Ok(())
    }

    /// Nothing goes wrong any more. What was revoked stays revoked.
    pub fn heal(&mut self, now: MonoTime) {
        self.challenge = None;
        self.set_faults(now, Faults { seed: self.faults.seed, ..Faults::default() });
    }

    /// Who gets a token.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The same, to be changed.
    pub const fn authority_mut(&mut self) -> &mut Authority {
        &mut self.authority
    }

    /// The groups and users that were defined, to be changed.
    pub const fn objects_mut(&mut self) -> &mut Objects {
        &mut self.objects
    }

    /// Tells what the wall clock shows now. From there on its time goes with that of the requests.
    pub fn set_wall(&mut self, now: MonoTime, wall: SystemTime) {
        self.wall = (now, wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
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

    /// What others see of a user, without a request.
    #[must_use]
    pub fn shown(&self, now: MonoTime, tenant: Uuid, user: Uuid) -> Shown {
        self.directory.get(tenant, user).map_or(Shown::OFFLINE, |user| user.shown(now))
    }

    /// Requests of all kinds that have come in, those for tokens included.
    #[must_use]
    pub const fn asked(&self) -> u64 {
        self.number + self.token_number
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

    /// Seconds since 1970 by the service's wall clock, right or wrong.
    pub(super) fn unix(&self, now: MonoTime) -> u64 {
        let (at, wall) = self.wall;
        (wall + now.since(at)).as_secs().saturating_add_signed(self.faults.clock_offset_s)
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
}

#[cfg(test)]
pub(super) mod tests;
