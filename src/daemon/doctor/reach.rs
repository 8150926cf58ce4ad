//! Whether a host can be reached, and how far this machine's clock is from its own.

use std::time::{Duration, SystemTime};

use reqwest::header::{CACHE_CONTROL, DATE, HeaderMap, HeaderValue};
use reqwest::{Method, Request};
use url::Url;

use super::REACH_TIME;
use super::report::{Check, CheckName};
use crate::config::settings::{App, Network};
use crate::daemon::clock::Clock;
use crate::daemon::graph::stranger;
use crate::daemon::network::exchange::{self, Exchange, Limits};
use crate::daemon::network::{Cause, NetworkError, Way};
use crate::daemon::token::CLOCK_ADVICE;

/// So much of an answer is read; nothing in it matters.
const MAX_BODY: usize = 64 * 1024;
/// From here on someone should look at the clock.
const OFF: Duration = Duration::from_secs(30);
/// From here on Entra ID takes what this machine signs for too old or too young.
const WAY_OFF: Duration = Duration::from_secs(300);
/// Dates have whole seconds, rounded down: on average half of one is missing.
const DATE_MIDDLE: f64 = 0.5;

/// A host that an app needs, and what to ask it that needs no token.
pub(super) struct Host {
    name: CheckName,
    /// What people call it.
    called: &'static str,
    way: Way,
    question: Url,
}

/// What came of asking.
pub(super) struct Reached {
    pub(super) check: Check,
    /// Seconds that this machine's clock is ahead of the host's, where it told the time.
    pub(super) ahead: Option<f64>,
    /// The host, as people know it.
    pub(super) host: String,
}

impl Host {
    /// The login host of an app. What it is asked for is public: how to sign in to the tenant.
    pub(super) fn login(app: &App, network: &Network) -> Result<Self, NetworkError> {
        let path = format!("{}/v2.0/.well-known/openid-configuration", app.tenant);
        Self::new(CheckName::Login, "the login host", &app.cloud.login, &path, network)
    }

    /// The Graph of an app. What it is asked for is public: the list of what it has.
    pub(super) fn graph(app: &App, network: &Network) -> Result<Self, NetworkError> {
        Self::new(CheckName::Graph, "Graph", &app.cloud.graph, "v1.0/", network)
    }

    fn new(
        name: CheckName,
        called: &'static str,
        root: &Url,
        path: &str,
        network: &Network,
    ) -> Result<Self, NetworkError> {
        let mut question = root.clone();
        question.set_path(&format!("{}/{path}", root.path().trim_end_matches('/')));
        Ok(Self { name, called, way: Way::to(root, network)?, question })
    }

    /// Asks it. Any answer will do that the host may have given itself.
    pub(super) async fn ask(&self, clock: &Clock) -> Reached {
        let host = self.question.host_str().unwrap_or_default().to_owned();
        let unreached = |cause: Cause| Reached {
            check: Check::failed(self.name, cause.what, cause.advice),
            ahead: None,
            host: host.clone(),
        };
        let http = match self.way.client() {
            Ok(http) => http,
            Err(error) => {
                let advice = "see that this machine has CA certificates and open files to spare".to_owned();
                return unreached(Cause { what: error.to_string(), advice });
            }
        };
        let mut request = Request::new(Method::GET, self.question.clone());
        // A date out of a cache would be an old one.
        request.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let limits = Limits { time: REACH_TIME, body_time: REACH_TIME, max_body: MAX_BODY };
        let (sent, wall) = (clock.now(), clock.wall());
        match exchange::run(&http, request, limits).await {
            Exchange::Answered { status, headers, .. } => {
                let took = clock.now().since(sent);
                Reached {
                    check: self.answered(status, &headers, took, &host),
                    ahead: ahead(&headers, wall, took),
                    host,
                }
            }
            Exchange::Broken(error) => unreached(self.way.explain(&error)),
            Exchange::Silent => unreached(self.way.silence(REACH_TIME)),
        }
    }

    fn answered(&self, status: u16, headers: &HeaderMap, took: Duration, host: &str) -> Check {
        if let Some(cause) = stranger(status, headers, self.called, "") {
            return Check::failed(self.name, format!("{host} answered with status {status}"), cause);
        }
        if status == 429 || status >= 500 {
            let advice = "usually it passes by itself; if not, see the service's health page";
            return Check::warning(self.name, format!("{host} answered with status {status}"), advice);
        }
        Check::ok(self.name, format!("{host} answered in {} ms", took.as_millis()))
    }
}

/// How far `wall` was ahead of the date in an answer to what was sent then; half of the time that it took was the way
/// there.
fn ahead(headers: &HeaderMap, wall: SystemTime, took: Duration) -> Option<f64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let here = wall + took / 2;
    let ahead = match here.duration_since(date) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    };
    Some(ahead - DATE_MIDDLE)
}

/// What the dates of the hosts say of this machine's clock.
pub(super) fn clock(reached: &[&Reached]) -> Check {
    let dated = reached.iter().filter_map(|reached| Some((reached.ahead?, &reached.host)));
    let furthest = dated.max_by(|(one, _), (other, _)| one.abs().total_cmp(&other.abs()));
    let Some((ahead, host)) = furthest else {
        return Check::skipped(CheckName::Clock, "nothing that was reached has told the time");
    };
    let off = Duration::try_from_secs_f64(ahead.abs()).unwrap_or(Duration::MAX);
    let side = if ahead < 0.0 { "behind" } else { "ahead of" };
    let detail = format!("{} {side} the clock of {host}", spelled(off));
    if off < OFF {
        Check::ok(CheckName::Clock, detail)
    } else if off < WAY_OFF {
        Check::warning(CheckName::Clock, detail, CLOCK_ADVICE)
    } else {
        Check::failed(CheckName::Clock, detail, CLOCK_ADVICE)
    }
}

fn spelled(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::doctor::Status;

    #[test]
    fn half_of_the_round_trip_and_the_rounding_of_dates_are_counted() {
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut headers = HeaderMap::new();
        headers.insert(DATE, httpdate::fmt_http_date(noon).parse().unwrap());
        let ahead = |sent: f64, took: f64| {
            let wall = noon - Duration::from_secs(700) + Duration::from_secs_f64(sent + 700.0);
            ahead(&headers, wall, Duration::from_secs_f64(took)).unwrap()
        };
        for (sent, took, expected) in
            [(0.5, 0.0, 0.0), (-1.5, 4.0, 0.0), (600.5, 0.0, 600.0), (-599.5, 0.0, -600.0)]
        {
            assert!((ahead(sent, took) - expected).abs() < 1e-6, "{sent} {took}: {}", ahead(sent, took));
        }
    }

    #[test]
    fn the_clock_is_judged_by_the_host_that_is_furthest_from_it() {
        let reached = |ahead: Option<f64>, host: &str| Reached {
            check: Check::ok(CheckName::Login, ""),
            ahead,
            host: host.to_owned(),
        };
        for (login, graph, status, told) in [
            (Some(0.2), Some(-0.4), Status::Ok, "0.4 s behind the clock of graph"),
            (Some(-29.9), None, Status::Ok, "29 s behind the clock of login"),
            (Some(0.0), Some(31.0), Status::Warning, "31 s ahead of the clock of graph"),
            (Some(-600.0), Some(-599.0), Status::Failed, "10 min 0 s behind the clock of login"),
            (Some(f64::MAX), None, Status::Failed, "ahead of the clock of login"),
            (None, None, Status::Skipped, "has told the time"),
        ] {
            let check = clock(&[&reached(login, "login"), &reached(graph, "graph")]);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.detail.contains(told), "{check:?}");
        }
    }
}
