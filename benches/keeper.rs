//! The keeper alone: how many renewals (poll and answer) it decides per second of one core.
//!
//! The peer in the same run is a bare loop over the same sessions: one binary heap of due times, popped and pushed
//! once a renewal, with none of the keeper's rules. The ratio says what the rules cost.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "not shipped"
)]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hint::black_box;
use std::time::{Duration, Instant};

use presenced::keeper::id::{Guid, LaneKey, SessionIx};
use presenced::keeper::{
    Expiration, Input, Keeper, LaneHead, LanePlan, MonoTime, OnRemove, Outcome, Output, Plan, PresenceState,
    Quota, SessionPlan, TokenAnswer, Wish, diff,
};

const LATENCY: Duration = Duration::from_millis(150);
const VIRTUAL: Duration = Duration::from_secs(1_800);

fn main() {
    for (lanes, sessions) in [(1, 40), (1, 10_000), (1, 14_000), (70, 13_500)] {
        let (renewals, took) = keeper(lanes, sessions);
        let (pops, bare) = bare_heap(lanes * sessions, renewals);
        let rate = |n: u64, took: Duration| n as f64 / took.as_secs_f64();
        println!(
            "{lanes:>3} lanes x {sessions:>6} sessions: {renewals:>8} renewals, {:>9.0} a second; bare heap {:>10.0}; ratio {:.1}",
            rate(renewals, took),
            rate(pops, bare),
            rate(pops, bare) / rate(renewals, took),
        );
    }
}

/// Holds the sessions for half an hour of virtual time.
fn keeper(lanes: usize, sessions: usize) -> (u64, Duration) {
    let wish = Some(Wish { state: PresenceState::Available, expiration: Expiration::MAX });
    let user = |at: usize| SessionPlan::new(Guid::from_u128(at as u128), wish);
    let plan = Plan::new(
        (0..lanes)
            .map(|lane| LanePlan {
                key: LaneKey {
                    graph: "g".into(),
                    tenant: Guid::from_u128(lane as u128),
                    client: Guid::from_u128(1),
                },
                head: LaneHead { name: "bench".into(), quota: Quota::PRESENCE },
                sessions: (0..sessions).map(user).collect(),
            })
            .collect(),
    );
    let mut keeper = Keeper::new();
    let mut answers: VecDeque<(MonoTime, SessionIx)> = VecDeque::new();
    let start = MonoTime::from_secs(100_000);
    let mut now = start;
    keeper.handle(
        Input::Plan { diff: Box::new(diff(&Plan::default(), &plan)), on_remove: OnRemove::Clear },
        now,
    );
    let mut renewals = 0;
    let began = Instant::now();
    while now < start + VIRTUAL {
        match keeper.poll_output() {
            Output::Send(request) => {
                renewals += 1;
                answers.push_back((now + LATENCY, request.session));
            }
            Output::FetchToken { lane, .. } => {
                let answer = TokenAnswer::Granted { lifetime: Duration::from_secs(86_400), refresh_in: None };
                keeper.handle(Input::Token { lane, answer }, now);
            }
            Output::Sleep { until, .. } => match answers.front() {
                Some(&(at, session)) if at <= until => {
                    answers.pop_front();
                    now = at;
                    keeper.handle(Input::Answered { session, outcome: Outcome::Granted }, now);
                }
                _ => {
                    now = until;
                    keeper.handle(Input::Wake, now);
                }
            },
            other => {
                black_box(other);
            }
        }
    }
    let took = began.elapsed();
    let lapses: u64 = keeper.snapshot(now).lanes.iter().map(|lane| lane.lapses).sum();
    assert_eq!(lapses, 0, "a healthy service and a plan that fits");
    (renewals, took)
}

fn bare_heap(sessions: usize, renewals: u64) -> (u64, Duration) {
    let mut heap: BinaryHeap<Reverse<(u64, u32)>> =
        (0..sessions as u32).map(|at| Reverse((u64::from(at), at))).collect();
    let began = Instant::now();
    for _ in 0..renewals {
        let Some(Reverse((due, at))) = heap.pop() else { break };
        heap.push(Reverse((due + sessions as u64, at)));
    }
    black_box(&heap);
    (renewals, began.elapsed())
}
