//! Why a request is not done: a status, a code for programs, and words for people.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request is not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// For programs: stable.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Something in the request cannot be.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// There is no such user, app or override.
    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown", message)
    }

    /// Several may be meant.
    pub(super) fn ambiguous(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ambiguous", message)
    }

    /// Whoever asks may not.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// Nobody knows who asks.
    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "a bearer token of [control] tokens is needed")
    }

    /// The same, and that it was done of so many before.
    pub(super) fn after(mut self, done: usize, of: usize) -> Self {
        if done > 0 {
            self.message = format!("{}; it is done for {done} of {of}", self.message);
        }
        self
    }

    pub(in crate::daemon) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the daemon is stopping")
    }

    pub(in crate::daemon) fn busy() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "the daemon has not answered in time")
    }

    pub(in crate::daemon) fn bug() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", "this is a bug: the log has more")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": { "code": self.code, "message": self.message } }));
        let mut response = (self.status, body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = axum::http::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
