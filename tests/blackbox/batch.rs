//! Several calls in one request: where that is worth it, whatever goes wrong with it, and nowhere else.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::graph::{Batches, Checkpoint};
use crate::patience::{PATIENCE, until_within};
use crate::sandbox::Sandbox;
use crate::site::{Site, available};

/// Ten times the world's speed: 6,500 users then cost as many requests as 65,000.
const SPEED: [&str; 2] = ["--speed", "10"];
/// The busy set-up takes half a minute until it is busy.
const LONG: Duration = PATIENCE.saturating_mul(3);

fn count(report: &Value, key: &str) -> u64 {
    report["requests"][key].as_u64().unwrap()
}

async fn more_batches(sandbox: &Sandbox, more: u64) -> Value {
    let before = count(&sandbox.report().await, "batches");
    sandbox.until_within(LONG, "more batches", |report| count(report, "batches") >= before + more).await
}

#[tokio::test]
async fn a_busy_daemon_renews_in_batches_and_nobody_lapses_whatever_becomes_of_them() {
    let sandbox = Sandbox::start(&[&SPEED[..], &["--latency", "50-250"]].concat()).await;
    let checkpoint = Checkpoint::before(&sandbox.url).await;
    let site = Site::at(&checkpoint.url, &sandbox.url, (0..6_500).map(available));
    let mut daemon = site.run_with(&SPEED);
    daemon.event("started").await;

    // Once it has noticed that it is busy, and for how long.
    let before = more_batches(&sandbox, 150).await;
    checkpoint.take();
    let after = more_batches(&sandbox, 50).await;
    let seen = checkpoint.take();
    let alone = seen.calls.get("/users/{user-id}/presence/setPresence").copied().unwrap_or_default();
    let renewals = count(&after, "total") - count(&before, "total");
    assert!(alone * 4 < renewals, "most go out together: {alone} of {renewals} alone, {:?}", seen.calls);
    assert_eq!(seen.wrong, Vec::<String>::new());
    assert_eq!((&after["throttled"], &after["lapses"]), (&0.into(), &0.into()), "{}", daemon.log());

    // Items fail here and there; whole batches are done, and their answers lost; then every item is throttled.
    sandbox.faults(json!({"error_rate": 0.02, "statuses": [503, 504]})).await;
    more_batches(&sandbox, 30).await;
    checkpoint.batches(Batches::Lose(3));
    let look = async || checkpoint.has_lost_all().then_some(());
    until_within(LONG, "three batches lost", look).await;
    more_batches(&sandbox, 30).await;
    assert!(daemon.events("app_down").is_empty(), "one batch is one loss: {}", daemon.log());
    sandbox.heal().await;
    sandbox.faults(json!({"throttle": {"retry_after": "2"}})).await;
    assert_eq!(daemon.event("throttled").await["retry_after_s"], 2.0);
    sandbox.heal().await;
    more_batches(&sandbox, 30).await;
    assert!(daemon.events("batches_fail").is_empty(), "{}", daemon.log());

    // A gateway that knows no batches: the same requests go out alone.
    checkpoint.batches(Batches::Refuse);
    let said = daemon.event("batches_fail").await;
    assert_eq!((&said["status"], &said["app"]), (&404.into(), &"contoso".into()), "{said}");
    let before = sandbox.report().await;
    let sets = before["sets"].as_u64().unwrap();
    let after = sandbox.until_within(LONG, "sets", |r| r["sets"].as_u64() >= Some(sets + 6_500)).await;
    assert_eq!(count(&after, "batches"), count(&before, "batches"), "not one more");
    assert_eq!(daemon.events("batches_fail").len(), 1, "{}", daemon.log());
    assert!(daemon.events("parked").is_empty(), "it is about no user: {}", daemon.log());

    assert_eq!((&after["lapses"], &after["sessions"]), (&0.into(), &6_500.into()), "{after:#}");
    assert_eq!(after["invalid_requests"], 0, "{after:#}");
    let seen = checkpoint.take();
    assert_eq!(seen.wrong, Vec::<String>::new());
    assert!(seen.calls["/$batch"] >= 90, "{:?}", seen.calls);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_small_daemon_makes_single_calls() {
    let speed = ["--speed", "60"];
    let sandbox = Sandbox::start(&speed).await;
    let site = Site::new(&sandbox, (0..40).map(available));
    let mut daemon = site.run_with(&speed);
    daemon.event("started").await;
    let report = sandbox.until("four renewals", |report| report["sets"].as_u64() >= Some(40 * 5)).await;
    assert_eq!(count(&report, "batches"), 0, "{report:#}");
}
