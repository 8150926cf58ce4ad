//! What proves who asks, read anew for each request.

use std::time::SystemTime;

use super::failure::Class;
use super::grant::Grant;
use super::{
    Fingerprint, TokenDetail, TokenReply, certificate, client_secret, federated_token, reply, signed_in,
};
use crate::config::settings::{App, Credential};

/// What to ask the authority with, and what tells it from another.
pub(super) struct Proof {
    pub(super) grant: Grant,
    pub(super) fingerprint: Fingerprint,
}

/// Why there is nothing to ask with. Its texts hold no secret.
#[derive(Debug)]
pub(super) struct NoProof {
    pub(super) class: Class,
    pub(super) meaning: String,
    pub(super) advice: String,
}

impl Proof {
    /// Reads what an app's credential names; `wall` is the time that is written into an assertion. It blocks on the disk,
    /// and on a signature.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(app: &App, wall: SystemTime) -> Result<Self, NoProof> {
        match &app.credential {
            Credential::SecretFile(_) | Credential::SecretEnv(_) => client_secret::read(&app.credential),
            Credential::Certificate(files) => certificate::read(app, files, wall),
            Credential::FederatedTokenFile(path) => federated_token::read(path),
            Credential::SignedIn(path) => signed_in::read(app, path),
            Credential::ManagedIdentity(_) => Err(NoProof {
                class: Class::Fix,
                meaning: "a managed identity is the host's to prove".to_owned(),
                advice: "this is a bug: please report it".to_owned(),
            }),
        }
    }
}

impl NoProof {
    /// What comes of a request that cannot be made.
    pub(super) fn reply(self) -> TokenReply {
        let detail = TokenDetail {
            error: "no credential".to_owned(),
            class: self.class,
            meaning: self.meaning,
            advice: self.advice,
            ..TokenDetail::default()
        };
        reply::failed(None, detail)
    }
}
