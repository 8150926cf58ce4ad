//! Any text as an `expiration` and as a `stop_timeout`: what is taken lies within the bounds, and comes back the same
//! when Graph's form of it is read; what is refused is refused once, for what it is.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::{Corpus, fuzz_target};
use presenced::config::{Problems, Sources};
use presenced_fuzz::{APP, read};
use serde_json::Value;

const STOP_TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

fuzz_target!(|text: &str| -> Corpus {
    // No TOML has it in a string.
    if text.contains('\u{7f}') {
        return Corpus::Reject;
    }
    match expiration(text) {
        Ok(minutes) => {
            assert!((5..=240).contains(&minutes));
            assert_eq!(expiration(&format!("PT{minutes}M")).ok(), Some(minutes), "not as Graph is told it");
        }
        Err(problems) => is_refused(&problems),
    }
    if let Some(minutes) = iso_minutes(text) {
        let expected = (5..=240).contains(&minutes).then_some(minutes);
        assert_eq!(expiration(text).ok().map(u64::from), expected, "{text:?}");
    }
    match read(Sources::new("config.toml", format!("daemon.stop_timeout = {}\n{APP}", Value::from(text)))) {
        Ok(loaded) => assert!(STOP_TIMEOUTS.contains(&loaded.settings.daemon.stop_timeout), "{text:?}"),
        Err(problems) => is_refused(&problems),
    }
    Corpus::Keep
});

/// The minutes of a user whose `expiration` is this text.
fn expiration(text: &str) -> Result<u8, Problems> {
    let user = "[[user]]\nid = \"fa8bf3dc-eca7-46b7-bad1-db199b62afc3\"\nexpiration =";
    let loaded = read(Sources::new("config.toml", format!("{APP}{user} {}\n", Value::from(text))))?;
    let wish = loaded.plan.lanes()[0].sessions[0].wish.expect("the default is a state");
    Ok(wish.expiration.minutes())
}

/// The minutes of `PT90M`, read without any library.
fn iso_minutes(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("PT")?.strip_suffix('M')?;
    let plain = (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// Out of range, or no duration at all.
fn is_refused(problems: &Problems) {
    let json = problems.to_json();
    let codes: Vec<&str> =
        json.as_array().expect("a list").iter().filter_map(|problem| problem["code"].as_str()).collect();
    let errors: Vec<&&str> = codes.iter().filter(|code| code.starts_with('E')).collect();
    assert!(matches!(errors[..], [&"E014" | &"E015"]), "{codes:?}");
}
