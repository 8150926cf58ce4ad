//! The strip of a session: what it showed in the last hours, along time, and the same in words.
//!
//! No look of a part is told by its colour alone: each has a height and a pattern of its own.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use maud::{Markup, html};

use super::ahead::{self, Coming};
use super::words;
use crate::daemon::driver::Looked;
use crate::daemon::story::{Moment, What};
use crate::daemon::wall;
use crate::keeper::Phase;

/// What a part of a strip shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    Held,
    Overridden,
    Late,
    Lapsed,
    Parked,
    Pending,
    Unfunded,
    Released,
    None,
}

impl Shown {
    /// All, in the order of the legend.
    pub(super) const ALL: [Self; 9] = [
        Self::Held,
        Self::Overridden,
        Self::Late,
        Self::Lapsed,
        Self::Parked,
        Self::Pending,
        Self::Unfunded,
        Self::Released,
        Self::None,
    ];

    /// In a word or two, and in the style sheet.
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Held => ("held", "held"),
            Self::Overridden => ("overridden", "overridden"),
            Self::Late => ("late", "late"),
            Self::Lapsed => ("lapsed", "lapsed"),
            Self::Parked => ("refused", "parked"),
            Self::Pending => ("not set yet", "pending"),
            Self::Unfunded => ("beyond the quota", "unfunded"),
            Self::Released => ("released", "released"),
            Self::None => ("none", "none"),
        }
    }

    /// How high it stands in a strip of 20 pixels: where from, and how far.
    const fn height(self) -> (u32, u32) {
        match self {
            Self::Held => (7, 6),
            Self::Overridden => (4, 12),
            Self::Late => (2, 16),
            Self::Lapsed | Self::Parked => (0, 20),
            Self::Pending | Self::Unfunded => (6, 8),
            Self::Released => (8, 4),
            Self::None => (9, 2),
        }
    }

    /// The pattern over its colour, among those of [`patterns`].
    const fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Overridden => Some("url(#slant)"),
            Self::Late => Some("url(#bars)"),
            Self::Lapsed => Some("url(#cross)"),
            Self::Parked => Some("url(#dots)"),
            Self::Pending => Some("url(#gaps)"),
            Self::Held | Self::Unfunded | Self::Released | Self::None => None,
        }
    }

    /// What may be short and must be seen all the same.
    const fn is_trouble(self) -> bool {
        matches!(self, Self::Late | Self::Lapsed | Self::Parked)
    }
}

/// A part of a strip.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Part {
    pub(super) shown: Shown,
    /// What others saw by it, where it was held.
    pub(super) state: Option<String>,
    /// How long ago it began, in the window.
    pub(super) began: Duration,
    /// How long ago it ended; zero: it goes on.
    pub(super) ended: Duration,
}

impl Part {
    fn span(&self) -> Duration {
        self.began.saturating_sub(self.ended)
    }
}

/// How a session stands now.
pub(super) fn now(looked: &Looked) -> Shown {
    let Some(view) = &looked.view else { return Shown::None };
    let is_late = || matches!(looked.story.last(), Some(Moment { what: What::Late { .. }, .. }));
    match view.phase {
        Phase::Held if view.lost > 0 || is_late() => Shown::Late,
        Phase::Held if looked.holds.is_some() => Shown::Overridden,
        Phase::Held => Shown::Held,
        Phase::Pending => Shown::Pending,
        Phase::Lapsed => Shown::Lapsed,
        Phase::Parked(_) => Shown::Parked,
        Phase::Unfunded => Shown::Unfunded,
        Phase::Clearing | Phase::Empty if looked.release.is_some() => Shown::Released,
        Phase::Clearing | Phase::Empty => Shown::None,
    }
}

/// What a session showed in a window that ends now, the oldest first. The plan is in force since `plan_since`: what was
/// never sent has been as it is since then. Of what nobody remembers there is no part.
pub(super) fn parts(looked: &Looked, window: Duration, plan_since: SystemTime) -> Vec<Part> {
    let mut begun: Vec<(Duration, Shown, Option<String>)> = looked
        .story
        .iter()
        .map(|moment| {
            let (shown, state) = shown(moment.what);
            (looked.at.since(moment.at), shown, state)
        })
        .collect();
    let ago = |since: SystemTime| looked.wall.duration_since(since).unwrap_or_default();
    let last = begun.last().map_or(Duration::MAX, |(ago, ..)| *ago);
    let now = now(looked);
    let since = match (now, looked.view.as_ref().and_then(|view| view.sent_at)) {
        (Shown::Pending | Shown::Unfunded, _) => Some(ago(plan_since)),
        (Shown::Released, _) => looked.release.as_ref().map(|release| ago(release.since)),
        // What an override wants may be what was shown before: nobody said so then.
        (Shown::Overridden, _) => {
            let holds = looked.overrides.iter().find(|(source, _)| Some(source) == looked.holds.as_ref());
            holds.map(|(_, over)| ago(over.since))
        }
        (Shown::Held, Some(sent)) => Some(looked.at.since(sent)),
        _ => None,
    };
    if begun.last().is_none_or(|(_, shown, _)| *shown != now && *shown != Shown::Late)
        && let Some(since) = since
    {
        let state = looked.view.as_ref().and_then(|view| view.granted).map(|state| state.to_string());
        begun.push((since.min(last), now, state));
    }
    let ends = begun.iter().skip(1).map(|(ago, ..)| *ago).chain([Duration::ZERO]).collect::<Vec<_>>();
    let clip = |((ago, shown, state), ended): ((Duration, Shown, Option<String>), Duration)| {
        let part = Part { shown, state, began: ago.min(window), ended };
        (ended < window && !part.span().is_zero()).then_some(part)
    };
    begun.into_iter().zip(ends).filter_map(clip).collect()
}

fn shown(what: What) -> (Shown, Option<String>) {
    match what {
        What::Held { state, overridden: true } => (Shown::Overridden, Some(state.to_string())),
        What::Held { state, overridden: false } => (Shown::Held, Some(state.to_string())),
        What::Late { state, .. } => (Shown::Late, Some(state.to_string())),
        What::Lapsed => (Shown::Lapsed, None),
        What::Parked => (Shown::Parked, None),
        What::Empty => (Shown::None, None),
        What::Released => (Shown::Released, None),
    }
}

/// A strip in words: how long it was what, in its window.
pub(super) fn in_words(parts: &[Part], window: Duration) -> String {
    let mut text = format!("In the last {}: ", words::span(window));
    let mut known = Duration::ZERO;
    let mut told = Vec::new();
    for shown in Shown::ALL {
        let span: Duration = parts.iter().filter(|part| part.shown == shown).map(Part::span).sum();
        if !span.is_zero() {
            known += span;
            told.push(format!("{} {}", shown.words().0, words::span(span)));
        }
    }
    let unknown = window.saturating_sub(known);
    if unknown >= Duration::from_secs(60) || told.is_empty() {
        told.push(format!("no record {}", words::span(unknown)));
    }
    text.push_str(&told.join(", "));
    if let Some(last) = parts.last() {
        // Writing to a String cannot fail.
        let _ = write!(text, "; now {}", last.shown.words().0);
    }
    text
}

/// A strip as a drawing; `text`: the same in words. Where something is `coming`, that has the right half.
pub(super) fn draw(
    parts: &[Part],
    coming: Option<&[Coming]>,
    window: Duration,
    wall: SystemTime,
    text: &str,
) -> Markup {
    let end = if coming.is_some() { 50.0 } else { 100.0 };
    let share = |ago: Duration| end - end * ago.as_secs_f64() / window.as_secs_f64().max(1.0);
    // Trouble is drawn over what is well, and never too thin to be seen.
    let (trouble, well): (Vec<&Part>, Vec<&Part>) = parts.iter().partition(|part| part.shown.is_trouble());
    html! {
        svg.strip role="img" aria-label=(text) height="20" {
            @for part in well.into_iter().chain(trouble) {
                @let least = if part.shown.is_trouble() { 0.8 } else { 0.1 };
                @let width = (share(part.ended) - share(part.began)).max(least);
                @let x = share(part.began).min(end - width).max(0.0);
                g {
                    title { (told(part, wall)) }
                    (bar(part.shown, &format!("{x:.2}%"), &format!("{width:.2}%")))
                }
            }
            @if let Some(coming) = coming { (ahead::draw(coming, window, wall)) }
        }
    }
}

/// A part in words: what, from when until when.
pub(super) fn told(part: &Part, wall: SystemTime) -> String {
    let at = |ago: Duration| wall.checked_sub(ago).map(wall::text).unwrap_or_default();
    let (from, until) = (at(part.began), at(part.ended));
    let state = part.state.as_deref().map(|state| format!(": {}", words::state(state))).unwrap_or_default();
    let until = if part.ended.is_zero() { "now" } else { words::time_of_day(&until) };
    format!(
        "{}{state}, {} to {until} ({})",
        part.shown.words().0,
        words::time_of_day(&from),
        words::span(part.span())
    )
}

/// The mark of a look, for legends and beside words.
pub(super) fn mark(shown: Shown) -> Markup {
    html! { svg.mark aria-hidden="true" width="14" height="20" { (bar(shown, "0", "14")) } }
}

fn bar(shown: Shown, x: &str, width: &str) -> Markup {
    let (y, height) = shown.height();
    html! {
        rect class=(shown.words().1) x=(x) y=(y) width=(width) height=(height) {}
        @if let Some(pattern) = shown.pattern() {
            rect x=(x) y=(y) width=(width) height=(height) fill=(pattern) {}
        }
    }
}

/// The patterns that marks and strips refer to.
pub(super) fn patterns() -> Markup {
    let lines = [
        ("slant", "M-2 8L8-2M0 12L12 0M4 14L14 4"),
        ("cross", "M0 0L6 6M6 0L0 6"),
        ("bars", "M1 0V6M4 0V6"),
        ("rows", "M0 1H6M0 4H6"),
    ];
    html! {
        svg.patterns aria-hidden="true" width="0" height="0" {
            defs {
                @for (id, path) in lines {
                    @let size = if id == "slant" { "10" } else { "6" };
                    pattern id=(id) width=(size) height=(size) patternUnits="userSpaceOnUse" { path.ink d=(path) {} }
                }
                pattern #dots width="5" height="5" patternUnits="userSpaceOnUse" { circle.inked cx="2.5" cy="2.5" r="1.2" {} }
                pattern #gaps width="6" height="20" patternUnits="userSpaceOnUse" { rect.inked x="4" y="0" width="2" height="20" {} }
            }
        }
    }
}
