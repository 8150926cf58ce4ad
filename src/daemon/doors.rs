//! Where others reach the daemon: the control socket, and what it serves over TCP. A door that cannot be opened is tried
//! again; the sessions do not depend on it.

use std::error::Error;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{self, ServerConfig};

use super::clock::Clock;
use super::control::{self, Desk, socket};
use super::http;
use super::logging;
use super::serve::{Listener, TlsKeys, serve};
use crate::config::settings::{CertificateFiles, Settings};

/// Between two tries to open a door.
const AGAIN: Duration = Duration::from_secs(5);
/// Between two looks whether the certificate is another.
const KEYS_AGAIN: Duration = Duration::from_secs(60);

/// The doors that are open, or will be.
#[derive(Debug)]
pub struct Doors {
    tasks: JoinSet<()>,
    stop: watch::Sender<()>,
}

impl Doors {
    /// Opens those that the config asks for. Needs a runtime.
    #[must_use]
    pub fn open(settings: &Arc<Settings>, desk: &Desk) -> Self {
        let mut doors = Self { tasks: JoinSet::new(), stop: watch::Sender::new(()) };
        let control = control::router(desk.clone());
        let (path, group) = (settings.control.socket.clone(), settings.control.group.clone());
        let stopped = doors.stop.subscribe();
        doors.tasks.spawn(unix(path, group, control.clone(), desk.clock.clone(), stopped));
        if let Some(at) = settings.control.listen {
            let door = Door { what: "control", at, tls: settings.control.tls.clone() };
            doors.tasks.spawn(tcp(door, control, desk.clock.clone(), doors.stop.subscribe()));
        }
        if let Some(settings) = &settings.http {
            let door = Door { what: "http", at: settings.listen, tls: None };
            let router = http::router(desk.clone());
            doors.tasks.spawn(tcp(door, router, desk.clock.clone(), doors.stop.subscribe()));
        }
        doors
    }

    /// Closes them; answers under way have a second.
    pub async fn close(mut self) {
        self.stop.send_replace(());
        while let Some(ended) = self.tasks.join_next().await {
            if ended.is_err() {
                logging::task_panicked("listener");
            }
        }
    }
}

/// What to listen on over TCP.
struct Door {
    what: &'static str,
    at: std::net::SocketAddr,
    tls: Option<CertificateFiles>,
}

async fn unix(
    path: PathBuf,
    group: Option<Box<str>>,
    router: Router,
    clock: Clock,
    mut stop: watch::Receiver<()>,
) {
    let shown = path.display().to_string();
    let bind = || {
        let (path, group) = (path.clone(), group.clone());
        async move {
            let bound = tokio::task::spawn_blocking(move || socket::bind(&path, group.as_deref())).await;
            let (listener, socket) = bound??;
            Ok::<_, Box<dyn Error + Send + Sync>>((UnixListener::from_std(listener)?, socket))
        }
    };
    let Some((listener, _socket)) = until_open("control", &shown, bind, &clock, &mut stop).await else {
        return;
    };
    serve(Listener::Unix(listener), router, clock, stopped(stop)).await;
}

async fn tcp(door: Door, router: Router, clock: Clock, mut stop: watch::Receiver<()>) {
    let shown = door.at.to_string();
    let bind = || async {
        let listener = TcpListener::bind(door.at).await?;
        let keys = match door.tls.clone() {
            None => None,
            Some(files) => Some(tokio::task::spawn_blocking(move || keys_of(&files)).await??),
        };
        Ok::<_, Box<dyn Error + Send + Sync>>((listener, keys))
    };
    let Some((listener, keys)) = until_open(door.what, &shown, bind, &clock, &mut stop).await else { return };
    let Some(first) = keys else {
        return serve(Listener::Tcp(listener), router, clock, stopped(stop)).await;
    };
    let (renew, keys): (_, TlsKeys) = watch::channel(first);
    let serving = serve(Listener::Tls(listener, keys), router, clock.clone(), stopped(stop));
    let renewing = renew_keys(door, renew, clock);
    tokio::select! {
        () = serving => {}
        () = renewing => {}
    }
}

/// Looks for another certificate from time to time. One that cannot be read leaves the one that is served.
async fn renew_keys(door: Door, renew: watch::Sender<Arc<ServerConfig>>, clock: Clock) {
    let Some(files) = door.tls else { return std::future::pending().await };
    let mut failing = false;
    loop {
        clock.sleep_real(KEYS_AGAIN).await;
        let again = files.clone();
        match tokio::task::spawn_blocking(move || keys_of(&again)).await {
            Ok(Ok(keys)) => {
                failing = false;
                renew.send_replace(keys);
            }
            Ok(Err(error)) => {
                if !std::mem::replace(&mut failing, true) {
                    logging::listen_failed(door.what, &door.at.to_string(), &error);
                }
            }
            Err(_) => logging::task_panicked("certificate"),
        }
    }
}

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
enum KeyError {
    /// It cannot be read, or is none.
    #[error("{}: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// Key and certificate do not fit, or are of a kind that TLS does not know.
    #[error("the certificate cannot be served: {0}")]
    Unfit(#[from] rustls::Error),
}

fn keys_of(files: &CertificateFiles) -> Result<Arc<ServerConfig>, KeyError> {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let pem = |path: &Path| {
        let path = path.to_owned();
        move |source| KeyError::Pem { path, source }
    };
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(pem(&files.certificate))?;
    let key_file = files.key.as_ref().unwrap_or(&files.certificate);
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(pem(key_file))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    Ok(Arc::new(config))
}

/// Tries until a door is open, or the daemon stops. Says once that it is not, and that it is.
async fn until_open<T, F: Future<Output = Result<T, Box<dyn Error + Send + Sync>>>>(
    what: &'static str,
    at: &str,
    bind: impl Fn() -> F,
    clock: &Clock,
    stop: &mut watch::Receiver<()>,
) -> Option<T> {
    let mut failing = false;
    loop {
        match bind().await {
            Ok(open) => {
                logging::listening(what, at);
                return Some(open);
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    logging::listen_failed(what, at, &*error);
                }
            }
        }
        tokio::select! {
            _ = stop.changed() => return None,
            () = clock.sleep_real(AGAIN) => {}
        }
    }
}

async fn stopped(mut stop: watch::Receiver<()>) {
    // A sender that is gone has stopped, too.
    let _ = stop.changed().await;
}
