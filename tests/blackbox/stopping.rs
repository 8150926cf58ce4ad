//! SIGTERM: in good order, and within its time whatever the service does.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::daemon::Daemon;
use crate::patience::until;
use crate::sandbox::Sandbox;
use crate::site::{Site, available, id};

/// What a busy machine may add to a time.
const SLACK: Duration = Duration::from_secs(2);

async fn holding(sandbox: &Sandbox, users: u32, daemon: &str) -> (Site, Daemon) {
    let mut site = Site::new(sandbox, (0..users).map(available));
    site.config.daemon = daemon.to_owned();
    site.write();
    let mut daemon = site.run();
    daemon.all_said("set", users as usize).await;
    (site, daemon)
}

/// Renewals that will not be answered are on their way.
async fn hang(sandbox: &Sandbox, daemon: &Daemon) {
    sandbox.faults(json!({"hang": true})).await;
    daemon.signal(Signal::USR1);
    sandbox.until("a request that hangs", |r| r["requests"]["by_outcome"]["hung"].as_u64() >= Some(3)).await;
}

#[tokio::test]
async fn it_is_gone_in_its_time_though_the_service_hangs() {
    let sandbox = Sandbox::start(&[]).await;
    let (_site, mut daemon) = holding(&sandbox, 5, "stop_timeout = \"2s\"").await;
    hang(&sandbox, &daemon).await;

    daemon.signal(Signal::TERM);
    let status = daemon.end_within(Duration::from_secs(2) + SLACK).await;

    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    let stopping = daemon.event("stopping").await;
    assert_eq!((&stopping["by_pid"], &stopping["on_stop"]), (&std::process::id().into(), &"leave".into()));
    assert!(daemon.event("stopped").await["unanswered"].as_u64() >= Some(3), "{}", daemon.log());
    assert_eq!(sandbox.report().await["sessions"], 5);
}

#[tokio::test]
async fn what_is_under_way_is_waited_for_and_sessions_are_left() {
    let sandbox = Sandbox::start(&["--latency", "300"]).await;
    let (_site, mut daemon) = holding(&sandbox, 5, "").await;
    daemon.signal(Signal::USR1);
    sandbox.until("a renewal", |report| report["sets"].as_u64() >= Some(6)).await;

    daemon.signal(Signal::INT);
    assert_eq!(daemon.exit_code().await, Some(0));

    let stopped = daemon.event("stopped").await;
    assert_eq!((&stopped["unanswered"], &stopped["level"]), (&0.into(), &"info".into()), "{}", daemon.log());
    let report = sandbox.report().await;
    assert_eq!((&report["sessions"], &report["clears"]), (&5.into(), &0.into()), "{report:#}");
}

#[tokio::test]
async fn on_stop_clear_clears_every_session() {
    let sandbox = Sandbox::start(&[]).await;
    let (_site, mut daemon) = holding(&sandbox, 20, "on_stop = \"clear\"").await;

    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));

    let report = sandbox.report().await;
    assert_eq!((&report["sessions"], &report["clears"]), (&0.into(), &20.into()), "{report:#}");
    assert_eq!(report["clears_without_session"], 0);
    assert_eq!(daemon.event("stopped").await["level"], "info");
}

#[tokio::test]
async fn on_stop_clear_says_what_it_could_not_clear_in_time() {
    let sandbox = Sandbox::start(&[]).await;
    let (site, mut daemon) = holding(&sandbox, 8, "on_stop = \"clear\"\nstop_timeout = \"2s\"").await;
    sandbox.faults(json!({"users": {id(3): {"hang": true}}})).await;

    daemon.signal(Signal::TERM);
    let status = daemon.end_within(Duration::from_secs(2) + SLACK).await;

    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    let stopped = daemon.event("stopped").await;
    assert_eq!(
        (&stopped["level"], &stopped["uncleared"], &stopped["first"]),
        (&"warn".into(), &1.into(), &id(3).into()),
        "{stopped}"
    );
    let report = sandbox.report().await;
    assert_eq!((&report["sessions"], &report["clears"]), (&1.into(), &7.into()), "{report:#}");
    // What was cleared is not forgotten: the next start sets all, and clears nobody.
    sandbox.heal().await;
    let mut next = site.run();
    next.event("started").await;
    let report = sandbox.until("all of them", |report| report["sessions"] == 8).await;
    assert_eq!(report["clears"], 7, "{report:#}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let sandbox = Sandbox::start(&[]).await;
    let (_site, mut daemon) = holding(&sandbox, 5, "stop_timeout = \"10m\"").await;
    hang(&sandbox, &daemon).await;
    daemon.signal(Signal::TERM);
    daemon.event("stopping").await;

    // One that comes within a quarter of a second is taken for the echo of the first.
    let begun = Instant::now();
    let impatient = async || {
        if daemon.has_ended() {
            return Some(());
        }
        daemon.signal(Signal::TERM);
        None
    };
    until("the end", impatient).await;

    assert_eq!(daemon.exit_code().await, Some(1));
    assert!(begun.elapsed() < SLACK, "{:?}", begun.elapsed());
    assert!(daemon.events("stopped").is_empty(), "that is not good order");
}

#[tokio::test]
async fn it_ends_in_its_time_before_the_first_token_came() {
    let sandbox = Sandbox::start(&[]).await;
    sandbox.faults(json!({"token": {"hang": true}})).await;
    let mut site = Site::new(&sandbox, (0..3).map(available));
    site.config.daemon = "on_stop = \"clear\"\nstop_timeout = \"1s\"".to_owned();
    site.write();
    let mut daemon = site.run();
    sandbox.until("a token request", |report| report["tokens"]["in_flight"] == 1).await;

    daemon.signal(Signal::TERM);
    let status = daemon.end_within(Duration::from_secs(1) + SLACK).await;

    // Nothing was ever set, so there is nothing to clear.
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert_eq!(daemon.event("stopped").await["level"], "info", "{}", daemon.log());
}
