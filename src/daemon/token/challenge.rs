//! What a `WWW-Authenticate` header asks for: claims for the next token (continuous access evaluation), or the file
//! that an Arc machine's agent wants to be shown.
//!
//! Sources: RFC 9110, section 11.6.1; the page "Claims challenges, claims requests and client capabilities".

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde_json::{Map, Value, json};

/// Longest header that is read, in bytes; what Entra sends has less than a thousand.
const MAX_HEADER: usize = 16 * 1024;
/// Longest claims that are passed on, in bytes of JSON.
const MAX_CLAIMS: usize = 4 * 1024;

/// Claims that a token must have, as Graph asked for them: a JSON object. The authority judges them, not we.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims(Box<str>);

impl Claims {
    /// The claims that an answer asks for: those of a `Bearer` challenge with `error="insufficient_claims"`. `None` when
    /// it asks for none, or in a way that cannot be read.
    #[must_use]
    pub fn asked_for(headers: &HeaderMap) -> Option<Self> {
        challenges(headers)
            .filter(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"))
            .filter(|challenge| challenge.get("error") == Some("insufficient_claims"))
            .find_map(|challenge| Self::decoded(challenge.get("claims")?))
    }

    /// From base64, in either alphabet, padded or not.
    fn decoded(text: &str) -> Option<Self> {
        const ENGINE: GeneralPurpose = GeneralPurpose::new(
            &STANDARD,
            GeneralPurposeConfig::new()
                .with_decode_padding_mode(DecodePaddingMode::Indifferent)
                .with_decode_allow_trailing_bits(true),
        );
        let json = ENGINE.decode(text.replace('-', "+").replace('_', "/")).ok()?;
        if json.len() > MAX_CLAIMS {
            return None;
        }
        let object: Map<String, Value> = serde_json::from_slice(&json).ok()?;
        Some(Self(Value::Object(object).to_string().into()))
    }

    fn object(&self) -> Map<String, Value> {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

/// The `claims` of a token request: those that were asked for, and with `cae` that this client takes challenges. `None`:
/// there is nothing to say.
pub(super) fn request(asked_for: Option<&Claims>, cae: bool) -> Option<String> {
    let mut claims = asked_for.map(Claims::object).unwrap_or_default();
    if cae {
        let of_token = claims.entry("access_token").or_insert_with(|| json!({}));
        if !of_token.is_object() {
            *of_token = json!({});
        }
        of_token["xms_cc"] = json!({ "values": ["cp1"] });
    }
    (!claims.is_empty()).then(|| Value::Object(claims).to_string())
}

/// The file that the agent of an Arc machine wants to be shown: the `realm` of a `Basic` challenge.
pub(super) fn basic_realm(headers: &HeaderMap) -> Option<String> {
    challenges(headers)
        .find(|challenge| challenge.scheme.eq_ignore_ascii_case("basic"))
        .and_then(|challenge| challenge.get("realm").map(str::to_owned))
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(..)")
    }
}

/// One challenge: a scheme and its parameters.
#[derive(Debug, PartialEq, Eq)]
struct Challenge<'a> {
    scheme: &'a str,
    parameters: Vec<(&'a str, String)>,
}

impl Challenge<'_> {
    /// The first parameter of this name.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// All challenges of an answer; what is too long, or not to be read, has none.
fn challenges(headers: &HeaderMap) -> impl Iterator<Item = Challenge<'_>> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    values.filter(|value| value.len() <= MAX_HEADER).flat_map(parse)
}

/// Several challenges may stand in one value, and both they and their parameters are parted by commas: a word that no
/// `=` follows begins a challenge. Reads as far as the text makes sense.
fn parse(text: &str) -> Vec<Challenge<'_>> {
    let mut challenges: Vec<Challenge<'_>> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = rest.split_at(rest.find(|c| !is_token(c)).unwrap_or(rest.len()));
        if word.is_empty() {
            return challenges;
        }
        let after = after.trim_start_matches([' ', '\t']);
        let Some(value) = after.strip_prefix('=') else {
            challenges.push(Challenge { scheme: word, parameters: Vec::new() });
            rest = after;
            continue;
        };
        let Some((value, after)) = parse_value(value.trim_start_matches([' ', '\t'])) else {
            return challenges;
        };
        if let Some(challenge) = challenges.last_mut() {
            challenge.parameters.push((word, value));
        }
        rest = after;
    }
}

/// The value at the beginning of a text, and what follows it. Without quotes it ends at a comma or a blank: Arc's agent
/// writes a path there. `None` where a quote is not closed.
fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// RFC 9110, section 5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD as PADDED, URL_SAFE_NO_PAD};

    const NBF: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1726258122"}}}"#;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        headers
    }

    fn asked(value: &str) -> Option<String> {
        Claims::asked_for(&headers(&[value])).map(|claims| claims.0.into())
    }

    /// A challenge in Entra's form, several of them in one value.
    fn entra(claims: &str) -> String {
        format!(
            "PoP realm=\"\", authorization_uri=\"https://login.example/common\", nonce=\"ey==\", Bearer realm=\"\", \
             authorization_uri=\"https://login.example/common\", client_id=\"00000003-0000-0000-c000-000000000000\", \
             error_description=\"Continuous access evaluation, with result: \\\"InteractionRequired\\\", code: X\", \
             error=\"insufficient_claims\", claims=\"{claims}\""
        )
    }

    #[test]
    fn the_claims_are_found_among_other_challenges_in_either_alphabet() {
        assert_eq!(asked(&entra(&PADDED.encode(NBF))).as_deref(), Some(NBF));
        assert_eq!(asked(&entra(&URL_SAFE_NO_PAD.encode(NBF))).as_deref(), Some(NBF));
        // Bytes that the two alphabets write differently.
        let odd = r#"{"access_token":{"x":"~~~???>>>"}}"#;
        assert_ne!(PADDED.encode(odd).trim_end_matches('='), URL_SAFE_NO_PAD.encode(odd));
        assert_eq!(asked(&entra(&URL_SAFE_NO_PAD.encode(odd))).as_deref(), Some(odd));
        let two = headers(&["Negotiate", &entra(&PADDED.encode(NBF))]);
        assert!(Claims::asked_for(&two).is_some(), "in a second header");
    }

    #[test]
    fn what_asks_for_no_claims_asks_for_none() {
        let claims = PADDED.encode(NBF);
        let hostile = [
            String::new(),
            "Bearer".to_owned(),
            "Bearer error=\"invalid_token\"".to_owned(),
            format!("Bearer error=\"invalid_token\", claims=\"{claims}\""),
            format!("PoP error=\"insufficient_claims\", claims=\"{claims}\""),
            format!("Bearer realm=\"error=insufficient_claims, claims={claims}\""),
            format!("error=\"insufficient_claims\", claims=\"{claims}\""),
            format!("Bearer error=\"insufficient_claims, claims={claims}"),
            "Bearer error=\"insufficient_claims\"".to_owned(),
            "Bearer error=\"insufficient_claims\", claims=\"\"".to_owned(),
            "Bearer error=\"insufficient_claims\", claims=\"%%%\"".to_owned(),
            entra(&PADDED.encode("[1]")),
            entra(&PADDED.encode("no json")),
            entra(&PADDED.encode(b"\xff\xfe")),
            entra(&PADDED.encode(format!("{{\"x\":\"{}\"}}", "y".repeat(MAX_CLAIMS)))),
            entra(&PADDED.encode("{\"x\":".repeat(1_000))),
            format!("{}{}", "Bearer ,=,".repeat(2_000), entra(&claims)),
            "Bearer error=\"insufficient_claims\", claims=\"abc\\".to_owned(),
        ];
        for value in hostile {
            assert_eq!(asked(&value), None, "{value}");
        }
    }

    #[test]
    fn quoted_commas_and_escapes_part_nothing() {
        let parsed = parse("A x=\"1, B y=\\\"2\\\"\", z = 3 ,, C k=v, Basic realm=/var/opt/a.key");
        let expected = [
            Challenge {
                scheme: "A",
                parameters: vec![("x", "1, B y=\"2\"".to_owned()), ("z", "3".to_owned())],
            },
            Challenge { scheme: "C", parameters: vec![("k", "v".to_owned())] },
            Challenge { scheme: "Basic", parameters: vec![("realm", "/var/opt/a.key".to_owned())] },
        ];
        assert_eq!(parsed, expected);
        assert_eq!(basic_realm(&headers(&["Basic realm=/a b"])).as_deref(), Some("/a"));
        assert_eq!(basic_realm(&headers(&["Bearer realm=\"x\""])), None);
    }

    #[test]
    fn what_is_asked_for_goes_with_what_this_client_can_do() {
        let claims = |text: &str| Claims::decoded(&PADDED.encode(text)).unwrap();
        let request = |asked: Option<&str>, cae| -> Option<Value> {
            let text = request(asked.map(claims).as_ref(), cae)?;
            Some(serde_json::from_str(&text).unwrap())
        };
        assert_eq!(request(None, false), None);
        assert_eq!(request(Some("{}"), false), None);
        let cp1 = json!({ "values": ["cp1"] });
        assert_eq!(request(None, true), Some(json!({ "access_token": { "xms_cc": cp1 } })));
        assert_eq!(
            request(Some(r#"{"access_token":7}"#), true),
            Some(json!({ "access_token": { "xms_cc": cp1 } }))
        );
        assert_eq!(
            request(Some(NBF), true),
            Some(
                json!({ "access_token": { "nbf": { "essential": true, "value": "1726258122" }, "xms_cc": cp1 } })
            )
        );
        assert_eq!(request(Some(NBF), false), Some(serde_json::from_str(NBF).unwrap()));
        assert_eq!(format!("{:?}", claims(NBF)), "Claims(..)");
    }
}
