//! Over loopback, with reqwest. The clock stands still unless a test moves it; sleeping moves nothing and returns at
//! once, so latency is told from the spans that were asked for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::*;
use crate::sandbox::service::Options;
use crate::sandbox::service::tests::{CLIENT, TENANT, USER};

mod delivery;
mod login;
mod objects;
mod shapes;

const SCOPE: &str = "https%3A%2F%2Fgraph.microsoft.com%2F.default";

struct Site {
    root: String,
    client: Client,
    token: String,
    service: Arc<Mutex<Service>>,
    nanos: Arc<AtomicU64>,
    slept: Arc<Mutex<Vec<Duration>>>,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

impl Site {
    async fn open() -> Self {
        Self::with(Client::builder()).await
    }

    async fn with(client: reqwest::ClientBuilder) -> Self {
        let nanos = Arc::new(AtomicU64::new(MonoTime::from_secs(86_400).as_nanos()));
        let slept = Arc::new(Mutex::new(Vec::new()));
        let (clock, spans) = (Arc::clone(&nanos), Arc::clone(&slept));
        let hands = Hands {
            now: Arc::new(move || MonoTime::from_nanos(clock.load(Relaxed))),
            wall: Arc::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_892_842)),
            sleep: Arc::new(move |span| {
                spans.lock().unwrap().push(span);
                Box::pin(std::future::ready(()))
            }),
        };
        let now = (hands.now)();
        let service = Arc::new(Mutex::new(Service::new(Options::default(), now)));
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let root = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&service), hands, async { drop(stopped.await) }));
        let client = client.no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let mut site =
            Self { root, client, token: String::new(), service, nanos, slept, stop: Some(stop), tasks };
        site.token = site.fetch_token().await;
        site
    }

    async fn fetch_token(&self) -> String {
        let (status, body) = self.ask_token(&form("anything")).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &body["ext_expires_in"]));
        assert!((3_600..=5_400).contains(&body["expires_in"].as_u64().unwrap()));
        body["access_token"].as_str().unwrap().to_owned()
    }

    async fn ask_token(&self, form: &str) -> (u16, Value) {
        let request = self.client.post(format!("{}/{TENANT}/oauth2/v2.0/token", self.root));
        let request =
            request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        read(request.send().await.unwrap()).await
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.root)).bearer_auth(&self.token);
        request.header("content-type", "application/json").body(body.to_string())
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.root)).bearer_auth(&self.token)
    }

    fn set(&self) -> RequestBuilder {
        self.post(&format!("/v1.0/users/{USER}/presence/setPresence"), &busy())
    }

    async fn sends(&self, request: RequestBuilder) -> (u16, Value) {
        read(request.send().await.unwrap()).await
    }

    async fn script(&self, patch: Value) -> Value {
        let (status, body) = self.sends(self.post("/sandbox/faults", &patch)).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    async fn report(&self) -> Value {
        self.sends(self.get("/sandbox/report")).await.1
    }

    async fn close(mut self) {
        drop(self.stop.take());
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

fn busy() -> Value {
    json!({"sessionId": CLIENT, "availability": "Busy", "activity": "InACall", "expirationDuration": "PT1H"})
}

fn form(secret: &str) -> String {
    format!("client_id={CLIENT}&scope={SCOPE}&client_secret={secret}&grant_type=client_credentials")
}

async fn read(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into()))
}

fn header<'a>(response: &'a reqwest::Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}
