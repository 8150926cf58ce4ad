//! One lane's source of tokens.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::Client;
use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::challenge::{self, Claims};
use super::failure::Class;
use super::grant::Grant;
use super::managed_identity::ManagedIdentity;
use super::post::{self, not_sent};
use super::proof::{NoProof, Proof};
use super::reply::{self, Asked};
use super::{Fingerprint, TokenDetail, TokenReply, certificate, signed_in};
use crate::config::settings::{App, Credential, Network};
use crate::daemon::clock::Clock;
use crate::daemon::network::{NetworkError, Way};

/// Where the tokens of a lane come from.
pub struct TokenSource {
    app: Arc<App>,
    way: Arc<Way>,
    /// Where the host vouches for the app, and not a credential.
    host: Option<ManagedIdentity>,
    /// Held while the credential is read: where a disk hangs, one thread hangs with it, not one more at each fetch.
    reading: Arc<Mutex<()>>,
}

/// What a request is made with.
type Prepared = (Result<Proof, NoProof>, Result<Client, NetworkError>);

impl TokenSource {
    /// A source for this app. It reads no credential and opens no connection yet.
    ///
    /// # Errors
    ///
    /// When `[network]` cannot be done: a CA file that cannot be read, a proxy that cannot be used.
    pub fn new(app: &App, network: &Network) -> Result<Self, NetworkError> {
        let host = match &app.credential {
            Credential::ManagedIdentity(identity) => Some(ManagedIdentity::new(app, *identity)),
            _ => None,
        };
        Ok(Self {
            way: Arc::new(Way::to(&app.cloud.login, network)?),
            app: Arc::new(app.clone()),
            host,
            reading: Arc::default(),
        })
    }

    /// Asks for a token, and returns within `time` of real time, whatever the authority does, or the disk that the
    /// credential is on. The fingerprint is that of the credential that it was tried with; a managed identity has none.
    ///
    /// `wall` is the wall time now, as the authority sees it. `claims` are what Graph wants the token to have.
    ///
    /// The credential is read anew each time, and so are the system's certificate authorities: a fetch is rare, and its
    /// connection is not kept. A refresh token that comes with the token is on disk when this returns.
    pub async fn fetch(
        &self,
        time: Duration,
        wall: SystemTime,
        claims: Option<&Claims>,
    ) -> (Option<Fingerprint>, TokenReply) {
        if let Some(host) = &self.host {
            return (None, host.fetch(time, wall).await);
        }
        let clock = Clock::real();
        let began = clock.now();
        let left = || time.saturating_sub(clock.now().since(began));
        let Ok(Some((proof, http))) = timeout(time, self.prepare(wall)).await else {
            return (None, unread(time));
        };
        let Proof { grant, fingerprint } = match proof {
            Ok(proof) => proof,
            Err(none) => return (None, none.reply()),
        };
        let reply = match http {
            Ok(http) => self.ask(grant, &http, claims, wall, left).await,
            Err(error) => not_sent(&error),
        };
        (Some(fingerprint), reply)
    }

    /// Reads what a request needs, on a thread: what it is on may hang. `None` when that panicked.
    async fn prepare(&self, wall: SystemTime) -> Option<Prepared> {
        let turn = Arc::clone(&self.reading).lock_owned().await;
        let (app, way) = (Arc::clone(&self.app), Arc::clone(&self.way));
        let read = spawn_blocking(move || {
            let _turn = turn;
            (Proof::read(&app, wall), way.client())
        });
        read.await.ok()
    }

    async fn ask(
        &self,
        grant: Grant,
        http: &Client,
        claims: Option<&Claims>,
        wall: SystemTime,
        left: impl Fn() -> Duration,
    ) -> TokenReply {
        let claims = challenge::request(claims, self.app.cae);
        let form = grant.form(self.app.client_id, &scope(&self.app), claims.as_deref());
        let answer = match post::post((&self.way, http), &self.app.token_endpoint(), form, left()).await {
            Ok(answer) => answer,
            Err(none) => return none,
        };
        let asked = Asked {
            credential: &self.app.credential,
            app: &self.app.name,
            id: answer.id,
            secret: grant.secret(),
            wall,
        };
        let reply = reply::read(answer.status, &answer.headers, &answer.body, &asked);
        match (&self.app.credential, reply.token.is_some().then(|| signed_in::next(&answer.body)).flatten()) {
            (Credential::SignedIn(path), Some(next)) => match keep(path, grant, next, left()).await {
                Ok(()) => reply,
                Err(lost) => lost,
            },
            _ => reply,
        }
    }

    /// A fingerprint of the credential as it stands now; `None` when it cannot be read, or has none. Reads small files.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match &self.app.credential {
            Credential::ManagedIdentity(_) => None,
            Credential::Certificate(files) => certificate::fingerprint(files),
            // The time is for assertions alone.
            _ => Proof::read(&self.app, SystemTime::UNIX_EPOCH).ok().map(|proof| proof.fingerprint),
        }
    }

    /// When its certificate is in force first; `None` when there is none, or it cannot be read. Reads small files.
    #[must_use]
    pub fn certificate_begin(&self) -> Option<Timestamp> {
        match &self.app.credential {
            Credential::Certificate(files) => certificate::begin(files),
            _ => None,
        }
    }

    /// When its certificate ends; `None` when there is none, or it cannot be read. Reads small files.
    #[must_use]
    pub fn certificate_end(&self) -> Option<Timestamp> {
        match &self.app.credential {
            Credential::Certificate(files) => certificate::end(files),
            _ => None,
        }
    }

    /// Whether it is a client secret, whose end only the config can tell.
    pub(in crate::daemon) fn has_secret(&self) -> bool {
        matches!(self.app.credential, Credential::SecretFile(_) | Credential::SecretEnv(_))
    }

    /// Whether someone else renews the credential every so often, so that a new one is no news and no reason to ask for
    /// a token.
    pub(in crate::daemon) fn renews_itself(&self) -> bool {
        matches!(self.app.credential, Credential::FederatedTokenFile(_))
    }

    /// Keeps the credential from being read, as a disk does that hangs.
    #[cfg(test)]
    pub(super) async fn hang(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.reading).lock_owned().await
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("endpoint", &self.app.token_endpoint()).finish_non_exhaustive()
    }
}

/// The scope that an app asks for.
fn scope(app: &App) -> String {
    match app.credential {
        Credential::SignedIn(_) => signed_in::scope(app),
        _ => app.scope(),
    }
}

/// Puts the next refresh token in the place of the one that was used. Without that the token is not used either, or the
/// next restart would begin with one that is spent.
async fn keep(path: &Path, used: Grant, next: SecretString, time: Duration) -> Result<(), TokenReply> {
    let path = path.to_owned();
    let kept = spawn_blocking(move || signed_in::rotate(&path, used.secret(), next));
    let error = match timeout(time, kept).await {
        Ok(Ok(Ok(()))) => return Ok(()),
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(_)) => "writing it panicked".to_owned(),
        Err(_) => "the disk hangs".to_owned(),
    };
    let detail = TokenDetail {
        error: "sign-in not kept".to_owned(),
        class: Class::Again,
        meaning: format!("the next refresh token could not be written: {error}"),
        advice: "see that the state directory can be written to and has room; it is tried again".to_owned(),
        ..TokenDetail::default()
    };
    Err(reply::failed(None, detail))
}

/// Nobody has said no: the disk may come back.
fn unread(time: Duration) -> TokenReply {
    let detail = TokenDetail {
        error: "no credential".to_owned(),
        class: Class::Again,
        meaning: format!("the credential could not be read within {:.1} s", time.as_secs_f64()),
        advice: "see whether the file system that it is on hangs; it is tried again".to_owned(),
        ..TokenDetail::default()
    };
    reply::failed(None, detail)
}
