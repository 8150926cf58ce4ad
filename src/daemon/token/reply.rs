//! What an answer of the token endpoint says: a pure function.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap};
use serde::Deserialize;
use serde_json::Value;

use super::credential::Place;
use super::failure::{self, Class, Way};
use super::{AccessToken, TokenDetail, TokenReply};
use crate::config::settings::Credential;
use crate::daemon::network::answer::{retry_after, shown, shown_up_to};
use crate::keeper::TokenAnswer;

/// Shortest and longest lifetime that is believed. Entra gives 60 to 90 minutes, by policy 10 minutes to a day, and up
/// to 28 hours under continuous access evaluation. A token that ends at once would only be fetched in a loop; Graph
/// says so itself when it is no good.
const LIFETIMES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(48 * 3600));
/// The lifetime of a token that has none written on it.
const LIFETIME_UNKNOWN: Duration = Duration::from_secs(300);

/// Longest that the authority's own words are shown, in characters: an issuer or a subject has room in it.
const MAX_SAID: usize = 400;

/// Later than every date that HTTP can write: the year 10000.
const END_OF_DATES: Duration = Duration::from_secs(253_402_300_800);

/// What was asked of the token endpoint, for the words about the answer.
pub struct Asked<'a> {
    /// What it was asked with.
    pub credential: &'a Credential,
    /// The app's name in the config.
    pub app: &'a str,
    /// The `client-request-id` that was sent.
    pub id: String,
    /// What no text may hold.
    pub secret: &'a str,
    /// The wall time when it was sent: an `expires_on` counts from it, where the answer has no `Date`.
    pub wall: SystemTime,
}

/// An answer that holds a token. Numbers come as numbers or as strings.
#[derive(Deserialize)]
struct Granted<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    #[serde(borrow)]
    token_type: Option<Cow<'a, str>>,
    expires_in: Option<Value>,
    /// Seconds since 1970. App Service tells this alone.
    expires_on: Option<Value>,
    refresh_in: Option<Value>,
}

/// Reads an answer of the token endpoint. Lifetimes count from the send of the request, which is before the authority
/// began to count.
pub fn read(status: u16, headers: &HeaderMap, body: &[u8], asked: &Asked<'_>) -> TokenReply {
    if (200..300).contains(&status) {
        return granted(headers, body, asked.wall).unwrap_or_else(|| no_token(status, headers, asked));
    }
    let Ok(Value::Object(said)) = serde_json::from_slice::<Value>(body) else {
        return no_token(status, headers, asked);
    };
    let text = |key: &str| said.get(key).and_then(Value::as_str).and_then(|text| shown(text, asked.secret));
    let Some(error) = text("error") else { return no_token(status, headers, asked) };
    let aadsts = number(&said);
    let way = Way::of(asked.credential);
    let words = said.get("error_description").and_then(Value::as_str).unwrap_or_default();
    let known = aadsts
        .and_then(|number| failure::by_number(number, way, words))
        .unwrap_or_else(|| failure::by_name(&error, status, way));
    let own = own_words(words, asked.secret);
    let (meaning, own) = if known.meaning.is_empty() {
        (own.unwrap_or_else(|| format!("status {status}, and no word about it")), None)
    } else {
        (known.meaning.to_owned(), own)
    };
    let detail = TokenDetail {
        error,
        class: known.class,
        aadsts,
        meaning,
        said: own,
        advice: asked.advice(known.advice),
        correlation_id: Some(text("correlation_id").unwrap_or_else(|| asked.id.clone())),
    };
    // What is known to take minutes is not hurried by a server that asks for less.
    failed(wait(headers).max(known.wait), detail)
}

impl Asked<'_> {
    /// An advice with what stands for its places.
    fn advice(&self, advice: &str) -> String {
        advice.replace("{credential}", &Place(self.credential).to_string()).replace("{app}", self.app)
    }
}

/// The reply for a request that failed.
pub(super) fn failed(retry_after: Option<Duration>, detail: TokenDetail) -> TokenReply {
    TokenReply {
        answer: TokenAnswer::Failed { failure: detail.class.failure(), retry_after },
        token: None,
        detail: Some(Box::new(detail)),
        unwritten: None,
    }
}

fn granted(headers: &HeaderMap, body: &[u8], wall: SystemTime) -> Option<TokenReply> {
    let granted: Granted<'_> = serde_json::from_slice(body).ok()?;
    if !granted.token_type.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return None;
    }
    let token = AccessToken::bearer(&granted.access_token)?;
    let (shortest, longest) = LIFETIMES;
    // Both of one clock, where the answer is dated.
    let now = date(headers).unwrap_or(wall);
    let until =
        |end: Duration| end.saturating_sub(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let lifetime = granted.expires_in.as_ref().and_then(seconds);
    let lifetime = lifetime.or_else(|| granted.expires_on.as_ref().and_then(seconds).map(until));
    let lifetime = lifetime.unwrap_or(LIFETIME_UNKNOWN);
    let lifetime = lifetime.clamp(shortest, longest);
    let refresh_in = granted.refresh_in.as_ref().and_then(seconds).map(|time| time.clamp(shortest, lifetime));
    Some(TokenReply {
        answer: TokenAnswer::Granted { lifetime, refresh_in },
        token: Some(token),
        detail: None,
        unwritten: None,
    })
}

/// Nothing that the authority would say: something else answered, or the answer was cut off. Nobody has said no.
fn no_token(status: u16, headers: &HeaderMap, asked: &Asked<'_>) -> TokenReply {
    let busy = status == 429 || status >= 500;
    let (meaning, advice) = if busy {
        ("the login authority has a passing trouble", "nothing to do: it is tried again")
    } else {
        (
            "the answer is not one that Entra ID gives",
            "check login in the app's cloud, and look for a proxy, a portal or a gateway on the way",
        )
    };
    let detail = TokenDetail {
        error: format!("status {status}"),
        class: Class::Again,
        meaning: meaning.to_owned(),
        advice: advice.to_owned(),
        correlation_id: Some(asked.id.clone()),
        ..TokenDetail::default()
    };
    failed(wait(headers), detail)
}

/// `Retry-After`. A date counts from the answer's own `Date`, so that no clock is needed; without that it lies in the
/// past.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers, date(headers).unwrap_or(SystemTime::UNIX_EPOCH + END_OF_DATES))
}

/// When the answer was made, by the clock of who made it.
fn date(headers: &HeaderMap) -> Option<SystemTime> {
    headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
}

/// The authority's own words, on one line: without the number before them and the ids behind them, which have places of
/// their own. `None` when nothing is left, or when they hold the secret.
fn own_words(description: &str, secret: &str) -> Option<String> {
    // Of the whole first: what is cut off must not hide that a secret is in it.
    shown_up_to(MAX_SAID, description, secret)?;
    let words = description.split("Trace ID:").next().unwrap_or_default();
    let numbered = words.strip_prefix("AADSTS").and_then(|rest| rest.split_once(": "));
    let words =
        numbered.filter(|(number, _)| number.parse::<u32>().is_ok()).map_or(words, |(_, words)| words);
    shown_up_to(MAX_SAID, words, secret)
}

/// The number of the error: in `error_codes`, or in the description as `AADSTS7000215: ...`.
fn number(said: &serde_json::Map<String, Value>) -> Option<u32> {
    let listed = said.get("error_codes").and_then(|codes| match &codes[0] {
        Value::String(text) => text.parse().ok(),
        code => code.as_u64().and_then(|code| u32::try_from(code).ok()),
    });
    listed.or_else(|| {
        let text = said.get("error_description")?.as_str()?;
        let (_, after) = text.split_once("AADSTS")?;
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        after[..end].parse().ok()
    })
}

/// A number of seconds, as a number or as a string. What is negative is zero, what is endless is the longest.
pub(super) fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if seconds.is_nan() {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}
