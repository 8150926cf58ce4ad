//! What an answer of Graph means to the keeper: one pure function.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, WWW_AUTHENTICATE};

use crate::daemon::network::answer::retry_after;
use crate::keeper::{Call, Loss, Outcome, Refusal};

/// What became of a call, by the status and the headers of its answer. `wall` is the wall time now: a `Retry-After`
/// that is a date counts from it where the answer has no `Date` of its own.
pub fn classify(call: Call, status: u16, headers: &HeaderMap, wall: SystemTime) -> Outcome {
    match status {
        // clearPresence: "no session" is what was wanted.
        404 if call == Call::Clear => Outcome::Granted,
        _ => by_status(status, headers, wall),
    }
}

/// The same for any request, whatever it asks for.
///
/// The status alone decides, as Microsoft's page on Graph errors asks for; a body never does. Statuses that are about
/// the way or the moment rather than about this request are lost ones:
///
/// - 3xx: a redirect is never followed, because the token would go to another host. Graph sends none; what does is a
///   portal or a gateway, and no user should be parked for that.
/// - 407 from a proxy, 408, 409, 412, 421, 423, 424, 425: nothing in the request is wrong, and it is idempotent. 424
///   with a `Retry-After` is how some copies of the throttling page have a batch answered that was throttled.
/// - 5xx, 509 (bandwidth) included, and what is no HTTP status at all.
pub(super) fn by_status(status: u16, headers: &HeaderMap, wall: SystemTime) -> Outcome {
    match status {
        200..=299 => Outcome::Granted,
        424 if wait(headers, wall).is_some() => Outcome::Throttled { retry_after: wait(headers, wall) },
        429 => Outcome::Throttled { retry_after: wait(headers, wall) },
        401 => Outcome::TokenRejected,
        // A claims challenge asks for another token, whichever status it comes with.
        403 if challenged(headers) => Outcome::TokenRejected,
        400 => Outcome::Refused(Refusal::BadRequest),
        403 => Outcome::Refused(Refusal::Forbidden),
        404 => Outcome::Refused(Refusal::NotFound),
        407 | 408 | 409 | 412 | 421 | 423 | 424 | 425 => lost(status, headers, wall),
        402..=499 => Outcome::Refused(Refusal::Other(status)),
        _ => lost(status, headers, wall),
    }
}

fn lost(status: u16, headers: &HeaderMap, wall: SystemTime) -> Outcome {
    Outcome::Lost { loss: Loss::Server(status), retry_after: wait(headers, wall) }
}

/// `Retry-After`. A date counts from the answer's own `Date`: this machine's clock may be wrong.
fn wait(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    retry_after(headers, date.unwrap_or(wall))
}

/// Whether a `WWW-Authenticate` header says that the token lacks claims (continuous access evaluation).
fn challenged(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.contains("insufficient_claims"))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderValue, RETRY_AFTER};

    use super::*;
    use crate::keeper::{Expiration, PresenceState, Wish};

    const SET: Call = Call::Set(Wish { state: PresenceState::Available, expiration: Expiration::MAX });

    fn outcome(call: Call, status: u16, headers: &[(reqwest::header::HeaderName, &str)]) -> Outcome {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        classify(call, status, &map, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn every_status_has_its_outcome() {
        use Refusal::{BadRequest, Forbidden, NotFound, Other};
        let mut seen = 0;
        for status in 100..1_000 {
            let expected = match status {
                200..=299 => Outcome::Granted,
                400 => Outcome::Refused(BadRequest),
                401 => Outcome::TokenRejected,
                403 => Outcome::Refused(Forbidden),
                404 => Outcome::Refused(NotFound),
                429 => Outcome::Throttled { retry_after: None },
                407..=409 | 412 | 421 | 423..=425 => lost(status),
                402..=499 => Outcome::Refused(Other(status)),
                _ => lost(status),
            };
            assert_eq!(outcome(SET, status, &[]), expected, "{status}");
            let cleared = if status == 404 { Outcome::Granted } else { expected };
            assert_eq!(outcome(Call::Clear, status, &[]), cleared, "clear, {status}");
            seen += 1;
        }
        assert_eq!(seen, 900);

        fn lost(status: u16) -> Outcome {
            Outcome::Lost { loss: Loss::Server(status), retry_after: None }
        }
    }

    #[test]
    fn a_throttled_or_failing_service_says_when_to_come_back() {
        let wait = Some(Duration::from_millis(2_128));
        for status in [424, 429] {
            let expected = Outcome::Throttled { retry_after: wait };
            assert_eq!(outcome(SET, status, &[(RETRY_AFTER, "2.128")]), expected, "{status}");
        }
        for status in [302, 408, 409, 423, 425, 500, 503, 504, 509] {
            let expected = Outcome::Lost { loss: Loss::Server(status), retry_after: wait };
            assert_eq!(outcome(SET, status, &[(RETRY_AFTER, "2.128")]), expected, "{status}");
        }
        let absurd = outcome(SET, 429, &[(RETRY_AFTER, "1e400")]);
        assert_eq!(absurd, Outcome::Throttled { retry_after: None });
        let date = outcome(SET, 429, &[(RETRY_AFTER, "Thu, 01 Jan 1970 00:00:11 GMT")]);
        assert_eq!(date, Outcome::Throttled { retry_after: Some(Duration::from_secs(11)) });
    }

    #[test]
    fn a_date_counts_from_the_answers_own() {
        let headers =
            [(DATE, "Sun, 06 Nov 1994 08:49:30 GMT"), (RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT")];
        let wait = Some(Duration::from_secs(7));
        assert_eq!(outcome(SET, 429, &headers), Outcome::Throttled { retry_after: wait });
    }

    #[test]
    fn a_claims_challenge_is_about_the_token_whatever_its_status() {
        let challenge = (
            WWW_AUTHENTICATE,
            r#"PoP nonce="ey==", Bearer realm="", error="insufficient_claims", claims="eyJhIjp7fX0=""#,
        );
        assert_eq!(outcome(SET, 401, std::slice::from_ref(&challenge)), Outcome::TokenRejected);
        assert_eq!(outcome(SET, 403, std::slice::from_ref(&challenge)), Outcome::TokenRejected);
        let plain = [(WWW_AUTHENTICATE, "Bearer realm=\"\""), challenge];
        assert_eq!(outcome(SET, 403, &plain), Outcome::TokenRejected, "the second header counts too");
        assert_eq!(outcome(SET, 403, &plain[..1]), Outcome::Refused(Refusal::Forbidden));
    }
}
