//! One form, posted to the login authority, and what was heard of it.

use std::fmt;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Request};
use secrecy::zeroize::Zeroizing;
use url::Url;
use uuid::Uuid;

use super::failure::Class;
use super::{TokenDetail, TokenReply, reply};
use crate::daemon::network::exchange::{self, CLIENT_REQUEST_ID, Exchange, Limits};
use crate::daemon::network::{Cause, Way};

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Longest answer that is read, in bytes. A token has a few thousand.
const MAX_BODY: usize = 64 * 1024;

/// An answer. It may hold tokens, so that it prints nothing and leaves nothing behind.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
    /// The `client-request-id` that was sent.
    pub(super) id: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Posts a form to `url`, which is on the host that `way` leads to. Returns within `time` of real time.
///
/// # Errors
/// Why there is no answer.
pub(super) async fn post(
    (way, http): (&Way, &Client),
    url: &str,
    form: String,
    time: Duration,
) -> Result<Answer, TokenReply> {
    let mut request = Request::new(Method::POST, Url::parse(url).map_err(|error| not_sent(&error))?);
    request.headers_mut().insert(CONTENT_TYPE, FORM);
    *request.body_mut() = Some(form.into());
    send((way, http), request, time).await
}

/// Sends a request that asks for JSON. Returns within `time` of real time.
///
/// # Errors
/// Why there is no answer.
pub(super) async fn send(
    (way, http): (&Way, &Client),
    mut request: Request,
    time: Duration,
) -> Result<Answer, TokenReply> {
    let id = Uuid::new_v4();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, JSON);
    headers.insert(CLIENT_REQUEST_ID, exchange::guid_header(id));
    let limits = Limits { time, body_time: time, max_body: MAX_BODY };
    match exchange::run(http, request, limits).await {
        Exchange::Answered { status, headers, body } => {
            Ok(Answer { status, headers, body: body.into(), id: id.to_string() })
        }
        Exchange::Broken(error) => Err(no_answer(way.explain(&error), id)),
        Exchange::Silent => Err(no_answer(way.silence(time), id)),
    }
}

fn no_answer(cause: Cause, id: Uuid) -> TokenReply {
    let detail = TokenDetail {
        error: "no answer".to_owned(),
        class: Class::Again,
        meaning: cause.what,
        advice: cause.advice,
        correlation_id: Some(id.to_string()),
        ..TokenDetail::default()
    };
    reply::failed(None, detail)
}

/// A request that could not be sent at all.
pub(super) fn not_sent(error: &dyn std::error::Error) -> TokenReply {
    let chain: Vec<_> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    let detail = TokenDetail {
        error: "not sent".to_owned(),
        class: Class::Again,
        meaning: chain.join(": "),
        advice: "check [network] and the app's cloud".to_owned(),
        ..TokenDetail::default()
    };
    reply::failed(None, detail)
}
