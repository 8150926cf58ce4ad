//! SIGHUP: edits, slips and accidents.

use std::time::{Duration, Instant};

use rustix::process::{Signal, getuid};
use serde_json::Value;

use crate::patience::until_within;
use crate::sandbox::Sandbox;
use crate::site::{Site, available, in_a_call};

/// Within this time of a SIGHUP the service has what the file says.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_edit_reaches_the_service_in_five_seconds_and_touches_nobody_else() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..40).map(available));
    let mut daemon = site.run();
    sandbox.until_sets(40).await;

    // 0..5 removed, 5..15 changed, 15..40 untouched, 40..50 added.
    site.config.users = (5..15).map(in_a_call).chain((15..50).map(available)).collect();
    site.write();
    let asked = Instant::now();
    daemon.signal(Signal::HUP);
    let line = daemon.event("reloaded").await;
    sandbox
        .until_within(AT_ONCE.saturating_sub(asked.elapsed()), "20 sets and 5 clears", |report| {
            report["sets"] == 60 && report["clears"] == 5
        })
        .await;

    assert_eq!((&line["added"], &line["changed"], &line["removed"]), (&10.into(), &10.into(), &5.into()));
    assert_eq!(line["sessions"], 45);
    assert_eq!(line["by_pid"], std::process::id());
    assert_eq!(line["by_uid"], getuid().as_raw());
    assert_ne!(line["config"], line["previous"]);
    // A second look finds nothing to do, and nothing is done twice.
    daemon.signal(Signal::HUP);
    daemon.event("reload_unchanged").await;
    for n in 0..50 {
        let expected: &[&str] = match n {
            0..5 => &["set_presence", "clear_presence"],
            5..15 => &["set_presence", "set_presence"],
            _ => &["set_presence"],
        };
        assert_eq!(sandbox.calls(n).await, expected, "user {n}");
    }
    for n in 5..50 {
        let activity = if n < 15 { "InACall" } else { "Available" };
        assert_eq!(sandbox.user(n).await["sessions"][0]["state"]["activity"], activity, "user {n}");
    }
    let report = sandbox.report().await;
    assert_eq!((&report["requests"]["total"], &report["clears"]), (&65.into(), &5.into()), "{report:#}");
}

#[tokio::test]
async fn a_broken_file_is_refused_with_its_place_and_the_mended_one_is_taken() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..3).map(available));
    let mut daemon = site.run();
    daemon.all_said("set", 3).await;
    let hash = daemon.event("started").await["config"].clone();

    let broken =
        std::fs::read_to_string(site.config_file()).unwrap().replace("\"Available\"", "\"Availabel\"");
    let line = 1 + broken.lines().position(|line| line.contains("Availabel")).unwrap();
    site.write_text(&broken);
    daemon.signal(Signal::HUP);

    let refused = daemon.event("reload_refused").await;
    let place = format!("config.toml:{line}:16");
    let first = refused["first"].as_str().unwrap();
    assert!(first.contains(&place) && first.contains("Availabel"), "{place} in {first:?}");
    assert_eq!(
        (&refused["kept"], &refused["problems"], &refused["level"]),
        (&hash, &3.into(), &"error".into())
    );
    // Everything goes on: a renewal of all reaches all three.
    daemon.signal(Signal::USR1);
    sandbox.until_sets(6).await;

    site.config.users.push(in_a_call(3));
    site.write();
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.event("reloaded").await["added"], 1);
    sandbox.until_sets(7).await;
    assert_eq!(sandbox.report().await["clears"], 0);
}

#[tokio::test]
async fn a_file_that_lost_most_users_clears_nobody_until_that_is_accepted() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..40).map(available));
    let mut daemon = site.run();
    daemon.all_said("set", 40).await;

    site.config.users.truncate(4);
    site.write();
    daemon.signal(Signal::HUP);
    let held = daemon.event("removals_held").await;
    daemon.event("reloaded").await;
    assert_eq!((&held["removed"], &held["of"], &held["app"]), (&36.into(), &40.into(), &"contoso".into()));
    assert!(held["advice"].as_str().unwrap().contains("max_removed"), "{held}");
    // They are held, not forgotten: they are renewed as well.
    daemon.signal(Signal::USR1);
    let report = sandbox.until_sets(80).await;
    assert_eq!((&report["sessions"], &report["clears"]), (&40.into(), &0.into()), "{report:#}");

    site.config.daemon = "max_removed = \"100%\"".to_owned();
    site.write();
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.event("reloaded").await["removed"], 36);
    let report = sandbox.until("36 clears", |report| report["clears"] == 36).await;
    assert_eq!(
        (&report["sessions"], &report["clears_without_session"]),
        (&4.into(), &0.into()),
        "{report:#}"
    );
    for n in 0..4 {
        assert_eq!(sandbox.calls(n).await, ["set_presence", "set_presence"], "user {n}");
    }
}

#[tokio::test]
async fn users_that_are_handed_over_keep_their_session() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..12).map(available));
    site.config.daemon = "on_remove = \"leave\"".to_owned();
    site.write();
    let mut daemon = site.run();
    daemon.all_said("set", 12).await;

    site.config.users.truncate(10);
    site.write();
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.event("reloaded").await["removed"], 2);
    // Had there been something to clear, it would have gone before the renewals that are asked for now.
    daemon.signal(Signal::USR1);
    let report = sandbox.until_sets(22).await;

    assert_eq!((&report["sessions"], &report["requests"]["total"]), (&12.into(), &22.into()), "{report:#}");
    assert_eq!(sandbox.calls(11).await, ["set_presence"]);
}

#[tokio::test]
async fn a_user_who_moves_to_another_app_is_set_there_before_being_cleared_here() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, []);
    site.config.apps.push("fabrikam");
    site.secret("fabrikam", crate::site::SECRET);
    let at = |app: &str| crate::site::user(1, &format!("availability = \"Available\"\napp = \"{app}\""));
    let stays = |n| crate::site::user(n, "availability = \"Away\"\napp = \"contoso\"");
    site.config.users = (2..5).map(stays).chain([at("contoso")]).collect();
    site.write();
    let mut daemon = site.run();
    sandbox.until_sets(4).await;

    site.config.users = (2..5).map(stays).chain([at("fabrikam")]).collect();
    site.write();
    daemon.signal(Signal::HUP);
    daemon.event("reloaded").await;
    sandbox.until("a clear", |report| report["clears"] == 1).await;

    assert_eq!(sandbox.calls(1).await, ["set_presence", "set_presence", "clear_presence"]);
    let user = sandbox.user(1).await;
    let sessions = user["sessions"].as_array().unwrap();
    assert_eq!((sessions.len(), &sessions[0]["client"]), (1, &crate::site::client_id(1).into()), "{user:#}");
}

#[tokio::test]
async fn a_storm_of_signals_does_no_harm() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (0..20).map(available));
    let mut daemon = site.run();
    sandbox.until_sets(20).await;

    for _ in 0..1_000 {
        daemon.signal(Signal::HUP);
    }
    site.config.users[0] = in_a_call(0);
    site.write();
    daemon.signal(Signal::HUP);

    // Signals that come together are one; but after the last one the file is looked at.
    sandbox.until_sets(21).await;
    let all = daemon.events("reloaded").len() + daemon.events("reload_unchanged").len();
    assert!((1..=1_001).contains(&all), "{all} reloads");
    let settled = async || {
        daemon.event("reloaded").await;
        Some(())
    };
    until_within(AT_ONCE, "a reload", settled).await;
    assert_eq!(sandbox.report().await["requests"]["total"], Value::from(21));
}
