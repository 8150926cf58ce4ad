//! `presenced run`: the daemon, in the foreground.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::exit;
use crate::daemon::clock::Clock;
use crate::daemon::control::Desk;
use crate::daemon::cron::Prompts;
use crate::daemon::directory::Librarian;
use crate::daemon::doors::Doors;
use crate::daemon::driver::Daemon;
use crate::daemon::logging::{self, LogFormat};
use crate::daemon::notices::Notices;
use crate::daemon::ping;
use crate::daemon::reload::ConfigFile;
use crate::daemon::signals::Signals;
use crate::daemon::start::{self, StartError};
use crate::daemon::systemd::Systemd;
use crate::daemon::watch::Watch;

/// Keeps the sessions of the config until it is told to stop.
#[derive(clap::Args, Clone, Debug)]
pub struct RunArgs {
    /// How log lines look; by default journal fields under systemd, text on a terminal, JSON elsewhere
    #[arg(long, value_enum, env = "PRESENCED_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// error, warn, info, debug, trace, or a filter as RUST_LOG has them
    #[arg(long, env = "PRESENCED_LOG")]
    pub log_level: Option<String>,
    /// Run the clock this many times faster; every endpoint must be on loopback
    #[arg(long, hide = true, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub speed: Option<u32>,
    /// The wall time from which a fast clock runs; today's midnight, UTC, by default
    #[arg(long, hide = true, requires = "speed", value_name = "RFC3339", value_parser = wall_time)]
    pub epoch: Option<SystemTime>,
    /// Where state is kept, whatever the config says
    #[arg(long, hide = true, value_name = "PATH")]
    pub state_dir: Option<PathBuf>,
}

/// Runs the daemon, and returns what the process ends with.
///
/// # Errors
/// What keeps it from running that has no exit code of its own.
pub fn run(config: &Path, args: &RunArgs) -> anyhow::Result<ExitCode> {
    let level = args.log_level.clone().filter(|level| !level.is_empty());
    let level = level.or_else(|| std::env::var("RUST_LOG").ok().filter(|level| !level.is_empty()));
    if let Err(error) = logging::init(args.log_format.unwrap_or_else(LogFormat::detect), level.as_deref()) {
        writeln!(std::io::stderr(), "error: {error}")?;
        return Ok(exit::USAGE.into());
    }
    keep_to_ourselves();
    // Two threads: the driver has one to itself while the other one does the talking; what blocks has more of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("presenced")
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    let code = runtime.block_on(keep(config, args));
    // A thread that hangs on a disk does not keep the process from ending.
    runtime.shutdown_background();
    code
}

async fn keep(config: &Path, args: &RunArgs) -> anyhow::Result<ExitCode> {
    // Before anything else: from now on SIGHUP does not end this process.
    let signals = Signals::listen().context("signals cannot be listened to")?;
    let file = ConfigFile {
        path: std::path::absolute(config).context("the config's path")?,
        state_dir: args.state_dir.clone(),
        loopback_only: args.speed.is_some_and(|speed| speed > 1),
        seen: watch::Sender::default(),
    };
    let (path, seen) = (file.path.clone(), file.seen.subscribe());
    let (parts, state) = match start::parts(file, clock(args), Systemd::detect()) {
        Ok(parts) => parts,
        Err(error) => return refuse(&error),
    };
    let settings = std::sync::Arc::clone(&parts.first.next.settings);
    let clock = parts.clock.clone();
    let mut daemon = Daemon::start(parts);
    let desk = Desk::new(daemon.commands(), daemon.figures(), clock, state.path().to_owned(), path);
    let doors = Doors::open(&settings, &desk);
    let prompts = Prompts::start(&daemon.commands()).await.context("the prompts do not start")?;
    let mut listeners = JoinSet::new();
    // If it ever ends by a bug, whoever is called notices.
    listeners.spawn(ping::keep(daemon.figures(), desk.clock.clone()));
    listeners.spawn(signals.forward(daemon.commands()));
    let (figures, commands) = (daemon.figures(), daemon.commands());
    listeners.spawn(Watch { seen, figures, commands, clock: desk.clock.clone() }.keep());
    let (figures, commands) = (daemon.figures(), daemon.commands());
    listeners.spawn(
        Librarian { figures: figures.clone(), commands: commands.clone(), clock: desk.clock.clone() }.keep(),
    );
    listeners.spawn(Notices { figures, commands, clock: desk.clock.clone() }.keep());

    let ended = daemon.ended().await;

    doors.close().await;
    prompts.stop().await;
    Ok(if ended.is_ok() { ExitCode::SUCCESS } else { exit::BUG.into() })
}

fn wall_time(text: &str) -> Result<SystemTime, jiff::Error> {
    text.parse::<jiff::Timestamp>().and_then(SystemTime::try_from)
}

fn clock(args: &RunArgs) -> Clock {
    match args.speed {
        None => Clock::real(),
        Some(speed) => {
            let epoch = args.epoch.unwrap_or_else(Clock::todays_midnight);
            Clock::accelerated(speed, epoch)
        }
    }
}

/// Says why the daemon does not come up: one line to the log, and on a terminal all of it.
fn refuse(error: &StartError) -> anyhow::Result<ExitCode> {
    if let StartError::Refused { problems, why_alone } = error {
        if std::io::stderr().is_terminal() {
            write!(std::io::stderr(), "{}", problems.render(true))?;
        }
        logging::start_refused(problems.errors(), &problems.first_line(), why_alone);
    } else {
        logging::start_failed(&error.to_string());
    }
    Ok(match error {
        StartError::Refused { .. } | StartError::Unrunnable(_) => exit::CONFIG,
        StartError::Usage(_) => exit::USAGE,
        StartError::StateDir(_) | StartError::NoStandIn { .. } | StartError::Ledger { .. } => exit::FAILURE,
    }
    .into())
}

/// Tokens and secrets are in this process: no core dumps, and no other process of this user looks in.
fn keep_to_ourselves() {
    // Where the kernel refuses, the daemon works all the same.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
