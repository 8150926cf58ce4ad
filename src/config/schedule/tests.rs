//! Schedules as a whole: by name what is hard, at random against a slow reading, and texts that are none.

mod calendars;
mod edges;
mod random;
mod slow;
mod texts;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::*;

/// Windows, as `Mon-Fri 08:00-17:00`, but for the days of `except`.
fn windows(zone_name: &str, all: &[&str], except: &[&str]) -> Timetable {
    let window = |text: &&str| {
        let (days, times) = text.rsplit_once(' ').unwrap();
        let (from, to) = times.split_once('-').unwrap();
        let time = |text| TimeOfDay::parse(text).unwrap();
        Window::new(Days::parse(days).unwrap(), time(from), time(to)).unwrap()
    };
    timetable(zone_name, Opens::Windows(all.iter().map(window).collect()), except)
}

/// Openings of so many minutes by a cron pattern, but for the days of `except`.
fn cron(zone_name: &str, pattern: &str, minutes: u64, except: &[&str]) -> Timetable {
    let start = CronStart::parse(pattern).unwrap();
    timetable(zone_name, Opens::Cron { start, duration: Duration::from_secs(minutes * 60) }, except)
}

fn timetable(zone_name: &str, opens: Opens, except: &[&str]) -> Timetable {
    let except = except.iter().map(|text| DateRange::parse(text).unwrap()).collect();
    Timetable::new(Arc::new(opens), Arc::new(except), zone(zone_name).unwrap())
}

/// The openings of a timetable from a moment up to another, each with its two ends as UTC in minutes, or what is missing.
fn openings(timetable: &Timetable, from: &str, to: &str) -> Vec<String> {
    let (mut at, to): (Timestamp, Timestamp) = (from.parse().unwrap(), to.parse().unwrap());
    let text =
        |at: Option<Timestamp>| at.map_or("never".to_owned(), |at| at.strftime("%m-%d %H:%M").to_string());
    let (mut all, mut began) = (Vec::new(), None);
    let mut before = None;
    while at < to {
        let now = timetable.at(at);
        assert_ne!(
            before.replace(now.open),
            Some(now.open),
            "nothing changes at {at}, which was said to be an edge"
        );
        if now.open {
            all.push(format!(
                "{} to {}",
                began.take().map_or("before".to_owned(), |at| text(Some(at))),
                text(now.until)
            ));
        }
        let Some(next) = now.until else { break };
        assert!(next > at, "an edge is later: {next} after {at}");
        began = Some(next);
        at = next;
    }
    all
}
