//! What may be written in `[[notify]]`: whom to run when something is wrong.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Code, Problem, shown};
use super::read::{Key, Reader, Schema, unknown_word};
use super::source::Place;
use super::words;

/// One `[[notify]]`: a command, and what it is run for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notify {
    /// For what; at least one.
    pub on: BTreeSet<Condition>,
    /// How long that must have held.
    pub hold: Duration,
    /// An absolute path, and the arguments.
    pub command: Vec<Box<str>>,
}

/// Something that is wrong, and may be over again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Condition {
    /// Sessions of an app are past their lapse.
    Lapsed,
    /// Graph refuses users of an app.
    Parked,
    /// Nothing goes through for an app.
    AppDown,
    /// The file is refused.
    ReloadRefused,
    /// The credential of an app ends within 30 days, or has ended.
    CredentialExpiring,
}

impl Condition {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Lapsed, Self::Parked, Self::AppDown, Self::ReloadRefused, Self::CredentialExpiring];

    /// As it is written: the name of the log event that it begins with.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lapsed => "lapsed",
            Self::Parked => "parked",
            Self::AppDown => "app_down",
            Self::ReloadRefused => "reload_refused",
            Self::CredentialExpiring => "credential_expiring",
        }
    }
}

/// `[[notify]]`, as it is written.
pub(super) struct NotifyEntry {
    /// Its header.
    pub(super) at: Place,
    pub(super) on: Key<BTreeSet<Condition>>,
    pub(super) hold: Key<Duration>,
    pub(super) command: Key<Vec<Box<str>>>,
}

pub(super) const NOTIFY: Schema =
    Schema { what: "[[notify]]", keys: &["on", "for", "command"], later: &[], special: &[] };

/// From 1 s, as often as conditions are looked at; what lasts for a day is no news.
const HOLD: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
/// Arguments of a command. What needs more is a script of its own.
const ARGUMENTS_MAX: usize = 64;

type Value<'i> = Spanned<DeValue<'i>>;

impl NotifyEntry {
    pub(super) fn read(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Place) -> Self {
        reader.check_keys(table, &NOTIFY);
        Self {
            at,
            on: reader.key(table, "on", conditions),
            hold: reader.key(table, "for", |reader, value| {
                words::duration(reader, value, HOLD, "1s to 24h; without `for`, at once")
            }),
            command: reader.key(table, "command", command),
        }
    }
}

fn conditions(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<BTreeSet<Condition>> {
    let words = Condition::ALL.map(Condition::word);
    let on = reader.strings(value, |reader, word| {
        let found = Condition::ALL.into_iter().find(|condition| condition.word() == word.value);
        if found.is_none() {
            reader.push(unknown_word(word.at, "condition", word.value, &words));
        }
        found
    })?;
    if on.is_empty() {
        let problem = Problem::new(Code::OutOfRange, reader.place(value), "this is run for nothing");
        reader.push(problem.help(format!("some of: {}", words.join(", "))));
        return None;
    }
    Some(on.into_iter().collect())
}

fn command(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Vec<Box<str>>> {
    const HELP: &str =
        "a program by its absolute path, and its arguments: [\"/usr/local/bin/page\", \"oncall\"]";
    let words = reader.strings(value, |_, word| Some(Box::<str>::from(word.value)))?;
    let problem = match words.first() {
        None => Some("a command is needed here".to_owned()),
        Some(program) if !Path::new(program.as_ref()).is_absolute() => {
            Some(format!("{} is no absolute path", shown(program)))
        }
        Some(_) if words.len() > ARGUMENTS_MAX => {
            Some(format!("a command has at most {ARGUMENTS_MAX} words"))
        }
        Some(_) if words.iter().any(|word| word.contains('\0')) => {
            Some("a command has no NUL in it".to_owned())
        }
        Some(_) => None,
    };
    if let Some(message) = problem {
        let problem = Problem::new(Code::Malformed, reader.place(value), message);
        reader.push(problem.label("there is no shell, and no PATH is searched").help(HELP));
        return None;
    }
    Some(words)
}
