use super::*;

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
    assert_eq!(lane.counts.requests, 5, "requests on a token that is over were sent all the same");
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
    assert_eq!((report.peak_window, report.throttled, report.lanes[0].counts.in_retry_after), (5, 2, 1));
    t.wait(20.0);
    assert_eq!(t.set(USER, Away), 200, "only the throttled one at 10 s and this one are in the window");
}

#[test]
fn a_shorter_retry_after_does_not_take_back_a_longer_one() {
    let mut t = Bench::new();
    t.script(json!({"throttle": {"retry_after": "30"}}));
    assert_eq!(t.set(USER, Away), 429);
    t.script(json!({"throttle": {"retry_after": "1"}}));
    assert_eq!(t.set(USER, Away), 429);
    t.script(json!({"throttle": null}));
    t.wait(29.0);
    assert_eq!(t.set(USER, Away), 200);
    assert_eq!(t.report().lanes[0].counts.in_retry_after, 2, "the one at once and the one after 29 s");
    t.wait(1.0);
    t.set(USER, Away);
    assert_eq!(t.report().lanes[0].counts.in_retry_after, 2, "30 s are over");
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
