//! What `[http] listen` serves: probes, metrics and the status page. Nothing here changes anything, and nothing asks who
//! reads.

mod metrics;
mod page;
mod probes;

use axum::Router;
use axum::routing::get;

use super::control::Desk;

/// The router of `[http] listen`.
pub fn router(desk: Desk) -> Router {
    Router::new()
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/heldz", get(probes::heldz))
        .route("/metrics", get(metrics::metrics))
        .with_state(desk.clone())
        .merge(page::router(desk))
}
