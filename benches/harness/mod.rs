//! A keeper in virtual time, whose every request is granted after [`LATENCY`].

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Duration;

use presenced::keeper::id::SessionIx;
use presenced::keeper::{Event, Input, Keeper, MonoTime, OnRemove, Outcome, Output, Plan, TokenAnswer, diff};

/// From send to answer.
pub const LATENCY: Duration = Duration::from_millis(150);

/// A keeper, the time, and what is on its way.
pub struct Run {
    keeper: Keeper,
    answers: VecDeque<(MonoTime, SessionIx)>,
    /// The time.
    pub now: MonoTime,
    wake: MonoTime,
    /// Requests so far.
    pub sent: u64,
    taken: bool,
}

impl Run {
    /// Without a plan.
    pub fn new() -> Self {
        let now = MonoTime::from_secs(100_000);
        Self { keeper: Keeper::new(), answers: VecDeque::new(), now, wake: now, sent: 0, taken: false }
    }

    /// Takes a plan; `step` is called after each step between two looks at what waits.
    pub fn take(&mut self, old: &Plan, new: &Plan, mut step: impl FnMut()) {
        self.taken = false;
        self.feed(Input::Plan { diff: Box::new(diff(old, new)), on_remove: OnRemove::Clear });
        while !self.taken {
            step();
            self.feed(Input::Wake);
        }
        step();
    }

    /// Lets time pass.
    pub fn until(&mut self, span: Duration) {
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
                Output::Event(Event::PlanApplied(_)) => self.taken = true,
                other => {
                    black_box(other);
                }
            }
        }
    }

    /// Lapses so far.
    pub fn lapses(&mut self) -> u64 {
        self.keeper.snapshot(self.now).lanes.iter().map(|lane| lane.lapses).sum()
    }
}
