//! What users are called, and that no alias is two users'.

use std::borrow::Cow;
use std::collections::HashMap;

use super::LISTED_MAX;
use crate::config::file::Contents;
use crate::config::group::GroupEntry;
use crate::config::problem::{Code, Problem, shown};
use crate::config::read::Key;
use crate::config::settings::Person;
use crate::config::source::{Place, Placed};
use crate::config::users_from::Field;
use crate::keeper::id::UserId;

/// Names and aliases, as they are found.
pub(super) struct People<'c> {
    by_id: HashMap<UserId, Person>,
    names: Vec<Called<'c>>,
    aliases: Vec<Called<'c>>,
    /// Whether there are aliases at all. Without any, a million names need not be kept for comparing.
    compare: bool,
}

/// A name or an alias, where it is written.
struct Called<'c> {
    text: Cow<'c, str>,
    id: UserId,
    at: Place,
}

impl<'c> People<'c> {
    pub(super) fn new(contents: &[Contents]) -> Self {
        let compare = contents.iter().any(|file| {
            file.users.iter().any(|user| !user.aliases.is_absent())
                || file.users_from.iter().any(|entry| entry.has(Field::Aliases))
                || file.groups.iter().any(GroupEntry::names_aliases)
        });
        Self { by_id: HashMap::new(), names: Vec::new(), aliases: Vec::new(), compare }
    }

    /// A user of several apps may be described in one place and only named in another: the first name stays, aliases
    /// add up.
    pub(super) fn add(
        &mut self,
        id: UserId,
        name: Option<Placed<Cow<'c, str>>>,
        aliases: impl ExactSizeIterator<Item = Placed<Cow<'c, str>>>,
    ) {
        if name.is_none() && aliases.len() == 0 {
            return;
        }
        let person = self.by_id.entry(id).or_default();
        if let Some(Placed { value: text, at }) = name {
            if person.name.is_none() {
                person.name = Some(text.as_ref().into());
            }
            if self.compare {
                self.names.push(Called { text, id, at });
            }
        }
        if aliases.len() > 0 {
            let before = self.aliases.len();
            self.aliases.extend(aliases.map(|alias| Called { text: alias.value, id, at: alias.at }));
            let more = self.aliases[before..].iter().map(|alias| Box::from(alias.text.as_ref()));
            let mut all: Vec<Box<str>> = person.aliases.iter().cloned().chain(more).collect();
            all.sort_unstable();
            all.dedup();
            person.aliases = all.into();
        }
    }

    /// The same from what is written in a table.
    pub(super) fn add_written(
        &mut self,
        id: UserId,
        name: &'c Key<Box<str>>,
        aliases: &'c Key<Vec<Placed<Box<str>>>>,
    ) {
        let borrowed =
            |text: &'c Placed<Box<str>>| Placed { value: Cow::Borrowed(&*text.value), at: text.at };
        let aliases = aliases.value().map_or(&[][..], Vec::as_slice);
        self.add(id, name.given().map(borrowed), aliases.iter().map(borrowed));
    }

    pub(super) fn into_map(self) -> HashMap<UserId, Person> {
        self.by_id
    }

    /// Says which aliases two users answer to, or are another user's name. It is a warning: every session is held all
    /// the same, only commands by that alias are refused; a slip in a phone number must not stop a reload.
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if self.aliases.is_empty() {
            return;
        }
        let mut taken: HashMap<&str, (UserId, Place)> =
            HashMap::with_capacity(self.names.len() + self.aliases.len());
        for name in &self.names {
            taken.entry(&name.text).or_insert((name.id, name.at));
        }
        let mut count = 0;
        let mut first_unlisted = None;
        for alias in &self.aliases {
            let (other, first) = *taken.entry(&alias.text).or_insert((alias.id, alias.at));
            if other == alias.id {
                continue;
            }
            count += 1;
            if count > LISTED_MAX {
                first_unlisted.get_or_insert(alias.at);
                continue;
            }
            let message = format!("two users answer to {}", shown(&alias.text));
            let problem = Problem::new(Code::AmbiguousAlias, alias.at, message)
                .label("second user")
                .also(first, "first user")
                .help("commands that change something refuse this name; use the id, or another alias");
            problems.push(problem);
        }
        if let Some(at) = first_unlisted {
            let message = format!("{} more aliases are two users'", count - LISTED_MAX);
            problems.push(Problem::new(Code::AmbiguousAlias, at, message).label("the first of them"));
        }
    }
}
