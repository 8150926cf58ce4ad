//! `/metrics`: its form, and its values against the sandbox's account.

use std::io::Write;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::json;

use crate::http_door::{HttpDoor, Scrape};
use crate::sandbox::Sandbox;
use crate::site::{Site, available, id, in_a_call};

const FAST: [&str; 2] = ["--speed", "60"];

/// What Prometheus 2 asks for.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

#[tokio::test]
async fn metrics_keep_the_rules_of_their_format_and_promtool_finds_nothing() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, (1..4).map(available));
    let door = HttpDoor::of(&mut site, "");
    let mut daemon = site.run();
    daemon.all_said("set", 3).await;
    door.scrape_until("held", |scrape| scrape.app("presenced_sessions", "state=\"held\"") >= 3.0).await;

    let (kind, classic) = door.text("*/*").await;
    let (open_kind, open) = door.text(PROMETHEUS).await;

    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(open_kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE presenced_requests counter\n"), "{open}");
    assert!(open.contains("# UNIT presenced_request_duration_seconds seconds\n"), "{open}");
    assert!(!classic.contains("# EOF") && !classic.contains("# UNIT"), "{classic}");
    let scrape = Scrape::of(&classic);
    assert_eq!(scrape.types.len(), 22, "{:#?}", scrape.types.keys());
    assert!(!classic.contains(&id(1)) && !classic.contains("user 1"), "no series is about a user");
    promtool(&classic);
}

/// `promtool check metrics`, where it is installed.
fn promtool(metrics: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        println!("not tried: promtool is not installed");
        return;
    };
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{metrics}");
}

#[tokio::test]
async fn counts_are_those_of_the_service() {
    let sandbox = Sandbox::start(&FAST).await;
    sandbox.faults(json!({"users": {id(3): {"status": 404}}})).await;
    let mut site = Site::new(&sandbox, (1..=10).map(available));
    let door = HttpDoor::of(&mut site, "");
    let mut daemon = site.run_with(&FAST);
    daemon.event("parked").await;
    sandbox.until("renewals", |report| report["sets"].as_u64() >= Some(40)).await;
    site.config.users.truncate(7);
    site.config.users.push(in_a_call(20));
    site.write();
    let (code, _, err) = site.command(&["reload", "--accept-shrink"]).await;
    assert_eq!(code, Some(0), "{err}");
    sandbox.until("clears", |report| report["clears"] == 3).await;

    // Requests go on meanwhile: the service's count before and after has the daemon's between it.
    let before = sandbox.report().await;
    let is_of = |scrape: &Scrape| {
        scrape.app("presenced_requests_total", "call=\"clear\",outcome=\"granted\"") >= 3.0
            && scrape.app("presenced_requests_total", "call=\"set\",outcome=\"granted\"")
                >= before["sets"].as_f64().unwrap()
    };
    let scrape = door.scrape_until("what the service counted", is_of).await;
    let after = sandbox.report().await;
    let requests = |call: &str, outcome: &str| {
        scrape.app("presenced_requests_total", &format!("call=\"{call}\",outcome=\"{outcome}\""))
    };
    assert!(requests("set", "granted") <= after["sets"].as_f64().unwrap(), "{after:#}");
    assert!(requests("clear", "granted") == 3.0 && requests("set", "refused") >= 1.0);
    assert_eq!(
        requests("set", "throttled") + requests("set", "lost") + requests("set", "token_rejected"),
        0.0
    );
    let sessions = |state: &str| scrape.app("presenced_sessions", &format!("state=\"{state}\""));
    assert_eq!(sessions("held") + sessions("late") + sessions("pending"), 7.0);
    assert_eq!((sessions("parked"), sessions("lapsed"), sessions("unfunded")), (1.0, 0.0, 0.0));
    let granted = requests("set", "granted");
    assert!(scrape.app("presenced_renewals_total", "") >= granted - 11.0, "all but the first sets");
    assert_eq!(scrape.app("presenced_lapses_total", ""), after["lapses"].as_f64().unwrap());
    let durations = scrape.app("presenced_request_duration_seconds_count", "");
    let all: f64 = ["granted", "refused"].map(|outcome| requests("set", outcome)).iter().sum();
    assert_eq!(durations, all + 3.0);
    let (late, late_sum) = (
        scrape.app("presenced_renewal_lateness_seconds_count", ""),
        scrape.app("presenced_renewal_lateness_seconds_sum", ""),
    );
    assert!(
        late >= scrape.app("presenced_renewals_total", "") && late_sum / late < 75.0,
        "{late_sum} for {late}"
    );
    assert_eq!(scrape.app("presenced_token_requests_total", "outcome=\"granted\""), 1.0);
    assert!(scrape.app("presenced_session_seconds_total", "state=\"held\"") > 7.0 * 150.0);
    assert_eq!(scrape.app("presenced_app_up", ""), 1.0);
    assert_eq!(scrape.one("presenced_config_last_reload_successful"), 1.0);
}

#[tokio::test]
async fn no_counter_goes_back_while_a_lane_closes_and_opens_again() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    site.config.apps.push("fabrikam");
    site.secret("fabrikam", crate::site::SECRET);
    site.config.users[0].says.push_str("\napp = \"contoso\"");
    let mut other = available(2);
    other.says.push_str("\napp = \"fabrikam\"");
    site.config.users.push(other);
    let door = HttpDoor::of(&mut site, "");
    let mut daemon = site.run();
    daemon.all_said("set", 2).await;
    let granted = "presenced_requests_total{app=\"fabrikam\",call=\"set\",outcome=\"granted\"}";
    door.scrape_until("the first", |scrape| scrape.samples.get(granted) == Some(&1.0)).await;
    let with = site.config.clone();

    site.config.apps.pop();
    site.config.users.pop();
    site.write();
    assert_eq!(site.command(&["reload", "--accept-shrink"]).await.0, Some(0));
    door.scrape_until("it is gone", |scrape| !scrape.samples.contains_key(granted)).await;
    site.config = with;
    site.write();
    daemon.signal(Signal::HUP);
    daemon.all_said("set", 3).await;

    let scrape = door.scrape_until("it is back", |scrape| scrape.samples.contains_key(granted)).await;
    let first = scrape.one(granted);
    assert!(first >= 1.0, "{first}");
    door.scrape_until("it counts on", |scrape| scrape.samples.get(granted) == Some(&2.0)).await;
    let clears = "presenced_requests_total{app=\"fabrikam\",call=\"clear\",outcome=\"granted\"}";
    assert_eq!(scrape.one(clears), 1.0, "what came just before the end counts");
}

#[tokio::test]
async fn a_refused_reload_shows_until_the_file_is_mended() {
    let sandbox = Sandbox::start(&[]).await;
    let mut site = Site::new(&sandbox, [available(1)]);
    let door = HttpDoor::of(&mut site, "");
    let mut daemon = site.run();
    daemon.event("started").await;
    let good = "presenced_config_last_reload_successful";
    let at = "presenced_config_last_reload_success_timestamp_seconds";
    let started = door.scrape_until("a start", |scrape| scrape.one(at) > 0.0).await;
    assert_eq!(started.one(good), 1.0);
    site.write_text("nonsense = 1");
    daemon.signal(Signal::HUP);
    let refused = door.scrape_until("a refusal", |scrape| scrape.one(good) == 0.0).await;
    assert_eq!(refused.one(at), started.one(at));
    site.write();
    daemon.signal(Signal::HUP);
    let mended = door.scrape_until("it is mended", |scrape| scrape.one(good) == 1.0).await;
    assert!(mended.one(at) > started.one(at));
}
