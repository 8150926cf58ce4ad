//! One request and its answer, within limits.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Request, Response};
use tokio::time::timeout;
use uuid::Uuid;

/// Our name for a request: Graph and the login authority give it back, and Microsoft's support finds the request by
/// it.
pub(in crate::daemon) const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");

/// What an exchange may take.
#[derive(Clone, Copy)]
pub(in crate::daemon) struct Limits {
    /// For everything, from the connection to the end of the answer's body.
    pub(in crate::daemon) time: Duration,
    /// For the body alone, once the status is known.
    pub(in crate::daemon) body_time: Duration,
    /// Bytes of the body; what comes after them is not read.
    pub(in crate::daemon) max_body: usize,
}

/// How an exchange ended.
pub(in crate::daemon) enum Exchange {
    /// With an answer. Its body may be cut off, by a limit or by the server.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The headers.
        headers: HeaderMap,
        /// What was read of the body.
        body: Vec<u8>,
    },
    /// Without a connection, or it broke before there was a status.
    Broken(reqwest::Error),
    /// The time was over before there was a status.
    Silent,
}

/// Sends a request. Returns within `limits.time` of real time.
pub(in crate::daemon) async fn run(http: &Client, request: Request, limits: Limits) -> Exchange {
    let mut answer = None;
    let mut body = Vec::new();
    let ended = timeout(limits.time, async {
        let response = answer.insert(http.execute(request).await?);
        if response.content_length() != Some(0) {
            // To its end even if nobody wants it: over HTTP/1.1 the connection can be used again only then.
            let _ = timeout(limits.body_time, read_body(response, &mut body, limits.max_body)).await;
        }
        Ok(())
    })
    .await;
    match (answer, ended) {
        (Some(mut response), _) => Exchange::Answered {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body,
        },
        (None, Ok(Err(error))) => Exchange::Broken(error),
        (None, Ok(Ok(())) | Err(_)) => Exchange::Silent,
    }
}

/// Reads a body into `body`, and stops at `cap` bytes or where it breaks off.
async fn read_body(response: &mut Response, body: &mut Vec<u8>, cap: usize) {
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = cap - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            return;
        }
    }
}

/// A GUID as the value of a header.
pub(in crate::daemon) fn guid_header(id: Uuid) -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut buffer)).expect("hexadecimal digits and hyphens")
}
