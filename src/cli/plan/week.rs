//! One user's days: what is wanted at which time, by which schedule, and from where in the config that is known.

use jiff::Timestamp;
use jiff::civil::{Date, time};
use jiff::tz::TimeZone;

use super::Answer;
use crate::config::rota::{Named, Rotas, Spell};
use crate::config::schedule::reached;
use crate::keeper::id::UserId;
use crate::keeper::{LanePlan, SessionPlan};

/// How many parts of a day are told apart: half an hour each.
pub(super) const CELLS: i8 = 48;

/// The days of a user who follows schedules.
pub(super) struct Week<'a> {
    rotas: &'a Rotas,
    /// The zone of the user's schedules, where they are in one, or else that of this machine.
    pub(super) zone: TimeZone,
    /// The moment that was asked for; the days begin before it.
    pub(super) at: Timestamp,
    pub(super) days: Vec<Date>,
    /// All that is wanted in these days, without a gap.
    pub(super) spells: Vec<Spell>,
}

impl<'a> Week<'a> {
    /// The days of a session; `None`: the same is wanted of it at all times.
    pub(super) fn of(answer: &Answer<'a>, lane: &LanePlan, session: &SessionPlan) -> Option<Self> {
        let rotas = &answer.loaded.rotas;
        let rota = rotas.of(&lane.key, session.user)?;
        let shifts = &rotas.rotas().get(rota as usize)?.shifts;
        let mut zones =
            shifts.iter().filter_map(|shift| Some(rotas.timetable(shift.timetable)?.timetable.zone()));
        let first = zones.next()?;
        let zone = if zones.all(|zone| zone == first) { first } else { &answer.when.zone };
        let days = answer.when.days(zone);
        let midnight = |day: Date| reached(zone, day.to_datetime(time(0, 0, 0, 0)));
        let end = days.last()?.tomorrow().ok()?;
        let spells = rotas.ahead(rota, midnight(*days.first()?), midnight(end));
        Some(Self { rotas, zone: zone.clone(), at: answer.when.from, days, spells })
    }

    /// What is wanted at the moment that was asked for.
    pub(super) fn now(&self) -> Option<&Spell> {
        self.spells.iter().find(|spell| spell.from <= self.at && self.at < spell.until)
    }

    /// When something else is wanted than at that moment; `None`: not in these days.
    pub(super) fn until(&self) -> Option<Timestamp> {
        let now = self.now()?;
        let other = |spell: &&Spell| spell.from > self.at && spell.wish != now.wish;
        self.spells.iter().find(other).map(|spell| spell.from)
    }

    /// The schedule that a spell comes from, in its zone.
    pub(super) fn schedule(&self, spell: &Spell) -> Option<&'a Named> {
        self.rotas.timetable(spell.by?)
    }

    /// Each half hour of a day by the clock: what is wanted for most of it. Of a time that the clock jumps over, nothing.
    pub(super) fn cells(&self, day: Date) -> Vec<Option<&Spell>> {
        let clock = |cell: i8| match cell {
            CELLS => day.tomorrow().unwrap_or(day).to_datetime(time(0, 0, 0, 0)),
            cell => day.to_datetime(time(cell / 2, cell % 2 * 30, 0, 0)),
        };
        let cell = |n: i8| {
            let (from, until) = (reached(&self.zone, clock(n)), reached(&self.zone, clock(n + 1)));
            if from >= until {
                return None;
            }
            let shared = |spell: &&Spell| spell.until.min(until).duration_since(spell.from.max(from));
            let first = self.spells.partition_point(|spell| spell.until <= from);
            let in_it: Vec<&Spell> =
                self.spells[first..].iter().take_while(|spell| spell.from < until).collect();
            // Of equals the earlier one.
            in_it.into_iter().rev().max_by_key(shared)
        };
        (0..CELLS).map(cell).collect()
    }
}

/// Where the config speaks of a user.
pub(super) struct SaidOf<'a> {
    /// `conf.d/10-hq.toml:31`, the first place.
    pub(super) line: Option<String>,
    /// The groups of the user in this app.
    pub(super) groups: Vec<&'a str>,
}

impl SaidOf<'_> {
    pub(super) fn words(&self) -> String {
        let mut words: Vec<String> = self.line.iter().map(|line| format!("named in {line}")).collect();
        match self.groups.len() {
            0 => {}
            1 => words.push(format!("in group {}", self.groups[0])),
            _ => words.push(format!("in groups {}", self.groups.join(", "))),
        }
        words.join("; ")
    }
}

impl<'a> Answer<'a> {
    /// Where the config speaks of a user.
    pub(super) fn said_of(&self, lane: &LanePlan, user: UserId) -> SaidOf<'a> {
        SaidOf {
            line: self.loaded.sources.line_with(&user.to_string()),
            groups: self.loaded.settings.groups_of(&lane.key, user).collect(),
        }
    }
}
