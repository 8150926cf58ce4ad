//! The changes to come, a line for each app that something changes in.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::{Timestamp, ZonedDateTime};

use super::super::Answer;
use super::super::edges::Edge;
use super::{aligned, grouped, short};
use crate::keeper::PresenceState;

/// So many lines are shown; `--json` has all.
const LINES: usize = 200;
/// So many schedules are named in a line.
const NAMED: usize = 3;

/// Where there are schedules: all that changes in the time that was asked for, below everything else.
pub(super) fn write(out: &mut String, answer: &Answer<'_>) {
    let Some(edges) = &answer.edges else { return };
    let when = &answer.when;
    let clock = Clock::of(answer);
    let zone = when.zone.iana_name().unwrap_or("the zone of this machine");
    let (from, until) = (clock.whole(when.from), clock.whole(when.until()));
    // Writing to a String cannot fail.
    if edges.is_empty() {
        let _ = writeln!(out, "\nno changes by schedules from {from} to {until}, {zone}");
        return;
    }
    let _ = writeln!(out, "\nchanges by schedules from {from} to {until}, {zone}\n");
    let head = ["time", "app", "requests", "take", "quota", "then", "users"].map(str::to_owned);
    let rows = edges.iter().take(LINES).map(|edge| row(edge, &clock));
    let rows: Vec<[String; 7]> = [head].into_iter().chain(rows).collect();
    aligned(out, &rows, &[0, 1, 6]);
    if edges.len() > LINES {
        let _ = writeln!(out, "and {} more: `plan --json` has all", grouped(edges.len() - LINES));
    }
}

fn row(edge: &Edge<'_>, clock: &Clock) -> [String; 7] {
    let percent = |share: f64| format!("{:.1}%", share * 100.0);
    [
        clock.short(edge.at),
        edge.app.to_owned(),
        grouped(edge.requests()),
        short(edge.takes.max(Duration::from_secs(1))),
        percent(edge.used),
        percent(edge.utilisation),
        what(edge),
    ]
}

/// How many change to what, and because of which schedules.
fn what(edge: &Edge<'_>) -> String {
    let (none, states): (Vec<_>, Vec<_>) = edge.to.iter().partition(|(state, _)| state.is_none());
    let to = |(state, users): (&Option<PresenceState>, &usize)| {
        let shows = match state {
            None => "none".to_owned(),
            Some(state) if state.availability() == "Busy" => state.to_string(),
            Some(state) => state.availability().to_owned(),
        };
        format!("{} to {shows}", grouped(*users))
    };
    let users: Vec<String> = states.into_iter().chain(none).map(to).collect();
    let opens = named(&edge.opens, "opens", "open");
    let why: Vec<String> = opens.into_iter().chain(named(&edge.closes, "closes", "close")).collect();
    format!("{} ({})", users.join(", "), why.join(", "))
}

/// `early opens`, `early, late open`, `a, b, c and 7 more open`.
fn named(schedules: &BTreeSet<&str>, does: &str, do_: &str) -> Option<String> {
    let names: Vec<&str> = schedules.iter().copied().take(NAMED).collect();
    let more = schedules.len().saturating_sub(NAMED);
    let names = names.join(", ");
    match (schedules.len(), more) {
        (0, _) => None,
        (1, _) => Some(format!("{names} {does}")),
        (_, 0) => Some(format!("{names} {do_}")),
        (_, more) => Some(format!("{names} and {more} more {do_}")),
    }
}

/// Moments in the clock of this machine.
struct Clock {
    zone: jiff::tz::TimeZone,
    /// Whether the day has to be said.
    days: bool,
}

impl Clock {
    fn of(answer: &Answer<'_>) -> Self {
        let zone = answer.when.zone.clone();
        let day = |at: Timestamp| zone.to_datetime(at).date();
        let edges = answer.edges.iter().flatten();
        let days = edges.into_iter().any(|edge| day(edge.at) != day(answer.when.from));
        Self { zone, days }
    }

    fn zoned(&self, at: Timestamp) -> ZonedDateTime {
        at.to_zoned_datetime(self.zone.clone())
    }

    fn short(&self, at: Timestamp) -> String {
        self.zoned(at).strftime(if self.days { "%a %d %b %H:%M" } else { "%H:%M" }).to_string()
    }

    fn whole(&self, at: Timestamp) -> String {
        self.zoned(at).strftime("%Y-%m-%d %H:%M").to_string()
    }
}
