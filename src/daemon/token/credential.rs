//! What is said of a credential: where it is, and what tells it from another.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::Fingerprint;
use crate::config::settings::Credential;

/// What tells this secret from another.
pub(super) fn fingerprint(secret: &SecretString) -> Fingerprint {
    fingerprint_of(secret.expose_secret().as_bytes())
}

/// What tells these bytes from others.
pub(super) fn fingerprint_of(bytes: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(bytes).into())
}

/// Where the credential is, as the config says it.
pub(super) struct Place<'a>(pub(super) &'a Credential);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Credential::SecretFile(path) => write!(f, "secret_file {}", path.display()),
            Credential::SecretEnv(name) => write!(f, "secret_env {name}"),
            Credential::Certificate(files) => {
                write!(f, "certificate_file {}", files.certificate.display())?;
                files.key.as_ref().map_or(Ok(()), |key| write!(f, " with key_file {}", key.display()))
            }
            Credential::FederatedTokenFile(path) => write!(f, "federated_token_file {}", path.display()),
            Credential::ManagedIdentity(_) => f.write_str("managed_identity"),
            Credential::SignedIn(_) => f.write_str("the sign-in"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_changes_with_the_secret_alone() {
        let print = |secret: &str| fingerprint(&SecretString::from(secret));
        assert_eq!(print("one"), print("one"));
        assert_ne!(print("one"), print("other"));
        assert_eq!(format!("{:?}", print("one")), "Fingerprint(..)");
    }
}
