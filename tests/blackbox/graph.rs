//! Microsoft's description of the calls, and a checkpoint before the sandbox that holds every request to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Response};
use jiff::SignedDuration;
use jsonschema::Validator;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::sandbox::http;
use crate::site::client_id;

/// The description of the calls that the daemon makes, cut from the whole one: see [`drift`].
const DESCRIPTION: &str = include_str!("graph.openapi.json");

/// What of the description is not about the form of a request.
const ASIDE: [&str; 6] =
    ["description", "example", "responses", "x-doc-note", "x-doc-permissions", "x-doc-rule"];

/// The calls, each with what its requests must hold to.
pub struct Contract {
    calls: Vec<Call>,
}

struct Call {
    path: String,
    method: String,
    body: Validator,
    /// Availability and activity that go together; empty where there is nothing to choose.
    pairs: Vec<(String, String)>,
    /// The shortest and the longest expiration, where there is one to choose.
    expiration: Option<RangeInclusive<SignedDuration>>,
}

impl Contract {
    /// As the description has it.
    pub fn read() -> Self {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
        let paths = description["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters");
            methods.map(move |(method, operation)| Call::of(path, method, operation))
        });
        Self { calls: operations.collect() }
    }

    /// Which call a request is, or what is wrong with it.
    pub fn check(&self, head: &Parts, body: &[u8]) -> Result<&str, String> {
        let path = head.uri.path().strip_prefix("/v1.0").ok_or("a path without /v1.0")?;
        if let Some(read) = directory_read(path) {
            check_read(head, body)?;
            return Ok(read);
        }
        let call = self.call(head.method.as_str(), path)?;
        if let Some(query) = head.uri.query() {
            return Err(format!("a query, {query}, that the call does not have"));
        }
        check_headers(&head.headers)?;
        let body: Value = serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}"))?;
        call.check(path, &body)?;
        if call.path == "/$batch" {
            self.check_items(&body)?;
        }
        Ok(&call.path)
    }

    /// Each item of a batch as if it came alone.
    fn check_items(&self, body: &Value) -> Result<(), String> {
        let items = body["requests"].as_array().ok_or("a batch without requests")?;
        let mut ids = BTreeSet::new();
        for item in items {
            let text = |key: &str| item[key].as_str().unwrap_or_default();
            let call = self.call(text("method"), text("url"))?;
            if call.path == "/$batch" {
                return Err("a batch in a batch".to_owned());
            }
            if item["headers"]["Content-Type"] != "application/json" {
                return Err(format!("a body without its type: {item}"));
            }
            if item.get("dependsOn").is_some() || !ids.insert(text("id").to_ascii_lowercase()) {
                return Err(format!("not on its own: {item}"));
            }
            call.check(text("url"), &item["body"])?;
        }
        if items.len() < 2 { Err("a batch of nothing to speak of".to_owned()) } else { Ok(()) }
    }

    fn call(&self, method: &str, path: &str) -> Result<&Call, String> {
        let is = |call: &&Call| call.method == method.to_ascii_lowercase() && matches(&call.path, path);
        self.calls.iter().find(is).ok_or_else(|| format!("no such call: {method} {path}"))
    }
}

impl Call {
    fn check(&self, path: &str, body: &Value) -> Result<(), String> {
        if let Some(error) = self.body.iter_errors(body).next() {
            return Err(format!("{path}: {error}: {body}"));
        }
        let word = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        if !self.pairs.is_empty() && !self.pairs.contains(&(word("availability"), word("activity"))) {
            return Err(format!("no pair: {body}"));
        }
        if let Some(allowed) = &self.expiration
            && !word("expirationDuration").parse().is_ok_and(|asked| allowed.contains(&asked))
        {
            return Err(format!("no expiration that is granted: {body}"));
        }
        if self.path != "/$batch" && word("sessionId") != client_id(0) {
            return Err(format!("the session is not the app's: {body}"));
        }
        Ok(())
    }

    fn of(path: &str, method: &str, operation: &Value) -> Self {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let strings = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()));
        let pairs = schema["x-doc-allowed-pairs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let expiration = &schema["properties"]["expirationDuration"];
        let bound = |key: &str| expiration[key].as_str()?.parse::<SignedDuration>().ok();
        // The service may ignore what it does not know; we have no reason to send it.
        let mut strict = json_schema(schema);
        strict["additionalProperties"] = false.into();
        Self {
            path: path.to_owned(),
            method: method.to_owned(),
            body: jsonschema::options().should_validate_formats(true).build(&strict).unwrap(),
            pairs: pairs.iter().map(|pair| strings(pair).unwrap()).collect(),
            expiration: bound("x-doc-minimum").zip(bound("x-doc-maximum")).map(|(min, max)| min..=max),
        }
    }
}

/// An OpenAPI 3.0 schema as JSON Schema has it, where `nullable` is one of several types.
fn json_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(keys) => {
            let mut out: Map<String, Value> =
                keys.iter().map(|(key, value)| (key.clone(), json_schema(value))).collect();
            if out.remove("nullable") == Some(true.into()) {
                out["type"] = Value::from(vec![out["type"].clone(), "null".into()]);
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(json_schema).collect(),
        other => other.clone(),
    }
}

/// Whether a path is an instance of a template; a user is named by object id.
fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(expected, found)| {
            if *expected == "{user-id}" { uuid::Uuid::try_parse(found).is_ok() } else { *expected == found }
        })
}

/// The template of a path in the directory. The description at hand is that of presence.
fn directory_read(path: &str) -> Option<&'static str> {
    match path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["groups", _] => Some("/groups/{group-id}"),
        ["groups", _, "transitiveMembers", "microsoft.graph.user"] => {
            Some("/groups/{group-id}/transitiveMembers/microsoft.graph.user")
        }
        ["users", _] => Some("/users/{user-id}"),
        _ => None,
    }
}

/// The form of a read of the directory. Whether the service takes its options is the service's to say.
fn check_read(head: &Parts, body: &[u8]) -> Result<(), String> {
    if head.method != "GET" || !body.is_empty() || head.headers.contains_key("content-type") {
        return Err(format!("{} {} is read without a body", head.method, head.uri));
    }
    let query = head.uri.query().unwrap_or_default();
    for (name, _) in url::form_urlencoded::parse(query.as_bytes()) {
        if !["$select", "$top", "$count", "$skiptoken"].contains(&&*name) {
            return Err(format!("an option {name} that nobody needs"));
        }
    }
    check_sender(&head.headers)
}

fn check_headers(headers: &HeaderMap) -> Result<(), String> {
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok());
    if content_type != Some("application/json") {
        return Err(format!("content-type {content_type:?}"));
    }
    check_sender(headers)
}

fn check_sender(headers: &HeaderMap) -> Result<(), String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text("authorization").strip_prefix("Bearer ").is_none_or(|token| token.len() <= 100) {
        return Err("no bearer token".to_owned());
    }
    if uuid::Uuid::try_parse(text("client-request-id")).is_err() {
        return Err("no client-request-id".to_owned());
    }
    if !text("user-agent").starts_with("presenced/") {
        return Err(format!("user-agent {:?}", text("user-agent")));
    }
    Ok(())
}

/// What has come past.
#[derive(Default)]
pub struct Seen {
    /// Requests that were as they should be, by call.
    pub calls: BTreeMap<String, u64>,
    /// What was wrong with the others.
    pub wrong: Vec<String>,
}

/// What becomes of batches.
#[derive(Clone, Copy)]
pub enum Batches {
    /// They are passed on.
    Pass,
    /// So many are passed on, and their answers lost.
    Lose(u32),
    /// There is no such path.
    Refuse,
}

/// A server that looks at each request, and passes it on.
pub struct Checkpoint {
    /// Its root.
    pub url: String,
    seen: Arc<Mutex<Seen>>,
    batches: Arc<Mutex<Batches>>,
    _serving: JoinSet<()>,
}

struct Post {
    contract: Contract,
    behind: String,
    http: reqwest::Client,
    seen: Arc<Mutex<Seen>>,
    batches: Arc<Mutex<Batches>>,
}

impl Checkpoint {
    /// Before the service at `behind`.
    pub async fn before(behind: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let batches = Arc::new(Mutex::new(Batches::Pass));
        let post = Post {
            contract: Contract::read(),
            behind: behind.to_owned(),
            http: http(),
            seen: Arc::clone(&seen),
            batches: Arc::clone(&batches),
        };
        let router = Router::new().fallback(pass).with_state(Arc::new(post));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen, batches, _serving: serving }
    }

    /// From here on this becomes of batches.
    pub fn batches(&self, batches: Batches) {
        *self.batches.lock().unwrap() = batches;
    }

    /// Whether it has lost as many as it was to lose.
    pub fn has_lost_all(&self) -> bool {
        matches!(*self.batches.lock().unwrap(), Batches::Lose(0))
    }

    /// What has come past since the last time that this was asked.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn pass(State(post): State<Arc<Post>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    {
        let mut seen = post.seen.lock().unwrap();
        match post.contract.check(&head, &body) {
            Ok(path) => *seen.calls.entry(path.to_owned()).or_default() += 1,
            Err(wrong) => seen.wrong.push(wrong),
        }
    }
    let is_batch = head.uri.path() == "/v1.0/$batch";
    let lost = match &mut *post.batches.lock().unwrap() {
        Batches::Refuse if is_batch => return Response::builder().status(404).body(Body::empty()).unwrap(),
        Batches::Lose(left @ 1..) if is_batch => {
            *left -= 1;
            true
        }
        Batches::Pass | Batches::Lose(_) | Batches::Refuse => false,
    };
    let url = format!("{}{}", post.behind, head.uri);
    // With the host as the client has it: links to next pages are made of it.
    let request = post.http.request(head.method, url).headers(head.headers).body(body);
    let Ok(response) = request.send().await else {
        return Response::builder().status(502).body(Body::empty()).unwrap();
    };
    if lost {
        return Response::builder().status(504).body(Body::empty()).unwrap();
    }
    let mut answer = Response::builder().status(response.status());
    *answer.headers_mut().unwrap() = response.headers().clone();
    answer.body(Body::from(response.bytes().await.unwrap_or_default())).unwrap()
}

/// Where the description at hand differs from the whole one in that file; empty if it does not.
pub fn drift(whole: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(whole).unwrap();
    let whole: Value = serde_yaml_ng::from_str(&text).unwrap();
    let ours: Value = serde_json::from_str(DESCRIPTION).unwrap();
    let mut differing = Vec::new();
    for (path, item) in ours["paths"].as_object().unwrap() {
        if *item != form(&whole["paths"][path]) {
            differing.push(path.clone());
        }
    }
    for (kind, parts) in ours["components"].as_object().unwrap() {
        for (name, part) in parts.as_object().unwrap() {
            if *part != form(&whole["components"][kind][name]) {
                differing.push(format!("components/{kind}/{name}"));
            }
        }
    }
    differing
}

/// The part of a description that is about the form of requests.
fn form(description: &Value) -> Value {
    match description {
        Value::Object(keys) => {
            let kept = keys.iter().filter(|(key, _)| !ASIDE.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key.clone(), form(value))).collect())
        }
        Value::Array(items) => items.iter().map(form).collect(),
        other => other.clone(),
    }
}
