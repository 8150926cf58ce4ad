//! The values that a config is written with: durations, GUIDs, names, addresses.

use std::time::Duration;

use jiff::civil::Date;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Url;

use super::directory::{Who, is_principal_name};
use super::problem::{Code, Problem, shown};
use super::read::{Key, Reader};
use super::settings::{Proxy, is_loopback};
use super::source::{Place, Placed};
use crate::keeper::Expiration;
use crate::keeper::id::Guid;

type Value<'i> = Spanned<DeValue<'i>>;

/// What stands for an app's name in a path or the name of a variable.
pub(super) const APP_PLACEHOLDER: &str = "{app}";

/// The longest name, alias or environment variable, in characters.
const NAME_CHARS_MAX: usize = 256;
/// The longest app name: it becomes part of file names and metrics.
const APP_NAME_CHARS_MAX: usize = 64;

/// Which GUID a user's is.
pub(super) const USER_ID_HELP: &str =
    "write the user's object id in Entra ID, or the user principal name, such as \"anna@contoso.com\"";

/// A GUID; `help` says which one is meant.
pub(super) fn guid(reader: &mut Reader<'_>, value: &Value<'_>, help: &str) -> Option<Guid> {
    let text = Placed { value: reader.string(value, help)?, at: reader.place(value) };
    guid_in(reader, text, help)
}

/// The same from a text.
pub(super) fn guid_in(reader: &mut Reader<'_>, text: Placed<&str>, help: &str) -> Option<Guid> {
    let guid = text.value.parse();
    if guid.is_err() {
        let problem = Problem::new(Code::NotAGuid, text.at, format!("{} is no GUID", shown(text.value)));
        reader.push(problem.label("32 hexadecimal digits as 8-4-4-4-12 are needed").help(help));
    }
    guid.ok()
}

/// A user, by object id or by user principal name.
pub(super) fn user(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Who> {
    let text = Placed { value: reader.string(value, USER_ID_HELP)?, at: reader.place(value) };
    user_in(reader, text)
}

/// The same from a text.
pub(super) fn user_in(reader: &mut Reader<'_>, text: Placed<&str>) -> Option<Who> {
    if !text.value.contains('@') {
        return guid_in(reader, text, USER_ID_HELP).map(Who::Id);
    }
    let legal = is_principal_name(text.value);
    if !legal {
        let message = format!("{} is no user principal name", shown(text.value));
        let problem = Problem::new(Code::NotAGuid, text.at, message);
        reader.push(problem.label("a name, `@` and a domain are needed, without spaces").help(USER_ID_HELP));
    }
    legal.then(|| Who::Named(text.value.into()))
}

/// A duration within bounds that the label of the problem names.
pub(super) fn duration(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    bounds: std::ops::RangeInclusive<Duration>,
    named: &str,
) -> Option<Duration> {
    let text = Placed { value: reader.string(value, DURATION_HELP)?, at: reader.place(value) };
    let duration = signed_duration(reader, text)?;
    let within = Duration::try_from(duration).ok().filter(|d| bounds.contains(d));
    if within.is_none() {
        let problem = Problem::new(Code::OutOfRange, reader.place(value), "duration is out of range");
        reader.push(problem.label(named));
    }
    within
}

/// How long a session lives: whole minutes, 5 to 240.
pub(super) fn expiration(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Expiration> {
    let text = Placed { value: reader.string(value, DURATION_HELP)?, at: reader.place(value) };
    expiration_in(reader, text)
}

/// The same from a text.
pub(super) fn expiration_in(reader: &mut Reader<'_>, text: Placed<&str>) -> Option<Expiration> {
    let duration = signed_duration(reader, text)?;
    let minutes = duration.as_secs() / 60;
    let whole = duration == SignedDuration::from_mins(minutes);
    let expiration = u64::try_from(minutes).ok().and_then(Expiration::from_minutes);
    match expiration {
        Some(expiration) if whole => return Some(expiration),
        Some(_) => {
            let problem = Problem::new(Code::OutOfRange, text.at, "expiration is not in whole minutes");
            reader.push(problem.label("whole minutes, 5 to 240"));
        }
        None => {
            let problem = Problem::new(Code::OutOfRange, text.at, "expiration is out of range");
            let minutes = if whole { format!("{minutes} minutes; ") } else { String::new() };
            reader.push(problem.label(format!("{minutes}Graph accepts PT5M to PT4H (5 to 240 minutes)")));
        }
    }
    None
}

const DURATION_HELP: &str = "write a duration as \"90m\", \"1h 30m\" or \"PT1H30M\"";

fn signed_duration(reader: &mut Reader<'_>, text: Placed<&str>) -> Option<SignedDuration> {
    let span = text.value.parse::<Span>();
    let read = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    if read.is_err() {
        let problem = Problem::new(Code::Malformed, text.at, format!("{} is no duration", shown(text.value)));
        reader.push(problem.label("cannot be read").help(DURATION_HELP));
    }
    read.ok()
}

/// A day; TOML has dates, without quotes.
pub(super) fn date(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Date> {
    const HELP: &str = "write the day alone and without quotes, year first: 2027-03-01";
    let written = value.get_ref().as_datetime().filter(|when| when.time.is_none() && when.offset.is_none());
    let Some(date) = written.and_then(|when| when.date) else {
        if value.get_ref().is_datetime() {
            let problem =
                Problem::new(Code::Malformed, reader.place(value), "a day is needed, without a time");
            reader.push(problem.help(HELP));
        } else {
            reader.wrong_type(value, "a date", Some(HELP));
        }
        return None;
    };
    let parts = (i16::try_from(date.year), i8::try_from(date.month), i8::try_from(date.day));
    let (Ok(year), Ok(month), Ok(day)) = parts else { return None };
    let date = Date::new(year, month, day);
    if date.is_err() {
        let problem = Problem::new(Code::Malformed, reader.place(value), "there is no such day");
        reader.push(problem.help(HELP));
    }
    date.ok()
}

/// `true` or `false`.
pub(super) fn boolean(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<bool> {
    let given = value.get_ref().as_bool();
    if given.is_none() {
        reader.wrong_type(value, "true or false", Some("without quotes"));
    }
    given
}

/// Who is funded first.
pub(super) fn priority(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<i32> {
    let number = reader.integer(value, i32::MIN.into(), i32::MAX.into())?;
    i32::try_from(number).ok()
}

/// The same from a text.
pub(super) fn priority_in(reader: &mut Reader<'_>, text: Placed<&str>) -> Option<i32> {
    let number = text.value.parse();
    if number.is_err() {
        let message = format!("{} is no priority", shown(text.value));
        let problem = Problem::new(Code::Malformed, text.at, message);
        reader.push(problem.label(format!("a whole number, {} to {}", i32::MIN, i32::MAX)));
    }
    number.ok()
}

/// A share in whole percent, `"0%"` to `"100%"`.
pub(super) fn percent(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<u8> {
    const HELP: &str = "write a whole percentage in quotes, such as \"20%\"";
    let text = reader.string(value, HELP)?;
    let number = text.strip_suffix('%').and_then(|digits| digits.trim_end().parse::<u8>().ok());
    let percent = number.filter(|n| *n <= 100);
    if percent.is_none() {
        let problem =
            Problem::new(Code::Malformed, reader.place(value), format!("{} is no share", shown(text)));
        reader.push(problem.label("0% to 100%").help(HELP));
    }
    percent
}

/// An app's name. It becomes part of paths (`{app}`), metrics and log fields, hence the few characters.
pub(super) fn app_name(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Box<str>> {
    let text = reader.string(value, "write the name in quotes")?;
    let legal = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= APP_NAME_CHARS_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !legal {
        let problem =
            Problem::new(Code::BadName, reader.place(value), format!("{} is no app name", shown(text)));
        reader.push(problem.label("letters, digits, `-`, `_` and `.`, first a letter or digit; at most 64"));
    }
    legal.then(|| text.into())
}

/// The app that a user names.
pub(super) fn app_named(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Box<str>> {
    reader.string(value, "write the app's name in quotes").map(Box::from)
}

/// What a person is called: a name or an alias.
pub(super) fn person_name(reader: &mut Reader<'_>, text: Placed<&str>) -> Option<Box<str>> {
    is_person_name(reader, text).then(|| text.value.into())
}

/// Whether a person may be called so; says why not.
pub(super) fn is_person_name(reader: &mut Reader<'_>, text: Placed<&str>) -> bool {
    let Placed { value: text, at } = text;
    let legal = !text.trim().is_empty()
        && text.trim() == text
        && text.chars().count() <= NAME_CHARS_MAX
        && !text.contains(char::is_control);
    if !legal {
        let problem = Problem::new(Code::BadName, at, "this cannot be a name");
        reader.push(problem.label("1 to 256 characters, no space at its ends, no control characters"));
    }
    legal
}

/// What a schedule or a group is called. It is named in commands and logs, hence no spaces.
pub(super) fn label(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Box<str>> {
    let text = reader.string(value, "write the name in quotes")?;
    let legal = text.starts_with(char::is_alphanumeric)
        && text.chars().count() <= APP_NAME_CHARS_MAX
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !legal {
        let message = format!("{} cannot be a name here", shown(text));
        let problem = Problem::new(Code::BadName, reader.place(value), message);
        reader.push(problem.label("letters, digits, `-`, `_` and `.`, first a letter or digit; at most 64"));
    }
    legal.then(|| text.into())
}

/// Id, name and aliases, as `[[user]]` and members of a group have them.
pub(super) fn person(reader: &mut Reader<'_>, table: &DeTable<'_>) -> PersonKeys {
    let id = reader.key(table, "id", user);
    let name = reader.key(table, "name", |reader, value| {
        let at = reader.place(value);
        let value = reader.string(value, "write the name in quotes")?;
        person_name(reader, Placed { value, at })
    });
    let aliases = reader.key(table, "aliases", |reader, value| {
        let alias = |reader: &mut Reader<'_>, text: Placed<&str>| {
            person_name(reader, text).map(|value| Placed { value, at: text.at })
        };
        reader.strings(value, alias)
    });
    (id, name, aliases)
}

/// Id, name and aliases.
type PersonKeys = (Key<Who>, Key<Box<str>>, Key<Vec<Placed<Box<str>>>>);

/// A path as it is written, `~` and variables not expanded.
pub(super) fn path(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Box<str>> {
    let text = reader.string(value, "write the path in quotes")?;
    let legal = !text.is_empty() && !text.contains('\0');
    if !legal {
        reader.push(Problem::new(Code::Malformed, reader.place(value), "a path is needed here"));
    }
    legal.then(|| text.into())
}

/// `none`, `env`, or the URL of an HTTP proxy.
pub(super) fn proxy(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Proxy> {
    const HELP: &str =
        "\"none\", \"env\" (HTTPS_PROXY and its like), or a URL such as \"http://proxy.example.org:3128\"";
    let text = reader.string(value, HELP)?;
    match text {
        "none" => return Some(Proxy::None),
        "env" => return Some(Proxy::Env),
        _ => {}
    }
    let problem = |what: &str| Problem::new(Code::Endpoint, reader.place(value), what).help(HELP);
    match parse_url(text)
        .filter(|url| matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none())
    {
        Some(url) if matches!(url.scheme(), "http" | "https") => return Some(Proxy::Url(url)),
        Some(_) => reader.push(problem("a proxy is reached by http or https")),
        None => reader.push(problem("this is no proxy")),
    }
    None
}

/// The root of a service: https, or http on loopback; a host and maybe a port, nothing else.
pub(super) fn endpoint(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Url> {
    const HELP: &str =
        "write the root alone, such as \"https://graph.microsoft.com\"; /v1.0 is added by itself";
    let text = reader.string(value, HELP)?;
    let at = reader.place(value);
    let Some(url) = parse_url(text) else {
        reader.push(Problem::new(Code::Endpoint, at, "this is no URL of a service").help(HELP));
        return None;
    };
    if url.host_str().is_some_and(is_in_china) {
        reader.push(no_presence_in_china(at));
        return None;
    }
    let wrong = match url.scheme() {
        "https" => None,
        "http" if is_loopback(&url) => None,
        "http" => Some("http is accepted on loopback only: a token would be readable on its way"),
        _ => Some("an endpoint is reached by https"),
    };
    let wrong = wrong.or(if !url.username().is_empty() || url.password().is_some() {
        Some("an endpoint takes no user name or password")
    } else if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        Some("an endpoint is a root: no path, no query")
    } else {
        None
    });
    match wrong {
        Some(wrong) => {
            reader.push(Problem::new(Code::Endpoint, at, wrong).help(HELP));
            None
        }
        None => Some(url),
    }
}

/// A URL that says what it seems to say: the parser would drop line breaks and turn back-slashes.
pub(super) fn parse_url(text: &str) -> Option<Url> {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let url = Url::parse(text).ok().filter(Url::has_host)?;
    let rest = text.get(url.scheme().len()..)?;
    (plain && rest.starts_with("://") && !rest.starts_with(":///")).then_some(url)
}

/// Hosts of the cloud that 21Vianet runs.
fn is_in_china(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    ["chinacloudapi.cn", "microsoftonline.cn", "azure.cn"]
        .iter()
        .any(|zone| host.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Source: the `setPresence` page of the Graph reference, "national cloud deployments".
pub(super) fn no_presence_in_china(at: Place) -> Problem {
    Problem::new(Code::NoPresenceInChina, at, "China's cloud, operated by 21Vianet, has no presence API")
        .label("nothing can be set there")
        .help("presence exists in \"global\", \"us-gov-l4\" and \"us-gov-l5\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_what_it_seems_to_say() {
        for text in [
            "https:\\\\evil.test",
            "https://a\n.test",
            "https:///a.test",
            "https:a.test",
            "https://",
            "https://a b.test",
            "data:text/plain,x",
            "",
        ] {
            assert!(parse_url(text).is_none(), "{text:?}");
        }
        assert!(parse_url("https://graph.microsoft.com").is_some());
        assert!(parse_url("http://[::1]:8000/").is_some());
    }
}
