//! What may be written in `[daemon]`.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Code, Problem};
use super::read::{Key, Reader, Schema, not_built_yet};
use super::settings::{OnStop, StartWith};
use super::words;
use crate::keeper::OnRemove;

/// `[daemon]`.
#[derive(Default)]
pub(super) struct Daemon {
    pub(super) state_dir: Key<Box<str>>,
    pub(super) on_stop: Key<OnStop>,
    pub(super) stop_timeout: Key<Duration>,
    pub(super) on_remove: Key<OnRemove>,
    pub(super) max_removed: Key<u8>,
    pub(super) start_with: Key<StartWith>,
}

pub(super) const DAEMON: Schema = Schema {
    what: "[daemon]",
    keys: &["state_dir", "on_stop", "stop_timeout", "on_remove", "max_removed", "start_with", "reload"],
    later: &[],
    special: &[],
};

/// From 1 s; above 10 min a service manager would lose its patience first.
const STOP_TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);
impl Daemon {
    pub(super) fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Self {
        reader.check_keys(table, &DAEMON);
        reader.key(table, "reload", reload);
        Self {
            state_dir: reader.key(table, "state_dir", words::path),
            on_stop: reader.key(table, "on_stop", |reader, value| {
                reader.choice(value, &[("leave", OnStop::Leave), ("clear", OnStop::Clear)])
            }),
            stop_timeout: reader.key(table, "stop_timeout", |reader, value| {
                words::duration(reader, value, STOP_TIMEOUT, "1s to 10m")
            }),
            on_remove: reader.key(table, "on_remove", |reader, value| {
                reader.choice(value, &[("clear", OnRemove::Clear), ("leave", OnRemove::Leave)])
            }),
            max_removed: reader.key(table, "max_removed", words::percent),
            start_with: reader.key(table, "start_with", |reader, value| {
                reader.choice(value, &[("last-good", StartWith::LastGood), ("file", StartWith::File)])
            }),
        }
    }
}

/// `reload` has one legal value as yet, and nothing to keep of it.
fn reload(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<()> {
    let prompts = reader.strings(value, |reader, word| match word.value {
        "sighup" => Some(()),
        "watch" => {
            reader.push(not_built_yet(word.at, "reload on a change of the files (`watch`)"));
            None
        }
        other => {
            reader.push(super::read::unknown_word(word.at, "prompt", other, &["sighup"]));
            None
        }
    })?;
    if prompts.is_empty() {
        let problem = Problem::new(Code::OutOfRange, reader.place(value), "SIGHUP always reloads");
        reader.push(problem.label("at least \"sighup\""));
    }
    Some(())
}
