//! One app's lane between a daemon and a sandbox on clocks of the same speed, and what is waited for in their time.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::daemon::{Daemon, presenced};
use crate::patience::PATIENCE;
use crate::sandbox::Sandbox;
use crate::site::{Site, User};

/// Requests that a lane may make in 30 s, as documented and as the sandbox has it.
pub const QUOTA: u64 = 1_500;
/// Longer than an Available lease: what has not lapsed after so many seconds was renewed.
pub const A_LEASE: f64 = 320.0;

/// Between two looks at the report: it is a walk over all sessions.
const GLANCE: Duration = Duration::from_millis(100);

/// A daemon's site and its service. All seconds are those of the fast clock, unless they say otherwise.
pub struct Course {
    /// The service.
    pub sandbox: Sandbox,
    /// The installation.
    pub site: Site,
    speed: u32,
    epoch: String,
    begun: Instant,
}

/// A figure from the environment.
pub fn figure(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

impl Course {
    /// A service that answers after 150 ms and grants a lane its documented quota, and a site with these users of one
    /// app. `SPEED` in the environment replaces the speed.
    pub async fn new(speed: u32, users: impl IntoIterator<Item = User>) -> Self {
        Self::with(figure("SPEED", speed), &["--latency", "150"], users).await
    }

    /// The same with other options of the sandbox, at this speed.
    pub async fn with(speed: u32, options: &[&str], users: impl IntoIterator<Item = User>) -> Self {
        let text = speed.to_string();
        let options = [&["--speed", &text], options].concat();
        let sandbox = Sandbox::start(&options).await;
        let site = Site::new(&sandbox, users);
        // Told, so that it is the same for all processes, at midnight too, and old enough for an hour back.
        let epoch = (Timestamp::now() - SignedDuration::from_hours(2)).to_string();
        Self { sandbox, site, speed, epoch, begun: Instant::now() }
    }

    /// Starts the daemon.
    pub fn run(&self) -> Daemon {
        self.run_in(&[])
    }

    /// Starts the daemon with these variables in its environment.
    pub fn run_in(&self, environment: &[(&str, &str)]) -> Daemon {
        let mut command = presenced();
        command.envs(environment.iter().copied());
        command.args(["run", "--log-format", "json", "--speed", &self.speed.to_string()]);
        command.args(["--epoch", &self.epoch, "--config"]).arg(self.site.config_file());
        Daemon::spawn(command)
    }

    /// How many times faster than the world's the clock runs.
    pub fn speed(&self) -> u32 {
        self.speed
    }

    /// How long so many seconds take in the world.
    pub fn real(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds / f64::from(self.speed))
    }

    /// Returns the report after so many seconds.
    pub async fn pass(&self, seconds: f64) -> Value {
        let until = at(&self.sandbox.report().await) + seconds;
        self.look(seconds, "that time", |report| at(report) >= until).await
    }

    /// Returns the first report that holds to something.
    ///
    /// # Panics
    /// When none does within so many seconds, and a while.
    pub async fn look(&self, seconds: f64, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let patience = self.real(seconds) + PATIENCE;
        let begun = Instant::now();
        loop {
            let report = self.sandbox.report().await;
            if holds(&report) {
                return report;
            }
            assert!(begun.elapsed() < patience, "{what}: not within {patience:?}\n{report:#}");
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Returns when each of so many sessions was set and renewed: due times are spread over a period then.
    pub async fn settled(&self, users: u32) -> Value {
        let report = self
            .look(700.0, "a set and a renewal each", |report| {
                report["sets"].as_u64() >= Some(2 * u64::from(users))
            })
            .await;
        assert_eq!((&report["sessions"], &report["lapses"]), (&users.into(), &0.into()), "{report:#}");
        self.print("settled", &report);
        report
    }

    /// Prints the figures of a moment, and how long it took to get there.
    pub fn print(&self, moment: &str, report: &Value) {
        let keys = ["sessions", "lapses", "lapsed_now", "longest_gap_s", "throttled", "peak_window", "sets"];
        let figures: Vec<String> = keys.iter().map(|key| format!("{key} {}", report[key])).collect();
        println!(
            "{moment}: {:.1} s of a clock {} times faster, {:.1} s real; {}; requests {}",
            at(report),
            self.speed,
            self.begun.elapsed().as_secs_f64(),
            figures.join(", "),
            report["requests"]["by_outcome"],
        );
    }
}

/// When a report was made, in seconds since the sandbox's start.
pub fn at(report: &Value) -> f64 {
    report["virtual_seconds"].as_f64().unwrap()
}

/// A count of a report.
pub fn count(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_else(|| panic!("no {key} in {report:#}"))
}

/// Nobody lapsed, nothing was throttled, and no window was overfull.
///
/// # Panics
/// When that is not so; with the report and the end of the log.
pub fn assert_no_lapse(report: &Value, daemon: &Daemon) {
    assert_no_lapse_within(QUOTA, report, daemon);
}

/// The same in a lane that may make so many requests in 30 s.
///
/// # Panics
/// When that is not so; with the report and the end of the log.
pub fn assert_no_lapse_within(quota: u64, report: &Value, daemon: &Daemon) {
    assert_eq!(
        (&report["lapses"], &report["throttled"]),
        (&0.into(), &0.into()),
        "{report:#}\n{}",
        log_end(daemon)
    );
    assert!(count(report, "peak_window") <= quota, "{report:#}");
}

/// The last lines of a daemon's log.
pub fn log_end(daemon: &Daemon) -> String {
    let log = daemon.log();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
