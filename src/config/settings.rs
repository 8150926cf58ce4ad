//! What the config says once it is admitted: valid by construction.

mod people;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use url::{Host, Url};

use super::notify::Notify;
use crate::keeper::id::{ClientId, LaneKey, TenantId, UserId};
use crate::keeper::{OnRemove, Quota};
pub use people::{Group, Person};

/// Everything but the plan.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[daemon]`.
    pub daemon: DaemonSettings,
    /// `[control]`.
    pub control: ControlSettings,
    /// `[http]`; `None`: nothing is served there.
    pub http: Option<HttpSettings>,
    /// `[ping]`; `None`: nobody is called.
    pub ping: Option<PingSettings>,
    /// `[network]`.
    pub network: Network,
    /// `[log] users`.
    pub log_users: LogUsers,
    /// `[[notify]]`, in the order of the file.
    pub notify: Vec<Notify>,
    /// `[[app]]`, in the order of their keys.
    pub apps: Vec<App>,
    /// Names and aliases of users, where they have any.
    pub people: HashMap<UserId, Person>,
    /// `[[group]]`, in the order of the files.
    pub groups: Vec<Group>,
    /// Of the effective config: the same for files that mean the same. Seven hexadecimal digits are shown.
    pub hash: ConfigHash,
}

impl Settings {
    /// The share of sessions that Graph refuses and that is taken for well, in percent.
    #[must_use]
    pub fn tolerate(&self) -> u8 {
        self.http.map_or(HttpSettings::TOLERATE, |http| http.tolerate)
    }

    /// Puts another state directory in the place of that of the config, with what is kept in it.
    pub fn keep_in(&mut self, state_dir: &Path) {
        for app in &mut self.apps {
            if let Credential::SignedIn(path) = &mut app.credential
                && let Ok(within) = path.strip_prefix(&self.daemon.state_dir)
            {
                *path = state_dir.join(within);
            }
        }
        self.daemon.state_dir = state_dir.to_owned();
    }
}

/// `[daemon]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DaemonSettings {
    /// Where leases and the last accepted config are kept.
    pub state_dir: PathBuf,
    /// What becomes of the sessions when the daemon stops.
    pub on_stop: OnStop,
    /// How long stopping may take.
    pub stop_timeout: Duration,
    /// What becomes of the session of a user who is removed.
    pub on_remove: OnRemove,
    /// The share of a lane that a reload may remove, in percent; 100: all of it.
    pub max_removed: u8,
    /// What to run on when the file is refused at start.
    pub start_with: StartWith,
    /// Whether a change of the files is a prompt to read them again, besides SIGHUP.
    pub watch: bool,
}

/// What becomes of the sessions when the daemon stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnStop {
    /// They are left to run out: a restart is invisible.
    Leave,
    /// They are cleared.
    Clear,
}

/// What to run on when the file is refused at start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartWith {
    /// The last accepted config, loudly.
    LastGood,
    /// Nothing: exit 78.
    File,
}

/// `[control]`: how the daemon is steered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControlSettings {
    /// The Unix socket, at most 107 bytes long.
    pub socket: PathBuf,
    /// The group that may use it, by name or number; `None`: that of the daemon.
    pub group: Option<Box<str>>,
    /// Where the control API is served over TCP; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// With what it is served over TLS there; always there beyond loopback.
    pub tls: Option<CertificateFiles>,
    /// Who may come in there.
    pub tokens: Vec<Bearer>,
}

/// A named token of the control API. Never holds the token, only where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bearer {
    /// Its name, for the audit log.
    pub name: Box<str>,
    /// The file that it is in; read at each use.
    pub file: PathBuf,
    /// What it may do.
    pub may: Rights,
    /// The apps that it is for; `None`: all.
    pub apps: Option<Vec<Arc<str>>>,
}

/// What someone may do with the control API.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rights {
    /// Look: `read`.
    pub read: bool,
    /// Override states under a source of their own: `override`.
    pub overrides: bool,
    /// All else: the operator's overrides, release, resume, reload: `operate`.
    pub operate: bool,
}

/// `[http]`: health, metrics and the status page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpSettings {
    /// Where it is served.
    pub listen: SocketAddr,
    /// The share of parked sessions that `/heldz` takes for well, in percent.
    pub tolerate: u8,
}

impl HttpSettings {
    /// [`HttpSettings::tolerate`], where nothing else is said.
    pub const TOLERATE: u8 = 1;
}

/// `[ping]`: whom to call as long as all is well.
#[derive(Clone, PartialEq, Eq)]
pub struct PingSettings {
    /// The URL: https, or http on loopback. Its path may be secret.
    pub url: Url,
    /// How often, from 10 s to a day.
    pub every: Duration,
}

/// Without the path of the URL.
impl std::fmt::Debug for PingSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PingSettings")
            .field("host", &self.url.host_str())
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// `[network]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// How to reach Graph and the login host. Loopback is always reached directly.
    pub proxy: Proxy,
    /// Certificate authorities to trust besides the system's, a PEM file.
    pub ca_file: Option<PathBuf>,
}

/// How to reach the outside.
#[derive(Clone, PartialEq, Eq)]
pub enum Proxy {
    /// Directly.
    None,
    /// As `HTTPS_PROXY` and its like say.
    Env,
    /// Through this one. It may hold a password: show [`Url::host_str`] and [`Url::port`], never the whole.
    Url(Url),
}

/// Without the user name and password of a URL.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Env => f.write_str("Env"),
            Self::Url(url) => {
                let host = url.host_str().unwrap_or_default();
                write!(
                    f,
                    "Url({}://{host}:{})",
                    url.scheme(),
                    url.port_or_known_default().unwrap_or_default()
                )
            }
        }
    }
}

/// How people appear in logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogUsers {
    /// By object id.
    Id,
    /// By name, where there is one.
    Name,
    /// By a short hash of the object id.
    Hash,
}

/// One app registration in one tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct App {
    /// Its name in the config.
    pub name: Arc<str>,
    /// The tenant.
    pub tenant: TenantId,
    /// The app registration.
    pub client_id: ClientId,
    /// Where Graph and the login host are.
    pub cloud: Cloud,
    /// How it proves who it is.
    pub credential: Credential,
    /// The day on which its client secret ends, UTC. `None`: nobody said, or it is no secret. A certificate says
    /// itself.
    pub secret_expires: Option<Date>,
    /// Whether it asks for tokens under continuous access evaluation: they live for up to a day, and Graph may ask for
    /// another one at any time. Source: the page "Continuous access evaluation for workload identities".
    pub cae: bool,
    /// What Graph takes from it.
    pub quota: Quota,
    /// The one user of an app that acts for who signed in. `None`: it acts for itself, or the config has no user of it.
    pub user: Option<UserId>,
}

impl App {
    /// What makes its lane the same lane.
    #[must_use]
    pub fn lane(&self) -> LaneKey {
        LaneKey {
            graph: self.cloud.graph.as_str().trim_end_matches('/').into(),
            tenant: self.tenant,
            client: self.client_id,
        }
    }

    /// Where its tokens come from.
    #[must_use]
    pub fn token_endpoint(&self) -> String {
        format!("{}/{}/oauth2/v2.0/token", self.cloud.login.as_str().trim_end_matches('/'), self.tenant)
    }

    /// The scope that its tokens are for: `{graph}/.default`.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("{}/.default", self.cloud.graph.as_str().trim_end_matches('/'))
    }
}

/// Roots of the two services, without a version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cloud {
    /// Microsoft Graph.
    pub graph: Url,
    /// The login authority.
    pub login: Url,
}

impl Cloud {
    /// A cloud of Microsoft's by the name that the config has for it: `global`, `us-gov-l4` or `us-gov-l5`.
    ///
    /// Source: "National cloud deployments" in the Graph documentation.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (graph, login) = match name {
            "global" => ("https://graph.microsoft.com", "https://login.microsoftonline.com"),
            "us-gov-l4" => ("https://graph.microsoft.us", "https://login.microsoftonline.us"),
            "us-gov-l5" => ("https://dod-graph.microsoft.us", "https://login.microsoftonline.us"),
            _ => return None,
        };
        let root = |text| Url::parse(text).expect("the roots above are URLs");
        Some(Self { graph: root(graph), login: root(login) })
    }
}

/// Whether a URL stays on this machine: 127.0.0.0/8, `::1` or `localhost`.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// How an app proves who it is. Never holds a secret, only where it is. Files are read at each token request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Credential {
    /// A client secret in a file.
    SecretFile(PathBuf),
    /// A client secret in an environment variable.
    SecretEnv(String),
    /// A certificate, whose key signs an assertion.
    Certificate(CertificateFiles),
    /// A token of another identity provider that the app registration trusts: Kubernetes, SPIFFE, a CI system.
    FederatedTokenFile(PathBuf),
    /// What the Azure host that the daemon runs on vouches for.
    ManagedIdentity(Identity),
    /// A user who signed in by `presenced login`, and whose refresh token is kept in this file of the state directory.
    SignedIn(PathBuf),
}

/// Where a certificate and its private key are, in PEM.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CertificateFiles {
    /// The certificate, first in its file; what follows, a chain for instance, is not looked at.
    pub certificate: PathBuf,
    /// The key, where it is not in the certificate's file.
    pub key: Option<PathBuf>,
}

/// Which of a host's managed identities.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Identity {
    /// The one that is the host's own.
    SystemAssigned,
    /// One that was assigned to it, by its client id.
    UserAssigned(ClientId),
}

/// SHA-256 of what the config means.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConfigHash(pub [u8; 32]);

/// Seven hexadecimal digits.
impl std::fmt::Display for ConfigHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{:x}", d >> 4)
    }
}

impl std::fmt::Debug for ConfigHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_and_nothing_that_looks_like_it() {
        let loopback = |text: &str| is_loopback(&Url::parse(text).unwrap());
        for text in
            ["http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]", "http://localhost:80", "http://127.1"]
        {
            assert!(loopback(text), "{text}");
        }
        for text in
            ["http://127.0.0.1.evil.test", "http://localhost.evil.test", "http://10.0.0.1", "http://[::2]"]
        {
            assert!(!loopback(text), "{text}");
        }
    }
}
