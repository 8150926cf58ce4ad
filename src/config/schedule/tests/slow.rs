//! A second reading of schedules, minute by minute, that shares nothing with the first but the clock of a zone: it goes
//! through all minutes, keeps the latest time that the clock has shown, and asks of that.

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(super) const DAY: i64 = 24 * 60;

/// What a zone's clock has shown so far, minute by minute.
pub(super) struct Track {
    /// Minutes from 1970-01-01 UTC to the first one.
    pub(super) first: i64,
    /// The latest civil time shown, in minutes from 1970-01-01 on a clock that shows each once.
    pub(super) shown: Vec<i64>,
    /// Where the clock jumped or stood still, as positions.
    pub(super) jumps: Vec<usize>,
}

impl Track {
    /// From one minute to another.
    pub(super) fn new(zone: &TimeZone, minutes: std::ops::Range<i64>) -> Self {
        let mut latest = i64::MIN;
        let mut today = (jiff::civil::Date::MIN, 0);
        let shown = minutes.clone().map(|minute| {
            let civil = zone.to_datetime(timestamp(minute));
            if civil.date() != today.0 {
                let date = (i64::from(civil.year()), i64::from(civil.month()), i64::from(civil.day()));
                today = (civil.date(), days_before(date));
            }
            let time = i64::from(civil.hour()) * 60 + i64::from(civil.minute());
            latest = latest.max(today.1 * DAY + time);
            latest
        });
        let shown: Vec<i64> = shown.collect();
        let mut before = 1;
        let changed = |(at, pair): (usize, &[i64])| {
            let step = pair[1] - pair[0];
            (std::mem::replace(&mut before, step) != step).then_some(at + 1)
        };
        let jumps = shown.windows(2).enumerate().filter_map(changed).collect();
        Self { first: minutes.start, shown, jumps }
    }
}

pub(super) fn timestamp(minute: i64) -> Timestamp {
    Timestamp::from_second(minute * 60).unwrap()
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: 365 for each year, and one for each 29 February.
pub(super) fn days_before((year, month, day): (i64, i64, i64)) -> i64 {
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][usize::try_from(month - 1).unwrap()];
    let this = i64::from(month > 2 && leap_days(year) > leap_days(year - 1));
    (year - 1_970) * 365 + leap_days(year - 1) - leap_days(1_969) + before + this + day - 1
}

/// Month, day of the month, and weekday from Monday = 0 on.
pub(super) fn day_named(days: i64) -> (i64, i64, usize) {
    let mut year = 1_970 + days / 366;
    while days_before((year + 1, 1, 1)) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days_before((year, *month, 1)) <= days).unwrap();
    // 1970-01-01 was a Thursday.
    (month, days - days_before((year, month, 1)) + 1, usize::try_from((days + 3).rem_euclid(7)).unwrap())
}

/// Windows and cron patterns as sets of numbers.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    /// Weekdays from Monday on, and minutes of the day.
    Windows(Vec<([bool; 7], i64, i64)>),
    Cron {
        minutes: Vec<bool>,
        hours: Vec<bool>,
        dates: Option<Vec<bool>>,
        months: Vec<bool>,
        weekdays: Option<[bool; 7]>,
        lasting: i64,
    },
}

impl Rule {
    /// Whether it is open at each minute of a track. `excepted`: days on which nothing starts.
    pub(super) fn read(&self, track: &Track, excepted: &dyn Fn(i64) -> bool) -> Vec<bool> {
        match self {
            Self::Windows(windows) => {
                let mut known: Option<(i64, Vec<bool>)> = None;
                let mut open = |time: i64| {
                    let today = time.div_euclid(DAY);
                    if known.as_ref().is_none_or(|(day, _)| *day != today) {
                        known = Some((today, minutes_open(windows, today, excepted)));
                    }
                    known
                        .as_ref()
                        .is_some_and(|(_, minutes)| minutes[usize::try_from(time.rem_euclid(DAY)).unwrap()])
                };
                track.shown.iter().map(|time| open(*time)).collect()
            }
            Self::Cron { lasting, .. } => {
                let mut known = (i64::MIN, false);
                let (mut before, mut left) = (track.shown[0] - 1, 0);
                let open = track.shown.iter().map(|latest| {
                    left -= 1;
                    for time in before + 1..=*latest {
                        let today = time.div_euclid(DAY);
                        if known.0 != today {
                            known = (today, self.starts_on(today) && !excepted(today));
                        }
                        if known.1 && self.starts_at(time.rem_euclid(DAY)) {
                            left = *lasting;
                        }
                    }
                    before = *latest;
                    left > 0
                });
                open.collect()
            }
        }
    }

    fn starts_on(&self, day: i64) -> bool {
        let Self::Cron { dates, months, weekdays, .. } = self else { return false };
        let (month, date, weekday) = day_named(day);
        let date = dates.as_ref().map(|dates| dates[usize::try_from(date).unwrap()]);
        let weekday = weekdays.as_ref().map(|weekdays| weekdays[weekday]);
        months[usize::try_from(month).unwrap()]
            && match (date, weekday) {
                (Some(date), Some(weekday)) => date || weekday,
                (one, other) => one.or(other).unwrap_or(true),
            }
    }

    fn starts_at(&self, minute: i64) -> bool {
        let Self::Cron { minutes, hours, .. } = self else { return false };
        minutes[usize::try_from(minute % 60).unwrap()] && hours[usize::try_from(minute / 60).unwrap()]
    }
}

/// The minutes of a day on which one of the windows is open that started on it or the day before.
fn minutes_open(windows: &[([bool; 7], i64, i64)], day: i64, excepted: &dyn Fn(i64) -> bool) -> Vec<bool> {
    let starts = |days: &[bool; 7], day: i64| days[day_named(day).2] && !excepted(day);
    let starting: Vec<_> = windows
        .iter()
        .map(|(days, from, to)| (starts(days, day), starts(days, day - 1), *from, *to))
        .collect();
    let open = |minute: i64| {
        starting.iter().any(|&(today, yesterday, from, to)| {
            let began = minute >= from && (minute < to || to < from);
            today && began || yesterday && to < from && minute < to
        })
    };
    (0..DAY).map(open).collect()
}

#[test]
fn the_slow_reading_knows_the_calendar() {
    assert_eq!(days_before((1970, 1, 1)), 0);
    assert_eq!(days_before((2000, 2, 29)) + 1, days_before((2000, 3, 1)));
    assert_eq!(days_before((2100, 2, 28)) + 1, days_before((2100, 3, 1)));
    // 26 November 2026 is a Thursday.
    assert_eq!(day_named(days_before((2026, 11, 26))), (11, 26, 3));
    assert_eq!(day_named(days_before((2096, 2, 29))), (2, 29, 2));
}
