//! Recurrence by the year, RFC 5545 section 3.3.10: the one rule by which holidays on a fixed date recur.

use jiff::civil::Date;

use super::event::day;
use crate::config::problem::shown;

/// The years in which recurring events are held to take place.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2100;

/// Every year, or every so many, on the date of the start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Yearly {
    /// Years from one to the next, 1 at least.
    interval: i16,
    /// How many there are.
    count: Option<u32>,
    /// The last day on which one may begin.
    until: Option<Date>,
}

impl Yearly {
    /// Reads the rule of an event that begins on `start`.
    ///
    /// # Errors
    ///
    /// How it recurs instead, to go after "it recurs".
    pub(super) fn parse(text: &str, start: Date) -> Result<Self, String> {
        let mut rule = Self { interval: 1, count: None, until: None };
        let (mut yearly, mut month, mut day_of_month) = (false, false, false);
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let other = || format!("by a rule that is not read, {}", shown(part));
            match key.to_ascii_uppercase().as_str() {
                "FREQ" if value.eq_ignore_ascii_case("YEARLY") => yearly = true,
                "INTERVAL" => {
                    rule.interval = value.parse().ok().filter(|years| *years > 0).ok_or_else(other)?;
                }
                "COUNT" => rule.count = Some(value.parse().ok().filter(|many| *many > 0).ok_or_else(other)?),
                "UNTIL" => rule.until = Some(value.get(..8).and_then(day).ok_or_else(other)?),
                "BYMONTH" if value.parse() == Ok(start.month()) => month = true,
                "BYMONTHDAY" if value.parse() == Ok(start.day()) => day_of_month = true,
                // On which day weeks begin matters to rules by the week.
                "WKST" => {}
                _ => return Err(other()),
            }
        }
        if !yearly {
            return Err("by a rule that is not FREQ=YEARLY".to_owned());
        }
        if day_of_month && !month {
            return Err("on a day of every month (BYMONTHDAY without BYMONTH)".to_owned());
        }
        if rule.count.is_some() && rule.until.is_some() {
            return Err("by a rule that has both COUNT and UNTIL".to_owned());
        }
        Ok(rule)
    }

    /// The days on which it begins, in the years that count. What falls on 29 February takes place in leap years alone,
    /// as the standard has it.
    pub(super) fn days(&self, start: Date) -> Vec<Date> {
        let interval = usize::from(self.interval.unsigned_abs()).max(1);
        (start.year()..=*YEARS.end())
            .step_by(interval)
            .filter_map(|year| Date::new(year, start.month(), start.day()).ok())
            .take(self.count.map_or(usize::MAX, |many| usize::try_from(many).unwrap_or(usize::MAX)))
            .take_while(|day| self.until.is_none_or(|until| *day <= until))
            .filter(|day| YEARS.contains(&day.year()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn years(rule: &str, start: Date) -> Vec<i16> {
        Yearly::parse(rule, start).unwrap().days(start).into_iter().map(Date::year).collect()
    }

    #[test]
    fn a_rule_by_the_year_has_its_years() {
        let eve = date(2024, 12, 24);
        assert_eq!(years("FREQ=YEARLY", eve), (2024..=2100).collect::<Vec<_>>());
        assert_eq!(years("FREQ=YEARLY", date(1970, 12, 24)), (2000..=2100).collect::<Vec<_>>());
        assert_eq!(years("freq=yearly;COUNT=3", eve), [2024, 2025, 2026]);
        assert_eq!(years("FREQ=YEARLY;COUNT=3", date(1998, 1, 1)), [2000]);
        assert_eq!(years("FREQ=YEARLY;INTERVAL=2;UNTIL=20301224", eve), [2024, 2026, 2028, 2030]);
        assert_eq!(years("FREQ=YEARLY;UNTIL=20261223T000000Z", eve), [2024, 2025]);
        assert_eq!(years("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24;WKST=MO;COUNT=1", eve), [2024]);
        assert_eq!(years("FREQ=YEARLY;COUNT=3", date(2092, 2, 29)), [2092, 2096]);
        assert_eq!(years("FREQ=YEARLY;COUNT=3", date(2024, 2, 29)), [2024, 2028, 2032]);
    }

    #[test]
    fn another_rule_is_told() {
        for rule in [
            "",
            "FREQ=MONTHLY",
            "FREQ=YEARLY;BYDAY=4TH",
            "FREQ=YEARLY;BYMONTH=11",
            "FREQ=YEARLY;BYMONTH=12,11",
            "FREQ=YEARLY;BYMONTHDAY=24",
            "FREQ=YEARLY;INTERVAL=0",
            "FREQ=YEARLY;INTERVAL=-1",
            "FREQ=YEARLY;COUNT=0",
            "FREQ=YEARLY;COUNT=2;UNTIL=20301224",
            "FREQ=YEARLY;UNTIL=soon",
            "FREQ=YEARLY;BYEASTER=1",
            "INTERVAL=1",
        ] {
            assert!(Yearly::parse(rule, date(2024, 12, 24)).is_err(), "{rule}");
        }
    }
}
