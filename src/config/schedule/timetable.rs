//! One schedule in one time zone: whether it is open, and until when.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::window::DAY;
use super::{DURATION, Exceptions, Opens, Window, zone};

/// How many years ahead an edge is looked for while days differ little from each other. A pattern for 29 February pauses
/// for eight years around 2100.
const YEARS: i32 = 10;
/// How many years ahead the first start of a cron pattern is looked for: that long 29 February may not be on a given
/// weekday, with 2100 in between.
const YEARS_TO_START: i32 = 41;

/// How a schedule stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// It is open.
    pub open: bool,
    /// When that next changes, strictly later; `None`: not within the next ten years.
    pub until: Option<Timestamp>,
}

/// A schedule in a time zone.
#[derive(Clone, Debug)]
pub struct Timetable {
    opens: Arc<Opens>,
    except: Arc<Exceptions>,
    zone: TimeZone,
    rhythm: Rhythm,
}

/// What is the same on every day that is like another, worked out once.
#[derive(Clone, Debug)]
enum Rhythm {
    /// What starts on each weekday, from Monday on.
    Week([Box<[Stretch]>; 7]),
    /// Starts of a cron pattern that are close enough to each other to be one opening, where the clock does not jump.
    Starts { runs: Box<[Stretch]>, lasting: SignedDuration },
}

/// Minutes from the beginning of the day on which this starts, on a clock that shows each once; for runs, `to` is the
/// last start.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: u16,
    to: u16,
}

/// Its zone, its hours, and the days on which it stays shut.
impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.zone.iana_name().unwrap_or("UTC"))?;
        match &*self.opens {
            Opens::Windows(windows) => windows.iter().try_for_each(|window| write!(f, ", {window}"))?,
            Opens::Cron { start, duration } => write!(f, ", {start} for {} s", duration.as_secs())?,
        }
        self.except.ranges().iter().try_for_each(|range| write!(f, ", not {range}"))
    }
}

impl Timetable {
    /// When `opens` is open in `zone`, where nothing starts on the days of `except`.
    #[must_use]
    pub fn new(opens: Arc<Opens>, except: Arc<Exceptions>, zone: TimeZone) -> Self {
        let rhythm = match &*opens {
            Opens::Windows(windows) => Rhythm::Week(std::array::from_fn(|day| stretches(windows, day))),
            Opens::Cron { start, duration } => {
                let lasting = (*duration).clamp(*DURATION.start(), *DURATION.end());
                let runs = runs(start.minutes(), lasting);
                // A week at most, so it fits.
                Rhythm::Starts {
                    runs,
                    lasting: SignedDuration::try_from(lasting).unwrap_or(SignedDuration::MAX),
                }
            }
        };
        Self { opens, except, zone, rhythm }
    }

    /// How it stands at `t`. It takes microseconds where an edge is near, milliseconds where there is none.
    #[must_use]
    pub fn at(&self, t: Timestamp) -> Now {
        let mut search = Search { t, end: None, last_day: Date::MAX };
        let mut day = self.first_day(t);
        let mut horizon = self.horizon(self.zone.to_datetime(t).date(), false);
        loop {
            if let Some(end) = search.end.filter(|_| day > search.last_day) {
                return Now { open: true, until: Some(end) };
            }
            if day > horizon {
                return Now { open: search.end.is_some(), until: None };
            }
            let next = if let Some(range) = self.except.around(day) {
                horizon = horizon.max(self.horizon(range.last(), search.end.is_some()));
                range.last()
            } else {
                let known = search.end;
                if let Some(now) = self.meet(day, &mut search) {
                    return now;
                }
                if let Some(end) = search.end.filter(|_| known != search.end) {
                    let last = self.zone.to_datetime(end).date();
                    // A clock that went back over midnight had been there already.
                    search.last_day = last.tomorrow().unwrap_or(last);
                    if known.is_none() {
                        horizon = self.horizon(day, true);
                    }
                }
                day
            };
            match next.tomorrow() {
                Ok(next) => day = next,
                Err(_) => return Now { open: search.end.is_some(), until: search.end },
            }
        }
    }

    /// The zone in whose clock it is written.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The earliest day on which something may have started that is open at `t`.
    fn first_day(&self, t: Timestamp) -> Date {
        match &self.rhythm {
            Rhythm::Week(_) => self.zone.to_datetime(t).date().saturating_sub(Span::new().days(1)),
            Rhythm::Starts { lasting, .. } => {
                let first = t.saturating_sub(*lasting).unwrap_or(Timestamp::MIN);
                self.zone.to_datetime(first).date()
            }
        }
    }

    /// The last day that is looked at, from `day` on.
    fn horizon(&self, day: Date, open: bool) -> Date {
        let years = match &self.rhythm {
            Rhythm::Starts { .. } if !open => YEARS_TO_START,
            _ => YEARS,
        };
        day.saturating_add(Span::new().years(years))
    }

    /// Shows `search` all that starts on a day, in order.
    fn meet(&self, day: Date, search: &mut Search) -> Option<Now> {
        match (&self.rhythm, &*self.opens) {
            (Rhythm::Week(week), _) => {
                let stretches = &week[usize::from(day.weekday().to_monday_zero_offset().unsigned_abs())];
                stretches.iter().find_map(|stretch| {
                    search.meet(self.reached(day, stretch.from), self.reached(day, stretch.to))
                })
            }
            (Rhythm::Starts { runs, lasting }, Opens::Cron { start, .. }) if start.is_on(day) => {
                runs.iter().find_map(|run| self.meet_run(day, *run, start.minutes(), *lasting, search))
            }
            (Rhythm::Starts { .. }, _) => None,
        }
    }

    /// The same for a run: as one where the clock does not jump meanwhile, else start by start.
    fn meet_run(
        &self,
        day: Date,
        run: Stretch,
        minutes: &[u16],
        lasting: SignedDuration,
        search: &mut Search,
    ) -> Option<Now> {
        let ended = |start: Timestamp| start.saturating_add(lasting).unwrap_or(Timestamp::MAX);
        let (first, last) = (self.reached(day, run.from), self.reached(day, run.to));
        let jumps =
            || self.zone.following(first).next().is_some_and(|transition| transition.timestamp() <= last);
        if first == last || !jumps() {
            return search.meet(first, ended(last));
        }
        let (from, to) =
            (minutes.partition_point(|m| *m < run.from), minutes.partition_point(|m| *m <= run.to));
        minutes[from..to].iter().find_map(|minute| {
            let start = self.reached(day, *minute);
            search.meet(start, ended(start))
        })
    }

    /// When the zone's clock comes to a minute that is counted from the beginning of `day`.
    fn reached(&self, day: Date, minutes: u16) -> Timestamp {
        let day = (0..minutes / DAY).try_fold(day, |day, _| day.tomorrow()).unwrap_or(Date::MAX);
        let minutes = minutes % DAY;
        // Both are below their bounds by the division.
        let clock = |part: u16| i8::try_from(part).unwrap_or(0);
        zone::reached(
            &self.zone,
            DateTime::from_parts(day, jiff::civil::time(clock(minutes / 60), clock(minutes % 60), 0, 0)),
        )
    }
}

/// What the openings met so far say of a moment. They come in the order of their starts.
struct Search {
    t: Timestamp,
    /// It is open, at least until then.
    end: Option<Timestamp>,
    /// What starts after that day starts after `end`.
    last_day: Date,
}

impl Search {
    /// Takes the next opening into account; the answer, once it is known.
    fn meet(&mut self, start: Timestamp, end: Timestamp) -> Option<Now> {
        if end <= start || end <= self.t {
            return None;
        }
        match self.end {
            None if start > self.t => return Some(Now { open: false, until: Some(start) }),
            None => self.end = Some(end),
            Some(known) if start > known => return Some(Now { open: true, until: Some(known) }),
            Some(known) => self.end = Some(known.max(end)),
        }
        None
    }
}

/// What windows start on a weekday (from Monday = 0 on), in order and joined.
fn stretches(windows: &[Window], day: usize) -> Box<[Stretch]> {
    let starting = windows.iter().filter(|window| window.days().contains_index(day));
    let mut all: Vec<_> =
        starting.map(|window| Stretch { from: window.from().minutes(), to: window.end() }).collect();
    all.sort_unstable_by_key(|stretch| stretch.from);
    joined(all, 0)
}

/// Starts in minutes of a day, in order, as runs of such as leave no time between them.
fn runs(minutes: &[u16], lasting: Duration) -> Box<[Stretch]> {
    let lasting = u16::try_from(lasting.as_secs() / 60).unwrap_or(u16::MAX);
    joined(minutes.iter().map(|minute| Stretch { from: *minute, to: *minute }), lasting)
}

/// Joins stretches that are at most `apart` minutes from each other.
fn joined(stretches: impl IntoIterator<Item = Stretch>, apart: u16) -> Box<[Stretch]> {
    let mut all: Vec<Stretch> = Vec::new();
    for stretch in stretches {
        match all.last_mut() {
            Some(before) if stretch.from <= before.to.saturating_add(apart) => {
                before.to = before.to.max(stretch.to);
            }
            _ => all.push(stretch),
        }
    }
    all.into()
}
