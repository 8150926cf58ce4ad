//! Users that Graph refuses: parked, said so, and nobody else touched by it.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::site::{Site, available, id, in_a_call};

#[tokio::test]
async fn users_that_are_refused_for_ever_are_parked_with_the_reason_and_all_others_held() {
    let sandbox = Sandbox::start(&[]).await;
    let refused = [(1, 404), (2, 403), (3, 401)];
    for (n, status) in refused {
        sandbox.faults(json!({"users": {id(n): {"status": status}}})).await;
    }
    let site = Site::new(&sandbox, (0..20).map(available));
    let mut daemon = site.run();

    let mut parked: Vec<Value> = Vec::new();
    for _ in refused {
        parked.push(daemon.event("parked").await);
    }
    for (n, status) in refused {
        let line = parked.iter().find(|line| line["user"] == *id(n)).unwrap_or_else(|| panic!("{parked:#?}"));
        assert_eq!((&line["status"], &line["level"]), (&status.into(), &"warn".into()), "{line}");
        assert_eq!(line["app"], "contoso");
        assert!(!line["code"].as_str().unwrap().is_empty(), "Graph's own word for it: {line}");
        assert!(
            !line["request_id"].as_str().unwrap().is_empty(),
            "what Microsoft's support asks for: {line}"
        );
        assert!(line["next_try_s"].as_f64() >= Some(240.0), "{line}");
    }
    // All others are set, and renewed; the refused are left alone.
    daemon.all_said("set", 17).await;
    let before = sandbox.report().await;
    daemon.signal(Signal::USR1);
    let report = sandbox.until_sets(2 * 17).await;
    assert_eq!((&report["lapses"], &report["sessions"]), (&0.into(), &17.into()), "{report:#}");
    for (_, status) in refused {
        let requests =
            |report: &Value| report["requests"]["by_outcome"][status.to_string()].as_u64().unwrap();
        assert_eq!(requests(&report), requests(&before), "answered {status}: {report:#}");
        assert!((1..=5).contains(&requests(&report)), "answered {status}: {report:#}");
    }
    // A token may be to blame for a 401: one more is tried, and that is all.
    assert!(report["tokens"]["requests"].as_u64() <= Some(3), "{report:#}");
    assert_eq!(report["tokens"]["max_in_flight"], 1);
    assert!(daemon.events("app_down").is_empty(), "{}", daemon.log());
    assert_eq!(daemon.events("parked").len(), 3, "said once: {}", daemon.log());

    // Once the cause is gone, a reload tries them at once.
    sandbox.heal().await;
    daemon.signal(Signal::HUP);
    for _ in refused {
        daemon.event("unparked").await;
    }
    sandbox.until("all of them", |report| report["sessions"] == 20).await;
}

#[tokio::test]
async fn a_user_whose_401_nobody_else_asks_about_does_not_take_the_app_down() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..30).map(available));
    let mut daemon = site.run();
    sandbox.until_sets(30).await;

    sandbox.faults(json!({"users": {id(7): {"status": 401}}})).await;
    site.config.users[7] = in_a_call(7);
    site.write();
    daemon.signal(Signal::HUP);
    let parked = daemon.event("parked").await;
    assert_eq!((&parked["user"], &parked["status"]), (&id(7).into(), &401.into()), "{parked}");
    assert!(daemon.events("app_down").is_empty(), "{}", daemon.log());
    let report = sandbox.report().await;
    // One of the others shows that the new token is good.
    assert_eq!((&report["sets"], &report["tokens"]["requests"]), (&31.into(), &2.into()), "{report:#}");
}

#[tokio::test]
async fn an_outage_is_said_once_probed_gently_and_ended_by_itself() {
    let speed = ["--speed", "20"];
    let sandbox = Sandbox::start(&speed).await;
    let site = Site::new(&sandbox, (0..100).map(available));
    let mut daemon = site.run_with(&speed);
    sandbox.until_sets(100).await;

    sandbox.faults(json!({"outage": {"status": 503}})).await;
    let down = daemon.event("app_down").await;
    assert_eq!(
        (&down["app"], &down["sessions"], &down["level"]),
        (&"contoso".into(), &100.into(), &"error".into())
    );
    let before = sandbox.report().await["requests"]["total"].as_u64().unwrap();
    let at = sandbox.report().await["virtual_seconds"].as_f64().unwrap();
    let later = sandbox.until("a minute", |r| r["virtual_seconds"].as_f64() >= Some(at + 60.0)).await;
    let probes = later["requests"]["total"].as_u64().unwrap() - before;
    assert!((4..=60).contains(&probes), "{probes} probes in a minute");
    sandbox.heal().await;

    let up = daemon.event("app_up").await;
    assert!(up["down_s"].as_f64() > Some(50.0), "{up}");
    sandbox.until("all of them", |r| r["sessions"] == 100 && r["lapsed_now"] == 0).await;
    assert_eq!(daemon.events("app_down").len(), 1, "{}", daemon.log());
}

#[tokio::test]
async fn a_throttled_app_waits_as_long_as_it_is_told_to_and_loses_nobody() {
    let speed = ["--speed", "20"];
    let sandbox = Sandbox::start(&speed).await;
    let site = Site::new(&sandbox, (0..50).map(available));
    let mut daemon = site.run_with(&speed);
    daemon.all_said("set", 50).await;

    sandbox.faults(json!({"throttle": {"retry_after": "30"}})).await;
    daemon.signal(Signal::USR1);
    let throttled = daemon.event("throttled").await;
    assert_eq!((&throttled["retry_after_s"], &throttled["of"]), (&30.0.into(), &1500.into()), "{throttled}");
    // Far below the quota: someone else must be spending it.
    assert_eq!(throttled["spent_by_others"], true, "{throttled}");
    assert!(throttled["advice"].as_str().unwrap().contains("app registration"), "{throttled}");
    // When nothing is on its way any more.
    let at = sandbox.report().await["virtual_seconds"].as_f64().unwrap();
    sandbox.until("fifteen seconds", |r| r["virtual_seconds"].as_f64() >= Some(at + 15.0)).await;
    sandbox.heal().await;

    let report = sandbox.until("a renewal each", |report| report["sets"].as_u64() >= Some(100)).await;
    assert_eq!((&report["lapses"], &report["sessions"]), (&0.into(), &50.into()), "{report:#}");
    // Some were on their way when the first was refused; then it is quiet for as long as was asked for.
    let mut requests = Vec::new();
    for n in 0..50 {
        requests.extend(sandbox.user(n).await["requests"].as_array().unwrap().clone());
    }
    let when = |outcome: &'static str| {
        let found = requests.iter().filter(move |request| request["outcome"] == outcome);
        found.map(|request| request["at_s"].as_f64().unwrap())
    };
    let (first, last) = (when("429").fold(f64::MAX, f64::min), when("429").fold(0.0, f64::max));
    let next = when("200").filter(|at| *at > last).fold(f64::MAX, f64::min);
    assert!(last - first < 10.0 && next - first >= 30.0, "refused from {first} to {last}, then {next}");
}
