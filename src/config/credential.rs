//! How an app proves who it is, as it is written: `credential = { secret_file = "..." }`.

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Code, Problem, looks_like_secret};
use super::read::{Key, Reader, Schema};
use super::source::{Place, Placed};

/// The one way, and what it names; `{app}` is not yet put in.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// A file, as it is written.
    SecretFile(Placed<Box<str>>),
    /// An environment variable.
    SecretEnv(Placed<Box<str>>),
}

const CREDENTIAL: Schema = Schema {
    what: "credential",
    keys: &["secret_file", "secret_env"],
    later: &["certificate_file", "federated_token_file", "managed_identity"],
    // Names under which people write the secret itself.
    special: &["secret", "client_secret", "password", "value", "token"],
};
const HELP: &str = "write the secret to a file that only the daemon may read, and name it: \
                    credential = { secret_file = \"contoso.secret\" }";

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
        let file = reader.key(table, "secret_file", file_name);
        let env = reader.key(table, "secret_env", variable_name);
        match (&file, &env) {
            (Key::Given(file), Key::Absent) => Some(Self::SecretFile(file.clone())),
            (Key::Absent, Key::Given(env)) => Some(Self::SecretEnv(env.clone())),
            (Key::Absent, Key::Absent) => {
                // What is there instead has been spoken of already.
                if table.is_empty() {
                    let problem = Problem::new(Code::CredentialShape, at, "the credential is empty");
                    reader.push(problem.help(HELP));
                }
                None
            }
            (Key::Bad, _) | (_, Key::Bad) => None,
            (Key::Given(file), Key::Given(env)) => {
                let problem = Problem::new(Code::CredentialShape, env.at, "a credential is given one way");
                reader.push(
                    problem.label("second way").also(file.at, "first way").help("take one of them out"),
                );
                None
            }
        }
    }
}

/// What is said wherever a secret seems to be written.
pub(super) fn inline_secret(at: Place) -> Problem {
    Problem::new(Code::InlineSecret, at, "a secret does not belong in the config")
        .label("not here")
        .help(HELP)
}

fn file_name(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Box<str>> {
    let text = super::words::path(reader, value)?;
    if looks_like_secret(&text) {
        reader.push(inline_secret(reader.place(value)));
        return None;
    }
    Some(text)
}

fn variable_name(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Box<str>> {
    let text = reader.string(value, "write the variable's name in quotes")?;
    let name = Placed { value: text, at: reader.place(value) };
    if looks_like_secret(text) {
        reader.push(inline_secret(name.at));
        return None;
    }
    // `{app}` is put in later; what an app's name may hold, `-` and `.`, a variable of a service may hold, too.
    let bare = text.replace(super::admit::APP_PLACEHOLDER, "");
    let legal = !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !legal {
        let problem = Problem::new(Code::Malformed, name.at, "this is no name of an environment variable");
        reader.push(problem.label("letters, digits and `_`, first no digit"));
    }
    legal.then(|| text.into())
}
