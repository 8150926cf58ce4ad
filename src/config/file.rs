//! What may be written: one file of the config, read into typed values, each with its place. What is wrong with a
//! value alone is said here; what takes more than one table to see is said at [admission](super::admit).

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::daemon::Daemon;
use super::directory::Who;
use super::doors::{Control, Http};
use super::group::GroupEntry;
use super::notify::NotifyEntry;
use super::ping::Ping;
use super::problem::{Code, Problem};
use super::read::{Key, Reader, Schema, TOP_KEYS};
use super::schedule::entry::{Follows, ScheduleEntry, timezone};
use super::settings::{Cloud, LogUsers, Proxy};
use super::source::{FileIx, Place, Placed};
use super::stated::Stated;
use super::users_from::UsersFrom;
use super::{credential, words};
use crate::keeper::Quota;
use crate::keeper::id::Guid;

use credential::Way;

/// One file.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) daemon: Daemon,
    pub(super) network: Network,
    pub(super) control: Control,
    pub(super) http: Http,
    pub(super) ping: Ping,
    pub(super) log_users: Key<LogUsers>,
    pub(super) notify: Vec<NotifyEntry>,
    pub(super) defaults: Stated,
    /// `[defaults] timezone`.
    pub(super) timezone: Key<TimeZone>,
    /// `[defaults.app]`.
    pub(super) app_defaults: AppKeys,
    pub(super) apps: Vec<AppEntry>,
    /// There are apps, but not as apps are written.
    pub(super) apps_unread: bool,
    pub(super) users: Vec<UserEntry>,
    pub(super) users_from: Vec<UsersFrom>,
    pub(super) groups: Vec<GroupEntry>,
    pub(super) schedules: Vec<ScheduleEntry>,
}

/// `[network]`.
#[derive(Default)]
pub(super) struct Network {
    pub(super) proxy: Key<Proxy>,
    pub(super) ca_file: Key<Box<str>>,
}

/// What `[defaults.app]` and `[[app]]` have in common.
#[derive(Default)]
pub(super) struct AppKeys {
    pub(super) tenant: Key<Guid>,
    pub(super) client_id: Key<Guid>,
    pub(super) cloud: Key<Cloud>,
    pub(super) credential: Key<Way>,
    pub(super) secret_expires: Key<Date>,
    pub(super) cae: Key<bool>,
    pub(super) quota: Key<Quota>,
}

/// `[[app]]`.
pub(super) struct AppEntry {
    /// Its header.
    pub(super) at: Place,
    pub(super) name: Key<Box<str>>,
    pub(super) keys: AppKeys,
}

/// `[[user]]`.
pub(super) struct UserEntry {
    /// Its header.
    pub(super) at: Place,
    pub(super) id: Key<Who>,
    pub(super) name: Key<Box<str>>,
    pub(super) aliases: Key<Vec<Placed<Box<str>>>>,
    pub(super) app: Key<Box<str>>,
    pub(super) stated: Stated,
    pub(super) follows: Follows,
    pub(super) priority: Key<i32>,
}

pub(super) const MAIN: Schema = Schema { what: "the config", keys: TOP_KEYS, later: &[], special: &[] };
pub(super) const INCLUDED: Schema = Schema {
    what: "an included file",
    keys: &["defaults", "app", "user", "users_from", "group", "schedule"],
    later: &[],
    special: &["include", "daemon", "network", "log", "control", "http", "ping", "notify"],
};
pub(super) const NETWORK: Schema =
    Schema { what: "[network]", keys: &["proxy", "ca_file"], later: &[], special: &[] };
pub(super) const LOG: Schema = Schema { what: "[log]", keys: &["users"], later: &[], special: &[] };
pub(super) const DEFAULTS: Schema = Schema {
    what: "[defaults]",
    keys: &["app", "availability", "activity", "expiration", "timezone"],
    later: &[],
    special: &[],
};
pub(super) const APP_DEFAULTS: Schema = Schema {
    what: "[defaults.app]",
    keys: &["tenant", "client_id", "cloud", "credential", "secret_expires", "cae", "quota"],
    later: &[],
    special: &[],
};
pub(super) const APP: Schema = Schema {
    what: "[[app]]",
    keys: &["name", "tenant", "client_id", "cloud", "credential", "secret_expires", "cae", "quota"],
    later: &[],
    special: &[],
};
pub(super) const CLOUD: Schema =
    Schema { what: "cloud", keys: &["graph", "login"], later: &[], special: &[] };
pub(super) const QUOTA: Schema =
    Schema { what: "quota", keys: &["requests", "per"], later: &[], special: &[] };
pub(super) const USER: Schema = Schema {
    what: "[[user]]",
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

/// Graph's windows are 10 s and 30 s long; an hour is beyond what a limit of requests would be counted over.
const QUOTA_WINDOW: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);
/// Far above Graph's 130,000 for an app over all tenants.
const QUOTA_REQUESTS_MAX: i64 = 10_000_000;

impl Contents {
    /// Reads a file's tree; `main` is the path of the main file, for one that is included.
    pub(super) fn read(reader: &mut Reader<'_>, tree: &DeTable<'_>, main: &str) -> Self {
        if reader.file == FileIx::MAIN {
            reader.check_keys(tree, &MAIN);
        } else {
            check_included(reader, tree, main);
        }
        let mut contents = Self::default();
        if reader.file == FileIx::MAIN {
            contents.daemon =
                reader.table(tree, "daemon").map(|t| Daemon::read(reader, t)).unwrap_or_default();
            contents.network =
                reader.table(tree, "network").map(|t| Network::read(reader, t)).unwrap_or_default();
            contents.control =
                reader.table(tree, "control").map(|t| Control::read(reader, t)).unwrap_or_default();
            if let Some(http) = reader.table(tree, "http") {
                let at = tree.get("http").map(|value| reader.place(value));
                contents.http = Http::read(reader, http, at);
            }
            let notify = reader.tables(tree, "notify");
            contents.notify = notify.iter().map(|(t, at)| NotifyEntry::read(reader, t, *at)).collect();
            if let Some(ping) = reader.table(tree, "ping") {
                let at = tree.get("ping").map(|value| reader.place(value));
                contents.ping = Ping::read(reader, ping, at);
            }
            if let Some(log) = reader.table(tree, "log") {
                reader.check_keys(log, &LOG);
                contents.log_users = reader.key(log, "users", |reader, value| {
                    reader.choice(
                        value,
                        &[("id", LogUsers::Id), ("name", LogUsers::Name), ("hash", LogUsers::Hash)],
                    )
                });
            }
        }
        if let Some(defaults) = reader.table(tree, "defaults") {
            reader.check_keys(defaults, &DEFAULTS);
            contents.defaults = Stated::read(reader, defaults);
            contents.timezone = reader.key(defaults, "timezone", timezone);
            if let Some(app) = reader.table(defaults, "app") {
                reader.check_keys(app, &APP_DEFAULTS);
                contents.app_defaults = AppKeys::read(reader, app);
            }
        }
        contents.apps =
            reader.tables(tree, "app").iter().map(|(t, at)| AppEntry::read(reader, t, *at)).collect();
        contents.apps_unread = contents.apps.is_empty()
            && (reader.is_misspelt(tree, "app") || tree.get("app").is_some_and(|app| !is_empty(app)));
        contents.users =
            reader.tables(tree, "user").iter().map(|(t, at)| UserEntry::read(reader, t, *at)).collect();
        let users_from = reader.tables(tree, "users_from");
        contents.users_from = users_from.iter().map(|(t, at)| UsersFrom::read(reader, t, *at)).collect();
        let groups = reader.tables(tree, "group");
        contents.groups = groups.iter().map(|(t, at)| GroupEntry::read(reader, t, *at)).collect();
        let schedules = reader.tables(tree, "schedule");
        contents.schedules = schedules.iter().map(|(t, at)| ScheduleEntry::read(reader, t, *at)).collect();
        contents
    }
}

fn is_empty(value: &Spanned<DeValue<'_>>) -> bool {
    value.get_ref().as_array().is_some_and(|items| items.is_empty())
}

/// What belongs to the main file is an error of its own in an included one.
fn check_included(reader: &mut Reader<'_>, tree: &DeTable<'_>, main: &str) {
    reader.check_keys(tree, &INCLUDED);
    for key in tree.keys().filter(|key| INCLUDED.special.contains(&key.get_ref().as_ref())) {
        let (name, at) = (key.get_ref(), reader.place(key));
        reader.push(if name == "include" {
            Problem::new(Code::WrongFile, at, "an included file cannot include others")
                .label("one level only")
                .help(format!("add the pattern to `include` of {main}"))
        } else {
            Problem::new(Code::WrongFile, at, format!("`{name}` is a setting of the main file"))
                .label("not in an included file")
                .help(format!("move it to {main}"))
        });
    }
}

impl Network {
    fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Self {
        reader.check_keys(table, &NETWORK);
        Self {
            proxy: reader.key(table, "proxy", words::proxy),
            ca_file: reader.key(table, "ca_file", words::path),
        }
    }
}

impl AppKeys {
    /// Notes that what is missing may be in what could not be read.
    pub(super) fn doubt(&mut self) {
        self.tenant.doubt();
        self.client_id.doubt();
        self.cloud.doubt();
        self.credential.doubt();
        self.secret_expires.doubt();
        self.cae.doubt();
        self.quota.doubt();
    }

    fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Self {
        Self {
            tenant: reader.key(table, "tenant", |reader, value| {
                words::guid(
                    reader,
                    value,
                    "write the directory (tenant) id: the token endpoint takes no `common`, and a domain name may move",
                )
            }),
            client_id: reader.key(table, "client_id", |reader, value| {
                words::guid(reader, value, "write the application (client) id of the app registration")
            }),
            cloud: reader.key(table, "cloud", cloud),
            credential: reader.key(table, "credential", Way::read),
            secret_expires: reader.key(table, "secret_expires", words::date),
            cae: reader.key(table, "cae", words::boolean),
            quota: reader.key(table, "quota", quota),
        }
    }
}

impl AppEntry {
    fn read(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Place) -> Self {
        reader.check_keys(table, &APP);
        let name = reader.key(table, "name", words::app_name);
        Self { at, name, keys: AppKeys::read(reader, table) }
    }
}

impl UserEntry {
    fn read(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Place) -> Self {
        reader.check_keys(table, &USER);
        let (id, name, aliases) = words::person(reader, table);
        Self {
            at,
            id,
            name,
            aliases,
            app: reader.key(table, "app", words::app_named),
            stated: Stated::read(reader, table),
            follows: Follows::read(reader, table),
            priority: reader.key(table, "priority", words::priority),
        }
    }
}

/// A named cloud, or the roots of both services.
fn cloud(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Cloud> {
    const WORDS: [&str; 3] = ["global", "us-gov-l4", "us-gov-l5"];
    let at = reader.place(value);
    match value.get_ref() {
        DeValue::Table(table) => own_cloud(reader, table, at),
        DeValue::String(name) => {
            let cloud = Cloud::named(name);
            if cloud.is_none() {
                let problem = match name.to_lowercase().as_str() {
                    "china" | "cn" | "21vianet" | "mooncake" | "azurechina" | "azurechinacloud" => {
                        words::no_presence_in_china(at)
                    }
                    _ => {
                        let problem = super::read::unknown_word(at, "cloud", name, &WORDS);
                        let own =
                            "or your own endpoints: { graph = \"https://...\", login = \"https://...\" }";
                        problem.help("GCC is \"global\", GCC High \"us-gov-l4\", DoD \"us-gov-l5\"").help(own)
                    }
                };
                reader.push(problem);
            }
            cloud
        }
        _ => {
            reader.wrong_type(value, "a string or a table", Some("such as \"global\""));
            None
        }
    }
}

fn own_cloud(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Place) -> Option<Cloud> {
    reader.check_keys(table, &CLOUD);
    let began = reader.problems.len();
    let graph = reader.key(table, "graph", words::endpoint);
    let said = reader.problems.len();
    let login = reader.key(table, "login", words::endpoint);
    let in_china = |problem: &Problem| problem.code == Code::NoPresenceInChina;
    if reader.problems[began..said].iter().any(in_china) && reader.problems[said..].iter().all(in_china) {
        // One cloud, one problem.
        reader.problems.truncate(said);
    }
    let missing = [("`graph`", graph.is_absent()), ("`login`", login.is_absent())];
    let missing: Vec<&str> = missing.iter().filter(|(_, absent)| *absent).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        let message =
            format!("own endpoints need both `graph` and `login`, and have no {}", missing.join(", no "));
        reader.push(Problem::new(Code::MissingKey, at, message));
    }
    Some(Cloud { graph: graph.value()?.clone(), login: login.value()?.clone() })
}

fn quota(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Quota> {
    const HELP: &str = "write it as { requests = 1500, per = \"30s\" }";
    let Some(table) = value.get_ref().as_table() else {
        reader.wrong_type(value, "a table", Some(HELP));
        return None;
    };
    reader.check_keys(table, &QUOTA);
    let requests =
        reader.key(table, "requests", |reader, value| reader.integer(value, 1, QUOTA_REQUESTS_MAX));
    let per =
        reader.key(table, "per", |reader, value| words::duration(reader, value, QUOTA_WINDOW, "1s to 1h"));
    if requests.is_absent() || per.is_absent() {
        let message = "a quota needs both `requests` and `per`";
        reader.push(Problem::new(Code::MissingKey, reader.place(value), message).help(HELP));
    }
    let requests = requests.value().and_then(|n| u32::try_from(*n).ok())?;
    Some(Quota { requests, per: *per.value()? })
}
