//! Graph's answers as HTTP: headers, its error envelope, and bodies that are broken.

use std::io;
use std::time::SystemTime;

use axum::body::{Body, Bytes};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt, future, stream};
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sandbox::batch::BatchReply;
use crate::sandbox::chance::{self, Purpose};
use crate::sandbox::faults::BodyForm;
use crate::sandbox::problem::Problem;
use crate::sandbox::quota::RetryAfter;
use crate::sandbox::reply::{Content, Presence, Reply};

/// What goes out.
pub(super) type Response = hyper::Response<Body>;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const DIAGNOSTIC: HeaderName = HeaderName::from_static("x-ms-ags-diagnostic");
const RESOURCE_UNIT: HeaderName = HeaderName::from_static("x-ms-resource-unit");
const JSON: &str = "application/json";
/// How much is announced where an answer breaks off.
const ANNOUNCED: usize = 4_096;
/// How much an enormous answer sends: so many pieces of this size, one gibibyte.
const PIECES: usize = 16_384;
const PIECE: &[u8] = &[b' '; 65_536];

/// What of a request comes back with its answer.
pub(super) struct Caller {
    client_request_id: Option<HeaderValue>,
    /// The root by which it reaches the service.
    root: String,
}

impl Caller {
    /// The caller of a request with this head.
    pub(super) fn of(head: &Parts) -> Self {
        let client_request_id = head.headers.get(CLIENT_REQUEST_ID).cloned();
        Self { client_request_id, root: format!("http://{}", super::host(head)) }
    }

    /// The client's own id of the request, or ours where it sent none.
    fn id(&self, request_id: Uuid) -> HeaderValue {
        self.client_request_id.clone().unwrap_or_else(|| plain(&request_id.to_string()))
    }
}

/// A reply.
pub(super) fn reply(reply: &Reply, form: BodyForm, caller: &Caller, wall: SystemTime) -> Response {
    let request_id = request_id(reply.number);
    let client_request_id = caller.id(request_id);
    let body = content(reply, caller, client_request_id.to_str().unwrap_or_default(), wall);
    let mut response = shaped(reply.status, form, body);
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, plain(&request_id.to_string()));
    headers.insert(CLIENT_REQUEST_ID, client_request_id);
    headers.insert(DIAGNOSTIC, HeaderValue::from_static(r#"{"ServerInfo":{"DataCenter":"Sandbox"}}"#));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let units = match &reply.content {
        Content::Entity { units, .. } => Some(*units),
        Content::Page(page) => Some(page.units),
        Content::Nothing | Content::Problem(_) | Content::Presence(_) | Content::Presences(_) => None,
    };
    if let Some(units) = units {
        headers.insert(RESOURCE_UNIT, HeaderValue::from(units));
    }
    if reply.status == 401 {
        headers.insert(WWW_AUTHENTICATE, challenge(reply));
    }
    dated(&mut response, reply.retry_after.as_ref(), wall);
    response
}

/// A batch's reply: 200, whatever is in it.
pub(super) fn batch(batch: &BatchReply, caller: &Caller, wall: SystemTime) -> Response {
    let number = batch.replies.first().map_or(0, |(_, reply)| reply.number);
    let request_id = request_id(number);
    let client_request_id = caller.id(request_id);
    let items = batch.replies.iter().map(|(id, reply)| {
        let mut headers = serde_json::Map::new();
        let body = content(reply, caller, client_request_id.to_str().unwrap_or_default(), wall);
        if let Some(retry_after) = &reply.retry_after {
            headers.insert("Retry-After".to_owned(), retry_after.text(wall).into());
        }
        let mut item = json!({ "id": id, "status": reply.status });
        if let Some(body) = body {
            headers.insert("Content-Type".to_owned(), JSON.into());
            item["body"] = body;
        }
        item["headers"] = headers.into();
        item
    });
    let body = json!({ "responses": items.collect::<Vec<_>>() });
    let mut response = shaped(200, BodyForm::Envelope, Some(body));
    response.headers_mut().insert(REQUEST_ID, plain(&request_id.to_string()));
    response.headers_mut().insert(CLIENT_REQUEST_ID, client_request_id);
    dated(&mut response, None, wall);
    response
}

/// JSON of the sandbox's own door.
pub(super) fn own(status: u16, body: String) -> Response {
    whole(status, JSON, body)
}

/// An answer of one piece.
pub(super) fn whole(status: u16, media_type: &'static str, body: impl Into<Bytes>) -> Response {
    let body: Bytes = body.into();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

pub(super) fn shaped(status: u16, form: BodyForm, body: Option<Value>) -> Response {
    match form {
        BodyForm::Envelope => match body {
            Some(body) => whole(status, JSON, body.to_string()),
            None => empty(status),
        },
        BodyForm::Empty => empty(status),
        BodyForm::Html => {
            let title = StatusCode::from_u16(status).map(|status| status.to_string()).unwrap_or_default();
            let page =
                format!("<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\r\n");
            whole(status, "text/html", page)
        }
        BodyForm::BrokenJson => whole(status, JSON, r#"{"error":{"code":"Servi"#),
        BodyForm::Truncated => {
            let first = future::ready(Ok(Bytes::from_static(br#"{"error":{"code":"#)));
            // Without a pause the connection would end before its first bytes are out.
            let then = async {
                tokio::task::yield_now().await;
                Err(io::Error::other("breaks off by script"))
            };
            let mut response = whole(status, JSON, "");
            *response.body_mut() = Body::from_stream(stream::once(first).chain(stream::once(then)));
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(ANNOUNCED));
            response
        }
        BodyForm::Enormous => {
            let pieces = std::iter::repeat_n(Bytes::from_static(PIECE), PIECES).map(Ok::<_, io::Error>);
            let mut response = whole(status, JSON, "");
            *response.body_mut() = Body::from_stream(stream::iter(pieces));
            response
        }
    }
}

fn empty(status: u16) -> Response {
    let mut response = whole(status, JSON, "");
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

fn content(reply: &Reply, caller: &Caller, client_request_id: &str, wall: SystemTime) -> Option<Value> {
    const METADATA: &str = "https://graph.microsoft.com/v1.0/$metadata";
    match &reply.content {
        Content::Nothing => None,
        Content::Problem(problem) => {
            Some(envelope(problem, request_id(reply.number), client_request_id, wall))
        }
        Content::Presence(read) => {
            let mut body = presence(read);
            body["@odata.context"] = format!("{METADATA}#users('{}')/presence/$entity", read.user).into();
            Some(body)
        }
        Content::Presences(all) => Some(json!({
            "@odata.context": format!("{METADATA}#Collection(microsoft.graph.presence)"),
            "value": all.iter().map(presence).collect::<Vec<_>>(),
        })),
        Content::Entity { context, fields, .. } => {
            let mut body = Value::Object(fields.clone());
            body["@odata.context"] = format!("{METADATA}#{context}").into();
            Some(body)
        }
        Content::Page(page) => {
            let mut body = json!({"@odata.context": format!("{METADATA}#{}", page.context)});
            if let Some(count) = page.count {
                body["@odata.count"] = count.into();
            }
            if let Some(next) = &page.next {
                let root = page.root.as_ref().unwrap_or(&caller.root);
                body["@odata.nextLink"] = format!("{root}{next}").into();
            }
            body["value"] = page.entries.iter().cloned().map(Value::Object).collect();
            Some(body)
        }
    }
}

fn presence(read: &Presence) -> Value {
    json!({
        "id": read.user,
        "availability": read.shown.availability,
        "activity": read.shown.activity,
        "outOfOfficeSettings": { "message": null, "isOutOfOffice": false },
        "statusMessage": null,
        "workLocation": null,
        // Fixed width, so that it sorts as text.
        "sequenceNumber": format!("A{:020}", read.at.as_nanos()),
    })
}

/// Graph's error envelope. The date has no zone in real bodies. Source: Microsoft's page "Microsoft Graph error
/// responses"; the inner error of 429 is the sample of "Microsoft Graph throttling guidance".
fn envelope(problem: &Problem, request_id: Uuid, client_request_id: &str, wall: SystemTime) -> Value {
    let mut inner = json!({
        "date": date(wall, "%Y-%m-%dT%H:%M:%S"),
        "request-id": request_id,
        "client-request-id": client_request_id,
    });
    if problem.status == 429 {
        inner["code"] = "429".into();
        inner["status"] = "429".into();
        inner["message"] = "Please retry after".into();
    }
    json!({ "error": { "code": problem.code, "message": problem.message, "innerError": inner } })
}

/// Graph names the authority and itself, and what is wrong with a token where one was sent. A claims challenge comes
/// behind another in one value, as it was seen in tests of Microsoft's libraries.
fn challenge(reply: &Reply) -> HeaderValue {
    const BEARER: &str = "Bearer realm=\"\", \
        authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
        client_id=\"00000003-0000-0000-c000-000000000000\"";
    let text = match &reply.content {
        Content::Problem(problem) if problem.challenge.is_some() => {
            let nbf = problem.challenge.unwrap_or_default();
            let claims = json!({"access_token": {"nbf": {"essential": true, "value": nbf.to_string()}}});
            format!(
                "PoP realm=\"\", nonce=\"ey==\", {BEARER}, error_description=\"{}\", error=\"insufficient_claims\", \
                 claims=\"{}\"",
                problem.message,
                BASE64_STANDARD.encode(claims.to_string())
            )
        }
        Content::Problem(problem) if **problem == Problem::token_rejected() => format!(
            "{BEARER}, error=\"invalid_token\", \
             error_description=\"Access token has expired or is not yet valid.\""
        ),
        _ => BEARER.to_owned(),
    };
    plain(&text)
}

pub(super) fn dated(response: &mut Response, retry_after: Option<&RetryAfter>, wall: SystemTime) {
    response.headers_mut().insert(DATE, plain(&httpdate::fmt_http_date(wall)));
    // A script may name what cannot stand in a header; it then does not.
    if let Some(value) = retry_after.and_then(|value| HeaderValue::from_str(&value.text(wall)).ok()) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
}

pub(super) fn date(wall: SystemTime, format: &str) -> String {
    jiff::Timestamp::try_from(wall).unwrap_or_default().strftime(format).to_string()
}

pub(super) fn request_id(number: u64) -> Uuid {
    chance::id(0, Purpose::RequestId, number)
}

pub(super) fn plain(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids and dates are letters, digits and signs")
}
