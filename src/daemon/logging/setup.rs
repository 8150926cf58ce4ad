//! Where lines go: stderr as text or JSON, or the journal.

use std::io::{self, IsTerminal};

use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use super::format::{JsonLines, Text};
use super::line::{TARGET, line};
use super::stderr::Stderr;
use crate::daemon::clock::Clock;

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// As fields of the systemd journal.
    Journal,
}

impl LogFormat {
    /// The journal if stderr is connected to it and it answers, text on a terminal, JSON otherwise.
    #[must_use]
    pub fn detect() -> Self {
        if stderr_is_the_journal() && tracing_journald::layer().is_ok() {
            Self::Journal
        } else if io::stderr().is_terminal() {
            Self::Text
        } else {
            Self::Json
        }
    }
}

/// systemd names the device and inode of the stream that it connected to the journal.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Why no log can be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Not a level, and no list of `target=level` either.
    #[error("the log level {level:?} is none of error, warn, info, debug, trace, and no filter: {source}")]
    Level {
        /// As given.
        level: String,
        /// What is wrong.
        source: tracing_subscriber::filter::ParseError,
    },
    /// No journal answers.
    #[error("the journal cannot be reached: {0}")]
    Journal(#[from] io::Error),
    /// There is a log already in this process.
    #[error(transparent)]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts the log of this process, and sends panics there. `level` is a level for the daemon's own lines, or a filter
/// as `RUST_LOG` has them; info by default.
///
/// # Errors
/// When the level cannot be read, or the journal is asked for and not there.
pub fn init(format: LogFormat, level: Option<&str>) -> Result<(), LogError> {
    let registry = tracing_subscriber::registry().with(filter(level.unwrap_or("info"))?);
    let clock = Clock::real();
    match format {
        LogFormat::Text => registry.with(stderr_layer().event_format(Text { clock })).try_init()?,
        LogFormat::Json => {
            registry.with(stderr_layer().with_ansi(false).event_format(JsonLines { clock })).try_init()?;
        }
        LogFormat::Journal => {
            let layer = tracing_journald::layer()?
                .with_field_prefix(Some("PRESENCED".to_owned()))
                .with_syslog_identifier("presenced".to_owned())
                .with_priority_mappings(PriorityMappings {
                    info: Priority::Informational,
                    debug: Priority::Debug,
                    ..PriorityMappings::new()
                });
            registry.with(layer).try_init()?;
        }
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        line!(ERROR, "bug", what = panic.payload_as_str(), place = place);
    }));
    Ok(())
}

type Filtered = tracing_subscriber::layer::Layered<EnvFilter, Registry>;
type StderrLayer = tracing_subscriber::fmt::Layer<
    Filtered,
    tracing_subscriber::fmt::format::DefaultFields,
    tracing_subscriber::fmt::format::Format,
    fn() -> Stderr,
>;

fn stderr_layer() -> StderrLayer {
    tracing_subscriber::fmt::layer()
        .with_writer((|| Stderr) as fn() -> Stderr)
        .with_ansi(io::stderr().is_terminal())
}

/// A bare level is for the daemon's own lines; libraries speak up from warn on.
fn filter(level: &str) -> Result<EnvFilter, LogError> {
    let directives = match level.parse::<tracing::Level>() {
        Ok(level) => format!("warn,{TARGET}={level}"),
        Err(_) => level.to_owned(),
    };
    EnvFilter::try_new(directives).map_err(|source| LogError::Level { level: level.to_owned(), source })
}
