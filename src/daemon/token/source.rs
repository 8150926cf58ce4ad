//! One lane's source of tokens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request};
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use url::Url;
use uuid::Uuid;

use super::credential::{Place, fingerprint};
use super::reply::{self, Asked};
use super::{Fingerprint, TokenDetail, TokenReply, client_secret};
use crate::config::secret::{self, SecretError};
use crate::config::settings::{App, Credential, Network};
use crate::daemon::clock::Clock;
use crate::daemon::network::exchange::{self, CLIENT_REQUEST_ID, Exchange, Limits};
use crate::daemon::network::{Cause, NetworkError, Way};
use crate::keeper::TokenFailure;
use crate::keeper::id::ClientId;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Longest answer that is read, in bytes. A token has a few thousand.
const MAX_BODY: usize = 64 * 1024;

/// Where the tokens of a lane come from.
pub struct TokenSource {
    way: Arc<Way>,
    endpoint: String,
    client: ClientId,
    scope: String,
    credential: Credential,
    /// Held while the credential is read: where a disk hangs, one thread hangs with it, not one more at each fetch.
    reading: Arc<Mutex<()>>,
}

/// What a request is made with.
type Prepared = (Result<SecretString, SecretError>, Result<reqwest::Client, NetworkError>);

impl TokenSource {
    /// A source for this app. It reads no secret and opens no connection yet.
    ///
    /// # Errors
    ///
    /// When `[network]` cannot be done: a CA file that cannot be read, a proxy that cannot be used.
    pub fn new(app: &App, network: &Network) -> Result<Self, NetworkError> {
        Ok(Self {
            way: Arc::new(Way::to(&app.cloud.login, network)?),
            endpoint: app.token_endpoint(),
            client: app.client_id,
            scope: app.scope(),
            credential: app.credential.clone(),
            reading: Arc::default(),
        })
    }

    /// Asks for a token, and returns within `time` of real time, whatever the authority does, or the disk that the
    /// credential is on. The fingerprint is that of the credential that it was tried with.
    ///
    /// The credential is read anew each time, and so are the system's certificate authorities: a fetch is rare, and its
    /// connection is not kept.
    pub async fn fetch(&self, time: Duration) -> (Option<Fingerprint>, TokenReply) {
        let clock = Clock::real();
        let began = clock.now();
        let Ok(Some((secret, http))) = timeout(time, self.prepare()).await else {
            return (None, self.unread(time));
        };
        let secret = match secret {
            Ok(secret) => secret,
            Err(error) => return (None, self.no_secret(&error)),
        };
        let left = time.saturating_sub(clock.now().since(began));
        (Some(fingerprint(&secret)), self.ask(&secret, http, left).await)
    }

    /// Reads what a request needs, on a thread: what it is on may hang. `None` when that panicked.
    async fn prepare(&self) -> Option<Prepared> {
        let turn = Arc::clone(&self.reading).lock_owned().await;
        let (credential, way) = (self.credential.clone(), Arc::clone(&self.way));
        let read = spawn_blocking(move || {
            let _turn = turn;
            (secret::read(&credential), way.client())
        });
        read.await.ok()
    }

    async fn ask(
        &self,
        secret: &SecretString,
        http: Result<reqwest::Client, NetworkError>,
        time: Duration,
    ) -> TokenReply {
        let id = Uuid::new_v4();
        let (http, request) = match (http, self.request(secret, id)) {
            (Ok(http), Ok(request)) => (http, request),
            (Err(error), _) => return not_sent(&error),
            (_, Err(error)) => return not_sent(&error),
        };
        let limits = Limits { time, body_time: time, max_body: MAX_BODY };
        match exchange::run(&http, request, limits).await {
            Exchange::Answered { status, headers, mut body } => {
                let asked = Asked {
                    credential: Place(&self.credential).to_string(),
                    id: id.to_string(),
                    secret: secret.expose_secret(),
                };
                let reply = reply::read(status, &headers, &body, &asked);
                body.zeroize();
                reply
            }
            Exchange::Broken(error) => no_answer(self.way.explain(&error), id),
            Exchange::Silent => no_answer(self.way.silence(time), id),
        }
    }

    /// A fingerprint of the credential as it stands now; `None` when it cannot be read, or is none. Reads a small file.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        secret::read(&self.credential).ok().map(|secret| fingerprint(&secret))
    }

    fn request(&self, secret: &SecretString, id: Uuid) -> Result<Request, url::ParseError> {
        let mut request = Request::new(Method::POST, Url::parse(&self.endpoint)?);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, FORM);
        headers.insert(ACCEPT, JSON);
        headers.insert(CLIENT_REQUEST_ID, exchange::guid_header(id));
        *request.body_mut() = Some(client_secret::form(self.client, secret, &self.scope).into());
        Ok(request)
    }

    fn no_secret(&self, error: &SecretError) -> TokenReply {
        let advice = match &self.credential {
            Credential::SecretFile(_) => {
                "put the secret's value on one line into that file, and let the daemon's user read it; it is tried \
                 again as soon as the file changes"
            }
            Credential::SecretEnv(_) => "set that variable to the secret's value, and start the daemon again",
            _ => "",
        };
        let meaning = match error {
            // These name it, or say why they do not: its name may be the secret itself.
            SecretError::Missing(_)
            | SecretError::Forbidden(_)
            | SecretError::Unreadable { .. }
            | SecretError::NotSet(_) => error.to_string(),
            SecretError::Empty
            | SecretError::TooLarge
            | SecretError::NotOneWord
            | SecretError::NotAToken(_)
            | SecretError::NoSecret => {
                format!("{error} ({})", Place(&self.credential))
            }
        };
        let detail = TokenDetail {
            error: "no credential".to_owned(),
            meaning,
            advice: advice.to_owned(),
            ..TokenDetail::default()
        };
        reply::failed(TokenFailure::Rejected, None, detail)
    }

    /// Nobody has said no: the disk may come back.
    fn unread(&self, time: Duration) -> TokenReply {
        let detail = TokenDetail {
            error: "no credential".to_owned(),
            meaning: format!("the credential could not be read within {:.1} s", time.as_secs_f64()),
            advice: "see whether the file system that it is on hangs; it is tried again".to_owned(),
            ..TokenDetail::default()
        };
        reply::failed(TokenFailure::Unreachable, None, detail)
    }

    /// Keeps the credential from being read, as a disk does that hangs.
    #[cfg(test)]
    pub(super) async fn hang(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.reading).lock_owned().await
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

fn no_answer(cause: Cause, id: Uuid) -> TokenReply {
    let detail = TokenDetail {
        error: "no answer".to_owned(),
        aadsts: None,
        meaning: cause.what,
        advice: cause.advice,
        correlation_id: Some(id.to_string()),
    };
    reply::failed(TokenFailure::Unreachable, None, detail)
}

fn not_sent(error: &dyn std::error::Error) -> TokenReply {
    let chain: Vec<_> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    let detail = TokenDetail {
        error: "not sent".to_owned(),
        meaning: chain.join(": "),
        advice: "check [network] and the app's cloud".to_owned(),
        ..TokenDetail::default()
    };
    reply::failed(TokenFailure::Unreachable, None, detail)
}
