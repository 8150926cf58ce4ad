//! The schedules: found by their names, with their exceptions read.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::config::file::Contents;
use crate::config::include::{Found, Kind};
use crate::config::problem::{Code, Problem, shown, shown_path};
use crate::config::read::{Key, did_you_mean};
use crate::config::resolve::Layer;
use crate::config::schedule::entry::ScheduleEntry;
use crate::config::schedule::{DateRange, Exceptions, Opens, holidays};
use crate::config::source::{Place, Placed, Sources};

/// Which schedule: its place among all.
pub(super) type ScheduleIx = u32;

/// One schedule, whatever the zone.
pub(super) struct Schedule {
    pub(super) name: Arc<str>,
    /// Its header.
    pub(super) at: Place,
    pub(super) opens: Arc<Opens>,
    pub(super) except: Arc<Exceptions>,
    pub(super) layer: Layer,
    pub(super) zone: Option<TimeZone>,
    pub(super) priority: i32,
    used: Cell<bool>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Schedules {
    all: Vec<Schedule>,
    by_name: HashMap<Box<str>, Option<ScheduleIx>>,
}

pub(super) fn admit(contents: &[Contents], sources: &Sources, problems: &mut Vec<Problem>) -> Schedules {
    let mut schedules = Schedules::default();
    let mut named: HashMap<&str, Place> = HashMap::new();
    let calendars = Found::of(sources, Kind::Calendar);
    for entry in contents.iter().flat_map(|file| &file.schedules) {
        let Some(name) = entry.name.given() else { continue };
        if let Some(first) = named.insert(&name.value, name.at) {
            let message = format!("two schedules are called {}", shown(&name.value));
            let problem = Problem::new(Code::NameTwice, name.at, message);
            problems.push(problem.label("second schedule").also(first, "first schedule"));
            continue;
        }
        let at = schedules.all.len();
        let except = exceptions(entry, sources, &calendars, problems);
        let whole = entry.opens.value().zip(except).filter(|_| entry.stated.state.value().is_some());
        let known = whole.map(|(opens, except)| {
            schedules.all.push(Schedule {
                name: name.value.as_ref().into(),
                at: entry.at,
                opens: Arc::new(opens.clone()),
                except: Arc::new(except),
                layer: Layer::of(&entry.stated),
                zone: entry.timezone.value().cloned(),
                priority: entry.priority.value().copied().unwrap_or(0),
                used: Cell::new(false),
            });
            ScheduleIx::try_from(at).unwrap_or(ScheduleIx::MAX)
        });
        schedules.by_name.insert(name.value.clone(), known);
    }
    schedules
}

/// The days on which a schedule does not open.
fn exceptions(
    entry: &ScheduleEntry,
    sources: &Sources,
    calendars: &Found,
    problems: &mut Vec<Problem>,
) -> Option<Exceptions> {
    let mut days: Vec<DateRange> = entry.except.value().cloned().unwrap_or_default();
    let mut sound = !matches!((&entry.except, &entry.except_from), (Key::Bad, _) | (_, Key::Bad));
    for file in entry.except_from.value().map(Vec::as_slice).unwrap_or_default() {
        let directory = sources.get(file.at.file).directory();
        for calendar in calendars.matching(directory, &file.value) {
            let source = sources.get(calendar);
            match holidays(source.text()) {
                Ok(found) => days.extend(found.holidays.iter().map(|holiday| holiday.range)),
                Err(error) => {
                    sound = false;
                    let problem = match error.at {
                        Some(at) => {
                            let place = Place::new(calendar, at..at);
                            Problem::new(Code::Calendar, place, error.message).also(file.at, "named here")
                        }
                        None => {
                            let message = format!("{}: {}", shown_path(source.path()), error.message);
                            Problem::new(Code::Calendar, file.at, message).label("named here")
                        }
                    };
                    let help = "its all-day events are the days on which the schedule stays shut";
                    problems.push(problem.help(help));
                }
            }
        }
    }
    sound.then(|| days.into_iter().collect())
}

impl Schedules {
    pub(super) fn get(&self, at: ScheduleIx) -> &Schedule {
        &self.all[at as usize]
    }

    /// The schedules of these names; says which there are not. `certain`: what is missing is really missing.
    pub(super) fn named<T: AsRef<str>>(
        &self,
        names: &[Placed<T>],
        certain: bool,
        problems: &mut Vec<Problem>,
    ) -> Arc<[ScheduleIx]> {
        let mut found: Vec<ScheduleIx> = Vec::with_capacity(names.len());
        for name in names {
            let text = name.value.as_ref();
            match self.by_name.get(text) {
                Some(Some(at)) if found.contains(at) => {}
                Some(Some(at)) => {
                    self.get(*at).used.set(true);
                    found.push(*at);
                }
                // It is there, and something else is wrong with it.
                Some(None) => {}
                None if certain => problems.push(self.unknown(text, name.at)),
                None => {}
            }
        }
        found.into()
    }

    fn unknown(&self, name: &str, at: Place) -> Problem {
        let mut names: Vec<&str> = self.by_name.keys().map(AsRef::as_ref).collect();
        names.sort_unstable();
        let problem =
            Problem::new(Code::UnknownSchedule, at, format!("there is no schedule {}", shown(name)));
        let problem = match did_you_mean(name, &names) {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None => problem.label("not the name of a [[schedule]]"),
        };
        if names.is_empty() { problem } else { problem.help(format!("one of: {}", names.join(", "))) }
    }

    /// Says which nobody follows.
    pub(super) fn unused(&self, problems: &mut Vec<Problem>) {
        for schedule in self.all.iter().filter(|schedule| !schedule.used.get()) {
            let message = format!("nobody follows schedule {}", shown(&schedule.name));
            let problem = Problem::new(Code::ScheduleUnused, schedule.at, message);
            problems.push(problem.help("name it in `schedules` of users or groups, or take it out"));
        }
    }
}
