//! What may be written in `[control]` and `[http]`: how others reach the daemon.

use std::net::SocketAddr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Code, Problem, shown};
use super::read::{Key, Reader, Schema};
use super::settings::Rights;
use super::source::{Place, Placed};
use super::words;

/// `[control]`.
#[derive(Default)]
pub(super) struct Control {
    pub(super) socket: Key<Box<str>>,
    pub(super) group: Key<Box<str>>,
    pub(super) listen: Key<SocketAddr>,
    pub(super) certificate_file: Key<Box<str>>,
    pub(super) key_file: Key<Box<str>>,
    pub(super) tokens: Key<Vec<TokenEntry>>,
}

/// One of `[control] tokens`.
#[derive(Clone)]
pub(super) struct TokenEntry {
    pub(super) at: Place,
    pub(super) name: Key<Box<str>>,
    pub(super) file: Key<Box<str>>,
    pub(super) may: Key<Rights>,
    pub(super) apps: Key<Vec<Placed<Box<str>>>>,
}

/// `[http]`.
#[derive(Default)]
pub(super) struct Http {
    /// It is there at all.
    pub(super) at: Option<Place>,
    pub(super) listen: Key<SocketAddr>,
    pub(super) tolerate: Key<u8>,
}

pub(super) const CONTROL: Schema = Schema {
    what: "[control]",
    keys: &["socket", "group", "listen", "certificate_file", "key_file", "tokens"],
    later: &[],
    special: &[],
};
pub(super) const TOKEN: Schema =
    Schema { what: "a token", keys: &["name", "file", "may", "apps"], later: &[], special: &[] };
pub(super) const HTTP: Schema =
    Schema { what: "[http]", keys: &["listen", "tolerate"], later: &[], special: &[] };

/// Longest path of a Unix socket, in bytes: `sun_path` has 108, the last of them zero (unix(7)).
pub(super) const SOCKET_BYTES_MAX: usize = 107;

type Value<'i> = Spanned<DeValue<'i>>;

impl Control {
    pub(super) fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Self {
        reader.check_keys(table, &CONTROL);
        Self {
            socket: reader.key(table, "socket", words::path),
            group: reader.key(table, "group", group),
            listen: reader.key(table, "listen", address),
            certificate_file: reader.key(table, "certificate_file", words::path),
            key_file: reader.key(table, "key_file", words::path),
            tokens: reader.key(table, "tokens", tokens),
        }
    }
}

impl Http {
    pub(super) fn read(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Option<Place>) -> Self {
        reader.check_keys(table, &HTTP);
        Self {
            at,
            listen: reader.key(table, "listen", address),
            tolerate: reader.key(table, "tolerate", words::percent),
        }
    }
}

fn group(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Box<str>> {
    let text = reader.string(value, "write the group's name in quotes")?;
    let legal = !text.is_empty() && text.len() <= 255 && !text.contains([':', '\n', '\0', ',']);
    if !legal {
        let problem =
            Problem::new(Code::BadName, reader.place(value), format!("{} is no group", shown(text)));
        reader.push(problem.help("the name of a group of this machine, or its number"));
    }
    legal.then(|| text.into())
}

/// An address and a port; names are not resolved.
fn address(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<SocketAddr> {
    const HELP: &str = "an IP address and a port in quotes, such as \"127.0.0.1:9464\" or \"[::1]:9464\"";
    let text = reader.string(value, HELP)?;
    let address = text.parse().ok();
    if address.is_none() {
        let problem = Problem::new(
            Code::Malformed,
            reader.place(value),
            format!("{} is no address to listen on", shown(text)),
        );
        reader.push(problem.help(HELP));
    }
    address
}

fn tokens(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Vec<TokenEntry>> {
    const HELP: &str = "write it as [{ name = \"pbx\", file = \"pbx.token\", may = [\"override\"] }]";
    let Some(items) = value.get_ref().as_array() else {
        reader.wrong_type(value, "a list of tables", Some(HELP));
        return None;
    };
    let mut tokens = Vec::with_capacity(items.len());
    for item in items.iter() {
        match item.get_ref().as_table() {
            Some(table) => tokens.push(TokenEntry::read(reader, table, reader.place(item))),
            None => reader.wrong_type(item, "a table", Some(HELP)),
        }
    }
    Some(tokens)
}

impl TokenEntry {
    fn read(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Place) -> Self {
        reader.check_keys(table, &TOKEN);
        Self {
            at,
            name: reader.key(table, "name", words::app_name),
            file: reader.key(table, "file", words::path),
            may: reader.key(table, "may", rights),
            apps: reader.key(table, "apps", |reader, value| {
                reader.strings(value, |_, app| Some(Placed { value: Box::from(app.value), at: app.at }))
            }),
        }
    }
}

fn rights(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Rights> {
    let mut rights = Rights::default();
    let words = reader.strings(value, |reader, word| {
        match word.value {
            "read" => rights.read = true,
            "override" => rights.overrides = true,
            "operate" => rights.operate = true,
            other => {
                let words = ["read", "override", "operate"];
                reader.push(super::read::unknown_word(word.at, "right", other, &words));
                return None;
            }
        }
        Some(())
    })?;
    if words.is_empty() {
        let problem = Problem::new(Code::OutOfRange, reader.place(value), "a token that may do nothing");
        reader.push(problem.help("rights: \"read\", \"override\" (states of calls), \"operate\" (all else)"));
        return None;
    }
    Some(rights)
}
