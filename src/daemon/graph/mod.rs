//! The calls that presenced makes to Microsoft Graph, each with exactly one answer.
//!
//! This module never decides what to do about an answer, never repeats a request of its own accord, never follows a
//! redirect and never logs: the keeper decides, the driver logs.

mod batch;
mod classify;
mod client;
mod directory;
mod fault;
mod read;
#[cfg(test)]
mod tests;
mod wire;

pub use batch::read_batch;
pub use classify::classify;
pub use client::GraphClient;
pub use directory::{DirectoryPage, DirectoryRead, NextPage};
pub use fault::Fault;
pub(super) use fault::{InNameOf, advice, stranger};
pub use read::Seen;

use uuid::Uuid;

use super::token::Claims;
use crate::keeper::id::UserId;
use crate::keeper::{Call, Outcome};

/// A call on the session of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// The user in the path.
    pub user: UserId,
    /// What to ask.
    pub call: Call,
}

/// What came of several calls that went out together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Together {
    /// Each has its answer, in the order of the calls.
    Answered(Vec<Answer>),
    /// An answer came that answers none of them: each is lost, and may have been done. It is no use to ask in this way
    /// again soon.
    Unread(Vec<Answer>),
    /// A batch is not taken here, whatever is in it: none of the calls was done, and each is to be made by itself.
    NotTaken(Box<Detail>),
}

/// What came of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What the keeper is told.
    pub outcome: Outcome,
    /// What the log is told: there unless the call was granted.
    pub detail: Option<Box<Detail>>,
    /// What Graph wants a token to have, where it rejected this one for the lack of it.
    pub claims: Option<Claims>,
    /// Graph's `request-id` of a call that was granted.
    pub request_id: Option<Uuid>,
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
