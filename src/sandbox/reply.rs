//! What the service answers, before it is written as HTTP.

use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::authority::identity::{Host, IdentityProblem};
use super::authority::problem::TokenProblem;
use super::authority::sign_in::Codes;
use super::faults::{BodyForm, Trouble};
use super::presence::Shown;
use super::problem::Problem;
use super::quota::RetryAfter;
use super::token::TokenId;
use crate::keeper::time::MonoTime;

/// The answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The number of the request, counted from 1 over all that came in.
    pub number: u64,
    /// HTTP status. It says nothing unless the delivery is [`Delivery::Answered`].
    pub status: u16,
    /// What the body says.
    pub content: Content,
    /// The Retry-After header.
    pub retry_after: Option<RetryAfter>,
    /// Whether the answer reaches the client.
    pub delivery: Delivery,
    /// How long after its arrival the answer goes out.
    pub latency: Duration,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It arrives, with a body of this form.
    Answered(BodyForm),
    /// The connection is closed instead.
    Cut,
    /// There is none until the script changes.
    Hung,
}

/// What the body of an answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Nothing.
    Nothing,
    /// An error.
    Problem(Box<Problem>),
    /// One presence.
    Presence(Box<Presence>),
    /// Several, in the order asked for.
    Presences(Vec<Presence>),
    /// One object of the directory.
    Entity {
        /// What follows `$metadata#`.
        context: String,
        /// Its properties.
        fields: Map<String, Value>,
        /// Resource units that it cost.
        units: u32,
    },
    /// A page of members.
    Page(Box<Page>),
}

/// A page of a group's members.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// What follows `$metadata#`.
    pub context: String,
    /// How many members there are in all.
    pub count: Option<usize>,
    /// Path and query of the next page.
    pub next: Option<String>,
    /// The root before them, by script; absent: that of the request.
    pub root: Option<String>,
    /// The members' properties.
    pub entries: Vec<Map<String, Value>>,
    /// Resource units that it cost.
    pub units: u32,
}

/// One user's presence as a reader gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// The user.
    pub user: Uuid,
    /// The aggregate.
    pub shown: Shown,
    /// The moment it is true of; `sequenceNumber` is made of it.
    pub at: MonoTime,
}

impl Reply {
    /// An answer that is an error.
    #[must_use]
    pub fn problem(number: u64, latency: Duration, form: BodyForm, problem: Problem) -> Self {
        Self {
            number,
            status: problem.status,
            content: Content::Problem(Box::new(problem)),
            retry_after: None,
            delivery: Delivery::Answered(form),
            latency,
        }
    }

    /// An answer by script. `form` is what the script leaves open.
    #[must_use]
    pub fn trouble(number: u64, latency: Duration, form: BodyForm, trouble: &Trouble) -> Self {
        let Trouble { status, retry_after, body, hang, reset } = trouble;
        Self {
            content: if *status < 400 {
                Content::Nothing
            } else {
                Content::Problem(Box::new(Problem::of_status(*status)))
            },
            status: *status,
            retry_after: retry_after.clone().map(RetryAfter::Text),
            delivery: match (*hang, *reset) {
                (true, _) => Delivery::Hung,
                (false, true) => Delivery::Cut,
                (false, false) => Delivery::Answered(body.unwrap_or(form)),
            },
            number,
            latency,
        }
    }

    /// Whether the client is told that all went well.
    #[must_use]
    pub const fn is_granted(&self) -> bool {
        matches!(self.delivery, Delivery::Answered(_)) && self.status < 300
    }
}

/// The answer to one token request.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenReply {
    /// The number of the token request, counted from 1.
    pub number: u64,
    /// HTTP status. It says nothing unless the delivery is [`Delivery::Answered`].
    pub status: u16,
    /// What the body says.
    pub content: TokenContent,
    /// The Retry-After header.
    pub retry_after: Option<RetryAfter>,
    /// Whether the answer reaches the client.
    pub delivery: Delivery,
    /// How long after its arrival the answer goes out.
    pub latency: Duration,
    /// To be given back to the service once the answer is out, or given up.
    pub ticket: Option<TokenTicket>,
}

/// One token request that is under way, for the count of those in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTicket(pub(super) u32);

/// What the body of a token answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenContent {
    /// A token.
    Granted(Box<Granted>),
    /// An error of the endpoint.
    Problem(TokenProblem),
    /// The codes of a sign-in that has begun.
    Codes(Codes),
    /// An error of what stands before it, which knows no such shape.
    Gateway,
}

/// A token and what comes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The access token, as the in-process door names it.
    pub token: TokenId,
    /// Its text.
    pub access_token: String,
    /// Its life in seconds.
    pub life_s: u64,
    /// After how many seconds it should be renewed.
    pub refresh_in_s: Option<u64>,
    /// The permissions of a user's token, with their resource.
    pub scope: Option<String>,
    /// A refresh token.
    pub refresh_token: Option<String>,
    /// An id token.
    pub id_token: Option<String>,
}

impl TokenReply {
    /// The token it grants.
    #[must_use]
    pub fn token(&self) -> Option<TokenId> {
        match &self.content {
            TokenContent::Granted(granted) => Some(granted.token),
            TokenContent::Problem(_) | TokenContent::Codes(_) | TokenContent::Gateway => None,
        }
    }
}

/// The answer to a request for a token of a managed identity.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentityReply {
    /// The number of the token request.
    pub number: u64,
    /// HTTP status.
    pub status: u16,
    /// What the body says.
    pub content: IdentityContent,
    /// The Retry-After header.
    pub retry_after: Option<RetryAfter>,
    /// How long after its arrival the answer goes out.
    pub latency: Duration,
}

/// What the body of such an answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum IdentityContent {
    /// A token.
    Granted(Box<IdentityToken>),
    /// An error.
    Problem(IdentityProblem),
    /// Nothing but the status, by script.
    Status,
}

/// A token of a managed identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityToken {
    /// Who hands it out.
    pub host: Host,
    /// Its text.
    pub access_token: String,
    /// The identity's client id.
    pub client: Uuid,
    /// The service it is good for.
    pub resource: String,
    /// From when on it is good, in seconds since 1970.
    pub not_before: u64,
    /// Its life in seconds.
    pub life_s: u64,
}
