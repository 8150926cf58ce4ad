//! Who asks, and what they may do.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use secrecy::ExposeSecret;

use super::Desk;
use super::people::Apps;
use super::problem::Problem;
use crate::config::secret;
use crate::config::settings::{Bearer, Credential, Rights};
use crate::daemon::overrides::Source;
use crate::daemon::serve::Peer;
use crate::daemon::signals::Origin;

/// Whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// For the history: `uid 1000 (pid 812)` or `token pbx`.
    pub(super) name: Arc<str>,
    /// The process, where it is one of this machine.
    pub(super) origin: Option<Origin>,
    may: Rights,
    /// The apps that it is about; `None`: all.
    pub(super) apps: Apps,
}

impl Caller {
    const ALL: Rights = Rights { read: true, overrides: true, operate: true };

    /// Whether they may look. A token of one app sees nothing of the others, so it may not look at the whole.
    pub(super) fn reads(&self, app: Option<&str>) -> Result<(), Problem> {
        self.allowed(self.may.read, "read", app)
    }

    /// Whether they may override under this source.
    pub(super) fn overrides(&self, source: &Source, app: &str) -> Result<(), Problem> {
        match source {
            Source::Operator => self.operates(Some(app)),
            Source::Other(_) => self.allowed(self.may.overrides, "override", Some(app)),
        }
    }

    /// Whether they may do all else.
    pub(super) fn operates(&self, app: Option<&str>) -> Result<(), Problem> {
        self.allowed(self.may.operate, "operate", app)
    }

    /// Whether there is anything at all that they may do so.
    pub(super) fn may_operate(&self) -> Result<(), Problem> {
        if self.may.operate { Ok(()) } else { self.operates(None) }
    }

    /// Whether there is anything at all that they may look at.
    pub(super) fn may_read(&self) -> Result<(), Problem> {
        if self.may.read { Ok(()) } else { self.reads(None) }
    }

    /// Whether there is anyone at all whose state they may override so.
    pub(super) fn may_override(&self, source: &Source) -> Result<(), Problem> {
        match source {
            Source::Operator => self.may_operate(),
            Source::Other(_) if self.may.overrides => Ok(()),
            Source::Other(_) => self.allowed(false, "override", None),
        }
    }

    fn allowed(&self, right: bool, word: &str, app: Option<&str>) -> Result<(), Problem> {
        if !right {
            return Err(Problem::forbidden(format!("{} has no right to `{word}`", self.name)));
        }
        let Some(apps) = &self.apps else { return Ok(()) };
        match app {
            Some(app) if apps.iter().any(|own| **own == *app) => Ok(()),
            Some(app) => Err(Problem::forbidden(format!("{} is not for app {app}", self.name))),
            None => Err(Problem::forbidden(format!("{} is for some apps only", self.name))),
        }
    }

    /// A process that the socket's mode has let in. Those of other users and groups can only have come by a descriptor that
    /// somebody handed to them, or a mode that was changed.
    fn process(pid: Option<i32>, uid: u32, gid: u32, has_group: bool) -> Result<Self, Problem> {
        let own_uid = rustix::process::geteuid().as_raw();
        let own_gid = rustix::process::getegid().as_raw();
        if uid != 0 && uid != own_uid && gid != own_gid && !has_group {
            return Err(Problem::forbidden(format!("uid {uid} may not use the control socket")));
        }
        let pid = pid.and_then(|pid| u32::try_from(pid).ok());
        let name = pid.map_or_else(|| format!("uid {uid}"), |pid| format!("uid {uid} (pid {pid})"));
        Ok(Self { name: name.into(), origin: pid.map(|pid| Origin { pid, uid }), may: Self::ALL, apps: None })
    }

    /// Whoever has this token.
    async fn with_token(text: String, tokens: Vec<Bearer>, desk: &Desk) -> Result<Self, Problem> {
        let permit = Arc::clone(&desk.checking).try_acquire_owned().map_err(|_| Problem::busy())?;
        // Files may hang.
        let found = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            find(&text, tokens)
        })
        .await;
        let token = found.map_err(|_| Problem::bug())?.ok_or_else(Problem::unauthorized)?;
        Ok(Self {
            name: format!("token {}", token.name).into(),
            origin: None,
            may: token.may,
            apps: token.apps,
        })
    }
}

/// The token with this text. All are compared, each in a time that does not depend on where they differ.
fn find(text: &str, tokens: Vec<Bearer>) -> Option<Bearer> {
    let mut found = None;
    for token in tokens {
        let Ok(secret) = secret::read(&Credential::SecretFile(token.file.clone())) else { continue };
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(
            secret.expose_secret().as_bytes(),
            text.as_bytes(),
        );
        if same.is_ok() && found.is_none() {
            found = Some(token);
        }
    }
    found
}

impl FromRequestParts<Desk> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().copied().ok_or_else(Problem::bug)?;
        let control = desk.figures().accepted.settings.control.clone();
        match peer {
            Peer::Process { pid, uid, gid } => Self::process(pid, uid, gid, control.group.is_some()),
            Peer::Address(_) => {
                let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
                let (scheme, token) =
                    header.and_then(|text| text.split_once(' ')).ok_or_else(Problem::unauthorized)?;
                if !scheme.eq_ignore_ascii_case("bearer") {
                    return Err(Problem::unauthorized());
                }
                Self::with_token(token.trim().to_owned(), control.tokens, desk).await
            }
        }
    }
}
