//! `[[users_from]]` as it is written: which CSV files, what their columns are called, and what their users have in
//! common.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Code, Problem};
use super::read::{Key, Reader, Schema};
use super::schedule::entry::Follows;
use super::source::{Place, Placed};
use super::stated::Stated;
use super::words;

/// `[[users_from]]`.
pub(super) struct UsersFrom {
    /// Its header.
    pub(super) at: Place,
    /// A path or a pattern. With `{app}` in it, it is one for each app.
    pub(super) file: Key<Box<str>>,
    /// Which settings are columns of the files. The id is one, unless `columns` is wrong.
    pub(super) columns: Vec<Column>,
    pub(super) app: Key<Box<str>>,
    pub(super) stated: Stated,
    pub(super) follows: Follows,
    pub(super) priority: Key<i32>,
}

/// A setting that each row has for itself.
pub(super) struct Column {
    pub(super) field: Field,
    /// What the header calls it.
    pub(super) name: Placed<Box<str>>,
}

/// The settings of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Id,
    Name,
    Aliases,
    App,
    Availability,
    Activity,
    Expiration,
    Priority,
    Timezone,
    Schedules,
}

impl Field {
    pub(super) const COUNT: usize = Self::ALL.len();
    const ALL: [Self; 10] = [
        Self::Id,
        Self::Name,
        Self::Aliases,
        Self::App,
        Self::Availability,
        Self::Activity,
        Self::Expiration,
        Self::Priority,
        Self::Timezone,
        Self::Schedules,
    ];

    const fn key(self) -> &'static str {
        COLUMNS.keys[self as usize]
    }
}

/// What the column of the ids is called where `columns` does not say. It is the name in Entra ID's exports.
const ID_COLUMN: &str = "id";

pub(super) const USERS_FROM: Schema = Schema {
    what: "[[users_from]]",
    keys: &[
        "file",
        "columns",
        "app",
        "availability",
        "activity",
        "expiration",
        "priority",
        "timezone",
        "schedules",
    ],
    later: &[],
    special: &["id", "name", "aliases"],
};
/// `members_from`: what the members have in common stands in their group.
pub(super) const MEMBERS_FROM: Schema =
    Schema { what: "members_from", keys: &["file", "columns"], later: &[], special: &[] };
pub(super) const COLUMNS: Schema = Schema {
    what: "columns",
    keys: &[
        "id",
        "name",
        "aliases",
        "app",
        "availability",
        "activity",
        "expiration",
        "priority",
        "timezone",
        "schedules",
    ],
    later: &[],
    special: &[],
};

impl UsersFrom {
    /// Whether each row has this setting for itself.
    pub(super) fn has(&self, field: Field) -> bool {
        self.columns.iter().any(|column| column.field == field)
    }

    /// Whether the name of a file says whose users are in it.
    pub(super) fn is_for_each_app(&self) -> bool {
        self.file.value().is_some_and(|file| file.contains(words::APP_PLACEHOLDER))
    }

    /// The path or pattern with an app's name put in.
    pub(super) fn file_of(&self, app: &str) -> Option<Placed<Box<str>>> {
        let file = self.file.given()?;
        Some(Placed { value: file.value.replace(words::APP_PLACEHOLDER, app).into(), at: file.at })
    }

    pub(super) fn read(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Place) -> Self {
        reader.check_keys(table, &USERS_FROM);
        for key in table.keys().filter(|key| USERS_FROM.special.contains(&key.get_ref().as_ref())) {
            let (name, at) = (key.get_ref(), reader.place(key));
            let problem = Problem::new(Code::UnknownKey, at, format!("`{name}` differs from user to user"));
            let help = format!("say which column it is: columns = {{ {name} = \"...\" }}");
            reader.push(problem.label("not a key of [[users_from]]").help(help));
        }
        let entry = Self {
            app: reader.key(table, "app", words::app_named),
            stated: Stated::read(reader, table),
            follows: Follows::read(reader, table),
            priority: reader.key(table, "priority", words::priority),
            ..Self::read_list(reader, table, at, "this [[users_from]]")
        };
        entry.check_app(reader);
        entry
    }

    /// The same as a list of a group's members.
    pub(super) fn read_members(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Place) -> Self {
        reader.check_keys(table, &MEMBERS_FROM);
        Self::read_list(reader, table, at, "this `members_from`")
    }

    /// A list of a group's members by its path alone.
    pub(super) fn of_members(file: Placed<Box<str>>) -> Self {
        let at = file.at;
        Self { file: Key::Given(file), columns: with_id(Vec::new(), at), ..Self::nothing(at) }
    }

    fn nothing(at: Place) -> Self {
        Self {
            at,
            file: Key::Absent,
            columns: Vec::new(),
            app: Key::Absent,
            stated: Stated::default(),
            follows: Follows::default(),
            priority: Key::Absent,
        }
    }

    fn read_list(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Place, what: &str) -> Self {
        let file = reader.key(table, "file", words::path);
        if file.is_absent() {
            let problem = Problem::new(Code::MissingKey, at, format!("{what} has no `file`"));
            reader.push(problem.help("write a path, or a pattern such as \"users.d/*.csv\""));
        }
        let columns = match reader.key(table, "columns", columns) {
            Key::Given(columns) => with_id(columns.value, columns.at),
            Key::Absent => with_id(Vec::new(), at),
            Key::Bad => Vec::new(),
        };
        Self { file, columns, ..Self::nothing(at) }
    }
}

impl UsersFrom {
    /// Says where the app is given twice.
    fn check_app(&self, reader: &mut Reader<'_>) {
        let column = self.columns.iter().find(|column| column.field == Field::App);
        let second = self.app.given().map(|app| app.at).or(column.map(|column| column.name.at));
        if let (true, Some(second), Some(file)) = (self.is_for_each_app(), second, self.file.given()) {
            let problem =
                Problem::new(Code::WhichApp, second, "the name of the file says whose users they are");
            reader.push(problem.label("take it out").also(file.at, "`{app}` is one app's name"));
        }
    }
}

/// `{ id = "id", name = "displayName" }`.
fn columns(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Vec<Column>> {
    const HELP: &str = "write it as { id = \"id\", name = \"displayName\" }";
    let Some(table) = value.get_ref().as_table() else {
        reader.wrong_type(value, "a table", Some(HELP));
        return None;
    };
    reader.check_keys(table, &COLUMNS);
    let mut columns = Vec::new();
    let mut sound = table.keys().all(|key| COLUMNS.keys.contains(&key.get_ref().as_ref()));
    for field in Field::ALL {
        let name = reader.key(table, field.key(), |reader, value| {
            let name =
                reader.string(value, "write the column's name in quotes, as the header has it")?.trim();
            if name.is_empty() {
                let problem = Problem::new(Code::Malformed, reader.place(value), "a column's name is needed");
                reader.push(problem.help("leave the key out if there is no such column"));
            }
            (!name.is_empty()).then(|| Box::from(name))
        });
        match name {
            Key::Given(name) => columns.push(Column { field, name }),
            Key::Absent => {}
            Key::Bad => sound = false,
        }
    }
    sound.then_some(columns)
}

fn with_id(mut columns: Vec<Column>, at: Place) -> Vec<Column> {
    if columns.iter().all(|column| column.field != Field::Id) {
        let name = Placed { value: ID_COLUMN.into(), at };
        columns.insert(0, Column { field: Field::Id, name });
    }
    columns
}
