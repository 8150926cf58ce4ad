//! A network as companies have it: outside is reached through a proxy only, and a private authority signs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// The names outside. No name server knows them.
pub const GRAPH: &str = "https://graph.test";
/// See [`GRAPH`].
pub const LOGIN: &str = "https://login.test";

/// A TLS front for both names, and the proxy that leads there.
pub struct CompanyNetwork {
    /// The proxy's URL.
    pub proxy: String,
    authority: CertifiedIssuer<'static, KeyPair>,
    asked: watch::Receiver<Vec<String>>,
    _serving: JoinSet<()>,
}

impl CompanyNetwork {
    /// Before a service on loopback without TLS.
    pub async fn before(service: &str) -> Self {
        let service: SocketAddr = service.strip_prefix("http://").unwrap().parse().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front_at = front.local_addr().unwrap();
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", proxy.local_addr().unwrap());
        let (to, asked) = watch::channel(Vec::new());
        let tls = TlsAcceptor::from(Arc::new(server_config(&authority)));
        let mut serving = JoinSet::new();
        serving.spawn(terminate(front, tls, service));
        serving.spawn(connect(proxy, front_at, to));
        Self { proxy: url, authority, asked, _serving: serving }
    }

    /// Writes the authority's certificate for `ca_file`.
    pub fn write_ca(&self, path: &Path) {
        std::fs::write(path, self.authority.pem()).unwrap();
    }

    /// What the proxy was asked for so far, a line each.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }
}

fn server_config(authority: &CertifiedIssuer<'static, KeyPair>) -> ServerConfig {
    let names = [GRAPH, LOGIN].map(|url| url.strip_prefix("https://").unwrap().to_owned());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    // What is behind speaks both, told by the first bytes.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

async fn terminate(listener: TcpListener, tls: TlsAcceptor, service: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        connections.spawn(async move {
            // Who does not trust the certificate hangs up.
            let Ok(mut inside) = tls.accept(stream).await else { return };
            let mut behind = TcpStream::connect(service).await.unwrap();
            let _ = copy_bidirectional(&mut inside, &mut behind).await;
        });
    }
}

async fn connect(listener: TcpListener, front: SocketAddr, asked: watch::Sender<Vec<String>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let asked = asked.clone();
        connections.spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut first = String::new();
            stream.read_line(&mut first).await.unwrap();
            let mut line = first.clone();
            while line.trim_end() != "" {
                line.clear();
                stream.read_line(&mut line).await.unwrap();
            }
            asked.send_modify(|lines| lines.push(first.trim_end().to_owned()));
            let known = ["graph.test:443", "login.test:443"];
            if !known.iter().any(|name| first.starts_with(&format!("CONNECT {name} "))) {
                let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
                return;
            }
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let mut behind = TcpStream::connect(front).await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut behind).await;
        });
    }
}
