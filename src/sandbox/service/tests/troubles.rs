use super::*;

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
