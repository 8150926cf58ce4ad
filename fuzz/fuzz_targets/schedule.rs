//! Any calendar, and any cron pattern on the first line: each is read or refused with a reason, and a schedule made of them
//! answers for any time: its next edge is later, and is one.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use libfuzzer_sys::{Corpus, fuzz_target};
use presenced::config::schedule::{CronStart, Exceptions, Opens, Timetable, holidays};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else { return Corpus::Reject };
    let (pattern, calendar) = text.split_once('\n').unwrap_or((text, ""));
    let except: Exceptions = match holidays(calendar) {
        Ok(calendar) => calendar.holidays.iter().map(|holiday| holiday.range).collect(),
        Err(error) => {
            assert!(!error.message.is_empty());
            Exceptions::default()
        }
    };
    let start = match CronStart::parse(pattern) {
        Ok(start) => start,
        Err(why) => {
            assert!(!why.is_empty());
            return Corpus::Keep;
        }
    };
    let seconds = 60 + input.len() as u64 * 97;
    let opens = Opens::Cron { start, duration: Duration::from_secs(seconds) };
    let timetable = Timetable::new(Arc::new(opens), Arc::new(except), TimeZone::UTC);
    let mut at = Timestamp::from_second(1_767_225_600).expect("a time of our days");
    for _ in 0..8 {
        let now = timetable.at(at);
        assert_eq!(now, timetable.at(at), "the same each time");
        let Some(until) = now.until else { break };
        assert!(until > at);
        assert_ne!(timetable.at(until).open, now.open, "an edge changes something");
        at = until;
    }
    Corpus::Keep
});
