//! The JSON Schema, held to what the files are read by: `config.schema.json`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::*;
use crate::config::read::Schema;
use crate::config::schedule::entry;
use crate::config::schema::SCHEMA;
use crate::config::{credential, daemon, doors, file, group, notify, ping, users_from};

/// Each table of keys, and where the schema has it.
const TABLES: [(&Schema, &str); 22] = [
    (&file::MAIN, ""),
    (&daemon::DAEMON, "/properties/daemon"),
    (&doors::CONTROL, "/properties/control"),
    (&doors::TOKEN, "/properties/control/properties/tokens/items"),
    (&doors::HTTP, "/properties/http"),
    (&notify::NOTIFY, "/properties/notify/items"),
    (&ping::PING, "/properties/ping"),
    (&file::NETWORK, "/properties/network"),
    (&file::LOG, "/properties/log"),
    (&file::DEFAULTS, "/properties/defaults"),
    (&file::APP_DEFAULTS, "/properties/defaults/properties/app"),
    (&file::APP, "/properties/app/items"),
    (&file::USER, "/properties/user/items"),
    (&users_from::USERS_FROM, "/properties/users_from/items"),
    (&users_from::COLUMNS, "/properties/users_from/items/properties/columns"),
    (&group::GROUP, "/properties/group/items"),
    (&group::MEMBER, "/$defs/member"),
    (&users_from::MEMBERS_FROM, "/$defs/list"),
    (&entry::SCHEDULE, "/properties/schedule/items"),
    (&entry::WINDOW, "/$defs/window"),
    (&file::CLOUD, "/$defs/endpoints"),
    (&file::QUOTA, "/$defs/quota"),
];
const CREDENTIAL: (&Schema, &str) = (&credential::CREDENTIAL, "/$defs/credential");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// The keys that an object of the schema may have.
fn keys(object: &Value) -> BTreeSet<&str> {
    object["properties"].as_object().unwrap().keys().map(String::as_str).collect()
}

/// Where the objects of the schema are, those of conditions left out.
fn objects(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            if value["type"] == "object" {
                found.insert(at.to_owned());
            }
            map.iter().map(|(key, value)| (key.clone(), value)).collect()
        }
        Value::Array(items) => (0..).zip(items).map(|(n, item): (usize, _)| (n.to_string(), item)).collect(),
        _ => return,
    };
    for (key, value) in inner {
        objects(value, &format!("{at}/{key}"), found);
    }
}

#[test]
fn the_schema_knows_the_keys_that_files_are_read_by_and_no_others() {
    let schema = schema();
    let mut told = BTreeSet::new();
    for (table, at) in TABLES.into_iter().chain([CREDENTIAL]) {
        let object = schema.pointer(at).unwrap_or_else(|| panic!("{} is not at {at}", table.what));
        let known: BTreeSet<&str> = table.keys.iter().copied().collect();
        assert_eq!(keys(object), known, "{}", table.what);
        assert_eq!(object["additionalProperties"], false, "{}", table.what);
        for (key, value) in object["properties"].as_object().unwrap() {
            let value = value["$ref"].as_str().map_or(value, |to| schema.pointer(&to[1..]).unwrap());
            assert!(value["description"].is_string(), "{key} of {} is not described", table.what);
        }
        told.insert(at.to_owned());
    }
    let mut found = BTreeSet::new();
    objects(&schema, "", &mut found);
    assert_eq!(found, told, "each object of the schema is a table of keys");
    let included: BTreeSet<&str> = file::INCLUDED.keys.iter().copied().collect();
    assert!(included.is_subset(&keys(&schema)), "it holds for included files, too");
}

/// TOML as editors take it for JSON: a date is its text.
fn as_json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => json!(number),
        toml::Value::Boolean(is) => is.into(),
        toml::Value::Datetime(when) => when.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(as_json).collect(),
        toml::Value::Table(table) => {
            table.into_iter().map(|(key, value)| (key, as_json(value))).collect::<Map<_, _>>().into()
        }
    }
}

struct Editor(jsonschema::Validator);

impl Editor {
    fn new() -> Self {
        let schema = schema();
        assert!(jsonschema::meta::is_valid(&schema));
        Self(jsonschema::validator_for(&schema).unwrap())
    }

    /// What an editor underlines; of a text that is no TOML nothing is known.
    fn underlines(&self, text: &str) -> Option<Vec<String>> {
        let table: toml::Table = text.parse().ok()?;
        let config = as_json(table.into());
        Some(self.0.iter_errors(&config).map(|error| format!("{}: {error}", error.instance_path())).collect())
    }
}

#[test]
fn an_editor_underlines_nothing_in_good_configs() {
    let editor = Editor::new();
    let mut count = 0;
    let tenants = repository().join("docs/many-tenants");
    let included = std::fs::read_dir(tenants.join("conf.d")).unwrap().map(|entry| entry.unwrap().path());
    let alone = [repository().join("config.example.toml"), tenants.join("config.toml")];
    for path in alone.into_iter().chain(included) {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(editor.underlines(&text), Some(Vec::new()), "{}", path.display());
        count += 1;
    }
    assert_eq!(count, 14);
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let blocks = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for block in blocks {
        assert_eq!(editor.underlines(block), Some(Vec::new()), "{block}");
        count += 1;
    }
    assert!(count > 18, "{count}");
}

#[test]
fn of_the_bad_configs_an_editor_underlines_those_that_are_bad_by_themselves() {
    // What takes two tables, the files around the config, or arithmetic to see.
    const UNSEEN: [&str; 27] = [
        "ambiguous_alias",
        "app_twice",
        "asks_directory",
        "asks_directory_signed_in",
        "groups_disagree",
        "name_twice",
        "near_quota",
        "no_app",
        "no_effect",
        "no_state",
        "no_user",
        "ping",
        "schedule_calendar",
        "schedule_hidden",
        "schedule_never",
        "schedule_no_state",
        "schedule_unknown",
        "schedule_unused",
        "signed_in_users",
        "unfunded",
        "unknown_app",
        "user_twice",
        "users_from_columns",
        "users_from_headless",
        "users_from_many",
        "users_from_rows",
        "users_from_twice",
    ];
    let editor = Editor::new();
    let (mut unseen, mut no_toml) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(repository().join("tests/config/bad")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        match editor.underlines(&std::fs::read_to_string(&path).unwrap()) {
            None => drop(no_toml.insert(name)),
            Some(said) if said.is_empty() => drop(unseen.insert(name)),
            Some(_) => {}
        }
    }
    assert_eq!(unseen, UNSEEN.map(str::to_owned).into());
    assert_eq!(no_toml, ["key_given_twice", "secret_expires", "syntax"].map(str::to_owned).into());
}

/// Lines that are right, each with its table.
const GOOD: [(&str, &str); 69] = [
    ("", "include = []"),
    ("daemon", "state_dir = \"s\""),
    ("daemon", "on_stop = \"leave\""),
    ("daemon", "on_stop = \"clear\""),
    ("daemon", "stop_timeout = \"PT1M\""),
    ("daemon", "stop_timeout = \"1m 30s\""),
    ("daemon", "on_remove = \"leave\""),
    ("daemon", "on_remove = \"clear\""),
    ("daemon", "max_removed = \"0%\""),
    ("daemon", "max_removed = \"100 %\""),
    ("daemon", "start_with = \"last-good\""),
    ("daemon", "start_with = \"file\""),
    ("daemon", "reload = [\"sighup\"]"),
    ("ping", "url = \"https://watch.example.org/presenced?id=1\"\nevery = \"24h\""),
    ("ping", "url = \"http://127.0.0.1:8000/\"\nevery = \"10s\""),
    ("network", "proxy = \"none\""),
    ("network", "proxy = \"env\""),
    ("network", "proxy = \"HTTP://user:word@proxy.example.org:3128/\""),
    ("network", "ca_file = \"ca.pem\""),
    ("log", "users = \"id\""),
    ("log", "users = \"name\""),
    ("log", "users = \"hash\""),
    ("app", "cloud = \"global\""),
    ("app", "cloud = \"us-gov-l4\""),
    ("app", "cloud = \"us-gov-l5\""),
    ("app", "cloud = { graph = \"http://127.0.0.1:8000\", login = \"https://login.example.org/\" }"),
    ("app", "credential = { secret_env = \"{app}_SECRET\" }"),
    ("app", "credential = { certificate_file = \"c.pem\" }"),
    ("app", "credential = { certificate_file = \"c.pem\", key_file = \"c.key\" }"),
    ("app", "credential = { federated_token_file = \"/run/token\" }"),
    ("app", "credential = { managed_identity = true }"),
    ("app", "credential = { managed_identity = \"22553876-F5AB-4529-bffb-cfe50aa89f87\" }"),
    ("app", "credential = { delegated = true }"),
    ("app", "secret_expires = 2027-03-01"),
    ("app", "cae = true"),
    ("app", "quota = { requests = 10_000_000, per = \"1h\" }"),
    ("app", "name = \"a.b-c_1\""),
    ("user", "availability = \"availABLE\""),
    ("user", "activity = \"inacall\""),
    ("user", "activity = \"InAConferenceCall\"\navailability = \"BUSY\""),
    ("user", "availability = \"Away\""),
    ("user", "availability = \"DoNotDisturb\"\nactivity = \"presenting\""),
    ("user", "availability = \"None\""),
    ("user", "expiration = \"4 hours\""),
    ("user", "expiration = \"pt5m\""),
    ("user", "priority = -2147483648"),
    ("user", "name = \"J. Doe\""),
    ("user", "name = \"ß\""),
    ("user", "aliases = []"),
    ("user", "aliases = [\"2001\", \"help desk\"]"),
    ("defaults", "expiration = \"P0DT1H\""),
    ("defaults", "activity = \"Away\""),
    ("defaults.app", "secret_expires = 2027-03-01"),
    ("defaults", "timezone = \"America/Argentina/Buenos_Aires\""),
    ("user", "timezone = \"Etc/GMT+5\""),
    ("user", "schedules = []"),
    ("user", "id = \"reception@contoso.com\""),
    ("user", "id = \"anna_fabrikam.com#EXT#@contoso.onmicrosoft.com\""),
    ("group", "entra_group = \"fa8bf3dc-eca7-46b7-bad1-db199b62afc4\""),
    ("group", "members = [\"anna@contoso.com\", { id = \"ben@contoso.com\" }]"),
    ("group", "members = []"),
    (
        "group",
        "members = [\"fa8bf3dc-eca7-46b7-bad1-db199b62afc4\", { id = \"fa8bf3dc-eca7-46b7-bad1-db199b62afc5\", name = \"x\" }]",
    ),
    ("group", "members = []\nname = \"größe.1_a-b\""),
    ("schedule", "windows = [{ from = \"8:00\", to = \"24:00\" }]"),
    ("schedule", "windows = [{ days = \"mon, Wednesday-fri\", from = \"22:00\", to = \"06:00\" }]"),
    ("schedule", "start = \"*/30 8-17 * * Mon-Fri\"\nduration = \"20m\""),
    (
        "schedule",
        "windows = [{ from = \"08:00\", to = \"09:00\" }]\nexcept = [\"2026-12-24..2026-12-26\", \"2027-01-01\"]",
    ),
    ("schedule", "windows = [{ from = \"08:00\", to = \"09:00\" }]\npriority = -3"),
    ("schedule", "windows = [{ from = \"08:00\", to = \"09:00\" }]\ntimezone = \"Asia/Kathmandu\""),
];

/// Lines that are wrong by themselves.
const BAD: [(&str, &str); 61] = [
    ("", "include = \"conf.d/*.toml\""),
    ("", "include = [\"\"]"),
    ("", "daemon = 1"),
    ("daemon", "state_dir = \"\""),
    ("daemon", "on_stop = \"Leave\""),
    ("daemon", "stop_timeout = 10"),
    ("daemon", "stop_timeout = \"soon\""),
    ("daemon", "max_removed = \"101%\""),
    ("daemon", "max_removed = 20"),
    ("daemon", "start_with = \"last good\""),
    ("daemon", "reload = []"),
    ("daemon", "reload = [\"hup\"]"),
    ("network", "proxy = \"socks5://proxy.example.org\""),
    ("network", "ca_file = true"),
    ("log", "users = \"ID\""),
    ("app", "name = \"-a\""),
    ("app", "tenant = \"common\""),
    ("app", "cloud = \"Global\""),
    ("app", "cloud = { graph = \"https://graph.example.org\" }"),
    ("app", "credential = \"contoso.secret\""),
    ("app", "credential = {}"),
    ("app", "credential = { secret_file = \"\" }"),
    ("app", "credential = { secret_file = \"a\", secret_env = \"B\" }"),
    ("app", "credential = { secret_env = \"1A\" }"),
    ("app", "credential = { key_file = \"a.key\" }"),
    ("app", "credential = { managed_identity = false }"),
    ("app", "credential = { delegated = \"user\" }"),
    ("app", "secret_expires = 2027-03-01T00:00:00Z"),
    ("app", "cae = \"yes\""),
    ("app", "quota = { requests = 0, per = \"30s\" }"),
    ("app", "quota = { requests = 1500 }"),
    ("app", "quota = \"1500/30s\""),
    ("user", "id = \"reception\""),
    ("user", "id = \"front desk@contoso.com\""),
    ("user", "id = \"@contoso.com\""),
    ("group", "entra_group = \"all staff\""),
    ("user", "name = \" \""),
    ("user", "aliases = \"2001\""),
    ("user", "availability = \"Offline\""),
    ("user", "availability = \"Busy\""),
    ("user", "availability = \"busy\"\nactivity = \"Away\""),
    ("user", "availability = \"none\"\nactivity = \"Away\""),
    ("user", "activity = \"BeRightBack\""),
    ("user", "expiration = 60"),
    ("user", "priority = 1.5"),
    ("user", "priority = 2147483648"),
    ("defaults", "availability = true"),
    ("defaults.app", "name = \"contoso\""),
    ("defaults", "timezone = \"+02:00\""),
    ("user", "schedules = \"day\""),
    ("group", "name = \"x\""),
    ("group", "members = \"fa8bf3dc-eca7-46b7-bad1-db199b62afc4\""),
    ("group", "members = [\"anna\"]"),
    ("group", "members = [{ name = \"Anna\" }]"),
    ("group", "members = []\nname = \"a b\""),
    ("schedule", "priority = 1"),
    ("schedule", "windows = []"),
    ("schedule", "windows = [{ days = \"Mon-Fri\", from = \"08:00\" }]"),
    ("schedule", "start = \"0 8 * *\"\nduration = \"1h\""),
    ("schedule", "start = \"0 8 * * *\""),
    ("schedule", "windows = [{ from = \"08:00\", to = \"09:00\" }]\nexcept = [\"christmas\"]"),
];

/// A config with one line put into a table of its own.
fn with(table: &str, line: &str) -> String {
    let user = "[[user]]\nid = \"fa8bf3dc-eca7-46b7-bad1-db199b62afc3\"\n";
    let app = APP.trim_start().trim_start_matches("[defaults]\navailability = \"Available\"\n");
    let key = line.split(" =").next().unwrap();
    let app: String =
        app.lines().filter(|other| !other.starts_with(key)).map(|line| format!("{line}\n")).collect();
    match table {
        "" => format!("{line}\n{APP}{user}"),
        "app" => format!("[defaults]\navailability = \"Available\"\n{app}{line}\n{user}"),
        "user" if line.starts_with("id") => format!("{APP}[[user]]\n{line}\n"),
        "user" => format!("{APP}{user}{line}\n"),
        "defaults" => format!("[defaults]\n{line}\n{app}{user}availability = \"none\"\n"),
        "group" if line.contains("\nname") => format!("{APP}{user}[[group]]\n{line}\n"),
        "group" if key == "name" => format!("{APP}{user}[[group]]\n{line}\n"),
        "group" => format!("{APP}{user}[[group]]\nname = \"g\"\n{line}\n"),
        "schedule" => {
            let schedule = format!("[[schedule]]\nname = \"s\"\navailability = \"Away\"\n{line}\n");
            format!("{APP}{user}schedules = [\"s\"]\n{schedule}")
        }
        other => format!("[{other}]\n{line}\n{APP}{user}"),
    }
}

#[test]
fn the_schema_takes_the_values_that_the_reader_takes_and_refuses_those_that_it_refuses() {
    let editor = Editor::new();
    let cases = GOOD.iter().map(|case| (case, true)).chain(BAD.iter().map(|case| (case, false)));
    for ((table, line), good) in cases {
        let text = with(table, line);
        let found = problems(read(&text));
        assert_eq!(found.errors() == 0, good, "the reader: {line}\n{found:?}");
        let said = editor.underlines(&text).unwrap();
        assert_eq!(said.is_empty(), good, "the schema: {line}\n{said:#?}");
    }
}
