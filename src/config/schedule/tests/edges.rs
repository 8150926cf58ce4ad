//! What is hard about clocks and calendars, case by case.

use super::*;

#[test]
fn a_week_has_its_windows() {
    let office = windows("Europe/Berlin", &["Mon-Fri 08:00-17:00"], &[]);
    let expected = ["11-26 07:00 to 11-26 16:00", "11-27 07:00 to 11-27 16:00", "11-30 07:00 to 11-30 16:00"];
    assert_eq!(openings(&office, "2026-11-26T00:00Z", "2026-12-01T00:00Z"), expected);
    // It starts with its first instant, and is over with the first that is no part of it.
    let open = |at: &str| office.at(at.parse().unwrap()).open;
    assert!(open("2026-11-26T07:00:00Z") && !open("2026-11-26T06:59:59.999999999Z"));
    assert!(open("2026-11-26T15:59:59.999999999Z") && !open("2026-11-26T16:00:00Z"));
}

#[test]
fn windows_that_adjoin_or_overlap_are_one_opening() {
    let noon =
        windows("UTC", &["Thu 08:00-12:00", "Thu 12:00-17:00", "Thu 16:00-20:00", "Thu 09:00-10:00"], &[]);
    assert_eq!(openings(&noon, "2026-11-26T00:00Z", "2026-11-27T00:00Z"), ["11-26 08:00 to 11-26 20:00"]);
    let night = windows("UTC", &["Thu 22:00-24:00", "Fri 00:00-06:00"], &[]);
    assert_eq!(openings(&night, "2026-11-26T00:00Z", "2026-11-28T00:00Z"), ["11-26 22:00 to 11-27 06:00"]);
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_starts() {
    let night = windows("UTC", &["Thu-Fri 22:00-06:00"], &["2026-11-27"]);
    // Friday is an exception: what began on Thursday goes on, what would begin on Friday does not begin.
    let expected = ["11-26 22:00 to 11-27 06:00", "12-03 22:00 to 12-04 06:00", "12-04 22:00 to 12-05 06:00"];
    assert_eq!(openings(&night, "2026-11-26T00:00Z", "2026-12-06T00:00Z"), expected);
    let monday = windows("UTC", &["Mon 22:00-06:00"], &[]);
    assert!(monday.at("2026-12-01T05:00Z".parse().unwrap()).open, "Tuesday morning is Monday's night");
    assert!(!monday.at("2026-11-30T05:00Z".parse().unwrap()).open);
}

#[test]
fn what_starts_in_a_gap_starts_right_after_it() {
    // Berlin, 29 March 2026: from 02:00 to 03:00 there is nothing; that is at 01:00 UTC.
    for (window, expected) in [
        ("Sun 02:30-05:00", vec!["03-29 01:00 to 03-29 03:00"]),
        ("Sun 01:00-02:30", vec!["03-29 00:00 to 03-29 01:00"]),
        ("Sun 02:10-02:50", vec![]),
        ("Sun 02:00-03:00", vec![]),
        ("Sat 22:00-02:30", vec!["03-28 21:00 to 03-29 01:00"]),
    ] {
        let found =
            openings(&windows("Europe/Berlin", &[window], &[]), "2026-03-28T12:00Z", "2026-03-30T00:00Z");
        assert_eq!(found, expected, "{window}");
    }
    let closed_in_the_gap = windows("Europe/Berlin", &["Sun 00:00-02:00", "Sun 03:00-06:00"], &[]);
    let found = openings(&closed_in_the_gap, "2026-03-28T12:00Z", "2026-03-30T00:00Z");
    assert_eq!(found, ["03-28 23:00 to 03-29 04:00"], "there is no time between them that night");
    let found =
        openings(&cron("Europe/Berlin", "15,45 2 * * *", 30, &[]), "2026-03-28T12:00Z", "2026-03-29T12:00Z");
    assert_eq!(found, ["03-29 01:00 to 03-29 01:30"]);
}

#[test]
fn what_starts_in_the_repeated_hour_starts_once() {
    // Berlin, 25 October 2026: 02:00 to 03:00 is shown from 00:00 UTC and from 01:00 UTC on.
    for (window, expected) in [
        ("Sun 02:15-02:45", "10-25 00:15 to 10-25 00:45"),
        ("Sun 02:30-03:30", "10-25 00:30 to 10-25 02:30"),
        ("Sun 01:00-02:30", "10-24 23:00 to 10-25 00:30"),
        ("Sun 02:00-03:00", "10-25 00:00 to 10-25 02:00"),
    ] {
        let found =
            openings(&windows("Europe/Berlin", &[window], &[]), "2026-10-24T12:00Z", "2026-10-26T00:00Z");
        assert_eq!(found, [expected], "{window}");
    }
    let found =
        openings(&cron("Europe/Berlin", "30 2 * * *", 90, &[]), "2026-10-24T12:00Z", "2026-10-25T12:00Z");
    assert_eq!(found, ["10-25 00:30 to 10-25 02:00"]);
}

#[test]
fn a_clock_that_goes_back_over_midnight_starts_no_day_twice() {
    // Havana, 1 November 2026: at 01:00 it is 00:00 again, 05:00 UTC. St. John's until 2011: at 00:01 it was 23:01.
    let first_hour = windows("America/Havana", &["Sun 00:30-02:00"], &[]);
    assert_eq!(
        openings(&first_hour, "2026-11-01T00:00Z", "2026-11-02T00:00Z"),
        ["11-01 04:30 to 11-01 07:00"]
    );
    let minute = windows("America/St_Johns", &["Sat 23:30-24:00", "Sun 00:00-00:30"], &[]);
    let found = openings(&minute, "2010-11-06T12:00Z", "2010-11-08T00:00Z");
    assert_eq!(found, ["11-07 02:00 to 11-07 04:00"]);
    let sunday = windows("America/St_Johns", &["Sun 00:00-08:00"], &[]);
    // 02:35 UTC is 23:05 on Saturday for the second time: Sunday's window began at 00:00, at 02:30 UTC, and goes on.
    assert!(sunday.at("2010-11-07T02:35Z".parse().unwrap()).open);
    assert_eq!(openings(&sunday, "2010-11-06T12:00Z", "2010-11-08T00:00Z"), ["11-07 02:30 to 11-07 11:30"]);
}

#[test]
fn what_ends_in_an_hour_over_midnight_that_is_shown_again_is_joined_by_the_next_day() {
    // It ends when it is 23:30 on Saturday for the second time, and Sunday began an hour before.
    let nights = cron("America/St_Johns", "0 0,23 * * *", 90, &[]);
    assert_eq!(openings(&nights, "2010-11-07T00:00Z", "2010-11-08T00:00Z"), ["11-07 01:30 to 11-07 04:00"]);
}

#[test]
fn lord_howe_moves_its_clock_by_half_an_hour() {
    // 4 October 2026: from 02:00 to 02:30 there is nothing, at 15:30 UTC. 5 April: 01:30 to 02:00 twice.
    let morning = windows("Australia/Lord_Howe", &["Sun 01:45-02:15"], &[]);
    assert_eq!(openings(&morning, "2026-10-03T12:00Z", "2026-10-04T12:00Z"), ["10-03 15:15 to 10-03 15:30"]);
    assert_eq!(openings(&morning, "2026-04-04T12:00Z", "2026-04-05T12:00Z"), ["04-04 14:45 to 04-04 15:45"]);
}

#[test]
fn a_day_that_apia_skipped_starts_nothing_but_what_goes_on_after_it() {
    // After 29 December 2011 came the 31st, at 10:00 UTC on the 30th.
    let day = windows("Pacific/Apia", &["Mon-Sun 08:00-17:00"], &[]);
    let expected = ["12-28 18:00 to 12-29 03:00", "12-29 18:00 to 12-30 03:00", "12-30 18:00 to 12-31 03:00"];
    assert_eq!(openings(&day, "2011-12-28T12:00Z", "2011-12-31T12:00Z"), expected);
    let friday = windows("Pacific/Apia", &["Fri 22:00-06:00"], &[]);
    assert_eq!(openings(&friday, "2011-12-29T12:00Z", "2012-01-01T12:00Z"), ["12-30 10:00 to 12-30 16:00"]);
    let noon = cron("Pacific/Apia", "0 12 * * FRI", 60, &[]);
    assert_eq!(openings(&noon, "2011-12-29T12:00Z", "2012-01-01T12:00Z"), ["12-30 10:00 to 12-30 11:00"]);
}

#[test]
fn the_29th_of_february_comes_again_after_eight_years() {
    let leap = cron("UTC", "0 9 29 2 *", 60, &[]);
    let until = |at: &str| leap.at(at.parse().unwrap()).until.unwrap().to_string();
    assert_eq!(until("2096-02-29T10:00Z"), "2104-02-29T09:00:00Z");
    assert_eq!(until("2026-11-26T00:00Z"), "2028-02-29T09:00:00Z");
    let fifth_monday = cron("UTC", "0 9 * 2 MON#5", 60, &[]);
    let next = fifth_monday.at("2072-03-01T00:00Z".parse().unwrap()).until.unwrap();
    assert_eq!(next.to_string(), "2112-02-29T09:00:00Z", "forty years later, because 2100 has none");
}

#[test]
fn what_never_opens_or_never_ends_has_no_edge() {
    let at = "2026-11-26T12:00Z".parse().unwrap();
    let never = Now { open: false, until: None };
    assert_eq!(cron("Europe/Berlin", "0 0 30 2 *", 60, &[]).at(at), never);
    assert_eq!(windows("UTC", &[], &[]).at(at), never);
    assert_eq!(windows("UTC", &["Mon-Sun 00:00-24:00"], &["2026-01-01..9999-12-31"]).at(at), never);
    let always = Now { open: true, until: None };
    assert_eq!(windows("Europe/Berlin", &["Mon-Sun 00:00-24:00"], &[]).at(at), always);
    assert_eq!(windows("Europe/Berlin", &["Mon-Sun 12:00-11:59", "Mon-Sun 11:00-13:00"], &[]).at(at), always);
    assert_eq!(cron("UTC", "* * * * *", 1, &[]).at(at), always);
    assert_eq!(cron("Europe/Berlin", "* * * * *", 61, &[]).at(at), always);
    let repeated = cron("Europe/Berlin", "* * * * *", 60, &[]).at(at);
    let expected = Now { open: true, until: Some("2027-10-31T01:59Z".parse().unwrap()) };
    assert_eq!(repeated, expected, "it starts in no minute of an hour that was shown before");
}

#[test]
fn the_last_opening_before_endless_exceptions_ends() {
    let last = windows("UTC", &["Mon-Sun 08:00-17:00"], &["2026-11-27..9999-12-31"]);
    assert_eq!(openings(&last, "2026-11-26T00:00Z", "2027-01-01T00:00Z"), ["11-26 08:00 to 11-26 17:00"]);
    let years = windows("UTC", &["Mon-Sun 08:00-17:00"], &["2026-11-27..2076-12-31"]);
    let now = years.at("2026-11-26T18:00Z".parse().unwrap());
    assert_eq!(now.until.unwrap().to_string(), "2077-01-01T08:00:00Z");
}

#[test]
fn openings_by_cron_last_in_elapsed_time_and_join() {
    let shift = cron("Europe/Berlin", "0 22 * * SAT", 8 * 60, &[]);
    assert_eq!(openings(&shift, "2026-03-28T12:00Z", "2026-03-30T00:00Z"), ["03-28 21:00 to 03-29 05:00"]);
    let joined = cron("UTC", "0,30 8-9 * * *", 30, &[]);
    assert_eq!(openings(&joined, "2026-11-26T00:00Z", "2026-11-27T00:00Z"), ["11-26 08:00 to 11-26 10:00"]);
    let apart = cron("UTC", "0,30 8 * * *", 29, &["2026-11-27"]);
    let expected = ["11-26 08:00 to 11-26 08:29", "11-26 08:30 to 11-26 08:59", "11-28 08:00 to 11-28 08:29"];
    assert_eq!(openings(&apart, "2026-11-26T00:00Z", "2026-11-28T08:15Z"), expected);
    let week = cron("UTC", "0 0 * * MON", 7 * 24 * 60, &["2026-12-07"]);
    assert_eq!(openings(&week, "2026-12-01T00:00Z", "2026-12-09T00:00Z"), ["before to 12-07 00:00"]);
}

#[test]
fn a_duration_counts_in_seconds_within_its_bounds() {
    let open_for = |duration: Duration| {
        let start = CronStart::parse("0 9 * * *").unwrap();
        let timetable = timetable("UTC", Opens::Cron { start, duration }, &[]);
        let start = "2026-11-26T09:00Z".parse().unwrap();
        timetable.at(start).until.map(|end| end.duration_since(start).as_secs())
    };
    assert_eq!(open_for(Duration::from_secs(90)), Some(90));
    assert_eq!(open_for(Duration::ZERO), Some(60));
    assert_eq!(open_for(Duration::from_secs(24 * 3_600)), None, "each is followed by the next");
    assert_eq!(open_for(Duration::MAX), None);
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    let zones = ["UTC", "Pacific/Apia", "America/New_York"];
    let tables = |zone| {
        let office = windows(zone, &["Mon-Sun 08:00-17:00", "Mon-Sun 22:00-06:00"], &[]);
        [office, cron(zone, "*/5 * * * *", 60 * 24 * 7, &[]), cron(zone, "0 0 29 2 *", 1, &["9999-12-31"])]
    };
    let mut asked = 0;
    for table in zones.into_iter().flat_map(tables) {
        for at in [Timestamp::MIN, Timestamp::MAX, "9999-12-28T23:59Z".parse().unwrap()] {
            let now = table.at(at);
            assert!(now.until.is_none_or(|until| until > at), "{now:?} at {at}");
            asked += 1;
        }
    }
    assert_eq!(asked, 27);
}
