//! One event of a calendar, RFC 5545 section 3.6.1: when it is, if it is an all-day one.

use jiff::civil::Date;
use jiff::{Span, SpanFieldwise};

use super::content::{Content, Line};
use super::yearly::Yearly;
use super::{CalendarError, DateRange};
use crate::config::problem::shown;

/// The longest name that is kept, in characters: it is kept once for each year.
const SUMMARY_CHARS_MAX: usize = 200;
/// Dates taken out of a recurrence. A file that has more of them is read slowly, and is not written by anybody.
const EXDATES_MAX: usize = 1_000;

/// What is written of an event, not looked at any closer yet: it may turn out to be timed, and then nothing of it counts.
pub(super) struct Event {
    at: usize,
    start: Option<Content>,
    end: Option<Content>,
    duration: Option<Content>,
    rule: Option<Content>,
    except: Vec<Content>,
    instead_of: Option<Content>,
    dates: Option<Content>,
    uid: Option<String>,
    summary: Option<String>,
    cancelled: bool,
}

/// What an event turned out to be.
pub(super) enum Written {
    AllDay(AllDay),
    Timed,
}

/// An event of whole days.
pub(super) struct AllDay {
    at: usize,
    first: DateRange,
    rule: Option<Yearly>,
    except: Vec<Date>,
    pub(super) uid: Option<String>,
    /// The occurrence of the recurring event with the same uid for which it stands.
    pub(super) instead_of: Option<Date>,
    pub(super) summary: Option<String>,
    pub(super) cancelled: bool,
}

impl Event {
    pub(super) fn new(at: usize) -> Self {
        Self {
            at,
            start: None,
            end: None,
            duration: None,
            rule: None,
            except: Vec::new(),
            instead_of: None,
            dates: None,
            uid: None,
            summary: None,
            cancelled: false,
        }
    }

    /// Takes a line of it into account.
    pub(super) fn take(&mut self, line: &Line) -> Result<(), CalendarError> {
        let slot = match line.name().as_str() {
            "DTSTART" => &mut self.start,
            "DTEND" => &mut self.end,
            "DURATION" => &mut self.duration,
            "RRULE" => &mut self.rule,
            "RDATE" | "EXRULE" => &mut self.dates,
            "RECURRENCE-ID" => &mut self.instead_of,
            "EXDATE" => {
                self.except.push(line.content()?);
                return Ok(());
            }
            "UID" => {
                self.uid = Some(line.content()?.value);
                return Ok(());
            }
            "SUMMARY" => {
                let summary: String = line.content()?.value.chars().take(SUMMARY_CHARS_MAX).collect();
                self.summary = Some(summary).filter(|summary| !summary.is_empty());
                return Ok(());
            }
            "STATUS" => {
                self.cancelled = line.content()?.value.eq_ignore_ascii_case("CANCELLED");
                return Ok(());
            }
            _ => return line.check(),
        };
        if slot.is_some() {
            return Err(CalendarError::new(format!("a second {} in one event", line.name()), line.at));
        }
        *slot = Some(line.content()?);
        Ok(())
    }

    /// What it turns out to be.
    pub(super) fn read(self) -> Result<Written, CalendarError> {
        let name = self.summary.as_deref().or(self.uid.as_deref()).map_or("an event".to_owned(), shown);
        let Some(start) = &self.start else {
            return Err(CalendarError::new(format!("{name} has no DTSTART"), self.at));
        };
        let Some(first) = date(start)? else { return Ok(Written::Timed) };
        let range = self.range(first, &name)?;
        let mut all_day = AllDay {
            at: self.at,
            first: range,
            rule: None,
            except: Vec::new(),
            uid: self.uid,
            instead_of: None,
            summary: self.summary,
            cancelled: self.cancelled,
        };
        if let Some(of) = &self.instead_of {
            if of.parameter("RANGE").is_some() {
                let message =
                    format!("{name} changes all that follow, which is not read; export single dates");
                return Err(CalendarError::new(message, of.at));
            }
            all_day.instead_of = Some(day_of(of)?);
        }
        if self.cancelled {
            return Ok(Written::AllDay(all_day));
        }
        if let Some(dates) = &self.dates {
            let message = format!("{name} has RDATE or EXRULE, which are not read; export single dates");
            return Err(CalendarError::new(message, dates.at));
        }
        if let Some(rule) = &self.rule {
            let rule = Yearly::parse(&rule.value, first).map_err(|wrong| {
                CalendarError::new(format!("{name} recurs {wrong}; export single dates"), rule.at)
            })?;
            all_day.rule = Some(rule);
        }
        all_day.except = exceptions(&self.except, &name)?;
        Ok(Written::AllDay(all_day))
    }

    /// Its days, of which `first` is the first one.
    fn range(&self, first: Date, name: &str) -> Result<DateRange, CalendarError> {
        let days = match (&self.end, &self.duration) {
            (Some(end), Some(_)) => {
                return Err(CalendarError::new(format!("{name} has both DTEND and DURATION"), end.at));
            }
            (Some(end), None) => {
                let Some(after) = date(end)? else {
                    return Err(CalendarError::new(
                        format!("{name} begins with a day and ends at a time"),
                        end.at,
                    ));
                };
                let days = first.duration_until(after).as_hours() / 24;
                if days < 0 {
                    return Err(CalendarError::new(format!("{name} ends before it begins"), end.at));
                }
                // Some write the day itself as the end of a day, though the end is no part of it.
                days.max(1)
            }
            (None, Some(lasting)) => whole_days(&lasting.value).ok_or_else(|| {
                let message = format!("{name} lasts {}, which is not in whole days", shown(&lasting.value));
                CalendarError::new(message, lasting.at)
            })?,
            (None, None) => 1,
        };
        let last = Span::new().try_days(days - 1).ok().and_then(|more| first.checked_add(more).ok());
        let range = last.and_then(|last| DateRange::new(first, last).ok());
        range.ok_or_else(|| CalendarError::new(format!("{name} ends after all time"), self.at))
    }
}

impl AllDay {
    /// Its days, each time that it takes place.
    pub(super) fn occurrences(&self) -> Result<Vec<DateRange>, CalendarError> {
        let days = self.first.first().duration_until(self.first.last()).as_hours() / 24;
        let firsts = match &self.rule {
            Some(rule) => rule.days(self.first.first()),
            None => vec![self.first.first()],
        };
        let ends = |first: Date| {
            let last =
                Span::new().try_days(days).and_then(|more| first.checked_add(more)).map_err(|_| "time ends");
            last.map_err(str::to_owned).and_then(|last| DateRange::new(first, last))
        };
        let left = firsts.into_iter().filter(|day| !self.except.contains(day));
        left.map(|first| ends(first).map_err(|message| CalendarError::new(message, self.at))).collect()
    }
}

/// The days that are taken out of a recurrence.
fn exceptions(written: &[Content], name: &str) -> Result<Vec<Date>, CalendarError> {
    let mut days = Vec::new();
    for content in written {
        for item in content.value.split(',') {
            let found = day(item.get(..8).unwrap_or(item));
            days.push(
                found.ok_or_else(|| CalendarError::new(format!("{} is no date", shown(item)), content.at))?,
            );
        }
        if days.len() > EXDATES_MAX {
            return Err(CalendarError::new(
                format!("{name} has more than {EXDATES_MAX} exceptions"),
                content.at,
            ));
        }
    }
    Ok(days)
}

/// The day of a property that has one; `None`: it has a time of day.
fn date(content: &Content) -> Result<Option<Date>, CalendarError> {
    let kind = content.parameter("VALUE").unwrap_or("");
    let wrong = || CalendarError::new(format!("{} is no date", shown(&content.value)), content.at);
    if content.value.len() == 8 && (kind.is_empty() || kind.eq_ignore_ascii_case("DATE")) {
        return day(&content.value).map(Some).ok_or_else(wrong);
    }
    let time = content.value.split_once('T').filter(|(date, _)| day(date).is_some());
    let time = time.map(|(_, time)| time.strip_suffix('Z').unwrap_or(time));
    match time {
        Some(time)
            if !kind.eq_ignore_ascii_case("DATE")
                && time.len() == 6
                && time.bytes().all(|b| b.is_ascii_digit()) =>
        {
            Ok(None)
        }
        _ => Err(wrong()),
    }
}

/// The day of a property that has one, or a time on it.
fn day_of(content: &Content) -> Result<Date, CalendarError> {
    let found = content.value.get(..8).and_then(day);
    found.ok_or_else(|| CalendarError::new(format!("{} is no date", shown(&content.value)), content.at))
}

/// `20261224`.
pub(super) fn day(text: &str) -> Option<Date> {
    if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Date::new(text[..4].parse().ok()?, text[4..6].parse().ok()?, text[6..].parse().ok()?).ok()
}

/// `P1D`, `P2W`: one day at least.
fn whole_days(text: &str) -> Option<i64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let span: Span = text.starts_with('P').then(|| text.parse().ok()).flatten()?;
    let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
    let exactly = Span::new().try_weeks(span.get_weeks()).ok()?.try_days(span.get_days()).ok()?;
    (days > 0 && SpanFieldwise(span) == SpanFieldwise(exactly)).then_some(days)
}
