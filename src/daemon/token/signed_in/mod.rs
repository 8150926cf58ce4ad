//! The way in as a user who signed in once, by `presenced login`: each refresh token is used for an access token and
//! for the next refresh token.
//!
//! Source: Microsoft's page on refresh tokens of the identity platform. They are good for 90 days from their last use.

mod file;
mod unwritten;

use std::io;
use std::path::Path;

use rustix::io::Errno;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub(super) use file::{Lock, try_lock};
pub use file::{SignIn, prepare_place, store};
pub use unwritten::Unwritten;
pub(super) use unwritten::take;

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
    prove(app, SignIn::read(path).map_err(|error| unreadable(app, path, &error))?)
}

/// Whether a sign-in is the one that the config wants.
fn prove(app: &App, sign_in: SignIn) -> Result<Proof, NoProof> {
    let again = format!("sign in again: `presenced login {}`", app.name);
    if (sign_in.tenant, sign_in.client) != (app.tenant, app.client_id) {
        let meaning =
            "the sign-in that is kept is for another tenant or app registration than the config has now";
        return Err(NoProof { class: Class::SignIn, meaning: meaning.to_owned(), advice: again });
    }
    // Graph would answer 403 to every request. Who they are is not said: how people appear is the log's to say.
    if app.user.is_some_and(|user| user != sign_in.user) {
        return Err(NoProof {
            class: Class::Fix,
            meaning: "another user has signed in than the config has for this app".to_owned(),
            advice: format!(
                "sign in as the user of the config, `presenced login {}`, or put the one who has signed in into it: \
                 nobody else's presence can be set",
                app.name
            ),
        });
    }
    Ok(Proof {
        fingerprint: fingerprint_of(sign_in.id.as_bytes()),
        grant: Grant::Refresh(sign_in.refresh_token),
    })
}

/// Why a sign-in is not read, and what to do: only what is not there, or not as it was written, is mended by another one.
fn unreadable(app: &App, path: &Path, error: &io::Error) -> NoProof {
    let name = &app.name;
    // Another sign-in takes the place of a damaged file, and of a link.
    let replaceable = error.raw_os_error().is_none_or(|code| code == Errno::LOOP.raw_os_error());
    match error.kind() {
        io::ErrorKind::NotFound => NoProof {
            class: Class::SignIn,
            meaning: "nobody has signed in for this app".to_owned(),
            advice: format!("sign in: `presenced login {name}`"),
        },
        io::ErrorKind::PermissionDenied => NoProof {
            class: Class::Fix,
            meaning: format!("the sign-in in {} may not be read: {error}", path.display()),
            advice: "let that file and its directory belong to the daemon's user; to whom it belongs now, `ls -la` says; \
                     `presenced login` as root mends the directory, too"
                .to_owned(),
        },
        _ if replaceable => NoProof {
            class: Class::SignIn,
            meaning: format!("the sign-in that is kept cannot be used: {error}"),
            advice: format!("sign in again: `presenced login {name}`"),
        },
        _ => NoProof {
            class: Class::Again,
            meaning: format!("the sign-in in {} could not be read: {error}", path.display()),
            advice: "see what is wrong with the disk, or with this machine; it is tried again".to_owned(),
        },
    }
}

/// The refresh token in an answer, if there is one.
pub(super) fn next(body: &[u8]) -> Option<SecretString> {
    #[derive(Deserialize)]
    struct Next {
        refresh_token: Option<SecretText>,
    }
    serde_json::from_slice::<Next>(body).ok()?.refresh_token.map(|token| token.0)
}

/// Puts `next` in the place of the refresh token that was in the file. One that has another by now, because somebody has
/// signed in meanwhile, is left alone, and so is one that is gone.
///
/// # Errors
/// When it cannot be written; what was there is whole then.
pub(super) fn rotate(path: &Path, from: &str, next: SecretString) -> io::Result<()> {
    file::update(path, |kept| {
        (kept.refresh_token.expose_secret() == from && next.expose_secret() != from)
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

#[cfg(test)]
mod tests;
