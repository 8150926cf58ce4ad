//! Holidays out of iCalendar texts.

use super::*;

/// A calendar of events, each given by its lines.
fn calendar(events: &[&str]) -> Result<Calendar, CalendarError> {
    let events: String =
        events.iter().map(|event| format!("BEGIN:VEVENT\r\n{event}\r\nEND:VEVENT\r\n")).collect();
    holidays(&format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n"))
}

/// The days of a calendar, and what they are called.
fn days(events: &[&str]) -> Vec<String> {
    let calendar = calendar(events).unwrap();
    let text = |holiday: &Holiday| format!("{} {}", holiday.range, holiday.summary.as_deref().unwrap_or("-"));
    calendar.holidays.iter().map(text).collect()
}

#[test]
fn all_day_events_are_read_with_their_ends_and_names() {
    let events = [
        "DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261227\r\nSUMMARY:Christmas\\, th\r\n ree days",
        "DTSTART;VALUE=DATE:20260501",
        "dtstart;value=date:20260403\r\nDURATION:P4D\r\nSUMMARY:Easter\r\nTRANSP:TRANSPARENT",
        "DTSTART;VALUE=DATE:20261003\r\nDTEND;VALUE=DATE:20261003\r\nSUMMARY:Ends where it begins",
        "DTSTART:20261101\r\nDURATION:P1W\r\nSUMMARY:",
    ];
    let expected = [
        "2026-04-03..2026-04-06 Easter",
        "2026-05-01 -",
        "2026-10-03 Ends where it begins",
        "2026-11-01..2026-11-07 -",
        "2026-12-24..2026-12-26 Christmas, three days",
    ];
    assert_eq!(days(&events), expected);
}

#[test]
fn timed_events_are_left_out_and_counted() {
    let events = [
        "DTSTART:20261224T080000Z\r\nDTEND:20261224T090000Z\r\nRRULE:FREQ=DAILY",
        "DTSTART;TZID=Europe/Berlin:20261224T080000",
        "DTSTART;VALUE=DATE:20261224",
    ];
    let calendar = calendar(&events).unwrap();
    assert_eq!((calendar.holidays.len(), calendar.timed), (1, 2));
}

#[test]
fn events_by_the_year_are_there_in_each_but_for_the_exceptions() {
    let eve = "DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261226\r\nRRULE:FREQ=YEARLY;UNTIL=20301231\r\n\
               EXDATE;VALUE=DATE:20271224,20281224\r\nEXDATE;VALUE=DATE:20301224";
    assert_eq!(days(&[eve]), ["2026-12-24..2026-12-25 -", "2029-12-24..2029-12-25 -"]);
    assert_eq!(days(&["DTSTART;VALUE=DATE:20000101\r\nRRULE:FREQ=YEARLY"]).len(), 101);
}

#[test]
fn an_occurrence_that_was_changed_or_cancelled_is_not_there_twice() {
    let events = [
        "UID:eve\r\nDTSTART;VALUE=DATE:20261224\r\nRRULE:FREQ=YEARLY;COUNT=4",
        "UID:eve\r\nRECURRENCE-ID;VALUE=DATE:20271224\r\nDTSTART;VALUE=DATE:20271223\r\nSUMMARY:A day early",
        "UID:eve\r\nRECURRENCE-ID;VALUE=DATE:20281224\r\nDTSTART;VALUE=DATE:20281224\r\nSTATUS:CANCELLED",
        "UID:other\r\nRECURRENCE-ID;VALUE=DATE:20291224\r\nDTSTART;VALUE=DATE:20300101",
        "UID:gone\r\nDTSTART;VALUE=DATE:20260101\r\nRRULE:FREQ=MONTHLY\r\nSTATUS:cancelled",
    ];
    let expected = ["2026-12-24 -", "2027-12-23 A day early", "2029-12-24 -", "2030-01-01 -"];
    assert_eq!(days(&events), expected);
}

#[test]
fn what_is_in_other_components_is_no_holiday() {
    let alarm =
        "DTSTART;VALUE=DATE:20261224\r\nBEGIN:VALARM\r\nDTSTART:nonsense\r\nEND:VALARM\r\nSUMMARY:Eve";
    assert_eq!(days(&[alarm]), ["2026-12-24 Eve"]);
    let todo = "BEGIN:VCALENDAR\nBEGIN:VTODO\nDTSTART;VALUE=DATE:20261224\nEND:VTODO\nEND:VCALENDAR\n";
    assert_eq!(holidays(todo), Ok(Calendar::default()));
    let two = "\u{feff}begin:vcalendar\nend:vcalendar\nBEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261224\nEND:VEVENT\nEND:VCALENDAR";
    assert_eq!(holidays(two).unwrap().holidays.len(), 1);
}

#[test]
fn an_event_that_cannot_be_relied_on_is_named() {
    for (event, word) in [
        ("SUMMARY:Eve", "`Eve` has no DTSTART"),
        ("DTSTART;VALUE=DATE:20260230", "`20260230` is no date"),
        ("DTSTART;VALUE=DATE:20261224T000000", "is no date"),
        ("DTSTART:soon", "`soon` is no date"),
        ("DTSTART:20261224\r\nDTSTART:20261225", "a second DTSTART"),
        ("DTSTART:20261224\r\nDTEND:20261223\r\nUID:7", "`7` ends before it begins"),
        ("DTSTART:20261224\r\nDTEND:20261224T180000", "begins with a day and ends at a time"),
        ("DTSTART:20261224\r\nDTEND:20261225\r\nDURATION:P1D", "both DTEND and DURATION"),
        ("DTSTART:20261224\r\nDURATION:PT36H", "lasts `PT36H`, which is not in whole days"),
        ("DTSTART:20261224\r\nDURATION:-P1D", "not in whole days"),
        ("DTSTART:20261224\r\nDURATION:P0D", "not in whole days"),
        ("DTSTART:20261224\r\nDURATION:2 days", "not in whole days"),
        ("DTSTART:99991231\r\nDURATION:P2D", "ends after all time"),
        (
            "DTSTART:20261126\r\nSUMMARY:Thanks\r\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
            "`Thanks` recurs by a rule that is not read, `BYDAY=4TH`; export single dates",
        ),
        ("DTSTART:20261126\r\nRRULE:FREQ=DAILY", "not read, `FREQ=DAILY`; export single dates"),
        ("DTSTART:20261126\r\nEXRULE:FREQ=YEARLY", "has RDATE or EXRULE"),
        ("DTSTART:20261126\r\nRDATE:20271126", "has RDATE or EXRULE"),
        ("DTSTART:20261126\r\nEXDATE:later", "`later` is no date"),
        ("DTSTART:20261126\r\nRECURRENCE-ID;RANGE=THISANDFUTURE:20261126", "changes all that follow"),
        ("DTSTART", "NAME:value is expected"),
        ("DTSTART:20261126\r\nSUMMARY x", "NAME:value is expected"),
    ] {
        let told = calendar(&[event]).unwrap_err();
        assert!(told.message.contains(word), "{event}: {told}");
        assert!(told.at.is_some_and(|at| at >= 30), "{event}: {told:?}");
    }
}

#[test]
fn what_is_no_calendar_is_told_with_its_place() {
    for (text, word, at) in [
        ("", "it is empty", None),
        ("date,name\n2026-12-24,Eve\n", "begins with BEGIN:VCALENDAR", Some(0)),
        ("<html>", "begins with BEGIN:VCALENDAR", Some(0)),
        ("BEGIN:VEVENT\nEND:VEVENT\n", "begins with BEGIN:VCALENDAR", Some(0)),
        ("BEGIN:VCALENDAR\n", "ends within a `VCALENDAR`", Some(16)),
        ("BEGIN:VCALENDAR\nEND:VEVENT\n", "ends what has not begun", Some(16)),
        ("BEGIN:VCALENDAR\nEND:VCALENDAR\nmore\n", "begins with BEGIN:VCALENDAR", Some(30)),
        (" BEGIN:VCALENDAR\n", "goes on with a line that there is not", Some(0)),
    ] {
        let told = holidays(text).unwrap_err();
        assert!(told.message.contains(word), "{text}: {told}");
        assert_eq!(told.at, at, "{text}");
    }
}

#[test]
fn a_calendar_has_an_end_to_its_days() {
    let many = vec!["DTSTART;VALUE=DATE:20000101\r\nRRULE:FREQ=YEARLY"; 500];
    assert!(calendar(&many).unwrap_err().message.contains("more than 50000 days"));
    let name = format!("DTSTART:20261224\r\nSUMMARY:{}", "ä".repeat(1_000));
    assert_eq!(calendar(&[&name]).unwrap().holidays[0].summary.as_ref().unwrap().chars().count(), 200);
}
