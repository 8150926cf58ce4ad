//! Troubles of the authority by script.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::problem::TokenProblem;
use crate::sandbox::faults::BodyForm;

/// What the token endpoint does instead of its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenTrouble {
    /// HTTP status. With `error`, 200 and the default are taken as the usual one of that error.
    pub status: u16,
    /// The `error` of the answer, `invalid_client` for instance; absent: a gateway's error without one.
    pub error: Option<String>,
    /// The number after AADSTS in it; absent: the usual one of `error`.
    pub code: Option<u32>,
    /// The Retry-After header, as it goes out.
    pub retry_after: Option<String>,
    /// The form of the body.
    pub body: BodyForm,
    /// No answer at all, until the trouble is taken away.
    pub hang: bool,
    /// The connection is closed instead of an answer.
    pub reset: bool,
    /// Only this tenant has the trouble.
    pub tenant: Option<Uuid>,
    /// Only this app has it.
    pub app: Option<Uuid>,
}

impl Default for TokenTrouble {
    fn default() -> Self {
        Self {
            status: 503,
            error: None,
            code: None,
            retry_after: None,
            body: BodyForm::default(),
            hang: false,
            reset: false,
            tenant: None,
            app: None,
        }
    }
}

impl TokenTrouble {
    /// Whether this app in this tenant has it.
    #[must_use]
    pub fn is_for(&self, tenant: Uuid, client: Uuid) -> bool {
        self.tenant.is_none_or(|only| only == tenant) && self.app.is_none_or(|only| only == client)
    }

    /// The problem it answers with, where it is the endpoint itself that answers.
    #[must_use]
    pub fn problem(&self) -> Option<TokenProblem> {
        let status = match self.status {
            200..400 => 400,
            503 => match self.error.as_deref() {
                Some("invalid_client") => 401,
                Some("temporarily_unavailable") => 503,
                _ => 400,
            },
            status => status,
        };
        self.error.as_deref().map(|error| TokenProblem::named(status, error, self.code))
    }
}

/// What the managed identity endpoints do instead of their work, for some requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityTrouble {
    /// HTTP status.
    pub status: u16,
    /// For how many requests from now on.
    #[serde(default = "one")]
    pub requests: u32,
    /// The Retry-After header, as it goes out.
    #[serde(default)]
    pub retry_after: Option<String>,
}

fn one() -> u32 {
    1
}
