//! Reads typed values out of a TOML tree and collects what is wrong with them. It goes on after a problem, so that one
//! run finds all of them; serde would stop at the first.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::credential::inline_secret;
use super::problem::{Code, Problem, is_plain, names_secret, shown};
use super::source::{FileIx, Place, Placed};

/// What a key was found to hold.
#[derive(Clone, Debug, Default)]
pub(super) enum Key<T> {
    /// It is not there.
    #[default]
    Absent,
    /// It is there and wrong, or misspelt, which has been said.
    Bad,
    /// It is there.
    Given(Placed<T>),
}

impl<T> Key<T> {
    pub(super) fn given(&self) -> Option<&Placed<T>> {
        match self {
            Self::Given(placed) => Some(placed),
            Self::Absent | Self::Bad => None,
        }
    }

    pub(super) fn value(&self) -> Option<&T> {
        self.given().map(|placed| &placed.value)
    }

    /// Notes that it may be there in what could not be read.
    pub(super) fn doubt(&mut self) {
        if self.is_absent() {
            *self = Self::Bad;
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// This one, unless it is absent.
    pub(super) fn or<'a>(&'a self, weaker: &'a Self) -> &'a Self {
        if self.is_absent() { weaker } else { self }
    }
}

/// The keys that belong to no table.
pub(super) const TOP_KEYS: &[&str] = &[
    "include",
    "daemon",
    "control",
    "http",
    "ping",
    "network",
    "log",
    "defaults",
    "app",
    "user",
    "users_from",
    "group",
    "schedule",
    "notify",
];

/// The keys that a table may have.
pub(super) struct Schema {
    /// As it is written, such as `[[user]]`.
    pub(super) what: &'static str,
    pub(super) keys: &'static [&'static str],
    /// Keys of the design that this version does not know what to do with.
    pub(super) later: &'static [&'static str],
    /// Keys that are wrong here and of which the reader of this table speaks itself.
    pub(super) special: &'static [&'static str],
}

type Value<'i> = Spanned<DeValue<'i>>;

/// One file that is being read.
pub(super) struct Reader<'p> {
    pub(super) file: FileIx,
    pub(super) problems: &'p mut Vec<Problem>,
    /// Where an unknown key begins, and which one it seems to be meant for: that one is then not missing, too.
    misspelt: BTreeMap<usize, &'static str>,
}

impl<'p> Reader<'p> {
    pub(super) fn new(file: FileIx, problems: &'p mut Vec<Problem>) -> Self {
        Self { file, problems, misspelt: BTreeMap::new() }
    }
    pub(super) fn place<T>(&self, spanned: &Spanned<T>) -> Place {
        Place::new(self.file, spanned.span())
    }

    pub(super) fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Says which keys of a table are unknown or not built yet.
    pub(super) fn check_keys(&mut self, table: &DeTable<'_>, schema: &Schema) {
        for key in table.keys() {
            let (name, at) = (key.get_ref().as_ref(), self.place(key));
            if schema.keys.contains(&name) || schema.special.contains(&name) {
                continue;
            }
            if schema.later.contains(&name) {
                self.push(not_built_yet(at, &format!("`{name}`")));
                continue;
            }
            let near = did_you_mean(name, schema.keys);
            // `secret` is not meant for `secret_expires`.
            let slip = |near: &str| is_plain(near) && near.ends_with("_expires") == name.contains("expir");
            if names_secret(name) && !near.is_some_and(slip) {
                self.misspelt.insert(key.span().start, "credential");
                self.push(inline_secret(at));
                continue;
            }
            self.misspelt.extend(near.map(|near| (key.span().start, near)));
            let problem = Problem::new(Code::UnknownKey, at, format!("unknown key {}", shown(name)));
            self.push(match near {
                Some(near) => problem.label(format!("did you mean `{near}`?")),
                None => {
                    let known = schema.keys.join(", ");
                    let problem = problem.label(format!("not a key of {}", schema.what));
                    problem.help(if TOP_KEYS.contains(&name) {
                        format!("`{name}` belongs to the file as a whole: write it above the first [table]")
                    } else {
                        format!("known keys here: {known}")
                    })
                }
            });
        }
    }

    /// What a key holds, by `read`, which says what is wrong where it returns nothing.
    pub(super) fn key<'t, 'i, T>(
        &mut self,
        table: &'t DeTable<'i>,
        name: &str,
        read: impl FnOnce(&mut Self, &'t Value<'i>) -> Option<T>,
    ) -> Key<T> {
        let Some(value) = table.get(name) else {
            return if self.is_misspelt(table, name) { Key::Bad } else { Key::Absent };
        };
        match read(self, value) {
            Some(read) => Key::Given(Placed { value: read, at: self.place(value) }),
            None => Key::Bad,
        }
    }

    /// Whether one of the unknown keys of a table seems to be this one.
    pub(super) fn is_misspelt(&self, table: &DeTable<'_>, name: &str) -> bool {
        let meant = |key: &Spanned<_>| self.misspelt.get(&key.span().start);
        !self.misspelt.is_empty() && table.keys().any(|key| meant(key).is_some_and(|meant| *meant == name))
    }

    /// The table that a key holds, such as `[daemon]`.
    pub(super) fn table<'t, 'i>(&mut self, table: &'t DeTable<'i>, name: &str) -> Option<&'t DeTable<'i>> {
        let value = table.get(name)?;
        let inner = value.get_ref().as_table();
        if inner.is_none() {
            self.wrong_type(value, "a table", None);
        }
        inner
    }

    /// The tables that a key holds, such as `[[user]]`, each with the place of its header.
    pub(super) fn tables<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        name: &str,
    ) -> Vec<(&'t DeTable<'i>, Place)> {
        let Some(value) = table.get(name) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(value, "a list of tables", Some(&format!("begin each with [[{name}]]")));
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(inner) => tables.push((inner, self.place(item))),
                None => self.wrong_type(item, "a table", Some(&format!("begin each with [[{name}]]"))),
            }
        }
        tables
    }

    pub(super) fn string<'t>(&mut self, value: &'t Value<'_>, help: &str) -> Option<&'t str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(value, "a string", Some(help));
        }
        text
    }

    /// A whole number in a range.
    pub(super) fn integer(&mut self, value: &Value<'_>, least: i64, most: i64) -> Option<i64> {
        let Some(digits) = value.get_ref().as_integer() else {
            self.wrong_type(value, "an integer", None);
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let within = number.filter(|n| (least..=most).contains(n));
        if within.is_none() {
            let problem = Problem::new(Code::OutOfRange, self.place(value), "number is out of range");
            self.push(problem.label(format!("{least} to {most}")));
        }
        within
    }

    /// Strings, one by one through `read`; nothing if one of them is wrong.
    pub(super) fn strings<T>(
        &mut self,
        value: &Value<'_>,
        mut read: impl FnMut(&mut Self, Placed<&str>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(value, "a list of strings", Some("write it as [\"...\"]"));
            return None;
        };
        let mut all = Vec::with_capacity(items.len());
        for item in items.iter() {
            let at = self.place(item);
            let one = self.string(item, "write it in quotes").map(|value| Placed { value, at });
            all.extend(one.and_then(|one| read(self, one)));
        }
        (all.len() == items.len()).then_some(all)
    }

    /// One of the words of a choice.
    pub(super) fn choice<T: Copy>(&mut self, value: &Value<'_>, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let text = self.string(value, &format!("one of: {}", words.join(", ")))?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            self.push(unknown_word(self.place(value), "value", text, &words));
        }
        found.map(|(_, choice)| *choice)
    }

    pub(super) fn wrong_type(&mut self, value: &Value<'_>, wanted: &str, help: Option<&str>) {
        let found = match value.get_ref().type_str() {
            kind @ ("array" | "integer") => format!("an {kind}"),
            kind => format!("a {kind}"),
        };
        let problem =
            Problem::new(Code::WrongType, self.place(value), format!("expected {wanted}, found {found}"));
        self.push(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
}

pub(super) fn not_built_yet(at: Place, what: &str) -> Problem {
    Problem::new(Code::NotBuiltYet, at, format!("{what} is planned, but this version cannot do it yet"))
        .label("not built yet")
        .help("take it out: nothing is accepted that would have no effect")
}

/// A word that is none of those there are.
pub(super) fn unknown_word(at: Place, what: &str, word: &str, words: &[&str]) -> Problem {
    let problem = Problem::new(Code::UnknownWord, at, format!("unknown {what} {}", shown(word)));
    let problem = match did_you_mean(word, words) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem,
    };
    problem.help(format!("one of: {}", words.join(", ")))
}

/// The nearest of `words`, where one is near.
#[must_use]
pub fn did_you_mean<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    const NEAR: f64 = 0.82;
    let lower = word.to_lowercase();
    let likeness = |known: &str| strsim::jaro_winkler(&lower, &known.to_lowercase());
    let best = words.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > NEAR).then_some(best)
}
