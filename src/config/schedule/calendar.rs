//! Holidays out of an iCalendar file (RFC 5545): its all-day events. What is not understood is refused, never guessed; it
//! reads texts alone and keeps to their limits in time and depth.

mod content;
mod event;
mod yearly;

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::DateRange;
use content::{Line, lines};
use event::{Event, Written};

/// The most holidays of one file: a file of every country's, for a hundred years each, has fewer.
const HOLIDAYS_MAX: usize = 50_000;
/// Components in components. A calendar has events, and they have alarms.
const DEPTH_MAX: usize = 8;

/// What a calendar says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    /// Its all-day events in order; those that come every year, once for each from 2000 to 2100.
    pub holidays: Vec<Holiday>,
    /// How many events were left out because they begin at a time of day.
    pub timed: usize,
}

/// An all-day event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holiday {
    /// The days.
    pub range: DateRange,
    /// What it is called: its first 200 characters.
    pub summary: Option<String>,
}

/// Why a text is no calendar that can be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CalendarError {
    /// What is wrong, and what would be right.
    pub message: String,
    /// Where, in bytes from the beginning of the text; `None`: as a whole.
    pub at: Option<usize>,
}

impl CalendarError {
    fn new(message: impl Into<String>, at: usize) -> Self {
        Self { message: message.into(), at: Some(at) }
    }
}

/// The all-day events of an iCalendar text.
///
/// Cancelled ones are left out, and what is changed or cancelled of one that recurs. Of recurrences those by the year
/// are read, on the same day; `TRANSP`, which says whether somebody is busy, is not asked.
///
/// # Errors
///
/// The first thing that is wrong: the text is no calendar, an event has no date that can be read, or it recurs by a rule
/// that is not read here.
pub fn holidays(text: &str) -> Result<Calendar, CalendarError> {
    let events = events(text)?;
    let mut calendar = Calendar::default();
    // Where a later version of one occurrence stands for itself.
    let mut replaced: BTreeSet<(String, Date)> = BTreeSet::new();
    let mut all = Vec::new();
    for event in events {
        match event.read()? {
            Written::AllDay(event) => {
                if let (Some(uid), Some(of)) = (&event.uid, event.instead_of) {
                    replaced.insert((uid.clone(), of));
                }
                all.push(event);
            }
            Written::Timed => calendar.timed += 1,
        }
    }
    for event in all.iter().filter(|event| !event.cancelled) {
        for range in event.occurrences()? {
            let versions = event.uid.as_ref().filter(|_| event.instead_of.is_none());
            if versions.is_some_and(|uid| replaced.contains(&(uid.clone(), range.first()))) {
                continue;
            }
            if calendar.holidays.len() == HOLIDAYS_MAX {
                let message = format!("there are more than {HOLIDAYS_MAX} days in this calendar");
                return Err(CalendarError { message, at: None });
            }
            calendar.holidays.push(Holiday { range, summary: event.summary.clone() });
        }
    }
    calendar.holidays.sort();
    Ok(calendar)
}

/// The events of all calendars in a text, as they are written.
fn events(text: &str) -> Result<Vec<Event>, CalendarError> {
    let mut events = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut calendars = 0;
    for line in lines(text) {
        let line = line?;
        if let Some(name) = line.after("BEGIN") {
            match open.len() {
                0 if name != "VCALENDAR" => return Err(no_calendar(&line)),
                0 => calendars += 1,
                1 if name == "VEVENT" => events.push(Event::new(line.at)),
                DEPTH_MAX => return Err(CalendarError::new("components stand too deep in others", line.at)),
                _ => {}
            }
            open.push(name);
        } else if let Some(name) = line.after("END") {
            if open.pop().as_ref() != Some(&name) {
                return Err(CalendarError::new("this ends what has not begun", line.at));
            }
        } else if open.is_empty() {
            return Err(no_calendar(&line));
        } else if let [_, inner] = &open[..]
            && inner == "VEVENT"
            && let Some(event) = events.last_mut()
        {
            event.take(&line)?;
        }
    }
    match open.last() {
        Some(name) => {
            let message = format!("the text ends within a {}", crate::config::problem::shown(name));
            Err(CalendarError::new(message, text.len()))
        }
        None if calendars == 0 => {
            Err(CalendarError { message: "this is no iCalendar text; it is empty".to_owned(), at: None })
        }
        None => Ok(events),
    }
}

fn no_calendar(line: &Line) -> CalendarError {
    CalendarError::new("this is no iCalendar text; such a one begins with BEGIN:VCALENDAR", line.at)
}
