//! A `[[users_from]]`, and behind lines of `%%%` the CSV files that it may name: `users.csv`, `more.csv`, `third.tsv`.
//! What holds of every config holds of it; and what is kept of a file is no more than the columns that were asked for,
//! however often it is read.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use presenced::config::Sources;
use presenced_fuzz::{APP, read, with_secret};

const TABLES: [&str; 3] = ["users.csv", "more.csv", "third.tsv"];

fuzz_target!(|input: &str| -> Corpus {
    let Some(text) = with_secret(input) else { return Corpus::Reject };
    let mut parts = text.split("\n%%%\n");
    let asked = parts.next().unwrap_or_default();
    let sources = Sources::new("config.toml", format!("{APP}[[users_from]]\n{asked}"));
    let tables: Vec<_> = TABLES.into_iter().zip(parts).collect();
    let sources = tables.iter().fold(sources, |sources, (name, table)| sources.with(*name, *table));
    if let Ok(loaded) = read(sources) {
        let lines: usize = tables.iter().map(|(_, table)| table.split('\n').count()).sum();
        let users: usize = loaded.plan.lanes().iter().map(|lane| lane.sessions.len()).sum();
        // The others are written into the config itself.
        assert!(users <= lines + asked.matches("id").count(), "{users} users in {lines} lines");
    }
    Corpus::Keep
});
