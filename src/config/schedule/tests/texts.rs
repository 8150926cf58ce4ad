//! Texts that nobody meant to write: told, never a panic, and in bounded time.

use proptest::prelude::*;

use super::*;

/// Pieces of what is legal, and any text, in any order.
fn near(pieces: &'static [&'static str], joint: &'static str) -> impl Strategy<Value = String> {
    let piece = prop_oneof![4 => proptest::sample::select(pieces).prop_map(str::to_owned), 1 => ".{0,6}"];
    proptest::collection::vec(piece, 0..12).prop_map(move |pieces| pieces.join(joint))
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.as_second()..Timestamp::MAX.as_second())
        .prop_map(|second| Timestamp::from_second(second).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn days_that_are_read_are_read_again_as_they_are_written(
        text in near(&["Mon", "tue", "Wednesday", "SUN", "-", ",", " "], "")
    ) {
        if let Ok(days) = Days::parse(&text) {
            prop_assert_eq!(Days::parse(&days.to_string()), Ok(days));
        }
    }

    #[test]
    fn times_that_are_read_are_read_again_as_they_are_written(text in near(&["0", "8", "24", "59", ":", " "], "")) {
        if let Ok(time) = TimeOfDay::parse(&text) {
            prop_assert_eq!(TimeOfDay::parse(&time.to_string()), Ok(time));
        }
    }

    #[test]
    fn date_ranges_that_are_read_are_read_again_as_they_are_written(
        text in near(&["2026-12-24", "2026-02-29", "..", "2026", "-", "12", "9999-12-31"], "")
    ) {
        if let Ok(range) = DateRange::parse(&text) {
            prop_assert_eq!(DateRange::parse(&range.to_string()), Ok(range));
        }
    }

    #[test]
    fn a_cron_pattern_that_is_read_starts_something_or_nothing_but_ends_the_search(
        text in near(
            &["0", "*", "5", "*/7", "1-5", "29", "31", "2", "MON", "feb", "L", "15W", "5#5", "FRIL", "+1", "?", "59/9", "6-7#L"],
            " "
        ),
        at in moment()
    ) {
        if let Ok(start) = CronStart::parse(&text) {
            let opens = Opens::Cron { start, duration: Duration::from_secs(600) };
            let now = timetable("Europe/Berlin", opens, &[]).at(at);
            prop_assert!(now.until.is_none_or(|until| until > at));
        }
    }

    #[test]
    fn any_text_is_a_calendar_or_none(
        text in near(
            &[
                "BEGIN:VCALENDAR", "END:VCALENDAR", "BEGIN:VEVENT", "END:VEVENT", "BEGIN:VALARM", "END:VALARM",
                "DTSTART;VALUE=DATE:20261224", "DTSTART:20261224T080000Z", "DTEND;VALUE=DATE:20261227", "DURATION:P3D",
                "RRULE:FREQ=YEARLY", "RRULE:FREQ=YEARLY;COUNT=3;BYMONTH=12", "EXDATE;VALUE=DATE:20271224,20281224",
                "SUMMARY:Christmas\\, and", " more", "UID:1", "RECURRENCE-ID;VALUE=DATE:20271224", "STATUS:CANCELLED",
                "DTSTART;VALUE=DATE:99991231", "DURATION:P999999999W", "DTSTART", "EXDATE:é20261224",
            ],
            "\r\n"
        )
    ) {
        if let Err(error) = holidays(&text) {
            prop_assert!(error.at.is_none_or(|at| at <= text.len() && text.is_char_boundary(at)), "{:?}", error);
        }
    }
}

proptest! {
    // Each is compared with all names there are.
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_zone_or_none(text in near(&["Europe", "/", "Berlin", "utc", "+02:00", "..", "Etc", "GMT-2", " "], "")) {
        match zone(&text) {
            Ok(zone) => prop_assert!(zone.iana_name().is_some()),
            Err(told) => prop_assert!(told.len() < 400, "{}", told),
        }
    }
}

#[test]
fn a_calendar_of_a_mebibyte_is_read_or_refused_before_long() {
    const MEBIBYTE: usize = 1 << 20;
    let filled =
        |head: &str, piece: &str, tail: &str| format!("{head}{}{tail}", piece.repeat(MEBIBYTE / piece.len()));
    let calendar = "BEGIN:VCALENDAR\n";
    let event = format!("{calendar}BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261224\n");
    let all = [
        (filled("", calendar, ""), false),
        (filled(calendar, "BEGIN:VEVENT\n", ""), false),
        (
            filled(
                calendar,
                "BEGIN:VEVENT\nDTSTART;VALUE=DATE:20261224\nRRULE:FREQ=YEARLY\nEND:VEVENT\n",
                "END:VCALENDAR",
            ),
            false,
        ),
        (filled(&event, "EXDATE:20261224\n", "END:VEVENT\nEND:VCALENDAR"), false),
        (
            filled(
                &format!("{event}EXDATE:20261224"),
                ",20261224",
                "\nRRULE:FREQ=YEARLY\nEND:VEVENT\nEND:VCALENDAR",
            ),
            false,
        ),
        (filled(&format!("{event}SUMMARY:"), "\\", "\nEND:VEVENT\nEND:VCALENDAR"), true),
        (filled(&format!("{event}SUMMARY"), ";X=\"\"", "\nEND:VEVENT\nEND:VCALENDAR"), false),
        (filled(&format!("{event}SUMMARY:x"), "\n x", "\nEND:VEVENT\nEND:VCALENDAR"), true),
        (filled(&format!("{event}SUMMARY:x\n"), "\n", "\nEND:VEVENT\nEND:VCALENDAR"), true),
        (filled(&format!("{event}RRULE:"), ";", "\nEND:VEVENT\nEND:VCALENDAR"), false),
    ];
    let mut read = 0;
    for (text, is_calendar) in &all {
        let found = holidays(text);
        assert_eq!(
            found.is_ok(),
            *is_calendar,
            "{}: {:?}",
            &text[..90],
            found.map(|calendar| calendar.holidays.len())
        );
        read += 1;
    }
    assert_eq!(read, 10);
}
