//! What may be written in `[[group]]`: who belongs to it, and what they have in common.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::directory::Who;
use super::problem::{Code, Problem};
use super::read::{Key, Reader, Schema};
use super::schedule::entry::Follows;
use super::source::{Place, Placed};
use super::stated::Stated;
use super::users_from::{Field, UsersFrom};
use super::words;
use crate::keeper::id::Guid;

/// `[[group]]`.
pub(super) struct GroupEntry {
    /// Its header.
    pub(super) at: Place,
    pub(super) name: Key<Box<str>>,
    pub(super) app: Key<Box<str>>,
    pub(super) stated: Stated,
    pub(super) follows: Follows,
    pub(super) priority: Key<i32>,
    pub(super) members: Key<Vec<Member>>,
    /// A group of the directory whose members are members of this one.
    pub(super) entra_group: Key<Guid>,
    /// Lists of members.
    pub(super) lists: Vec<UsersFrom>,
}

/// One member, by the id alone or with what the user is called.
pub(super) struct Member {
    pub(super) id: Placed<Who>,
    pub(super) name: Key<Box<str>>,
    pub(super) aliases: Key<Vec<Placed<Box<str>>>>,
}

pub(super) const GROUP: Schema = Schema {
    what: "[[group]]",
    keys: &[
        "name",
        "app",
        "availability",
        "activity",
        "expiration",
        "priority",
        "timezone",
        "schedules",
        "members",
        "members_from",
        "entra_group",
    ],
    later: &[],
    special: &[],
};
pub(super) const MEMBER: Schema =
    Schema { what: "a member", keys: &["id", "name", "aliases"], later: &[], special: &[] };

const MEMBERS_HELP: &str =
    "write object ids or user principal names, or tables { id = \"...\", name = \"...\" }";

impl GroupEntry {
    /// Whether any of its members may have aliases.
    pub(super) fn names_aliases(&self) -> bool {
        let members = self.members.value().map(Vec::as_slice).unwrap_or_default();
        members.iter().any(|member| !member.aliases.is_absent())
            || self.lists.iter().any(|list| list.has(Field::Aliases))
    }

    pub(super) fn read(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Place) -> Self {
        reader.check_keys(table, &GROUP);
        let name = reader.key(table, "name", words::label);
        if name.is_absent() {
            let problem = Problem::new(Code::MissingKey, at, "this group has no `name`");
            reader.push(problem.help("commands name it as @name"));
        }
        let members = reader.key(table, "members", members);
        let lists = match table.get("members_from") {
            Some(value) => lists(reader, value),
            None => Vec::new(),
        };
        let entra_group = reader.key(table, "entra_group", |reader, value| {
            words::guid(reader, value, "write the object id of the group in Entra ID")
        });
        if members.is_absent() && entra_group.is_absent() && table.get("members_from").is_none() {
            let problem = Problem::new(Code::MissingKey, at, "this group has no members");
            reader.push(problem.help(
                "write `members`, a list of object ids, `members_from`, a CSV file, or `entra_group`, a group's object id",
            ));
        }
        Self {
            at,
            name,
            app: reader.key(table, "app", words::app_named),
            stated: Stated::read(reader, table),
            follows: Follows::read(reader, table),
            priority: reader.key(table, "priority", words::priority),
            members,
            entra_group,
            lists,
        }
    }
}

fn members(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Vec<Member>> {
    let Some(items) = value.get_ref().as_array() else {
        reader.wrong_type(value, "a list of members", Some(MEMBERS_HELP));
        return None;
    };
    let mut members = Vec::with_capacity(items.len());
    for item in items.iter() {
        members.extend(member(reader, item));
    }
    (members.len() == items.len()).then_some(members)
}

fn member(reader: &mut Reader<'_>, item: &Spanned<DeValue<'_>>) -> Option<Member> {
    let at = reader.place(item);
    match item.get_ref() {
        DeValue::Table(table) => {
            reader.check_keys(table, &MEMBER);
            let (id, name, aliases) = words::person(reader, table);
            if id.is_absent() {
                let problem = Problem::new(Code::MissingKey, at, "this member has no `id`");
                reader.push(problem.help(words::USER_ID_HELP));
            }
            let id = id.given().cloned()?;
            Some(Member { id, name, aliases })
        }
        DeValue::String(_) => {
            let value = words::user(reader, item)?;
            Some(Member { id: Placed { value, at }, name: Key::Absent, aliases: Key::Absent })
        }
        _ => {
            reader.wrong_type(item, "a member", Some(MEMBERS_HELP));
            None
        }
    }
}

/// One list or several, each a path, or a table with the file and its columns.
fn lists(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Vec<UsersFrom> {
    let mut list = |item: &Spanned<DeValue<'_>>| {
        let at = reader.place(item);
        match item.get_ref() {
            DeValue::Table(table) => Some(UsersFrom::read_members(reader, table, at)),
            DeValue::String(_) => {
                let file = words::path(reader, item)?;
                Some(UsersFrom::of_members(Placed { value: file, at }))
            }
            _ => {
                const HELP: &str = "write a path, or { file = \"...\", columns = { id = \"...\" } }";
                reader.wrong_type(item, "a CSV file", Some(HELP));
                None
            }
        }
    };
    match value.get_ref() {
        DeValue::Array(items) => items.iter().filter_map(list).collect(),
        _ => list(value).into_iter().collect(),
    }
}
