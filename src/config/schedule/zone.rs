//! Time zones: by their names, and how their clocks come to a time.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{self, AmbiguousOffset, Offset, TimeZone};

use crate::config::problem::shown;
use crate::config::read::did_you_mean;

/// What is longer is no misspelt name, and a long comparison with each there is.
const MISSPELT_BYTES_MAX: usize = 64;

/// A time zone by its IANA name, without case.
///
/// # Errors
///
/// There is no such zone, and which may be meant; or it is an offset, which knows no summer time.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    let found = TimeZone::get(name).ok().filter(|zone| zone.iana_name().is_some());
    found.ok_or_else(|| {
        if name.trim().is_empty() {
            return "a time zone is missing; write a name such as \"Europe/Berlin\", or \"UTC\"".to_owned();
        }
        if is_offset(name) {
            let name = shown(name);
            return format!(
                "{name} is an offset, which knows no summer time; name a place, such as \"Europe/Berlin\""
            );
        }
        match near(name) {
            Some(near) => format!("there is no time zone {}; did you mean \"{near}\"?", shown(name)),
            None => format!("there is no time zone {}; write a name such as \"Europe/Berlin\"", shown(name)),
        }
    })
}

/// Whether this is a distance from UTC: `+02:00`, `UTC+2`, `-5`, `GMT-03`.
fn is_offset(name: &str) -> bool {
    let upper = name.trim().to_ascii_uppercase();
    let rest = ["UTC", "GMT", "Z"].iter().find_map(|prefix| upper.strip_prefix(prefix)).unwrap_or(&upper);
    let digits = rest.trim_start().strip_prefix(['+', '-', '−']).unwrap_or("x");
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b':' || b == b' ')
}

/// The zone that may be meant: one whose place has that name, or the one most like it.
fn near(name: &str) -> Option<String> {
    if name.len() > MISSPELT_BYTES_MAX {
        return None;
    }
    let known: Vec<_> = tz::db().available().collect();
    let known: Vec<&str> = known.iter().map(tz::TimeZoneName::as_str).collect();
    let place = name.trim().replace(' ', "_");
    let same = |zone: &&&str| zone.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(&place));
    let found = known.iter().filter(|zone| zone.contains('/')).find(same).copied();
    found.or_else(|| did_you_mean(name.trim(), &known)).map(str::to_owned)
}

/// When a zone's clock first shows `civil`, or, where it jumps over that, a later time. At the ends of what can be
/// represented: the end.
#[must_use]
pub fn reached(zone: &TimeZone, civil: DateTime) -> Timestamp {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Gap { before, after } => {
            // The jump is after the moment that the later offset makes of `civil`, and not after that of the earlier one.
            let latest = instant(before, civil);
            let jump = zone
                .following(instant(after, civil))
                .map(|transition| (transition.timestamp(), transition.offset()))
                .take_while(|(at, _)| *at <= latest)
                .find(|(_, offset)| *offset == after);
            jump.map_or(latest, |(at, _)| at)
        }
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            instant(offset, civil)
        }
    }
}

fn instant(offset: Offset, civil: DateTime) -> Timestamp {
    let end = if civil.year() > 0 { Timestamp::MAX } else { Timestamp::MIN };
    offset.to_timestamp(civil).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_without_case() {
        for (name, canonical) in
            [("europe/BERLIN", "Europe/Berlin"), ("utc", "UTC"), ("Etc/GMT-2", "Etc/GMT-2")]
        {
            assert_eq!(zone(name).unwrap().iana_name(), Some(canonical));
        }
    }

    #[test]
    fn what_is_no_zone_is_told_with_what_may_be_meant() {
        for (name, word) in [
            ("", "is missing"),
            ("Berlin", "did you mean \"Europe/Berlin\"?"),
            ("new york", "did you mean \"America/New_York\"?"),
            ("Europe/Belrin", "did you mean \"Europe/Berlin\"?"),
            ("W. Europe Standard Time", "there is no time zone"),
            ("../../etc/passwd", "there is no time zone"),
            ("/etc/localtime", "there is no time zone"),
            ("Etc/Unknown", "there is no time zone"),
            ("right/Europe/Berlin", "there is no time zone"),
            ("+02:00", "is an offset"),
            ("UTC+2", "is an offset"),
            ("gmt -03", "is an offset"),
            ("-5", "is an offset"),
        ] {
            let told = zone(name).unwrap_err();
            assert!(told.contains(word), "{name}: {told}");
        }
        assert!(zone(&"x/".repeat(100_000)).unwrap_err().len() < 200);
    }

    #[test]
    fn a_time_is_reached_when_the_clock_first_shows_it_or_jumps_over_it() {
        for (name, civil, expected) in [
            ("Europe/Berlin", "2026-07-01T12:00", "2026-07-01T10:00:00Z"),
            ("Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", "2026-03-29T02:59", "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00:00Z"),
            ("Europe/Berlin", "2026-10-25T02:00", "2026-10-25T00:00:00Z"),
            ("Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30:00Z"),
            ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00:00Z"),
            ("Europe/Berlin", "2096-03-25T02:30", "2096-03-25T01:00:00Z"),
            ("UTC", "9999-12-31T23:00", "9999-12-30T22:00:00.999999999Z"),
        ] {
            let at = reached(&zone(name).unwrap(), civil.parse().unwrap());
            assert_eq!(at.to_string(), expected, "{name} {civil}");
        }
    }
}
