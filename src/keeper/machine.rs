//! The machine itself: the lanes, the budgets that some of them share, and the plan that is being taken in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::diff::{Counts, Diff, HeadDiff, LaneDiff, SessionDiff};
use super::event::{Because, Event, Input, OnRemove, Output, RestoredLane};
use super::funding::{self, Load};
use super::id::{ClientId, LaneIx, LaneKey, SessionIx, UserId};
use super::lane::{Lane, Outbox, Step, Turn};
use super::outcome::Outcome;
use super::plan::{LaneHead, Plan, Quota};
use super::time::MonoTime;
use super::wakes::Wakes;

/// How long a lane whose app is gone may take to clear what it held.
const CLOSING_TIME: Duration = Duration::from_secs(600);
/// How many sessions of a plan are taken at a time, so that renewals go on in between.
const SLICE: usize = 512;

/// Decides which request goes out when.
///
/// Waking it early, late or twice does no harm; the same inputs at the same times lead to the same outputs.
#[derive(Debug, Default)]
pub struct Keeper {
    pub(super) now: MonoTime,
    /// By place; `None` is free.
    pub(super) lanes: Vec<Option<Lane>>,
    pub(super) by_key: BTreeMap<LaneKey, LaneIx>,
    /// When each lane wants to be asked again.
    wakes: Wakes,
    pub(super) apps: Vec<App>,
    app_of: BTreeMap<(Arc<str>, ClientId), usize>,
    /// When an app whose budget is short has room again.
    app_wakes: Wakes,
    pending: Option<Pending>,
    /// Users who move: where they are cleared once they are set elsewhere.
    moving: HashMap<UserId, SessionIx>,
    draining: bool,
    /// Whoever is new is released.
    released: bool,
    out: Outbox,
}

/// Lanes of one client id share what Graph grants an app over all tenants.
#[derive(Debug)]
pub(super) struct App {
    pub(super) budget: Budget,
    lanes: BTreeSet<LaneIx>,
    /// Lanes that would send, the most urgent first; of equals the one that was served longest ago.
    pub(super) waiting: BTreeSet<Turn>,
    served: u64,
}

/// A plan that is being taken in.
#[derive(Debug)]
struct Pending {
    diff: Box<Diff>,
    on_remove: OnRemove,
    lane: usize,
    session: usize,
    counts: Counts,
}

impl Keeper {
    /// A keeper without lanes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened, at `now`. Follow it with [`Keeper::poll_output`] until that says `Sleep`.
    pub fn handle(&mut self, input: Input, now: MonoTime) {
        self.now = self.now.max(now);
        let now = self.now;
        match input {
            Input::Restore(lanes) => {
                let plan = Plan::of_restored(&lanes);
                lanes.into_iter().for_each(|lane| self.restore(lane, &plan));
            }
            Input::Plan { diff, on_remove } => {
                debug_assert!(self.pending.is_none(), "one plan at a time");
                let counts = diff.counts();
                self.pending = Some(Pending { diff, on_remove, lane: 0, session: 0, counts });
            }
            Input::Change { session, wish, until } => {
                self.on_lane(session.lane, |lane| lane.change(session.slot, wish, until, now));
                self.share(session.lane);
            }
            Input::Override { session, over } => {
                self.on_lane(session.lane, |lane| lane.override_with(session.slot, over, now));
                self.share(session.lane);
            }
            Input::Release { all } => {
                self.released = all;
                self.on_lanes(|lane| lane.released = all);
            }
            Input::Answered { session, outcome } => {
                self.answered(session, outcome);
            }
            Input::Token { lane, answer } => {
                self.on_lane(lane, |lane| lane.token_answered(answer, now));
            }
            Input::CredentialChanged { lane } => {
                self.on_lane(lane, |lane| lane.credential_changed(now));
            }
            Input::Unpark => self.on_lanes(|lane| lane.unpark(now)),
            Input::RenewAll => self.on_lanes(|lane| lane.renew_all(now)),
            Input::Wake => {}
            Input::Drain { clear } => {
                self.draining = true;
                self.pending = None;
                self.on_lanes(|lane| lane.begin_drain(clear, now));
            }
        }
    }

    /// The next thing to do as of the last `handle`.
    pub fn poll_output(&mut self) -> Output {
        loop {
            if let Some(output) = self.out.pop_front() {
                return output;
            }
            if let Some(app) = self.app_wakes.pop(self.now) {
                self.serve_app(app as usize);
            } else if let Some(lane) = self.wakes.pop(self.now) {
                self.serve(LaneIx(lane), false);
            } else if self.draining && self.lanes.iter().flatten().all(Lane::drained) {
                self.draining = false;
                self.out.push_back(Output::Event(Event::Drained));
            } else if self.pending.is_some() {
                self.take_slice();
                return Output::Sleep { until: self.now, because: Because::Plan };
            } else {
                return self.sleep();
            }
        }
    }

    fn sleep(&self) -> Output {
        let app = self.app_wakes.first().map_or(MonoTime::FAR, |(at, _)| at);
        match self.wakes.first() {
            Some((until, lane)) => {
                Output::Sleep { until: until.min(app), because: Because::Lane(LaneIx(lane)) }
            }
            None => Output::Sleep { until: app, because: Because::Nothing },
        }
    }

    fn answered(&mut self, session: SessionIx, outcome: Outcome) {
        let now = self.now;
        let Some(app) = self.lanes.get(session.lane.0 as usize).and_then(Option::as_ref).map(|lane| lane.app)
        else {
            return;
        };
        self.apps[app].budget.answered(now);
        let set = self.on_lane(session.lane, |lane| lane.answered(session.slot, outcome, now)).flatten();
        if let Some((user, old)) = set.and_then(|user| Some((user, self.moving.remove(&user)?))) {
            self.on_lane(old.lane, |lane| lane.moved(old.slot, user, now));
        }
        self.await_room(app);
    }

    /// Does something with a lane, and has it asked again.
    fn on_lane<T>(&mut self, ix: LaneIx, act: impl FnOnce(&mut Lane) -> T) -> Option<T> {
        let lane = self.lanes.get_mut(ix.0 as usize)?.as_mut()?;
        let result = act(lane);
        self.out.append(&mut lane.out);
        self.wakes.set(ix.0, self.now);
        Some(result)
    }

    fn on_lanes(&mut self, mut act: impl FnMut(&mut Lane)) {
        for ix in 0..self.lanes.len() {
            self.on_lane(LaneIx(u32::try_from(ix).unwrap_or(u32::MAX)), &mut act);
        }
    }

    /// Lets a lane do its next step. `turn`: the budget that it shares is its to spend.
    fn serve(&mut self, ix: LaneIx, turn: bool) {
        let now = self.now;
        let Some(lane) = self.lanes.get_mut(ix.0 as usize).and_then(Option::as_mut) else { return };
        let app = &mut self.apps[lane.app];
        if let Some(waits) = lane.starved.take() {
            app.waiting.remove(&waits);
        }
        let turn = turn || app.waiting.is_empty();
        let step = lane.step(now, &mut app.budget, turn);
        self.out.append(&mut lane.out);
        match step {
            Step::Send(request) => {
                app.served += 1;
                lane.served = app.served;
                self.out.push_back(Output::Send(request));
                self.wakes.set(ix.0, now);
            }
            Step::Fetch(generation, deadline) => {
                self.out.push_back(Output::FetchToken { lane: ix, generation, deadline });
                self.wakes.set(ix.0, now);
            }
            Step::Starved(urgency, until) => {
                let waits = (urgency, lane.served, ix);
                lane.starved = Some(waits);
                app.waiting.insert(waits);
                self.wakes.set(ix.0, until);
                let app = lane.app;
                self.await_room(app);
            }
            Step::Wait(until) => self.wakes.set(ix.0, until),
            Step::Close => self.close(ix),
        }
    }

    /// The budget of an app has room: the most urgent of its lanes that wait is next.
    fn serve_app(&mut self, app: usize) {
        let now = self.now;
        let App { budget, waiting, .. } = &mut self.apps[app];
        let free = budget.free_at(now);
        if free > now {
            self.app_wakes.set(index(app), free);
        } else if let Some(&(_, _, lane)) = waiting.first() {
            self.serve(lane, true);
            self.await_room(app);
        }
    }

    /// There may be room for a lane, and for others of its app.
    pub(super) fn look_again(&mut self, ix: LaneIx, app: usize) {
        self.wakes.set(ix.0, self.now);
        self.await_room(app);
    }

    /// If lanes wait for the app's budget, look again when it has room.
    fn await_room(&mut self, app: usize) {
        let App { budget, waiting, .. } = &mut self.apps[app];
        let at = if waiting.is_empty() { MonoTime::FAR } else { budget.free_at(self.now) };
        self.app_wakes.set(index(app), at);
    }

    fn open(&mut self, key: &LaneKey, head: LaneHead) -> LaneIx {
        if let Some(&ix) = self.by_key.get(key) {
            let now = self.now;
            self.on_lane(ix, |lane| lane.reopen(head, now));
            return ix;
        }
        let app = *self.app_of.entry((key.graph.clone(), key.client)).or_insert_with(|| {
            let budget = Budget::new(Quota::APP, self.now);
            self.apps.push(App { budget, lanes: BTreeSet::new(), waiting: BTreeSet::new(), served: 0 });
            self.apps.len() - 1
        });
        let at = self.lanes.iter().position(Option::is_none).unwrap_or_else(|| {
            self.lanes.push(None);
            self.lanes.len() - 1
        });
        let ix = LaneIx(index(at));
        let mut lane = Lane::new(ix, app, key.clone(), head, self.now);
        lane.released = self.released;
        self.lanes[at] = Some(lane);
        self.by_key.insert(key.clone(), ix);
        self.apps[app].lanes.insert(ix);
        self.wakes.set(ix.0, self.now);
        self.out.push_back(Output::Open { lane: ix, key: key.clone() });
        ix
    }

    fn close(&mut self, ix: LaneIx) {
        let Some(lane) = self.lanes[ix.0 as usize].take() else { return };
        self.by_key.remove(&lane.key);
        self.apps[lane.app].lanes.remove(&ix);
        self.wakes.set(ix.0, MonoTime::FAR);
        self.moving.retain(|_, old| old.lane != ix);
        self.out.push_back(Output::Close { lane: ix, tally: Box::new(lane.tally) });
    }

    fn restore(&mut self, restored: RestoredLane, plan: &Plan) {
        let now = self.now;
        let planned = plan.lane(&restored.key);
        let ix = self.open(&restored.key, restored.head);
        self.on_lane(ix, |lane| {
            for (slot, user, record) in restored.sessions {
                let funded = planned.and_then(|lane| lane.session(user)).is_some_and(|s| s.funded);
                lane.restore(slot, user, record, funded, now);
            }
        });
        self.share(ix);
        self.on_lane(ix, |lane| lane.restored(now));
    }

    /// Takes the next few sessions of the plan that is under way.
    fn take_slice(&mut self) {
        let Some(mut pending) = self.pending.take() else { return };
        let mut left = SLICE;
        while let Some(lane) = pending.diff.lanes.get(pending.lane) {
            let Some(ix) = self.take_head(lane, pending.session == 0) else {
                (pending.lane, pending.session) = (pending.lane + 1, 0);
                continue;
            };
            let end = lane.sessions.len().min(pending.session + left);
            for at in pending.session..end {
                let until = lane.ends.get(at).copied().unwrap_or(MonoTime::FAR);
                self.take_session(ix, &lane.sessions[at], until, pending.on_remove);
            }
            left -= end - pending.session;
            pending.session = end;
            self.share(ix);
            if end < lane.sessions.len() {
                self.pending = Some(pending);
                return;
            }
            if lane.head == HeadDiff::Removed {
                let closes_at = self.now + CLOSING_TIME;
                self.on_lane(ix, |lane| lane.closes_at = Some(closes_at));
            }
            (pending.lane, pending.session) = (pending.lane + 1, 0);
        }
        self.out.push_back(Output::Event(Event::PlanApplied(pending.counts)));
    }

    fn take_head(&mut self, lane: &LaneDiff, first: bool) -> Option<LaneIx> {
        match &lane.head {
            HeadDiff::Added(head) if first => Some(self.open(&lane.key, head.clone())),
            HeadDiff::Changed(head) if first => {
                let ix = *self.by_key.get(&lane.key)?;
                let now = self.now;
                self.on_lane(ix, |lane| lane.reopen(head.clone(), now));
                Some(ix)
            }
            HeadDiff::Added(_) | HeadDiff::Changed(_) | HeadDiff::Same | HeadDiff::Removed => {
                self.by_key.get(&lane.key).copied()
            }
        }
    }

    fn take_session(&mut self, ix: LaneIx, session: &SessionDiff, until: MonoTime, on_remove: OnRemove) {
        let now = self.now;
        match *session {
            SessionDiff::Added(plan) | SessionDiff::Changed(plan) => {
                self.on_lane(ix, |lane| lane.plan(plan, until, now));
            }
            SessionDiff::Removed { user, moves } => {
                let moves = self.still_moves(ix, user, moves) && !self.is_set_elsewhere(ix, user);
                let slot = self.on_lane(ix, |lane| {
                    let slot = lane.slot_of(user);
                    lane.remove(user, moves, on_remove, now);
                    slot
                });
                if let (true, Some(slot)) = (moves, slot.flatten()) {
                    self.moving.insert(user, SessionIx { lane: ix, slot });
                }
            }
        }
    }

    /// A user may leave a lane before the state is set there, with the old session kept in yet another: then that one
    /// is kept on if there is a next lane, and goes if there is none. Returns whether this one is to be kept.
    fn still_moves(&mut self, ix: LaneIx, user: UserId, moves: bool) -> bool {
        let Some(kept) = self.moving.get(&user).copied().filter(|kept| kept.lane != ix) else { return moves };
        if !moves {
            let now = self.now;
            self.moving.remove(&user);
            self.on_lane(kept.lane, |lane| lane.moved(kept.slot, user, now));
        }
        false
    }

    fn is_set_elsewhere(&self, ix: LaneIx, user: UserId) -> bool {
        self.lanes.iter().flatten().any(|lane| lane.ix != ix && lane.holds(user))
    }

    /// Lanes of one client id need a fraction together.
    fn share(&mut self, ix: LaneIx) {
        let Some(lane) = self.lanes.get(ix.0 as usize).and_then(Option::as_ref) else { return };
        let app = &self.apps[lane.app];
        let mut load = Load::default();
        for lane in &app.lanes {
            load.add(self.lanes[lane.0 as usize].as_ref().map_or(Load::default(), |lane| lane.load));
        }
        let fraction = funding::fraction(load, Quota::APP.per_second());
        for lane in &app.lanes {
            if let Some(lane) = self.lanes[lane.0 as usize].as_mut() {
                lane.shared_fraction = fraction;
            }
        }
    }
}

fn index(at: usize) -> u32 {
    u32::try_from(at).expect("there are not four thousand million lanes")
}
