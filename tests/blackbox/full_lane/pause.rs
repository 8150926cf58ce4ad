//! Time that does not pass as it should: a process that is stopped, a wall clock that is set.

use std::path::Path;

use rustix::process::Signal;

use super::course::{A_LEASE, Course, assert_no_lapse, at, count};
use crate::site::available;

const USERS: u32 = 10_000;
/// Where the package of that name puts it.
const LIBFAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

#[tokio::test]
#[ignore = "takes two minutes: tests/long/run"]
async fn ten_thousand_outlive_a_minute_in_which_the_daemon_is_stopped() {
    let course = Course::new(10, (0..USERS).map(available)).await;
    let daemon = course.run();
    let before = course.settled(USERS).await;
    daemon.signal(Signal::STOP);
    tokio::time::sleep(course.real(60.0)).await;
    let stopped = course.sandbox.report().await;
    daemon.signal(Signal::CONT);
    println!("stopped for {:.1} s", at(&stopped) - at(&before));
    let after = course.pass(A_LEASE).await;
    course.print("a lease later", &after);
    assert_no_lapse(&after, &daemon);
    assert_eq!(after["sessions"], USERS);
}

#[tokio::test]
#[ignore = "takes four minutes: tests/long/run"]
async fn a_wall_clock_that_is_set_an_hour_either_way_moves_no_renewal() {
    if !Path::new(LIBFAKETIME).exists() {
        println!("not tried: there is no {LIBFAKETIME}; it is in the package libfaketime");
        return;
    }
    let course = Course::new(10, (0..USERS).map(available)).await;
    let offset = course.site.path("offset");
    std::fs::write(&offset, "+0").unwrap();
    let daemon = course.run_in(&[
        ("LD_PRELOAD", LIBFAKETIME),
        ("DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap()),
    ]);
    let settled = course.settled(USERS).await;
    let normal = count(&settled["lanes"][0], "peak_five_minutes");

    // An hour of the daemon's clock, and an hour of the machine's, which is more to a fast one.
    let hour = 3_600 / i64::from(course.speed());
    for step in [hour, 0, -hour, 0, 3_600, -3_600] {
        std::fs::write(&offset, format!("{step:+}")).unwrap();
        let stepped = course.pass(A_LEASE / 2.0).await;
        course.print(&format!("wall clock at {step:+} s"), &stepped);
        assert_no_lapse(&stepped, &daemon);
    }
    let after = course.pass(A_LEASE).await;
    course.print("a lease later", &after);
    assert_no_lapse(&after, &daemon);
    assert_eq!(after["sessions"], USERS);
    let most = count(&after["lanes"][0], "peak_five_minutes");
    println!("requests in five minutes: {normal} before, at most {most} then");
    assert!(most * 10 <= normal * 11, "a burst: {normal} before, {most} in five minutes then");
    // The prompts go by that clock, and go on: one summary each minute of the world.
    let dates: Vec<String> = daemon.events("summary").iter().map(|line| line["time"].to_string()).collect();
    println!("summaries: {}", dates.join(" "));
    assert!(dates.len() >= 2, "{}", daemon.log());
}
