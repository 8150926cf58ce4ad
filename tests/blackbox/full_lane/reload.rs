//! A reload that changes many sessions of a full lane makes no other one lapse.

use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use super::course::{A_LEASE, Course, assert_no_lapse, at};
use crate::daemon::Daemon;
use crate::site::{User, available, in_a_call};

const USERS: u32 = 13_500;
const CHANGED: u32 = 2_000;

/// Every sixth or so is another state from now on, the others stay.
fn changed(to: fn(u32) -> User) -> impl Iterator<Item = User> {
    (0..USERS).map(move |n| if n % 6 == 3 && n / 6 < CHANGED { to(n) } else { available(n) })
}

/// Reloads, and returns how many seconds passed until the service had so many calls.
async fn reload(course: &Course, daemon: &mut Daemon, calls: u32) -> f64 {
    course.site.write();
    let before = course.sandbox.report().await;
    let asked = Instant::now();
    daemon.signal(Signal::HUP);
    let line = daemon.event("reloaded").await;
    println!("{line}, {:.2} s real", asked.elapsed().as_secs_f64());
    assert_eq!(line["changed"], CHANGED, "{line}");
    let done = course
        .look(A_LEASE, "the changes", |report| {
            report["by_state"]["InACall"].as_u64().unwrap_or_default() == u64::from(calls)
        })
        .await;
    let took = at(&done) - at(&before);
    course.print("changed", &done);
    println!("{CHANGED} changes took {took:.1} s");
    if let Some(told) = line.get("sets_done_in_s").and_then(Value::as_f64) {
        println!("it said {told} s beforehand");
        assert!((took - told).abs() <= told.mul_add(0.5, 5.0), "it took {took:.1} s, and {told} s were said");
    }
    took
}

#[tokio::test]
#[ignore = "takes four minutes: tests/long/run"]
async fn two_thousand_changes_in_a_full_lane_cost_nobody_a_lapse() {
    let mut course = Course::new(6, (0..USERS).map(available)).await;
    let mut daemon = course.run();
    course.settled(USERS).await;

    // The lane gets lighter, and its period shorter; and heavier again.
    for (to, calls) in [(in_a_call as fn(u32) -> User, CHANGED), (available, 0)] {
        course.site.config.users = changed(to).collect();
        let took = reload(&course, &mut daemon, calls).await;
        assert!(took < A_LEASE, "{took} s");
        let later = course.pass(A_LEASE).await;
        course.print("a lease later", &later);
        assert_no_lapse(&later, &daemon);
        assert_eq!(later["sessions"], USERS);
    }
}
