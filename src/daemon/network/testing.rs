//! Servers on loopback that do what they are told, for the tests of this room. All of them end when they are dropped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use url::Url;

use crate::config::settings::{App, Cloud, Credential, Network, Proxy};
use crate::keeper::Quota;

/// Nothing in these tests takes this long; what does has hung.
pub(in crate::daemon) const LONG: Duration = Duration::from_secs(20);

/// An app of the cloud whose two hosts are `root`.
pub(in crate::daemon) fn app(root: &str, credential: Credential) -> App {
    let root: Url = root.parse().unwrap();
    App {
        name: "contoso".into(),
        tenant: "9c7f0000-0000-4000-8000-000000000001".parse().unwrap(),
        client_id: "22553876-f5ab-4529-bffb-cfe50aa89f87".parse().unwrap(),
        cloud: Cloud { graph: root.clone(), login: root },
        credential,
        secret_expires: None,
        cae: false,
        quota: Quota { requests: 1_500, per: Duration::from_secs(30) },
        user: None,
    }
}

/// `[network]` with neither proxy nor CA file.
pub(in crate::daemon) fn direct() -> Network {
    Network { proxy: Proxy::None, ca_file: None }
}

/// What a server sends back, and what it does then.
#[derive(Clone)]
pub(in crate::daemon) struct Script {
    bytes: Vec<u8>,
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    KeepAlive,
    Close,
    Hold,
    Repeat(&'static [u8]),
}

impl Script {
    /// An answer with a body.
    pub(in crate::daemon) fn answer(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        let bytes = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        Self { bytes: bytes.into(), then: Then::KeepAlive }
    }

    /// These bytes and the end of the connection.
    pub(in crate::daemon) fn cut(bytes: &str) -> Self {
        Self { bytes: bytes.into(), then: Then::Close }
    }

    /// These bytes and then silence.
    pub(in crate::daemon) fn hold(bytes: &str) -> Self {
        Self { bytes: bytes.into(), then: Then::Hold }
    }

    /// These bytes and then this chunk over and over.
    pub(in crate::daemon) fn endless(bytes: &str, chunk: &'static [u8]) -> Self {
        Self { bytes: bytes.into(), then: Then::Repeat(chunk) }
    }
}

/// An HTTP/1.1 server that answers the first request with the first script, and so on; the last one stays.
pub(in crate::daemon) struct Server {
    /// Where it listens.
    pub(in crate::daemon) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Without TLS.
    pub(in crate::daemon) async fn plain(scripts: Vec<Script>) -> Self {
        Self::start(scripts, None).await
    }

    /// With TLS.
    pub(in crate::daemon) async fn tls(scripts: Vec<Script>, config: ServerConfig) -> Self {
        Self::start(scripts, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start(scripts: Vec<Script>, tls: Option<TlsAcceptor>) -> Self {
        let (listener, address) = listen().await;
        let (seen, requests) = mpsc::unbounded_channel();
        let play = Arc::new(Play { scripts, next: AtomicUsize::new(0), seen });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (play, tls) = (play.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => play.run(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                play.run(stream).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, requests, _tasks: tasks }
    }

    /// Its root as a URL.
    pub(in crate::daemon) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// The next request that came in, head and body.
    pub(in crate::daemon) async fn request(&mut self) -> String {
        tokio::time::timeout(LONG, self.requests.recv()).await.expect("a request comes").expect("it runs")
    }

    /// Whether nothing has come in that was not looked at.
    pub(in crate::daemon) fn is_idle(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }

    /// All requests that have come in and were not looked at.
    pub(in crate::daemon) fn taken(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }
}

struct Play {
    scripts: Vec<Script>,
    next: AtomicUsize,
    seen: mpsc::UnboundedSender<String>,
}

impl Play {
    async fn run(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        while let Some(request) = read_request(&mut stream).await {
            let at = self.next.fetch_add(1, Ordering::SeqCst).min(self.scripts.len() - 1);
            let script = &self.scripts[at];
            let _ = self.seen.send(request);
            if stream.write_all(&script.bytes).await.is_err() {
                return;
            }
            let _ = stream.flush().await;
            match script.then {
                Then::KeepAlive => {}
                Then::Close => {
                    let _ = stream.shutdown().await;
                    return;
                }
                Then::Hold => std::future::pending().await,
                Then::Repeat(chunk) => while stream.write_all(chunk).await.is_ok() {},
            }
        }
    }
}

/// A request with its body; `None` when the connection ends before.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return Some(text);
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

/// How a proxy behaves.
#[derive(Clone, Copy)]
pub(in crate::daemon) enum Manner {
    /// It lets everything through.
    Open,
    /// It wants this `Proxy-Authorization`.
    Login(&'static str),
    /// It refuses.
    Closed,
}

/// An HTTP proxy, for `CONNECT` and for plain requests. Whatever it is asked for, it leads to one server.
pub(in crate::daemon) struct ProxyServer {
    /// Where it listens.
    pub(in crate::daemon) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
    _tasks: JoinSet<()>,
}

impl ProxyServer {
    /// A proxy that leads to `to`.
    pub(in crate::daemon) async fn to(to: SocketAddr, manner: Manner) -> Self {
        let (listener, address) = listen().await;
        let (seen, requests) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(pass_on(stream, to, manner, seen.clone()));
            }
        });
        Self { address, requests, _tasks: tasks }
    }

    /// `[network]` with this proxy.
    pub(in crate::daemon) fn network(&self, ca_file: Option<PathBuf>) -> Network {
        self.network_with("", ca_file)
    }

    /// The same with `USER:PASSWORD@`.
    pub(in crate::daemon) fn network_with(&self, login: &str, ca_file: Option<PathBuf>) -> Network {
        let url = format!("http://{login}{}", self.address).parse().unwrap();
        Network { proxy: Proxy::Url(url), ca_file }
    }

    /// The first line of the next request that came in.
    pub(in crate::daemon) async fn request_line(&mut self) -> String {
        let head = tokio::time::timeout(LONG, self.requests.recv()).await.expect("in time").expect("it runs");
        head.lines().next().unwrap_or_default().to_owned()
    }

    /// Whether nothing has come in that was not looked at.
    pub(in crate::daemon) fn is_idle(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

async fn pass_on(mut stream: TcpStream, to: SocketAddr, manner: Manner, seen: mpsc::UnboundedSender<String>) {
    let Some(request) = read_request(&mut stream).await else { return };
    let _ = seen.send(request.clone());
    let refusal = match manner {
        Manner::Open => None,
        Manner::Login(wanted) if request.contains(wanted) => None,
        Manner::Login(_) => Some("407 Proxy Authentication Required"),
        Manner::Closed => Some("403 Forbidden"),
    };
    if let Some(status) = refusal {
        let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
        return;
    }
    let mut server = TcpStream::connect(to).await.unwrap();
    if request.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    } else {
        server.write_all(request.as_bytes()).await.unwrap();
    }
    let _ = copy_bidirectional(&mut stream, &mut server).await;
}

/// A private certificate authority, and the PEM file that an operator would name.
pub(in crate::daemon) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    /// An authority of this name, with a key of its own.
    pub(in crate::daemon) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    /// Its certificate's file.
    pub(in crate::daemon) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// `[network]` with this authority and no proxy.
    pub(in crate::daemon) fn network(&self) -> Network {
        Network { ca_file: Some(self.file()), ..direct() }
    }

    /// A server with a certificate for `name`, offering these protocols.
    pub(in crate::daemon) fn server(&self, name: &str, protocols: &[&str]) -> ServerConfig {
        self.sign(&CertificateParams::new([name.to_owned()]).unwrap(), protocols)
    }

    /// A server whose certificate ended with the year 2001.
    pub(in crate::daemon) fn expired(&self, name: &str) -> ServerConfig {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2001, 12, 31);
        self.sign(&params, &[])
    }

    fn sign(&self, params: &CertificateParams, protocols: &[&str]) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

/// TLS connections for axum, counted.
pub(in crate::daemon) struct TlsListener {
    /// The listener below.
    pub(in crate::daemon) tcp: TcpListener,
    /// What accepts TLS.
    pub(in crate::daemon) tls: TlsAcceptor,
    /// Connections so far.
    pub(in crate::daemon) accepted: Arc<AtomicUsize>,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            if let Ok(stream) = self.tls.accept(stream).await {
                self.accepted.fetch_add(1, Ordering::SeqCst);
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// A free port on loopback, listened on.
pub(in crate::daemon) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A port on loopback that refuses connections.
pub(in crate::daemon) async fn refusing() -> SocketAddr {
    listen().await.1
}
