//! Signing in once as a user, on another device: `presenced login`.
//!
//! Sources: RFC 8628; Microsoft's page on the device authorization grant of the identity platform.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Client;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use super::failure::Class;
use super::grant::Grant;
use super::post::{self, Answer};
use super::reply::{self, Asked};
use super::signed_in::{SecretText, SignIn, scope};
use super::{TokenDetail, TokenReply};
use crate::config::settings::{App, Network};
use crate::daemon::clock::Clock;
use crate::daemon::network::answer::shown;
use crate::daemon::network::{NetworkError, Way};
use crate::keeper::MonoTime;
use crate::keeper::id::{ClientId, TenantId, UserId};

/// Longest time for one request, of real time.
const REQUEST_TIME: Duration = Duration::from_secs(20);
/// Between two questions, where the authority does not say (RFC 8628, section 3.2), and as long as we let it say.
const INTERVAL: Duration = Duration::from_secs(5);
const INTERVAL_LONGEST: Duration = Duration::from_secs(60);
/// How much longer after a `slow_down` (RFC 8628, section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// How long a code is good where the authority does not say, and as long as we let it say.
const CODE_LIFE: Duration = Duration::from_secs(900);
const CODE_LIFE_LONGEST: Duration = Duration::from_secs(3_600);

/// A sign-in that was begun: what the person has to do, and what is asked for with meanwhile.
pub struct DeviceCode {
    app: Arc<App>,
    way: Way,
    http: Client,
    code: Grant,
    interval: Duration,
    until: MonoTime,
    /// Where to go.
    pub url: String,
    /// What to enter there.
    pub user_code: String,
    /// How long it is good.
    pub good_for: Duration,
}

/// Why nobody has signed in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// `[network]` cannot be done.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The authority is not to be reached, or not at its best.
    #[error("{}; {}", .0.meaning, .0.advice)]
    Unreachable(Box<TokenDetail>),
    /// The authority says no.
    #[error("{}", refusal(.0))]
    Refused(Box<TokenDetail>),
    /// The person said no.
    #[error("the sign-in was declined")]
    Declined,
    /// Nobody signed in.
    #[error("nobody signed in while the code was good; try again")]
    Expired,
    /// What came is not a sign-in that can be kept.
    #[error("{0}")]
    Unfit(&'static str),
}

/// The authority's words, with what to give to Microsoft's support.
fn refusal(detail: &TokenDetail) -> String {
    let number = detail.aadsts.map(|number| format!("AADSTS{number}, ")).unwrap_or_default();
    let id = detail.correlation_id.as_deref().unwrap_or("none");
    let said = detail.said.as_ref().map(|said| format!(" (\"{said}\")")).unwrap_or_default();
    format!("{}{said}; {} ({number}{}, correlation id {id})", detail.meaning, detail.advice, detail.error)
}

#[derive(Deserialize)]
struct Begun {
    device_code: SecretText,
    user_code: String,
    verification_uri: String,
    /// Numbers, or strings that hold one.
    expires_in: Option<Value>,
    interval: Option<Value>,
}

#[derive(Deserialize)]
struct Granted {
    refresh_token: Option<SecretText>,
    id_token: Option<SecretText>,
}

/// What an id token says. It came over TLS from the authority, so that its signature says nothing more (OpenID Connect
/// Core, section 3.1.3.7).
#[derive(Deserialize)]
struct Identity {
    oid: String,
    tid: String,
    aud: String,
}

impl DeviceCode {
    /// Asks the authority for a code.
    ///
    /// # Errors
    /// When there is none.
    pub async fn begin(app: &App, network: &Network, clock: &Clock) -> Result<Self, LoginError> {
        let way = Way::to(&app.cloud.login, network)?;
        let http = way.client()?;
        let form = Serializer::new(String::new())
            .append_pair("client_id", &app.client_id.to_string())
            .append_pair("scope", &scope(app))
            .finish();
        let login = app.cloud.login.as_str().trim_end_matches('/');
        let url = format!("{login}/{}/oauth2/v2.0/devicecode", app.tenant);
        let asked_at = clock.now();
        let answer = post::post((&way, &http), &url, form, REQUEST_TIME).await.map_err(failed)?;
        let begun = (200..300).contains(&answer.status).then(|| serde_json::from_slice(&answer.body).ok());
        let Some(Some(begun)) = begun else { return Err(failed(words(app, &answer, ""))) };
        let Begun { device_code, user_code, verification_uri, expires_in, interval } = begun;
        let fit = |text: &str| shown(text, "").filter(|shown| shown == text);
        let (Some(url), Some(user_code)) = (fit(&verification_uri), fit(&user_code)) else {
            return Err(LoginError::Unfit("the login authority gave a code that cannot be shown"));
        };
        let seconds = |value: Option<Value>| value.as_ref().and_then(reply::seconds);
        let good_for = seconds(expires_in).unwrap_or(CODE_LIFE).min(CODE_LIFE_LONGEST);
        let interval = seconds(interval).unwrap_or(INTERVAL);
        Ok(Self {
            app: Arc::new(app.clone()),
            way,
            http,
            code: Grant::Device(device_code.0),
            interval: interval.clamp(Duration::from_secs(1), INTERVAL_LONGEST),
            until: asked_at + good_for,
            url,
            user_code,
            good_for,
        })
    }

    /// Waits until the person has signed in, or the code is no good any more.
    ///
    /// # Errors
    /// When nobody has signed in.
    pub async fn finish(mut self, clock: &Clock) -> Result<SignIn, LoginError> {
        loop {
            clock.sleep(self.interval).await;
            if clock.now() >= self.until {
                return Err(LoginError::Expired);
            }
            match self.ask().await {
                Polled::SignedIn(answer) => return self.sign_in(&answer),
                Polled::Pending => {}
                Polled::Slower => self.interval += SLOW_DOWN,
                // RFC 8628, section 3.5: after a trouble on the way, less often.
                Polled::Trouble => self.interval = (self.interval * 2).min(INTERVAL_LONGEST),
                Polled::Over(error) => return Err(error),
            }
        }
    }

    async fn ask(&self) -> Polled {
        let form = self.code.form(self.app.client_id, "", None);
        let url = self.app.token_endpoint();
        let Ok(answer) = post::post((&self.way, &self.http), &url, form, REQUEST_TIME).await else {
            return Polled::Trouble;
        };
        let reply = words(&self.app, &answer, self.code.secret());
        let Some(detail) = reply.detail else { return Polled::SignedIn(answer) };
        match detail.error.as_str() {
            "authorization_pending" => Polled::Pending,
            "slow_down" => Polled::Slower,
            // The one is Microsoft's, the other the RFC's.
            "authorization_declined" | "access_denied" => Polled::Over(LoginError::Declined),
            "expired_token" | "code_expired" => Polled::Over(LoginError::Expired),
            _ => match detail.class {
                Class::Again | Class::Slowly => Polled::Trouble,
                Class::Fix | Class::SignIn => Polled::Over(LoginError::Refused(detail)),
            },
        }
    }

    fn sign_in(&self, answer: &Answer) -> Result<SignIn, LoginError> {
        let granted: Granted = serde_json::from_slice(&answer.body)
            .map_err(|_| LoginError::Unfit("the login authority gave an answer that cannot be read"))?;
        let refresh_token = granted.refresh_token.ok_or(LoginError::Unfit(
            "the login authority gave no refresh token; the app needs the delegated permission offline_access",
        ))?;
        let id_token = granted.id_token.ok_or(LoginError::Unfit(
            "the login authority does not say who signed in: it gave no id token",
        ))?;
        let user = self.user(&id_token)?;
        Ok(SignIn {
            id: Uuid::new_v4(),
            tenant: self.app.tenant,
            client: self.app.client_id,
            user,
            refresh_token: refresh_token.0,
        })
    }

    /// Who signed in.
    fn user(&self, id_token: &SecretText) -> Result<UserId, LoginError> {
        let said = identity(id_token.0.expose_secret());
        let (user, tenant, client) =
            said.ok_or(LoginError::Unfit("the login authority gave an id token that cannot be read"))?;
        if client != self.app.client_id {
            return Err(LoginError::Unfit("the login authority gave an id token that is for another app"));
        }
        if tenant != self.app.tenant {
            return Err(LoginError::Unfit(
                "whoever signed in belongs to another tenant than the app's in the config",
            ));
        }
        Ok(user)
    }
}

enum Polled {
    SignedIn(Answer),
    Pending,
    Slower,
    Trouble,
    Over(LoginError),
}

fn identity(id_token: &str) -> Option<(UserId, TenantId, ClientId)> {
    let mut parts = id_token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims: Identity = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    Some((claims.oid.parse().ok()?, claims.tid.parse().ok()?, claims.aud.parse().ok()?))
}

/// What an answer says, in the words of a token request.
fn words(app: &App, answer: &Answer, secret: &str) -> TokenReply {
    let asked = Asked {
        credential: &app.credential,
        app: &app.name,
        id: answer.id.clone(),
        secret,
        wall: std::time::SystemTime::UNIX_EPOCH,
    };
    reply::read(answer.status, &answer.headers, &answer.body, &asked)
}

fn failed(reply: TokenReply) -> LoginError {
    match reply.detail {
        Some(detail) if matches!(detail.class, Class::Fix | Class::SignIn) => LoginError::Refused(detail),
        Some(detail) => LoginError::Unreachable(detail),
        None => LoginError::Unfit("the login authority gave a token where a code was asked for"),
    }
}

impl std::fmt::Debug for DeviceCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceCode").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
