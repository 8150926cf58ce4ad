//! Schedules: what the plan says of their followers changes at edges, and the keeper is told.
//!
//! What is wanted is worked out once for each rota, from the wall clock, whenever an edge is due or that clock has been
//! set; then its followers are gone through, some at a time. A look too early, too late or doubled finds what is
//! wanted all the same.

use std::sync::Arc;
use std::time::Duration;

use super::{Driver, Said};
use crate::config::rota::{RotaIx, Rotas, Standing, moment, timestamp};
use crate::daemon::overrides::Whom;
use crate::keeper::id::{LaneKey, UserId};
use crate::keeper::{Input, MonoTime};

/// How the schedules stand, and what is still to be told to the keeper.
#[derive(Debug)]
pub(super) struct Edges {
    standings: Vec<Standing>,
    /// When to look again.
    next: MonoTime,
    /// Wall time less monotonic time at the last look, and when the ends that the keeper knows were worked out.
    offset: Offset,
    told: Offset,
    /// Rotas whose followers are to be told.
    stale: Vec<bool>,
    /// The next of the followers to be gone through.
    walk: Option<(LaneKey, usize)>,
}

/// Wall time since 1970 less monotonic time.
type Offset = Duration;

impl Default for Edges {
    fn default() -> Self {
        Self {
            standings: Vec::new(),
            next: MonoTime::FAR,
            offset: Offset::ZERO,
            told: Offset::ZERO,
            stale: Vec::new(),
            walk: None,
        }
    }
}

impl Driver {
    /// Followers that are gone through before renewals have their turn.
    const FOLLOWERS: usize = 512;
    /// The wall clock is looked at as often as this, whatever it said before: it may be slewed or set.
    const LOOK: Duration = Duration::from_secs(60);

    /// When there is something to do for schedules.
    pub(super) fn next_edge(&self) -> MonoTime {
        if self.edges.walk.is_some() { MonoTime::ZERO } else { self.edges.next }
    }

    /// A plan is in force: everyone who follows a schedule is told what it says by now.
    pub(super) fn follow_rotas(&mut self) {
        self.edges = Edges::default();
        if !self.accepted.rotas.is_empty() {
            self.look_at_edges(true);
        }
    }

    /// Looks at the schedules if it is time to, and tells some followers.
    pub(super) fn edges_due(&mut self) {
        if self.clock.now() >= self.edges.next {
            self.look_at_edges(false);
        }
        self.walk_on_edges();
    }

    /// Looks again if the wall clock was set.
    pub(super) fn mind_wall_clock(&mut self) {
        const STEP: Duration = Duration::from_millis(500);
        if self.edges.standings.is_empty() {
            return;
        }
        let offset = self.offset();
        if offset.abs_diff(self.edges.offset) > STEP.saturating_mul(self.clock.speed()) {
            self.look_at_edges(false);
        }
    }

    /// Looks again, whatever the clocks say: the net below the edges.
    pub(super) fn sweep_edges(&mut self) {
        if !self.edges.standings.is_empty() {
            self.look_at_edges(false);
        }
    }

    fn offset(&self) -> Offset {
        let wall = self.clock.wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        wall.saturating_sub(self.clock.now().since(MonoTime::ZERO))
    }

    /// Works out what is wanted now. `all`: also who is wanted as before is told.
    fn look_at_edges(&mut self, all: bool) {
        /// By so much an end that the keeper knows may be wrong: it is sent in whole minutes.
        const OFF: Duration = Duration::from_secs(30);
        let rotas = Arc::clone(&self.accepted.rotas);
        let (at, now, offset) = (timestamp(self.clock.wall()), self.clock.now(), self.offset());
        let standings = rotas.standings(at);
        let all = all || offset.abs_diff(self.edges.told) > OFF;
        let edges = &mut self.edges;
        edges.stale.resize(standings.len(), false);
        for (ix, standing) in standings.iter().enumerate() {
            edges.stale[ix] |= all || edges.standings.get(ix) != Some(standing);
        }
        let first = standings.iter().filter_map(|standing| standing.until).min();
        edges.next = first.map_or(MonoTime::FAR, |first| moment(first, at, now)).min(now + Self::LOOK);
        edges.offset = offset;
        if all {
            edges.told = offset;
        }
        edges.standings = standings;
        if edges.stale.contains(&true) {
            edges.walk = rotas.followers().keys().next().map(|lane| (lane.clone(), 0));
        }
    }

    fn walk_on_edges(&mut self) {
        let Some((mut lane, mut from)) = self.edges.walk.take() else { return };
        let rotas = Arc::clone(&self.accepted.rotas);
        let mut left = Self::FOLLOWERS;
        loop {
            let followers = rotas.followers().get(&lane).map_or(&[][..], Vec::as_slice);
            while let Some(&(user, rota)) = followers.get(from) {
                if left == 0 {
                    self.edges.walk = Some((lane, from));
                    return;
                }
                from += 1;
                if self.edges.stale.get(rota as usize) == Some(&true) {
                    left -= 1;
                    self.follow(&lane, user, rota);
                }
            }
            let Some((next, _)) = rotas.followers().range(after(&lane)).next() else { break };
            (lane, from) = (next.clone(), 0);
        }
        self.edges.stale.fill(false);
    }

    /// Tells the keeper what a follower's schedules say. Of a session that is still to come the plan says it.
    fn follow(&mut self, lane: &LaneKey, user: UserId, rota: RotaIx) {
        let Some(standing) = self.edges.standings.get(rota as usize).copied() else { return };
        let Some(session) = self.keeper.lane(lane).and_then(|lane| self.keeper.find(lane, user)) else {
            return;
        };
        let (at, now) = (timestamp(self.clock.wall()), self.clock.now());
        let until = standing.until.map_or(MonoTime::FAR, |until| moment(until, at, now));
        self.feed(Input::Change { session, wish: standing.wish, until }, &Said::default());
    }

    /// The schedule that a user's state comes from.
    pub(super) fn schedule_of(&self, whom: &Whom) -> Option<Arc<str>> {
        let rotas: &Rotas = &self.accepted.rotas;
        let rota = rotas.of(&whom.lane, whom.user)?;
        let standing = self.edges.standings.get(rota as usize)?;
        rotas.timetable(standing.by?).map(|named| Arc::clone(&named.name))
    }
}

fn after(lane: &LaneKey) -> (std::ops::Bound<&LaneKey>, std::ops::Bound<&LaneKey>) {
    (std::ops::Bound::Excluded(lane), std::ops::Bound::Unbounded)
}
