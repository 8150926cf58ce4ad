//! The calls that presenced makes to Microsoft Graph, each with exactly one answer.
//!
//! This module never decides what to do about an answer, never repeats a request of its own accord, never follows a
//! redirect and never logs: the keeper decides, the driver logs.

use std::time::{Duration, SystemTime};

use super::network::NetworkError;
use super::token::AccessToken;
use crate::config::settings::{App, Network};
use crate::keeper::id::UserId;
use crate::keeper::{Call, Loss, Outcome};

/// One lane's way to Graph: its connections, its URLs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct GraphClient;

/// What came of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What the keeper is told.
    pub outcome: Outcome,
    /// What the log is told: there unless the call was granted.
    pub detail: Option<Box<Detail>>,
}

/// What is known of a call that was not granted. Its texts are short, free of control characters, and hold no token.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Detail {
    /// The HTTP status; `None` when no answer came.
    pub status: Option<u16>,
    /// Graph's error code, such as `TooManyRequests`.
    pub code: Option<String>,
    /// Graph's words, at most 200 characters.
    pub message: Option<String>,
    /// Graph's `request-id`: Microsoft's support asks for it.
    pub request_id: Option<String>,
    /// The `client-request-id` that was sent.
    pub client_request_id: String,
    /// What went wrong on the way and what to do, where it was not Graph that said no.
    pub cause: Option<String>,
}

impl GraphClient {
    /// A way to the Graph of this app, with connections of its own. It opens none yet.
    ///
    /// # Errors
    ///
    /// When `[network]` cannot be done: a CA file that cannot be read, a proxy that cannot be used.
    pub fn new(_app: &App, _network: &Network) -> Result<Self, NetworkError> {
        Ok(Self)
    }

    /// Asks Graph, and returns the answer within `timeout` of real time, whatever the service does.
    ///
    /// `wall` is the wall time now; a `Retry-After` that is a date counts from it.
    pub async fn call(
        &self,
        _user: UserId,
        _call: Call,
        _token: &AccessToken,
        _timeout: Duration,
        _wall: SystemTime,
    ) -> Answer {
        Answer { outcome: Outcome::Lost { loss: Loss::Transport, retry_after: None }, detail: None }
    }
}
