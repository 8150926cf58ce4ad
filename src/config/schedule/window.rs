//! Times of day, and the windows between them.

use std::fmt;

use super::Days;
use crate::config::problem::shown;

/// Minutes of a day on a clock that shows each once.
pub(super) const DAY: u16 = 24 * 60;

/// A time of day in whole minutes, 00:00 to 24:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Reads `08:00` or `8:00`; `24:00` is the end of a day.
    ///
    /// # Errors
    ///
    /// What cannot be read, and how times are written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = |part: &str, lengths: &[usize]| {
            let plain = lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| part.parse::<u16>().ok()).flatten()
        };
        let parts = text
            .split_once(':')
            .and_then(|(hour, minute)| Some((digits(hour, &[1, 2])?, digits(minute, &[2])?)));
        match parts {
            Some((hour, minute)) if hour < 24 && minute < 60 || (hour, minute) == (24, 0) => {
                Ok(Self(hour * 60 + minute))
            }
            Some(_) => Err(format!("there is no {} in a day: 00:00 to 24:00", shown(text))),
            None if text.matches(':').count() == 2 => {
                Err(format!("{} has seconds; times are in whole minutes, such as \"08:00\"", shown(text)))
            }
            None => Err(format!("{} is no time of day; write it as \"08:00\" or \"17:30\"", shown(text))),
        }
    }

    /// Minutes from the day's beginning, 0 to 1,440.
    #[must_use]
    pub fn minutes(self) -> u16 {
        self.0
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// From one time of day to another, on some weekdays; past midnight where the second is the earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    days: Days,
    from: TimeOfDay,
    to: TimeOfDay,
}

impl Window {
    /// A window that starts on each of `days` at `from`, and ends at `to`: on the next day if that is earlier.
    ///
    /// # Errors
    ///
    /// Why there is no such window: it is empty, or starts where a day ends.
    pub fn new(days: Days, from: TimeOfDay, to: TimeOfDay) -> Result<Self, String> {
        if from == to {
            return Err(format!(
                "from {from} to {to} is no time at all; write 00:00 to 24:00 for a whole day"
            ));
        }
        if from.0 == DAY {
            return Err("nothing starts at 24:00; write 00:00 and the next day".to_owned());
        }
        Ok(Self { days, from, to })
    }

    /// The days on which it starts.
    #[must_use]
    pub fn days(&self) -> Days {
        self.days
    }

    /// When it starts.
    #[must_use]
    pub fn from(&self) -> TimeOfDay {
        self.from
    }

    /// When it ends: the first time at which it is over.
    #[must_use]
    pub fn to(&self) -> TimeOfDay {
        self.to
    }

    /// Where it ends in minutes from the beginning of the day on which it starts.
    pub(super) fn end(&self) -> u16 {
        if self.to > self.from { self.to.0 } else { DAY + self.to.0 }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}-{}", self.days, self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> TimeOfDay {
        TimeOfDay::parse(text).unwrap()
    }

    #[test]
    fn times_are_read_and_written() {
        for (text, expected) in
            [("08:00", "08:00"), ("8:05", "08:05"), ("00:00", "00:00"), (" 24:00 ", "24:00")]
        {
            assert_eq!(time(text).to_string(), expected);
        }
        assert_eq!(time("24:00").minutes(), 1_440);
    }

    #[test]
    fn what_is_no_time_is_told() {
        for (text, word) in [
            ("", "no time of day"),
            ("8", "no time of day"),
            ("8:5", "no time of day"),
            ("008:00", "no time of day"),
            ("+8:00", "no time of day"),
            ("8am", "no time of day"),
            ("08:00:00", "has seconds"),
            ("24:01", "00:00 to 24:00"),
            ("25:00", "00:00 to 24:00"),
            ("08:60", "00:00 to 24:00"),
        ] {
            let told = TimeOfDay::parse(text).unwrap_err();
            assert!(told.contains(word), "{text}: {told}");
        }
    }

    #[test]
    fn a_window_ends_after_it_starts() {
        let end = |from, to| Window::new(Days::ALL, time(from), time(to)).map(|window| window.end());
        assert_eq!(end("08:00", "17:00"), Ok(17 * 60));
        assert_eq!(end("22:00", "06:00"), Ok(30 * 60));
        assert_eq!(end("22:00", "00:00"), Ok(24 * 60));
        assert_eq!(end("00:00", "24:00"), Ok(24 * 60));
        assert!(end("08:00", "08:00").unwrap_err().contains("write 00:00 to 24:00"));
        assert!(end("24:00", "08:00").unwrap_err().contains("nothing starts at 24:00"));
    }

    #[test]
    fn a_window_is_written_as_it_is_meant() {
        let window = Window::new(Days::parse("mon-fri").unwrap(), time("8:00"), time("17:00")).unwrap();
        assert_eq!(window.to_string(), "Mon-Fri 08:00-17:00");
    }
}
