//! Where access tokens come from: one file, or folder, a way in.
//!
//! This module never decides when to fetch, never repeats a fetch, never logs, and never shows a secret or a token.

mod certificate;
mod challenge;
mod client_secret;
mod credential;
pub mod device_code;
pub mod expiry;
mod failure;
mod federated_token;
mod grant;
mod managed_identity;
mod post;
mod proof;
mod reply;
mod signed_in;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;

use reqwest::header::HeaderValue;

pub use challenge::Claims;
pub(super) use failure::CLOCK as CLOCK_ADVICE;
pub use failure::Class;
pub use managed_identity::is_on_loopback as host_is_on_loopback;
pub use reply::{Asked, read};
pub use signed_in::{SignIn, Unwritten, prepare_place, store};
pub use source::TokenSource;

use crate::keeper::TokenAnswer;

/// An access token, ready to be sent. It prints nothing.
#[derive(Clone)]
pub struct AccessToken(HeaderValue);

impl AccessToken {
    /// `Bearer ` before the token itself.
    const SCHEME: &str = "Bearer ";

    /// A bearer token; `None` when it is empty or holds what no HTTP header can.
    #[must_use]
    pub fn bearer(token: &str) -> Option<Self> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut header = HeaderValue::try_from(format!("{}{token}", Self::SCHEME)).ok()?;
        header.set_sensitive(true);
        Some(Self(header))
    }

    /// The value of the `Authorization` header, marked as sensitive: it prints nothing either, and HTTP/2 keeps it
    /// out of its compression tables.
    #[must_use]
    pub fn authorization(&self) -> &HeaderValue {
        &self.0
    }

    /// The token itself, to look for it in texts that must not hold it.
    pub(super) fn text(&self) -> &str {
        self.0.to_str().ok().and_then(|text| text.strip_prefix(Self::SCHEME)).unwrap_or_default()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

/// What came of a token request.
#[derive(Debug)]
pub struct TokenReply {
    /// What the keeper is told.
    pub answer: TokenAnswer,
    /// The token: there when the answer is [`TokenAnswer::Granted`], and only then.
    pub token: Option<AccessToken>,
    /// What the log is told: there unless a token came.
    pub detail: Option<Box<TokenDetail>>,
    /// The next refresh token, where it is not on disk: to be handed over at the next fetch, or it is lost.
    pub unwritten: Option<Unwritten>,
}

/// What is known of a token request that failed. Its texts are short, free of control characters, and hold no secret.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenDetail {
    /// The authority's error, such as `invalid_client`, or what went wrong on the way.
    pub error: String,
    /// What is to be done about it, in one word.
    pub class: Class,
    /// The number in `AADSTS...`, where there is one.
    pub aadsts: Option<u32>,
    /// What it means, in plain words; those of the authority where nothing is known of the error.
    pub meaning: String,
    /// The authority's own words, where the meaning is not those already; at most 400 characters.
    pub said: Option<String>,
    /// What to do about it.
    pub advice: String,
    /// The authority's `correlation_id`: Microsoft's support asks for it. Where it gave none, the
    /// `client-request-id` that was sent, which it goes by; `None` when nothing was sent.
    pub correlation_id: Option<String>,
}

impl TokenDetail {
    /// Of an app that the ledger knows and no config does: there is nothing to ask with.
    #[must_use]
    pub fn no_app() -> Self {
        Self {
            error: "no credential".to_owned(),
            class: Class::Fix,
            meaning: "the app is in no config that is at hand".to_owned(),
            advice: "nothing to do: its sessions run out by themselves; to have them cleared, put the app back into \
                     the config, without users, and reload"
                .to_owned(),
            ..Self::default()
        }
    }
}

/// Tells two states of a credential apart, and nothing else about them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}
