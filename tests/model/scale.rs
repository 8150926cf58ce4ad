//! A day of one full lane.

use std::time::{Duration, Instant};

use presenced::keeper::{Plan, PresenceState, Quota};
use presenced::sandbox::quota::Limit;
use presenced::sandbox::service::Options;

use crate::lanes::lane;
use crate::world::{Wire, World};

fn day(sessions: usize, hours: u64, error_rate: f64) -> (u64, u64, f64) {
    with_quota(Limit { requests: 1_500, per_s: 30 }, sessions, hours, error_rate)
}

fn with_quota(limit: Limit, sessions: usize, hours: u64, error_rate: f64) -> (u64, u64, f64) {
    let mut options = Options { quota: limit, ..Options::default() };
    options.faults.error_rate = error_rate;
    let mut world = World::new(1, options, Wire { there_ms: (50, 100), back_ms: (50, 100) });
    let quota = Quota { requests: limit.requests, per: Duration::from_secs(limit.per_s.into()) };
    world.reload(Plan::new(vec![lane(1, sessions, PresenceState::Available, quota)]));
    let began = Instant::now();
    world.run_for(Duration::from_secs(hours * 3_600));
    let took = began.elapsed().as_secs_f64();
    let report = world.service.report(world.now);
    assert_eq!(report.throttled, 0, "never over the quota, as the service counts");
    assert!(report.peak_window <= limit.requests as usize);
    assert_eq!(report.invalid_requests, 0);
    assert_eq!(report.sessions, sessions as u64);
    (report.lapses, world.renewals, took)
}

#[test]
fn ten_thousand_sessions_through_a_day() {
    let (lapses, renewals, took) = day(10_000, 24, 0.0);
    println!(
        "10,000 sessions x 24 h of virtual time: {renewals} renewals in {took:.1} s, {:.0} times faster than real time",
        86_400.0 / took
    );
    assert_eq!(lapses, 0);
    assert!(renewals > 3_800_000, "{renewals}");
}

#[test]
fn fourteen_thousand_sessions_with_one_answer_in_a_hundred_an_error() {
    let (lapses, renewals, took) = day(14_000, 3, 0.01);
    println!("14,000 sessions x 3 h, 1 % errors: {renewals} renewals in {took:.1} s, {lapses} lapses");
    assert_eq!(lapses, 0);
}

/// Should Graph grant it.
#[test]
fn ninety_three_thousand_sessions_at_ten_thousand_requests_in_thirty_seconds() {
    let limit = Limit { requests: 10_000, per_s: 30 };
    let (lapses, renewals, took) = with_quota(limit, 93_000, 1, 0.01);
    println!("93,000 sessions x 1 h, 1 % errors: {renewals} renewals in {took:.1} s, {lapses} lapses");
    assert_eq!(lapses, 0);
}
