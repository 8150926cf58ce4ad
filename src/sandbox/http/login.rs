//! The authority's answers as HTTP: tokens, its errors, codes for signing in, and tokens of managed identities.

use std::time::SystemTime;

use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Response, date, dated, plain, request_id, shaped};
use crate::sandbox::authority::identity::Host;
use crate::sandbox::authority::problem::TokenProblem;
use crate::sandbox::authority::sign_in::{CODE_LIFE, Codes, INTERVAL};
use crate::sandbox::faults::BodyForm;
use crate::sandbox::reply::{
    Granted, IdentityContent, IdentityReply, IdentityToken, TokenContent, TokenReply,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
/// Where a person types the code. Source: Microsoft's page on the device authorization grant flow.
const VERIFICATION: &str = "https://microsoft.com/devicelogin";

/// The answer to a request for a token or for a device code.
pub(super) fn token(reply: &TokenReply, form: BodyForm, wall: SystemTime) -> Response {
    let trace = request_id(reply.number);
    let body = match &reply.content {
        TokenContent::Granted(token) => Some(granted(token)),
        TokenContent::Problem(problem) => Some(token_problem(problem, trace, wall)),
        TokenContent::Codes(codes) => Some(device_code(codes)),
        TokenContent::Gateway => None,
    };
    let mut response = shaped(reply.status, form, body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache"));
    response.headers_mut().insert(X_REQUEST_ID, plain(&trace.to_string()));
    dated(&mut response, reply.retry_after.as_ref(), wall);
    response
}

/// The answer to a request for a token of a managed identity.
pub(super) fn identity(reply: &IdentityReply, wall: SystemTime) -> Response {
    let (body, realm) = match &reply.content {
        IdentityContent::Granted(token) => (Some(identity_token(token)), None),
        IdentityContent::Problem(problem) => {
            let body = json!({ "error": problem.error, "error_description": problem.message });
            (Some(body), problem.realm.as_deref())
        }
        IdentityContent::Status => (None, None),
    };
    let mut response = shaped(reply.status, BodyForm::Envelope, body);
    // A registration may name a file that cannot stand in a header; it then does not.
    if let Some(value) = realm.and_then(|file| HeaderValue::from_str(&format!("Basic realm={file}")).ok()) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    dated(&mut response, reply.retry_after.as_ref(), wall);
    response
}

fn granted(token: &Granted) -> Value {
    let mut body = json!({
        "token_type": "Bearer",
        "expires_in": token.life_s,
        "ext_expires_in": token.life_s,
        "access_token": token.access_token,
    });
    if let Some(refresh_in) = token.refresh_in_s {
        body["refresh_in"] = refresh_in.into();
    }
    let texts =
        [("scope", &token.scope), ("refresh_token", &token.refresh_token), ("id_token", &token.id_token)];
    for (name, text) in texts {
        if let Some(text) = text {
            body[name] = text.as_str().into();
        }
    }
    body
}

fn device_code(codes: &Codes) -> Value {
    let Codes { device_code, user_code } = codes;
    json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": VERIFICATION,
        "expires_in": CODE_LIFE.as_secs(),
        "interval": INTERVAL.as_secs(),
        "message": format!(
            "To sign in, use a web browser to open the page {VERIFICATION} and enter the code {user_code} to \
             authenticate."
        ),
    })
}

/// Numbers come as strings. App Service leaves out what the others have.
fn identity_token(token: &IdentityToken) -> Value {
    let mut body = json!({
        "access_token": token.access_token,
        "client_id": token.client,
        "expires_on": (token.not_before + token.life_s).to_string(),
        "resource": token.resource,
        "token_type": "Bearer",
    });
    if token.host != Host::AppService {
        body["expires_in"] = token.life_s.to_string().into();
        body["ext_expires_in"] = token.life_s.to_string().into();
        body["not_before"] = token.not_before.to_string().into();
    }
    body
}

/// Source: Microsoft's page "Microsoft Entra authentication and authorization error codes".
fn token_problem(problem: &TokenProblem, trace: Uuid, wall: SystemTime) -> Value {
    let at = date(wall, "%Y-%m-%d %H:%M:%SZ");
    let TokenProblem { error, code, message, .. } = problem;
    json!({
        "error": error,
        "error_description":
            format!("AADSTS{code}: {message} Trace ID: {trace} Correlation ID: {trace} Timestamp: {at}"),
        "error_codes": [code],
        "timestamp": at,
        "trace_id": trace,
        "correlation_id": trace,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    })
}
