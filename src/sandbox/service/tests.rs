use std::time::Duration;

use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use SessionState::{Available, Away, InACall, Presenting};

use super::*;
use crate::sandbox::call::Bearer;
use crate::sandbox::quota::RetryAfter;
use crate::sandbox::reply::{Content, Delivery, TokenContent, TokenTicket};
use crate::sandbox::report::{Report, UserReport};
use crate::sandbox::route::Verb;
use crate::sandbox::token::{Proof, TokenAsk};

mod calls;
mod judgement;
mod limits;
mod troubles;

pub(in crate::sandbox) const TENANT: Uuid = uuid!("9c7f0000-0000-4000-8000-000000000001");
pub(in crate::sandbox) const CLIENT: Uuid = uuid!("22553876-f5ab-4529-bffb-cfe50aa89f87");
pub(in crate::sandbox) const USER: Uuid = uuid!("fa8bf3dc-eca7-46b7-bad1-db199b62afc3");
const OTHER: Uuid = uuid!("0f6e0000-0000-4000-8000-000000000002");
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

    fn user(&self, user: Uuid) -> UserReport {
        self.service.user_report(self.now, user).remove(0)
    }
}

fn ask(tenant: Uuid, client: Uuid, secret: &str) -> TokenAsk {
    TokenAsk { tenant, client, proof: Proof::Secret(secret.to_owned()) }
}

fn code(reply: &Reply) -> (u16, &str) {
    match &reply.content {
        Content::Problem(problem) => (reply.status, &problem.code),
        _ => (reply.status, "none"),
    }
}
