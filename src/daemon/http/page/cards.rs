//! A card for each app: how many sessions stand how, how full the quota is, and the requests of the last hour.

use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, html};

use super::{View, words};
use crate::daemon::control::wire;
use crate::daemon::tempo::{Hour, MINUTES, Minute};
use crate::keeper::Quota;

/// So many apps have a card; the others are named.
const CARDS: usize = 24;
/// And so many of those.
const NAMES: usize = 500;

/// The cards: what is in trouble first.
pub(super) fn cards(view: &View) -> Markup {
    let asked = view.ask.app.as_deref();
    let mut apps: Vec<&wire::App> = view.status.apps.iter().collect();
    apps.sort_by_key(|app| {
        (asked != Some(app.app.as_str()), app.standing == "open", std::cmp::Reverse(wrong(&app.sessions)))
    });
    let (first, others) = apps.split_at(apps.len().min(CARDS));
    html! {
        @if apps.is_empty() { p.empty { "There is no app yet." } }
        ul.cards { @for app in first { (card(app, view)) } }
        @if !others.is_empty() {
            details.others {
                summary { (words::size(others.len())) " more apps" }
                ul.names {
                    @for app in others.iter().take(NAMES) { li { a href=(view.ask.of_app(Some(&app.app))) { (app.app) } } }
                    @if others.len() > NAMES { li { (words::size(others.len() - NAMES)) " more" } }
                }
            }
        }
    }
}

fn wrong(of: &wire::Counts) -> u32 {
    of.late + of.lapsed + of.parked + of.pending + of.unfunded
}

fn card(app: &wire::App, view: &View) -> Markup {
    let of = &app.sessions;
    let (standing, well) = standing(app);
    let others =
        [("Not set yet", of.pending), ("Beyond the quota", of.unfunded), ("To be cleared", of.clearing)];
    let foot = foot(app);
    html! {
        li.card data-key=(app.app) {
            div.title {
                h3 { a href=(view.ask.of_app(Some(&app.app))) { (app.app) } }
                span.standing.well[well].bad[!well] { (standing) }
            }
            dl.figures {
                div.main { dt { "Held" } dd { (words::count(of.held)) " " small { "of " (words::count(of.wanted)) } } }
                @for (name, count, class) in [("Late", of.late, "late"), ("Lapsed", of.lapsed, "lapsed"), ("Parked", of.parked, "parked")] {
                    div class=(if count > 0 { class } else { "zero" }) { dt { (name) } dd { (words::count(count)) } }
                }
            }
            @if others.iter().any(|(_, count)| *count > 0) {
                p.also {
                    @for (name, count) in others.iter().filter(|(_, count)| *count > 0) {
                        span { (name) ": " strong { (words::count(*count)) } }
                    }
                }
            }
            (quota(app, quota_of(app, view)))
            (plot(view.hours.get(&app.app)))
            p.foot { @for told in foot { span { (told) } } }
        }
    }
}

fn standing(app: &wire::App) -> (String, bool) {
    match app.standing.as_str() {
        "open" => ("open".to_owned(), true),
        "closed" => (format!("closed for {}", words::seconds(app.closed_for_s.unwrap_or_default())), false),
        "probing" => ("no answer from Graph".to_owned(), false),
        "parked" => ("every user refused".to_owned(), false),
        "no_token" => ("no token".to_owned(), false),
        other => (other.to_owned(), false),
    }
}

fn foot(app: &wire::App) -> Vec<String> {
    let token = app.token_good_for_s.map(|secs| format!("Token good for {}", words::seconds(secs)));
    let lapse = app.next_lapse_in_s.map(|secs| format!("Next lapse in {}", words::seconds(secs)));
    let end = app.credential_ends.as_ref().map(|end| format!("Credential ends {end}"));
    [token.or_else(|| Some("No token".to_owned())), lapse, end].into_iter().flatten().collect()
}

fn quota_of(app: &wire::App, view: &View) -> Duration {
    let known = view.settings.apps.iter().find(|known| *known.name == *app.app);
    known.map_or(Quota::PRESENCE, |known| known.quota).per
}

fn quota(app: &wire::App, per: Duration) -> Markup {
    let share = 100.0 * f64::from(app.quota_used) / f64::from(app.quota.max(1));
    let shown = share.clamp(0.0, 100.0);
    html! {
        div.quota {
            p.label {
                span { "Quota" }
                span { (words::count(app.quota_used)) " of " (words::count(app.quota)) " in " (words::span(per)) ", " (format!("{share:.0} %")) }
            }
            svg aria-hidden="true" height="8" {
                rect.track width="100%" height="8" rx="2" {}
                rect width=(format!("{shown:.1}%")) height="8" rx="2" class=(if share >= 90.0 { "used full" } else { "used" }) {}
            }
        }
    }
}

/// The requests of an hour, minute by minute: those that were granted, and on top of them those that were not.
pub(super) fn plot(hour: Option<&Hour>) -> Markup {
    const HEIGHT: u32 = 44;
    let hour = hour.copied().unwrap_or([Minute::default(); MINUTES]);
    let most = hour.iter().map(|minute| minute.requests).max().unwrap_or_default();
    let all: u64 = hour.iter().map(|minute| u64::from(minute.requests)).sum();
    let failed: u64 = hour.iter().map(|minute| u64::from(minute.failed)).sum();
    let label = format!(
        "Requests in the last hour: {}, {} of them not granted, at most {} in a minute",
        words::count(all),
        words::count(failed),
        words::count(most)
    );
    // Whatever was is seen.
    let high = |count: u32| {
        count.saturating_mul(HEIGHT - 2).checked_div(most).map_or(0, |high| high.max(u32::from(count > 0)))
    };
    let failed_bars = bars(&hour, HEIGHT, |minute| {
        let granted = high(minute.requests - minute.failed);
        (granted, high(minute.requests).max(granted + u32::from(minute.failed > 0)))
    });
    html! {
        div.plot {
            p.label { span { "Requests" } span { (words::count(all)) " in the last hour, peak " (words::count(most)) "/min" } }
            svg role="img" aria-label=(label) viewBox=(format!("0 0 240 {HEIGHT}")) preserveAspectRatio="none" height=(HEIGHT) {
                path.axis d=(format!("M0 {y}H240", y = f64::from(HEIGHT) - 0.5)) {}
                path.granted d=(bars(&hour, HEIGHT, |minute| (0, high(minute.requests - minute.failed)))) {}
                path.failed d=(failed_bars) {}
                // Not by colour alone.
                path d=(failed_bars) fill="url(#rows)" {}
            }
            p.label.ends aria-hidden="true" {
                span { "60 min ago" }
                @if failed > 0 { span.failed { (words::count(failed)) " not granted" } }
                span { "now" }
            }
        }
    }
}

/// A path of bars, four wide, each from its lower to its upper end above the ground.
fn bars(hour: &Hour, ground: u32, ends: impl Fn(&Minute) -> (u32, u32)) -> String {
    let mut path = String::new();
    for (at, minute) in hour.iter().enumerate() {
        let (low, high) = ends(minute);
        if high > low {
            // Writing to a String cannot fail.
            let _ = write!(path, "M{} {}h3v-{}h-3z", at * 4, ground - low, high - low);
        }
    }
    path
}
