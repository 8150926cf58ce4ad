//! `@GROUP` in the place of a user: all members of a group of the config, by one request.

use std::fmt::Write as _;
use std::process::ExitCode;

use reqwest::Method;
use serde::Serialize;

use super::status::brief_line;
use super::{Control, PATIENCE, Refusal, of_app, span, table, tell, time};
use crate::cli::exit;
use crate::daemon::control::wire::{Brief, Group, GroupAsk, GroupResult};

/// A group is told from a user by this.
const SIGN: char = '@';

/// The name of a group, where a word means one.
pub(super) fn named(word: &str) -> Option<&str> {
    word.strip_prefix(SIGN)
}

/// Steers a group: `path` is what comes behind its name.
pub(super) fn steer(
    control: &Control,
    method: Method,
    (group, path): (&str, &[&str]),
    app: Option<&str>,
    body: Option<&impl Serialize>,
) -> Result<GroupResult, Refusal> {
    let path: Vec<&str> = ["groups", group].iter().chain(path).copied().collect();
    control.ask(method, &path, &of_app(app), body, PATIENCE)
}

/// Releases the members of a group, or resumes them, and prints what came of it.
pub(super) fn release(
    control: &Control,
    what: &str,
    group: &str,
    (app, reason): (Option<&str>, Option<&str>),
    json: bool,
) -> anyhow::Result<ExitCode> {
    let ask = GroupAsk { reason: reason.map(str::to_owned) };
    let done = if what == "release" { "released" } else { "resumed" };
    let answer = steer(control, Method::POST, (group, &[what]), app, Some(&ask));
    told(answer, json, |result| {
        let until = if what == "release" { "; nothing is held until `presenced resume`" } else { "" };
        format!("{done}: {}{until}", changed(result))
    })
}

/// Prints what came of steering a group; returns 1 if it could not be done of everyone.
pub(super) fn told(
    answer: Result<GroupResult, Refusal>,
    json: bool,
    words: impl FnOnce(&GroupResult) -> String,
) -> anyhow::Result<ExitCode> {
    let all = answer.as_ref().is_ok_and(|result| result.failed == 0);
    let code = tell(answer, json, |result: &GroupResult| {
        let mut text = format!("group {}, app {}: {}\n", result.group, result.app, words(result));
        // Writing to a String cannot fail.
        if let Some(failure) = &result.failure {
            let _ = writeln!(text, "not done for {} of {}: {failure}", result.failed, result.members);
        }
        if result.kept == Some(false) {
            text.push_str("warning: not all of it could be kept on disk; a restart would not know it\n");
        }
        text
    })?;
    Ok(if all || code != ExitCode::SUCCESS { code } else { exit::FAILURE.into() })
}

/// Of how many members anything is another now.
pub(super) fn changed(result: &GroupResult) -> String {
    format!("{} of {} users", result.changed, result.members)
}

/// For how many members what holds now, but for those for whom it is `expected`; empty: there is none.
pub(super) fn others(result: &GroupResult, expected: &str) -> String {
    let mut text = String::new();
    for (holds, users) in result.holds.iter().filter(|(holds, _)| **holds != expected) {
        let holds = if holds == "config" { "the config" } else { holds };
        let _ = write!(text, "; for {users} what holds is {holds}");
    }
    text
}

/// How a group stands, for people: a line for each of its members, those who are not as wanted once more in words.
pub(super) fn status_text(group: &Group) -> String {
    let of = &group.sessions;
    let mut text = format!("group {}, app {}: {} users\n", group.group, group.app, group.of);
    let _ = writeln!(text, "{}\n", super::status::summary(of, 0));
    let row = |brief: &Brief| {
        let lapses = brief.lapses_in_s.map_or_else(|| "-".to_owned(), span);
        let name = brief.name.clone().unwrap_or_else(|| brief.user.clone());
        vec![name, brief.state.clone(), brief.wanted.clone(), brief.because.clone(), lapses]
    };
    let rows: Vec<Vec<String>> = group.members.iter().map(row).collect();
    text.push_str(&table(&["USER", "STATE", "WANTED", "BECAUSE", "LAPSE IN"], &rows));
    if group.members.len() < group.of {
        let _ = writeln!(text, "and {} more", group.of - group.members.len());
    }
    let wrong: Vec<&Brief> = group.members.iter().filter(|brief| brief.reason.is_some()).collect();
    if !wrong.is_empty() {
        let _ = writeln!(text, "\nNot as wanted:");
        for brief in wrong {
            let _ = writeln!(text, "  {}", brief_line(brief));
        }
    }
    text
}

/// What was set of a group, until when.
pub(super) fn set_text(result: &GroupResult) -> String {
    let wanted = result.wanted.as_deref().unwrap_or("none");
    let until = result.ends_at.as_deref().map(time).unwrap_or_default();
    let done = result.members - result.failed;
    let source = format!("override:{}", crate::daemon::overrides::Source::OPERATOR);
    format!("{done} of {} users {wanted} until {until}{}", result.members, others(result, &source))
}
