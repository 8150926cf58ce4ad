//! `kill -9`, some time down, and a start: what is on disk must carry every lease.

use std::time::Instant;

use super::course::{A_LEASE, Course, assert_no_lapse};
use crate::site::available;

/// When the daemon is killed.
#[derive(Clone, Copy)]
enum Killed {
    /// When every session was set and renewed.
    Settled,
    /// So many seconds after its very first start.
    After(f64),
}

async fn nobody_lapses(users: u32, speed: u32, killed: Killed, down: f64) {
    let course = Course::new(speed, (0..users).map(available)).await;
    let mut daemon = course.run();
    daemon.event("started").await;
    let before = match killed {
        Killed::Settled => course.settled(users).await,
        Killed::After(seconds) => course.pass(seconds).await,
    };
    course.print("killed", &before);
    daemon.kill().await;
    let begun = Instant::now();
    tokio::time::sleep(course.real(down)).await;
    let mut daemon = course.run();
    let started = daemon.event("started").await;
    let dark = begun.elapsed().as_secs_f64() * f64::from(course.speed());
    println!("{users} sessions, {down} s down, {dark:.1} s until it said that it was started: {started}");

    let after = course.pass(A_LEASE).await;
    course.print("a lease later", &after);
    assert_eq!((&started["restored"], &started["added"]), (&users.into(), &0.into()), "{started}");
    assert_no_lapse(&after, &daemon);
    assert_eq!(after["sessions"], users);
}

#[tokio::test]
#[ignore = "takes two minutes: tests/long/run"]
async fn ten_thousand_outlive_a_minute_without_the_daemon() {
    nobody_lapses(10_000, 10, Killed::Settled, 60.0).await;
}

#[tokio::test]
#[ignore = "takes four minutes: tests/long/run"]
async fn thirteen_thousand_five_hundred_outlive_five_seconds_without_the_daemon() {
    nobody_lapses(13_500, 4, Killed::Settled, 5.0).await;
}

#[tokio::test]
#[ignore = "takes two minutes: tests/long/run"]
async fn ten_thousand_outlive_a_minute_five_minutes_after_the_first_start() {
    nobody_lapses(10_000, 10, Killed::After(300.0), 60.0).await;
}

#[tokio::test]
#[ignore = "takes three minutes: tests/long/run"]
async fn thirteen_thousand_five_hundred_outlive_five_seconds_five_minutes_after_the_first_start() {
    nobody_lapses(13_500, 4, Killed::After(300.0), 5.0).await;
}
