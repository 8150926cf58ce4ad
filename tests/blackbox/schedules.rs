//! Schedules, on the service: at edges, at starts, and when everything happens at once.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::patience::until;
use crate::sandbox::Sandbox;
use crate::site::{Site, User, id, user};

/// A clock that runs faster than the world's and shows a moment of the future now.
pub struct Fast {
    speed: u32,
    epoch: Timestamp,
}

impl Fast {
    /// `then` has to be later than now.
    pub fn showing(then: &str, speed: u32) -> Self {
        let now = Timestamp::now();
        let ahead = Duration::try_from(then.parse::<Timestamp>().unwrap().duration_since(now)).unwrap();
        Self { speed, epoch: now - ahead / (speed - 1) }
    }

    pub fn run(&self, site: &Site) -> Daemon {
        let (speed, epoch) = (self.speed.to_string(), self.epoch.to_string());
        site.run_with(&["--speed", &speed, "--epoch", &epoch])
    }

    /// What it shows now.
    pub fn now(&self) -> Timestamp {
        let epoch = SystemTime::try_from(self.epoch).unwrap();
        let since = SystemTime::now().duration_since(epoch).unwrap();
        self.epoch + since * self.speed
    }

    /// Returns when it shows `then`.
    pub async fn until(&self, then: &str) {
        let left = then.parse::<Timestamp>().unwrap().duration_since(self.now());
        tokio::time::sleep(Duration::try_from(left).unwrap_or_default() / self.speed).await;
    }
}

/// What a user shows by our session, and for how many minutes; or nothing.
pub async fn shows(sandbox: &Sandbox, n: u32) -> Option<(String, u64)> {
    let user = sandbox.user(n).await;
    let session = user["sessions"].as_array()?.first()?;
    let minutes = (session["expires_at_s"].as_f64()? - session["set_at_s"].as_f64()?) / 60.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hours at most")]
    let minutes = minutes.round() as u64;
    Some((session["state"]["activity"].as_str()?.to_owned(), minutes))
}

pub async fn until_shows(sandbox: &Sandbox, n: u32, activity: Option<&str>) -> u64 {
    until(&format!("user {n} shows {activity:?}"), async || {
        let shown = shows(sandbox, n).await;
        (shown.as_ref().map(|(shown, _)| shown.as_str()) == activity)
            .then(|| shown.map_or(0, |(_, minutes)| minutes))
    })
    .await
}

/// A schedule named `day`, open between two times in Berlin.
pub fn day(from: &str, to: &str) -> String {
    format!(
        "[[schedule]]\nname = \"day\"\nactivity = \"InACall\"\nexpiration = \"PT4H\"\ntimezone = \"Europe/Berlin\"\n\
         windows = [{{ from = \"{from}\", to = \"{to}\" }}]"
    )
}

fn follower(n: u32, base: &str) -> User {
    user(n, &format!("availability = \"{base}\"\nschedules = [\"day\"]"))
}

#[tokio::test]
async fn a_window_in_the_gap_of_the_clock_opens_right_after_it_and_ends_when_it_says() {
    let sandbox = Sandbox::start(&["--speed", "60"]).await;
    let mut site = Site::new(&sandbox, [follower(1, "Away"), follower(2, "none")]);
    // On this night Berlin's clocks go from 02:00 to 03:00, at 01:00 UTC.
    site.config.control.push_str(&day("02:30", "03:04"));
    site.write();
    let fast = Fast::showing("2027-03-28T00:58:30Z", 60);
    let mut daemon = fast.run(&site);
    daemon.event("started").await;
    until_shows(&sandbox, 1, Some("Away")).await;
    assert_eq!(shows(&sandbox, 2).await, None, "no session outside of the window");

    let minutes = until_shows(&sandbox, 1, Some("InACall")).await;

    let now = fast.now();
    assert!(now >= "2027-03-28T01:00:00Z".parse().unwrap(), "not before the clocks changed: {now}");
    assert_eq!(minutes, 5, "no longer than it is wanted, but the least that Graph takes");
    assert_eq!(until_shows(&sandbox, 2, Some("InACall")).await, 5);
    let line = daemon.events("set").into_iter().find(|line| line["to"] == "Busy/InACall").unwrap();
    assert_eq!(line["because"], "schedule:day");
    assert_eq!(until_shows(&sandbox, 1, Some("Away")).await, 60);
    until_shows(&sandbox, 2, None).await;
    let now = fast.now();
    assert!(now >= "2027-03-28T01:04:00Z".parse().unwrap(), "not before 03:04 in Berlin: {now}");
    let report = sandbox.report().await;
    assert_eq!((&report["lapses"], &report["invalid_requests"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_start_after_an_edge_that_was_missed_finds_what_is_wanted_by_then() {
    let sandbox = Sandbox::start(&["--speed", "60"]).await;
    let mut site =
        Site::new(&sandbox, [follower(1, "Away"), follower(2, "none"), user(3, "availability = \"Away\"")]);
    site.config.control.push_str(&day("09:00", "17:00"));
    site.write();
    let fast = Fast::showing("2027-01-15T07:57:00Z", 60);
    let mut daemon = fast.run(&site);
    daemon.event("started").await;
    until_shows(&sandbox, 1, Some("Away")).await;
    until_shows(&sandbox, 3, Some("Away")).await;
    daemon.kill().await;
    fast.until("2027-01-15T08:00:05Z").await;

    let mut daemon = fast.run(&site);
    daemon.event("started").await;

    until_shows(&sandbox, 2, Some("InACall")).await;
    assert_eq!(until_shows(&sandbox, 1, Some("InACall")).await, 240, "as long as it is configured");
    assert_eq!(sandbox.calls(3).await.len(), 1, "who follows no schedule was left alone");
    let sets = |calls: Vec<String>| calls.iter().filter(|call| *call == "set_presence").count();
    assert_eq!(
        (sets(sandbox.calls(1).await), sets(sandbox.calls(2).await)),
        (2, 1),
        "nothing wrong in between"
    );
}

/// Users by what happens to them in the same second.
const KINDS: u32 = 5;
const EACH: u32 = 8;

/// The config before the second, or after it.
fn everyone(after: bool) -> Vec<User> {
    let users = (0..KINDS * EACH).map(|n| (n, n % KINDS)).filter(|(_, kind)| !(after && *kind == 2));
    let mut users: Vec<User> = users
        .map(|(n, kind)| match (kind, after) {
            (1, true) => user(n, "availability = \"DoNotDisturb\""),
            (4, false) => user(n, "availability = \"Away\""),
            _ => follower(n, "Away"),
        })
        .collect();
    if after {
        users.extend((100..100 + EACH).map(|n| follower(n, "none")));
    }
    users
}

/// What is wanted at the end: kind 0 follows on, 1 has left the schedule, 2 is gone, 3 is overridden, 4 follows now.
fn wanted(n: u32) -> Option<&'static str> {
    match (n, n % KINDS) {
        (100.., _) | (_, 0 | 4) => Some("InACall"),
        (_, 1) => Some("Presenting"),
        (_, 2) => None,
        _ => Some("Available"),
    }
}

#[tokio::test]
async fn a_reload_an_edge_and_overrides_in_the_same_second_leave_what_is_wanted() {
    for order in 0..3 {
        let sandbox = Sandbox::start(&["--speed", "10"]).await;
        let mut site = Site::new(&sandbox, everyone(false));
        site.config.control.push_str(&day("09:00", "17:00"));
        site.config.daemon.push_str("max_removed = \"100%\"");
        site.write();
        let fast = Fast::showing("2027-01-15T07:59:40Z", 10);
        let mut daemon = fast.run(&site);
        daemon.all_said("set", (KINDS * EACH) as usize).await;
        site.config.users = everyone(true);
        fast.until(["2027-01-15T07:59:59.5Z", "2027-01-15T07:59:58Z", "2027-01-15T08:00:00Z"][order]).await;

        site.write();
        daemon.signal(Signal::HUP);
        let began = Instant::now();
        let http =
            reqwest::Client::builder().unix_socket(site.path("control.sock")).no_proxy().build().unwrap();
        for n in (0..KINDS * EACH).filter(|n| n % KINDS == 3) {
            let url = format!("http://presenced/v1/overrides/{}/call", id(n));
            let body = json!({"availability": "Available", "ttl": "1h"}).to_string();
            let put = http.request(Method::PUT, url).header("content-type", "application/json").body(body);
            assert_eq!(put.send().await.unwrap().status(), 200);
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?} is not at once", began.elapsed());
        daemon.event("reloaded").await;

        for n in (0..KINDS * EACH).chain(100..100 + EACH) {
            until_shows(&sandbox, n, wanted(n)).await;
        }
        // And it stays so: nothing that is late undoes it.
        fast.until("2027-01-15T08:06:00Z").await;
        for n in (0..KINDS * EACH).chain(100..100 + EACH) {
            assert_eq!(
                shows(&sandbox, n).await.as_ref().map(|(shown, _)| shown.as_str()),
                wanted(n),
                "user {n}"
            );
        }
        let report: Value = sandbox.report().await;
        assert_eq!((&report["lapses"], &report["throttled"]), (&json!(0), &json!(0)), "{report}");
    }
}
