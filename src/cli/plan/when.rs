//! From when on and for how long to look ahead.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, ToSpan};

/// How far one may look ahead: a week, and the day that it begins on.
const SPAN: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(8 * 86_400);
/// How far one looks where nobody says.
const SPAN_UNSAID: Duration = Duration::from_secs(86_400);
/// How many days of a user are shown where nobody says.
const DAYS_UNSAID: i64 = 7;

/// The time that is looked at, in the clock of a zone.
#[derive(Clone, Debug)]
pub(super) struct When {
    pub(super) from: Timestamp,
    /// `None`: nobody said.
    span: Option<Duration>,
    pub(super) zone: TimeZone,
}

impl When {
    /// What the command line says, read `now` in the zone of this machine. `at`: a moment, a date and a time of day here,
    /// or a time of day: the next one.
    pub(super) fn read(
        at: Option<&str>,
        span: Option<Duration>,
        now: Timestamp,
        zone: TimeZone,
    ) -> Result<Self, String> {
        let from = match at {
            None => now,
            Some(at) => moment(at.trim(), now, &zone).ok_or_else(|| {
                format!("--at {at}: write a moment such as 2026-12-01T08:00:00Z, a time here such as \"2026-12-01 08:00\", or 08:00")
            })?,
        };
        Ok(Self { from, span, zone })
    }

    /// Where looking ahead ends.
    pub(super) fn until(&self) -> Timestamp {
        later(self.from, self.span.unwrap_or(SPAN_UNSAID))
    }

    /// The days of a user in the clock of a zone: from the one that this begins on, seven, or all that it reaches into.
    pub(super) fn days(&self, zone: &TimeZone) -> Vec<jiff::civil::Date> {
        let first = zone.to_datetime(self.from).date();
        let last = match self.span {
            None => first.saturating_add((DAYS_UNSAID - 1).days()),
            Some(span) => {
                let last = later(self.from, span).saturating_sub(SignedDuration::from_nanos(1));
                zone.to_datetime(last.unwrap_or(self.from)).date()
            }
        };
        first.series(1.day()).take_while(|day| *day <= last).collect()
    }
}

fn later(from: Timestamp, span: Duration) -> Timestamp {
    from.saturating_add(span).unwrap_or(Timestamp::MAX)
}

fn moment(at: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(moment) = at.parse() {
        return Some(moment);
    }
    let here = |civil: DateTime| zone.to_timestamp(civil).ok();
    // With a date first: a time is read out of that, too.
    if let Ok(civil) = at.parse() {
        return here(civil);
    }
    let time: Time = at.parse().ok()?;
    let today = zone.to_datetime(now).date();
    here(today.to_datetime(time))
        .filter(|today| *today >= now)
        .or_else(|| here(today.saturating_add(1.day()).to_datetime(time)))
}

/// A span such as `90m`, `24h`, `1d 12h` or `PT2H`; a day has 24 hours.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let span: Option<Span> = text.trim().parse().ok();
    let span = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let span = span.and_then(|span| Duration::try_from(span).ok()).filter(|span| SPAN.contains(span));
    span.ok_or_else(|| "a span from 1m to 8d, 24h for instance".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    #[test]
    fn a_time_is_a_moment_a_time_here_or_the_next_time_of_day() {
        let now: Timestamp = "2026-10-24T15:30:00Z".parse().unwrap();
        let from = |at: &str| {
            When::read(Some(at), None, now, berlin()).map(|when| when.from.to_string()).map_err(|_| ())
        };
        for (at, is) in [
            ("2026-12-01T08:00:00Z", "2026-12-01T08:00:00Z"),
            ("2026-12-01T08:00:00+01:00", "2026-12-01T07:00:00Z"),
            ("2026-12-01 08:00", "2026-12-01T07:00:00Z"),
            ("2026-12-01", "2026-11-30T23:00:00Z"),
            ("18:00", "2026-10-24T16:00:00Z"),
            ("17:30", "2026-10-24T15:30:00Z"),
            // Tomorrow, and summer time is over by then.
            ("08:00", "2026-10-25T07:00:00Z"),
        ] {
            assert_eq!(from(at).as_deref(), Ok(is), "{at}");
        }
        assert_eq!(["", "eight", "25:00", "2026-13-01 08:00"].map(from), [const { Err(()) }; 4]);
        assert_eq!(When::read(None, None, now, berlin()).unwrap().from, now);
    }

    #[test]
    fn a_span_is_a_minute_to_eight_days() {
        let secs = |text: &str| span(text).map(|span| span.as_secs()).ok();
        assert_eq!(
            ["1m", "24h", "8d", "PT2H", "1d 12h"].map(secs),
            [60, 86_400, 691_200, 7_200, 129_600].map(Some)
        );
        assert_eq!(["59s", "193h", "-1h", "soon", ""].map(secs), [None; 5]);
    }

    #[test]
    fn a_user_is_shown_whole_days() {
        let now: Timestamp = "2026-11-26T22:30:00Z".parse().unwrap();
        let days = |span: Option<&str>| {
            let when = When::read(None, span.map(|text| super::span(text).unwrap()), now, berlin()).unwrap();
            let days = when.days(&when.zone);
            (days[0].to_string(), days.len())
        };
        assert_eq!(days(None), ("2026-11-26".to_owned(), 7));
        assert_eq!(days(Some("30m")).1, 1, "to midnight, and not a moment further");
        assert_eq!(days(Some("31m")).1, 2);
    }
}
