//! Sets of weekdays.

use std::fmt;

use jiff::civil::Weekday;

use crate::config::problem::shown;
use crate::config::read::did_you_mean;

const HELP: &str = "write days as \"Mon-Fri\" or \"Mon,Wed,Fri\"";
/// From Monday on, which is how a set counts them.
const NAMES: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A set of weekdays, one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u8);

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0b111_1111);

    /// Reads `Mon-Fri`, `Mon,Wed,Fri`, `Sat-Mon` (around the week's end), `Mon-Fri,Sun`: English names, whole or their
    /// first three letters, without case.
    ///
    /// # Errors
    ///
    /// What cannot be read, and how days are written.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err(format!("no day is named; {HELP}"));
        }
        let mut set = 0;
        for part in text.split(',') {
            let Some((first, last)) = part.split_once('-') else {
                set |= 1 << day(part)?;
                continue;
            };
            let (first, last) = (day(first)?, day(last)?);
            if first == last {
                let name = short(first);
                return Err(format!(
                    "{} is one day or all of them: write {name}, or Mon-Sun",
                    shown(part.trim())
                ));
            }
            let many = (last + 7 - first) % 7;
            set |= (0..=many).fold(0, |set, next| set | 1 << ((first + next) % 7));
        }
        Ok(Self(set))
    }

    /// Whether a day is one of them.
    #[must_use]
    pub fn contains(self, day: Weekday) -> bool {
        self.contains_index(usize::from(day.to_monday_zero_offset().unsigned_abs()))
    }

    /// The same for days that are counted from Monday = 0 on.
    pub(super) fn contains_index(self, day: usize) -> bool {
        self.0 & 1 << (day % 7) != 0
    }
}

/// As they are best written: from Monday on, three and more in a row as a range, also around the week's end.
impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |day: usize| self.contains_index(day);
        if *self == Self::ALL {
            return f.write_str("Mon-Sun");
        }
        let mut written = false;
        for first in (0..7).filter(|day| has(*day) && !has(day + 6)) {
            let many = (first..first + 7).take_while(|day| has(*day)).count();
            let last = first + many - 1;
            let comma = if written { "," } else { "" };
            match many {
                1 => write!(f, "{comma}{}", short(first))?,
                2 => write!(f, "{comma}{},{}", short(first), short(last))?,
                _ => write!(f, "{comma}{}-{}", short(first), short(last))?,
            }
            written = true;
        }
        Ok(())
    }
}

fn short(day: usize) -> &'static str {
    &NAMES[day % 7][..3]
}

/// Which day this is, from Monday = 0 on.
fn day(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let is = |name: &&str| text.eq_ignore_ascii_case(name) || text.eq_ignore_ascii_case(&name[..3]);
    NAMES.iter().position(is).ok_or_else(|| {
        // What is longer is no misspelt day, and a long comparison.
        match did_you_mean(text, &NAMES).filter(|_| text.len() <= 16) {
            _ if text.is_empty() => format!("a day is missing; {HELP}"),
            Some(near) => format!("{} is no weekday; did you mean {near}?", shown(text)),
            None => format!("{} is no weekday; {HELP}", shown(text)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        Days::parse(text).unwrap().to_string()
    }

    #[test]
    fn days_are_read_without_case_and_written_canonically() {
        for (text, expected) in [
            ("Mon-Fri", "Mon-Fri"),
            ("fri,MON , wednesday", "Mon,Wed,Fri"),
            ("Sat-Mon", "Sat-Mon"),
            ("Monday - Friday,Sun", "Sun-Fri"),
            ("Mon,Tue", "Mon,Tue"),
            ("sun,sat", "Sat,Sun"),
            ("Tue-Mon", "Mon-Sun"),
            ("Mon,Mon", "Mon"),
            ("Wed,Sat-Mon", "Wed,Sat-Mon"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn every_set_is_read_as_it_is_written() {
        for set in 1..=0b111_1111 {
            assert_eq!(Days::parse(&Days(set).to_string()), Ok(Days(set)));
        }
    }

    #[test]
    fn a_set_contains_what_it_names() {
        let days = Days::parse("Sat-Mon").unwrap();
        let contained: Vec<_> =
            Weekday::Monday.cycle_forward().take(7).filter(|day| days.contains(*day)).collect();
        assert_eq!(contained, [Weekday::Monday, Weekday::Saturday, Weekday::Sunday]);
    }

    #[test]
    fn what_is_no_day_is_told() {
        for (text, word) in [
            ("", "no day is named"),
            (" ", "no day is named"),
            ("Mon,", "a day is missing"),
            ("-Fri", "a day is missing"),
            ("Mo-Fr", "no weekday"),
            ("Wendesday", "did you mean Wednesday?"),
            ("Mon-Mon", "write Mon, or Mon-Sun"),
            ("Mon-Wed-Fri", "no weekday"),
            ("Mon–Fri", "no weekday"),
        ] {
            let told = Days::parse(text).unwrap_err();
            assert!(told.contains(word), "{text}: {told}");
        }
    }
}
