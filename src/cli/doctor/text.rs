//! The answer for people to read: a block for each app, a line for each look, and what to do under it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cli::people;
use crate::config::settings::Settings;
use crate::daemon::doctor::{AppReport, Check, CheckName, Finding, Status, UserReport};

/// So many users are named; `--json` has them all.
const NAMED: usize = 20;
/// So wide are the marks, and the names of the looks.
const WIDTHS: (usize, usize) = (8, 14);

/// All of it, and a line on how it stands. With `color`, the marks have some.
pub(super) fn render(found: &[AppReport], settings: &Settings, color: bool) -> String {
    let mut out = String::new();
    for app in found {
        let _ = writeln!(out, "{}: app {} in tenant {}", app.app, app.client_id, app.tenant);
        for check in &app.checks {
            line(&mut out, check, color);
            if check.name == CheckName::Users {
                users(&mut out, &app.users, settings);
            }
        }
        out.push('\n');
    }
    let config = settings.hash;
    let sick: Vec<&str> = found.iter().filter(|app| !app.is_well()).map(|app| &*app.app).collect();
    let noted = found.iter().filter(|app| app.is_well() && app.has_notes()).count();
    let also = if noted == 0 { String::new() } else { format!("; warnings in {noted}") };
    let _ = if sick.is_empty() {
        writeln!(out, "ok: {}; config {config}{also}", count(found.len(), "app"))
    } else {
        let of = count(found.len(), "app");
        let verb = if sick.len() == 1 { "has" } else { "have" };
        let names = list(&sick);
        writeln!(out, "error: {} of {of} {verb} something wrong: {names}; config {config}{also}", sick.len())
    };
    out
}

fn line(out: &mut String, check: &Check, color: bool) {
    let mark = match check.status {
        Status::Ok => "ok",
        Status::Skipped => "-",
        Status::Warning => "warning",
        Status::Failed => "FAILED",
    };
    let (before, after) = match check.status {
        Status::Ok if color => ("\x1b[32m", "\x1b[0m"),
        Status::Warning if color => ("\x1b[33m", "\x1b[0m"),
        Status::Failed if color => ("\x1b[1;31m", "\x1b[0m"),
        Status::Ok | Status::Skipped | Status::Warning | Status::Failed => ("", ""),
    };
    let name = check.name.word().replace('_', " ");
    let (marks, names) = WIDTHS;
    let _ = writeln!(out, "  {before}{mark:<marks$}{after}{name:<names$}  {}", check.detail);
    if let Some(advice) = &check.advice {
        let _ = writeln!(out, "  {:<1$}-> {advice}", "", marks + names + 2);
    }
}

/// Those with trouble by name, and of the others what others see: one by one where they are few, or counted.
fn users(out: &mut String, users: &[UserReport], settings: &Settings) {
    let indent = format!("  {:<1$}", "", WIDTHS.0 + WIDTHS.1 + 2);
    let trouble = |user: &&UserReport| matches!(user.finding.status(), Status::Failed | Status::Warning);
    let mut named: Vec<&UserReport> = users.iter().filter(trouble).collect();
    let troubled = named.len();
    let seen: Vec<&UserReport> = users.iter().filter(|user| user.finding.status() == Status::Ok).collect();
    if troubled + seen.len() <= NAMED {
        named.extend(&seen);
    } else if !seen.is_empty() {
        let _ = writeln!(out, "{indent}others see {}", counted(&seen));
    }
    for user in named.iter().take(NAMED) {
        let who = people::shown(user.user, settings);
        let _ = match &user.finding {
            Finding::Seen(seen) => {
                writeln!(out, "{indent}{who}: {}", shows(&seen.availability, &seen.activity))
            }
            Finding::Missing => writeln!(out, "{indent}{who}: no presence"),
            Finding::NotRead(why) => writeln!(out, "{indent}{who}: {why}"),
        };
    }
    if named.len() > NAMED {
        let _ = writeln!(out, "{indent}and {} more: `presenced doctor --json` has all", named.len() - NAMED);
    }
}

/// `9 Available, 2 Busy (InACall)`: the most frequent first.
fn counted(seen: &[&UserReport]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for user in seen {
        if let Finding::Seen(seen) = &user.finding {
            *counts.entry(shows(&seen.availability, &seen.activity)).or_default() += 1;
        }
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|(one, times), (other, more)| more.cmp(times).then_with(|| one.cmp(other)));
    counts.iter().map(|(shown, times)| format!("{times} {shown}")).collect::<Vec<_>>().join(", ")
}

fn shows(availability: &str, activity: &str) -> String {
    if availability.eq_ignore_ascii_case(activity) {
        availability.to_owned()
    } else {
        format!("{availability} ({activity})")
    }
}

fn list(names: &[&str]) -> String {
    let mut list = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        let _ = write!(list, " and {} more", names.len() - NAMED);
    }
    list
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
