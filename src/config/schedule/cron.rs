//! Cron patterns, as a set of civil times. croner reads them and knows their days; that it never searches for a match is
//! what bounds a pattern that has none.

use std::fmt;
use std::str::FromStr;

use croner::Cron;
use croner::errors::CronError;
use jiff::civil::Date;

use crate::config::problem::shown;

/// The longest pattern in bytes: each of its minutes written one by one fits.
const BYTES_MAX: usize = 512;
const FIELDS: [&str; 5] = ["minute", "hour", "day of month", "month", "weekday"];
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];

/// The times of a cron pattern of five fields, by the minute.
#[derive(Clone, Debug)]
pub struct CronStart {
    text: Box<str>,
    cron: Box<Cron>,
    /// From midnight on, in order.
    minutes: Box<[u16]>,
}

impl CronStart {
    /// Reads five fields: minute, hour, day of month, month, weekday. If both kinds of days are given, one of them is
    /// enough, as in crontab. `L`, `W` and `#` are taken for days.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > BYTES_MAX {
            return Err(format!("this pattern is longer than {BYTES_MAX} bytes"));
        }
        let fields: Vec<String> = text.split_whitespace().map(str::to_uppercase).collect();
        if fields.len() != FIELDS.len() {
            let seconds = if fields.len() == 6 { "; seconds and years are not taken" } else { "" };
            let found = match fields.len() {
                1 => "one field".to_owned(),
                many => format!("{many} fields"),
            };
            let needed = "a cron pattern has five: minute, hour, day of month, month, weekday";
            return Err(format!("{} has {found}, and {needed}{seconds}", shown(text)));
        }
        for (field, name) in fields.iter().zip(FIELDS) {
            check(field, name)?;
        }
        let cron = Cron::from_str(&fields.join(" ")).map_err(|error| told(&fields, &error))?;
        let minutes: Box<[u16]> = minutes(&cron).collect();
        if minutes.is_empty() {
            return Err(format!("{} names no time of day", shown(text)));
        }
        Ok(Self { text: text.into(), cron: cron.into(), minutes })
    }

    /// As it was written, without white space around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it ever starts anything: `0 0 30 2 *` does not. All kinds of years are tried.
    #[must_use]
    pub fn starts_ever(&self) -> bool {
        // In 28 years each date has been on each weekday, 29 February too.
        let first = jiff::civil::date(2001, 1, 1);
        let days = std::iter::successors(Some(first), |day| day.tomorrow().ok());
        days.take_while(|day| day.year() <= 2028).any(|day| self.is_on(day))
    }

    /// Whether it starts anything on a day.
    pub(super) fn is_on(&self, day: Date) -> bool {
        let pattern = &self.cron.pattern;
        let (month, date) = (day.month().unsigned_abs().into(), day.day().unsigned_abs().into());
        // Errors are of months and days that there are not.
        pattern.month_match(month).unwrap_or(false)
            && pattern.day_match(day.year().into(), month, date).unwrap_or(false)
    }

    /// Its times on each of its days in minutes from midnight, in order.
    pub(super) fn minutes(&self) -> &[u16] {
        &self.minutes
    }
}

impl fmt::Display for CronStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What croner says is wrong, and in which field.
fn told(fields: &[String], error: &CronError) -> String {
    const RANGES: [&str; 5] = ["0 to 59", "0 to 23", "1 to 31", "1 to 12", "0 to 7, both ends Sunday"];
    let what = match error {
        CronError::ComponentError(what)
        | CronError::InvalidPattern(what)
        | CronError::IllegalCharacters(what) => what.trim_end_matches('.').to_lowercase(),
        other => other.to_string(),
    };
    let alone = |at: usize| {
        let mut others = ["*"; FIELDS.len()];
        others[at] = &fields[at];
        others.join(" ")
    };
    match (0..FIELDS.len()).find(|at| Cron::from_str(&alone(*at)).is_err()) {
        Some(at) => {
            let (name, field, range) = (FIELDS[at], shown(&fields[at]), RANGES[at]);
            format!("{what} in the field of the {name}, {field}; it goes from {range}")
        }
        None => what,
    }
}

fn minutes(cron: &Cron) -> impl Iterator<Item = u16> {
    let hours = (0..24).filter(|hour| cron.pattern.hour_match(u32::from(*hour)).unwrap_or(false));
    let minute = |minute: &u16| cron.pattern.minute_match(u32::from(*minute)).unwrap_or(false);
    hours.flat_map(move |hour: u16| (0..60).filter(minute).map(move |minute| hour * 60 + minute))
}

/// Refuses what croner takes and reads otherwise than anybody would mean it: it puts numbers in the place of names
/// wherever they stand, and passes over empty items and what it has no use for.
fn check(field: &str, name: &'static str) -> Result<(), String> {
    let wrong = |what: String| Err(format!("{what} in the field of the {name}, {}", shown(field)));
    let (names, letters): (&[&str], &str) = match name {
        "day of month" => (&[], "LW?"),
        "month" => (&MONTHS, ""),
        "weekday" => (&WEEKDAYS, "L#?+"),
        _ => (&[], ""),
    };
    let legal = |c: &char| c.is_ascii_digit() || "*/,-".contains(*c) || letters.contains(*c);
    for item in field.split(',') {
        if item.is_empty() {
            return wrong("something is missing".to_owned());
        }
        let mut before = '\0';
        let mut rest = item;
        while let Some(next) = rest.chars().next() {
            // `FRIL` is the last Friday; a digit before a name would become a part of its number.
            let named = names.iter().find(|name| rest.starts_with(**name) && !before.is_alphanumeric());
            if named.is_none() && !legal(&next) || before.is_ascii_alphabetic() && next.is_ascii_digit() {
                return wrong(format!("{} is not understood", shown(item)));
            }
            let length = named.map_or(next.len_utf8(), |name| name.len());
            before = if named.is_some() { 'X' } else { next };
            rest = &rest[length..];
        }
        let joined = item.contains('?') && item != "?" || item.rfind('+').is_some_and(|at| at > 0);
        // croner loses Sunday there, if it is 7.
        if joined || item.contains("#L") {
            return wrong(format!("{} is not understood", shown(item)));
        }
        if name == "weekday" && matches!(item.trim_start_matches('+'), "L" | "7L") {
            return wrong(
                "the last of which weekday? Write 5L for the last Friday, 0L for the last Sunday".to_owned(),
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn days(text: &str, year: i16, month: i8) -> Vec<i8> {
        let start = CronStart::parse(text).unwrap();
        let days = std::iter::successors(Some(date(year, month, 1)), |day| day.tomorrow().ok());
        days.take_while(|day| day.month() == month).filter(|day| start.is_on(*day)).map(Date::day).collect()
    }

    #[test]
    fn a_pattern_has_its_times_and_days() {
        let start = CronStart::parse(" 0,30 8-9 * * * ").unwrap();
        assert_eq!(start.minutes(), [480, 510, 540, 570]);
        assert_eq!(start.as_str(), "0,30 8-9 * * *");
        assert_eq!(CronStart::parse("* * * * *").unwrap().minutes().len(), 1_440);
        // 1 September 2026 is a Tuesday.
        assert_eq!(days("0 0 * * MON", 2026, 9), [7, 14, 21, 28]);
        assert_eq!(days("0 0 * sep fri-sun", 2026, 9), [4, 5, 6, 11, 12, 13, 18, 19, 20, 25, 26, 27]);
        assert_eq!(days("0 0 1,15 * 7", 2026, 9), [1, 6, 13, 15, 20, 27]);
        assert_eq!(days("0 0 L * ?", 2026, 9), [30]);
        assert_eq!(days("0 0 5W * *", 2026, 9), [4]);
        assert_eq!(days("0 0 * * FRI#2", 2026, 9), [11]);
        assert_eq!(days("0 0 * * FRIL", 2026, 9), [25]);
        assert_eq!(days("0 0 * * SunL", 2026, 9), [27]);
        assert_eq!(days("0 0 1-7 * +MON", 2026, 9), [7]);
    }

    #[test]
    fn a_pattern_that_never_starts_anything_is_known() {
        for (text, ever) in
            [("0 0 29 2 *", true), ("0 0 * 2 MON#5", true), ("0 0 30 2 *", false), ("0 0 31 4,6 *", false)]
        {
            assert_eq!(CronStart::parse(text).unwrap().starts_ever(), ever, "{text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for (text, word) in [
            ("", "0 fields, and a cron pattern has five"),
            ("@daily", "has one field"),
            ("0 8 * *", "has 4 fields"),
            ("0 0 8 * * *", "seconds and years are not taken"),
            ("60 8 * * *", "number out of bounds in the field of the minute, `60`; it goes from 0 to 59"),
            ("0 8 1-32 * *", "range out of bounds in the field of the day of month, `1-32`"),
            (
                "0 8 * * fri-mon",
                "range out of bounds in the field of the weekday, `FRI-MON`; it goes from 0 to 7",
            ),
            ("x 8 * * *", "not understood in the field of the minute"),
            ("0 MON * * *", "not understood in the field of the hour"),
            ("0 1SUN * * *", "not understood in the field of the hour"),
            ("0 0 * * 1SUN", "not understood"),
            ("0 0 * * SUN1", "not understood"),
            ("0 0 * * MONDAY", "not understood"),
            ("0 0 * MARCH *", "not understood"),
            ("0 0 * JANFEB *", "not understood"),
            (", 8 * * *", "something is missing"),
            ("1,,2 8 * * *", "something is missing"),
            ("*/0 8 * * *", "step cannot be zero in the field of the minute"),
            ("0 8 * * L", "the last of which weekday?"),
            ("0 8 * * 7L", "the last of which weekday?"),
            ("0 8 * * 1+2", "not understood"),
            ("0 8 ?? * *", "not understood"),
            ("0 8 * * FRI-SUN#L", "not understood"),
            ("0 8 * * ß", "not understood"),
        ] {
            let told = CronStart::parse(text).unwrap_err();
            assert!(told.contains(word), "{text}: {told}");
        }
        assert!(CronStart::parse(&"1 ".repeat(1_000)).unwrap_err().contains("longer than"));
    }
}
