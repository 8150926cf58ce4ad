//! Where what proves an app is: from what is written to what the daemon opens.

use std::path::PathBuf;

use super::apps::Around;
use crate::config::credential::Way;
use crate::config::settings::{CertificateFiles, Credential};
use crate::config::source::Placed;
use crate::config::words::APP_PLACEHOLDER;

/// Where in the state directory the refresh tokens of signed-in users are kept, one file an app.
const LOGINS: &str = "login";

impl Way {
    /// The same with the app's name put in.
    pub(super) fn with_app(&self, app: &str) -> Self {
        let put_in = |text: &Placed<Box<str>>| Placed {
            value: text.value.replace(APP_PLACEHOLDER, app).into(),
            at: text.at,
        };
        match self {
            Self::SecretFile(path) => Self::SecretFile(put_in(path)),
            Self::SecretEnv(name) => Self::SecretEnv(put_in(name)),
            Self::Certificate { certificate, key } => {
                Self::Certificate { certificate: put_in(certificate), key: key.as_ref().map(put_in) }
            }
            Self::FederatedTokenFile(path) => Self::FederatedTokenFile(put_in(path)),
            Self::ManagedIdentity(identity) => Self::ManagedIdentity(*identity),
            Self::SignedIn(at) => Self::SignedIn(*at),
        }
    }

    /// What the daemon opens, for the app whose name was put in.
    pub(super) fn credential(&self, app: &str, around: &Around<'_>) -> Credential {
        let find = |path: &Placed<Box<str>>| -> PathBuf {
            let directory = around.sources.get(path.at.file).directory();
            match around.environment {
                Some(environment) => environment.find(directory, &path.value),
                None => directory.join(path.value.as_ref()),
            }
        };
        match self {
            Self::SecretFile(path) => Credential::SecretFile(find(path)),
            Self::SecretEnv(name) => Credential::SecretEnv(name.value.to_string()),
            Self::Certificate { certificate, key } => Credential::Certificate(CertificateFiles {
                certificate: find(certificate),
                key: key.as_ref().map(find),
            }),
            Self::FederatedTokenFile(path) => Credential::FederatedTokenFile(find(path)),
            Self::ManagedIdentity(identity) => Credential::ManagedIdentity(identity.value),
            // No other files of two apps could have one name: app names are file names.
            Self::SignedIn(_) => {
                Credential::SignedIn(around.state_dir.join(LOGINS).join(format!("{app}.json")))
            }
        }
    }
}
