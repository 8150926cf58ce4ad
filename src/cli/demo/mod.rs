//! `presenced demo`: the daemon's own code against the embedded sandbox, in one process, over real HTTP on loopback, on
//! a clock that runs sixty times faster.
//!
//! Of a config it takes users, states and quotas. Endpoints, credentials and state are its own: no secret, socket or
//! listener of the file is touched.

mod play;
mod table;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::StreamExt;
use jiff::SignedDuration;
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use url::Url;

use super::{exit, sandbox};
use crate::config::directory::Asks;
use crate::config::settings::{Cloud, Credential, Network, OnStop, Proxy};
use crate::config::{self, Loaded, Look, Problems, example};
use crate::daemon::clock::Clock;
use crate::daemon::directory::Book;
use crate::daemon::driver::{Daemon, Parts};
use crate::daemon::lanes::Ways;
use crate::daemon::overrides::Overrides;
use crate::daemon::reload::{self, Before};
use crate::daemon::systemd::Systemd;
use crate::keeper::{Plan, Quota};
use crate::sandbox::faults::{Faults, LatencySpan};
use crate::sandbox::http;
use crate::sandbox::quota::Limit;
use crate::sandbox::service::{self, Service};
use play::Play;
use table::Table;

/// How many times faster than the world the demo runs.
const SPEED: u32 = 60;
/// Real time between two drawings of the table.
const FRAME: Duration = Duration::from_millis(200);
/// How long the sandbox's tokens live, so that some are replaced before the audience.
const TOKEN_LIFE: Duration = Duration::from_secs(900);

/// Watch sessions being kept, without any set-up
#[derive(clap::Args, Clone, Debug)]
pub struct DemoArgs {
    /// How long it plays, in real time
    #[arg(long = "for", value_name = "SPAN", default_value = "60s", value_parser = span)]
    length: Duration,
    /// No table; at the end one JSON object
    #[arg(long)]
    json: bool,
}

/// What was held, renewed and lapsed. Its keys are documented and stable.
#[derive(Clone, Copy, Debug, Serialize)]
struct Outcome {
    /// Sessions that are wanted.
    sessions: u32,
    /// Those in date at the end.
    held: u32,
    /// How often others saw a session wrong, as the service counts.
    lapses: u64,
    /// Sets granted to sessions that held the same state already.
    renewals: u64,
    /// Requests that Graph refused.
    refused: u64,
    /// Seconds of the service's clock.
    virtual_seconds: u64,
}

/// Plays, and returns what the process ends with: 3 if a session lapsed.
///
/// # Errors
/// When this machine does not let it.
pub fn run(config: Option<&Path>, args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let loaded = match load(config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            write!(std::io::stderr(), "{}", problems.render(std::io::stderr().is_terminal()))?;
            return Ok(exit::CONFIG.into());
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(play(loaded, args))?;
    let end =
        if args.json { format!("{}\n", serde_json::to_string(&outcome)?) } else { table::closing(&outcome) };
    match std::io::stdout().lock().write_all(end.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(if outcome.lapses == 0 { ExitCode::SUCCESS } else { exit::NO.into() })
}

fn load(config: Option<&Path>) -> Result<Loaded, Problems> {
    let look = Look::Variables;
    match config {
        Some(path) => config::load(path, look),
        None => config::load_sources(example::sources("config.example.toml"), look),
    }
}

async fn play(loaded: Loaded, args: &DemoArgs) -> anyhow::Result<Outcome> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen to signals")?;
    let clock = Clock::accelerated(SPEED, Clock::todays_midnight());
    let listener = http::listen(([127, 0, 0, 1], 0).into()).await?;
    let root =
        Url::parse(&format!("http://{}", listener.local_addr()?)).context("a loopback address is a URL")?;
    let quota = loaded.settings.apps.iter().map(|app| app.quota).max_by_key(|quota| quota.requests);
    let service = Arc::new(Mutex::new(Service::new(options(quota.unwrap_or(Quota::PRESENCE)), clock.now())));
    let (stop, stopped) = oneshot::channel::<()>();
    let mut server = JoinSet::new();
    let ended = async move {
        // The other end is dropped with the demo.
        let _ = stopped.await;
    };
    server.spawn(http::serve(listener, Arc::clone(&service), sandbox::hands(clock.clone()), ended));

    // A secret of its own, made up on the spot: the sandbox takes any.
    let mut secret = tempfile::NamedTempFile::new().context("no temporary file for the demo's secret")?;
    write!(secret, "{}", uuid::Uuid::new_v4())?;
    let mut table = Table::new(&loaded, !args.json, std::io::stdout().is_terminal());
    let mut daemon = start(loaded, &root, secret.path(), clock.clone())?;
    let mut play = Play::new(clock.now());
    let end = clock.now() + args.length * SPEED;
    while clock.now() < end {
        let now = clock.now();
        let note = play.act(&mut service.lock().unwrap_or_else(PoisonError::into_inner), now);
        match table.draw(&daemon, &service, now, note).await {
            // Whoever watched has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            drawn => drawn?,
        }
        tokio::select! {
            () = clock.sleep(FRAME * SPEED) => {}
            ended = daemon.ended() => return Err(anyhow!("the daemon ended: {ended:?}")),
            _ = signals.next() => break,
        }
    }
    let outcome = settle(&daemon, &service, &clock).await;
    daemon.stop().await;
    daemon.ended().await?;
    drop(stop);
    server.join_next().await;
    Ok(outcome)
}

fn options(quota: Quota) -> service::Options {
    let per_s = u32::try_from(quota.per.as_secs()).unwrap_or(u32::MAX).max(1);
    service::Options {
        quota: Limit { requests: quota.requests, per_s },
        token_life: Some(TOKEN_LIFE),
        faults: Faults { latency_ms: LatencySpan { min: 80, max: 250 }, ..Faults::default() },
        ..service::Options::default()
    }
}

/// The daemon of `presenced run`, with the demo's own endpoints and credential, and without anything on disk.
fn start(loaded: Loaded, root: &Url, secret: &Path, clock: Clock) -> anyhow::Result<Daemon> {
    let Loaded { mut settings, plan, mut rotas, asks: _, unread: _, warnings, sources } = loaded;
    let mut lanes = plan.into_lanes();
    for app in &mut settings.apps {
        let before = app.lane();
        app.cloud = Cloud { graph: root.clone(), login: root.clone() };
        app.credential = Credential::SecretFile(secret.to_owned());
        for lane in lanes.iter_mut().filter(|lane| lane.key == before) {
            lane.key = app.lane();
        }
        rotas.rename(&before, app.lane());
    }
    settings.network = Network { proxy: Proxy::None, ca_file: None };
    settings.daemon.on_stop = OnStop::Leave;
    let loaded = Loaded {
        settings,
        plan: Plan::new(lanes),
        rotas,
        asks: Asks::default(),
        unread: BTreeSet::new(),
        warnings,
        sources,
    };
    let before = Before::Ledger(&Plan::default());
    let first = reload::prepare(loaded, before, &clock, false).map_err(|refused| anyhow!(refused.first))?;
    Ok(Daemon::start(Parts {
        clock,
        first,
        restored: Vec::new(),
        older_ways: Ways::new(),
        config: None,
        kept: None,
        systemd: Systemd::default(),
        last_good: None,
        overrides: Overrides::default(),
        directory: Book::default(),
    }))
}

/// The figures at the end. Answers that are under way are waited for, so that both sides speak of the same moment.
async fn settle(daemon: &Daemon, service: &Mutex<Service>, clock: &Clock) -> Outcome {
    let mut figures = daemon.figures();
    // One more figure after this moment; the daemon publishes each second.
    let _ = tokio::time::timeout(Duration::from_secs(3), figures.changed()).await;
    let snapshot = figures.borrow().snapshot.clone();
    let report = service.lock().unwrap_or_else(PoisonError::into_inner).report(clock.now());
    let lanes = &snapshot.lanes;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds since the start")]
    Outcome {
        sessions: lanes.iter().map(|lane| lane.sessions).sum(),
        held: lanes.iter().map(|lane| lane.held).sum(),
        lapses: report.lapses,
        renewals: lanes.iter().map(|lane| lane.renewals).sum(),
        refused: lanes.iter().map(|lane| lane.refused).sum(),
        virtual_seconds: report.virtual_seconds as u64,
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let plain = text.parse().map(Duration::from_secs).ok();
    let span = plain.or_else(|| text.parse::<SignedDuration>().ok().and_then(|span| span.try_into().ok()));
    span.filter(|span| (Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(span))
        .ok_or_else(|| "a span from one second to one hour, 30s or 5m for instance".to_owned())
}
