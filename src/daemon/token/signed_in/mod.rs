//! The way in as a user who signed in once, by `presenced login`: each refresh token is used for an access token and
//! for the next refresh token.
//!
//! Source: Microsoft's page on refresh tokens of the identity platform. They are good for 90 days from their last use.

mod file;

use std::io;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub use file::{SignIn, store};

use super::credential::fingerprint_of;
use super::failure::Class;
use super::grant::Grant;
use super::proof::{NoProof, Proof};
use crate::config::settings::App;

/// What is asked for: the permission, a refresh token, and an id token that says who signed in.
pub(super) fn scope(app: &App) -> String {
    format!("{}/Presence.ReadWrite offline_access openid", app.cloud.graph.as_str().trim_end_matches('/'))
}

/// Reads the sign-in. What tells it from another is not the refresh token, which changes at each use, but the sign-in
/// that it goes back to.
pub(super) fn read(app: &App, path: &Path) -> Result<Proof, NoProof> {
    let sign_in = SignIn::read(path).map_err(|error| none(app, &error))?;
    if (sign_in.tenant, sign_in.client) != (app.tenant, app.client_id) {
        let error = io::Error::other("it is for another tenant or app registration than the config has now");
        return Err(none(app, &error));
    }
    Ok(Proof {
        fingerprint: fingerprint_of(sign_in.id.as_bytes()),
        grant: Grant::Refresh(sign_in.refresh_token),
    })
}

fn none(app: &App, error: &io::Error) -> NoProof {
    let (meaning, advice) = match error.kind() {
        io::ErrorKind::NotFound => ("nobody has signed in for this app".to_owned(), "sign in"),
        _ => (format!("the sign-in that is kept cannot be used: {error}"), "sign in again"),
    };
    NoProof { class: Class::SignIn, meaning, advice: format!("{advice}: `presenced login {}`", app.name) }
}

/// The refresh token in an answer, if there is one.
pub(super) fn next(body: &[u8]) -> Option<SecretString> {
    #[derive(Deserialize)]
    struct Next {
        refresh_token: Option<SecretText>,
    }
    serde_json::from_slice::<Next>(body).ok()?.refresh_token.map(|token| token.0)
}

/// Puts `next` in the place of the refresh token that was `used`. One that has another by now, because somebody has
/// signed in meanwhile, is left alone, and so is one that is gone.
///
/// # Errors
/// When it cannot be written; what was there is whole then.
pub(super) fn rotate(path: &Path, used: &str, next: SecretString) -> io::Result<()> {
    file::update(path, |kept| {
        (kept.refresh_token.expose_secret() == used && next.expose_secret() != used)
            .then(|| SignIn { refresh_token: next, ..kept })
    })
}

/// A text that is secret from the moment on that it is read.
pub(super) struct SecretText(pub(super) SecretString);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}
