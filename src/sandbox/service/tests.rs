use std::time::Duration;

use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use SessionState::{Available, Away, InACall, Presenting};

use super::*;
use crate::sandbox::authority::ask::{DeviceAsk, GrantAsk, Scope, TokenAsk};
use crate::sandbox::authority::sign_in::Decision;
use crate::sandbox::call::Bearer;
use crate::sandbox::quota::RetryAfter;
use crate::sandbox::reply::{Content, Delivery, TokenContent, TokenTicket};
use crate::sandbox::report::{Report, UserReport};
use crate::sandbox::route::Verb;

mod calls;
mod identities;
mod judgement;
mod limits;
mod permissions;
mod reads;
mod troubles;

pub(in crate::sandbox) const TENANT: Uuid = uuid!("9c7f0000-0000-4000-8000-000000000001");
pub(in crate::sandbox) const CLIENT: Uuid = uuid!("22553876-f5ab-4529-bffb-cfe50aa89f87");
pub(in crate::sandbox) const USER: Uuid = uuid!("fa8bf3dc-eca7-46b7-bad1-db199b62afc3");
const OTHER: Uuid = uuid!("0f6e0000-0000-4000-8000-000000000002");
const GRAPH: &str = "https://graph.microsoft.com";
const HOUR: Duration = Duration::from_secs(3_600);

/// A service with one app that has a token, at a time of its own.
pub(in crate::sandbox) struct Bench {
    pub(in crate::sandbox) service: Service,
    pub(in crate::sandbox) now: MonoTime,
    token: TokenId,
}

impl Bench {
    pub(in crate::sandbox) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(in crate::sandbox) fn with_quota(requests: u32) -> Self {
        Self::with(Options { quota: Limit { requests, per_s: 30 }, ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let now = MonoTime::from_secs(86_400);
        let mut service = Service::new(options, now);
        let token =
            service.token(now, Ok(ask(TENANT, CLIENT, "s"))).token().expect("a healthy endpoint grants");
        Self { service, now, token }
    }

    pub(in crate::sandbox) fn bearer(&self) -> Bearer {
        Bearer::Token(self.token)
    }

    pub(in crate::sandbox) fn report(&mut self) -> Report {
        self.service.report(self.now)
    }

    fn wait(&mut self, secs: f64) {
        self.now += Duration::from_secs_f64(secs);
    }

    fn renew_token(&mut self) {
        self.token = self.service.token(self.now, Ok(ask(TENANT, CLIENT, "s"))).token().unwrap();
    }

    fn set(&mut self, user: Uuid, state: SessionState) -> u16 {
        self.service.set_presence(self.now, self.token, user, state, HOUR).status
    }

    fn clear(&mut self, user: Uuid) -> u16 {
        self.service.clear_presence(self.now, self.token, user).status
    }

    fn shown(&mut self, user: Uuid) -> Shown {
        match self.service.get_presence(self.now, self.token, user).content {
            Content::Presence(presence) => presence.shown,
            other => panic!("no presence: {other:?}"),
        }
    }

    fn script(&mut self, patch: Value) {
        self.service.patch_faults(self.now, patch).unwrap();
    }

    fn body(&mut self, body: &Value) -> Reply {
        let call = Call::on_user(Some(USER), Verb::Set, body.to_string().as_bytes());
        let request = Request { bearer: self.bearer(), call };
        self.service.handle(self.now, &request)
    }

    /// Registers one app with the secret `s`, and more keys of its own, in a tenant with more keys.
    fn register(&mut self, app: Value, tenant: Value) {
        let merged = |mut all: Value, more: Value| {
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let app = merged(json!({"secrets": [{"secret": "s"}], "public_client": true}), app);
        let tenant = merged(json!({"apps": {CLIENT.to_string(): app}}), tenant);
        let document = json!({"tenants": {TENANT.to_string(): tenant}});
        self.service.authority_mut().register(Some(serde_json::from_value(document).unwrap()));
    }

    /// The bench's token is one that was asked for like this.
    fn take_token(&mut self, ask: TokenAsk) {
        let reply = self.service.token(self.now, Ok(ask));
        self.token = reply.token().unwrap_or_else(|| panic!("{reply:?}"));
    }

    /// The bench's token is one of a user with these permissions.
    fn sign_in(&mut self, user: Uuid, permission: &str) {
        let permissions = vec![permission.to_owned()];
        let scope = Scope { resource: GRAPH.to_owned(), permissions, open_id: false, offline: false };
        let ask = DeviceAsk { tenant: TENANT, client: CLIENT, scope };
        let reply = self.service.device_code(self.now, Ok(ask));
        let TokenContent::Codes(codes) = reply.content else { panic!("{reply:?}") };
        let signs_in = Decision::SignsIn(user);
        self.service.authority_mut().decide_sign_in(self.now, &codes.user_code, signs_in).unwrap();
        let grant = GrantAsk::DeviceCode(codes.device_code);
        self.take_token(TokenAsk { proof: None, grant, ..ask_app() });
    }

    fn user(&self, user: Uuid) -> UserReport {
        self.service.user_report(self.now, user).remove(0)
    }
}

fn ask_app() -> TokenAsk {
    ask(TENANT, CLIENT, "s")
}

fn ask(tenant: Uuid, client: Uuid, secret: &str) -> TokenAsk {
    TokenAsk::with_secret(tenant, client, secret)
}

fn code(reply: &Reply) -> (u16, &str) {
    match &reply.content {
        Content::Problem(problem) => (reply.status, &problem.code),
        _ => (reply.status, "none"),
    }
}
