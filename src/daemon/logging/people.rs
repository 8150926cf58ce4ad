//! How people appear in the log.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config::settings::{LogUsers, Settings};
use crate::keeper::id::UserId;

/// Renders users as `[log] users` says.
#[derive(Clone, Debug)]
pub struct People {
    settings: Arc<Settings>,
}

impl People {
    /// As these settings say.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self { settings }
    }

    /// This user: the object id, the name (the id where there is none), or twelve digits of the id's SHA-256.
    #[must_use]
    pub fn show(&self, user: UserId) -> String {
        Self::shown(&self.settings, user)
    }

    /// The same, as these settings say.
    #[must_use]
    pub fn shown(settings: &Settings, user: UserId) -> String {
        let name = || settings.people.get(&user)?.name.as_deref();
        match settings.log_users {
            LogUsers::Id => user.to_string(),
            LogUsers::Name => name().map_or_else(|| user.to_string(), str::to_owned),
            LogUsers::Hash => hashed(user.as_bytes()),
        }
    }
}

/// Twelve digits of the SHA-256 of what somebody is called by.
#[must_use]
pub fn hashed(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
