//! Desired state over time: which of a user's schedules holds at a moment, and until when.
//!
//! It is a pure function of the config and the time. What is computed once for each schedule in a zone serves all who
//! follow it, however many.

mod ahead;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::schedule::{Now, Timetable};
use crate::keeper::funding::Load;
use crate::keeper::id::{LaneKey, UserId};
use crate::keeper::{Diff, MonoTime, Plan, Wish};

pub use ahead::Spell;

/// Which [`Rota`]: its place among those of a config.
pub type RotaIx = u32;

/// What one user's schedules make of a day. Many follow the same one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rota {
    /// What is wanted while none is open; `None`: no session of ours.
    pub base: Option<Wish>,
    /// The schedules, the one that holds where several are open first.
    pub shifts: Vec<Shift>,
}

/// A schedule as one user follows it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Shift {
    /// Its place among the [timetables](Rotas::timetable).
    pub timetable: u32,
    /// What is wanted while it is open; `None`: no session of ours.
    pub wish: Option<Wish>,
}

/// A schedule in a time zone.
#[derive(Clone, Debug)]
pub struct Named {
    /// What the schedule is called.
    pub name: Arc<str>,
    /// When it is open.
    pub timetable: Timetable,
}

/// Its name, zone and hours, and the days on which it stays shut.
impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.timetable)
    }
}

/// Every rota of a config, and who follows it.
#[derive(Clone, Debug, Default)]
pub struct Rotas {
    timetables: Vec<Named>,
    rotas: Vec<Rota>,
    /// Ascending by user, in each lane.
    followers: BTreeMap<LaneKey, Vec<(UserId, RotaIx)>>,
}

/// What is wanted at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The state; `None`: no session of ours.
    pub wish: Option<Wish>,
    /// The timetable that says so; `None`: none is open.
    pub by: Option<u32>,
    /// When something else will be wanted; `None`: never.
    pub until: Option<Timestamp>,
}

/// How every timetable stands at one moment, so that none is asked twice.
#[derive(Clone, Debug)]
pub struct Sight<'a> {
    of: &'a Rotas,
    at: Timestamp,
    now: Vec<Now>,
}

impl Rota {
    /// Of all that it may want, what costs the most renewals.
    #[must_use]
    pub fn peak(&self) -> Option<Wish> {
        let all = self.shifts.iter().filter_map(|shift| shift.wish).chain(self.base);
        all.max_by_key(|wish| Load::of(*wish))
    }

    /// What is wanted where its shifts stand like this, and by which timetable.
    fn wanted(&self, now: &[Now]) -> (Option<Wish>, Option<u32>) {
        let open = self.shifts.iter().zip(now).find(|(_, now)| now.open);
        open.map_or((self.base, None), |(shift, _)| (shift.wish, Some(shift.timetable)))
    }
}

impl Rotas {
    /// Rotas of these timetables, and who follows which. The door sees to it that each place is one of theirs.
    #[must_use]
    pub fn new(
        timetables: Vec<Named>,
        rotas: Vec<Rota>,
        mut followers: BTreeMap<LaneKey, Vec<(UserId, RotaIx)>>,
    ) -> Self {
        for of_lane in followers.values_mut() {
            of_lane.sort_unstable();
            of_lane.dedup_by_key(|(user, _)| *user);
        }
        followers.retain(|_, of_lane| !of_lane.is_empty());
        Self { timetables, rotas, followers }
    }

    /// Whether nobody follows any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.followers.is_empty()
    }

    /// A schedule in a zone.
    #[must_use]
    pub fn timetable(&self, at: u32) -> Option<&Named> {
        self.timetables.get(at as usize)
    }

    /// The rotas, in their order.
    #[must_use]
    pub fn rotas(&self) -> &[Rota] {
        &self.rotas
    }

    /// Who follows a rota, by lane, ascending.
    #[must_use]
    pub fn followers(&self) -> &BTreeMap<LaneKey, Vec<(UserId, RotaIx)>> {
        &self.followers
    }

    /// The rota that a user follows in a lane.
    #[must_use]
    pub fn of(&self, lane: &LaneKey, user: UserId) -> Option<RotaIx> {
        let of_lane = self.followers.get(lane)?;
        of_lane.binary_search_by_key(&user, |(user, _)| *user).ok().map(|at| of_lane[at].1)
    }

    /// Looks at every timetable.
    #[must_use]
    pub fn sight(&self, at: Timestamp) -> Sight<'_> {
        Sight { of: self, at, now: self.timetables.iter().map(|named| named.timetable.at(at)).collect() }
    }

    /// What is wanted of everyone who follows a rota, by the rota.
    #[must_use]
    pub fn standings(&self, at: Timestamp) -> Vec<Standing> {
        let sight = self.sight(at);
        self.rotas.iter().map(|rota| sight.standing(rota)).collect()
    }

    /// What is wanted of those who follow one rota; `None`: there is no such.
    #[must_use]
    pub fn standing(&self, rota: RotaIx, at: Timestamp) -> Option<Standing> {
        let rota = self.rotas.get(rota as usize)?;
        Some(self.stands(rota, self.shifts(rota, at)))
    }

    /// How the shifts of a rota stand.
    fn shifts(&self, rota: &Rota, at: Timestamp) -> Vec<Now> {
        rota.shifts.iter().map(|shift| self.timetables[shift.timetable as usize].timetable.at(at)).collect()
    }

    /// Goes on to the next edge of a shift; returns it.
    fn pass(&self, rota: &Rota, now: &mut [Now]) -> Option<Timestamp> {
        let edge = now.iter().filter_map(|now| now.until).min()?;
        for (now, shift) in now.iter_mut().zip(&rota.shifts) {
            if now.until == Some(edge) {
                *now = self.timetables[shift.timetable as usize].timetable.at(edge);
            }
        }
        Some(edge)
    }

    /// What is wanted where the shifts of a rota stand like this.
    ///
    /// Edges at which nothing changes for its followers are none: where one window ends as another begins, or beneath a
    /// stronger one.
    fn stands(&self, rota: &Rota, mut now: Vec<Now>) -> Standing {
        /// So many edges without a change are looked through. A rota that has more of them is looked at again then.
        const EDGES: usize = 64;
        let (wish, by) = rota.wanted(&now);
        let mut until = None;
        for _ in 0..EDGES {
            until = self.pass(rota, &mut now);
            if until.is_none() || rota.wanted(&now).0 != wish {
                break;
            }
        }
        Standing { wish, by, until }
    }

    /// A plan with what is wanted now. Who is funded stays as it was settled.
    #[must_use]
    pub fn show(&self, plan: &Plan, standings: &[Standing]) -> Plan {
        plan.with_wishes(|lane| {
            let mut rest = self.followers.get(&lane.key).map_or(&[][..], Vec::as_slice);
            move |user| {
                while let [(first, rota), more @ ..] = rest
                    && *first <= user
                {
                    rest = more;
                    if *first == user {
                        return standings.get(*rota as usize).map(|standing| standing.wish);
                    }
                }
                None
            }
        })
    }

    /// Notes in a diff to a plan as it is [shown](Self::show) now when what it wants ends.
    pub fn end(&self, diff: &mut Diff, wall: SystemTime, now: MonoTime) {
        if self.is_empty() {
            return;
        }
        let at = timestamp(wall);
        let standings = self.standings(at);
        for lane in &mut diff.lanes {
            let ends = lane.sessions.iter().map(|session| {
                let rota = self.of(&lane.key, session.user());
                let until = rota.and_then(|rota| standings.get(rota as usize)?.until);
                until.map_or(MonoTime::FAR, |until| moment(until, at, now))
            });
            lane.ends = ends.collect();
        }
    }

    /// Puts another key in the place of a lane's.
    pub fn rename(&mut self, lane: &LaneKey, other: LaneKey) {
        if let Some(followers) = self.followers.remove(lane) {
            self.followers.insert(other, followers);
        }
    }

    /// Those of `plan` whom only `older` knows go on following what they did: their removal waits.
    pub fn adopt(&mut self, older: &Self, plan: &Plan) {
        let mut moved: HashMap<RotaIx, RotaIx> = HashMap::new();
        for (key, followers) in &older.followers {
            let lane = plan.lane(key);
            let left: Vec<_> = followers
                .iter()
                .filter(|(user, _)| lane.is_some_and(|lane| lane.session(*user).is_some()))
                .filter(|(user, _)| self.of(key, *user).is_none())
                .copied()
                .collect();
            let adopted = left.into_iter().map(|(user, ix)| {
                let rota = *moved.entry(ix).or_insert_with(|| self.copy(older, ix));
                (user, rota)
            });
            let adopted: Vec<_> = adopted.collect();
            if !adopted.is_empty() {
                let of_lane = self.followers.entry(key.clone()).or_default();
                of_lane.extend(adopted);
                of_lane.sort_unstable();
            }
        }
    }

    fn copy(&mut self, older: &Self, ix: RotaIx) -> RotaIx {
        let mut rota = older.rotas[ix as usize].clone();
        for shift in &mut rota.shifts {
            self.timetables.push(older.timetables[shift.timetable as usize].clone());
            shift.timetable = narrow(self.timetables.len() - 1);
        }
        self.rotas.push(rota);
        narrow(self.rotas.len() - 1)
    }
}

impl Sight<'_> {
    /// What is wanted of those who follow a rota.
    #[must_use]
    pub fn standing(&self, rota: &Rota) -> Standing {
        self.of.stands(rota, rota.shifts.iter().map(|shift| self.now[shift.timetable as usize]).collect())
    }

    /// The moment of the look.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

/// When it will be `then`, if it is `at` now.
#[must_use]
pub fn moment(then: Timestamp, at: Timestamp, now: MonoTime) -> MonoTime {
    now + Duration::try_from(then.duration_since(at)).unwrap_or_default()
}

/// A moment of the wall clock as calendars count it; what is beyond them is at their end.
#[must_use]
pub fn timestamp(wall: SystemTime) -> Timestamp {
    Timestamp::try_from(wall).unwrap_or(Timestamp::MAX)
}

fn narrow(at: usize) -> u32 {
    u32::try_from(at).expect("there are not four thousand million of them")
}
