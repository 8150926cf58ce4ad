//! Any text as a `Retry-After`, and maybe a second line as the answer's `Date`: whole seconds are taken as they are,
//! decimal ones to the nanosecond, dates count from the answer's own date, and nothing that is none is taken for one.
#![no_main]

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use libfuzzer_sys::{Corpus, fuzz_target};
use presenced::daemon::graph::classify;
use presenced::keeper::{Call, Outcome};

/// 6 November 1994, 08:49:37 GMT.
const WALL: Duration = Duration::from_secs(784_111_777);

fuzz_target!(|input: &str| -> Corpus {
    let (text, date) = input.split_once('\n').map_or((input, None), |(text, date)| (text, Some(date)));
    let mut headers = HeaderMap::new();
    let Ok(value) = text.parse() else { return Corpus::Reject };
    headers.insert(RETRY_AFTER, value);
    if let Some(date) = date {
        let Ok(value) = date.parse() else { return Corpus::Reject };
        headers.insert(DATE, value);
    }
    let wait = wait(429, &headers, WALL);
    let text = text.trim_matches([' ', '\t']);
    if !text.bytes().any(|byte| byte.is_ascii_digit()) || !text.is_ascii() {
        assert_eq!(wait, None, "{text:?} is no time");
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match text.as_bytes().first() {
        Some(b'-') if whole => assert_eq!(wait, Some(Duration::ZERO), "{text:?}"),
        Some(b'-') => assert!(wait.is_none_or(|wait| wait.is_zero()), "{text:?}"),
        _ if whole => {
            let expected = digits.parse::<u64>().map_or(Duration::MAX, Duration::from_secs);
            let (wait, exact) = (wait.expect("a number"), expected.as_secs() < 1 << 53);
            assert!(wait == expected || !exact && wait >= Duration::from_secs(1 << 52), "{text:?}: {wait:?}");
        }
        Some(byte) if byte.is_ascii_alphabetic() => {
            // A date: whatever this machine's clock says, unless the answer has none; and later is no longer.
            let later = self::wait(429, &headers, WALL + Duration::from_secs(10));
            let moved = wait.zip(later).map(|(wait, later)| wait.saturating_sub(later));
            assert!(moved.is_none_or(|moved| moved.is_zero() || moved <= Duration::from_secs(10)));
            if date.is_some_and(|date| date.trim() == text) && wait.is_some() {
                assert_eq!(wait, Some(Duration::ZERO), "{text:?} is now");
            }
        }
        _ => {}
    }
    // A service that is down is heard like one that is busy.
    assert_eq!(self::wait(503, &headers, WALL), wait);
    Corpus::Keep
});

fn wait(status: u16, headers: &HeaderMap, wall: Duration) -> Option<Duration> {
    match classify(Call::Clear, status, headers, SystemTime::UNIX_EPOCH + wall) {
        Outcome::Throttled { retry_after } | Outcome::Lost { retry_after, .. } => retry_after,
        other => panic!("{status} is {other:?}"),
    }
}
