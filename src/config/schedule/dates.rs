//! Days of the calendar, and sets of them.

use std::fmt;

use jiff::civil::Date;

use crate::config::problem::shown;

/// One day, or some in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateRange {
    first: Date,
    last: Date,
}

impl DateRange {
    /// From one day to another, both included.
    ///
    /// # Errors
    ///
    /// The second is before the first.
    pub fn new(first: Date, last: Date) -> Result<Self, String> {
        if last < first {
            return Err(format!("{last} is before {first}"));
        }
        Ok(Self { first, last })
    }

    /// Reads `2026-12-24..2026-12-26`, both days included, or one day.
    ///
    /// # Errors
    ///
    /// What cannot be read, and how days are written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        Self::new(date(first)?, date(last)?)
    }

    /// The first day.
    #[must_use]
    pub fn first(&self) -> Date {
        self.first
    }

    /// The last day, which is one of them.
    #[must_use]
    pub fn last(&self) -> Date {
        self.last
    }
}

impl From<Date> for DateRange {
    fn from(date: Date) -> Self {
        Self { first: date, last: date }
    }
}

impl fmt::Display for DateRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}..{}", self.first, self.last)
        }
    }
}

fn date(text: &str) -> Result<Date, String> {
    let text = text.trim();
    let dashed = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, b)| if matches!(at, 4 | 7) { b == b'-' } else { b.is_ascii_digit() });
    if !dashed {
        let help = "write it as 2026-12-24, or 2026-12-24..2026-12-26 for some in a row";
        return Err(format!("{} is no day; {help}", shown(text)));
    }
    text.parse().map_err(|_| format!("there is no day {text}"))
}

/// Days on which nothing starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exceptions(
    /// Sorted, and apart by a day at least.
    Box<[DateRange]>,
);

impl Exceptions {
    /// Whether a day is one of them.
    #[must_use]
    pub fn contains(&self, date: Date) -> bool {
        self.around(date).is_some()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The days in order, those in a row together.
    #[must_use]
    pub fn ranges(&self) -> &[DateRange] {
        &self.0
    }

    /// The days in a row that a day is one of.
    pub(super) fn around(&self, date: Date) -> Option<DateRange> {
        let after = self.0.partition_point(|range| range.first <= date);
        let range = *self.0.get(after.checked_sub(1)?)?;
        (date <= range.last).then_some(range)
    }
}

impl FromIterator<DateRange> for Exceptions {
    fn from_iter<I: IntoIterator<Item = DateRange>>(ranges: I) -> Self {
        let mut sorted: Vec<DateRange> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged: Vec<DateRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(before) if before.last.tomorrow().map_or(true, |next| range.first <= next) => {
                    before.last = before.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        Self(merged.into())
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn exceptions(texts: &[&str]) -> Exceptions {
        texts.iter().map(|text| DateRange::parse(text).unwrap()).collect()
    }

    #[test]
    fn ranges_are_read_and_written() {
        for (text, expected) in [
            ("2026-12-24..2026-12-26", "2026-12-24..2026-12-26"),
            (" 2026-12-24 .. 2026-12-26 ", "2026-12-24..2026-12-26"),
            ("2028-02-29", "2028-02-29"),
            ("2026-12-24..2026-12-24", "2026-12-24"),
        ] {
            assert_eq!(DateRange::parse(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_day_is_told() {
        for (text, word) in [
            ("", "is no day"),
            ("2026-1-5", "is no day"),
            ("20261224", "is no day"),
            ("2026-12-24T00:00", "is no day"),
            ("2026-12-24...2026-12-26", "is no day"),
            ("2026-12-24..", "is no day"),
            ("24.12.2026", "is no day"),
            ("2026-02-29", "there is no day 2026-02-29"),
            ("2026-12-26..2026-12-24", "2026-12-24 is before 2026-12-26"),
        ] {
            let told = DateRange::parse(text).unwrap_err();
            assert!(told.contains(word), "{text}: {told}");
        }
    }

    #[test]
    fn days_in_a_row_become_one_range() {
        let days =
            exceptions(&["2026-12-26..2026-12-28", "2026-05-01", "2026-12-24..2026-12-25", "2026-12-24"]);
        let ranges: Vec<String> = days.ranges().iter().map(ToString::to_string).collect();
        assert_eq!(ranges, ["2026-05-01", "2026-12-24..2026-12-28"]);
        let last = exceptions(&["9999-12-30..9999-12-31", "9999-12-31"]);
        assert_eq!(last.ranges().len(), 1);
    }

    #[test]
    fn exceptions_contain_their_days_and_no_others() {
        let days = exceptions(&["2026-05-01", "2026-12-24..2026-12-26"]);
        for (day, contained) in [
            (date(2026, 4, 30), false),
            (date(2026, 5, 1), true),
            (date(2026, 5, 2), false),
            (date(2026, 12, 24), true),
            (date(2026, 12, 26), true),
            (date(2026, 12, 27), false),
        ] {
            assert_eq!(days.contains(day), contained, "{day}");
        }
        assert!(!Exceptions::default().contains(date(2026, 5, 1)) && Exceptions::default().is_empty());
    }
}
