//! Probes: whether the daemon lives, is ready, and holds what it is to hold.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::daemon::control::Desk;
use crate::daemon::health;

/// `GET /healthz`: 200 while the driver's loop turns. It never depends on Graph, or an outage would restart every pod.
pub(super) async fn healthz(State(desk): State<Desk>) -> impl IntoResponse {
    let live = health::is_live(&desk.figures(), &desk.clock);
    answer(live, json!({ "live": live }))
}

/// `GET /readyz`: 200 once a plan is in force, until the daemon stops.
pub(super) async fn readyz(State(desk): State<Desk>) -> impl IntoResponse {
    let figures = desk.figures();
    let ready = health::is_ready(&figures);
    answer(ready, json!({ "ready": ready, "config": figures.config.to_string() }))
}

/// `GET /heldz`: 200 while every session is held in time. For alerts, not for probes that restart.
pub(super) async fn heldz(State(desk): State<Desk>) -> impl IntoResponse {
    let figures = desk.figures();
    let tolerate = figures.accepted.settings.tolerate();
    let reasons = health::unheld(&figures, tolerate);
    answer(reasons.is_empty(), json!({ "held": reasons.is_empty(), "reasons": reasons }))
}

fn answer(good: bool, body: Value) -> impl IntoResponse {
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CACHE_CONTROL, "no-store")], Json(body))
}
