//! Takes out of a text what must not be shown: secrets that were written where they do not belong, and the
//! credentials of a URL. It works on the text as it is, also where it is no valid TOML, and keeps its length, so that
//! columns stay right. What it covers without need is only harder to read; what it misses is published.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

const COVER: u8 = b'*';

/// What is shorter is no client secret of Entra ID: they have about 40 characters.
const SECRET_LEAST: usize = 30;

/// A run as mixed as only a random string is, and as long as this, is part of a key or a token. File names and ids are
/// shorter, hashes have no capitals.
const RANDOM_LEAST: usize = 60;

/// A text with every part covered that may be a secret, as long as it was.
pub(super) fn redacted(text: &str) -> Cow<'_, str> {
    let mut covered = Vec::new();
    let (tree, errors) = DeTable::parse_recoverable(text);
    table(tree.get_ref(), false, &mut covered);
    if !errors.is_empty() {
        broken(text, &mut covered);
    }
    anywhere(text, &mut covered);
    cover(text, covered)
}

/// The same of rows of a CSV file, where no key says what is a secret.
pub(super) fn redacted_rows(text: &str) -> Cow<'_, str> {
    let mut covered = Vec::new();
    anywhere(text, &mut covered);
    cover(text, covered)
}

/// A value as it may appear in a message: in back-ticks, in one line, not too long, and covered like the text.
pub(in crate::config) fn shown(value: &str) -> String {
    const LONGEST: usize = 60;
    let value = redacted_rows(value);
    let mut text: String = value.chars().take(LONGEST).flat_map(escaped).collect();
    if value.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}

/// A path as it may appear in a message: whole, but covered like the text.
pub(in crate::config) fn shown_path(path: &Path) -> String {
    redacted_rows(&path.to_string_lossy()).into_owned()
}

fn escaped(char: char) -> impl Iterator<Item = char> {
    let escape = char.is_control() || char == '`';
    let mut plain = (!escape).then_some(char).into_iter();
    let mut hidden = escape.then(|| char.escape_unicode()).into_iter().flatten();
    std::iter::from_fn(move || plain.next().or_else(|| hidden.next()))
}

/// Whether this looks like a client secret as Entra ID makes them: about 40 characters with `Q~` after the fourth.
///
/// Source: Microsoft's published pattern for scanners of leaked secrets.
fn looks_like_secret(text: &str) -> bool {
    text.len() >= SECRET_LEAST && text.get(4..6) == Some("Q~") && text.bytes().all(is_secret_byte)
}

/// Whether a text holds what may be a secret, a private key or a token.
pub(in crate::config) fn holds_secret(text: &str) -> bool {
    matches!(redacted_rows(text), Cow::Owned(_))
}

/// Whether this may be a secret in the place of a name: no path, no extension, and as mixed as only a random string is.
pub(in crate::config) fn may_be_secret(name: &str) -> bool {
    const SHORTEST: usize = 16;
    looks_like_secret(name) || name.len() >= SHORTEST && is_mixed(name) && !name.contains(['/', '.'])
}

fn is_mixed(text: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| text.bytes().any(|b| kind(&b));
    has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
}

fn is_secret_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'~' | b'.' | b'-')
}

/// Whether what a key of this name holds may be a secret. Slips of the pen count: `scret`.
fn is_secret_key(key: &str) -> bool {
    let key = key.trim().trim_matches(['"', '\'']).to_lowercase();
    let like = |word| key.contains(word) || strsim::jaro_winkler(&key, word) > 0.85;
    names_secret(&key) || !is_plain(&key) && (like("secret") || like("credential"))
}

/// Whether a key of this name says that it holds a secret.
pub(in crate::config) fn names_secret(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    !is_plain(&key)
        && ["secret", "passw", "token", "private", "api_key", "apikey"].iter().any(|word| key.contains(word))
}

/// Whether a key of this name says that it holds no secret: the name of a file or a variable, a day, or which identity.
pub(in crate::config) fn is_plain(key: &str) -> bool {
    ["_file", "_env", "_expires"].iter().any(|end| key.ends_with(end))
        || ["managed_identity", "delegated"].contains(&key)
}

fn table(table: &DeTable<'_>, in_secret: bool, covered: &mut Vec<Range<usize>>) {
    for (key, at) in table {
        let key = key.get_ref();
        let secret = if is_plain(key) && (in_secret || key.starts_with("secret")) {
            at.get_ref().as_str().is_some_and(may_be_secret)
        } else {
            in_secret || is_secret_key(key)
        };
        value(at.get_ref(), at.span(), secret, covered);
    }
}

fn value(tree: &DeValue<'_>, span: Range<usize>, secret: bool, covered: &mut Vec<Range<usize>>) {
    match tree {
        DeValue::Table(inner) => table(inner, secret, covered),
        DeValue::Array(items) => {
            for item in items.iter() {
                value(item.get_ref(), item.span(), secret, covered);
            }
        }
        _ if secret => covered.push(span),
        _ => {}
    }
}

/// Line by line, where the text is no valid TOML, or JSON or YAML: what comes after a key that may hold a secret,
/// multi-line strings to their end; all of a text that has nothing of TOML at all, as when a secret's own file is given
/// as the config.
fn broken(text: &str, covered: &mut Vec<Range<usize>>) {
    if !text.contains(['=', '[']) {
        covered.push(0..text.len());
        return;
    }
    let (mut at, mut until, mut in_credential) = (0, 0, false);
    for line in text.split_inclusive('\n') {
        let span = at..at + line.len();
        at = span.end;
        if span.start < until {
            continue;
        }
        if line.trim_start().starts_with('[') {
            in_credential = line.split(['[', ']', '.']).any(is_secret_key);
        }
        if let Some(value) = value_in(line, in_credential) {
            let value = span.start + value;
            until = match text[value..span.end].trim() {
                // It is on the next line.
                "" | "|" | "|-" | ">" | ">-" => line_end(text, span.end),
                _ => string_end(text, value).max(span.end),
            };
            covered.push(value..until);
        }
    }
}

/// Where in a line a value begins that may be a secret: after `=` or `:`, or after the first word of a line that has
/// lost them.
fn value_in(line: &str, in_credential: bool) -> Option<usize> {
    let secret = |key: &str| is_secret_key(key) || in_credential && !is_plain(key);
    let separated = line.match_indices(['=', ':']).find(|(at, _)| {
        secret(line[..*at].rsplit(['{', ',', '.', '[', '=', ':']).next().unwrap_or_default().trim())
    });
    let word = line.split_whitespace().next().filter(|word| !word.starts_with(['[', '#']));
    let spaced = || word.filter(|word| secret(word)).map(|word| line.find(word).unwrap_or(0) + word.len());
    separated.map(|(at, _)| at + 1).or_else(spaced)
}

/// The end of the first line from `at` that is not empty.
fn line_end(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let begin = at + rest.len() - rest.trim_start().len();
    text[begin..].find('\n').map_or(text.len(), |end| begin + end)
}

/// The end of the multi-line string that begins at `value`, or `value` where none does.
fn string_end(text: &str, value: usize) -> usize {
    let rest = text[value..].trim_start_matches([' ', '\t']);
    let begin = text.len() - rest.len();
    ["\"\"\"", "'''"]
        .iter()
        .find(|quotes| rest.starts_with(**quotes))
        .map_or(value, |quotes| rest[3..].find(quotes).map_or(text.len(), |end| begin + 3 + end))
}

/// The credentials of URLs, what stands in PEM, and runs of characters that look like a client secret or a token.
fn anywhere(text: &str, covered: &mut Vec<Range<usize>>) {
    for (at, scheme) in text.match_indices("://") {
        let start = at + scheme.len();
        let authority = text[start..].split(['/', '?', '#', '"', '\'', '\n', ' ']).next().unwrap_or_default();
        if let Some(end) = authority.rfind('@') {
            covered.push(start..start + end);
        }
    }
    // Also in one line, with `\n` for its line breaks.
    for (at, begin) in text.match_indices("-----BEGIN ") {
        let body = at + begin.len();
        covered.push(body..text[body..].find("-----END ").map_or(text.len(), |end| body + end));
    }
    let mut at = 0;
    for run in text.split_inclusive(|c: char| !c.is_ascii() || !is_secret_byte(c as u8)) {
        let secret = run.contains("Q~") || run.starts_with("eyJ") && run.contains('.');
        if run.len() >= SECRET_LEAST && secret || run.len() >= RANDOM_LEAST && is_mixed(run) {
            covered.push(at..at + run.len());
        }
        at += run.len();
    }
}

/// Covers with as many asterisks as there are bytes; line breaks and quotes stay.
fn cover(text: &str, covered: Vec<Range<usize>>) -> Cow<'_, str> {
    if covered.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    for range in covered {
        for byte in &mut bytes[range] {
            if !matches!(byte, b'\n' | b'\r' | b'"' | b'\'') {
                *byte = COVER;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-Zk9Q";
    const ENTRA: &str = "abc8Q~0123456789_0123456789.0123456789AB";

    #[test]
    fn a_secret_is_covered_wherever_it_was_written() {
        let texts = [
            "credential = { secret = \"canary-Zk9Q\" }",
            "credential = \"canary-Zk9Q\"",
            "credential = [\"canary-Zk9Q\"]",
            "[[app]]\n[app.credential]\nvalue = 'canary-Zk9Q'",
            "credental = { scret = \"canary-Zk9Q\" }",
            "client_secret = \"\"\"\ncanary-Zk9Q\"\"\"",
            "client_secret = \"\"\"\ncanary-Zk9Q\nmore",
            "credential = { secret = \"canary-Zk9Q }",
            "secret = canary-Zk9Q",
            "[app.credential]\nvalue = \"canary-Zk9Q\n",
            "[network]\nproxy = \"http://me:canary-Zk9Q@proxy:3128\"",
            "[network]\nproxy = \"http://canary-Zk9Q@proxy:3128",
            "canary-Zk9Q\n",
            "[[app]]\nclient_secret: canary-Zk9Q",
            "[[app]]\nclient_secret canary-Zk9Q",
            "[app.credential]\nvalue canary-Zk9Q",
            "{\"app\": [{\"name\": \"contoso\", \"client_secret\": \"canary-Zk9Q\"}]}",
            "{\"app\": [{\n  \"clientSecret\":\n    \"canary-Zk9Q\"\n}]}",
            "apps: []\nsecret: |\n  canary-Zk9Q\n",
            "clientSecret = \"canary-Zk9Q\"",
            "ApiKey = \"canary-Zk9Q\"",
            "Credential.Client-Secret = \"canary-Zk9Q\"",
            "credential = { certificate_file = \"\"\"\n-----BEGIN PRIVATE KEY-----\ncanary-Zk9Q\n\"\"\" }",
            "name = \"-----BEGIN PRIVATE KEY-----\\ncanary-Zk9Q\\n-----END PRIVATE KEY-----\\n\"",
            "federated_token_file = \"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.canary-Zk9Q\"",
            "[app.credential]\ndelegated = true\nvalue = 'canary-Zk9Q'",
        ];
        for text in texts {
            let shown = redacted(text);
            assert!(!shown.contains(CANARY), "{text} -> {shown}");
            assert_eq!(shown.len(), text.len());
        }
        assert!(redacted(&format!("client_id = \"{ENTRA}\"")).contains("\"****"));
        assert!(!shown(ENTRA).contains("0123"));
        assert!(!shown("https://me:pw@host").contains("pw"));
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "credential = { secret_file = \"contoso.secret\" }",
            "[network]\nproxy = \"http://proxy:3128\"\n",
            "credential = { delegated = true }\nsecret_expires = 2027-03-01",
            "credential = { managed_identity = \"22553876-f5ab-4529-bffb-cfe50aa89f87\" }",
            "credential = { federated_token_file = \"/var/run/secrets/azure/tokens/azure-identity-token\" }",
            "name = \"Reception desk\" # me@example.org",
            "name = \"broken\ngraph = \"https://graph.example.org\"\nsecret_file = \"contoso.secret\"",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn a_value_in_a_message_is_one_short_line() {
        assert_eq!(shown("a\nb\u{1b}[31m"), "`a\\u{a}b\\u{1b}[31m`");
        assert_eq!(shown(&"x".repeat(100)).chars().count(), 63);
    }
}
