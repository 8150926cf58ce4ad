//! The service away: restraint while it lasts, then first those that can still be saved, then the longest lapsed.

use serde_json::{Value, json};

use super::course::{A_LEASE, Course, assert_no_lapse, at, count, log_end};
use crate::daemon::Daemon;
use crate::site::available;

const USERS: u32 = 10_000;
/// Renewals a second that such a lane is kept with: 90 % of 50.
const RATE: f64 = 45.0;
/// The longest pause between two probes, and what its request may take.
const PROBE: f64 = 20.0;
/// Of whom the order is looked at.
const EVERY: usize = 50;

struct Outage {
    minutes: u32,
    trouble: Value,
}

/// When each of some users was set last, by number.
async fn last_sets(course: &Course) -> Vec<(u32, Vec<f64>)> {
    let mut all = Vec::new();
    for n in (0..USERS).step_by(EVERY) {
        let user = course.sandbox.user(n).await;
        let requests = user["requests"].as_array().unwrap();
        let granted = requests.iter().filter(|request| request["outcome"] == "200");
        all.push((n, granted.map(|request| request["at_s"].as_f64().unwrap()).collect()));
    }
    all
}

/// One outage, from a settled lane to a settled lane.
async fn sit_out(course: &Course, daemon: &Daemon, Outage { minutes, trouble }: Outage) {
    println!("-- {minutes} min of {trouble}");
    course.sandbox.reset_counts().await;
    let lines = daemon.log().lines().count();
    let before = course.sandbox.report().await;
    let normal = count(&before["lanes"][0], "peak_five_minutes");
    assert_eq!(before["lapsed_now"], 0, "{before:#}");

    course.sandbox.faults(json!({ "outage": trouble })).await;
    let during = course.pass(f64::from(minutes * 60)).await;
    let last = last_sets(course).await;
    course.sandbox.faults(json!({ "outage": null })).await;
    let healed = course.sandbox.report().await;
    course.print("at its end", &during);
    let most = count(&during["lanes"][0], "peak_five_minutes");
    println!(
        "{normal} requests in five minutes before, at most {most} then, {} in all",
        during["requests"]["total"]
    );
    assert!(most * 2 <= normal * 3 + 20, "{normal} in five minutes before, {most} then");

    let back = course
        .look(900.0, "all held again", |report| report["lapsed_now"] == 0 && report["sessions"] == USERS)
        .await;
    course.print("all held again", &back);
    // Summaries come once a minute of the world: a clock of its speed would have seen this many more.
    let said = daemon.log().lines().count() - lines;
    let summaries = (at(&back) - at(&before)) / 60.0;
    println!("back after {:.0} s; {said} lines of log, {summaries:.0} summaries", at(&back) - at(&healed));
    assert!(said < 50, "{said} lines:\n{}", log_end(daemon));
    assert!(minutes > 10 || said as f64 + summaries < 50.0, "{said} lines:\n{}", log_end(daemon));

    // Those that could be saved when it was back were, but for what lapsed before a probe found out.
    let unsaved = count(&back, "lapses") - count(&healed, "lapses");
    println!("{} lapsed in it, {unsaved} after it", count(&healed, "lapses"));
    assert!(unsaved as f64 <= RATE * PROBE, "{unsaved} lapsed after the outage");
    if minutes <= 1 {
        assert_no_lapse(&back, daemon);
    }
    if count(&healed, "lapsed_now") == u64::from(USERS) {
        assert_longest_lapsed_first(last, last_sets(course).await, at(&healed));
    }
    let later = course.pass(A_LEASE).await;
    course.print("a lease later", &later);
    assert_eq!((&later["lapses"], &later["throttled"]), (&back["lapses"], &0.into()), "{later:#}");
}

/// Who was set earlier before the outage was set earlier after it, but for requests that crossed each other.
fn assert_longest_lapsed_first(before: Vec<(u32, Vec<f64>)>, after: Vec<(u32, Vec<f64>)>, healed: f64) {
    let mut turns: Vec<(f64, f64)> = Vec::new();
    for ((_, before), (n, after)) in before.into_iter().zip(after) {
        let regained =
            after.into_iter().find(|set| *set > healed).unwrap_or_else(|| panic!("user {n} was not set"));
        turns.push((*before.last().unwrap(), regained));
    }
    turns.sort_by(|a, b| a.0.total_cmp(&b.0));
    let most = turns.windows(2).map(|pair| pair[0].1 - pair[1].1).fold(f64::MIN, f64::max);
    println!("of {} looked at, no one overtook a longer lapsed one by more than {most:.1} s", turns.len());
    assert!(most < 5.0, "someone overtook a longer lapsed one by {most:.1} s: {turns:?}");
}

async fn sit_out_all(speed: u32, outages: Vec<Outage>) {
    let course = Course::new(speed, (0..USERS).map(available)).await;
    let daemon = course.run();
    course.settled(USERS).await;
    for outage in outages {
        sit_out(&course, &daemon, outage).await;
    }
}

#[tokio::test]
#[ignore = "takes four minutes: tests/long/run"]
async fn one_and_four_and_ten_minutes_without_the_service_are_made_good() {
    let outages =
        [(1, json!({ "status": 503 })), (4, json!({ "reset": true })), (10, json!({ "hang": true }))];
    sit_out_all(12, outages.map(|(minutes, trouble)| Outage { minutes, trouble }).into()).await;
}

#[tokio::test]
#[ignore = "takes five minutes: tests/long/run"]
async fn an_hour_without_the_service_is_made_good() {
    sit_out_all(20, vec![Outage { minutes: 60, trouble: json!({ "status": 503 }) }]).await;
}
