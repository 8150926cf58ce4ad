//! What may be written in `[ping]`: whom to call as long as all is well, so that silence is noticed.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Url;

use super::problem::{Code, Problem};
use super::read::{Key, Reader, Schema};
use super::settings::PingSettings;
use super::source::Place;
use super::words;

/// `[ping]`.
#[derive(Default)]
pub(super) struct Ping {
    /// It is there at all.
    pub(super) at: Option<Place>,
    pub(super) url: Key<Url>,
    pub(super) every: Key<Duration>,
}

pub(super) const PING: Schema = Schema { what: "[ping]", keys: &["url", "every"], later: &[], special: &[] };

/// More often is a burden for whoever is called; a day is what such services wait for at the longest.
const EVERY: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(24 * 3_600);
const EVERY_DEFAULT: Duration = Duration::from_secs(60);

impl Ping {
    pub(super) fn read(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Option<Place>) -> Self {
        reader.check_keys(table, &PING);
        Self {
            at,
            url: reader.key(table, "url", url),
            every: reader
                .key(table, "every", |reader, value| words::duration(reader, value, EVERY, "10s to 24h")),
        }
    }

    /// What it means; `None`: nobody is called.
    pub(super) fn admit(&self, problems: &mut Vec<Problem>) -> Option<PingSettings> {
        let at = self.at?;
        if self.url.is_absent() {
            let problem = Problem::new(Code::MissingKey, at, "[ping] needs `url`");
            problems.push(problem.help("url = \"https://watch.example.org/presenced\""));
        }
        let every = self.every.value().copied().unwrap_or(EVERY_DEFAULT);
        Some(PingSettings { url: self.url.value()?.clone(), every })
    }
}

/// https, or http on loopback. Its path may be what only we and they know.
fn url(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Url> {
    const HELP: &str = "a URL in quotes, such as \"https://watch.example.org/presenced\"";
    let text = reader.string(value, HELP)?;
    let wrong = match words::parse_url(text) {
        None => "this is no URL",
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            "this URL takes no user name or password"
        }
        Some(url) => match url.scheme() {
            "https" => return Some(url),
            "http" if super::settings::is_loopback(&url) => return Some(url),
            "http" => "http is accepted on loopback only: anyone on the way could call in our place",
            _ => "it is called by https",
        },
    };
    reader.push(Problem::new(Code::Endpoint, reader.place(value), wrong).help(HELP));
    None
}
