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

#[cfg(test)]
mod tests {
    use reqwest::Method;

    use super::*;
    use crate::daemon::network::Way;
    use crate::daemon::network::testing::{LONG, Script, Server, direct};

    async fn body(script: Script, limits: Limits) -> Option<String> {
        let server = Server::plain(vec![script]).await;
        let url = server.url("http").parse().unwrap();
        let http = Way::to(&url, &direct()).unwrap().client().unwrap();
        let exchange = run(&http, Request::new(Method::GET, url), limits);
        match timeout(LONG / 2, exchange).await.expect("limits hold") {
            Exchange::Answered { body, .. } => Some(String::from_utf8(body).unwrap()),
            Exchange::Broken(_) | Exchange::Silent => None,
        }
    }

    #[tokio::test]
    async fn each_limit_ends_a_body_that_does_not_end_by_itself() {
        let short = Duration::from_millis(500);
        let limits = |time, body_time| Limits { time, body_time, max_body: 8 };
        let hanging = || Script::hold("HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\nhead");
        assert_eq!(body(hanging(), limits(short, LONG)).await.as_deref(), Some("head"));
        assert_eq!(body(hanging(), limits(LONG, short)).await.as_deref(), Some("head"));
        let endless = Script::endless("HTTP/1.1 200 OK\r\n\r\n", b"0123456789abcdef");
        assert_eq!(body(endless, limits(LONG, LONG)).await.as_deref(), Some("01234567"));
        assert_eq!(body(Script::hold(""), limits(short, LONG)).await, None);
    }

    #[tokio::test]
    async fn a_body_that_fits_is_read_to_its_end() {
        let limits = Limits { time: LONG, body_time: LONG, max_body: 8 };
        assert_eq!(body(Script::answer(200, "", "01234567"), limits).await.as_deref(), Some("01234567"));
        assert_eq!(body(Script::answer(200, "", "0123456"), limits).await.as_deref(), Some("0123456"));
        assert_eq!(body(Script::answer(200, "", ""), limits).await.as_deref(), Some(""));
    }
}
