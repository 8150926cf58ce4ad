//! Groups that only the directory knows, on the service: held once they are read, followed, and never lost by a read that
//! fails.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::doctor::Visit;
use crate::patience::until;
use crate::principal_names::by_name;
use crate::sandbox::{Sandbox, group_id};
use crate::schedules::{Fast, day, shows, until_shows};
use crate::site::{Site, User, id, user};

/// A quarter of an hour is 7.5 s.
pub const FAST: [&str; 2] = ["--speed", "120"];

/// A `[[group]]` whose members are those of Entra group number `n`.
pub fn queue(n: u32, says: &str) -> String {
    format!("[[group]]\nname = \"queue{n}\"\nentra_group = \"{}\"\n{says}\n", group_id(n))
}

/// A site with these users, and a group of the members of group 1, who are away.
pub fn site(sandbox: &Sandbox, users: impl IntoIterator<Item = User>) -> Site {
    let mut site = Site::new(sandbox, users);
    site.config.control.push_str(&queue(1, "availability = \"Away\""));
    site.write();
    site
}

/// One who is there without any directory.
pub fn listed() -> User {
    user(99, "availability = \"DoNotDisturb\"")
}

pub async fn holds(sandbox: &Sandbox, users: impl IntoIterator<Item = u32>) {
    for n in users {
        until_shows(sandbox, n, Some("Away")).await;
    }
}

pub async fn is_cleared(sandbox: &Sandbox, n: u32) {
    until(&format!("user {n} is cleared"), async || {
        sandbox.calls(n).await.contains(&"clear_presence".to_owned()).then_some(())
    })
    .await;
}

/// How often the directory was read so, by the status of the answer.
pub async fn reads(sandbox: &Sandbox, call: &str, status: &str) -> u64 {
    sandbox.report().await["directory"]["by_call"][call][status].as_u64().unwrap_or(0)
}

async fn until_reads(sandbox: &Sandbox, call: &str, status: &str, count: u64) {
    until(&format!("{count} times {status} for {call}"), async || {
        (reads(sandbox, call, status).await >= count).then_some(())
    })
    .await;
}

/// Nobody was cleared, and nobody has lapsed.
pub async fn nobody_is_lost(sandbox: &Sandbox) {
    let report = sandbox.report().await;
    assert_eq!((&report["clears"], &report["lapses"]), (&json!(0), &json!(0)), "{report:#}");
}

#[tokio::test]
async fn members_of_a_group_are_held_once_it_is_read_and_follow_it() {
    let sandbox = Sandbox::start(&FAST).await;
    let disabled = json!({"id": id(4), "accountEnabled": false});
    let named = json!({"id": id(3), "displayName": "Carla Diaz"});
    sandbox.group(1, [json!(id(1)), json!(id(2)), named, disabled]).await;
    // Who is a member and written as a user has what is written.
    let site = site(&sandbox, [user(2, "availability = \"DoNotDisturb\"")]);
    let mut daemon = site.run_with(&FAST);

    holds(&sandbox, [1, 3]).await;
    assert_eq!(until_shows(&sandbox, 2, Some("Presenting")).await, 60);
    let line = daemon.event("group_changed").await;
    assert_eq!(
        (&line["app"], &line["group"], &line["added"]),
        (&json!("contoso"), &json!("queue1"), &json!(3))
    );
    let line = daemon.event("reloaded").await;
    assert_eq!((&line["by"], &line["added"]), (&json!("directory"), &json!(2)), "{line}");
    assert_eq!(line["config"], line["previous"], "what is written is the same");
    assert!(sandbox.calls(4).await.is_empty(), "a disabled account shows nothing");
    let status = site.json(&["status", "Carla Diaz"]).await;
    assert!(status.to_string().contains(&id(3)), "the directory's name is hers: {status:#}");

    sandbox.change_group(1, &[5], &[1]).await;

    holds(&sandbox, [5]).await;
    is_cleared(&sandbox, 1).await;
    assert_eq!(sandbox.report().await["clears"], 1);
    assert_eq!(daemon.event("group_changed").await["removed"], 1);
}

#[tokio::test]
async fn a_large_group_comes_page_by_page_and_not_without_its_last_page() {
    let sandbox = Sandbox::start(&["--speed", "60"]).await;
    sandbox.group(1, (1..=2_005).map(|n| json!(id(n)))).await;
    let mut site = Site::new(&sandbox, [listed()]);
    site.config.control.push_str(&queue(1, "availability = \"none\""));
    site.write();
    let mut daemon = site.run_with(&["--speed", "60"]);
    let line = daemon.event("group_changed").await;
    assert_eq!((&line["added"], &line["members"]), (&json!(2_005), &json!(2_005)), "{line}");
    assert_eq!(reads(&sandbox, "get_members", "200").await, 3);
    sandbox.directory_faults(json!({"next_pages": {"status": 503}})).await;
    let line = daemon.event("group_read_failed").await;
    assert_eq!((&line["status"], &line["members"]), (&json!(503), &json!(2_005)), "{line}");
}

#[tokio::test]
async fn reads_that_fail_in_any_way_remove_nobody_and_are_told_once() {
    let sandbox = Sandbox::start(&FAST).await;
    sandbox.group(1, [json!(id(1)), json!(id(2))]).await;
    let site = site(&sandbox, [listed()]);
    let mut daemon = site.run_with(&FAST);
    holds(&sandbox, [1, 2]).await;
    for (faults, cause) in [
        (json!({"trouble": {"status": 503}}), "no_answer"),
        (json!({"trouble": {"status": 403}}), "forbidden"),
        (json!({"trouble": {"status": 404}}), "not_found"),
        (json!({"throttle": {"retry_after": "30"}}), "throttled"),
        (json!({"next_link_root": "http://127.0.0.1:9", "endless": true}), "no_answer"),
    ] {
        sandbox.directory_faults(faults.clone()).await;
        let line = daemon.event("group_read_failed").await;
        assert_eq!((&line["cause"], &line["members"]), (&json!(cause), &json!(2)), "{faults}: {line}");
        if cause == "forbidden" {
            assert!(line["advice"].as_str().unwrap().contains("GroupMember.Read.All"), "{line}");
        }
        sandbox.heal().await;
        daemon.event("group_read_again").await;
    }
    sandbox.delete_group(1).await;
    assert_eq!(daemon.event("group_read_failed").await["cause"], "not_found");
    until_reads(&sandbox, "get_members", "404", 3).await;
    assert_eq!(daemon.events("group_read_failed").len(), 6, "{}", daemon.log());
    let status = site.json(&["status"]).await;
    assert_eq!(status["sessions"]["wanted"], 3, "{status:#}");
    nobody_is_lost(&sandbox).await;
}

#[tokio::test]
async fn a_start_without_the_directory_knows_whom_it_knew() {
    let sandbox = Sandbox::start(&FAST).await;
    sandbox.group(1, [json!(id(1)), json!(id(2))]).await;
    let site = site(&sandbox, [listed()]);
    let mut daemon = site.run_with(&FAST);
    holds(&sandbox, [1, 2]).await;
    daemon.event("reloaded").await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));
    sandbox.directory_faults(json!({"trouble": {"status": 503}})).await;

    let mut daemon = site.run_with(&FAST);

    let started = daemon.event("started").await;
    assert_eq!((&started["sessions"], &started["removed"]), (&json!(3), &json!(0)), "{started}");
    daemon.event("group_read_failed").await;
    nobody_is_lost(&sandbox).await;
    // A reload, too, goes by what is known.
    daemon.signal(Signal::HUP);
    daemon.event("reload_unchanged").await;
    assert_eq!(site.json(&["status"]).await["sessions"]["wanted"], 3);
}

#[tokio::test]
async fn a_start_that_has_lost_what_it_knew_removes_nobody_before_it_has_read_again() {
    let sandbox = Sandbox::start(&FAST).await;
    sandbox.group(1, [json!(id(1)), json!(id(2))]).await;
    let site = site(&sandbox, [listed()]);
    let mut daemon = site.run_with(&FAST);
    holds(&sandbox, [1, 2]).await;
    daemon.event("reloaded").await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));
    std::fs::write(site.state_dir().join("directory.json"), "{\"format\":1,").unwrap();
    sandbox.change_group(1, &[], &[2]).await;
    sandbox.directory_faults(json!({"trouble": {"status": 503}})).await;

    let mut daemon = site.run_with(&FAST);

    daemon.event("directory_damaged").await;
    assert_eq!(daemon.event("started").await["removed"], 0);
    until_reads(&sandbox, "get_members", "503", 2).await;
    nobody_is_lost(&sandbox).await;
    sandbox.heal().await;
    is_cleared(&sandbox, 2).await;
    assert_eq!(sandbox.report().await["clears"], 1);
}

#[tokio::test]
async fn a_sudden_loss_of_members_waits_until_it_is_accepted() {
    let sandbox = Sandbox::start(&FAST).await;
    sandbox.group(1, (1..=30).map(|n| json!(id(n)))).await;
    let site = site(&sandbox, [listed()]);
    let mut daemon = site.run_with(&FAST);
    holds(&sandbox, 1..=30).await;
    let leavers: Vec<u32> = (1..=12).collect();

    sandbox.change_group(1, &[31], &leavers).await;

    let line = daemon.event("group_held").await;
    assert_eq!((&line["removed"], &line["of"]), (&json!(12), &json!(30)), "{line}");
    let before = reads(&sandbox, "get_members", "200").await;
    until_reads(&sandbox, "get_members", "200", before + 1).await;
    assert_eq!(daemon.events("group_held").len(), 1, "it is told once");
    let status = site.json(&["status"]).await;
    let note = status["config_trouble"].as_str().unwrap_or_default();
    assert!(note.contains("12 members that Entra groups lack wait to be accepted"), "{status:#}");
    // Neither a reload nor a restart takes it for accepted.
    daemon.signal(Signal::HUP);
    daemon.event("reload_unchanged").await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));
    sandbox.directory_faults(json!({"trouble": {"status": 503}})).await;
    let mut daemon = site.run_with(&FAST);
    assert_eq!(daemon.event("started").await["sessions"], 31);
    nobody_is_lost(&sandbox).await;

    let (code, out, err) = site.command(&["reload", "--accept-shrink"]).await;

    assert_eq!(code, Some(0), "{out}{err}");
    for n in leavers {
        is_cleared(&sandbox, n).await;
    }
    holds(&sandbox, [31]).await;
    assert_eq!(sandbox.report().await["clears"], 12);
    assert_eq!(site.json(&["status"]).await["config_trouble"], Value::Null);
}

#[tokio::test]
async fn the_doctor_says_what_to_grant_and_who_is_not_there() {
    let sandbox = Sandbox::start(&[]).await;
    sandbox.group(1, [json!(id(1))]).await;
    sandbox.define_user(1, json!({"userPrincipalName": "anna@contoso.com"})).await;
    let mut site = site(&sandbox, [listed()]);
    site.config.control.push_str(&by_name("anna@contoso.com"));
    site.write();
    sandbox.define_user(99, json!({"displayName": "Listed"})).await;
    let visit = Visit::to(&site).await;
    assert_eq!((visit.code, visit.status("groups")), (Some(0), "ok"), "{:#}", visit.report);

    sandbox.withhold(&["GroupMember.Read.All", "User.ReadBasic.All", "User.Read.All"]).await;
    let visit = Visit::to(&site).await;
    assert_eq!(visit.code, Some(3));
    visit.blames(&["groups"], &["GroupMember.Read.All", "`members`", "User.ReadBasic.All", "object ids"]);

    sandbox.withhold(&[]).await;
    site.config.control.push_str(&(by_name("ben@contoso.com") + &queue(2, "availability = \"Away\"")));
    site.write();
    let visit = Visit::to(&site).await;
    visit.blames(&["groups"], &[&group_id(2), "@queue2", "ben@contoso.com"]);

    let (code, out, _) = site.command(&["check"]).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("note[N003]") && out.contains("GroupMember.Read.All"), "{out}");
}

#[tokio::test]
async fn a_reload_an_edge_an_override_and_a_group_in_the_same_second_leave_what_is_wanted() {
    let sandbox = Sandbox::start(&["--speed", "60"]).await;
    sandbox.group(1, (1..=20).map(|n| json!(id(n)))).await;
    let mut site = Site::new(&sandbox, [listed(), user(98, "availability = \"Away\"")]);
    let base = site.config.control.clone();
    site.config.control = base.clone() + &queue(1, "availability = \"Away\"");
    site.write();
    let fast = Fast::showing("2027-01-15T07:44:30Z", 60);
    let mut daemon = fast.run(&site);
    daemon.event("group_changed").await;
    // The next read comes a quarter of an hour after this one: that is when the schedule opens.
    let edge = Timestamp::from_second((fast.now().as_second() + 15 * 60) / 60 * 60).unwrap();
    let opens = edge.to_zoned_datetime(TimeZone::get("Europe/Berlin").unwrap()).strftime("%H:%M").to_string();
    let group = queue(1, "availability = \"Away\"\nschedules = [\"day\"]");
    site.config.control = format!("{base}{group}{}\n", day(&opens, "17:00"));
    site.write();
    daemon.signal(Signal::HUP);
    holds(&sandbox, [1, 20, 98]).await;
    sandbox.change_group(1, &[21, 22], &[1, 2]).await;
    site.config.users = vec![listed(), user(97, "availability = \"Away\"")];
    fast.until(&edge.to_string()).await;
    site.write();
    daemon.signal(Signal::HUP);
    let (code, out, err) = site.command(&["set", &id(3), "DoNotDisturb", "--for", "2h"]).await;
    assert_eq!(code, Some(0), "{out}{err}");

    is_cleared(&sandbox, 1).await;
    is_cleared(&sandbox, 2).await;
    is_cleared(&sandbox, 98).await;
    for n in 4..=22 {
        until_shows(&sandbox, n, Some("InACall")).await;
    }
    until_shows(&sandbox, 3, Some("Presenting")).await;
    until_shows(&sandbox, 97, Some("Away")).await;
    until_shows(&sandbox, 99, Some("Presenting")).await;
    fast.until(&(edge + Duration::from_secs(8 * 60)).to_string()).await;
    for n in (1..=22).chain(97..=99) {
        let expected = match n {
            1 | 2 | 98 => None,
            3 | 99 => Some("Presenting"),
            97 => Some("Away"),
            _ => Some("InACall"),
        };
        let shown = shows(&sandbox, n).await;
        assert_eq!(shown.as_ref().map(|(shown, _)| shown.as_str()), expected, "user {n}");
    }
    let report = sandbox.report().await;
    assert_eq!((&report["lapses"], &report["clears"]), (&json!(0), &json!(3)), "{report:#}");
}

/// A daemon that stops while a page is on its way must not wait for it.
#[tokio::test]
async fn a_stop_waits_for_no_read() {
    let sandbox = Sandbox::start(&[]).await;
    sandbox.group(1, [json!(id(1))]).await;
    sandbox.directory_faults(json!({"latency_ms": {"min": 20_000, "max": 20_000}})).await;
    let site = site(&sandbox, [listed()]);
    let mut daemon: Daemon = site.run();
    until_shows(&sandbox, 99, Some("Presenting")).await;
    daemon.signal(Signal::TERM);
    assert!(daemon.end_within(Duration::from_secs(9)).await.success());
}
