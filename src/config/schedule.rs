//! Schedules: at which times something holds. A pure function of rules, a time zone and a moment; it reads no clock and
//! no file, and knows nothing of presence.
//!
//! Rules are written in the clock of a zone. A wall clock jumps over times and shows others twice, so they are read as if
//! it never went back: a time in a gap has come when the gap is over, and a time that is shown twice has come when it is
//! shown first. An opening belongs to the day on which it starts; weekdays and exceptions are asked of that day alone.

mod calendar;
mod cron;
mod dates;
mod days;
pub(in crate::config) mod entry;
mod timetable;
mod window;
mod zone;

use std::ops::RangeInclusive;
use std::time::Duration;

pub use calendar::{Calendar, CalendarError, Holiday, holidays};
pub use cron::CronStart;
pub use dates::{DateRange, Exceptions};
pub use days::Days;
pub use timetable::{Now, Timetable};
pub use window::{TimeOfDay, Window};
pub use zone::{reached, zone};

/// For how long a start by a cron pattern may open. What is shorter than the smallest step of a pattern is no schedule;
/// beyond a week it is better said in windows.
pub const DURATION: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3_600);

/// When a schedule opens, and for how long.
#[derive(Clone, Debug)]
pub enum Opens {
    /// From one time of day to another. What adjoins or overlaps is one opening.
    Windows(Vec<Window>),
    /// At the times of a cron pattern. What adjoins or overlaps is one opening.
    Cron {
        /// Where each opening starts, in the clock of the zone.
        start: CronStart,
        /// How much later it ends, in elapsed time, within [`DURATION`]; else the nearest bound counts.
        duration: Duration,
    },
}

#[cfg(test)]
mod tests;
