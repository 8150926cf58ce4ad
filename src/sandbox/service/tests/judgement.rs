use super::*;

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
