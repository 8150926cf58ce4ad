//! The answer for people to read.

mod coming;
mod week;

use std::fmt::Write as _;
use std::time::Duration;

use super::Answer;
use super::week::Week;
use crate::cli::people;
use crate::keeper::forecast::LaneForecast;
use crate::keeper::{PresenceState, SessionPlan, funding};

/// So many of those left out are named; `--json` has them all.
const NAMED: usize = 10;

const HELP: &str = "what helps: another app registration for some users, as each has its own quota; a state other than\n  \
                    Available, which takes one request an expiration, not one in 5 minutes; a longer expiration";

/// A table with a row per app, and a word on each that needs one; or what holds for the one user.
///
/// `color`: with escape sequences for colours.
pub(super) fn render(answer: &Answer<'_>, color: bool) -> String {
    if answer.user.is_some() {
        return user(answer, color);
    }
    let mut out = table(answer);
    for lane in &answer.lanes {
        notes(&mut out, answer, lane);
    }
    let sum = |of: fn(&LaneForecast<'_>) -> usize| answer.lanes.iter().map(of).sum::<usize>();
    let (sessions, unfunded) = (sum(|lane| lane.sessions), sum(|lane| lane.unfunded));
    coming::write(&mut out, answer);
    let config = answer.loaded.settings.hash;
    let verdict = if unfunded == 0 { "fits".to_owned() } else { format!("{} too many", grouped(unfunded)) };
    let _ = writeln!(out, "\n{verdict}: {} sessions, config {config}", grouped(sessions));
    out
}

fn table(answer: &Answer<'_>) -> String {
    let mut rows = vec![
        ["app", "sessions", "Available", "requests/s", "quota/s", "used", "period", "outage", "cold start"]
            .map(str::to_owned),
    ];
    for lane in &answer.lanes {
        let timed = |time: Duration| if lane.terms.is_empty() { "-".to_owned() } else { short(time) };
        rows.push([
            lane.lane.head.name.to_string(),
            grouped(lane.sessions),
            grouped(lane.available),
            format!("{:.2}", lane.rate),
            format!("{:.2}", lane.lane.head.quota.per_second()),
            format!("{:.1}%", lane.utilisation() * 100.0),
            timed(lane.shortest_period()),
            timed(lane.outage_budget()),
            timed(lane.cold_start()),
        ]);
    }
    let mut out = String::new();
    aligned(&mut out, &rows, &[0]);
    out
}

/// Lines of cells, each column as wide as it must be: those of `left` begin at the left, the others end at the right.
fn aligned<const N: usize>(out: &mut String, rows: &[[String; N]], left: &[usize]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let _ = if left.contains(&column) {
                write!(line, "{gap}{cell:<width$}")
            } else {
                write!(line, "{gap}{cell:>width$}")
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// What there is to say of a lane beyond its row, if anything.
fn notes(out: &mut String, answer: &Answer<'_>, lane: &LaneForecast<'_>) {
    let mut notes: Vec<String> = Vec::new();
    if lane.terms.len() > 1 {
        let period = |(&term, &sessions): (&Duration, &usize)| {
            format!("{} every {} of {}", grouped(sessions), short(lane.period(term)), short(term))
        };
        notes.push(format!("renews {}", lane.terms.iter().map(period).collect::<Vec<_>>().join(", ")));
    }
    let tight = lane.utilisation() > funding::UTILISATION + 1e-9;
    if !lane.fits() {
        notes.push(too_many(answer, lane));
    } else if tight {
        notes.push("little of the quota is left for changes and repeats".to_owned());
    }
    if tight || !lane.fits() {
        notes.push(HELP.to_owned());
    }
    if lane.lapses_without_ledger() {
        notes.push(format!(
            "keep `state_dir`: without it a start sets all anew, which takes {}, and {} are left when a\n  \
             renewal is due",
            short(lane.cold_start()),
            short(lane.outage_budget())
        ));
    }
    if !notes.is_empty() {
        let _ = writeln!(out, "\n{}\n  {}", lane.lane.head.name, notes.join("\n  "));
    }
}

fn too_many(answer: &Answer<'_>, lane: &LaneForecast<'_>) -> String {
    let limit = if lane.shared_limit { "Graph's limit for the app over all tenants" } else { "the quota" };
    let mut note = format!("{} more than {limit} keeps; these are never set:", grouped(lane.unfunded));
    for user in lane.left_out().take(NAMED) {
        let _ = write!(note, "\n    {}", people::shown(user, &answer.loaded.settings));
    }
    if lane.unfunded > NAMED {
        let _ = write!(note, "\n    and {} more: `plan --json` has all", grouped(lane.unfunded - NAMED));
    }
    note
}

fn user(answer: &Answer<'_>, color: bool) -> String {
    let mut out = String::new();
    for (lane, session) in answer.sessions() {
        let who = people::shown(session.user, &answer.loaded.settings);
        let week = Week::of(answer, lane.lane, session);
        let app = &lane.lane.head.name;
        let wish = week.as_ref().map_or(session.wish, |week| week.now().and_then(|now| now.wish));
        let shows = wish.map_or_else(|| "no session of ours".to_owned(), |wish| shown(wish.state));
        let _ = writeln!(out, "{who} in {app}: {shows}");
        if let Some(week) = &week {
            let _ = writeln!(out, "  {}", week::now(week));
        }
        if let Some(wish) = session.wish {
            let costs = if week.is_some() { format!("as {}: ", shown(wish.state)) } else { String::new() };
            let _ = writeln!(out, "  {}", kept(lane, session, &costs, wish.term()));
        }
        let said = answer.said_of(lane.lane, session.user).words();
        if !said.is_empty() {
            let _ = writeln!(out, "  {said}");
        }
        if let Some(week) = &week {
            week::write(&mut out, week, color);
        }
    }
    out
}

/// How a session is kept, or that it is not.
fn kept(lane: &LaneForecast<'_>, session: &SessionPlan, costs: &str, term: Duration) -> String {
    if !session.funded {
        let priority = session.priority;
        return format!("left out: the quota is too small, and others come first (priority {priority})");
    }
    let period = lane.period(term);
    format!(
        "{costs}renewed every {} of {}; holds {} without Graph",
        short(period),
        short(term),
        short(term - period)
    )
}

/// A state in Graph's words, each said once.
fn shown(state: PresenceState) -> String {
    let (availability, activity) = (state.availability(), state.activity());
    if availability == activity { availability.to_owned() } else { format!("{availability}, {activity}") }
}

/// `150 s`, `2 h 24 min`.
fn short(time: Duration) -> String {
    let secs = (time + Duration::from_millis(500)).as_secs();
    match (secs / 3_600, secs % 3_600 / 60, secs % 60) {
        (0, 0..10, _) => format!("{secs} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, secs) => format!("{minutes} min {secs} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `13,500`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_read_well() {
        let times = [0, 10, 150, 599, 600, 3_600, 8_640, 90_061].map(|s| short(Duration::from_secs(s)));
        assert_eq!(times, ["0 s", "10 s", "150 s", "599 s", "10 min", "1 h", "2 h 24 min", "25 h 1 min"]);
        assert_eq!([0, 999, 1_000, 3_000_000].map(grouped), ["0", "999", "1,000", "3,000,000"]);
    }
}
