//! The words of the presence service: which pairs exist, which durations pass, what a reader is shown.
//!
//! Nothing here knows of time going on or of HTTP.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The shortest expiration that setPresence takes. Source: Microsoft's page "presence: setPresence".
pub const SHORTEST_EXPIRATION: Duration = Duration::from_secs(5 * 60);
/// The longest one. Source: the same page.
pub const LONGEST_EXPIRATION: Duration = Duration::from_secs(4 * 3600);
/// What counts when a request names none. Source: the same page.
pub const DEFAULT_EXPIRATION: Duration = SHORTEST_EXPIRATION;

/// What an application's session can show: the five pairs of availability and activity that setPresence takes.
///
/// Source: Microsoft's page "presence: setPresence", v1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum SessionState {
    /// Available/Available, the one that fades.
    Available,
    /// Busy/InACall.
    InACall,
    /// Busy/InAConferenceCall.
    InAConferenceCall,
    /// Away/Away.
    Away,
    /// DoNotDisturb/Presenting.
    Presenting,
}

impl SessionState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Available, Self::InACall, Self::InAConferenceCall, Self::Away, Self::Presenting];

    /// The state that a pair names; names compare without case. `None` for a pair that setPresence does not take.
    #[must_use]
    pub fn from_pair(availability: &str, activity: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.shown().is(availability, activity))
    }

    /// The pair, as a reader sees it while the session is fresh.
    #[must_use]
    pub const fn shown(self) -> Shown {
        match self {
            Self::Available => Shown::of("Available", "Available"),
            Self::InACall => Shown::of("Busy", "InACall"),
            Self::InAConferenceCall => Shown::of("Busy", "InAConferenceCall"),
            Self::Away => Shown::of("Away", "Away"),
            Self::Presenting => Shown::of("DoNotDisturb", "Presenting"),
        }
    }
}

/// What a user can prefer in person: the six pairs that setUserPreferredPresence takes.
///
/// Source: Microsoft's page "presence: setUserPreferredPresence".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreferredState {
    /// Available/Available.
    Available,
    /// Busy/Busy.
    Busy,
    /// DoNotDisturb/DoNotDisturb.
    DoNotDisturb,
    /// BeRightBack/BeRightBack.
    BeRightBack,
    /// Away/Away.
    Away,
    /// Offline/OffWork.
    OffWork,
}

impl PreferredState {
    const ALL: [Self; 6] =
        [Self::Available, Self::Busy, Self::DoNotDisturb, Self::BeRightBack, Self::Away, Self::OffWork];

    /// The preference that a pair names; names compare without case.
    #[must_use]
    pub fn from_pair(availability: &str, activity: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.shown().is(availability, activity))
    }

    /// The pair, as a reader sees it.
    #[must_use]
    pub const fn shown(self) -> Shown {
        match self {
            Self::Available => Shown::of("Available", "Available"),
            Self::Busy => Shown::of("Busy", "Busy"),
            Self::DoNotDisturb => Shown::of("DoNotDisturb", "DoNotDisturb"),
            Self::BeRightBack => Shown::of("BeRightBack", "BeRightBack"),
            Self::Away => Shown::of("Away", "Away"),
            Self::OffWork => Shown::of("Offline", "OffWork"),
        }
    }

    /// How long it lasts when the request does not say: one day for Busy and DoNotDisturb, else seven.
    #[must_use]
    pub const fn default_expiration(self) -> Duration {
        const DAY: u64 = 24 * 3600;
        match self {
            Self::Busy | Self::DoNotDisturb => Duration::from_secs(DAY),
            Self::Available | Self::BeRightBack | Self::Away | Self::OffWork => Duration::from_secs(7 * DAY),
        }
    }
}

/// A pair of availability and activity as a reader is shown it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The availability, `Available` for instance.
    pub availability: Cow<'static, str>,
    /// The activity, `InACall` for instance.
    pub activity: Cow<'static, str>,
}

impl Shown {
    /// What a user without any session looks like.
    pub const OFFLINE: Self = Self::of("Offline", "Offline");

    /// A pair of known words.
    #[must_use]
    pub const fn of(availability: &'static str, activity: &'static str) -> Self {
        Self { availability: Cow::Borrowed(availability), activity: Cow::Borrowed(activity) }
    }

    /// Whether it is this pair; names compare without case.
    #[must_use]
    pub fn is(&self, availability: &str, activity: &str) -> bool {
        self.availability.eq_ignore_ascii_case(availability) && self.activity.eq_ignore_ascii_case(activity)
    }
}

/// Why a duration was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationProblem {
    /// It does not have the shape of an `Edm.Duration` (days, hours, minutes, seconds).
    Malformed,
    /// It is one, of nothing or less.
    NotPositive,
}

/// Reads the durations that Graph's description of setPresence admits: days, hours, minutes and seconds in capital
/// letters, whole numbers except for the seconds. Weeks, months and years are no `Edm.Duration`. What is too long
/// to count is taken as the longest there is.
///
/// # Errors
/// See [`DurationProblem`].
pub fn parse_duration(text: &str) -> Result<Duration, DurationProblem> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let rest = rest.strip_prefix('P').ok_or(DurationProblem::Malformed)?;
    let (days, time) = rest.split_once('T').map_or((rest, ""), |(days, time)| (days, time));
    let (days, rest) = take(days, 'D', 24 * 3600)?;
    let (hours, time) = take(time, 'H', 3600)?;
    let (minutes, time) = take(time, 'M', 60)?;
    let (seconds, time) = take_seconds(time)?;
    if !rest.is_empty() || !time.is_empty() {
        return Err(DurationProblem::Malformed);
    }
    let total = days.saturating_add(hours).saturating_add(minutes).saturating_add(seconds);
    if negative || total.is_zero() { Err(DurationProblem::NotPositive) } else { Ok(total) }
}

/// Takes one whole number with its unit off the front, if it is there.
fn take(text: &str, unit: char, seconds: u64) -> Result<(Duration, &str), DurationProblem> {
    let Some((number, rest)) = text.split_once(unit) else { return Ok((Duration::ZERO, text)) };
    let number = whole(number)?;
    Ok((Duration::from_secs(number.saturating_mul(seconds)), rest))
}

/// Takes the seconds, the only unit with a fraction. What is behind the ninth digit of it is dropped.
fn take_seconds(text: &str) -> Result<(Duration, &str), DurationProblem> {
    let Some((number, rest)) = text.split_once('S') else { return Ok((Duration::ZERO, text)) };
    let Some((seconds, fraction)) = number.split_once('.') else {
        return Ok((Duration::from_secs(whole(number)?), rest));
    };
    whole(fraction)?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos = digits.parse().map_err(|_| DurationProblem::Malformed)?;
    Ok((Duration::new(whole(seconds)?, nanos), rest))
}

fn whole(text: &str) -> Result<u64, DurationProblem> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DurationProblem::Malformed);
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_five_documented_pairs_are_a_session_state() {
        let words = [
            "Available",
            "Busy",
            "Away",
            "DoNotDisturb",
            "BeRightBack",
            "Offline",
            "InACall",
            "InAConferenceCall",
            "Presenting",
            "InAMeeting",
            "OutOfOffice",
            "",
        ];
        let taken: Vec<_> = words
            .iter()
            .flat_map(|a| words.iter().map(move |b| (*a, *b)))
            .filter(|(a, b)| SessionState::from_pair(a, b).is_some())
            .collect();
        assert_eq!(
            taken,
            [
                ("Available", "Available"),
                ("Busy", "InACall"),
                ("Busy", "InAConferenceCall"),
                ("Away", "Away"),
                ("DoNotDisturb", "Presenting"),
            ]
        );
        assert_eq!(SessionState::from_pair("busy", "inACall"), Some(SessionState::InACall));
    }

    #[test]
    fn durations_have_many_spellings() {
        let minutes = |n: u64| Ok(Duration::from_secs(n * 60));
        for hour in ["PT1H", "PT60M", "PT3600S", "P0DT1H", "PT0H60M", "PT59M60.000S", "P0DT0H0M3600S"] {
            assert_eq!(parse_duration(hour), minutes(60), "{hour}");
        }
        assert_eq!(parse_duration("P1D"), minutes(24 * 60));
        assert_eq!(parse_duration("PT1M0.5S"), Ok(Duration::from_millis(60_500)));
        assert_eq!(parse_duration("PT99999999999999999999999H"), Ok(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn what_is_no_duration_is_told_from_what_is_none_or_less() {
        let malformed = [
            "", "1h", "banana", "pt5m", "P1W", "P1M", "P1Y", "PT1.5H", "PT5M1H", "PT-5M", "PT.5S", "PT5.S",
            "PTH", " PT5M", "PT5M ", "P5M", "PT5", "+PT5M", "PT1H1H", "PT٣M",
        ];
        for text in malformed {
            assert_eq!(parse_duration(text), Err(DurationProblem::Malformed), "{text}");
        }
        for text in ["P", "PT", "PT0S", "-PT5M", "-P1D", "P0D"] {
            assert_eq!(parse_duration(text), Err(DurationProblem::NotPositive), "{text}");
        }
    }

    #[test]
    fn a_preference_lasts_a_day_or_a_week() {
        let days = |a, b| PreferredState::from_pair(a, b).unwrap().default_expiration().as_secs() / 86_400;
        assert_eq!(days("Busy", "Busy"), 1);
        assert_eq!(days("DoNotDisturb", "DoNotDisturb"), 1);
        assert_eq!(days("Offline", "OffWork"), 7);
        assert_eq!(PreferredState::from_pair("Busy", "InACall"), None);
    }
}
