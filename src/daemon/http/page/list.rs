//! The list of sessions: what to look for, a row with a strip for each, a page at a time.

use std::time::Duration;

use maud::{Markup, html};

use super::ahead::{self, Coming};
use super::ask::{HOURS, Stands};
use super::find::ROWS;
use super::strip::{self, Part, Shown};
use super::{View, words};
use crate::config::settings::LogUsers;
use crate::daemon::control::wire;
use crate::daemon::driver::Looked;

/// So many apps can be chosen by the list.
const APPS: usize = 500;
/// So many parts of a strip are told in words.
const TOLD: usize = 24;

/// The list, with what to look for before it.
pub(super) fn section(view: &View) -> Markup {
    let hours = view.ask.hours();
    html! {
        section #sessions aria-labelledby="sessions-title" {
            h2 #sessions-title { "Sessions" }
            (filter(view))
            (legend(view.coming.is_some()))
            div #list data-live {
                div.result {
                    p.found role="status" { (found(view)) }
                    @if view.ask.narrows() { a href=(view.ask.of_all()) { "Show all" } }
                }
                @if !view.found.rows.is_empty() { (table(view, hours)) }
                (pages(view))
            }
        }
    }
}

fn filter(view: &View) -> Markup {
    let ask = &view.ask;
    let by = match view.settings.log_users {
        LogUsers::Id => "Object id, or a whole name or alias",
        LogUsers::Name => "Name, alias or object id",
        LogUsers::Hash => "Hash, or a whole object id",
    };
    html! {
        form #filter role="search" method="get" action="#sessions" {
            label.wide { span { (by) } input type="search" name="q" value=(ask.text) maxlength="100" autocomplete="off" spellcheck="false"; }
            label { span { "App" }
                select name="app" {
                    option value="" { "all" }
                    @for app in view.status.apps.iter().map(|app| &app.app).take(APPS) {
                        option value=(app) selected[ask.app.as_ref() == Some(app)] { (app) }
                    }
                }
            }
            label { span { "State" }
                select name="state" {
                    @for (stands, word, words) in Stands::ALL { option value=(word) selected[ask.state == stands] { (words) } }
                }
            }
            label { span { "Strips" }
                select name="hours" {
                    @for hours in HOURS { option value=(hours) selected[ask.hours() == hours] { (hours) @if hours == 1 { " hour" } @else { " hours" } } }
                }
            }
            button type="submit" { "Show" }
        }
    }
}

fn legend(ahead: bool) -> Markup {
    html! {
        ul.legend aria-label="What the strips show" {
            @for shown in Shown::ALL { li { (strip::mark(shown)) (shown.words().0) } }
            @if ahead { li { (ahead::mark()) "to come" } }
            li { span.blank aria-hidden="true" {} "no record" }
        }
    }
}

fn found(view: &View) -> String {
    let (found, ask) = (&view.found, &view.ask);
    let shown = found.rows.len();
    let all = words::size(found.among);
    let mut text = match (shown, found.of) {
        (0, Some(_)) if ask.from == 0 && !ask.narrows() => "There is no session yet.".to_owned(),
        (0, Some(_)) if ask.from == 0 => "No session is like that.".to_owned(),
        (0, Some(of)) => format!("There are no more than {}.", words::size(of)),
        (0, None) => {
            format!("None among the {} that were looked at, of {all}.", words::size(looked_at(view)))
        }
        (_, Some(of)) => {
            let (from, to) = (words::size(ask.from + 1), words::size(ask.from + shown));
            format!("{from} to {to} of {}", words::size(of))
        }
        (_, None) => {
            format!("{shown} among the {} that were looked at, of {all}", words::size(looked_at(view)))
        }
    };
    if found.cut {
        text.push_str("; more are called so: say it closer");
    }
    text
}

fn looked_at(view: &View) -> usize {
    view.found.next.unwrap_or(view.found.among).saturating_sub(view.ask.from)
}

fn table(view: &View, hours: u32) -> Markup {
    let window = Duration::from_secs(u64::from(hours) * 3_600);
    html! {
        table.sessions role="table" aria-labelledby="sessions-title" {
            thead role="rowgroup" {
                tr role="row" {
                    @for name in ["User", "State", "Wanted"] { th role="columnheader" scope="col" { (name) } }
                    th.axis role="columnheader" scope="col" {
                        @if view.coming.is_some() {
                            span.hidden { "Last and next " (hours) " h" }
                            @for tick in [ago(hours * 60), ago(0), format!("in {hours} h")] { span aria-hidden="true" { (tick) } }
                        } @else {
                            span.hidden { "Last " (hours) " h" }
                            @for tick in [hours * 60, hours * 30, 0] { span aria-hidden="true" { (ago(tick)) } }
                        }
                    }
                    th role="columnheader" scope="col" { "Note" }
                }
            }
            tbody role="rowgroup" {
                @for (n, (looked, session)) in view.found.rows.iter().zip(&view.briefs).enumerate() {
                    @let coming = view.coming.as_ref().and_then(|coming| coming.get(n)).map(Vec::as_slice);
                    (row(view, looked, session, coming, window))
                }
            }
        }
    }
}

fn ago(minutes: u32) -> String {
    match minutes {
        0 => "now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        _ => format!("{} h ago", minutes / 60),
    }
}

fn row(
    view: &View,
    looked: &Looked,
    session: &wire::Session,
    coming: Option<&[Coming]>,
    window: Duration,
) -> Markup {
    let brief = &session.brief;
    let who = view.who(looked.whom.user);
    let shown = strip::now(looked);
    let parts = strip::parts(looked, window, view.plan_since);
    let mut text = strip::in_words(&parts, window);
    let ahead = coming.map(|coming| ahead::in_words(coming, looked.wall)).unwrap_or_default();
    if !ahead.is_empty() {
        text = format!("{text}. {ahead}");
    }
    let called = view.settings.log_users == LogUsers::Name && brief.name.is_some();
    html! {
        tr role="row" data-key=(format!("{} {}", brief.app, who)) {
            td.who role="cell" {
                // Hash and id have a fixed width, names do not.
                strong.mono[!called] { (who) }
                span.app { (brief.app) }
            }
            td.state role="cell" { (strip::mark(shown)) span { (shown.words().0) } }
            td.wanted role="cell" {
                (words::state(&brief.wanted))
                @if brief.because != "config" { small { (brief.because) } }
            }
            td.time role="cell" { (strip::draw(&parts, coming, window, looked.wall, &text)) }
            td.note role="cell" { (more(looked, session, &parts, &text, &who)) }
        }
    }
}

/// What there is to say of a session beside its strip; all of it at a press.
fn more(looked: &Looked, session: &wire::Session, parts: &[Part], text: &str, who: &str) -> Markup {
    let brief = &session.brief;
    let short = match (&brief.reason, brief.lapses_in_s) {
        (Some(reason), _) => reason.clone(),
        (None, Some(secs)) if secs >= 0.0 => match session.next_in_s {
            Some(next) if session.next == "renewal" => format!("renewed in {}", words::seconds(next)),
            _ => format!("lapses in {}", words::seconds(secs)),
        },
        (None, _) => "nothing is held".to_owned(),
    };
    html! {
        details {
            summary { (short) span.hidden { " (" (who) ")" } }
            p { (text) "." }
            @if !parts.is_empty() {
                ol reversed {
                    @for part in parts.iter().rev().take(TOLD) { li { (strip::told(part, looked.wall)) } }
                }
            }
            @if let Some(answer) = &session.last_answer {
                p {
                    "Last answer: " (answer.outcome) @if let Some(cause) = &answer.cause { " (" (cause) ")" }
                    ", " (words::time(&answer.at))
                    @if let Some(id) = &answer.request_id { ", request-id " span.mono { (id) } }
                }
            }
            @for over in &session.overrides {
                p {
                    "Override " (over.source) ": " (words::state(&over.wanted)) " for " (words::seconds(over.ends_in_s)) " more, by " (over.by)
                    @if let Some(reason) = &over.reason { ", \u{201c}" (reason) "\u{201d}" }
                    @if !over.holds { " (does not hold)" }
                }
            }
        }
    }
}

fn pages(view: &View) -> Markup {
    let (ask, next) = (&view.ask, view.found.next);
    let going_on = if view.found.of.is_none() { "Look on" } else { "Next" };
    html! {
        @if ask.from > 0 || next.is_some() {
            nav.pages aria-label="Pages of sessions" {
                @if ask.from > 0 {
                    a rel="first" href=(ask.at(0)) { "First" }
                    @if view.found.of.is_some() { a rel="prev" href=(ask.at(ask.from.saturating_sub(ROWS))) { "Previous" } }
                }
                @if let Some(next) = next { a rel="next" href=(ask.at(next)) { (going_on) } }
            }
        }
    }
}
