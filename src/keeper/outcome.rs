//! What became of a request, in the five ways that matter.

use std::fmt;
use std::time::Duration;

/// What became of a call to Graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Any 2xx; for a clear also 404, which says that there is nothing left to clear.
    Granted,
    /// 429. `retry_after` is the server's wish, `None` when it gave none that can be read.
    Throttled {
        /// How long to leave the lane alone; not clamped.
        retry_after: Option<Duration>,
    },
    /// 401: the token is no good, or not good for this.
    TokenRejected,
    /// The same request would be refused again.
    Refused(Refusal),
    /// It may have been done or not; sending it again does no harm, since setting is idempotent.
    Lost {
        /// How it was lost.
        loss: Loss,
        /// The server's wish, where it gave one (503).
        retry_after: Option<Duration>,
    },
}

/// Why Graph will not do it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Refusal {
    /// 400: it does not like the request.
    BadRequest,
    /// 401 for this user only, on a token that others are granted with.
    Unauthorized,
    /// 403: no right, no licence, or a guest.
    Forbidden,
    /// 404: no such user.
    NotFound,
    /// Another 4xx that no repetition mends.
    Other(u16),
}

impl Refusal {
    /// The HTTP status behind it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Other(status) => status,
        }
    }
}

/// How an answer was lost.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Loss {
    /// No answer by the request's deadline.
    Timeout,
    /// No connection, or it broke.
    Transport,
    /// 5xx, or another status that may pass.
    Server(u16),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timeout"),
            Self::Transport => f.write_str("connection"),
            Self::Server(status) => write!(f, "status {status}"),
        }
    }
}

/// What became of a token request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenAnswer {
    /// A token is at hand.
    Granted {
        /// From the send of the request to the end of the token (`expires_in`).
        lifetime: Duration,
        /// When the server would like it to be replaced (`refresh_in`), from the send as well.
        refresh_in: Option<Duration>,
    },
    /// None came.
    Failed {
        /// Whether time alone may mend it.
        failure: TokenFailure,
        /// The server's wish, where it gave one.
        retry_after: Option<Duration>,
    },
}

/// Whether a failed token request is worth repeating soon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenFailure {
    /// No answer, 429, 5xx or `temporarily_unavailable`: it may pass by itself.
    Unreachable,
    /// The authority says no (`invalid_client` and its like), or the credential cannot be read: someone has to mend
    /// it, and until then it is tried ever less often, up to 15 minutes apart.
    Rejected,
}
