//! The calls that presenced makes to Microsoft Graph, each with exactly one answer.
//!
//! This module never decides what to do about an answer, never repeats a request of its own accord, never follows a
//! redirect and never logs: the keeper decides, the driver logs.

mod classify;
mod client;
mod fault;
#[cfg(test)]
mod tests;
mod wire;

pub use classify::classify;
pub use client::GraphClient;
pub use fault::Fault;

use crate::keeper::Outcome;

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
    /// What to do where Graph said no and someone has to mend it, should it go on.
    pub advice: Option<&'static str>,
}
