//! A lane that is as full as can be, and one that is fuller, when nothing changes.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::course::{A_LEASE, Course, assert_no_lapse, assert_no_lapse_within, at, figure};
use crate::exits::presenced_says;
use crate::site::{available, id};

/// So many Available users of one app for `LANE_MINUTES` (20) virtual minutes, this quota in 30 s, answers after 150 ms,
/// one of a hundred requests failing.
async fn a_lane_holds(users: u32, quota: u32, speed: u32) {
    let per_30_s = format!("{quota}/30");
    let options = ["--latency", "150", "--error-rate", "0.01", "--quota", &per_30_s];
    let mut course = Course::with(speed, &options, (0..users).map(available)).await;
    course.site.config.app = format!("quota = {{ requests = {quota}, per = \"30s\" }}");
    course.site.write();
    let mut daemon = course.run();
    daemon.event("started").await;

    let whole = f64::from(figure("LANE_MINUTES", 20) * 60);
    let report = course.look(whole, "that time", |report| at(report) >= whole).await;
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code().await, Some(0));

    course.print("in the end", &report);
    assert_no_lapse_within(quota.into(), &report, &daemon);
    assert_eq!(report["sessions"], users);
}

/// `LANE_USERS` (13500) and `LANE_SPEED` (5) replace its figures.
#[tokio::test]
#[ignore = "takes four minutes: tests/long/run"]
async fn one_lane_holds_as_many_as_it_should() {
    a_lane_holds(figure("LANE_USERS", 13_500), 1_500, figure("LANE_SPEED", 5)).await;
}

#[tokio::test]
#[ignore = "takes seven minutes: tests/long/run"]
async fn one_lane_with_a_larger_quota_holds_as_many_as_it_should() {
    a_lane_holds(90_000, 10_000, figure("SPEED", 3)).await;
}

const CROWD: u32 = 15_500;
/// 97 % of 50 a second, once in 290 s.
const KEPT: u32 = 14_065;

/// Those that `plan` says are left out, by id.
async fn left_out(course: &Course) -> BTreeSet<String> {
    let config = course.site.config_file();
    let plan = presenced_says(&["plan", "--json", "--config", config.to_str().unwrap()]).await;
    assert_eq!(plan.code, Some(3), "{}", plan.stderr);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let users = plan["apps"][0]["unfunded_users"].as_array().unwrap();
    users.iter().map(|user| user["user"].as_str().unwrap().to_owned()).collect()
}

/// Those that no request was ever made for, by id.
async fn never_sent(course: &Course) -> BTreeSet<String> {
    let mut never = BTreeSet::new();
    for n in 0..CROWD {
        if course.sandbox.user(n).await.is_null() {
            never.insert(id(n));
        }
    }
    never
}

#[tokio::test]
#[ignore = "takes five minutes: tests/long/run"]
async fn of_too_many_the_funded_hold_and_the_others_are_named_and_never_sent() {
    let mut course = Course::new(15, (0..CROWD).map(available)).await;
    // Who is left out is not a matter of the place in the file.
    for n in [KEPT, CROWD - 1] {
        course.site.config.users[n as usize].says.push_str("\npriority = 1");
    }
    course.site.write();
    let mut daemon = course.run();
    let started = daemon.event("started").await;
    println!("{started}\n{:?}", daemon.events("config_warnings"));
    let named = left_out(&course).await;
    assert_eq!(named.len(), (CROWD - KEPT) as usize);
    assert!(!named.contains(&id(KEPT)) && !named.contains(&id(CROWD - 1)));
    let warned = daemon.event("config_warnings").await;
    assert!(warned["first"].as_str().unwrap().contains("1435 too many"), "{warned}");

    let report = course.pass(3_600.0).await;
    course.print("an hour later", &report);
    assert_no_lapse(&report, &daemon);
    assert_eq!(report["sessions"], KEPT);
    assert_eq!(never_sent(&course).await, named);

    daemon.kill().await;
    let mut daemon = course.run();
    let started = daemon.event("started").await;
    println!("again: {started}");
    assert_eq!(started["restored"], KEPT);
    let report = course.pass(A_LEASE).await;
    course.print("a lease after a restart", &report);
    assert_eq!((&report["sessions"], &report["throttled"]), (&KEPT.into(), &0.into()), "{report:#}");
    assert_eq!(never_sent(&course).await, named);
    assert_eq!(left_out(&course).await, named);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end_within(Duration::from_secs(30)).await.code(), Some(0));
}
