//! The presence calls and how their bodies are read.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use uuid::Uuid;

use super::counts::CallKind;
use super::presence::{
    DEFAULT_EXPIRATION, DurationProblem, LONGEST_EXPIRATION, PreferredState, SHORTEST_EXPIRATION,
    SessionState, parse_duration,
};
use super::problem::Problem;
use super::route::{Verb, object_id};
use super::token::TokenId;

/// The most ids one read takes. Source: Microsoft's page "cloudCommunications: getPresencesByUserId".
pub const MOST_IDS: usize = 650;

/// One presence request, as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// The token it carries.
    pub bearer: Bearer,
    /// What it asks for.
    pub call: Call,
}

/// The token of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// There is none.
    Missing,
    /// It is none of ours.
    Unknown,
    /// This one, good or not.
    Token(TokenId),
}

/// What a request asks for. What is wrong with a body is carried along, because the token is looked at first.
#[derive(Clone, Debug)]
pub enum Call {
    /// One user's presence. `None`: the path does not name the user by object id.
    User(Option<Uuid>, UserCall),
    /// `getPresencesByUserId`.
    Presences(Result<Vec<Uuid>, Problem>),
}

/// What is asked for one user.
#[derive(Clone, Debug)]
pub enum UserCall {
    /// Read the presence.
    Get,
    /// `setPresence`.
    Set(Result<Set, Problem>),
    /// `clearPresence` of the session with this id, if it is one.
    Clear(Result<Option<Uuid>, Problem>),
    /// `setUserPreferredPresence`.
    SetPreferred(Result<(PreferredState, Duration), Problem>),
    /// `clearUserPreferredPresence`.
    ClearPreferred(Result<(), Problem>),
}

/// A readable body of setPresence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// `sessionId`, where it is a GUID.
    pub session: Option<Uuid>,
    /// The pair.
    pub state: SessionState,
    /// `expirationDuration`, or its default.
    pub expiration: Duration,
}

impl Call {
    /// Which call it is.
    #[must_use]
    pub const fn kind(&self) -> CallKind {
        match self {
            Self::User(_, UserCall::Get) => CallKind::GetPresence,
            Self::User(_, UserCall::Set(_)) => CallKind::SetPresence,
            Self::User(_, UserCall::Clear(_)) => CallKind::ClearPresence,
            Self::User(_, UserCall::SetPreferred(_)) => CallKind::SetPreferred,
            Self::User(_, UserCall::ClearPreferred(_)) => CallKind::ClearPreferred,
            Self::Presences(_) => CallKind::GetPresences,
        }
    }

    /// The user of the path.
    #[must_use]
    pub const fn user(&self) -> Option<Uuid> {
        match self {
            Self::User(user, _) => *user,
            Self::Presences(_) => None,
        }
    }

    /// A call on one user's presence with the given body.
    #[must_use]
    pub fn on_user(user: Option<Uuid>, verb: Verb, body: &[u8]) -> Self {
        let call = match verb {
            Verb::Get => UserCall::Get,
            Verb::Set => UserCall::Set(Set::read(body)),
            Verb::Clear => UserCall::Clear(read_clear(body)),
            Verb::SetPreferred => UserCall::SetPreferred(read_preferred(body)),
            Verb::ClearPreferred => UserCall::ClearPreferred(read_nothing(body)),
        };
        Self::User(user, call)
    }

    /// A read of several presences with the given body.
    #[must_use]
    pub fn on_presences(body: &[u8]) -> Self {
        Self::Presences(read_ids(body))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SetBody<'a> {
    #[serde(borrow, default)]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    availability: Cow<'a, str>,
    #[serde(borrow)]
    activity: Cow<'a, str>,
    #[serde(borrow, default)]
    expiration_duration: Option<Cow<'a, str>>,
}

impl Set {
    /// Reads the body of setPresence.
    ///
    /// # Errors
    /// 400 for, in this order: unreadable JSON, an unsupported pair, no duration, one outside PT5M to PT4H.
    pub fn read(body: &[u8]) -> Result<Self, Problem> {
        let body: SetBody<'_> = read_json(body)?;
        let state = SessionState::from_pair(&body.availability, &body.activity)
            .ok_or_else(|| Problem::unsupported_pair(&body.availability, &body.activity))?;
        let expiration = match &body.expiration_duration {
            None => DEFAULT_EXPIRATION,
            Some(text) => read_duration(text)?,
        };
        Self { session: body.session_id.as_deref().and_then(object_id), state, expiration }.checked()
    }

    /// It, if its expiration is one.
    ///
    /// # Errors
    /// 400 for an expiration outside PT5M to PT4H.
    pub fn checked(self) -> Result<Self, Problem> {
        let granted = SHORTEST_EXPIRATION..=LONGEST_EXPIRATION;
        if granted.contains(&self.expiration) { Ok(self) } else { Err(Problem::expiration_out_of_range()) }
    }
}

fn read_clear(body: &[u8]) -> Result<Option<Uuid>, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct ClearBody<'a> {
        #[serde(borrow, default)]
        session_id: Option<Cow<'a, str>>,
    }
    let body: ClearBody<'_> = read_json(body)?;
    Ok(body.session_id.as_deref().and_then(object_id))
}

fn read_preferred(body: &[u8]) -> Result<(PreferredState, Duration), Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct PreferredBody<'a> {
        #[serde(borrow)]
        availability: Cow<'a, str>,
        #[serde(borrow)]
        activity: Cow<'a, str>,
        #[serde(borrow, default)]
        expiration_duration: Option<Cow<'a, str>>,
    }
    let body: PreferredBody<'_> = read_json(body)?;
    let state = PreferredState::from_pair(&body.availability, &body.activity)
        .ok_or_else(|| Problem::unsupported_pair(&body.availability, &body.activity))?;
    let expiration = match &body.expiration_duration {
        None => state.default_expiration(),
        Some(text) => read_duration(text)?,
    };
    Ok((state, expiration))
}

/// `clearUserPreferredPresence` wants an empty object; Microsoft's description lets the body be absent.
fn read_nothing(body: &[u8]) -> Result<(), Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    if body.is_empty() { Ok(()) } else { read_json::<Nothing>(body).map(|Nothing {}| ()) }
}

fn read_ids(body: &[u8]) -> Result<Vec<Uuid>, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ids<'a> {
        #[serde(borrow)]
        ids: Vec<Cow<'a, str>>,
    }
    let body: Ids<'_> = read_json(body)?;
    if body.ids.len() > MOST_IDS {
        return Err(Problem::too_many_ids());
    }
    let ids =
        body.ids.iter().map(|id| object_id(id).ok_or_else(|| Problem::unreadable("ids are object ids.")));
    ids.collect()
}

fn read_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    if !is_object(body) {
        return Err(Problem::unreadable("The body is no object."));
    }
    serde_json::from_slice(body).map_err(|error| Problem::unreadable(&error.to_string()))
}

/// Whether a text can be a JSON object. Serde would read a list as one, field by field.
pub(super) fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

/// What is an `Edm.Duration` and not above nothing cannot be in any range.
fn read_duration(text: &str) -> Result<Duration, Problem> {
    parse_duration(text).map_err(|problem| match problem {
        DurationProblem::Malformed => Problem::no_duration(text),
        DurationProblem::NotPositive => Problem::expiration_out_of_range(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "22553876-f5ab-4529-bffb-cfe50aa89f87";

    fn set(availability: &str, activity: &str, expiration: &str) -> Result<Set, Problem> {
        let body = format!(
            r#"{{"sessionId":"{APP}","availability":"{availability}","activity":"{activity}","expirationDuration":{expiration}}}"#
        );
        Set::read(body.as_bytes())
    }

    #[test]
    fn a_set_is_read_with_its_defaults() {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let expected =
            Set { session: APP.parse().ok(), state: SessionState::InACall, expiration: minutes(60) };
        assert_eq!(set("Busy", "InACall", r#""PT1H""#), Ok(expected));
        assert_eq!(set("Busy", "InACall", "null").unwrap().expiration, minutes(5));
        let bare = br#"{"availability":"Away","activity":"Away"}"#;
        assert_eq!(Set::read(bare).unwrap().session, None, "whether it must be there is decided later");
    }

    #[test]
    fn the_range_of_the_expiration_includes_both_ends() {
        for taken in ["PT5M", "PT300S", "PT4H", "PT240M", "P0DT4H"] {
            assert!(set("Away", "Away", &format!("\"{taken}\"")).is_ok(), "{taken}");
        }
        for refused in ["PT4M", "PT4M59.999S", "PT4H1S", "PT10H", "P1D", "PT0S", "-PT5M", "P"] {
            let problem = set("Away", "Away", &format!("\"{refused}\"")).unwrap_err();
            assert_eq!((problem.status, &*problem.code), (400, "InvalidArgument"), "{refused}");
            assert_eq!(problem.message, "The provided [ExpirationDuration] is out of range.");
        }
        let problem = set("Away", "Away", "\"banana\"").unwrap_err();
        assert_eq!((problem.status, &*problem.code), (400, "BadRequest"));
    }

    #[test]
    fn json_comes_before_the_pair_and_the_pair_before_the_duration() {
        let broken = Set::read(br#"{"availability":"Busy","activity":"Busy","expirationDuration":"PT4M""#);
        assert_eq!(broken.unwrap_err().code, "BadRequest");
        let problem = set("Busy", "Busy", "\"PT4M\"").unwrap_err();
        assert!(problem.message.contains("Busy / Busy"), "{}", problem.message);
        assert_eq!(set("Busy", "InACall", "17").unwrap_err().code, "BadRequest");
        assert!(Set::read(br#"{"activity":"Away"}"#).unwrap_err().message.contains("availability"));
        assert!(Set::read(b"[]").is_err() && Set::read(b"").is_err());
        let list = format!(r#"["{APP}","Away","Away","PT5M"]"#);
        assert_eq!(Set::read(list.as_bytes()).unwrap_err().code, "BadRequest", "the fields in their order");
    }

    #[test]
    fn a_read_takes_650_ids_and_no_more() {
        let body = |n: usize| format!(r#"{{"ids":[{}]}}"#, vec![format!("\"{APP}\""); n].join(","));
        assert_eq!(read_ids(body(650).as_bytes()).unwrap().len(), 650);
        assert_eq!(read_ids(body(651).as_bytes()), Err(Problem::too_many_ids()));
        assert_eq!(read_ids(br#"{"ids":["anna@contoso.com"]}"#).unwrap_err().status, 400);
    }

    #[test]
    fn the_body_of_clear_user_preferred_presence_is_nothing() {
        assert_eq!(read_nothing(b""), Ok(()));
        assert_eq!(read_nothing(b"{}"), Ok(()));
        assert!(read_nothing(b"{\"a\":1}").is_err());
        assert!(read_nothing(b"[]").is_err());
    }
}
