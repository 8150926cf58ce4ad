//! What places of the config say of a user, and what that comes to: a state, or a rota of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::schedules::{ScheduleIx, Schedules};
use crate::config::file::Contents;
use crate::config::resolve::{Layer, wish};
use crate::config::rota::{Named, Rota, RotaIx, Rotas, Shift};
use crate::config::schedule::Timetable;
use crate::keeper::Wish;
use crate::keeper::id::{LaneKey, UserId};

/// What one place says.
#[derive(Clone, Default)]
pub(super) struct Says {
    pub(super) layer: Layer,
    /// Whether it says a state, right or wrong.
    pub(super) states: bool,
    pub(super) priority: Option<i32>,
    pub(super) zone: Option<TimeZone>,
    pub(super) schedules: Option<Arc<[ScheduleIx]>>,
}

impl Says {
    pub(super) fn says_anything(&self) -> bool {
        self.states
            || self.layer.expiration.is_some()
            || self.priority.is_some()
            || self.zone.is_some()
            || self.schedules.is_some()
    }
}

/// What holds for the users of a file that do not say otherwise.
#[derive(Clone)]
pub(super) struct Defaults {
    layers: [Layer; 3],
    states: bool,
    zone: Option<TimeZone>,
}

impl Defaults {
    pub(super) fn of(main: &Contents, file: &Contents) -> Self {
        let zone = file.timezone.value().or(main.timezone.value());
        Self {
            layers: [Layer::built_in(), Layer::of(&main.defaults), Layer::of(&file.defaults)],
            states: !(main.defaults.state.is_absent() && file.defaults.state.is_absent()),
            zone: zone.cloned(),
        }
    }
}

/// All that is said of one user.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) defaults: &'a Defaults,
    /// By groups, the one that stands first in the files first: it is the strongest.
    pub(super) groups: &'a [&'a Says],
    /// By the user's own places, the strongest last.
    pub(super) own: &'a [&'a Says],
}

/// What it comes to.
pub(super) struct Settled {
    /// What is wanted; of a rota, what costs most.
    pub(super) wish: Option<Wish>,
    pub(super) priority: i32,
    pub(super) rota: Option<RotaIx>,
    /// Whether any place says a state, right or wrong.
    pub(super) stated: bool,
}

impl Said<'_> {
    fn layers(&self) -> impl DoubleEndedIterator<Item = &Layer> + Clone {
        let groups = self.groups.iter().rev().map(|says| &says.layer);
        self.defaults.layers.iter().chain(groups).chain(self.own.iter().map(|says| &says.layer))
    }

    /// What the strongest place says that says something.
    fn strongest<T>(&self, says: impl Fn(&Says) -> Option<T>) -> Option<T> {
        self.own.iter().rev().chain(self.groups).find_map(|place| says(place))
    }

    /// The user's own, or those of all groups.
    fn schedules(&self) -> Vec<ScheduleIx> {
        if let Some(own) = self.own.iter().rev().find_map(|says| says.schedules.as_deref()) {
            return own.to_vec();
        }
        let mut all: Vec<ScheduleIx> = Vec::new();
        for schedule in self.groups.iter().filter_map(|says| says.schedules.as_deref()).flatten() {
            if !all.contains(schedule) {
                all.push(*schedule);
            }
        }
        all
    }
}

/// The rotas, as users are found to follow them.
pub(super) struct Courses<'s> {
    schedules: &'s Schedules,
    timetables: Vec<(Named, ScheduleIx)>,
    by_zone: HashMap<(ScheduleIx, Box<str>), u32>,
    rotas: Vec<Rota>,
    by_rota: HashMap<Rota, RotaIx>,
    /// Of each app, in the order of the apps.
    pub(super) followers: Vec<Vec<(UserId, RotaIx)>>,
}

impl<'s> Courses<'s> {
    pub(super) fn new(schedules: &'s Schedules, apps: usize) -> Self {
        Self {
            schedules,
            timetables: Vec::new(),
            by_zone: HashMap::new(),
            rotas: Vec::new(),
            by_rota: HashMap::new(),
            followers: vec![Vec::new(); apps],
        }
    }

    /// What is wanted of a user of whom this is said.
    pub(super) fn settle(&mut self, said: Said<'_>) -> Settled {
        let stated = said.defaults.states || said.groups.iter().chain(said.own).any(|says| says.states);
        let priority = said.strongest(|says| says.priority).unwrap_or(0);
        let base = wish(said.layers());
        let mut schedules = said.schedules();
        if schedules.is_empty() {
            return Settled { wish: base, priority, rota: None, stated };
        }
        let known = self.schedules;
        schedules.sort_by_key(|schedule| std::cmp::Reverse(known.get(*schedule).priority));
        let zone = said.strongest(|says| says.zone.clone());
        let shifts = schedules.into_iter().map(|ix| {
            let schedule = known.get(ix);
            let zone = zone.as_ref().or(schedule.zone.as_ref()).or(said.defaults.zone.as_ref());
            let timetable = self.timetable(ix, zone.unwrap_or(&TimeZone::UTC));
            let layers = said.layers().chain([&schedule.layer]);
            Shift { timetable, wish: wish(layers) }
        });
        let rota = Rota { base, shifts: shifts.collect() };
        let wish = rota.peak();
        let next = narrow(self.rotas.len());
        let ix = *self.by_rota.entry(rota).or_insert_with_key(|rota| {
            self.rotas.push(rota.clone());
            next
        });
        Settled { wish, priority, rota: Some(ix), stated }
    }

    fn timetable(&mut self, ix: ScheduleIx, zone: &TimeZone) -> u32 {
        let name = zone.iana_name().unwrap_or("UTC");
        if let Some(at) = self.by_zone.get(&(ix, name.into())) {
            return *at;
        }
        let schedule = self.schedules.get(ix);
        let timetable =
            Timetable::new(Arc::clone(&schedule.opens), Arc::clone(&schedule.except), zone.clone());
        let at = narrow(self.timetables.len());
        self.timetables.push((Named { name: Arc::clone(&schedule.name), timetable }, ix));
        self.by_zone.insert((ix, name.into()), at);
        at
    }

    pub(super) fn rotas(&self) -> &[Rota] {
        &self.rotas
    }

    /// The schedule that a timetable is of.
    pub(super) fn schedule(&self, timetable: u32) -> ScheduleIx {
        self.timetables[timetable as usize].1
    }

    pub(super) fn schedules(&self) -> &'s Schedules {
        self.schedules
    }

    /// Every schedule in every zone in which it is followed.
    pub(super) fn timetables(&self) -> &[(Named, ScheduleIx)] {
        &self.timetables
    }

    /// How many users follow each rota.
    pub(super) fn users(&self) -> Vec<usize> {
        let mut users = vec![0; self.rotas.len()];
        self.followers.iter().flatten().for_each(|(_, rota)| users[*rota as usize] += 1);
        users
    }

    pub(super) fn named(&self, timetable: u32) -> &Named {
        &self.timetables[timetable as usize].0
    }

    pub(super) fn into_rotas(self, lanes: impl IntoIterator<Item = Option<LaneKey>>) -> Rotas {
        let followers: BTreeMap<_, _> =
            lanes.into_iter().zip(self.followers).filter_map(|(key, of)| Some((key?, of))).collect();
        Rotas::new(self.timetables.into_iter().map(|(named, _)| named).collect(), self.rotas, followers)
    }
}

fn narrow(at: usize) -> u32 {
    u32::try_from(at).expect("there are not four thousand million of them")
}
