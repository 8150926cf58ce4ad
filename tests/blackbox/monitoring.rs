//! `monitoring/`: rules and dashboard name metrics that there are, and an outage does not fill the log.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::http_door::HttpDoor;
use crate::patience::until_within;
use crate::sandbox::Sandbox;
use crate::site::{Site, available};

fn shipped(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("monitoring").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("presenced_")).map(str::to_owned).collect()
}

#[tokio::test]
async fn rules_and_dashboard_name_metrics_that_there_are() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    site.config.app = "secret_expires = 2999-01-01".to_owned();
    let door = HttpDoor::of(&mut site, "");
    let mut daemon = site.run();
    daemon.event("set").await;
    // The first one is made within a minute.
    let sweep = "presenced_last_sweep_timestamp_seconds";
    let look = async || Some(door.scrape().await).filter(|scrape| scrape.samples.contains_key(sweep));
    let scrape = until_within(Duration::from_secs(70), "a sweep", look).await;
    let series: BTreeSet<&str> =
        scrape.samples.keys().map(|series| series.split('{').next().unwrap()).collect();

    for file in ["rules.yml", "rules.test.yml", "dashboard.json", "README.md"] {
        let named = named(&shipped(file));
        let is_there = |name: &String| series.contains(name.as_str()) || scrape.types.contains_key(name);
        let unknown: Vec<_> = named.iter().filter(|name| !is_there(name)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
        assert!(file == "README.md" || named.len() >= 9, "{file}: {named:?}");
    }
    // And the other way round: what is there is told and shown.
    let readme =
        std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (told, shown) = (named(&readme), named(&shipped("dashboard.json")));
    for name in scrape.types.keys() {
        assert!(told.contains(name), "the README does not tell of {name}");
        let shown = shown.iter().any(|shown| shown == name || shown.starts_with(&format!("{name}_")));
        assert!(shown, "the dashboard does not show {name}");
    }
    let dashboard: serde_json::Value = serde_json::from_str(&shipped("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<i64> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has a number of its own");
    let exporters = scrape.samples.keys().filter(|series| series.contains("user"));
    assert_eq!(exporters.count(), 0, "no series is about a user");
}

#[tokio::test]
async fn ten_minutes_of_outage_with_ten_thousand_sessions_are_fewer_than_fifty_lines() {
    const FAST: [&str; 2] = ["--speed", "20"];
    const USERS: u32 = 10_000;
    let sandbox = Sandbox::start(&FAST).await;
    let mut site = Site::new(&sandbox, (0..USERS).map(available));
    let door = HttpDoor::of(&mut site, "");
    let mut daemon = site.run_with(&FAST);
    let patience = Duration::from_secs(120);
    let now = async || sandbox.report().await["virtual_seconds"].as_f64().unwrap();
    sandbox.until_within(patience, "all are held", |report| report["sessions"] == USERS).await;

    let lines = daemon.log().lines().count();
    sandbox.faults(json!({"outage": {"status": 503}})).await;
    let began = now().await;
    daemon.event("app_down").await;
    let over = |report: &serde_json::Value| report["virtual_seconds"].as_f64() >= Some(began + 600.0);
    sandbox.until_within(patience, "ten minutes", over).await;
    let unheld = door.until("/heldz", 503).await;
    sandbox.heal().await;
    daemon.event("app_up").await;
    let held = async || door.try_probe("/heldz").await.filter(|(status, _)| *status == 200);
    until_within(patience, "all are held again", held).await;

    let log = daemon.log();
    let more = log.lines().count() - lines;
    println!("{more} lines through ten minutes of outage with {USERS} sessions; /heldz said {unheld}");
    assert!(more < 50, "{more} lines:\n{}", log.lines().skip(lines).collect::<Vec<_>>().join("\n"));
    assert_eq!((daemon.events("app_down").len(), daemon.events("lapsed").len()), (1, 1));
    let lapses = door.scrape().await.app("presenced_lapses_total", "");
    assert!(lapses > 9_000.0, "an outage that long is not survived: {lapses}");
}
