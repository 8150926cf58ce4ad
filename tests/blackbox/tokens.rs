//! Tokens that are not to be had: said which app and what to do, without a storm, and healed by itself.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::secrecy::{TRACE, ends_silent};
use crate::site::{SECRET, Site, available, client_id, in_a_call, user};

fn says(line: &Value, key: &str, what: &str) {
    let text = line[key].as_str().unwrap_or_default();
    assert!(text.contains(what), "{what:?} in {key}: {line:#}");
}

#[tokio::test]
async fn a_wrong_secret_is_named_with_its_remedy_and_a_new_one_is_noticed() {
    let sandbox = Sandbox::watched(&["--secret", SECRET]).await;
    let site = Site::new(&sandbox, (0..5).map(available));
    site.secret("contoso", "another-secret-of-before");
    let mut daemon = site.run_with(&TRACE);

    let failed = daemon.event("token_failed").await;
    assert_eq!(
        (&failed["app"], &failed["aadsts"], &failed["level"]),
        (&"contoso".into(), &7_000_215.into(), &"error".into())
    );
    says(&failed, "error", "invalid_client");
    says(&failed, "meaning", "secret is wrong");
    says(&failed, "advice", "contoso.secret");
    assert!(failed["correlation_id"].is_string(), "{failed}");
    // Backed off: 2 s, and twice that.
    assert!((1.0..=3.0).contains(&failed["next_try_s"].as_f64().unwrap()), "{failed}");
    let again = daemon.event("token_failed").await;
    assert!(again["next_try_s"].as_f64().unwrap() > failed["next_try_s"].as_f64().unwrap(), "{again}");
    assert_eq!(again["attempt"], 2);

    let replaced = Instant::now();
    site.secret("contoso", SECRET);
    let report = sandbox.until_sets(5).await;

    assert!(replaced.elapsed() < Duration::from_secs(10), "{:?}", replaced.elapsed());
    assert!(report["tokens"]["requests"].as_u64() <= Some(5), "{report:#}");
    assert_eq!(report["tokens"]["max_in_flight"], 1);
    daemon.event("token_granted").await;
    ends_silent(daemon, &site, &[]).await;
}

#[tokio::test]
async fn a_changed_secret_is_tried_at_once_though_the_next_try_is_far() {
    let sandbox = Sandbox::watched(&[]).await;
    sandbox.faults(json!({"token": {"status": 503, "retry_after": "300"}})).await;
    let site = Site::new(&sandbox, (0..3).map(available));
    let mut daemon = site.run_with(&TRACE);
    assert_eq!(daemon.event("token_failed").await["next_try_s"], 300.0);
    sandbox.heal().await;

    let replaced = Instant::now();
    site.secret("contoso", "a-new-secret");
    assert_eq!(daemon.event("credential_changed").await["app"], "contoso");
    daemon.event("token_granted").await;
    assert!(replaced.elapsed() < Duration::from_secs(10), "{:?}", replaced.elapsed());
    let report = sandbox.until_sets(3).await;
    assert_eq!(report["tokens"]["requests"], 2, "{report:#}");
    ends_silent(daemon, &site, &[]).await;
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_is_asked_ever_less_often_and_taken_when_it_is_back() {
    let speed = ["--speed", "20"];
    let sandbox = Sandbox::watched(&speed).await;
    sandbox.faults(json!({"token": {"status": 503}})).await;
    let site = Site::new(&sandbox, (0..5).map(available));
    let mut daemon = site.run_with(&[speed, TRACE].concat());

    let mut waits = Vec::new();
    for attempt in 1..=5 {
        let failed = daemon.event("token_failed").await;
        assert_eq!((&failed["attempt"], &failed["app"]), (&attempt.into(), &"contoso".into()), "{failed}");
        says(&failed, "meaning", "");
        waits.push(failed["next_try_s"].as_f64().unwrap());
    }
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0] * 1.3), "{waits:?}");
    assert!(waits[0] <= 3.0 && waits[4] <= 120.0, "{waits:?}");
    let report = sandbox.report().await;
    assert!(report["tokens"]["requests"].as_u64() <= Some(6), "{report:#}");

    sandbox.heal().await;
    let report = sandbox.until_sets(5).await;
    assert_eq!(report["tokens"]["max_in_flight"], 1, "{report:#}");
    assert_eq!(report["tokens"]["granted"], 1);
    ends_silent(daemon, &site, &[]).await;
}

#[tokio::test]
async fn a_revoked_token_costs_one_fetch_and_nobodys_session() {
    let sandbox = Sandbox::watched(&[]).await;
    let mut site = Site::new(&sandbox, (0..30).map(available));
    let mut daemon = site.run_with(&TRACE);
    daemon.all_said("set", 30).await;

    sandbox.faults(json!({"revoke_tokens": true})).await;
    site.config.users = (0..30).map(in_a_call).collect();
    site.write();
    daemon.signal(Signal::HUP);
    let rejected = daemon.event("token_rejected").await;
    assert_eq!((&rejected["app"], &rejected["level"]), (&"contoso".into(), &"warn".into()));
    says(&rejected, "code", "InvalidAuthenticationToken");
    let report = sandbox.until_sets(60).await;

    assert_eq!(report["tokens"]["requests"], 2, "{report:#}");
    assert_eq!(report["lapses"], 0);
    assert!(daemon.events("parked").is_empty(), "{}", daemon.log());
    ends_silent(daemon, &site, &[]).await;
}

#[tokio::test]
async fn an_app_without_a_token_is_no_matter_to_the_other_apps() {
    let speed = ["--speed", "40"];
    let sandbox = Sandbox::watched(&speed).await;
    sandbox.faults(json!({"token": {"status": 503, "app": client_id(0)}})).await;
    let mut site = Site::new(&sandbox, []);
    site.config.apps.push("fabrikam");
    site.secret("fabrikam", SECRET);
    let of = |n: u32, app: &str| user(n, &format!("availability = \"Available\"\napp = \"{app}\""));
    site.config.users =
        (0..10).map(|n| of(n, "contoso")).chain((10..20).map(|n| of(n, "fabrikam"))).collect();
    site.write();
    let mut daemon = site.run_with(&[speed, TRACE].concat());

    // Two rounds of fabrikam's.
    let report = sandbox.until("two rounds", |report| report["sets"].as_u64() >= Some(20)).await;
    assert_eq!((&report["sessions"], &report["lapses"]), (&10.into(), &0.into()), "{report:#}");
    assert_eq!(daemon.event("token_failed").await["app"], "contoso");
    assert!(daemon.events("token_failed").iter().all(|line| line["app"] == "contoso"), "{}", daemon.log());

    sandbox.heal().await;
    sandbox.until("all of them", |report| report["sessions"] == 20).await;
    ends_silent(daemon, &site, &[]).await;
}
