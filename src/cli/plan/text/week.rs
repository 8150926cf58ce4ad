//! A user's days as strips of letters, which need neither colours nor more than 80 columns, and all changes below them.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::super::week::{CELLS, Week};
use super::{grouped, shown};
use crate::config::rota::Spell;
use crate::keeper::PresenceState;

/// So many changes are listed; `--json` has all.
const LINES: usize = 200;
/// How far the strips are from the left.
const MARGIN: usize = 14;

/// By which schedule what is wanted at the moment that was asked for, and until when.
pub(super) fn now(week: &Week<'_>) -> String {
    let by = week.now().and_then(|now| week.schedule(now));
    let by =
        by.map_or_else(|| "no schedule is open".to_owned(), |named| format!("by schedule {}", named.name));
    match week.until() {
        Some(until) => format!("{by}, until {}", at(week, until)),
        None => by,
    }
}

/// A line a day, and what the letters mean; then each change.
pub(super) fn write(out: &mut String, week: &Week<'_>, color: bool) {
    let zone = week.zone.iana_name().unwrap_or("the zone of this machine");
    let _ = writeln!(out, "\n  {zone}, a letter for half an hour:");
    let hours: String = (0..8).map(|n| format!("{:<6}", format!("{:02}", n * 3))).collect();
    let _ = writeln!(out, "  {:MARGIN$}{}", "", hours.trim_end());
    for day in &week.days {
        let cells = week.cells(*day);
        let strip = if color { colored(&cells) } else { cells.iter().map(|cell| letter(*cell)).collect() };
        let _ = writeln!(out, "  {:MARGIN$}{}", day.strftime("%a %d %b").to_string(), strip.trim_end());
    }
    let mut legend: Vec<String> = Vec::new();
    for state in PresenceState::ALL.map(Some).into_iter().chain([None]) {
        if week.spells.iter().any(|spell| spell.wish.map(|wish| wish.state) == state) {
            let words = state.map_or_else(|| "no session of ours".to_owned(), shown);
            legend.push(format!("{} {words}", letter_of(state)));
        }
    }
    let _ = writeln!(out, "  {:MARGIN$}{}\n", "", legend.join("   "));
    for spell in week.spells.iter().take(LINES) {
        let shows = spell.wish.map_or_else(|| "no session of ours".to_owned(), |wish| shown(wish.state));
        let by = week.schedule(spell).map(|named| format!("schedule {}", named.name));
        let line = format!("{}  {shows:<25}  {}", at(week, spell.from), by.unwrap_or_default());
        let _ = writeln!(out, "  {}", line.trim_end());
    }
    if week.spells.len() > LINES {
        let _ = writeln!(out, "  and {} more: `plan --json` has all", grouped(week.spells.len() - LINES));
    }
}

fn at(week: &Week<'_>, at: Timestamp) -> String {
    at.to_zoned_datetime(week.zone.clone()).strftime("%a %d %b %H:%M").to_string()
}

fn letter(cell: Option<&Spell>) -> char {
    cell.map_or(' ', |spell| letter_of(spell.wish.map(|wish| wish.state)))
}

const fn letter_of(state: Option<PresenceState>) -> char {
    match state {
        Some(PresenceState::Available) => 'A',
        Some(PresenceState::InACall) => 'C',
        Some(PresenceState::InAConferenceCall) => 'F',
        Some(PresenceState::Away) => 'w',
        Some(PresenceState::Presenting) => 'D',
        None => '.',
    }
}

/// The letters on grounds as Teams has them; the letters say the same.
fn colored(cells: &[Option<&Spell>]) -> String {
    let mut text = String::with_capacity(usize::from(CELLS.unsigned_abs()) * 2);
    let mut last = "";
    for cell in cells {
        let code = match cell.and_then(|spell| spell.wish).map(|wish| wish.state) {
            Some(PresenceState::Available) => "\x1b[30;42m",
            Some(PresenceState::InACall | PresenceState::InAConferenceCall) => "\x1b[97;41m",
            Some(PresenceState::Away) => "\x1b[30;43m",
            Some(PresenceState::Presenting) => "\x1b[97;45m",
            None => "\x1b[0m",
        };
        if code != last {
            text.push_str("\x1b[0m");
            text.push_str(code);
            last = code;
        }
        text.push(letter(*cell));
    }
    text.push_str("\x1b[0m");
    text
}
