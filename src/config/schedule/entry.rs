//! What may be written in `[[schedule]]`, and what users, groups and defaults may say about schedules.

use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{CronStart, DURATION, DateRange, Days, Opens, TimeOfDay, Window};
use crate::config::problem::{Code, Problem, shown};
use crate::config::read::{Key, Reader, Schema};
use crate::config::source::{Place, Placed};
use crate::config::stated::Stated;
use crate::config::words;

/// `[[schedule]]`.
pub(in crate::config) struct ScheduleEntry {
    /// Its header.
    pub(in crate::config) at: Place,
    pub(in crate::config) name: Key<Box<str>>,
    pub(in crate::config) stated: Stated,
    /// When it is open.
    pub(in crate::config) opens: Key<Opens>,
    pub(in crate::config) timezone: Key<TimeZone>,
    pub(in crate::config) priority: Key<i32>,
    pub(in crate::config) except: Key<Vec<DateRange>>,
    /// Calendars whose all-day events are exceptions.
    pub(in crate::config) except_from: Key<Vec<Placed<Box<str>>>>,
}

/// What a user, or several at once, may say of schedules.
#[derive(Clone, Default)]
pub(in crate::config) struct Follows {
    pub(in crate::config) timezone: Key<TimeZone>,
    /// Names of schedules.
    pub(in crate::config) schedules: Key<Vec<Placed<Box<str>>>>,
}

pub(in crate::config) const SCHEDULE: Schema = Schema {
    what: "[[schedule]]",
    keys: &[
        "name",
        "availability",
        "activity",
        "expiration",
        "windows",
        "start",
        "duration",
        "timezone",
        "priority",
        "except",
        "except_from",
    ],
    later: &[],
    special: &[],
};
pub(in crate::config) const WINDOW: Schema =
    Schema { what: "a window", keys: &["days", "from", "to"], later: &[], special: &[] };

const WINDOWS_HELP: &str = "write windows = [{ days = \"Mon-Fri\", from = \"08:00\", to = \"17:30\" }]";

impl ScheduleEntry {
    pub(in crate::config) fn read(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Place) -> Self {
        reader.check_keys(table, &SCHEDULE);
        let name = reader.key(table, "name", words::label);
        if name.is_absent() {
            let problem = Problem::new(Code::MissingKey, at, "this schedule has no `name`");
            reader.push(problem.help("users and groups name it in `schedules`"));
        }
        let stated = Stated::read(reader, table);
        if stated.state.is_absent() {
            let problem = Problem::new(Code::MissingKey, at, "this schedule says no state");
            reader.push(
                problem.help("write availability, and activity where one is needed; \"none\" for no session"),
            );
        }
        Self {
            at,
            name,
            stated,
            opens: opens(reader, table, at),
            timezone: reader.key(table, "timezone", timezone),
            priority: reader.key(table, "priority", words::priority),
            except: reader.key(table, "except", |reader, value| {
                reader.strings(value, |reader, text| parsed(reader, text, DateRange::parse(text.value)))
            }),
            except_from: reader.key(table, "except_from", one_or_more),
        }
    }
}

impl Follows {
    /// Reads the two keys of `table`.
    pub(in crate::config) fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Self {
        Self {
            timezone: reader.key(table, "timezone", timezone),
            schedules: reader.key(table, "schedules", |reader, value| {
                reader.strings(value, |_, text| Some(Placed { value: text.value.into(), at: text.at }))
            }),
        }
    }
}

/// An IANA time zone.
pub(in crate::config) fn timezone(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<TimeZone> {
    let text = reader.string(value, "write the IANA name in quotes, such as \"Europe/Berlin\"")?;
    let at = reader.place(value);
    timezone_in(reader, Placed { value: text, at })
}

/// The same from a text.
pub(in crate::config) fn timezone_in(reader: &mut Reader<'_>, text: Placed<&str>) -> Option<TimeZone> {
    let zone = super::zone(text.value);
    zone.map_err(|why| {
        let message = format!("time zone {} not found", shown(text.value));
        reader.push(Problem::new(Code::TimeZone, text.at, message).label(why));
    })
    .ok()
}

/// Either windows, or a start and how long from there.
fn opens(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Place) -> Key<Opens> {
    let windows = reader.key(table, "windows", windows);
    let start = reader.key(table, "start", |reader, value| {
        let text = reader.string(value, "write a cron pattern in quotes, such as \"0 8 * * Mon-Fri\"")?;
        let at = reader.place(value);
        parsed(reader, Placed { value: text, at }, CronStart::parse(text))
    });
    let duration = reader
        .key(table, "duration", |reader, value| words::duration(reader, value, DURATION, "1m to 7 days"));
    match (windows, start, duration) {
        (Key::Given(windows), Key::Absent, Key::Absent) => {
            Key::Given(Placed { value: Opens::Windows(windows.value), at: windows.at })
        }
        (Key::Absent, Key::Given(start), Key::Given(duration)) => {
            let opens = Opens::Cron { start: start.value, duration: duration.value };
            Key::Given(Placed { value: opens, at: start.at })
        }
        (Key::Absent, Key::Absent, Key::Absent) => {
            let problem = Problem::new(Code::MissingKey, at, "this schedule says no time");
            reader.push(
                problem.help(WINDOWS_HELP).help("or start = \"0 8 * * Mon-Fri\" and duration = \"9h30m\""),
            );
            Key::Bad
        }
        (Key::Absent, Key::Given(start), Key::Absent) => {
            let problem = Problem::new(Code::MissingKey, start.at, "`start` needs a `duration`");
            reader.push(problem.help("such as duration = \"9h30m\""));
            Key::Bad
        }
        (Key::Absent, Key::Absent, Key::Given(duration)) => {
            let problem = Problem::new(Code::MissingKey, duration.at, "`duration` needs a `start`");
            reader.push(problem.help("such as start = \"0 8 * * Mon-Fri\", a cron pattern"));
            Key::Bad
        }
        (Key::Given(windows), start, duration) => {
            let other = start.given().map(|start| start.at).or(duration.given().map(|duration| duration.at));
            if let Some(other) = other {
                let message = "a schedule has `windows`, or `start` and `duration`, and not both";
                reader.push(Problem::new(Code::Malformed, other, message).also(windows.at, "its windows"));
            }
            Key::Bad
        }
        (Key::Bad, ..) | (_, Key::Bad, _) | (.., Key::Bad) => Key::Bad,
    }
}

fn windows(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Vec<Window>> {
    let Some(items) = value.get_ref().as_array() else {
        reader.wrong_type(value, "a list of windows", Some(WINDOWS_HELP));
        return None;
    };
    if items.is_empty() {
        let problem = Problem::new(Code::MissingKey, reader.place(value), "there is no window in it");
        reader.push(problem.help(WINDOWS_HELP));
    }
    let mut windows = Vec::with_capacity(items.len());
    for item in items.iter() {
        let Some(table) = item.get_ref().as_table() else {
            reader.wrong_type(item, "a window", Some(WINDOWS_HELP));
            continue;
        };
        windows.extend(window(reader, table, reader.place(item)));
    }
    (windows.len() == items.len() && !items.is_empty()).then_some(windows)
}

fn window(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Place) -> Option<Window> {
    reader.check_keys(table, &WINDOW);
    let days = text(reader, table, "days", "write the days in quotes, such as \"Mon-Fri\"", Days::parse);
    let mut time =
        |key: &str| text(reader, table, key, "write the time in quotes, such as \"08:00\"", TimeOfDay::parse);
    let (from, to) = (time("from"), time("to"));
    for (key, absent) in [("from", from.is_absent()), ("to", to.is_absent())] {
        if absent {
            let problem = Problem::new(Code::MissingKey, at, format!("this window has no `{key}`"));
            reader.push(problem.help("such as { days = \"Mon-Fri\", from = \"08:00\", to = \"17:30\" }"));
        }
    }
    let days = match days {
        Key::Absent => Days::ALL,
        Key::Given(days) => days.value,
        Key::Bad => return None,
    };
    let (from, to) = (from.given()?, to.given()?);
    let window = Window::new(days, from.value, to.value);
    window
        .map_err(|why| reader.push(Problem::new(Code::Malformed, to.at, why).also(from.at, "from here")))
        .ok()
}

/// A text that means something else.
fn text<T>(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    key: &str,
    help: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Key<T> {
    reader.key(table, key, |reader, value| {
        let text = reader.string(value, help)?;
        let at = reader.place(value);
        parsed(reader, Placed { value: text, at }, parse(text))
    })
}

fn parsed<T>(reader: &mut Reader<'_>, text: Placed<&str>, parsed: Result<T, String>) -> Option<T> {
    parsed.map_err(|why| reader.push(Problem::new(Code::Malformed, text.at, why))).ok()
}

/// One path, or several.
fn one_or_more(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Vec<Placed<Box<str>>>> {
    if value.get_ref().as_array().is_some() {
        return reader.strings(value, |reader, text| {
            let legal = !text.value.is_empty() && !text.value.contains('\0');
            if !legal {
                reader.push(Problem::new(Code::Malformed, text.at, "a path is needed here"));
            }
            legal.then(|| Placed { value: text.value.into(), at: text.at })
        });
    }
    let at = reader.place(value);
    words::path(reader, value).map(|value| vec![Placed { value, at }])
}
