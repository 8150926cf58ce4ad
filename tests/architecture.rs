//! Holds the rooms to their one direction of imports.
#![allow(clippy::unwrap_used, reason = "not shipped")]

use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms of this crate each room may name.
const MAY_USE: [(&str, &[&str]); 5] = [
    ("keeper", &["keeper"]),
    ("config", &["config", "keeper"]),
    ("sandbox", &["sandbox", "keeper::time", "keeper::MonoTime"]),
    ("daemon", &["daemon", "config", "keeper"]),
    ("cli", &["cli", "daemon", "config", "sandbox", "keeper"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    found
}

/// Every path behind `crate::` in a source.
fn named(source: &str) -> Vec<String> {
    source
        .split("crate::")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect())
        .collect()
}

fn allowed(path: &str, may_use: &[&str]) -> bool {
    may_use
        .iter()
        .any(|room| path == *room || path.strip_prefix(room).is_some_and(|rest| rest.starts_with("::")))
}

#[test]
fn each_room_names_only_the_rooms_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for (room, may_use) in MAY_USE {
        let files = sources(&src.join(room));
        assert!(!files.is_empty(), "{room} has no sources");
        for file in files {
            let source = fs::read_to_string(&file).unwrap();
            for path in named(&source) {
                seen += 1;
                assert!(allowed(&path, may_use), "{} names crate::{path}", file.display());
            }
        }
    }
    assert!(seen > 10, "the test reads what it means to: {seen} paths");
}

#[test]
fn the_keeper_names_no_clock_runtime_or_logger() {
    let keeper = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/keeper");
    for file in sources(&keeper) {
        let source = fs::read_to_string(&file).unwrap();
        for word in
            ["tokio", "tracing", "Instant", "SystemTime", "std::fs", "std::net", "std::thread", "rand"]
        {
            let used = source.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
                line.split(|c: char| !c.is_alphanumeric() && c != ':' && c != '_')
                    .any(|w| w == word || w.starts_with(&format!("{word}::")))
            });
            assert!(!used, "{} uses {word}", file.display());
        }
    }
}

#[test]
fn the_rule_sees_a_wrong_import() {
    let wrong = named("use crate::daemon::clock::Clock;");
    assert!(!allowed(&wrong[0], MAY_USE[0].1));
    assert!(!allowed("keeper::plan::Plan", MAY_USE[2].1), "the sandbox may use the time type only");
}
