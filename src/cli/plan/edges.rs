//! The changes to come: when how many users change to what, and what that takes of the quota.
//!
//! Who follows the same rota changes at the same moments, so that all is counted by rotas and not by users.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::Loaded;
use crate::config::rota::{RotaIx, Rotas, Spell};
use crate::keeper::forecast::left_for_sets;
use crate::keeper::funding::{self, Load};
use crate::keeper::id::ClientId;
use crate::keeper::{LanePlan, PresenceState, Quota, Wish};

/// The least share of a quota that clears get while renewals take all the rest: one in twenty requests.
const CLEARS: f64 = 0.05;

/// What changes in one app at one moment.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Edge<'a> {
    pub(super) at: Timestamp,
    pub(super) app: &'a str,
    /// How many users change to what; `None`: to no session of ours.
    pub(super) to: BTreeMap<Option<PresenceState>, usize>,
    /// The schedules that hold from then on because they open, and those that do no longer because they close.
    pub(super) opens: BTreeSet<&'a str>,
    pub(super) closes: BTreeSet<&'a str>,
    /// How long the requests take beside the renewals of the others.
    pub(super) takes: Duration,
    /// The share of the quota that is used in the first window of it, 1 at most.
    pub(super) used: f64,
    /// Renewals a second afterwards, and their share of the quota.
    pub(super) rate: f64,
    pub(super) utilisation: f64,
}

impl Edge<'_> {
    /// Sets and clears.
    pub(super) fn requests(&self) -> usize {
        self.to.values().sum()
    }
}

/// All edges after a moment and before another, in their order; those of one moment in the order of the apps' names.
/// Users whom the quota cannot keep change nothing.
pub(super) fn ahead<'a>(loaded: &'a Loaded, from: Timestamp, until: Timestamp) -> Vec<Edge<'a>> {
    let rotas = &loaded.rotas;
    let mut lanes: Vec<Lane<'a>> = loaded.plan.lanes().iter().map(Lane::new).collect();
    let mut following: BTreeMap<RotaIx, Vec<(usize, usize)>> = BTreeMap::new();
    for (at, lane) in lanes.iter_mut().enumerate() {
        for (rota, users) in lane.settle(rotas) {
            following.entry(rota).or_default().push((at, users));
        }
    }
    let mut changes: BTreeMap<Timestamp, Vec<(RotaIx, Spell, Spell)>> = BTreeMap::new();
    for (&rota, followers) in &following {
        let spells = rotas.ahead(rota, from, until);
        for &(lane, users) in followers {
            lanes[lane].renew(spells.first().and_then(|spell| spell.wish), users);
        }
        for pair in spells.windows(2).filter(|pair| pair[0].wish != pair[1].wish) {
            changes.entry(pair[1].from).or_default().push((rota, pair[0], pair[1]));
        }
    }
    let mut edges = Vec::new();
    for (at, changed) in changes {
        let mut bursts: BTreeMap<usize, Burst<'a>> = BTreeMap::new();
        for (rota, was, is) in &changed {
            for &(lane, users) in following.get(rota).into_iter().flatten() {
                lanes[lane].change(was, is, users);
                bursts.entry(lane).or_default().add(rotas, was, is, users);
            }
        }
        let shared = shared(&lanes);
        let edge = |(lane, burst): (usize, Burst<'a>)| {
            let lane = &lanes[lane];
            burst.edge(at, lane, shared.get(&lane.app()).copied().unwrap_or(0.0))
        };
        let mut of_now: Vec<Edge<'a>> = bursts.into_iter().map(edge).collect();
        of_now.sort_by_key(|edge| edge.app);
        edges.append(&mut of_now);
    }
    edges
}

/// A lane as it stands at a moment.
struct Lane<'a> {
    plan: &'a LanePlan,
    /// How many of its funded sessions have which term.
    terms: BTreeMap<Duration, usize>,
}

impl<'a> Lane<'a> {
    const fn new(plan: &'a LanePlan) -> Self {
        Self { plan, terms: BTreeMap::new() }
    }

    /// Counts those who are always wanted the same; returns how many others follow which rota.
    fn settle(&mut self, rotas: &Rotas) -> BTreeMap<RotaIx, usize> {
        let mut following = BTreeMap::new();
        let mut rest = rotas.followers().get(&self.plan.key).map_or(&[][..], Vec::as_slice);
        for session in self.plan.sessions.iter().filter(|session| session.funded) {
            rest = &rest[rest.partition_point(|(user, _)| *user < session.user)..];
            match rest.first() {
                Some((user, rota)) if *user == session.user => *following.entry(*rota).or_default() += 1,
                _ => self.renew(session.wish, 1),
            }
        }
        following
    }

    fn renew(&mut self, wish: Option<Wish>, users: usize) {
        if let Some(wish) = wish {
            *self.terms.entry(wish.term()).or_default() += users;
        }
    }

    fn change(&mut self, was: &Spell, is: &Spell, users: usize) {
        if let Some(wish) = was.wish
            && let Some(count) = self.terms.get_mut(&wish.term())
        {
            *count = count.saturating_sub(users);
        }
        self.renew(is.wish, users);
    }

    fn app(&self) -> (&'a str, ClientId) {
        (&self.plan.key.graph, self.plan.key.client)
    }

    fn hertz(&self) -> f64 {
        hertz(&self.terms)
    }
}

/// What the lanes of each client id need together.
fn shared<'a>(lanes: &[Lane<'a>]) -> BTreeMap<(&'a str, ClientId), f64> {
    let mut shared = BTreeMap::new();
    for lane in lanes {
        *shared.entry(lane.app()).or_default() += lane.hertz();
    }
    shared
}

/// Renewals a second if each session were renewed once a term.
fn hertz(terms: &BTreeMap<Duration, usize>) -> f64 {
    terms.iter().map(|(term, &count)| count as f64 / term.as_secs_f64()).sum()
}

/// What changes in a lane at once.
#[derive(Default)]
struct Burst<'a> {
    to: BTreeMap<Option<PresenceState>, usize>,
    sets: BTreeMap<Duration, usize>,
    opens: BTreeSet<&'a str>,
    closes: BTreeSet<&'a str>,
}

impl<'a> Burst<'a> {
    fn add(&mut self, rotas: &'a Rotas, was: &Spell, is: &Spell, users: usize) {
        *self.to.entry(is.wish.map(|wish| wish.state)).or_default() += users;
        if let Some(wish) = is.wish {
            *self.sets.entry(wish.term()).or_default() += users;
        }
        // What was open before was only hidden by a stronger one.
        let before = is.from.saturating_sub(SignedDuration::from_nanos(1)).unwrap_or(is.from);
        let open = |by: Option<u32>, at| {
            by.and_then(|by| rotas.timetable(by)).map(|of| (of, of.timetable.at(at).open))
        };
        if let Some((named, true)) = open(was.by, before)
            && !named.timetable.at(is.from).open
        {
            self.closes.insert(&named.name);
        }
        if let Some((named, false)) = open(is.by, before) {
            self.opens.insert(&named.name);
        }
    }

    /// `shared`: what the lanes of the same client id need together, as [`hertz`].
    fn edge(self, at: Timestamp, lane: &Lane<'a>, shared: f64) -> Edge<'a> {
        let quota = lane.plan.head.quota;
        let fraction = |hertz: f64, rate: f64| funding::fraction(Load::from_hertz(hertz), rate);
        let own = fraction(lane.hertz(), quota.per_second());
        let fraction = own.max(fraction(shared, Quota::APP.per_second()));
        let mut others = lane.terms.clone();
        for (term, sets) in &self.sets {
            others.entry(*term).and_modify(|count| *count = count.saturating_sub(*sets));
        }
        let rate = lane.hertz() / fraction;
        let requests: usize = self.to.values().sum();
        let sets: usize = self.sets.values().sum();
        let for_clears = (quota.per_second() - rate).max(quota.per_second() * CLEARS);
        let takes =
            sets as f64 / left_for_sets(quota, &others, fraction) + (requests - sets) as f64 / for_clears;
        let meanwhile = hertz(&others) / fraction * quota.per.as_secs_f64() + requests as f64;
        Edge {
            at,
            app: &lane.plan.head.name,
            to: self.to,
            opens: self.opens,
            closes: self.closes,
            takes: Duration::try_from_secs_f64(takes).unwrap_or(Duration::MAX),
            used: (meanwhile / f64::from(quota.requests)).min(1.0),
            rate,
            utilisation: rate / quota.per_second(),
        }
    }
}
