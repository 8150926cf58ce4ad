use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::sandbox::service::tests::{CLIENT, TENANT, USER};
use crate::sandbox::token::{Claims, Subject};

mod assertions;
mod sign_ins;

const SEED: u64 = 1;
const UNIX: u64 = 1_800_000_000;
const ENDPOINT: &str = "127.0.0.1:8000/9c7f0000-0000-4000-8000-000000000001/oauth2/v2.0/token";

/// An authority at a time of its own.
struct Bench {
    authority: Authority,
    at: Moment,
}

impl Bench {
    /// One that takes everything.
    fn new() -> Self {
        Self { authority: Authority::default(), at: Moment { now: MonoTime::from_secs(86_400), unix: UNIX } }
    }

    /// One that knows one app.
    fn with(app: &Value) -> Self {
        let mut bench = Self::new();
        bench.register(json!({"tenants": {TENANT.to_string(): {"apps": {CLIENT.to_string(): app}}}}));
        bench
    }

    fn register(&mut self, document: Value) {
        self.authority.register(Some(serde_json::from_value(document).unwrap()));
    }

    fn wait(&mut self, secs: u64) {
        self.at.now += Duration::from_secs(secs);
        self.at.unix += secs;
    }

    fn decide(&mut self, ask: &TokenAsk) -> Result<Verdict, u32> {
        self.authority.decide(SEED, self.at, ask, None).map_err(|problem| problem.code)
    }

    /// What becomes of an app's request with this proof.
    fn prove(&mut self, proof: Proof) -> Result<(), u32> {
        self.decide(&TokenAsk { proof: Some(proof), ..ask() }).map(|_| ())
    }

    fn secret(&mut self, secret: &str) -> Result<(), u32> {
        self.prove(Proof::Secret(secret.to_owned()))
    }

    fn assertion(&mut self, assertion: String) -> Result<(), u32> {
        self.prove(Proof::Assertion(assertion))
    }
}

/// An app's request for a token, with a secret.
fn ask() -> TokenAsk {
    TokenAsk { endpoint: ENDPOINT.to_owned(), ..TokenAsk::with_secret(TENANT, CLIENT, "right") }
}

#[test]
fn with_nothing_registered_everyone_gets_a_token_and_a_scripted_secret_counts() {
    let mut t = Bench::new();
    let verdict = t.decide(&ask()).unwrap();
    let roles = ["Presence.ReadWrite.All", "GroupMember.Read.All", "User.Read.All"];
    assert_eq!(verdict.subject, Subject::App(roles.map(str::to_owned).into()));
    let refused = t.authority.decide(SEED, t.at, &ask(), Some("other")).unwrap_err();
    assert_eq!((refused.status, &*refused.error, refused.code), (401, "invalid_client", 7_000_215));
    assert_eq!(t.decide(&TokenAsk { proof: None, ..ask() }), Err(7_000_218), "an app proves who it is");
}

#[test]
fn only_registered_tenants_and_apps_are_known() {
    let secrets = json!({"secrets": [{"secret": "right"}]});
    let mut t = Bench::with(&secrets);
    assert_eq!(t.secret("right"), Ok(()));
    assert_eq!(t.decide(&TokenAsk { tenant: USER, ..ask() }), Err(90_002));
    assert_eq!(t.decide(&TokenAsk { client: USER, ..ask() }), Err(700_016));
    t.authority.register(None);
    assert!(t.decide(&TokenAsk { tenant: USER, ..ask() }).is_ok(), "everyone again");
}

#[test]
fn a_secret_is_wrong_or_over_or_good() {
    let ends = i64::try_from(UNIX).unwrap() + 60;
    let expires = jiff::Timestamp::from_second(ends).unwrap().to_string();
    let mut t = Bench::with(&json!({"secrets": [{"secret": "old", "expires": expires}, {"secret": "new"}]}));
    assert_eq!([t.secret("old"), t.secret("new"), t.secret("none")], [Ok(()), Ok(()), Err(7_000_215)]);
    t.wait(60);
    assert_eq!([t.secret("old"), t.secret("new")], [Err(7_000_222), Ok(())]);
}

#[test]
fn what_stands_between_an_app_and_its_token_has_its_number() {
    let with = |more: Value| {
        let mut app = json!({"secrets": [{"secret": "right"}]});
        app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Bench::with(&app)
    };
    assert_eq!(with(json!({"disabled": true})).secret("right"), Err(7_000_112));
    assert_eq!(with(json!({"blocked": true})).secret("right"), Err(53_003));
    assert_eq!(with(json!({"consent": false})).secret("right"), Err(65_001));
    assert_eq!(with(json!({"blocked": true})).secret("wrong"), Err(7_000_215), "the proof comes first");
    let mut t = with(json!({"roles": []}));
    assert_eq!(t.decide(&ask()).unwrap().subject, Subject::App(Vec::new()));
    let mut t = with(json!({"token_life_s": 600, "refresh_in_s": 300}));
    let verdict = t.decide(&ask()).unwrap();
    assert_eq!((verdict.token_life_s, verdict.refresh_in_s), (Some(600), Some(300)));
}

#[test]
fn a_token_is_given_for_registered_resources_only() {
    let mut t = Bench::new();
    let app = json!({"secrets": [{"secret": "right"}]});
    t.register(json!({
        "tenants": {TENANT.to_string(): {"apps": {CLIENT.to_string(): app}}},
        "resources": ["https://graph.microsoft.com/"],
    }));
    assert_eq!(t.secret("right"), Ok(()));
    let other = GrantAsk::App("https://graph.microsoft.us".to_owned());
    assert_eq!(t.decide(&TokenAsk { grant: other, ..ask() }), Err(500_011));
}
