//! The invariants that are looked at as a world goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use presenced::keeper::id::{LaneKey, SessionIx, UserId};
use presenced::keeper::{Call, Event, MonoTime, Outcome, Over, Plan, Request};

/// What has been seen so far, as far as an invariant needs it.
#[derive(Default)]
pub struct Checks {
    in_flight: BTreeMap<SessionIx, (LaneKey, Request)>,
    fetching: BTreeSet<LaneKey>,
    closed: BTreeMap<LaneKey, Closed>,
    /// The plan that a reload takes the place of, slice by slice: until it is done, either may be followed.
    before: Option<Plan>,
    /// Users whose session was cleared, and not set since.
    cleared: BTreeSet<(LaneKey, UserId)>,
    /// Users whose session was not wanted any more and ran out before its turn to be cleared: no lapse.
    pub ran_out: BTreeSet<(LaneKey, UserId)>,
    /// The daemon was told to stop: no more sets, and clears only if asked for.
    pub ending: Option<bool>,
    pub parked: u32,
    pub restarts: Vec<(MonoTime, Duration)>,
    pub sent: u64,
    pub sent_by_lane: BTreeMap<LaneKey, Vec<(MonoTime, Request)>>,
    /// Keep what each lane sent, one by one.
    pub keep_sent: bool,
}

/// A lane after a 429.
struct Closed {
    until: MonoTime,
    asked_until: MonoTime,
    last_probe: Option<MonoTime>,
}

impl Checks {
    pub fn reloaded(&mut self, old: &Plan) {
        self.before = Some(old.clone());
    }

    pub fn restarted(&mut self, now: MonoTime, down: Duration) {
        self.in_flight.clear();
        self.fetching.clear();
        self.closed.clear();
        self.restarts.push((now, down));
    }

    pub fn sent(
        &mut self,
        key: &LaneKey,
        request: &Request,
        plan: &Plan,
        over: Option<&Over>,
        now: MonoTime,
    ) {
        self.sent += 1;
        if self.keep_sent {
            self.sent_by_lane.entry(key.clone()).or_default().push((now, *request));
        }
        let other = self.in_flight.insert(request.session, (key.clone(), *request));
        assert!(other.is_none(), "two requests of a session in flight at {now:?}: {request:?} and {other:?}");
        assert!(request.deadline > now, "a request without time: {request:?}");
        if let Some(clear) = self.ending {
            assert!(clear && request.call == Call::Clear, "sent while stopping: {request:?}");
        }
        if let Call::Set(_) = request.call {
            let mut plans = self.before.iter().chain([plan]);
            if let Some(over) = over {
                assert!(over.wish.is_some(), "a set for a user who is overridden with none: {request:?}");
            }
            let wanted = |plan: &Plan| {
                let session = plan.lane(key).and_then(|lane| lane.session(request.user));
                session.is_some_and(|s| s.wish.is_some() && s.funded)
            };
            assert!(
                over.is_some() || plans.any(wanted),
                "a set for a user who is not wanted at {now:?}: {request:?}"
            );
            self.cleared.remove(&(key.clone(), request.user));
        }
        if let Some(closed) = self.closed.get_mut(key) {
            assert!(
                now >= closed.until,
                "a request {:?} after a 429 closed the lane: {request:?}",
                closed.until.since(now)
            );
            if now < closed.asked_until {
                let near = closed.last_probe.filter(|last| now.since(*last) < Duration::from_secs(60));
                assert!(near.is_none(), "two probes within a minute of a long Retry-After");
                closed.last_probe = Some(now);
            }
        }
    }

    pub fn answered(&mut self, key: &LaneKey, session: SessionIx, outcome: Outcome, now: MonoTime) {
        let Some((_, request)) = self.in_flight.remove(&session) else {
            panic!("an answer to nothing: {session:?}");
        };
        match outcome {
            Outcome::Throttled { retry_after } => {
                let asked = retry_after.unwrap_or_default();
                let until = now + asked.min(Duration::from_secs(120));
                let closed = self.closed.entry(key.clone()).or_insert(Closed {
                    until,
                    asked_until: until,
                    last_probe: None,
                });
                let probed = closed.last_probe.is_some();
                closed.until = closed.until.max(if probed { now } else { until });
                closed.asked_until = closed.asked_until.max(now + asked);
            }
            Outcome::Granted => {
                let closed_for_now = self.closed.get(key).is_some_and(|closed| now < closed.until);
                let was_probe = self.closed.get(key).is_some_and(|closed| closed.last_probe.is_some());
                if !closed_for_now || was_probe {
                    self.closed.remove(key);
                }
                if request.call == Call::Clear {
                    let first = self.cleared.insert((key.clone(), request.user));
                    assert!(first, "{} was cleared twice", request.user);
                }
            }
            Outcome::TokenRejected | Outcome::Refused(_) | Outcome::Lost { .. } => {}
        }
    }

    pub fn forgotten(&mut self, key: &LaneKey, user: UserId) {
        if !self.cleared.contains(&(key.clone(), user)) {
            self.ran_out.insert((key.clone(), user));
        }
    }

    pub fn fetching(&mut self, key: &LaneKey, now: MonoTime) {
        assert!(self.fetching.insert(key.clone()), "two token requests of a lane at {now:?}");
    }

    pub fn fetched(&mut self, key: &LaneKey) {
        assert!(self.fetching.remove(key), "a token that was not asked for");
    }

    pub fn event(&mut self, event: &Event) {
        self.parked += u32::from(matches!(event, Event::Parked { .. }));
        if matches!(event, Event::PlanApplied(_)) {
            self.before = None;
        }
    }
}
