//! The way in by a token of another identity provider, which it renews in a file: Kubernetes, SPIFFE, a CI system.
//!
//! Source: Microsoft's pages on workload identity federation. The file's content is the assertion, as it is.

use std::path::Path;

use super::credential::{Place, fingerprint};
use super::failure::Class;
use super::grant::Grant;
use super::proof::{NoProof, Proof};
use crate::config::secret::{self, SecretError};
use crate::config::settings::Credential;

/// Reads the token.
pub(super) fn read(path: &Path) -> Result<Proof, NoProof> {
    let token = secret::read_token_file(path).map_err(|error| NoProof {
        class: Class::Fix,
        meaning: match error {
            SecretError::NotAToken(_) => {
                format!("{error} ({})", Place(&Credential::FederatedTokenFile(path.to_owned())))
            }
            _ => error.to_string(),
        },
        advice: "see that whoever writes it does, and let the daemon's user read it; it is tried again as soon as the \
                 file changes"
            .to_owned(),
    })?;
    Ok(Proof { fingerprint: fingerprint(&token), grant: Grant::Assertion(token) })
}
