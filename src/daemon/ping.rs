//! Calls a URL as long as all is well. Whoever is called notices the silence, also when this machine is gone.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, Request};
use tokio::sync::watch;
use url::Url;

use super::clock::Clock;
use super::figures::Figures;
use super::health;
use super::logging;
use super::network::exchange::{self, Exchange, Limits};
use super::network::{NetworkError, Way};
use crate::config::settings::{PingSettings, Settings};
use crate::keeper::MonoTime;

/// What a call may take. Nothing in the answer matters but its status.
const LIMITS: Limits =
    Limits { time: Duration::from_secs(10), body_time: Duration::from_secs(2), max_body: 4 * 1024 };
/// A call that failed is tried again after this long, or sooner where calls are to be more frequent.
const AGAIN: Duration = Duration::from_secs(60);

/// Calls until the daemon has ended.
pub async fn keep(mut figures: watch::Receiver<Arc<Figures>>, clock: Clock) {
    let mut pinger = Pinger::default();
    loop {
        let now = Arc::clone(&figures.borrow_and_update());
        pinger.look(&now, &clock).await;
        // They come once a second; a driver that hangs publishes none, and nobody is called.
        if figures.changed().await.is_err() {
            return;
        }
    }
}

#[derive(Default)]
struct Pinger {
    /// The settings that the line is of.
    settings: Option<Arc<Settings>>,
    line: Option<Line>,
    next: MonoTime,
    failing: bool,
}

/// How to call.
struct Line {
    ping: PingSettings,
    /// Whom, for people: the path may be secret.
    host: String,
    way: Result<(Way, Client), NetworkError>,
}

impl Pinger {
    /// Calls, if it is time to and all is well.
    async fn look(&mut self, figures: &Figures, clock: &Clock) {
        let settings = &figures.accepted.settings;
        if self.settings.as_ref().is_none_or(|known| !Arc::ptr_eq(known, settings)) {
            self.take(settings).await;
        }
        let Some(line) = &self.line else { return };
        let now = clock.now();
        if now < self.next || !is_well(figures, clock) {
            return;
        }
        let failed = line.call().await.err();
        let wait = if failed.is_some() { line.ping.every.min(AGAIN) } else { line.ping.every };
        self.next = now + wait;
        match (failed, std::mem::replace(&mut self.failing, false)) {
            (None, true) => logging::ping_works_again(&line.host),
            (None, false) => {}
            (Some(Failed { what, advice }), was) => {
                self.failing = true;
                if !was {
                    logging::ping_failed(&line.host, &what, &advice);
                }
            }
        }
    }

    /// Another config is in force: perhaps someone else is to be called, or on another way.
    async fn take(&mut self, settings: &Arc<Settings>) {
        let before = self.line.take().map(|line| line.ping);
        self.settings = Some(Arc::clone(settings));
        let Some(ping) = settings.ping.clone() else { return };
        if before.as_ref() != Some(&ping) {
            self.next = MonoTime::ZERO;
            self.failing = false;
        }
        let (target, of) = (ping.url.clone(), Arc::clone(settings));
        // It reads the file of certificate authorities.
        let way = tokio::task::spawn_blocking(move || {
            let way = Way::to(&target, &of.network)?;
            let http = way.client()?;
            Ok((way, http))
        });
        match way.await {
            Ok(way) => self.line = Some(Line { host: host_of(&ping.url), ping, way }),
            Err(_) => logging::task_panicked("ping"),
        }
    }
}

/// Why a call did not do what it is for.
struct Failed {
    what: String,
    advice: String,
}

impl Line {
    async fn call(&self) -> Result<(), Failed> {
        let (way, http) = self.way.as_ref().map_err(|error| Failed {
            what: error.to_string(),
            advice: "see [network] in the config".to_owned(),
        })?;
        let cause = match exchange::run(http, Request::new(Method::GET, self.ping.url.clone()), LIMITS).await
        {
            Exchange::Answered { status: 200..=299, .. } => return Ok(()),
            Exchange::Answered { status, .. } => {
                return Err(Failed {
                    what: format!("status {status}"),
                    advice: "see whether [ping] url is still the one to call".to_owned(),
                });
            }
            Exchange::Broken(error) => way.explain(&error),
            Exchange::Silent => way.silence(LIMITS.time),
        };
        Err(Failed { what: cause.what, advice: cause.advice })
    }
}

/// As `/heldz` says it, and neither at the start nor at the end.
fn is_well(figures: &Figures, clock: &Clock) -> bool {
    let tolerate = figures.accepted.settings.tolerate();
    health::is_live(figures, clock)
        && health::is_ready(figures)
        && health::unheld(figures, tolerate).is_empty()
}

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
