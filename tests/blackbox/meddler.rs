//! A door before the sandbox that lets requests through, or answers them itself as no service should. What is secret in
//! what passes is searched for from then on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::secrecy;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Mode {
    /// It is passed on, and so is its answer.
    Pass,
    /// It is passed on and carried out, and the connection ends instead of an answer.
    Lose,
    /// It gets these bytes, and the connection goes on.
    Say(String),
    /// It gets these bytes, and then no end.
    Flood(String),
    /// It gets these bytes, and the connection ends.
    Cut(String),
    /// It is read and never answered; the connection stays.
    Silence,
    /// The connection is reset.
    Reset,
}

/// An answer of its own: a status line's rest, more header lines, a body.
pub fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

/// The door.
pub struct Meddler {
    /// Its URL.
    pub url: String,
    mode: watch::Sender<Mode>,
    meddled: Arc<AtomicU64>,
    _serving: JoinSet<()>,
}

impl Meddler {
    /// Before a service on loopback; it lets all through.
    pub async fn before(service: &str) -> Self {
        let service = service.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (mode, seen) = watch::channel(Mode::Pass);
        let meddled = Arc::new(AtomicU64::new(0));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, service, seen, Arc::clone(&meddled)));
        Self { url, mode, meddled, _serving: serving }
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How many requests were not let through.
    pub fn meddled(&self) -> u64 {
        self.meddled.load(Ordering::Relaxed)
    }
}

async fn serve(
    listener: TcpListener,
    service: SocketAddr,
    mode: watch::Receiver<Mode>,
    meddled: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, service, mode.clone(), Arc::clone(&meddled)));
    }
}

/// Whoever hangs up ends it.
async fn connection(
    stream: TcpStream,
    service: SocketAddr,
    mode: watch::Receiver<Mode>,
    meddled: Arc<AtomicU64>,
) {
    let mut client = BufReader::new(stream);
    let mut behind = BufReader::new(TcpStream::connect(service).await.unwrap());
    while let Some(request) = message(&mut client).await {
        secrecy::seen(&request);
        let mode = mode.borrow().clone();
        if !matches!(mode, Mode::Pass) {
            meddled.fetch_add(1, Ordering::Relaxed);
        }
        let said = match mode {
            Mode::Pass | Mode::Lose => {
                if behind.write_all(&request).await.is_err() {
                    return;
                }
                let Some(answer) = message(&mut behind).await else { return };
                secrecy::seen(&answer);
                if matches!(mode, Mode::Lose) {
                    return;
                }
                client.write_all(&answer).await
            }
            Mode::Say(text) => client.write_all(text.as_bytes()).await,
            Mode::Cut(text) => {
                let _ = client.write_all(text.as_bytes()).await;
                return;
            }
            Mode::Flood(text) => {
                let mut said = client.write_all(text.as_bytes()).await;
                while said.is_ok() {
                    said = client.write_all(&[b'x'; 16_384]).await;
                }
                return;
            }
            // Longer than anybody waits; it ends with the test.
            Mode::Silence => {
                tokio::time::sleep(Duration::from_secs(120)).await;
                return;
            }
            Mode::Reset => {
                let _ = client.get_ref().set_zero_linger();
                return;
            }
        };
        if said.is_err() {
            return;
        }
    }
}

/// The bytes of one request or answer: its head, and as much as `content-length` says.
async fn message(from: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut length = 0;
    loop {
        let start = bytes.len();
        if from.read_until(b'\n', &mut bytes).await.ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&bytes[start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    let head = bytes.len();
    bytes.resize(head + length, 0);
    from.read_exact(&mut bytes[head..]).await.ok()?;
    Some(bytes)
}
