//! Processor time of a renewal through the client: the keeper asks, the Graph client sends, the answer is classified
//! and told to the keeper.
//!
//! The peer in the same run is a bare reqwest loop that sends the same bytes. The server is a process of its own, so
//! that its time does not count; it answers at once. Each figure is the lowest of five rounds.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, reason = "not shipped")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use presenced::config::settings::{App, Cloud, Credential, Network, Proxy};
use presenced::daemon::graph::{Ask, GraphClient, Together};
use presenced::daemon::token::AccessToken;
use presenced::keeper::id::{Guid, SessionIx};
use presenced::keeper::{
    Expiration, Input, Keeper, LaneHead, LanePlan, MonoTime, OnRemove, Outcome, Output, Plan, PresenceState,
    Quota, SessionPlan, TokenAnswer, Wish, diff,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const ROUNDS: usize = 5;
const USERS: usize = 2_000;
const CLIENT: &str = "22553876-f5ab-4529-bffb-cfe50aa89f87";
const WISH: Wish = Wish { state: PresenceState::Available, expiration: Expiration::MAX };

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let [_, serve, tls, dir] = &args[..]
        && serve == "serve"
    {
        return runtime.block_on(serve_until_left(tls == "tls", Path::new(dir)));
    }
    for (tls, name) in [(false, "HTTP/1.1"), (true, "HTTP/2, TLS")] {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::start(tls, dir.path());
        for (in_flight, renewals) in [(32, 20_000), (1, 5_000)] {
            let mut lowest = [f64::MAX; 4];
            for _ in 0..ROUNDS {
                let figures = runtime.block_on(round(&server, in_flight, renewals));
                for (lowest, figure) in lowest.iter_mut().zip(figures) {
                    *lowest = lowest.min(figure);
                }
            }
            report(name, in_flight, lowest);
        }
        server.child.kill().unwrap();
        server.child.wait().unwrap();
    }
}

fn report(name: &str, in_flight: usize, [bare, single, bare_batch, batch]: [f64; 4]) {
    println!(
        "{name:<11} {in_flight:>2} in flight: alone {single:>5.1} us a renewal, bare reqwest {bare:>5.1}, ratio {:.2}; \
         20 together {batch:>4.1}, bare {bare_batch:>4.1}, ratio {:.2}; together against alone 1/{:.1}",
        single / bare,
        batch / bare_batch,
        single / batch,
    );
}

/// Microseconds of processor time a renewal: bare and through the client, alone and together.
async fn round(server: &Server, in_flight: usize, renewals: usize) -> [f64; 4] {
    let bare = Bare::new(server);
    let client = GraphClient::new(&server.app(), &server.network()).unwrap();
    // Connections first.
    bare.renew(in_flight, 1, in_flight * 4).await;
    Driven::new(client.clone(), 1).renew(in_flight, USERS).await;
    [
        cost(renewals, bare.renew(in_flight, 1, renewals)).await,
        cost(renewals, Driven::new(client.clone(), 1).renew(in_flight, renewals)).await,
        cost(renewals, bare.renew(in_flight, GraphClient::MOST, renewals)).await,
        cost(renewals, Driven::new(client, GraphClient::MOST).renew(in_flight, renewals)).await,
    ]
}

async fn cost(renewals: usize, work: impl Future<Output = ()>) -> f64 {
    let before = processor_time();
    work.await;
    (processor_time() - before).as_secs_f64() * 1e6 / renewals as f64
}

/// Of this process, all threads, user and system.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// As long as those of Entra.
fn token() -> String {
    "t".repeat(1_700)
}

fn user(at: usize) -> Guid {
    Guid::from_u128(at as u128 + 1)
}

/// The path that a renewal takes: the keeper in virtual time, the client in real time.
struct Driven {
    keeper: Keeper,
    client: GraphClient,
    token: AccessToken,
    together: usize,
    now: MonoTime,
    gathered: Vec<presenced::keeper::Request>,
    flying: JoinSet<(Vec<SessionIx>, Together)>,
}

impl Driven {
    fn new(client: GraphClient, together: usize) -> Self {
        let quota = Quota { requests: 1_000_000, per: Duration::from_secs(30) };
        let key = App { quota, ..app("http://localhost") }.lane();
        let sessions = (0..USERS).map(|at| SessionPlan::new(user(at), Some(WISH))).collect();
        let plan =
            Plan::new(vec![LanePlan { key, head: LaneHead { name: "bench".into(), quota }, sessions }]);
        let diff = Box::new(diff(&Plan::default(), &plan));
        let now = MonoTime::from_secs(100_000);
        let mut keeper = Keeper::new();
        keeper.handle(Input::Plan { diff, on_remove: OnRemove::Clear }, now);
        let token = AccessToken::bearer(&token()).unwrap();
        Self { keeper, client, token, together, now, gathered: Vec::new(), flying: JoinSet::new() }
    }

    async fn renew(mut self, in_flight: usize, renewals: usize) {
        let mut left = renewals;
        while left > 0 {
            match self.keeper.poll_output() {
                Output::Send(request) => {
                    self.gathered.push(request);
                    if self.gathered.len() == self.together.min(left) {
                        left -= self.gathered.len();
                        self.send();
                        if self.flying.len() == in_flight {
                            self.answer().await;
                        }
                    }
                }
                Output::FetchToken { lane, .. } => {
                    let answer =
                        TokenAnswer::Granted { lifetime: Duration::from_secs(86_400), refresh_in: None };
                    self.keeper.handle(Input::Token { lane, answer }, self.now);
                }
                // Time passes as soon as nothing can be done without it.
                Output::Sleep { until, .. } => {
                    self.now = until;
                    self.keeper.handle(Input::Wake, self.now);
                }
                Output::Open { .. } | Output::Close { .. } | Output::Remember { .. } | Output::Event(_) => {}
            }
        }
        while !self.flying.is_empty() {
            self.answer().await;
        }
    }

    fn send(&mut self) {
        let requests = std::mem::take(&mut self.gathered);
        let (client, token) = (self.client.clone(), self.token.clone());
        let asks: Vec<Ask> =
            requests.iter().map(|request| Ask { user: request.user, call: request.call }).collect();
        let sessions = requests.iter().map(|request| request.session).collect();
        self.flying.spawn(async move {
            let time = Duration::from_secs(20);
            (sessions, client.call_together(&asks, &token, time, SystemTime::UNIX_EPOCH).await)
        });
    }

    async fn answer(&mut self) {
        let (sessions, together) = self.flying.join_next().await.unwrap().unwrap();
        let Together::Answered(answers) = together else { panic!("{together:?}") };
        for (session, answer) in sessions.into_iter().zip(answers) {
            assert_eq!(answer.outcome, Outcome::Granted, "{:?}", answer.detail);
            self.keeper.handle(Input::Answered { session, outcome: answer.outcome }, self.now);
        }
    }
}

/// The peer: nothing but reqwest, and the same bytes.
struct Bare {
    http: reqwest::Client,
    root: String,
    authorization: String,
}

impl Bare {
    fn new(server: &Server) -> Self {
        let mut builder = reqwest::Client::builder().no_proxy().user_agent("presenced/0.1.0");
        builder = match &server.authority {
            None => builder.tls_certs_only([]),
            Some(pem) => {
                let pem = std::fs::read(pem).unwrap();
                builder.tls_certs_merge([reqwest::Certificate::from_pem(&pem).unwrap()])
            }
        };
        let authorization = format!("Bearer {}", token());
        Self { http: builder.build().unwrap(), root: format!("{}/v1.0", server.root), authorization }
    }

    async fn renew(&self, in_flight: usize, together: usize, renewals: usize) {
        let mut loops = JoinSet::new();
        for at in 0..in_flight {
            let (http, root, authorization) =
                (self.http.clone(), self.root.clone(), self.authorization.clone());
            let mine = (at * together..renewals).step_by(in_flight * together);
            loops.spawn(async move {
                for first in mine {
                    let (path, body) = bare_request(first, together);
                    let request = http
                        .post(format!("{root}{path}"))
                        .header("authorization", &authorization)
                        .header("content-type", "application/json")
                        .header("client-request-id", uuid::Uuid::new_v4().to_string())
                        .body(body);
                    let response = request.send().await.unwrap();
                    assert!(response.status().is_success());
                    response.bytes().await.unwrap();
                }
            });
        }
        loops.join_all().await;
    }
}

fn bare_request(first: usize, together: usize) -> (String, String) {
    let path = |at: usize| format!("/users/{}/presence/setPresence", user(at % USERS));
    let body = format!(
        "{{\"sessionId\":\"{CLIENT}\",\"availability\":\"Available\",\"activity\":\"Available\",\"expirationDuration\":\"{}\"}}",
        Expiration::MAX
    );
    if together == 1 {
        return (path(first), body);
    }
    let mut batch = "{\"requests\":[".to_owned();
    for id in 0..together {
        let comma = if id == 0 { "" } else { "," };
        write!(
            batch,
            "{comma}{{\"id\":\"{id}\",\"method\":\"POST\",\"url\":\"{}\",\
             \"headers\":{{\"Content-Type\":\"application/json\"}},\"body\":{body}}}",
            path(first + id)
        )
        .unwrap();
    }
    batch.push_str("]}");
    ("/$batch".to_owned(), batch)
}

fn app(root: &str) -> App {
    let root: url::Url = root.parse().unwrap();
    App {
        name: "bench".into(),
        tenant: Guid::from_u128(7),
        client_id: CLIENT.parse().unwrap(),
        cloud: Cloud { graph: root.clone(), login: root },
        credential: Credential::SecretEnv("UNUSED".to_owned()),
        secret_expires: None,
        cae: false,
        quota: Quota::PRESENCE,
        user: None,
    }
}

/// The service's process.
struct Server {
    child: Child,
    root: String,
    authority: Option<PathBuf>,
}

impl Server {
    fn start(tls: bool, dir: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("serve").arg(if tls { "tls" } else { "plain" }).arg(dir);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
        let root = format!("{}://localhost:{}", if tls { "https" } else { "http" }, port.trim());
        Self { child, root, authority: tls.then(|| dir.join("ca.pem")) }
    }

    fn app(&self) -> App {
        app(&self.root)
    }

    fn network(&self) -> Network {
        Network { proxy: Proxy::None, ca_file: self.authority.clone() }
    }
}

/// Serves until whoever started it is gone.
async fn serve_until_left(tls: bool, dir: &Path) {
    let acceptor = tls.then(|| acceptor(dir));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let router = Router::new().fallback(answer);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        match acceptor {
            None => axum::serve(listener, router).await.unwrap(),
            Some(acceptor) => axum::serve(Tls { listener, acceptor }, router).await.unwrap(),
        }
    });
    let left = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0])).await;
    left.unwrap().unwrap();
}

async fn answer(request: Request) -> Body {
    let is_batch = request.uri().path() == "/v1.0/$batch";
    axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    if !is_batch {
        return Body::empty();
    }
    let items = (0..GraphClient::MOST).map(|id| {
        format!("{{\"id\":\"{id}\",\"status\":200,\"headers\":{{\"Cache-Control\":\"no-cache\"}}}}")
    });
    format!("{{\"responses\":[{}]}}", items.collect::<Vec<_>>().join(",")).into()
}

/// A server's end of TLS, its authority left in the directory.
fn acceptor(dir: &Path) -> TlsAcceptor {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("ca.pem"), cert.pem()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
