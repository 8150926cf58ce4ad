//! Overrides and releases: taken in, laid over the plan, ended when their time is over.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Driver, Said};
use crate::daemon::audit::{Action, Record};
use crate::daemon::overrides::line::Line;
use crate::daemon::overrides::{Full, Override, Overrides, Put, Release, Rule, Source, Whom};
use crate::daemon::wall;
use crate::keeper::id::{SessionIx, UserId};
use crate::keeper::{Expiration, Input, LanePlan, MonoTime, Over, PresenceState, Query, Wish};

/// What somebody wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Steer {
    /// Something else is to be shown of a user for a while.
    Put {
        /// Whose.
        whom: Whom,
        /// Who or what wants it.
        source: Source,
        /// What is to be shown; `None`: no session of ours.
        state: Option<PresenceState>,
        /// For how long, within [`TTL`](crate::daemon::overrides::TTL).
        ttl: Duration,
        /// Higher ones hold.
        priority: i32,
        /// Why.
        reason: Option<Arc<str>>,
    },
    /// That is over.
    Remove {
        /// Whose.
        whom: Whom,
        /// Of which source.
        source: Source,
        /// Why.
        reason: Option<Arc<str>>,
    },
    /// Nothing is to be held for a user, or anyone.
    Release {
        /// Whose; `None`: anyone's.
        whom: Option<Whom>,
        /// Why.
        reason: Option<Arc<str>>,
    },
    /// That is over.
    Resume {
        /// Whose; `None`: all releases.
        whom: Option<Whom>,
        /// Why.
        reason: Option<Arc<str>>,
    },
}

/// What came of it.
#[derive(Debug)]
pub struct Steered {
    /// Whether anything is another now.
    pub changed: bool,
    /// The override that was put in force, or taken back, and was it.
    pub over: Option<Override>,
    /// What holds for the user now: the source of an override, or nothing.
    pub holds: Option<Held>,
    /// Whether it is on disk; `None`: nothing had to be.
    pub kept: Option<oneshot::Receiver<bool>>,
}

/// What holds instead of the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Held {
    /// Nothing is held.
    Release,
    /// The override of this source.
    Override(Source),
}

/// What is in force, and what is still to be told to the keeper.
#[derive(Debug, Default)]
pub(super) struct Steering {
    pub(super) overrides: Overrides,
    /// Those whose session was not there when last looked for.
    unlaid: BTreeSet<Whom>,
    /// Those to be looked at again.
    again: VecDeque<Whom>,
    /// From where on all sessions are looked at again.
    walk: Option<SessionIx>,
    /// The group whose members are steered at this moment.
    pub(super) group: Option<Arc<str>>,
}

impl Driver {
    /// Sessions that are looked at before renewals have their turn.
    const STEP: usize = 512;
    /// More that are still to come are not looked for after each slice of a plan.
    const FEW: usize = 20_000;

    /// Takes in what somebody wants.
    ///
    /// # Errors
    /// When there are too many overrides.
    pub(super) fn steer(&mut self, steer: Steer, by: &Arc<str>) -> Result<Steered, Full> {
        match steer {
            Steer::Put { whom, source, state, ttl, priority, reason } => {
                let put = Put {
                    state,
                    ends_at: self.clock.now() + ttl,
                    ends_wall: self.clock.wall() + ttl,
                    priority,
                    by: Arc::clone(by),
                    reason,
                    since: self.clock.wall(),
                };
                self.put(&whom, &source, put)
            }
            Steer::Remove { whom, source, reason } => Ok(self.remove(&whom, &source, by, reason.as_deref())),
            Steer::Release { whom, reason } => {
                let release = Release { by: Arc::clone(by), reason, since: self.clock.wall() };
                Ok(self.release(whom.as_ref(), release))
            }
            Steer::Resume { whom, reason } => Ok(self.resume(whom.as_ref(), by, reason.as_deref())),
        }
    }

    /// The same of members of a group, each by itself. Each has a record that names the group.
    pub(super) fn steer_group(
        &mut self,
        what: Vec<Steer>,
        group: Arc<str>,
        by: &Arc<str>,
    ) -> Vec<Result<Steered, Full>> {
        self.steering.group = Some(group);
        let steered = what.into_iter().map(|steer| self.steer(steer, by)).collect();
        self.steering.group = None;
        steered
    }

    fn put(&mut self, whom: &Whom, source: &Source, put: Put) -> Result<Steered, Full> {
        let before = self.wanted_of(whom);
        let (by, reason) = (Arc::clone(&put.by), put.reason.clone());
        let was = self.steering.overrides.put(whom.clone(), source.clone(), put)?;
        let over = self.steering.overrides.of(whom).find(|(known, _)| **known == *source);
        let over = over.map(|(_, over)| over.clone());
        let line = over.as_ref().map(|over| Line::put(whom, source, over));
        self.lay(whom);
        let both = was.as_ref().zip(over.as_ref());
        let goes_on = both.is_some_and(|(was, is)| (was.state, was.priority) == (is.state, is.priority));
        // A call that goes on is said once, not each time that its end is put off.
        let same = both.is_some_and(|(was, is)| goes_on && (&was.by, &was.reason) == (&is.by, &is.reason));
        let until = over.as_ref().map(|over| wall::text(over.ends_wall));
        let record = (!same || *source == Source::Operator).then(|| Record {
            source: Some(source.to_string()),
            before: before.clone(),
            after: self.wanted_of(whom),
            until,
            ..self.record(Action::Set, &by, Some(whom), reason.as_deref())
        });
        let kept = self.keep(line, record);
        Ok(Steered { changed: !goes_on, over, holds: self.holds(whom), kept })
    }

    fn remove(&mut self, whom: &Whom, source: &Source, by: &str, reason: Option<&str>) -> Steered {
        let before = self.wanted_of(whom);
        let was = self.steering.overrides.remove(whom, source);
        let mut kept = None;
        if was.is_some() {
            self.lay(whom);
            let record = Record {
                source: Some(source.to_string()),
                before,
                after: self.wanted_of(whom),
                ..self.record(Action::Unset, by, Some(whom), reason)
            };
            kept = self.keep(Some(Line::ended(whom, source)), Some(record));
        }
        Steered { changed: was.is_some(), over: was, holds: self.holds(whom), kept }
    }

    fn release(&mut self, whom: Option<&Whom>, release: Release) -> Steered {
        let record = self.record(Action::Release, &release.by, whom, release.reason.as_deref());
        let line = Line::released(whom, &release);
        let before = whom.and_then(|whom| self.wanted_of(whom));
        let changed = match whom {
            Some(whom) => {
                let new = self.steering.overrides.release(whom.clone(), release);
                self.lay(whom);
                new
            }
            None => {
                let new = self.steering.overrides.release_all(release);
                self.feed(Input::Release { all: true }, &Said::default());
                self.look_at_all();
                new
            }
        };
        let record = Record { before, after: Some(shown(None)), ..record };
        let kept = if changed { self.keep(Some(line), Some(record)) } else { None };
        Steered { changed, over: None, holds: Some(Held::Release), kept }
    }

    fn resume(&mut self, whom: Option<&Whom>, by: &str, reason: Option<&str>) -> Steered {
        let changed = match whom {
            Some(whom) => {
                let was = self.steering.overrides.resume(whom);
                self.lay(whom);
                was
            }
            None => {
                let (users, all) = self.steering.overrides.resume_all();
                if all {
                    self.feed(Input::Release { all: false }, &Said::default());
                    self.look_at_all();
                }
                let some = !users.is_empty();
                self.steering.again.extend(users);
                all || some
            }
        };
        let line = Line::resumed(whom, self.clock.wall());
        let record = self.record(Action::Resume, by, whom, reason);
        let kept = if changed { self.keep(Some(line), Some(record)) } else { None };
        Steered { changed, over: None, holds: whom.and_then(|whom| self.holds(whom)), kept }
    }

    fn look_at_all(&mut self) {
        self.steering.walk = Some(SessionIx::FIRST);
    }

    /// Whether sessions wait to be looked at.
    pub(super) fn has_to_lay(&self) -> bool {
        self.steering.walk.is_some() || !self.steering.again.is_empty()
    }

    /// Ends what is over, and looks at some of those that wait for it.
    pub(super) fn lay_due(&mut self) {
        let now = self.clock.now();
        let mut ended = 0;
        while ended < Self::STEP
            && let Some((whom, source, was)) = self.steering.overrides.expire(now)
        {
            ended += 1;
            let before = self.wanted_of(&whom);
            self.lay(&whom);
            let record = Record {
                source: Some(source.to_string()),
                before,
                after: self.wanted_of(&whom),
                ..self.record(Action::Expired, "presenced", Some(&whom), was.reason.as_deref())
            };
            // Whoever set it has said until when: nobody waits to hear that it is kept.
            let _ = self.keep(Some(Line::ended(&whom, &source)), Some(record));
        }
        for _ in 0..Self::STEP {
            let Some(whom) = self.steering.again.pop_front() else { break };
            self.lay(&whom);
        }
        self.walk_on();
    }

    fn walk_on(&mut self) {
        let Some(from) = self.steering.walk else { return };
        let page = self.keeper.sessions(Query { from, limit: Self::STEP });
        self.steering.walk = page.next;
        for session in page.sessions {
            if let Some(whom) = self.whom(session.session.lane, session.user) {
                self.lay(&whom);
            }
        }
    }

    /// Before a plan: what holds for users follows them to the app that they are in from now on, and those who are new there
    /// are looked for as the plan is taken.
    pub(super) fn follow_plan(&mut self) {
        let whom: Vec<Whom> = self.steering.overrides.whom().into_iter().cloned().collect();
        let plan = Arc::clone(&self.accepted.plan);
        self.steering.unlaid.clear();
        for whom in whom {
            let is_in = |lane: &&LanePlan| lane.session(whom.user).is_some();
            if plan.lane(&whom.lane).as_ref().is_some_and(is_in) {
                self.steering.unlaid.insert(whom);
                continue;
            }
            let mut lanes = plan.lanes().iter().filter(is_in);
            // Of several nobody knows which is meant; in none there is nothing to hold.
            let (Some(lane), None) = (lanes.next(), lanes.next()) else { continue };
            let now = Whom { lane: lane.key.clone(), user: whom.user };
            for line in self.steering.overrides.move_to(&whom, &now) {
                // Whoever set it has been told that it is kept.
                let _ = self.keep(Some(line), None);
            }
            self.steering.unlaid.insert(now);
        }
    }

    /// After a plan: everyone that something else holds for is looked at again.
    pub(super) fn lay_all(&mut self) {
        let all: Vec<Whom> = self.steering.overrides.whom().into_iter().cloned().collect();
        self.steering.again.extend(all);
    }

    /// Before the first plan: what was restored shows what holds for it.
    pub(super) fn lay_restored(&mut self) {
        for input in self.missing(usize::MAX) {
            self.feed(input, &Said::default());
        }
    }

    /// What is to be told of sessions that a slice of a plan has brought.
    pub(super) fn newly_found(&mut self) -> Vec<Input> {
        self.missing(Self::FEW)
    }

    fn missing(&mut self, most: usize) -> Vec<Input> {
        if self.steering.unlaid.is_empty() || self.steering.unlaid.len() > most {
            return Vec::new();
        }
        let unlaid = std::mem::take(&mut self.steering.unlaid);
        let (found, missing): (Vec<_>, Vec<_>) =
            unlaid.into_iter().map(|whom| (self.session_of(&whom), whom)).partition(|(at, _)| at.is_some());
        self.steering.unlaid = missing.into_iter().map(|(_, whom)| whom).collect();
        found
            .into_iter()
            .filter_map(|(at, whom)| Some(Input::Override { session: at?, over: self.over(at?, &whom) }))
            .collect()
    }

    /// What the overrides of an earlier run are.
    pub(super) fn steer_as(&mut self, overrides: Overrides) {
        self.steering.unlaid = overrides.whom().into_iter().cloned().collect();
        self.steering.overrides = overrides;
    }

    /// Tells the keeper what holds for a user.
    fn lay(&mut self, whom: &Whom) {
        let Some(session) = self.session_of(whom) else {
            if self.steering.overrides.rule(whom).is_some() {
                self.steering.unlaid.insert(whom.clone());
            } else {
                self.steering.unlaid.remove(whom);
            }
            return;
        };
        self.steering.unlaid.remove(whom);
        let over = self.over(session, whom);
        self.feed(Input::Override { session, over }, &Said::default());
    }

    /// What holds for a session instead of the plan. It is set for as long at a time as the plan would have it.
    fn over(&self, session: SessionIx, whom: &Whom) -> Option<Over> {
        const UNSAID: Duration = Duration::from_secs(3_600);
        let (state, until) = match self.steering.overrides.rule(whom)? {
            Rule::Released(_) => (None, MonoTime::FAR),
            Rule::Override(_, over) => (over.state, over.ends_at),
        };
        let planned = self.keeper.session(session).and_then(|session| session.planned);
        let expiration = planned.map_or_else(|| Expiration::covering(UNSAID), |wish| wish.expiration);
        Some(Over { wish: state.map(|state| Wish { state, expiration }), until })
    }

    pub(super) fn session_of(&self, whom: &Whom) -> Option<SessionIx> {
        self.keeper.find(self.keeper.lane(&whom.lane)?, whom.user)
    }

    pub(super) fn whom(&self, lane: crate::keeper::id::LaneIx, user: UserId) -> Option<Whom> {
        Some(Whom { lane: self.lanes.key(lane)?.clone(), user })
    }

    fn holds(&self, whom: &Whom) -> Option<Held> {
        self.steering.overrides.rule(whom).map(|rule| match rule {
            Rule::Released(_) => Held::Release,
            Rule::Override(source, _) => Held::Override(source.clone()),
        })
    }

    /// What is wanted of a user now, in words.
    fn wanted_of(&self, whom: &Whom) -> Option<String> {
        let session = self.keeper.session(self.session_of(whom)?)?;
        Some(shown(session.wish.map(|wish| wish.state)))
    }
}

/// A state in words.
fn shown(state: Option<PresenceState>) -> String {
    state.map_or_else(|| "none".to_owned(), |state| state.to_string())
}
