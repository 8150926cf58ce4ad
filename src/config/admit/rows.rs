//! The users of CSV files, row by row: nothing is kept of a row but its session, and what the user is called.

use std::borrow::Cow;

use super::LISTED_MAX;
use super::apps::{AppIx, Apps};
use super::groups::GroupIx;
use super::says::{Defaults, Says};
use super::table::Table;
use super::users::{Among, Users, app_of};
use crate::config::include::{Found, Kind};
use crate::config::problem::{Code, Problem};
use crate::config::read::{Key, Reader};
use crate::config::resolve::Layer;
use crate::config::schedule::entry::timezone_in;
use crate::config::source::{FileIx, Placed};
use crate::config::stated::{Stated, settle};
use crate::config::users_from::{Field, UsersFrom};
use crate::config::words;

/// What stands between the aliases or schedules of one cell. No locale has it between cells, and no telephone number in itself.
const BETWEEN: char = '|';

/// Adds the users of every `[[users_from]]`.
pub(super) fn admit<'c>(among: Among<'c>, users: &mut Users<'c>, problems: &mut Vec<Problem>) {
    let Among { contents, sources, apps, complete, .. } = among;
    let Some(main) = contents.first() else { return };
    let tables = Found::of(sources, Kind::Table);
    for (file, entry) in
        contents.iter().flat_map(|file| file.users_from.iter().map(move |entry| (file, entry)))
    {
        let says = among.says(&entry.stated, &entry.priority, &entry.follows, problems);
        let defaults = Defaults::of(main, file);
        let mut bare = 0;
        if entry.columns.is_empty() {
            continue;
        }
        let directory = sources.get(entry.at.file).directory();
        for (pattern, whose) in files(entry, apps, complete, problems) {
            let list = List { entry, among, whose, of: Of::Users { says: &says, defaults: &defaults } };
            for table in tables.matching(directory, &pattern) {
                bare += list.read(table, users, problems);
            }
        }
        if bare > 0 {
            let (s, have) = if bare == 1 { ("", "has") } else { ("s", "have") };
            let message = format!("{bare} user{s} of these files {have} no availability, nor has [defaults]");
            let problem = Problem::new(Code::NoState, entry.at, message).label("shown as Available");
            problems.push(problem.help("write availability here or in [defaults], \"none\" for no session"));
        }
    }
}

/// Adds the members that a list of a group has.
pub(super) fn members<'c>(
    among: Among<'c>,
    entry: &'c UsersFrom,
    group: (GroupIx, AppIx),
    users: &mut Users<'c>,
    problems: &mut Vec<Problem>,
) {
    let (group, app) = group;
    let file = if entry.is_for_each_app() {
        among.apps.get(app).and_then(|app| entry.file_of(&app.app.name)).map(|file| file.value)
    } else {
        entry.file.value().cloned()
    };
    if let Some(column) = entry.columns.iter().find(|column| column.field == Field::App) {
        let problem =
            Problem::new(Code::WhichApp, column.name.at, "the group says whose users its members are");
        problems.push(problem.label("take it out"));
        return;
    }
    let (Some(file), false) = (file, entry.columns.is_empty()) else { return };
    let directory = among.sources.get(entry.at.file).directory();
    for table in Found::of(among.sources, Kind::Table).matching(directory, &file) {
        List { entry, among, whose: Whose::One(Some(app)), of: Of::Group(group) }
            .read(table, users, problems);
    }
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
        Whose::One(app_of(&entry.app, entry.at, "list of users", apps, complete, problems))
    };
    entry.file.value().map(|file| (file.clone(), whose)).into_iter().collect()
}

/// What the rows of a file are for.
#[derive(Clone, Copy)]
enum Of<'l> {
    /// Users, and what holds for those that do not say otherwise.
    Users { says: &'l Says, defaults: &'l Defaults },
    /// Members.
    Group(GroupIx),
}

/// What the rows of the files of one entry have in common.
struct List<'c, 'l> {
    entry: &'c UsersFrom,
    among: Among<'c>,
    whose: Whose,
    of: Of<'l>,
}

impl<'c> List<'c, '_> {
    /// Adds the users of one file and returns of how many nothing says a state. Of its problems the first are listed.
    fn read(&self, file: FileIx, users: &mut Users<'c>, problems: &mut Vec<Problem>) -> usize {
        let mut found = Vec::new();
        let (mut unlisted, mut first_unlisted, mut bare) = (0, None, 0);
        let mut reader = Reader::new(file, &mut found);
        if let Some(mut table) = Table::open(self.among.sources.get(file), &self.entry.columns, &mut reader) {
            table.note(&mut users.used);
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

    /// Adds the user of the row at hand, if there is one, and returns whether anything says a state.
    fn user(&self, table: &Table<'c>, users: &mut Users<'c>, reader: &mut Reader<'_>) -> bool {
        let row = self.says(table, reader);
        let app = match (key(table, Field::App), self.whose) {
            (Key::Absent, Whose::One(app)) => app,
            (named, _) => {
                let Among { apps, complete, .. } = self.among;
                app_of(&named, table.row(), "user", apps, complete, reader.problems)
            }
        };
        let Some(id) = table.value(Field::Id) else {
            let problem = Problem::new(Code::MissingKey, table.row(), "this row has no id");
            reader.push(problem.label("whose is it?").help(words::USER_ID_HELP));
            return true;
        };
        let at = id.at;
        let id = words::user_in(reader, borrowed(&id));
        let name = name(table, reader);
        let aliases = aliases(table, reader);
        let Some(value) = id else { return true };
        let who = Placed { value, at };
        let found = match app {
            Some(app) => users.named.find(self.among, app, &who, reader.problems),
            None => who.as_id(),
        };
        let Some(id) = found else { return true };
        users.people.add(id.value, name, aliases.into_iter());
        users.called(id, &who);
        let Some(app) = app else { return true };
        match self.of {
            Of::Users { says, defaults } => users.add(app, id, defaults, &[says, &row]),
            Of::Group(group) => {
                users.groups.join(group, app, id, Some(row).filter(Says::says_anything));
                true
            }
        }
    }

    /// What the row at hand says.
    fn says(&self, table: &Table<'_>, reader: &mut Reader<'_>) -> Says {
        let stated = stated(table, reader);
        let priority = table.value(Field::Priority).map(|text| words::priority_in(reader, borrowed(&text)));
        let zone = table.value(Field::Timezone).and_then(|text| timezone_in(reader, borrowed(&text)));
        let schedules = table.value(Field::Schedules).map(|text| {
            let names = text.value.split(BETWEEN).map(str::trim).filter(|name| !name.is_empty());
            let names: Vec<_> = names.map(|value| Placed { value, at: text.at }).collect();
            self.among.schedules.named(&names, self.among.complete, reader.problems)
        });
        Says {
            layer: Layer::of(&stated),
            states: !stated.state.is_absent(),
            priority: priority.flatten(),
            zone,
            schedules,
        }
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
        Cow::Borrowed(text) => text.split(BETWEEN).map(|one| Cow::Borrowed(one.trim())).collect(),
        Cow::Owned(text) => text.split(BETWEEN).map(|one| Cow::Owned(one.trim().to_owned())).collect(),
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
