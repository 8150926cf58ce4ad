//! Wall times as text: RFC 3339, UTC, whole seconds or milliseconds. They are for people and for what outlives a process.

use std::time::SystemTime;

use jiff::Timestamp;

/// A wall time as RFC 3339 with milliseconds, UTC.
#[must_use]
pub fn text(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| "unknown".to_owned(), |at| format!("{at:.3}"))
}

/// The wall time that an RFC 3339 text says.
#[must_use]
pub fn parse(text: &str) -> Option<SystemTime> {
    SystemTime::try_from(text.parse::<Timestamp>().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_time_that_is_written_is_read_again() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_600_000_125);
        assert_eq!(text(at), "2026-11-25T09:46:40.125Z");
        assert_eq!(parse(&text(at)), Some(at));
        assert_eq!(parse("tomorrow"), None);
    }
}
