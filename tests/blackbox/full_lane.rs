//! A full lane over real HTTP: too long for every day, `tests/long/run` runs it.

use std::time::Duration;

use rustix::process::Signal;

use crate::patience::PATIENCE;
use crate::sandbox::Sandbox;
use crate::site::{Site, available};

fn figure(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// `LANE_USERS` (13500) Available users of one app for `LANE_MINUTES` (20) virtual minutes at `LANE_SPEED` (5) times
/// the world's, 1,500 requests in 30 s, answers after 150 ms, one of a hundred requests failing.
#[tokio::test]
#[ignore = "takes four minutes"]
async fn one_lane_holds_as_many_as_it_should() {
    let (users, minutes, speed) =
        (figure("LANE_USERS", 13_500), figure("LANE_MINUTES", 20), figure("LANE_SPEED", 5));
    let text = speed.to_string();
    let sandbox =
        Sandbox::start(&["--speed", &text, "--latency", "150", "--error-rate", "0.01", "--quota", "1500/30"])
            .await;
    let site = Site::new(&sandbox, (0..users).map(available));
    let mut daemon = site.run_with(&["--speed", &text]);
    daemon.event("started").await;

    let whole = f64::from(minutes * 60);
    let patience = Duration::from_secs((minutes * 60 / speed).into()) + PATIENCE;
    let passed = |report: &serde_json::Value| report["virtual_seconds"].as_f64() >= Some(whole);
    let report = sandbox.until_within(patience, "that time", passed).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));

    for name in ["virtual_seconds", "sessions", "lapses", "longest_gap_s", "throttled", "peak_window", "sets"]
    {
        println!("{name} {}", report[name]);
    }
    println!("requests {} {}", report["requests"]["total"], report["requests"]["by_outcome"]);
    assert_eq!((&report["lapses"], &report["throttled"]), (&0.into(), &0.into()), "{}", daemon.log());
    assert_eq!(report["sessions"], users);
    assert!(report["peak_window"].as_u64() <= Some(1_500));
}
