//! `presenced plan`: the arithmetic of a config, told before anything is sent.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::exits::presenced_says;
use crate::sandbox::Sandbox;
use crate::site::{Site, available, id, in_a_call, user};

#[tokio::test]
async fn a_lane_that_is_too_full_is_told_of_with_names_and_exit_3() {
    let mut site = Site::at("http://127.0.0.1:9", "http://127.0.0.1:9", (0..15_500).map(available));
    site.config.users[15_499].says.push_str("\npriority = 1");
    site.config.users.push(in_a_call(20_000));
    site.config.users.push(user(20_001, "availability = \"none\""));
    site.write();
    let config = site.config_file();
    let config = config.to_str().unwrap();

    let plan = presenced_says(&["plan", "--json", "--config", config]).await;
    assert_eq!(plan.code, Some(3), "{}", plan.stderr);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let app = &plan["apps"][0];
    // 97 % of 50 a second, once in 290 s, and one a period of the call that takes less.
    for (key, figure) in [
        ("app", json!("contoso")),
        ("sessions", json!(15_501)),
        ("available", json!(15_500)),
        ("quota_per_second", json!(50.0)),
        ("renewal_period_s", json!(290.0)),
        ("outage_budget_s", json!(10.0)),
        ("fraction", json!(0.9667)),
        ("utilisation", json!(0.97)),
        ("unfunded", json!(1_436)),
        ("fits", json!(false)),
    ] {
        assert_eq!(app[key], figure, "{key}");
    }
    let left_out = app["unfunded_users"].as_array().unwrap();
    assert_eq!(left_out.len(), 1_436);
    let last = json!({ "user": id(15_498), "name": "user 15498" });
    assert!(left_out.contains(&last) && !left_out.iter().any(|user| user["user"] == id(15_499)));

    let text = presenced_says(&["plan", "--config", config]).await.stdout;
    assert!(text.contains("1,436 more than the quota keeps") && text.contains("user 14065"), "{text}");
    assert!(text.contains("another app registration") && text.contains("and 1,426 more"), "{text}");
    let check = presenced_says(&["check", "--no-environment", "--config", config]).await.stdout;
    assert!(check.contains("has 15501 sessions, its quota keeps 14065: 1436 too many"), "{check}");
    assert!(check.contains("ok: 15501 sessions"), "a user without a session of ours is none: {check}");
}

#[tokio::test]
async fn one_user_is_found_by_id_name_or_beginning() {
    let mut site = Site::at("http://127.0.0.1:9", "http://127.0.0.1:9", (0..12).map(available));
    site.config.users[3] = in_a_call(3);
    site.config.users[5].says.push_str("\naliases = [\"2005\"]");
    site.write();
    let config = site.config_file();
    let plan = |word: &str| {
        let args = ["plan", "--config", config.to_str().unwrap(), word].map(str::to_owned);
        async move { presenced_says(&args.each_ref().map(String::as_str)).await }
    };

    for (word, who) in
        [("user 3", 3), ("USER 10", 10), ("2005", 5), ("200", 5), (&id(7)[..], 7), ("user 1", 1)]
    {
        let outcome = plan(word).await;
        assert_eq!(outcome.code, Some(0), "{word}: {}", outcome.stderr);
        assert!(outcome.stdout.contains(&id(who)), "{word}: {}", outcome.stdout);
    }
    let call = plan("user 3").await.stdout;
    assert!(call.contains("Busy, InACall") && call.contains("every 30 min of 1 h"), "{call}");
    let ambiguous = plan("user").await;
    assert_eq!(ambiguous.code, Some(2));
    assert!(ambiguous.stderr.contains("one of 12: user 0 ("), "{}", ambiguous.stderr);
    let nobody = plan("nobody").await;
    assert_eq!(
        (nobody.code, nobody.stderr.trim()),
        (Some(2), "error: no user of the config is called `nobody`")
    );
}

#[tokio::test]
async fn a_plan_that_does_not_fit_is_told_of_when_it_is_taken_and_who_is_left_out() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..12).map(available));
    site.config.app = "quota = { requests = 30, per = \"5m\" }".to_owned();
    site.config.users = (0..40).map(available).collect();
    site.write();
    let mut daemon = site.run();
    let told = daemon.event("quota_exceeded").await;
    // 97 % of 30 in 5 minutes, once in 290 s.
    assert_eq!(
        (&told["app"], &told["sessions"], &told["left_out"]),
        (&"contoso".into(), &40.into(), &12.into())
    );
    assert!(told["first"].as_str().unwrap().starts_with(&id(28)), "{told}");
    let started = daemon.event("started").await;
    assert_eq!(started["sets_done_in_s"], 280, "28 at 30 in 5 minutes: {started}");

    // A bigger quota: everyone, and nothing is said any more.
    site.config.app.clear();
    site.write();
    daemon.signal(Signal::HUP);
    let reloaded = daemon.event("reloaded").await;
    assert!(reloaded["sets_done_in_s"].is_null(), "{reloaded}");
    daemon.all_said("set", 40).await;
    assert_eq!(daemon.events("quota_exceeded").len(), 1);
}
