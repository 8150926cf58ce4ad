//! `presenced sandbox`: the Graph sandbox alone, for any client.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use futures_util::StreamExt;
use jiff::SignedDuration;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;

use crate::daemon::clock::Clock;
use crate::sandbox::authority::identity;
use crate::sandbox::faults::{Faults, LatencySpan};
use crate::sandbox::http::{self, Hands};
use crate::sandbox::quota::Limit;
use crate::sandbox::service::{Options, Service};

/// Serve the Graph sandbox: the presence service, groups and users, and the login before them, on this machine only.
#[derive(Clone, Debug, clap::Args)]
pub struct SandboxArgs {
    /// Where to listen: a loopback address; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value_t = DEFAULT_LISTEN, value_parser = loopback)]
    listen: SocketAddr,
    /// How many times faster its clock runs; every duration on the wire is on that clock
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    speed: u32,
    /// Where the fast clock's wall time begins [default: today's midnight, UTC]
    #[arg(long, value_name = "TIME", hide = true)]
    epoch: Option<jiff::Timestamp>,
    /// The presence quota of each app in each tenant
    #[arg(long, value_name = "N/SECONDS", default_value = "1500/30", value_parser = quota)]
    quota: Limit,
    /// How long answers take, in milliseconds: one figure or a range
    #[arg(long, value_name = "MS|MIN-MAX", default_value = "0", value_parser = latency)]
    latency: LatencySpan,
    /// Which part of the requests fails with a 5xx, 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = rate)]
    error_rate: f64,
    /// The seed of all chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The only client secret that is right, until apps are registered [default: every secret is]
    #[arg(long, value_name = "S")]
    secret: Option<String>,
    /// How long tokens live, 600s or 10m for instance [default: 60 to 90 minutes, by chance]
    #[arg(long, value_name = "SPAN", value_parser = span)]
    token_life: Option<Duration>,
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// When the address is taken or the system refuses something.
pub fn run(args: SandboxArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(args))
}

async fn serve(args: SandboxArgs) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen to signals")?;
    let epoch = args.epoch.map_or_else(|| Ok(Clock::todays_midnight()), SystemTime::try_from)?;
    let clock = Clock::accelerated(args.speed, epoch);
    let listener = http::listen(args.listen).await?;
    let address = listener.local_addr()?;
    let service = Arc::new(Mutex::new(Service::new(options(args), clock.now())));
    greet(address, clock.speed()).context("cannot write to the standard output")?;
    let stopped = async move {
        signals.next().await;
    };
    http::serve(listener, service, hands(clock), stopped).await;
    Ok(ExitCode::SUCCESS)
}

/// The sandbox's hands on a clock.
#[must_use]
pub fn hands(clock: Clock) -> Hands {
    let (wall, sleeper) = (clock.clone(), clock.clone());
    Hands {
        now: Arc::new(move || clock.now()),
        wall: Arc::new(move || wall.wall()),
        sleep: Arc::new(move |span| {
            let clock = sleeper.clone();
            Box::pin(async move { clock.sleep(span).await })
        }),
    }
}

fn options(args: SandboxArgs) -> Options {
    Options {
        quota: args.quota,
        token_life: args.token_life,
        faults: Faults {
            seed: args.seed,
            error_rate: args.error_rate,
            latency_ms: args.latency,
            secret: args.secret,
            ..Faults::default()
        },
        ..Options::default()
    }
}

/// Says how to reach it: for people, and in its last line for scripts.
fn greet(address: SocketAddr, speed: u32) -> std::io::Result<()> {
    let run =
        if speed == 1 { String::new() } else { format!("\n# and run it as: presenced run --speed {speed}") };
    let (tenant, client) = identity::DEFAULT;
    let text = format!(
        "\
The Graph sandbox serves this machine. Every tenant, client id, secret and user is taken. In the config:

[[app]]
name = \"sandbox\"
tenant = \"{tenant}\"
client_id = \"{client}\"
cloud = {{ graph = \"http://{address}\", login = \"http://{address}\" }}
credential = {{ secret_env = \"SANDBOX_SECRET\" }}  # any value, unless --secret names one{run}

report: http://{address}/sandbox/report
faults: http://{address}/sandbox/faults
apps:   http://{address}/sandbox/registration
help:   http://{address}/sandbox
listening on http://{address}
"
    );
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "an address is IP:PORT, 127.0.0.1:8000 for instance")?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("the sandbox takes every secret and serves this machine only: use 127.0.0.1 or [::1]".to_owned())
    }
}

fn quota(text: &str) -> Result<Limit, String> {
    let (requests, per) = text.split_once('/').ok_or("a quota is N/SECONDS, 1500/30 for instance")?;
    let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
    match (number(requests), number(per.strip_suffix('s').unwrap_or(per))) {
        (Some(requests), Some(per_s)) => Ok(Limit { requests, per_s }),
        _ => Err("both figures of a quota are whole numbers above 0".to_owned()),
    }
}

fn latency(text: &str) -> Result<LatencySpan, String> {
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    match (min.parse(), max.parse()) {
        (Ok(min), Ok(max)) if min <= max => Ok(LatencySpan { min, max }),
        _ => Err("a latency is in milliseconds, 150 or 100-200 for instance".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
    rate.ok_or_else(|| "a rate is from 0 to 1".to_owned())
}

/// Whole seconds, with or without a unit.
fn span(text: &str) -> Result<Duration, String> {
    let plain = text.parse().map(Duration::from_secs).ok();
    let span = plain.or_else(|| text.parse::<SignedDuration>().ok().and_then(|span| span.try_into().ok()));
    span.filter(|span| *span >= Duration::from_secs(1))
        .ok_or_else(|| "a span is one second or more, 600s or 10m for instance".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SandboxArgs,
    }

    fn args(line: &str) -> Result<SandboxArgs, clap::Error> {
        Line::try_parse_from(std::iter::once("sandbox").chain(line.split_whitespace())).map(|line| line.args)
    }

    #[test]
    fn the_defaults_are_the_documented_service() {
        let args = args("").unwrap();
        assert_eq!(args.listen.to_string(), "127.0.0.1:8000");
        let options = options(args);
        assert_eq!((options.quota, options.token_life), (Limit::PRESENCE, None));
        assert_eq!(options.faults, Faults::default());
    }

    #[test]
    fn every_option_reaches_the_service() {
        let args = args(
            "--listen [::1]:0 --speed 60 --quota 10000/30s --latency 100-200 --error-rate 0.01 --seed 7 \
             --secret s3 --token-life 10m",
        )
        .unwrap();
        assert_eq!((args.listen.port(), args.speed), (0, 60));
        let options = options(args);
        assert_eq!(options.quota, Limit { requests: 10_000, per_s: 30 });
        assert_eq!(options.token_life, Some(Duration::from_secs(600)));
        let faults = &options.faults;
        assert_eq!((faults.seed, faults.error_rate, faults.secret.as_deref()), (7, 0.01, Some("s3")));
        assert_eq!(faults.latency_ms, LatencySpan { min: 100, max: 200 });
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "--listen 0.0.0.0:8000",
            "--listen 192.0.2.1:80",
            "--listen localhost",
            "--speed 0",
            "--quota 1500",
            "--quota 0/30",
            "--latency 200-100",
            "--latency -1",
            "--error-rate 1.1",
            "--token-life 0",
            "--token-life never",
        ] {
            let error = args(line).err().unwrap_or_else(|| panic!("{line} was taken"));
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_life_may_be_written_in_seconds_or_with_a_unit() {
        for text in ["600", "600s", "10m"] {
            assert_eq!(span(text), Ok(Duration::from_secs(600)), "{text}");
        }
    }
}
