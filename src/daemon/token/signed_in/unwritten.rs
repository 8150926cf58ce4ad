//! A next refresh token that could not be written: it is used all the same, and written as soon as that can be done.

use std::fmt;
use std::io;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::{SignIn, prove, read, rotate, unreadable};
use crate::config::settings::App;
use crate::daemon::token::Fingerprint;
use crate::daemon::token::grant::Grant;
use crate::daemon::token::proof::{NoProof, Proof};

/// The next refresh token of a sign-in, which is in memory alone. It prints nothing of it.
#[derive(Clone)]
pub struct Unwritten {
    /// Of the sign-in.
    pub(in crate::daemon::token) fingerprint: Fingerprint,
    /// What the file holds in its place: one that was used.
    pub(in crate::daemon::token) on_disk: SecretString,
    /// The one to be used next.
    pub(in crate::daemon::token) next: SecretString,
    /// Why it is not written.
    pub(in crate::daemon::token) why: Box<str>,
}

impl Unwritten {
    /// Why it is not written, in words without a secret.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Tries again to write it. A file that somebody else has written meanwhile is left alone.
    ///
    /// # Errors
    /// When it still cannot be.
    pub(in crate::daemon::token) fn write(&self, path: &Path) -> io::Result<()> {
        rotate(path, self.on_disk.expose_secret(), self.next.clone())
    }

    /// One of the credential that looks like this.
    #[cfg(test)]
    pub(in crate::daemon) fn of(fingerprint: Fingerprint) -> Self {
        Self { fingerprint, on_disk: "old".into(), next: "new".into(), why: "a test".into() }
    }

    fn grant(&self) -> Grant {
        Grant::Refresh(self.next.clone())
    }
}

impl fmt::Debug for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unwritten").field("why", &self.why).finish_non_exhaustive()
    }
}

/// What to ask with: what the file holds, or what could not be written there and is still the next. That is written first,
/// if it can be; what comes with the proof is what is unwritten after that.
pub(in crate::daemon::token) fn take(
    app: &App,
    path: &Path,
    unwritten: Option<Unwritten>,
) -> (Result<Proof, NoProof>, Option<Unwritten>) {
    let Some(unwritten) = unwritten else { return (read(app, path), None) };
    let (proof, written) = match SignIn::read(path) {
        Ok(kept) if kept.refresh_token.expose_secret() == unwritten.on_disk.expose_secret() => {
            let proof = prove(app, kept).map(|kept| Proof { grant: unwritten.grant(), ..kept });
            (proof, unwritten.write(path))
        }
        // Somebody has signed in, or asked, meanwhile.
        Ok(kept) => (prove(app, kept), Ok(())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Err(unreadable(app, path, &error)), Ok(())),
        // It cannot even be read, and need not be.
        Err(error) => {
            (Ok(Proof { grant: unwritten.grant(), fingerprint: unwritten.fingerprint }), Err(error))
        }
    };
    let left = written.err().map(|error| Unwritten { why: error.to_string().into(), ..unwritten });
    (proof, left)
}
