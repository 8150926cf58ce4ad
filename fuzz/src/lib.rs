//! What the targets share: a secret that must not come back, and what holds of every config and every answer.
//!
//! A target panics where something does not hold; that is how libFuzzer is told.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use presenced::config::{Loaded, Look, Problems, Sources, load_sources};
use serde_json::Value;

/// As Entra ID makes client secrets. It is in no input: [`MARK`] stands for it there.
pub const SECRET: &str = "zKw7Q~4hXbN2vRt9LmYcP0sDfGj5uEaWqZi8oTxB";

/// Stands for [`SECRET`] in an input.
pub const MARK: char = '§';

/// The secret counts as shown with any of its five parts of so many characters: with any 15 in a row, that is.
const PART: usize = 8;

/// An app, and a default so that users need none: a config to which more may be added.
pub const APP: &str = r#"[defaults]
availability = "Available"
[[app]]
name = "contoso"
tenant = "9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877"
client_id = "22553876-f5ab-4529-bffb-cfe50aa89f87"
credential = { secret_file = "contoso.secret" }
"#;

/// The input with the secret in it; nothing where a part of the secret is there already, guessed by the fuzzer.
#[must_use]
pub fn with_secret(input: &str) -> Option<Cow<'_, str>> {
    if leaks(input) {
        return None;
    }
    Some(if input.contains(MARK) { input.replace(MARK, SECRET).into() } else { input.into() })
}

/// Whether a part of the secret is in a text, in whatever case.
#[must_use]
pub fn leaks(text: &str) -> bool {
    static PARTS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let secret = SECRET.to_ascii_lowercase();
        (0..secret.len()).step_by(PART).map(|at| secret[at..at + PART].to_owned()).collect()
    });
    let text = text.to_ascii_lowercase();
    PARTS.iter().any(|part| text.contains(part.as_str()))
}

/// Reads a config without an environment, and holds what came of it to what is promised of every config.
pub fn read(sources: Sources) -> Result<Loaded, Problems> {
    let look = Look::TextsAlone;
    let loaded = load_sources(sources, look);
    match &loaded {
        Ok(loaded) => {
            assert_eq!(loaded.warnings.errors(), 0, "admitted with errors");
            tells(&loaded.warnings);
            for session in loaded.plan.lanes().iter().flat_map(|lane| &lane.sessions) {
                assert!(session.wish.is_none_or(|wish| (5..=240).contains(&wish.expiration.minutes())));
            }
            // What is kept of it for the next start is the same config.
            let again = load_sources(loaded.sources.clone(), look)
                .unwrap_or_else(|problems| panic!("refused when it is read again:\n{problems:?}"));
            assert_eq!(again.settings.hash, loaded.settings.hash, "another config when it is read again");
            assert_eq!(again.plan, loaded.plan, "another plan when it is read again");
            assert!(again.sources.iter().eq(loaded.sources.iter()), "not kept as it was kept");
        }
        Err(problems) => {
            assert!(problems.errors() > 0, "refused without an error");
            tells(problems);
        }
    }
    loaded
}

/// Problems are told without the secret, and each with a place that is there.
fn tells(problems: &Problems) {
    let json = problems.to_json();
    let ways = [problems.render(false), json.to_string(), problems.first_line()];
    for text in &ways {
        assert!(!leaks(text), "the secret is shown:\n{text}");
        assert_eq!(text.len() <= 2, problems.is_empty(), "told, or nothing to tell");
    }
    let files: HashMap<String, Vec<&str>> = problems
        .sources()
        .iter()
        .map(|(path, text)| (path.display().to_string(), text.split('\n').collect()))
        .collect();
    for problem in json.as_array().expect("a list") {
        is_placed(problem, &files);
        problem["related"].as_array().expect("a list").iter().for_each(|place| is_placed(place, &files));
    }
}

fn is_placed(problem: &Value, files: &HashMap<String, Vec<&str>>) {
    let Some(line) = number(&problem["line"]) else { return };
    let lines = &files[problem["file"].as_str().expect("a place is in a file")];
    let text = line.checked_sub(1).and_then(|line| lines.get(line));
    let columns = text.expect("the line is there").chars().count() + 1;
    let column = number(&problem["column"]).expect("a line has a column");
    assert!((1..=columns).contains(&column), "column {column} of {columns}: {problem}");
}

fn number(value: &Value) -> Option<usize> {
    value.as_u64()?.try_into().ok()
}

/// An answer over HTTP as an input writes it: a status and a word on the first line, headers, an empty line, the body.
pub struct Heard<'a> {
    /// The HTTP status, or another number.
    pub status: u16,
    /// What was asked for.
    pub word: &'a str,
    /// Those that HTTP lets through.
    pub headers: HeaderMap,
    /// The rest.
    pub body: &'a [u8],
}

impl<'a> Heard<'a> {
    /// Reads an input; nothing where it does not begin with a status.
    #[must_use]
    pub fn read(input: &'a [u8]) -> Option<Self> {
        let (mut line, mut rest) = cut(input);
        let mut words = str::from_utf8(line).ok()?.split(' ');
        let status = words.next()?.parse().ok()?;
        let word = words.next().unwrap_or_default();
        let mut headers = HeaderMap::new();
        while !rest.is_empty() {
            (line, rest) = cut(rest);
            if line.is_empty() {
                break;
            }
            let at = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = (&line[..at], line[at + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.append(name, value);
            }
        }
        Some(Self { status, word, headers, body: rest })
    }
}

/// The first line, and what comes after it.
fn cut(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|&byte| byte == b'\n');
    end.map_or((input, &[]), |end| (&input[..end], &input[end + 1..]))
}

/// A text out of an answer is fit for a line of the log: short, in one line, and without the secret.
pub fn is_fit(text: &str) {
    assert!(!leaks(text), "the secret is shown: {text:?}");
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

/// The same, and at most 200 characters long.
pub fn is_short(text: &str) {
    is_fit(text);
    assert!((1..=200).contains(&text.chars().count()), "{text:?}");
}
