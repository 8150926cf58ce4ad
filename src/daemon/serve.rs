//! Serving HTTP/1.1: the loop around a listener that the control API and the status page have in common. What a request
//! means is for their routers.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tower_service::Service;

use super::clock::Clock;

/// Connections at a time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 256;
/// How long a request's head may take, and how long an idle connection is kept.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long a TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// The wait after a connection that cannot be accepted: there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// How long requests under way may take once serving ends.
const STOP_TIME: Duration = Duration::from_secs(1);

/// How long a request may take, its body included: longer than a reload of a million users.
const REQUEST_TIME: Duration = Duration::from_secs(320);

/// A request has taken too long; its connection ends.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request has taken too long")]
struct Slow;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// A process of this machine.
    Process {
        /// Its pid, where the system tells it.
        pid: Option<i32>,
        /// Its user.
        uid: u32,
        /// Its first group.
        gid: u32,
    },
    /// Somebody on a network.
    Address(SocketAddr),
}

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// A socket in the file system.
    Unix(UnixListener),
    /// TCP.
    Tcp(TcpListener),
    /// TCP with TLS on it.
    Tls(TcpListener, TlsKeys),
}

/// The certificate and key that TLS is served with; replaced by sending another.
pub type TlsKeys = watch::Receiver<Arc<ServerConfig>>;

enum Accepted {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(TcpStream, TlsAcceptor),
}

impl Listener {
    async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let peer = stream.peer_cred()?;
                let peer = Peer::Process { pid: peer.pid(), uid: peer.uid(), gid: peer.gid() };
                Ok((Accepted::Unix(stream), peer))
            }
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Accepted::Tcp(stream), Peer::Address(address)))
            }
            Self::Tls(listener, keys) => {
                let (stream, address) = listener.accept().await?;
                let acceptor = TlsAcceptor::from(Arc::clone(&keys.borrow()));
                Ok((Accepted::Tls(stream, acceptor), Peer::Address(address)))
            }
        }
    }
}

/// Serves until `shutdown` is there, then lets what is under way end, for a second at most.
pub async fn serve(listener: Listener, router: Router, clock: Clock, shutdown: impl Future<Output = ()>) {
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let stop = watch::Sender::new(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        tokio::select! {
            () = &mut shutdown => break,
            // One that panicked has cost itself its connection.
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (accepted, permit) = accepted => match accepted {
                Ok((stream, peer)) => {
                    let (router, stopped) = (router.clone(), stop.subscribe());
                    connections.spawn(async move {
                        let _permit = permit;
                        converse(stream, peer, router, stopped).await;
                    });
                }
                Err(_) => clock.sleep_real(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    stop.send_replace(());
    let ended = async { while connections.join_next().await.is_some() {} };
    // What is left is cut off with the set.
    tokio::select! {
        () = ended => {}
        () = clock.sleep_real(STOP_TIME) => {}
    }
}

async fn converse(stream: Accepted, peer: Peer, router: Router, stop: watch::Receiver<()>) {
    match stream {
        Accepted::Unix(stream) => talk(stream, peer, router, stop).await,
        Accepted::Tcp(stream) => talk(stream, peer, router, stop).await,
        Accepted::Tls(stream, acceptor) => {
            let handshake = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream));
            if let Ok(Ok(stream)) = handshake.await {
                talk(stream, peer, router, stop).await;
            }
        }
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    mut stop: watch::Receiver<()>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        async move {
            let answered = tokio::time::timeout(REQUEST_TIME, router.call(request)).await;
            // Whoever takes so long to send a body is gone, or means no good.
            answered.map_err(|_| Slow).map(|answer| answer.unwrap_or_else(|never| match never {}))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // Whoever is at the other end knows best why it broke.
        _ = connection.as_mut() => return,
        _ = stop.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
