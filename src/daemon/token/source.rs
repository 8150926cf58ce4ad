//! One lane's source of tokens.

use std::fmt;
use std::io;
use std::path::PathBuf;
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
use super::signed_in::Lock;
use super::{Fingerprint, TokenDetail, TokenReply, Unwritten, certificate, signed_in};
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
struct Prepared {
    proof: Result<Proof, NoProof>,
    http: Result<Client, NetworkError>,
    /// What is still not on disk.
    unwritten: Option<Unwritten>,
}

/// A refresh token that is being used.
struct Use {
    path: PathBuf,
    fingerprint: Fingerprint,
    lock: Option<Lock>,
    unwritten: Option<Unwritten>,
}

/// Between two looks whether somebody else is done with the refresh token.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Left of the time of a request to write the next refresh token: the part, and at most.
const WRITE_PART: u32 = 10;
const WRITE_TIME: Duration = Duration::from_secs(2);

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
    /// `wall` is the wall time now, as the authority sees it. `claims` are what Graph wants the token to have. `unwritten`
    /// is what the last fetch could not write.
    ///
    /// The credential is read anew each time, and so are the system's certificate authorities: a fetch is rare, and its
    /// connection is not kept. A refresh token that comes with the token is on disk when this returns, or in the reply. From
    /// the read of the one before it until then, no other process uses that one.
    pub async fn fetch(
        &self,
        time: Duration,
        wall: SystemTime,
        claims: Option<&Claims>,
        unwritten: Option<Unwritten>,
    ) -> (Option<Fingerprint>, TokenReply) {
        if let Some(host) = &self.host {
            return (None, host.fetch(time, wall).await);
        }
        let clock = Clock::real();
        let began = clock.now();
        let left = || time.saturating_sub(clock.now().since(began));
        let failed = |reply: TokenReply, unwritten| (None, TokenReply { unwritten, ..reply });
        // Whoever waits longer has no time to ask.
        let lock = match timeout(time / 2, self.lock(&clock)).await {
            Ok(lock) => lock,
            // What it would have been tried with can be told all the same.
            Err(_) => {
                let seen = timeout(left(), self.prepare(wall, None)).await.ok().flatten();
                let seen = seen.and_then(|seen| seen.proof.ok()).map(|proof| proof.fingerprint);
                return (seen, TokenReply { unwritten, ..busy() });
            }
        };
        let remembered = unwritten.clone();
        let Ok(Some(prepared)) = timeout(left(), self.prepare(wall, unwritten)).await else {
            return failed(unread(time), remembered);
        };
        let Prepared { proof, http, unwritten } = prepared;
        let Proof { grant, fingerprint } = match proof {
            Ok(proof) => proof,
            Err(none) => return failed(none.reply(), unwritten),
        };
        let used = match &self.app.credential {
            Credential::SignedIn(path) => Some(Use { path: path.clone(), fingerprint, lock, unwritten }),
            _ => None,
        };
        let reply = match http {
            Ok(http) => self.ask(grant, used, &http, claims, wall, left).await,
            Err(error) => TokenReply { unwritten: used.and_then(|used| used.unwritten), ..not_sent(&error) },
        };
        (Some(fingerprint), reply)
    }

    /// Waits until nobody else uses the refresh token. `None`: there is none, or no lock can be made: a disk that is full
    /// does not cost the token.
    async fn lock(&self, clock: &Clock) -> Option<Lock> {
        let Credential::SignedIn(path) = &self.app.credential else { return None };
        loop {
            let path = path.clone();
            match self.on_disk(move || signed_in::try_lock(&path)).await? {
                Ok(Some(lock)) => return Some(lock),
                Ok(None) => clock.sleep(LOCK_PAUSE).await,
                Err(_) => return None,
            }
        }
    }

    /// Reads what a request needs. `None` when that panicked.
    async fn prepare(&self, wall: SystemTime, unwritten: Option<Unwritten>) -> Option<Prepared> {
        let (app, way) = (Arc::clone(&self.app), Arc::clone(&self.way));
        self.on_disk(move || {
            let (proof, unwritten) = match &app.credential {
                Credential::SignedIn(path) => signed_in::take(&app, path, unwritten),
                _ => (Proof::read(&app, wall), None),
            };
            Prepared { proof, http: way.client(), unwritten }
        })
        .await
    }

    /// Does something on a thread, one thing at a time: what it is on may hang. `None` when it panicked.
    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn = Arc::clone(&self.reading).lock_owned().await;
        let done = spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.ok()
    }

    async fn ask(
        &self,
        grant: Grant,
        used: Option<Use>,
        http: &Client,
        claims: Option<&Claims>,
        wall: SystemTime,
        left: impl Fn() -> Duration,
    ) -> TokenReply {
        let claims = challenge::request(claims, self.app.cae);
        let form = grant.form(self.app.client_id, &scope(&self.app), claims.as_deref());
        let writing = if used.is_some() { WRITE_TIME.min(left() / WRITE_PART) } else { Duration::ZERO };
        let time = left().saturating_sub(writing);
        let answer = match post::post((&self.way, http), &self.app.token_endpoint(), form, time).await {
            Ok(answer) => answer,
            Err(none) => return TokenReply { unwritten: used.and_then(|used| used.unwritten), ..none },
        };
        let asked = Asked {
            credential: &self.app.credential,
            app: &self.app.name,
            id: answer.id,
            secret: grant.secret(),
            wall,
        };
        let reply = reply::read(answer.status, &answer.headers, &answer.body, &asked);
        let Some(used) = used else { return reply };
        let unwritten = match reply.token.is_some().then(|| signed_in::next(&answer.body)).flatten() {
            Some(next) => self.keep(used, &grant, next, left()).await,
            None => used.unwritten,
        };
        TokenReply { unwritten, ..reply }
    }

    /// Puts the next refresh token in the place of the one on disk; returns it where that does not succeed. The lock is held
    /// as long as the write goes on, however long that takes.
    async fn keep(&self, used: Use, grant: &Grant, next: SecretString, time: Duration) -> Option<Unwritten> {
        let Use { path, fingerprint, lock, unwritten } = used;
        let on_disk = unwritten.map_or_else(|| grant.secret().into(), |unwritten| unwritten.on_disk);
        let unwritten = Unwritten { fingerprint, on_disk, next, why: "the disk hangs".into() };
        let writing = unwritten.clone();
        let written = self.on_disk(move || {
            let _lock = lock;
            writing.write(&path)
        });
        let why = match timeout(time, written).await {
            Ok(Some(Ok(()))) => return None,
            Ok(Some(Err(error))) => error.to_string().into(),
            Ok(None) => "writing it panicked".into(),
            Err(_) => return Some(unwritten),
        };
        Some(Unwritten { why, ..unwritten })
    }

    /// Tries once more to write a next refresh token. It blocks on the disk.
    ///
    /// # Errors
    /// When it still cannot be written.
    pub fn write(&self, unwritten: &Unwritten) -> io::Result<()> {
        match &self.app.credential {
            Credential::SignedIn(path) => unwritten.write(path),
            _ => Ok(()),
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

    /// Whether each token is asked for with a refresh token, which gives way to another: an answer that nobody hears may
    /// cost the sign-in.
    pub(in crate::daemon) fn redeems(&self) -> bool {
        matches!(self.app.credential, Credential::SignedIn(_))
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

/// Somebody else uses the refresh token, or the disk hangs.
fn busy() -> TokenReply {
    let detail = TokenDetail {
        error: "no credential".to_owned(),
        class: Class::Again,
        meaning: "another process uses the sign-in, and does not come to an end".to_owned(),
        advice: "see whether `presenced doctor` runs beside the daemon, or the disk of the state directory hangs; it is \
                 tried again"
            .to_owned(),
        ..TokenDetail::default()
    };
    reply::failed(None, detail)
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
