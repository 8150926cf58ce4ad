use super::*;

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
    let reply = t.body(&body);
    assert_eq!(code(&reply), (400, "InvalidArgument"));
    let message = |reply: &Reply| match &reply.content {
        Content::Problem(problem) => problem.message.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(message(&reply).contains("Unsupported"));
    body["activity"] = "InACall".into();
    assert_eq!(message(&t.body(&body)), "The provided [ExpirationDuration] is out of range.");
    body["expirationDuration"] = "PT5M".into();
    assert!(message(&t.body(&body)).contains("[SessionId]"));
    t.script(json!({"users": {USER.to_string(): {"status": 404}}}));
    assert!(message(&t.body(&body)).contains("[SessionId]"), "the user comes last");
    body["sessionId"] = CLIENT.to_string().to_uppercase().into();
    assert_eq!(code(&t.body(&body)), (404, "Request_ResourceNotFound"));
    t.script(json!({"users": null}));
    assert_eq!(t.body(&body).status, 200);
    body["sessionId"] = Value::Null;
    assert_eq!(t.body(&body).status, 400);
    assert_eq!(t.report().invalid_requests, 5);
}

#[test]
fn the_token_is_looked_at_before_everything_else() {
    let mut t = Bench::new();
    let call = Call::on_user(None, Verb::Set, b"{");
    let mut status = |bearer| t.service.handle(t.now, &Request { bearer, call: call.clone() }).status;
    assert_eq!(status(Bearer::Missing), 401);
    assert_eq!(status(Bearer::Unknown), 401);
    let bearer = t.bearer();
    let reply = t.service.handle(t.now, &Request { bearer, call });
    assert_eq!(code(&reply), (400, "BadRequest"));
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
