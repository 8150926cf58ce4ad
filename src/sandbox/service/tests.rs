use std::time::Duration;

use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use super::*;
use crate::sandbox::report::{Report, UserReport};

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

    fn body(&mut self, body: Value) -> Reply {
        let call = Call::on_user(Some(USER), crate::sandbox::route::Verb::Set, body.to_string().as_bytes());
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

use SessionState::{Available, Away, InACall, Presenting};

#[test]
fn a_set_is_seen_by_readers_until_it_fades_and_a_set_brings_it_back() {
    let mut t = Bench::new();
    assert_eq!(t.shown(USER), Shown::OFFLINE);
    assert_eq!(t.set(USER, Available), 200);
    assert_eq!(t.shown(USER), Shown::of("Available", "Available"));
    t.wait(300.0);
    assert_eq!(t.shown(USER), Shown::of("Available", "AvailableInactive"));
    t.wait(300.0);
    assert_eq!(t.shown(USER), Shown::of("Away", "Away"));
    t.set(USER, Available);
    assert_eq!(t.shown(USER), Shown::of("Available", "Available"));
}

#[test]
fn a_later_set_replaces_state_and_expiration_and_shortens_it_too() {
    let mut t = Bench::new();
    t.set(USER, Presenting);
    let short = Duration::from_secs(300);
    t.service.set_presence(t.now, t.token, USER, InACall, short);
    t.wait(299.0);
    assert_eq!(t.shown(USER), Shown::of("Busy", "InACall"));
    t.wait(1.0);
    assert_eq!(t.shown(USER), Shown::OFFLINE);
}

#[test]
fn clearing_ends_the_session_and_clearing_nothing_is_404() {
    let mut t = Bench::new();
    assert_eq!(t.clear(USER), 404);
    t.set(USER, Away);
    assert_eq!(t.clear(USER), 200);
    assert_eq!(t.shown(USER), Shown::OFFLINE);
    let reply = t.service.clear_presence(t.now, t.token, USER);
    assert_eq!(code(&reply), (404, "NotFound"));
    t.set(USER, Away);
    t.wait(3_600.0);
    assert_eq!(t.clear(USER), 404, "an expired session is none");
    let report = t.report();
    assert_eq!((report.clears, report.clears_without_session, report.invalid_requests), (1, 3, 0));
}

#[test]
fn apps_have_a_session_each_and_the_stronger_is_shown() {
    let mut t = Bench::new();
    t.set(USER, Available);
    let other = t.service.token(t.now, Ok(ask(TENANT, OTHER, "s"))).token().unwrap();
    t.service.set_presence(t.now, other, USER, InACall, HOUR);
    assert_eq!(t.shown(USER), Shown::of("Busy", "InACall"));
    t.service.clear_presence(t.now, other, USER);
    assert_eq!(t.shown(USER), Shown::of("Available", "Available"));
    assert_eq!(t.user(USER).sessions.len(), 1);
}

#[test]
fn tenants_do_not_see_each_other() {
    let mut t = Bench::new();
    t.set(USER, Available);
    let elsewhere = t.service.token(t.now, Ok(ask(OTHER, CLIENT, "s"))).token().unwrap();
    let reply = t.service.get_presence(t.now, elsewhere, USER);
    let Content::Presence(presence) = reply.content else { panic!("{reply:?}") };
    assert_eq!(presence.shown, Shown::OFFLINE);
    assert_eq!(t.report().lanes.len(), 2);
}

#[test]
fn a_teams_client_and_a_preference_take_part_in_what_is_shown() {
    let mut t = Bench::new();
    t.set(USER, Away);
    t.service.set_teams_clients(TENANT, USER, vec![Shown::of("Available", "Available")]);
    assert_eq!(t.shown(USER), Shown::of("Available", "Available"), "Away never beats a running Teams client");
    let busy = (PreferredState::Busy, Duration::from_secs(60));
    t.service.set_preferred(t.now, TENANT, USER, Some(busy));
    assert_eq!(t.shown(USER), Shown::of("Busy", "Busy"));
    t.wait(60.0);
    assert_eq!(t.shown(USER), Shown::of("Available", "Available"), "the preference is over");
    t.service.set_preferred(t.now, TENANT, USER, Some(busy));
    t.service.set_teams_clients(TENANT, USER, vec![]);
    t.clear(USER);
    assert_eq!(t.shown(USER), Shown::OFFLINE, "a preference without a session is not shown");
}

#[test]
fn bodies_are_checked_in_the_documented_order() {
    let mut t = Bench::new();
    let mut body =
        json!({"sessionId": OTHER, "availability": "Busy", "activity": "Busy", "expirationDuration": "PT4M"});
    let reply = t.body(body.clone());
    assert_eq!(code(&reply), (400, "InvalidArgument"));
    let message = |reply: &Reply| match &reply.content {
        Content::Problem(problem) => problem.message.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(message(&reply).contains("Unsupported"));
    body["activity"] = "InACall".into();
    assert_eq!(message(&t.body(body.clone())), "The provided [ExpirationDuration] is out of range.");
    body["expirationDuration"] = "PT5M".into();
    assert!(message(&t.body(body.clone())).contains("[SessionId]"));
    t.script(json!({"users": {USER.to_string(): {"status": 404}}}));
    assert!(message(&t.body(body.clone())).contains("[SessionId]"), "the user comes last");
    body["sessionId"] = CLIENT.to_string().to_uppercase().into();
    assert_eq!(code(&t.body(body.clone())), (404, "Request_ResourceNotFound"));
    t.script(json!({"users": null}));
    assert_eq!(t.body(body.clone()).status, 200);
    body["sessionId"] = Value::Null;
    assert_eq!(t.body(body).status, 400);
    assert_eq!(t.report().invalid_requests, 5);
}

#[test]
fn the_token_is_looked_at_before_everything_else() {
    let mut t = Bench::new();
    let call = Call::on_user(None, crate::sandbox::route::Verb::Set, b"{");
    let mut status = |bearer| t.service.handle(t.now, &Request { bearer, call: call.clone() }).status;
    assert_eq!(status(Bearer::Missing), 401);
    assert_eq!(status(Bearer::Unknown), 401);
    let bearer = t.bearer();
    let reply = t.service.handle(t.now, &Request { bearer, call });
    assert_eq!(code(&reply), (400, "BadRequest"));
}

#[test]
fn a_token_expires_at_its_end_and_revocation_takes_all() {
    let life = Duration::from_secs(600);
    let mut t = Bench::with(Options { token_life: Some(life), ..Options::default() });
    t.wait(599.999);
    assert_eq!(t.set(USER, Away), 200);
    t.wait(0.001);
    let reply = t.service.set_presence(t.now, t.token, USER, Away, HOUR);
    assert_eq!(code(&reply), (401, "InvalidAuthenticationToken"));
    t.renew_token();
    assert_eq!(t.set(USER, Away), 200);
    t.script(json!({"revoke_tokens": true}));
    assert_eq!(t.set(USER, Away), 401);
    t.renew_token();
    assert_eq!(t.set(USER, Away), 200);
    let lane = &t.report().lanes[0];
    assert_eq!(lane.requests, 5, "requests on a token that is over were sent all the same");
}

#[test]
fn a_wrong_secret_gets_no_token() {
    let mut t = Bench::new();
    t.script(json!({"secret": "right"}));
    let reply = t.service.token(t.now, Ok(ask(TENANT, CLIENT, "wrong")));
    let TokenContent::Problem(problem) = &reply.content else { panic!("{reply:?}") };
    assert_eq!((reply.status, &*problem.error, problem.code), (401, "invalid_client", 7_000_215));
    assert!(t.service.token(t.now, Ok(ask(TENANT, CLIENT, "right"))).token().is_some());
    let tokens = t.report().tokens;
    assert_eq!((tokens.requests, tokens.granted, tokens.rejected), (3, 2, 1));
}

#[test]
fn token_requests_in_flight_are_counted_lane_by_lane() {
    let mut t = Bench::new();
    t.service.token_done(TokenTicket(0));
    let first = t.service.token(t.now, Ok(ask(TENANT, CLIENT, "s"))).ticket.unwrap();
    let second = t.service.token(t.now, Ok(ask(TENANT, OTHER, "s"))).ticket.unwrap();
    assert_eq!(t.report().tokens.max_in_flight, 1, "one on each of two lanes");
    let third = t.service.token(t.now, Ok(ask(TENANT, CLIENT, "s"))).ticket.unwrap();
    [first, second, third].into_iter().for_each(|ticket| t.service.token_done(ticket));
    let tokens = t.report().tokens;
    assert_eq!((tokens.max_in_flight, tokens.in_flight), (2, 0));
}

#[test]
fn the_token_endpoint_fails_as_scripted_and_for_whom() {
    let mut t = Bench::new();
    let status = |t: &mut Bench, client| {
        let reply = t.service.token(t.now, Ok(ask(TENANT, client, "s")));
        (reply.status, reply.delivery)
    };
    t.script(json!({"token": {"status": 503, "app": OTHER}}));
    assert_eq!(status(&mut t, OTHER).0, 503);
    assert_eq!(status(&mut t, CLIENT).0, 200);
    t.script(json!({"token": {"error": "invalid_client", "app": null}}));
    assert_eq!(status(&mut t, CLIENT).0, 401);
    t.script(json!({"token": {"hang": true}}));
    assert_eq!(status(&mut t, CLIENT).1, Delivery::Hung);
    t.script(json!({"token": null}));
    assert_eq!(status(&mut t, CLIENT).0, 200);
}

#[test]
fn the_quota_is_kept_lane_by_lane_and_reads_count() {
    let mut t = Bench::with_quota(3);
    assert_eq!([t.set(USER, Away), t.clear(USER)], [200, 200]);
    t.shown(USER);
    let reply = t.service.set_presence(t.now, t.token, USER, Away, HOUR);
    assert_eq!(code(&reply), (429, "TooManyRequests"));
    assert_eq!(reply.retry_after, Some(RetryAfter::Text("30".to_owned())));
    let other = t.service.token(t.now, Ok(ask(OTHER, CLIENT, "s"))).token().unwrap();
    assert_eq!(
        t.service.set_presence(t.now, other, USER, Away, HOUR).status,
        200,
        "another tenant, another quota"
    );
    t.wait(10.0);
    assert_eq!(t.set(USER, Away), 429);
    let report = t.report();
    assert_eq!((report.peak_window, report.throttled, report.lanes[0].in_retry_after), (5, 2, 1));
    t.wait(20.0);
    assert_eq!(t.set(USER, Away), 200, "only the throttled one at 10 s and this one are in the window");
}

#[test]
fn an_app_has_a_budget_over_all_tenants_too() {
    let global_quota = Limit { requests: 2, per_s: 10 };
    let mut t = Bench::with(Options { global_quota, ..Options::default() });
    let other = t.service.token(t.now, Ok(ask(OTHER, CLIENT, "s"))).token().unwrap();
    let mut set = |token, secs| {
        t.service.set_presence(t.now + Duration::from_secs(secs), token, USER, Away, HOUR).status
    };
    assert_eq!([set(t.token, 0), set(other, 0), set(other, 1)], [200, 200, 429]);
    assert_eq!(set(t.token, 10), 200);
}

#[test]
fn a_scripted_quota_and_retry_after_form_replace_those_of_the_start() {
    let mut t = Bench::new();
    t.script(
        json!({"quota": {"requests": 1, "per_s": 30}, "window": "fixed", "retry_after_form": "decimal"}),
    );
    t.wait(28.5);
    assert_eq!(t.set(USER, Away), 200);
    let reply = t.service.set_presence(t.now, t.token, USER, Away, HOUR);
    assert_eq!(reply.retry_after, Some(RetryAfter::Text("1.500".to_owned())));
    t.wait(1.5);
    assert_eq!(t.set(USER, Away), 200);
}

#[test]
fn scripts_stop_what_they_name_and_nothing_else() {
    let mut t = Bench::new();
    let reply = |t: &mut Bench| t.service.set_presence(t.now, t.token, USER, Away, HOUR);
    t.script(json!({"outage": {"status": 502, "retry_after": "7"}}));
    let outage = reply(&mut t);
    assert_eq!((outage.status, outage.retry_after), (502, Some(RetryAfter::Text("7".to_owned()))));
    t.script(json!({"outage": null, "hang": true}));
    assert_eq!(reply(&mut t).delivery, Delivery::Hung);
    t.script(json!({"hang": false, "throttle": {"retry_after": "17"}}));
    assert_eq!(reply(&mut t).retry_after, Some(RetryAfter::Text("17".to_owned())));
    t.script(json!({"throttle": null, "apps": {CLIENT.to_string(): {"status": 403}}}));
    assert_eq!(code(&reply(&mut t)), (403, "Authorization_RequestDenied"));
    t.script(json!({"apps": null, "tenants": {OTHER.to_string(): {}}, "users": {OTHER.to_string(): {}}}));
    assert_eq!(reply(&mut t).status, 200);
    assert_eq!(t.set(OTHER, Away), 503);
    t.script(json!({"users": {USER.to_string(): {"status": 401}}}));
    assert_eq!(code(&reply(&mut t)), (401, "Unauthorized"));
    t.script(json!({"users": {USER.to_string(): {"status": 200}}}));
    t.clear(USER);
    assert_eq!(reply(&mut t).status, 200);
    assert_eq!(t.user(USER).sets, 1, "a scripted 200 has no effect");
    assert_eq!(t.report().invalid_requests, 0, "what is scripted is nobody's mistake");
}

#[test]
fn a_lost_answer_was_carried_out_and_a_reset_was_not() {
    let mut t = Bench::new();
    t.script(json!({"lost_rate": 1.0}));
    let lost = t.service.set_presence(t.now, t.token, USER, Away, HOUR);
    assert_eq!(lost.delivery, Delivery::Cut);
    t.script(json!({"lost_rate": 0.0, "reset_rate": 1.0}));
    let reset = t.service.set_presence(t.now, t.token, OTHER, Away, HOUR);
    assert_eq!(reset.delivery, Delivery::Cut);
    t.script(json!({"reset_rate": 0.0}));
    assert_eq!((t.shown(USER), t.shown(OTHER)), (Shown::of("Away", "Away"), Shown::OFFLINE));
    let report = t.report();
    assert_eq!((report.requests.by_outcome["lost"], report.requests.by_outcome["reset"]), (1, 1));
    assert_eq!(report.sets, 1);
}

#[test]
fn the_same_seed_has_the_same_answers() {
    let run = |seed| {
        let mut t = Bench::new();
        t.script(
            json!({"seed": seed, "error_rate": 0.2, "lost_rate": 0.1, "latency_ms": {"min": 1, "max": 900}}),
        );
        let one = |n: u32| {
            t.wait(f64::from(n % 3));
            t.service.set_presence(t.now, t.token, USER, Away, HOUR)
        };
        (0..200).map(one).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_late_set_is_a_lapse_and_one_in_time_is_none() {
    let mut t = Bench::new();
    t.set(USER, Available);
    t.wait(300.0);
    t.set(USER, Available);
    assert_eq!(t.report().lapses, 0, "nobody could see it");
    t.wait(310.0);
    let report = t.report();
    assert_eq!((report.lapses, report.lapsed_now, report.longest_gap_s), (1, 1, 10.0));
    t.wait(2.5);
    t.set(USER, Available);
    t.wait(301.0);
    t.set(USER, Away);
    let report = t.report();
    assert_eq!((report.lapses, report.lapsed_now), (2, 0));
    assert_eq!((report.longest_gap_s, report.total_gap_s), (12.5, 13.5));
    assert_eq!((report.first_lapses[0].from_s, report.first_lapses[0].for_s), (600.0, 12.5));
    assert_eq!(report.first_lapses[1].user, USER);
}

#[test]
fn an_expired_session_lapses_until_it_is_set_again_or_cleared() {
    let mut t = Bench::new();
    t.set(USER, InACall);
    t.set(OTHER, InACall);
    t.wait(3_700.0);
    t.renew_token();
    t.set(USER, InACall);
    assert_eq!(t.clear(OTHER), 404);
    let report = t.report();
    assert_eq!((report.lapses, report.lapsed_now, report.lapses_ended_by_clear), (1, 0, 1));
    assert_eq!((report.sessions, report.total_gap_s), (1, 100.0));
}

#[test]
fn a_gap_of_a_refused_user_is_excused_and_no_other_is() {
    let mut t = Bench::new();
    t.set(USER, Available);
    t.set(OTHER, Available);
    t.script(json!({"users": {USER.to_string(): {"status": 403}}}));
    t.wait(200.0);
    assert_eq!([t.set(USER, Available), t.set(OTHER, Available)], [403, 200]);
    t.wait(200.0);
    let report = t.report();
    assert_eq!((report.lapses, report.lapses_excused, report.lapsed_now), (0, 1, 0));
    t.script(json!({"users": null}));
    t.set(USER, Available);
    t.set(OTHER, Available);
    t.wait(301.0);
    let report = t.report();
    assert_eq!((report.lapses, report.lapses_excused), (2, 1), "the next gap is not excused any more");
}

#[test]
fn a_lapse_in_an_outage_counts_and_says_so() {
    let mut t = Bench::new();
    t.set(USER, Available);
    t.wait(100.0);
    t.script(json!({"outage": {"status": 503}}));
    t.wait(100.0);
    t.script(json!({"outage": null}));
    t.wait(200.0);
    t.set(USER, Available);
    t.wait(400.0);
    t.set(USER, Available);
    let report = t.report();
    assert_eq!((report.lapses, report.lapses_in_outage), (2, 1));
    assert!(report.first_lapses[0].in_outage && !report.first_lapses[1].in_outage);
}

#[test]
fn counting_anew_forgets_what_was_and_keeps_what_is() {
    let mut t = Bench::with_quota(2);
    t.set(USER, Available);
    t.wait(250.0);
    t.set(OTHER, Available);
    t.wait(100.0);
    assert_eq!(t.report().lapses, 1);
    t.service.reset_counts(t.now);
    let report = t.report();
    assert_eq!((report.lapses, report.lapsed_now, report.requests.total, report.peak_window), (0, 0, 0, 0));
    assert_eq!(report.sessions, 2);
    t.set(USER, Available);
    assert_eq!(t.report().lapses, 0, "the gap that was open is not judged");
    t.wait(200.5);
    let report = t.report();
    assert_eq!((report.lapses, report.longest_gap_s), (1, 0.5), "the other one lapsed afterwards");
}

#[test]
fn the_report_counts_sessions_by_state_and_requests_by_call() {
    let mut t = Bench::new();
    t.set(USER, Available);
    t.set(OTHER, Presenting);
    t.shown(USER);
    t.wait(301.0);
    let report = serde_json::to_value(t.report()).unwrap();
    assert_eq!(report["by_state"], json!({"inactive": 1, "Presenting": 1}));
    assert_eq!(report["requests"]["by_call"]["set_presence"], json!({"200": 2}));
    assert_eq!(report["requests"]["by_call"]["get_presence"], json!({"200": 1}));
    assert_eq!(
        (report["requests"]["total"].clone(), report["virtual_seconds"].clone()),
        (json!(3), json!(301.0))
    );
}

#[test]
fn a_user_has_an_account_of_its_own() {
    let mut t = Bench::new();
    t.set(USER, Available);
    t.set(OTHER, Away);
    t.wait(10.0);
    t.clear(USER);
    t.set(USER, InACall);
    let user = serde_json::to_value(t.user(USER)).unwrap();
    assert_eq!((user["sets"].clone(), user["clears"].clone()), (json!(2), json!(1)));
    assert_eq!(user["sessions"][0]["expires_at_s"], json!(3_610.0));
    assert_eq!(user["requests"].as_array().unwrap().len(), 3);
    let last = &user["requests"][2];
    assert_eq!((last["call"].clone(), last["at_s"].clone()), (json!("set_presence"), json!(10.0)));
    assert_eq!((last["outcome"].clone(), last["expiration_s"].clone()), (json!("200"), json!(3_600)));
}

#[test]
fn getting_many_answers_for_each_in_the_order_asked_for() {
    let mut t = Bench::new();
    t.set(USER, Presenting);
    let call = Call::on_presences(json!({"ids": [OTHER, USER]}).to_string().as_bytes());
    let reply = t.service.handle(t.now, &Request { bearer: t.bearer(), call });
    let Content::Presences(presences) = reply.content else { panic!("{reply:?}") };
    let shown: Vec<_> = presences.into_iter().map(|presence| presence.shown).collect();
    assert_eq!(shown, [Shown::OFFLINE, Shown::of("DoNotDisturb", "Presenting")]);
    assert_eq!(t.report().peak_window, 2, "one request, however many ids");
}

#[test]
fn variants_of_a_healthy_answer() {
    let mut t = Bench::new();
    t.script(json!({"no_content": true, "lower_camel": true}));
    assert_eq!(t.set(USER, Presenting), 204);
    assert_eq!(t.shown(USER), Shown::of("doNotDisturb", "presenting"));
}
