//! Each alert rule, seen to fire: daemons that run into each trouble, and a Prometheus that scrapes them and goes by
//! `monitoring/rules.yml`. Their clocks run faster than its, so its spans are made shorter by as much.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::http_door::HttpDoor;
use crate::patience::until_within;
use crate::sandbox::{Sandbox, http};
use crate::site::{Site, available, id};

const SPEED: u64 = 20;
const FAST: [&str; 2] = ["--speed", "20"];
/// A quarter of an hour of the daemons' time is 45 s; this is a slow machine's.
const PATIENCE: Duration = Duration::from_secs(180);

/// A Prometheus on loopback; it is killed when this is dropped.
struct Prometheus {
    url: String,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // One that has ended needs not be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rules with each span divided by the speed, a second at least.
fn hurried(rules: &str) -> String {
    let mut out = String::new();
    for line in rules.lines() {
        let mut line = line.to_owned();
        if let Some(span) = line.trim().strip_prefix("for: ") {
            line = line.replace(span, &shorter(span));
        }
        for span in ["5m", "10m"] {
            line = line.replace(&format!("[{span}]"), &format!("[{}]", shorter(span)));
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

fn shorter(span: &str) -> String {
    let (count, unit) = span.split_at(span.len() - 1);
    let secs = count.parse::<u64>().unwrap() * if unit == "m" { 60 } else { 1 };
    format!("{}s", (secs / SPEED).max(1))
}

impl Prometheus {
    /// `None`: it is not installed.
    fn start(targets: &[&HttpDoor]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("monitoring/rules.yml");
        let rules = hurried(&std::fs::read_to_string(shipped).unwrap());
        std::fs::write(dir.path().join("rules.yml"), rules).unwrap();
        let targets: Vec<&str> = targets.iter().map(|door| door.address()).collect();
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "presenced", "static_configs": [{"targets": targets}]}],
        });
        std::fs::write(dir.path().join("prometheus.yml"), config.to_string()).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let started = Command::new("prometheus")
            .arg(format!("--config.file={}", at(dir.path(), "prometheus.yml")))
            .arg(format!("--storage.tsdb.path={}", at(dir.path(), "tsdb")))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .spawn();
        Some(Self { url: format!("http://{address}"), child: started.ok()?, _dir: dir })
    }

    /// What fires now, by alert and target.
    async fn firing(&self) -> Vec<(String, String)> {
        let Ok(response) = http().get(format!("{}/api/v1/alerts", self.url)).send().await else {
            return Vec::new();
        };
        let Ok(body) = serde_json::from_slice::<Value>(&response.bytes().await.unwrap()) else {
            return Vec::new();
        };
        let alerts = body["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        let text =
            |alert: &Value, label: &str| alert["labels"][label].as_str().unwrap_or_default().to_owned();
        firing.map(|alert| (text(alert, "alertname"), text(alert, "instance"))).collect()
    }
}

fn at(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

/// A daemon in a trouble of its own.
struct Case {
    sandbox: Sandbox,
    site: Site,
    door: HttpDoor,
    daemon: Daemon,
}

impl Case {
    async fn new(sandbox: &[&str], users: u32, app: &str) -> Self {
        let sandbox = Sandbox::start(&[&FAST, sandbox].concat()).await;
        let mut site = Site::new(&sandbox, (0..users).map(available));
        app.clone_into(&mut site.config.app);
        let door = HttpDoor::of(&mut site, "");
        let mut daemon = site.run_with(&FAST);
        daemon.event("started").await;
        Self { sandbox, site, door, daemon }
    }
}

#[tokio::test]
#[ignore = "needs a Prometheus, and takes two minutes: tests/long/run alerts"]
async fn each_alert_fires_in_the_trouble_that_it_is_for() {
    const QUOTA: &str = "quota = { requests = 100, per = \"30s\" }";
    let slow_quota = ["--quota", "100/30"];
    let outage = Case::new(&slow_quota, 400, QUOTA).await;
    let full = Case::new(&[&slow_quota[..], &["--latency", "4000-4000"]].concat(), 700, QUOTA).await;
    let mut parked = Case::new(&[], 10, "").await;
    let throttled = Case::new(&[], 20, "").await;
    let mut broken = Case::new(&[], 2, "").await;
    let in_ten_days =
        jiff::Timestamp::try_from(std::time::SystemTime::now() + Duration::from_secs(10 * 86_400));
    let ends = jiff::tz::TimeZone::UTC.to_datetime(in_ten_days.unwrap()).date();
    let ending = Case::new(&[], 2, &format!("secret_expires = {ends}")).await;
    let well = Case::new(&[], 5, "").await;
    let cases = [&outage, &full, &parked, &throttled, &broken, &ending, &well];
    let doors: Vec<&HttpDoor> = cases.iter().map(|case| &case.door).collect();
    let Some(prometheus) = Prometheus::start(&doors) else {
        println!("not tried: prometheus is not installed");
        return;
    };
    for (case, sessions) in [(&outage, 400), (&throttled, 20)] {
        case.sandbox.until_within(PATIENCE, "all are held", |report| report["sessions"] == sessions).await;
    }

    outage.sandbox.faults(json!({"outage": {"status": 503}})).await;
    throttled.sandbox.faults(json!({"throttle": {"retry_after": "1"}})).await;
    parked.sandbox.faults(json!({"users": {id(3): {"status": 404}}})).await;
    parked.daemon.event("parked").await;
    // With its state_dir: that is where the last good config is.
    let good = std::fs::read_to_string(broken.site.config_file()).unwrap();
    broken.site.write_text(&format!("nonsense = 1\n{good}"));
    broken.daemon.signal(Signal::HUP);
    broken.daemon.event("reload_refused").await;

    let address = |case: &Case| case.door.address().to_owned();
    let mut wanted: BTreeMap<(&str, String), bool> = [
        ("PresencedRenewalsLate", &outage),
        ("PresencedSecondsToLapse", &outage),
        ("PresencedAppDown", &outage),
        ("PresencedLapse", &outage),
        ("PresencedParked", &parked),
        ("PresencedReloadRefused", &broken),
        ("PresencedCredentialEnds", &ending),
        ("PresencedQuotaNearlyUsed", &full),
        ("PresencedQuotaSpentByOthers", &throttled),
    ]
    .map(|(alert, case)| ((alert, address(case)), false))
    .into();
    let mut order = Vec::new();
    let seen = async || {
        for (alert, instance) in prometheus.firing().await {
            if let Some((_, seen)) =
                wanted.iter_mut().find(|((name, at), _)| *name == alert && *at == instance)
                && !std::mem::replace(seen, true)
            {
                order.push(alert);
            }
        }
        (wanted.values().all(|seen| *seen) || order.len() == wanted.len()).then_some(())
    };
    let all = tokio::time::timeout(PATIENCE, until_within(PATIENCE * 2, "all alerts", seen)).await;
    println!("in this order: {order:?}");
    assert!(all.is_ok(), "of {wanted:#?} only {order:?}");
    let rank = |alert: &str| order.iter().position(|seen| seen == alert).unwrap();
    assert!(
        rank("PresencedRenewalsLate") < rank("PresencedLapse"),
        "it pages before the first lapse: {order:?}"
    );
    assert!(rank("PresencedAppDown") < rank("PresencedLapse"), "{order:?}");
    let quiet = prometheus.firing().await;
    assert!(
        quiet.iter().all(|(_, at)| *at != address(&well)),
        "of a daemon that is well, nothing: {quiet:?}"
    );

    // With a broken file a restart goes on with the last good config; and one does not come back.
    broken.daemon.signal(Signal::TERM);
    assert_eq!(broken.daemon.exit_code().await, Some(0));
    broken.daemon = broken.site.run_with(&FAST);
    broken.daemon.event("running_on_last_good").await;
    let gone = address(&ending);
    ending.daemon.kill().await;
    let last = [("PresencedOnLastGoodConfig", address(&broken)), ("PresencedDown", gone)];
    let both = async || {
        let firing = prometheus.firing().await;
        let fires = |(alert, at): &(&str, String)| firing.iter().any(|(name, of)| name == alert && of == at);
        last.iter().all(fires).then_some(())
    };
    until_within(PATIENCE, "last good, and down", both).await;
}
