//! The way in by client secret, in a file or in an environment variable.

use super::credential::{Place, fingerprint};
use super::failure::Class;
use super::grant::Grant;
use super::proof::{NoProof, Proof};
use crate::config::secret::{self, SecretError};
use crate::config::settings::Credential;

/// Reads the secret.
pub(super) fn read(credential: &Credential) -> Result<Proof, NoProof> {
    let secret = secret::read(credential).map_err(|error| none(credential, &error))?;
    Ok(Proof { fingerprint: fingerprint(&secret), grant: Grant::Secret(secret) })
}

fn none(credential: &Credential, error: &SecretError) -> NoProof {
    let advice = match credential {
        Credential::SecretEnv(_) => "set that variable to the secret's value, and start the daemon again",
        _ => {
            "put the secret's value on one line into that file, and let the daemon's user read it; it is tried again as \
             soon as the file changes"
        }
    };
    let meaning = match error {
        SecretError::Empty | SecretError::TooLarge | SecretError::NotOneWord => {
            format!("{error} ({})", Place(credential))
        }
        // The others name it, or say why they do not: its name may be the secret itself.
        _ => error.to_string(),
    };
    NoProof { class: Class::Fix, meaning, advice: advice.to_owned() }
}
