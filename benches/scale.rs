//! Three million sessions on one machine: what the keeper takes of a core and of memory, at rest and in a reload.
//!
//! The keeper alone, in virtual time; no HTTP, no ledger. The peer in the same run is the list of the sessions' ids and
//! wishes as the plan has them: the ratio says how much more the keeper holds.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "not shipped"
)]

mod harness;

use std::time::{Duration, Instant};

use harness::Run;
use presenced::keeper::id::{Guid, LaneKey};
use presenced::keeper::{Expiration, LaneHead, LanePlan, Plan, PresenceState, Quota, SessionPlan, Wish};

const LANES: usize = 223;
const SESSIONS: usize = 13_453;
/// Of the sessions that a reload changes, one in so many.
const CHANGED: usize = 100;

fn main() {
    let began = Instant::now();
    let first = plan(PresenceState::Available);
    println!("{} sessions in {LANES} lanes", first.len());
    let plan_mib = resident();
    println!("the plan alone: {:.0} MiB, made in {:.1} s", plan_mib, began.elapsed().as_secs_f64());

    let mut run = Run::new();
    let (took, longest) = take(&mut run, &Plan::default(), &first);
    println!("taken in {took:.1} s, no step longer than {longest:.1} ms");
    run.until(Duration::from_secs(600));
    let rest = resident();
    println!("at rest: {rest:.0} MiB with the plan, {:.1} times the plan", rest / plan_mib);

    run.sent = 0;
    let before = (Instant::now(), run.now);
    run.until(Duration::from_secs(900));
    let (took, lived) = (before.0.elapsed().as_secs_f64(), run.now.since(before.1).as_secs_f64());
    let rate = run.sent as f64 / lived;
    println!("{rate:.0} renewals a second take {:.1} % of a core", 100.0 * took / lived);

    let began = Instant::now();
    let next = plan(PresenceState::InACall);
    println!("the next plan made in {:.1} s", began.elapsed().as_secs_f64());
    let (took, longest) = take(&mut run, &first, &next);
    println!(
        "a reload that changes 1 in {CHANGED}: compared and taken in {took:.1} s, no step longer than \
         {longest:.1} ms; {:.0} MiB with both plans, peak {:.0} MiB",
        resident(),
        peak()
    );
    drop(first);
    run.until(Duration::from_secs(600));
    assert_eq!(run.lapses(), 0, "a healthy service and a plan that fits");
}

/// Every lane has a client id of its own; one session in [`CHANGED`] shows `state`, the others Available.
fn plan(state: PresenceState) -> Plan {
    let session = |at: usize| {
        let state = if at.is_multiple_of(CHANGED) { state } else { PresenceState::Available };
        SessionPlan::new(Guid::from_u128(at as u128), Some(Wish { state, expiration: Expiration::MAX }))
    };
    let lane = |lane: usize| LanePlan {
        key: LaneKey {
            graph: "g".into(),
            tenant: Guid::from_u128(lane as u128),
            client: Guid::from_u128(lane as u128),
        },
        head: LaneHead { name: "bench".into(), quota: Quota::PRESENCE },
        sessions: (lane * SESSIONS..(lane + 1) * SESSIONS).map(session).collect(),
    };
    Plan::new((0..LANES).map(lane).collect())
}

/// Takes a plan; returns how long that took in seconds, comparing included, and the longest step between two looks at
/// what waits, in milliseconds.
fn take(run: &mut Run, old: &Plan, new: &Plan) -> (f64, f64) {
    let began = Instant::now();
    let (mut last, mut longest, mut compared) = (began, Duration::ZERO, None);
    run.take(old, new, || {
        // Comparing is done on a thread of its own.
        if compared.replace(()).is_some() {
            longest = longest.max(last.elapsed());
        }
        last = Instant::now();
    });
    (began.elapsed().as_secs_f64(), longest.as_secs_f64() * 1e3)
}

/// What this process holds in memory, in MiB.
fn resident() -> f64 {
    status("VmRSS:")
}

/// The most that it has held.
fn peak() -> f64 {
    status("VmHWM:")
}

fn status(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("it is there");
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number");
    kib / 1_024.0
}
