//! How an app proves who it is, as it is written: `credential = { secret_file = "..." }`.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Code, Problem, holds_secret};
use super::read::{Key, Reader, Schema};
use super::settings::Identity;
use super::source::{Place, Placed};
use super::words;

/// The one way, and what it names. Paths may have `{app}` in them.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// A file with a client secret, as it is written.
    SecretFile(Placed<Box<str>>),
    /// An environment variable with one.
    SecretEnv(Placed<Box<str>>),
    /// A certificate's file, and that of its key where it is another.
    Certificate { certificate: Placed<Box<str>>, key: Option<Placed<Box<str>>> },
    /// A file with another identity provider's token.
    FederatedTokenFile(Placed<Box<str>>),
    /// An identity of the host in Azure.
    ManagedIdentity(Placed<Identity>),
    /// A user who signs in.
    SignedIn(Place),
}

pub(super) const CREDENTIAL: Schema = Schema {
    what: "credential",
    keys: &[
        "secret_file",
        "secret_env",
        "certificate_file",
        "key_file",
        "federated_token_file",
        "managed_identity",
        "delegated",
    ],
    later: &[],
    // Names under which people write the secret itself.
    special: &["secret", "client_secret", "password", "value", "token"],
};
const HELP: &str = "write the secret to a file that only the daemon may read, and name it: \
                    credential = { secret_file = \"contoso.secret\" }";
const ONE_OF: &str = "one of: secret_file, secret_env, certificate_file (and key_file), federated_token_file, \
                      managed_identity, delegated";

impl Way {
    /// Reads a `credential`. Nothing that it holds is repeated in a problem.
    pub(super) fn read(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Self> {
        let at = reader.place(value);
        let table = match value.get_ref() {
            DeValue::Table(table) => table,
            DeValue::String(_) => {
                reader.push(inline_secret(at));
                return None;
            }
            _ => {
                reader.wrong_type(value, "a table", Some(HELP));
                return None;
            }
        };
        reader.check_keys(table, &CREDENTIAL);
        for key in table.keys().filter(|key| CREDENTIAL.special.contains(&key.get_ref().as_ref())) {
            reader.push(inline_secret(reader.place(key)));
        }
        if table.is_empty() {
            let problem = Problem::new(Code::CredentialShape, at, "the credential is empty");
            reader.push(problem.help(ONE_OF));
        }
        let ways = ways(reader, table)?;
        one_of(reader, ways)
    }
}

/// All ways that are given; nothing where one of them is wrong, which was said.
fn ways(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Option<Vec<Placed<Way>>> {
    let key_file = reader.key(table, "key_file", file);
    let key = key_file.value().cloned();
    let ways = [
        reader.key(table, "secret_file", |reader, value| file(reader, value).map(Way::SecretFile)),
        reader.key(table, "secret_env", |reader, value| variable(reader, value).map(Way::SecretEnv)),
        reader.key(table, "certificate_file", |reader, value| {
            file(reader, value).map(|certificate| Way::Certificate { certificate, key })
        }),
        reader.key(table, "federated_token_file", |reader, value| {
            file(reader, value).map(Way::FederatedTokenFile)
        }),
        reader.key(table, "managed_identity", managed_identity),
        reader.key(table, "delegated", delegated),
    ];
    if let (Some(key), Key::Absent) = (key_file.given(), &ways[2]) {
        let message = "key_file is the key of a certificate, and there is none";
        reader.push(Problem::new(Code::CredentialShape, key.at, message).help("add certificate_file"));
        return None;
    }
    if matches!(key_file, Key::Bad) || ways.iter().any(|way| matches!(way, Key::Bad)) {
        return None;
    }
    Some(ways.iter().filter_map(Key::given).cloned().collect())
}

/// The only way; of several, the first two as they are written are shown.
fn one_of(reader: &mut Reader<'_>, mut ways: Vec<Placed<Way>>) -> Option<Way> {
    ways.sort_unstable_by_key(|way| way.at);
    if let [first, second, ..] = &ways[..] {
        let problem = Problem::new(Code::CredentialShape, second.at, "a credential is given one way");
        reader.push(problem.label("second way").also(first.at, "first way").help("take one of them out"));
        return None;
    }
    ways.pop().map(|way| way.value)
}

/// What is said wherever a secret seems to be written.
pub(super) fn inline_secret(at: Place) -> Problem {
    Problem::new(Code::InlineSecret, at, "a secret does not belong in the config")
        .label("not here")
        .help(HELP)
}

fn file(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Placed<Box<str>>> {
    let text = words::path(reader, value)?;
    let at = reader.place(value);
    if holds_secret(&text) {
        let problem =
            Problem::new(Code::InlineSecret, at, "a secret, key or token does not belong in the config");
        reader.push(
            problem.label("not here").help("write it to a file that only the daemon may read, and name that"),
        );
        return None;
    }
    Some(Placed { value: text, at })
}

fn variable(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Placed<Box<str>>> {
    let text = reader.string(value, "write the variable's name in quotes")?;
    let name = Placed { value: text, at: reader.place(value) };
    if holds_secret(text) {
        reader.push(inline_secret(name.at));
        return None;
    }
    // `{app}` is put in later; what an app's name may hold, `-` and `.`, a variable of a service may hold, too.
    let bare = text.replace(words::APP_PLACEHOLDER, "");
    let legal = !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !legal {
        let problem = Problem::new(Code::Malformed, name.at, "this is no name of an environment variable");
        reader.push(problem.label("letters, digits and `_`, first no digit"));
    }
    legal.then(|| Placed { value: text.into(), at: name.at })
}

/// `true`, or the client id of an identity that was assigned to the host.
fn managed_identity(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Way> {
    const HELP: &str =
        "true for the host's own identity, or \"the client id\" of one that was assigned to it";
    let at = reader.place(value);
    let identity = match value.get_ref() {
        DeValue::Boolean(true) => Identity::SystemAssigned,
        DeValue::Boolean(false) => return not_false(reader, at),
        DeValue::String(_) => Identity::UserAssigned(words::guid(reader, value, HELP)?),
        _ => {
            reader.wrong_type(value, "true or a string", Some(HELP));
            return None;
        }
    };
    Some(Way::ManagedIdentity(Placed { value: identity, at }))
}

/// `true`.
fn delegated(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Way> {
    let at = reader.place(value);
    match value.get_ref() {
        DeValue::Boolean(true) => Some(Way::SignedIn(at)),
        DeValue::Boolean(false) => not_false(reader, at),
        _ => {
            let help = "write true; the user is the one who signs in by `presenced login APP`";
            reader.wrong_type(value, "true", Some(help));
            None
        }
    }
}

fn not_false(reader: &mut Reader<'_>, at: Place) -> Option<Way> {
    let problem = Problem::new(Code::CredentialShape, at, "`false` is no way to prove who the app is");
    reader.push(problem.label("leave it out").help(ONE_OF));
    None
}
