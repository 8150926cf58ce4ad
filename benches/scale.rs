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

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use presenced::keeper::id::{Guid, LaneKey, SessionIx};
use presenced::keeper::{
    Expiration, Input, Keeper, LaneHead, LanePlan, MonoTime, OnRemove, Outcome, Output, Plan, PresenceState,
    Quota, SessionPlan, TokenAnswer, Wish, diff,
};

const LATENCY: Duration = Duration::from_millis(150);
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
    let (took, longest) = run.take(&Plan::default(), &first);
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
    let (took, longest) = run.take(&first, &next);
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

struct Run {
    keeper: Keeper,
    answers: VecDeque<(MonoTime, SessionIx)>,
    now: MonoTime,
    wake: MonoTime,
    sent: u64,
    taken: bool,
}

impl Run {
    fn new() -> Self {
        let now = MonoTime::from_secs(100_000);
        Self { keeper: Keeper::new(), answers: VecDeque::new(), now, wake: now, sent: 0, taken: false }
    }

    /// Takes a plan; returns how long that took in seconds, and the longest step between two looks at what waits, in
    /// milliseconds.
    fn take(&mut self, old: &Plan, new: &Plan) -> (f64, f64) {
        let began = Instant::now();
        let change = Box::new(diff(old, new));
        let compared = began.elapsed();
        let mut longest = Duration::ZERO;
        self.taken = false;
        self.feed(Input::Plan { diff: change, on_remove: OnRemove::Clear });
        while !self.taken {
            let step = Instant::now();
            self.feed(Input::Wake);
            longest = longest.max(step.elapsed());
        }
        println!("compared in {:.1} s", compared.as_secs_f64());
        (began.elapsed().as_secs_f64(), longest.as_secs_f64() * 1e3)
    }

    fn until(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            match self.answers.front() {
                Some(&(at, session)) if at <= self.wake => {
                    self.answers.pop_front();
                    self.now = self.now.max(at);
                    self.feed(Input::Answered { session, outcome: Outcome::Granted });
                }
                _ => {
                    self.now = self.now.max(self.wake);
                    self.feed(Input::Wake);
                }
            }
        }
    }

    fn feed(&mut self, input: Input) {
        self.keeper.handle(input, self.now);
        loop {
            match self.keeper.poll_output() {
                Output::Send(request) => {
                    self.sent += 1;
                    self.answers.push_back((self.now + LATENCY, request.session));
                }
                Output::FetchToken { lane, .. } => {
                    let lifetime = Duration::from_secs(86_400);
                    let answer = TokenAnswer::Granted { lifetime, refresh_in: None };
                    self.keeper.handle(Input::Token { lane, answer }, self.now);
                }
                Output::Sleep { until, .. } => {
                    self.wake = until;
                    return;
                }
                Output::Event(presenced::keeper::Event::PlanApplied(_)) => self.taken = true,
                other => {
                    black_box(other);
                }
            }
        }
    }

    fn lapses(&mut self) -> u64 {
        self.keeper.snapshot(self.now).lanes.iter().map(|lane| lane.lapses).sum()
    }
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
