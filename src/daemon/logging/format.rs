//! How a line looks: for people, or as JSON. Times are the world's, whatever the daemon's clock.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::line::TARGET;
use crate::daemon::clock::Clock;

/// `2026-11-23T09:14:02.118Z  INFO reloaded config=7f3c9e1 ...`
#[derive(Debug)]
pub(super) struct Text {
    pub(super) clock: Clock,
}

/// `{"time":"2026-11-23T09:14:02.118Z","level":"info","event":"reloaded","config":"7f3c9e1",...}`
#[derive(Debug)]
pub(super) struct JsonLines {
    pub(super) clock: Clock,
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let fields = Fields::of(event);
        let level = *event.metadata().level();
        if out.has_ansi_escapes() {
            write!(out, "\x1b[2m{}\x1b[0m {}{level:>5}\x1b[0m ", time(&self.clock), color(level))?;
        } else {
            write!(out, "{} {level:>5} ", time(&self.clock))?;
        }
        match event.metadata().target() {
            TARGET => writeln!(out, "{}", fields.message),
            target => writeln!(out, "library target={target} message={:?}", fields.message),
        }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let fields = Fields::of(event);
        let mut line = Map::new();
        line.insert("time".into(), time(&self.clock).into());
        line.insert("level".into(), event.metadata().level().as_str().to_ascii_lowercase().into());
        if event.metadata().target() != TARGET {
            line.insert("event".into(), "library".into());
            line.insert("target".into(), event.metadata().target().into());
            line.insert("message".into(), fields.message.into());
        }
        line.extend(fields.rest);
        writeln!(out, "{}", Json::Object(line))
    }
}

/// What a line carries.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Json>,
}

impl Fields {
    fn of(event: &Event<'_>) -> Self {
        let mut fields = Self::default();
        event.record(&mut fields);
        fields
    }

    fn put(&mut self, field: &Field, value: Json) {
        self.rest.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.message = value;
        } else {
            self.put(field, value.into());
        }
    }
}

/// Milliseconds, UTC.
fn time(clock: &Clock) -> String {
    let now = Timestamp::try_from(clock.wall()).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{now:.3}")
}

fn color(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG | Level::TRACE => "\x1b[34m",
    }
}
