//! The users of CSV files, row by row: nothing is kept of a row but its session, and what the user is called.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::LISTED_MAX;
use super::apps::{AppIx, Apps};
use super::table::{Table, Used};
use super::users::{Users, app_of};
use crate::config::file::Contents;
use crate::config::include::Tables;
use crate::config::problem::{Code, Problem};
use crate::config::read::{Key, Reader};
use crate::config::resolve::{Layer, wish};
use crate::config::source::{FileIx, Placed, Sources};
use crate::config::stated::{Stated, settle};
use crate::config::users_from::{Field, UsersFrom};
use crate::config::words;
use crate::keeper::SessionPlan;

/// What stands between the aliases of one cell. No locale has it between cells, and no telephone number in itself.
const BETWEEN_ALIASES: char = '|';

/// Adds the users of every `[[users_from]]`, and returns what was asked for of each file.
pub(super) fn admit<'c>(
    contents: &'c [Contents],
    sources: &'c Sources,
    apps: &Apps,
    complete: bool,
    users: &mut Users<'c>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<FileIx, Used> {
    let mut used = BTreeMap::new();
    let Some(main) = contents.first() else { return used };
    let tables = Tables::of(sources);
    for (file, entry) in
        contents.iter().flat_map(|file| file.users_from.iter().map(move |entry| (file, entry)))
    {
        let below = [
            Layer::built_in(),
            Layer::of(&main.defaults),
            Layer::of(&file.defaults),
            Layer::of(&entry.stated),
        ];
        let stateless = below[1..].iter().all(|layer| layer.state.is_none());
        let mut bare = 0;
        if entry.columns.is_empty() {
            continue;
        }
        let directory = sources.get(entry.at.file).directory();
        for (pattern, whose) in files(entry, apps, complete, problems) {
            let common = Common { entry, below, whose, apps, complete };
            for table in tables.matching(directory, &pattern) {
                bare += common.read(table, sources, users, &mut used, problems);
            }
        }
        if stateless && bare > 0 {
            let (s, have) = if bare == 1 { ("", "has") } else { ("s", "have") };
            let message = format!("{bare} user{s} of these files {have} no availability, nor has [defaults]");
            let problem = Problem::new(Code::NoState, entry.at, message).label("shown as Available");
            problems.push(problem.help("write availability here or in [defaults], \"none\" for no session"));
        }
    }
    used
}

/// Whose the users of a file are.
#[derive(Clone, Copy)]
enum Whose {
    /// This app's; nobody's, where that was complained of. A row may say otherwise.
    One(Option<AppIx>),
    /// Each row has to name its app, where there are several.
    AsRowsSay,
}

/// The paths and patterns of an entry, and whose users are there.
fn files(
    entry: &UsersFrom,
    apps: &Apps,
    complete: bool,
    problems: &mut Vec<Problem>,
) -> Vec<(Box<str>, Whose)> {
    if entry.is_for_each_app() {
        let of = |name: &str| Some((entry.file_of(name)?.value, Whose::One(apps.by_name(name))));
        return apps.names().into_iter().filter_map(of).collect();
    }
    let whose = if entry.has(Field::App) && entry.app.is_absent() {
        Whose::AsRowsSay
    } else {
        Whose::One(app_of(&entry.app, entry.at, apps, complete, problems))
    };
    entry.file.value().map(|file| (file.clone(), whose)).into_iter().collect()
}

/// What the rows of the files of one `[[users_from]]` have in common.
struct Common<'a> {
    entry: &'a UsersFrom,
    /// Weaker than what a row says.
    below: [Layer; 4],
    whose: Whose,
    apps: &'a Apps,
    complete: bool,
}

impl Common<'_> {
    /// Adds the users of one file and returns how many say nothing of a state. Of its problems the first are listed.
    fn read<'c>(
        &self,
        file: FileIx,
        sources: &'c Sources,
        users: &mut Users<'c>,
        used: &mut BTreeMap<FileIx, Used>,
        problems: &mut Vec<Problem>,
    ) -> usize {
        let mut found = Vec::new();
        let (mut unlisted, mut first_unlisted, mut bare) = (0, None, 0);
        let mut reader = Reader::new(file, &mut found);
        if let Some(mut table) = Table::open(sources.get(file), &self.entry.columns, &mut reader) {
            table.note(used);
            while let Some(usable) = table.next(&mut reader) {
                let has_state = usable && self.user(&table, users, &mut reader);
                bare += usize::from(usable && !has_state);
                if let Some(first) = reader.problems.get(LISTED_MAX) {
                    first_unlisted = first_unlisted.or(first.place());
                    unlisted += reader.problems.len() - LISTED_MAX;
                    reader.problems.truncate(LISTED_MAX);
                }
            }
        }
        problems.append(&mut found);
        if let Some(at) = first_unlisted {
            let message = format!("{unlisted} more problems in the rows of this file");
            let problem = Problem::new(Code::Row, at, message).label("the first of them");
            problems.push(problem.help("if it is every row: does `columns` name the right ones?"));
        }
        bare
    }

    /// Adds the user of the row at hand, if there is one, and returns whether its state is settled.
    fn user<'c>(&self, table: &Table<'c>, users: &mut Users<'c>, reader: &mut Reader<'_>) -> bool {
        let stated = stated(table, reader);
        let has_state = !stated.state.is_absent();
        let priority = table.value(Field::Priority).map(|text| words::priority_in(reader, borrowed(&text)));
        let app = match (key(table, Field::App), self.whose) {
            (Key::Absent, Whose::One(app)) => app,
            (named, _) => app_of(&named, table.row(), self.apps, self.complete, reader.problems),
        };
        let Some(id) = table.value(Field::Id) else {
            let problem = Problem::new(Code::MissingKey, table.row(), "this row has no id");
            reader.push(problem.label("whose is it?").help(words::USER_ID_HELP));
            return true;
        };
        let at = id.at;
        let id = words::guid_in(reader, borrowed(&id), words::USER_ID_HELP);
        let name = name(table, reader);
        let aliases = aliases(table, reader);
        if let Some(id) = id {
            users.people.add(id, name, aliases.into_iter());
        }
        if let (Some(id), Some(app)) = (id, app) {
            let [a, b, c, d] = self.below;
            let wish = wish(&[a, b, c, d, Layer::of(&stated)]);
            let priority = priority.flatten().or(self.entry.priority.value().copied()).unwrap_or(0);
            users.add(app, at, SessionPlan { priority, ..SessionPlan::new(id, wish) });
        }
        has_state || id.is_none()
    }
}

fn stated(table: &Table<'_>, reader: &mut Reader<'_>) -> Stated {
    let (availability, activity) = (key(table, Field::Availability), key(table, Field::Activity));
    let expiration = match table.value(Field::Expiration) {
        None => Key::Absent,
        Some(text) => match words::expiration_in(reader, borrowed(&text)) {
            Some(value) => Key::Given(Placed { value, at: text.at }),
            None => Key::Bad,
        },
    };
    Stated { state: settle(reader, &plain(&availability), &plain(&activity)), expiration }
}

fn name<'t>(table: &Table<'t>, reader: &mut Reader<'_>) -> Option<Placed<Cow<'t, str>>> {
    let Placed { value: mut text, at } = table.value(Field::Name)?;
    // Names come as a directory has them. A line break or a tab in one is nothing to refuse a million users for.
    if text.contains(char::is_control) {
        text = Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    words::is_person_name(reader, Placed { value: &text, at }).then_some(Placed { value: text, at })
}

fn aliases<'t>(table: &Table<'t>, reader: &mut Reader<'_>) -> Vec<Placed<Cow<'t, str>>> {
    let Some(Placed { value: text, at }) = table.value(Field::Aliases) else { return Vec::new() };
    let all: Vec<Cow<'t, str>> = match text {
        Cow::Borrowed(text) => text.split(BETWEEN_ALIASES).map(|one| Cow::Borrowed(one.trim())).collect(),
        Cow::Owned(text) => {
            text.split(BETWEEN_ALIASES).map(|one| Cow::Owned(one.trim().to_owned())).collect()
        }
    };
    let filled = all.into_iter().filter(|one| !one.is_empty());
    filled
        .filter(|one| words::is_person_name(reader, Placed { value: one, at }))
        .map(|value| Placed { value, at })
        .collect()
}

fn key<'t>(table: &Table<'t>, field: Field) -> Key<Cow<'t, str>> {
    table.value(field).map_or(Key::Absent, Key::Given)
}

fn plain<'k>(key: &'k Key<Cow<'_, str>>) -> Key<&'k str> {
    key.given().map_or(Key::Absent, |text| Key::Given(borrowed(text)))
}

fn borrowed<'k>(text: &'k Placed<Cow<'_, str>>) -> Placed<&'k str> {
    Placed { value: &text.value, at: text.at }
}
