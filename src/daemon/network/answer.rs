//! What HTTP answers have in common, whoever gives them: when to come back, and texts that are not to be trusted.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Longest text that is taken over from an answer, in characters.
const MAX_TEXT: usize = 200;

/// When the server would like to be asked again: whole seconds, a decimal number of seconds (Graph's throttling page
/// has shown `2.128`), or an HTTP date, which counts from `wall`.
///
/// What lies in the past, or is negative, is zero; what no [`Duration`] holds is [`Duration::MAX`]; what cannot be
/// read is `None`.
pub(in crate::daemon) fn retry_after(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(date.duration_since(wall).unwrap_or_default());
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds: f64 = if is_number { digits.parse().ok()? } else { return None };
    if text.starts_with('-') {
        return Some(Duration::ZERO);
    }
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// A text out of an answer, fit to be shown: no control characters and none that turn the direction of writing, at
/// most 200 characters. `None` when nothing is left, or when it holds `secret`, percent-encoded or not; an empty secret
/// is none.
pub(in crate::daemon) fn shown(text: &str, secret: &str) -> Option<String> {
    shown_up_to(MAX_TEXT, text, secret)
}

/// The same with at most so many characters.
pub(in crate::daemon) fn shown_up_to(most: usize, text: &str, secret: &str) -> Option<String> {
    if !secret.is_empty() && (text.contains(secret) || decoded(text).contains(secret)) {
        return None;
    }
    let mut out = String::new();
    let mut words = text.split(|c: char| c.is_whitespace() || is_unprintable(c)).filter(|w| !w.is_empty());
    if let Some(first) = words.next() {
        out.push_str(first);
    }
    for word in words {
        out.push(' ');
        out.push_str(word);
        if out.len() > 4 * most {
            break;
        }
    }
    if let Some((end, _)) = out.char_indices().nth(most) {
        out.truncate(end);
        out.pop();
        out.push('…');
    }
    (!out.is_empty()).then_some(out)
}

/// A text without percent-encoding.
fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        match piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&piece.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(piece.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Control characters, separators of lines, marks of direction, and what has no width.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn parsed(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
        retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770))
    }

    #[test]
    fn retry_after_is_read_in_each_of_its_forms() {
        let cases = [
            ("10", Some(Duration::from_secs(10))),
            ("0", Some(Duration::ZERO)),
            ("2.128", Some(Duration::from_millis(2_128))),
            (" 7 ", Some(Duration::from_secs(7))),
            ("+3", Some(Duration::from_secs(3))),
            ("-1", Some(Duration::ZERO)),
            ("-0.5", Some(Duration::ZERO)),
            ("86400", Some(Duration::from_secs(86_400))),
            ("99999999999999999999999999", Some(Duration::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(Duration::from_secs(7))),
            ("Sun, 06 Nov 1994 08:49:30 GMT", Some(Duration::ZERO)),
            ("Sun, 06 Nov 1994 07:00:00 GMT", Some(Duration::ZERO)),
            ("", None),
            ("-", None),
            (".", None),
            ("1.2.3", None),
            ("inf", None),
            ("NaN", None),
            ("1e3", None),
            ("soon", None),
            ("10, 20", None),
            ("PT10S", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }

    #[test]
    fn a_text_is_shown_without_what_could_fool_a_reader() {
        assert_eq!(shown("a\r\nb\t\u{1b}[31mc\u{202e}d", "").as_deref(), Some("a b [31mc d"));
        assert_eq!(shown(" \n\u{0}", ""), None);
        let long = shown(&"ä".repeat(5_000), "").unwrap();
        assert_eq!(long.chars().count(), 200);
        assert!(long.ends_with('…'));
        assert_eq!(shown(&"ab ".repeat(100_000), "").unwrap().chars().count(), 200);
        assert_eq!(shown(&"x".repeat(200), "").unwrap(), "x".repeat(200));
    }

    #[test]
    fn a_text_with_a_secret_in_it_is_not_shown() {
        for text in ["you sent s3c+~t to me", "s3c%2B~t", "100%&x=s3c%2b%7Et&y", "%s3c+~t%"] {
            assert_eq!(shown(text, "s3c+~t"), None, "{text}");
        }
        for text in ["you sent nothing", "100 % of s3c", "%", "%%%zz%é"] {
            assert_eq!(shown(text, "s3c+~t").as_deref(), Some(text));
        }
    }
}
