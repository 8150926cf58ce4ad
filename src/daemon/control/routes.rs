//! Which path is which request.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post, put};

use super::problem::Problem;
use super::{Desk, groups, overrides, sessions, why};

/// Largest body that is read, in bytes.
const BODY_MAX: usize = 16 * 1024;

/// The control API.
pub fn router(desk: Desk) -> Router {
    Router::new()
        .route("/v1/status", get(sessions::status))
        .route("/v1/users/{user}", get(sessions::user))
        .route("/v1/users/{user}/why", get(why::why))
        .route("/v1/history", get(sessions::history))
        .route("/v1/health", get(sessions::health))
        .route("/v1/overrides", get(overrides::list))
        .route("/v1/overrides/{user}/{source}", put(overrides::put).delete(overrides::delete))
        .route("/v1/groups/{group}", get(groups::group))
        .route("/v1/groups/{group}/overrides/{source}", put(groups::put).delete(groups::delete))
        .route("/v1/groups/{group}/release", post(groups::release))
        .route("/v1/groups/{group}/resume", post(groups::resume))
        .route("/v1/release", post(overrides::release))
        .route("/v1/resume", post(overrides::resume))
        .route("/v1/reload", post(overrides::reload))
        .fallback(async || Problem::unknown("there is no such path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "not with this method")
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(desk)
}
