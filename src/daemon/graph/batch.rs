//! What the answer to a `$batch` says of each of its calls.
//!
//! Source: the page "Combine multiple HTTP requests using JSON batching": items may be answered in any order, each with
//! its own status, headers and body, and the batch as a whole with 200 whatever is in it.

use std::borrow::Cow;
use std::time::SystemTime;

use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::classify::by_status;
use super::client::{Asked, Heard, claims};
use super::fault::InNameOf;
use super::{Answer, Ask, Together};
use crate::daemon::token::AccessToken;
use crate::keeper::{Loss, Outcome};

/// The most calls in a batch, by the same page.
pub(super) const MOST: usize = 20;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    responses: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    status: u16,
    #[serde(borrow, default)]
    headers: Option<&'a RawValue>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

/// Reads an answer to a batch of `asks` that was sent with this token at this wall time: a pure function.
///
/// # Panics
/// With more asks than a batch may have: 20.
#[must_use]
pub fn read_batch(
    asks: &[Ask],
    (status, headers, body): (u16, HeaderMap, &[u8]),
    token: &AccessToken,
    wall: SystemTime,
) -> Together {
    assert!(asks.len() <= MOST, "{} calls in a batch", asks.len());
    let asked = Asked { id: Uuid::nil(), token, wall, name: InNameOf::App };
    read(asks, &Heard { status, headers, body: body.into() }, &asked)
}

/// Reads the answer to a batch of `asks`.
///
/// An answer to the batch as a whole is one to each of its calls, but for a refusal: that is about batches, not about
/// any user. A call is lost if it is answered not at all, twice, or in a form that cannot be read.
pub(super) fn read(asks: &[Ask], heard: &Heard<'_>, asked: &Asked<'_>) -> Together {
    match by_status(heard.status, &heard.headers, asked.wall) {
        Outcome::Granted => items(asks, heard, asked),
        outcome @ Outcome::Refused(_) => Together::NotTaken(asked.detail(outcome, heard)),
        outcome if heard.status == 501 => Together::NotTaken(asked.detail(outcome, heard)),
        outcome => {
            let detail = Some(asked.detail(outcome, heard));
            let claims = claims(outcome, &heard.headers);
            Together::Answered(vec![Answer { outcome, detail, claims, request_id: None }; asks.len()])
        }
    }
}

fn items(asks: &[Ask], heard: &Heard<'_>, asked: &Asked<'_>) -> Together {
    let body: Option<Body<'_>> = serde_json::from_slice(&heard.body).ok();
    let mut answers = vec![None; asks.len()];
    let mut times = [0_usize; MOST];
    for item in body.iter().flat_map(|body| &body.responses) {
        let Ok(item) = serde_json::from_str::<Item<'_>>(item.get()) else { continue };
        let Some(place) = place(&item.id).filter(|&place| place < asks.len()) else { continue };
        times[place] += 1;
        answers[place] = (times[place] == 1).then(|| item.answer(asks[place], heard, asked));
    }
    let is_read = answers.iter().any(Option::is_some);
    let lost =
        || asked.lost(Loss::Transport, "the answer to a batch of requests has none to this one".to_owned());
    let answers = answers.into_iter().map(|answer| answer.unwrap_or_else(lost)).collect();
    if is_read { Together::Answered(answers) } else { Together::Unread(answers) }
}

/// The place of the call that has this id; the ids are ours, so there is one way to write each.
fn place(id: &str) -> Option<usize> {
    let place = id.parse().ok().filter(|&place| place < MOST)?;
    (id.len() == if place < 10 { 1 } else { 2 }).then_some(place)
}

impl Item<'_> {
    /// By the same rules as an answer that comes alone.
    fn answer(&self, ask: Ask, whole: &Heard<'_>, asked: &Asked<'_>) -> Answer {
        let headers = if (200..=299).contains(&self.status) {
            // They would be read for nothing.
            HeaderMap::new()
        } else {
            self.headers(whole)
        };
        let body = self.body.map_or(&b""[..], |body| body.get().as_bytes());
        asked.answer(ask.call, &Heard { status: self.status, headers, body: body.into() })
    }

    /// Its own headers, and the date of the whole: a `Retry-After` may count from it.
    fn headers(&self, whole: &Heard<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(date) = whole.headers.get(DATE) {
            headers.insert(DATE, date.clone());
        }
        let own: Option<serde_json::Map<String, serde_json::Value>> =
            self.headers.and_then(|own| serde_json::from_str(own.get()).ok());
        for (name, value) in own.iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(text)) {
                headers.insert(name, value);
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::keeper::id::Guid;
    use crate::keeper::{Call, Expiration, PresenceState, Refusal, Wish};

    const SET: Call = Call::Set(Wish { state: PresenceState::Away, expiration: Expiration::MIN });

    fn reads(calls: &[Call], status: u16, headers: &[(&'static str, &'static str)], body: &[u8]) -> Together {
        let asks: Vec<_> = calls.iter().map(|&call| Ask { user: Guid::from_u128(1), call }).collect();
        let headers = headers.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let token = AccessToken::bearer("ey.canary-token.sig").unwrap();
        let together = read_batch(&asks, (status, headers.collect(), body), &token, SystemTime::UNIX_EPOCH);
        assert!(!format!("{together:?}").contains("canary"), "the token shows: {together:?}");
        together
    }

    /// The answers to so many sets, when the batch is answered with these items.
    fn answers(calls: &[Call], items: &Value) -> Vec<Answer> {
        let body = json!({ "responses": items }).to_string();
        match reads(calls, 200, &[], body.as_bytes()) {
            Together::Answered(answers) => answers,
            other => panic!("{other:?}"),
        }
    }

    fn outcomes(answers: &[Answer]) -> Vec<Outcome> {
        for answer in answers {
            assert_eq!(answer.detail.is_none(), answer.outcome == Outcome::Granted, "{answer:?}");
        }
        answers.iter().map(|answer| answer.outcome).collect()
    }

    const LOST: Outcome = Outcome::Lost { loss: Loss::Transport, retry_after: None };

    #[test]
    fn each_item_has_its_own_outcome_whatever_their_order() {
        let error = |code: &str| json!({"error": {"code": code, "message": "Words.", "innerError": {"request-id": format!("r-{code}")}}});
        let items = json!([
            {"id": "6", "status": 404, "body": error("NotFound")},
            {"id": "5", "status": 404, "body": error("NoSession")},
            {"id": "1", "status": 429, "headers": {"retry-AFTER": "2.5"}, "body": error("TooManyRequests")},
            {"id": "3", "status": 503, "headers": {"Retry-After": "Thu, 01 Jan 1970 00:00:11 GMT"}, "body": error("Busy")},
            {"id": "0", "status": 200, "headers": {"Content-Type": "application/json"}, "body": null},
            {"id": "2", "status": 424, "headers": {"Retry-After": 7}},
            {"id": "7", "status": 424},
            {"id": "4", "status": 401},
        ]);
        let mut calls = [SET; 8];
        calls[5] = Call::Clear;
        let answers = answers(&calls, &items);
        let wait = |millis| Some(Duration::from_millis(millis));
        let expected = [
            Outcome::Granted,
            Outcome::Throttled { retry_after: wait(2_500) },
            Outcome::Throttled { retry_after: wait(7_000) },
            Outcome::Lost { loss: Loss::Server(503), retry_after: wait(11_000) },
            Outcome::TokenRejected,
            Outcome::Granted,
            Outcome::Refused(Refusal::NotFound),
            Outcome::Lost { loss: Loss::Server(424), retry_after: None },
        ];
        assert_eq!(outcomes(&answers), expected);
        let detail = answers[6].detail.as_ref().unwrap();
        assert_eq!((detail.status, detail.code.as_deref()), (Some(404), Some("NotFound")));
        assert_eq!(detail.request_id.as_deref(), Some("r-NotFound"));
        assert_eq!(detail.client_request_id, Uuid::nil().to_string());
    }

    #[test]
    fn claims_that_graph_asks_for_come_with_the_answer_that_rejects_the_token() {
        const HEADER: &str = "Bearer error=\"insufficient_claims\", claims=\"eyJhIjoxfQ==\"";
        let headers = json!({ "WWW-Authenticate": HEADER });
        let items = json!([
            {"id": "0", "status": 401, "headers": headers},
            {"id": "1", "status": 403, "headers": headers},
            {"id": "2", "status": 401},
            {"id": "3", "status": 500, "headers": headers},
            {"id": "4", "status": 200, "headers": headers},
        ]);
        let asked: Vec<bool> =
            answers(&[SET; 5], &items).iter().map(|answer| answer.claims.is_some()).collect();
        assert_eq!(asked, [true, true, false, false, false]);
        let Together::Answered(whole) = reads(&[SET; 2], 401, &[("www-authenticate", HEADER)], b"") else {
            panic!()
        };
        assert!(whole.iter().all(|answer| answer.claims.is_some()));
    }

    #[test]
    fn a_date_in_an_item_counts_from_the_date_of_the_whole() {
        let items =
            json!([{"id": "0", "status": 429, "headers": {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}}]);
        let body = json!({ "responses": items }).to_string();
        let together = reads(&[SET], 200, &[("date", "Sun, 06 Nov 1994 08:49:30 GMT")], body.as_bytes());
        let Together::Answered(answers) = together else { panic!("{together:?}") };
        assert_eq!(outcomes(&answers), [Outcome::Throttled { retry_after: Some(Duration::from_secs(7)) }]);
    }

    #[test]
    fn what_is_missing_doubled_or_malformed_is_lost_and_nothing_else() {
        let items = json!([
            {"id": "1", "status": 200},
            {"id": "2", "status": 200},
            {"id": "2", "status": 429},
            {"id": "3", "status": "200"},
            {"id": 4, "status": 200},
            {"id": "05", "status": 200},
            {"id": "+6", "status": 200},
            {"id": "7"},
            {"id": "8", "status": 200},
            {"id": "20", "status": 200},
            {"id": "99", "status": 200},
            {"id": "", "status": 200},
            {"status": 200},
            null, 7, [], "0",
        ]);
        let answers = answers(&[SET; 8], &items);
        let mut expected = [LOST; 8];
        expected[1] = Outcome::Granted;
        assert_eq!(outcomes(&answers), expected);
    }

    #[test]
    fn a_body_without_any_answer_loses_all_and_says_that_batches_are_no_use() {
        let granted =
            json!({"responses": [{"id": "0", "status": 200}, {"id": "1", "status": 200}]}).to_string();
        let bodies: [&[u8]; 9] = [
            b"",
            b"null",
            b"[]",
            b"{}",
            b"{\"responses\":null}",
            b"{\"responses\":[]}",
            b"<html>Welcome</html>",
            b"\xff",
            &granted.as_bytes()[..granted.len() - 1],
        ];
        for body in bodies {
            let together = reads(&[SET; 2], 200, &[], body);
            let Together::Unread(answers) = together else { panic!("{together:?}") };
            assert_eq!(outcomes(&answers), [LOST; 2]);
        }
    }

    #[test]
    fn an_answer_to_the_whole_is_one_to_each_call_unless_it_refuses_batches() {
        let wait = Some(Duration::from_secs(9));
        let after = [("retry-after", "9")];
        for (status, expected) in [
            (401, Outcome::TokenRejected),
            (429, Outcome::Throttled { retry_after: wait }),
            (424, Outcome::Throttled { retry_after: wait }),
            (503, Outcome::Lost { loss: Loss::Server(503), retry_after: wait }),
            (500, Outcome::Lost { loss: Loss::Server(500), retry_after: wait }),
            (302, Outcome::Lost { loss: Loss::Server(302), retry_after: wait }),
        ] {
            let together = reads(&[SET, Call::Clear], status, &after, b"");
            let Together::Answered(answers) = together else { panic!("{status}: {together:?}") };
            assert_eq!(outcomes(&answers), [expected; 2], "{status}");
        }
        for status in [400, 403, 404, 405, 413, 415, 501] {
            let together = reads(&[Call::Clear; 2], status, &[], br#"{"error":{"code":"No"}}"#);
            let Together::NotTaken(detail) = together else { panic!("{status}: {together:?}") };
            assert_eq!((detail.status, detail.code.as_deref()), (Some(status), Some("No")));
        }
    }
}
