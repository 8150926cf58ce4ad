//! Metrics for Prometheus, made at each scrape from the figures of that second. No series is about a single user: their
//! number must not grow with the sessions.

mod families;

use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

use self::families::Families;
use crate::daemon::control::Desk;

/// Source: "OpenMetrics 1.0", section "Content type".
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`: the classic text format, or OpenMetrics for those who would rather have that.
pub(super) async fn metrics(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(desk.figures())));
    let mut body = String::new();
    let (encoded, kind) = if prefers_openmetrics(&headers) {
        (text::encode(&mut body, &registry), OPENMETRICS)
    } else {
        (prometheus_text::encode(&mut body, &registry), prometheus_text::CONTENT_TYPE)
    };
    match encoded {
        Ok(()) => ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Whether OpenMetrics is asked for, and nothing else more.
fn prefers_openmetrics(headers: &HeaderMap) -> bool {
    let wanted = |kind: &str| {
        let lines = headers.get_all(ACCEPT).into_iter().filter_map(|line| line.to_str().ok());
        let ranges = lines.flat_map(|line| line.split(',')).map(|range| range.split(';').map(str::trim));
        let of_kind = ranges.filter_map(|mut range| {
            (range.next()?.eq_ignore_ascii_case(kind)).then(|| {
                let weight = range.find_map(|parameter| parameter.strip_prefix("q="));
                weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0_f64))
            })
        });
        of_kind.fold(0.0, f64::max)
    };
    let openmetrics = wanted("application/openmetrics-text");
    openmetrics > 0.0 && openmetrics >= wanted("text/plain")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefers(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        prefers_openmetrics(&headers)
    }

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        assert!(!prefers_openmetrics(&HeaderMap::new()));
        assert!(!prefers("*/*"));
        assert!(!prefers("text/plain;version=0.0.4"));
        assert!(!prefers("application/openmetrics-text;q=0.4, text/plain;q=0.5"));
        assert!(!prefers("application/openmetrics-text;q=0"));
        // As Prometheus 2 and 3 ask.
        assert!(prefers(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        ));
    }
}
