//! What comes in a strip: what will be wanted of a session as far ahead as the strip looks back. It is a pure function of
//! the schedules, the override that holds, and the time.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use maud::{Markup, html};

use super::words;
use crate::config::rota::{Rotas, Spell, timestamp};
use crate::daemon::driver::Looked;
use crate::daemon::wall;
use crate::keeper::{Phase, PresenceState};

/// A part of what comes.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Coming {
    /// The state; `None`: no session of ours.
    pub(super) state: Option<PresenceState>,
    /// What wants it, where it is not the user's own state in the config: `schedule shift`, `override operator`.
    pub(super) by: Option<String>,
    /// How far ahead it begins and ends.
    pub(super) from: Duration,
    pub(super) until: Duration,
}

/// What comes, without a gap. Nothing for a session that there is none of, that the quota cannot keep, or that is
/// released: of when that ends nobody knows.
pub(super) fn coming(looked: &Looked, rotas: &Rotas, window: Duration) -> Vec<Coming> {
    let at = timestamp(looked.wall);
    let Ok(end) = at.checked_add(window) else { return Vec::new() };
    let Some(view) = looked.view.as_ref().filter(|view| view.phase != Phase::Unfunded) else {
        return Vec::new();
    };
    if looked.release.is_some() {
        return Vec::new();
    }
    let spells = match rotas.of(&looked.whom.lane, looked.whom.user) {
        Some(rota) => rotas.ahead(rota, at, end),
        None => vec![Spell { from: at, until: end, wish: view.planned, by: None }],
    };
    let ahead = |moment: Timestamp| Duration::try_from(moment.duration_since(at)).unwrap_or_default();
    let mut parts: Vec<Coming> = spells
        .into_iter()
        .map(|spell| Coming {
            state: spell.wish.map(|wish| wish.state),
            by: rotas.timetable(spell.by.unwrap_or(u32::MAX)).map(|named| format!("schedule {}", named.name)),
            from: ahead(spell.from),
            until: ahead(spell.until),
        })
        .collect();
    let over = looked.overrides.iter().find(|(source, _)| Some(source) == looked.holds.as_ref());
    if let Some((source, over)) = over {
        let ends = over.ends_wall.duration_since(looked.wall).unwrap_or_default().min(window);
        parts.retain(|part| part.until > ends);
        if let Some(first) = parts.first_mut() {
            first.from = ends;
        }
        let by = Some(format!("override {source}"));
        parts.insert(0, Coming { state: over.state, by, from: Duration::ZERO, until: ends });
    }
    parts
}

/// The same in words: `To come: Available to 16:30:00, then Away`.
pub(super) fn in_words(parts: &[Coming], wall: SystemTime) -> String {
    let told: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(n, part)| {
            let last = n + 1 == parts.len();
            let until = if last { String::new() } else { format!(" to {}", clock(part.until, wall)) };
            format!("{}{until}", shown(part))
        })
        .collect();
    if told.is_empty() { String::new() } else { format!("To come: {}", told.join(", then ")) }
}

/// The right half of a strip, whose left half is what was.
pub(super) fn draw(parts: &[Coming], window: Duration, wall: SystemTime) -> Markup {
    let share = |ahead: Duration| 50.0 + 50.0 * ahead.as_secs_f64() / window.as_secs_f64().max(1.0);
    html! {
        @for part in parts {
            @let (x, width) = (share(part.from), share(part.until) - share(part.from));
            @let (class, y, height) = if part.state.is_some() { ("coming", "7.5", "5") } else { ("none", "9", "2") };
            g {
                title { "to come: " (shown(part)) ", " (clock(part.from, wall)) " to " (clock(part.until, wall)) }
                rect class=(class) x=(format!("{x:.2}%")) y=(y) width=(format!("{width:.2}%")) height=(height) {}
            }
        }
        rect.now x="50%" y="0" width="1" height="20" {}
    }
}

fn shown(part: &Coming) -> String {
    let state = part.state.map_or_else(|| "none".to_owned(), |state| words::state(&state.to_string()));
    part.by.as_ref().map_or_else(|| state.clone(), |by| format!("{state} ({by})"))
}

fn clock(ahead: Duration, wall: SystemTime) -> String {
    wall.checked_add(ahead).map(|at| words::time_of_day(&wall::text(at)).to_owned()).unwrap_or_default()
}

/// The mark of what comes, for the legend.
pub(super) fn mark() -> Markup {
    html! { svg.mark aria-hidden="true" width="14" height="20" { rect.coming x="0.5" y="7.5" width="13" height="5" {} } }
}
