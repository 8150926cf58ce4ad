//! How one host outside is reached: the certificate authorities that are trusted, the proxy, the limits of a
//! connection, and what to say when it does not work.
//!
//! Certificates are always checked, redirects are never followed, bodies are never inflated, and the proxy variables
//! of the environment count only when `[network] proxy` says so.

pub(super) mod answer;
mod cause;
pub(super) mod exchange;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, NoProxy, redirect, retry};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest, Sha256};
use url::{Host, Url};

pub(super) use self::cause::Cause;
use crate::config::settings::{Network, Proxy};

/// Longest time for a connection to be ready, the proxy's part and TLS included. Short, because a request that waits
/// for a connection is better sent again than held.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Idle connections kept to a host that speaks HTTP/1.1: as many as a lane has in flight at its busiest. Over HTTP/2
/// there is one connection.
const MAX_IDLE: usize = 32;
/// A ping goes over an HTTP/2 connection this often, idle ones included: with [`PING_TIME`], a connection that died
/// silently is noticed after 30 s at the latest, not at the next renewal.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long the answer to a ping may take.
const PING_TIME: Duration = Duration::from_secs(10);
/// Longest CA file, in bytes: the whole store of a Linux distribution is a quarter of it.
const MAX_CA_FILE: u64 = 1024 * 1024;

/// Why the outside cannot be reached in the way that `[network]` says.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The file named by `[network] ca_file` cannot be read.
    #[error("[network] ca_file {}: cannot be read", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file named by `[network] ca_file` holds something else.
    #[error("[network] ca_file {}: {wrong}; certificates in PEM form (BEGIN CERTIFICATE) are needed", path.display())]
    NoCertificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
    },
    /// A proxy that is no HTTP proxy.
    #[error("{from}: {wrong}; an HTTP proxy such as http://proxy.example:3128 is needed")]
    Proxy {
        /// Where it is set: the config key or the variable.
        from: &'static str,
        /// What is wrong with it.
        wrong: String,
    },
    /// The client cannot be made: in practice, the system has no certificate authorities.
    #[error(
        "TLS cannot be set up; install the system's CA certificates (package ca-certificates) or set [network] ca_file"
    )]
    Tls(#[source] reqwest::Error),
}

/// Tells two states of the CA file apart, and nothing else about it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Authorities(Option<[u8; 32]>);

impl Authorities {
    /// As the file that `[network]` names stands now.
    ///
    /// # Errors
    /// When it cannot be read, or is longer than 1 MiB.
    pub(super) fn read(network: &Network) -> Result<Self, NetworkError> {
        let pem = network.ca_file.as_deref().map(read_ca_file).transpose()?;
        Ok(Self(pem.map(|pem| Sha256::digest(pem).into())))
    }
}

/// The way to one host. Makes clients, and explains why they fail.
pub(super) struct Way {
    /// Who is to be reached, as `host:port`.
    target: String,
    plain: bool,
    /// This machine itself: no proxy is ever the way there.
    loopback: bool,
    via: Option<Via>,
    /// A proxy variable that is set, and that `proxy = "none"` says not to use.
    ignored: Option<&'static str>,
    ca_file: Option<PathBuf>,
    authorities: Vec<Certificate>,
}

/// A proxy on the way.
struct Via {
    url: Url,
    /// Hosts that are reached directly all the same, as `NO_PROXY` lists them.
    except: Option<NoProxy>,
}

impl Way {
    /// The way to the host of `target`. Reads the CA file; opens no connection.
    pub(super) fn to(target: &Url, network: &Network) -> Result<Self, NetworkError> {
        Self::with_env(target, network, |name| std::env::var(name).ok())
    }

    /// The same with the environment as an argument.
    fn with_env(
        target: &Url,
        network: &Network,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, NetworkError> {
        let loopback = is_loopback(target);
        let variable = proxy_variables(target)
            .iter()
            .find_map(|&name| env(name).filter(|value| !value.is_empty()).map(|value| (name, value)));
        let (via, ignored) = match (&network.proxy, variable) {
            _ if loopback => (None, None),
            (Proxy::None, variable) => (None, variable.map(|(name, _)| name)),
            (Proxy::Env, None) => (None, None),
            (Proxy::Env, Some((from, value))) => {
                let except = ["NO_PROXY", "no_proxy"].iter().find_map(|name| env(name));
                let url = parse_proxy(from, &value)?;
                (Some(Via { url, except: except.and_then(|list| NoProxy::from_string(&list)) }), None)
            }
            (Proxy::Url(url), _) => {
                (Some(Via { url: http_proxy("[network] proxy", url.clone())?, except: None }), None)
            }
        };
        let authorities = network.ca_file.as_deref().map(read_authorities).transpose()?.unwrap_or_default();
        let host = target.host_str().unwrap_or_default();
        let port = target.port_or_known_default().unwrap_or_default();
        Ok(Self {
            target: format!("{host}:{port}"),
            plain: target.scheme() == "http",
            loopback,
            via,
            ignored,
            ca_file: network.ca_file.clone(),
            authorities,
        })
    }

    /// A client with connections of its own.
    ///
    /// It never repeats a request: each one counts against Graph's quota, and the keeper, who keeps that count, would
    /// not know. What stays is the HTTP library's own second try of a request that never left, because the idle
    /// connection picked for it turned out to be closed. Without a redirect there is no other host either, so that
    /// the proxy is a matter of this one host.
    pub(super) fn client(&self) -> Result<reqwest::Client, NetworkError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("presenced/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .connect_timeout(CONNECT_TIME)
            .pool_max_idle_per_host(MAX_IDLE)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIME)
            .http2_keep_alive_while_idle(true)
            .no_proxy();
        builder = match &self.via {
            Some(via) => {
                let proxy = reqwest::Proxy::all(via.url.clone()).map_err(NetworkError::Tls)?;
                builder.proxy(proxy.no_proxy(via.except.clone()))
            }
            None => builder,
        };
        builder = if self.plain && self.via.is_none() {
            // No TLS on this way: the sandbox must work where no CA certificates are installed.
            builder.tls_certs_only([])
        } else {
            builder.tls_certs_merge(self.authorities.iter().cloned())
        };
        builder.build().map_err(NetworkError::Tls)
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("target", &self.target).field("via", &self.via).finish_non_exhaustive()
    }
}

/// Without the password that a proxy's URL may hold.
impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "{}://{host}:{}", self.url.scheme(), self.url.port_or_known_default().unwrap_or_default())
    }
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a URL names this machine itself. A name that merely resolves to it does not count.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The variables that name a proxy for such a URL, the first that is set counting, as with curl.
fn proxy_variables(target: &Url) -> [&'static str; 4] {
    match target.scheme() {
        "http" => ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        _ => ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
    }
}

/// A proxy as a variable names it: the scheme may be missing.
fn parse_proxy(from: &'static str, value: &str) -> Result<Url, NetworkError> {
    let url = if value.contains("://") { Url::parse(value) } else { Url::parse(&format!("http://{value}")) };
    // The value is not shown: it may hold a password.
    http_proxy(from, url.map_err(|error| NetworkError::Proxy { from, wrong: error.to_string() })?)
}

fn http_proxy(from: &'static str, url: Url) -> Result<Url, NetworkError> {
    match (url.scheme(), url.has_host()) {
        ("http" | "https", true) => Ok(url),
        ("http" | "https", false) => Err(NetworkError::Proxy { from, wrong: "it names no host".to_owned() }),
        (scheme, _) => Err(NetworkError::Proxy { from, wrong: format!("no proxy of the kind {scheme}") }),
    }
}

/// The certificates in a PEM file, each of them fit to be trusted.
fn read_authorities(path: &Path) -> Result<Vec<Certificate>, NetworkError> {
    let no_certificates = |wrong| NetworkError::NoCertificates { path: path.to_owned(), wrong };
    let pem = read_ca_file(path)?;
    let mut authorities = Vec::new();
    let mut store = RootCertStore::empty();
    for (at, der) in rustls_pki_types::CertificateDer::pem_slice_iter(&pem).enumerate() {
        let der = der.map_err(|error| no_certificates(error.to_string()))?;
        authorities.push(Certificate::from_der(&der).map_err(NetworkError::Tls)?);
        store.add(der).map_err(|_| no_certificates(format!("certificate {} in it is none", at + 1)))?;
    }
    if authorities.is_empty() {
        return Err(no_certificates("no certificate in it".to_owned()));
    }
    Ok(authorities)
}

fn read_ca_file(path: &Path) -> Result<Vec<u8>, NetworkError> {
    let unreadable = |source| NetworkError::CaFile { path: path.to_owned(), source };
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_CA_FILE + 1).read_to_end(&mut pem).map_err(unreadable)?;
    if pem.len() as u64 > MAX_CA_FILE {
        let wrong = format!("longer than {MAX_CA_FILE} bytes");
        return Err(NetworkError::NoCertificates { path: path.to_owned(), wrong });
    }
    Ok(pem)
}
