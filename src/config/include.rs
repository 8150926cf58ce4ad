//! Finds and reads the files that the main one includes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use toml::de::DeTable;

use super::problem::{Code, Problem};
use super::read::{Key, Reader};
use super::source::{Place, Placed, Source, Sources};

/// How many files a config may have. A provider has one for each of some hundred tenants; a pattern that matches more
/// than this was meant otherwise.
const FILES_MAX: usize = 10_000;

const MATCH: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Reads `include = [...]`.
pub(super) fn patterns(reader: &mut Reader<'_>, main: &DeTable<'_>) -> Vec<Placed<Box<str>>> {
    let patterns = reader.key(main, "include", |reader, value| {
        reader.strings(value, |reader, text| {
            let legal = !text.value.is_empty() && !text.value.contains('\0');
            if !legal {
                reader.push(Problem::new(Code::Malformed, text.at, "a path or a pattern is needed here"));
            }
            legal.then(|| Placed { value: text.value.into(), at: text.at })
        })
    });
    match patterns {
        Key::Given(patterns) => patterns.value,
        Key::Absent | Key::Bad => Vec::new(),
    }
}

/// Reads the files that match, in the order of the patterns and of their names, each once.
pub(super) fn read_all(patterns: &[Placed<Box<str>>], sources: &mut Sources, problems: &mut Vec<Problem>) {
    let directory = sources.main().directory().to_owned();
    let mut seen: HashSet<PathBuf> = sources.main().path().canonicalize().into_iter().collect();
    for pattern in patterns {
        for path in matches(&directory, pattern, problems) {
            let Some(same) = canonical(&path, pattern.at, problems) else { continue };
            if !seen.insert(same) {
                continue;
            }
            if sources.count() == FILES_MAX {
                let message = format!("more than {FILES_MAX} files are included");
                problems
                    .push(Problem::new(Code::Unreadable, pattern.at, message).label("the rest is not read"));
                return;
            }
            match Source::read(&path) {
                Ok(source) => sources.push(source),
                Err(error) => problems.push(unreadable(pattern.at, &path, &error.to_string())),
            }
        }
    }
}

/// The real path, so that one file is not read under two names.
fn canonical(path: &Path, at: Place, problems: &mut Vec<Problem>) -> Option<PathBuf> {
    match path.canonicalize() {
        Ok(path) => Some(path),
        Err(error) => {
            let why = super::source::Unreadable::from(error).to_string();
            problems.push(unreadable(at, path, &why));
            None
        }
    }
}

fn unreadable(at: Place, path: &Path, why: &str) -> Problem {
    Problem::new(Code::Unreadable, at, format!("cannot read {}: {why}", path.display()))
        .label("included here")
}

fn matches(directory: &Path, pattern: &Placed<Box<str>>, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let text = pattern.value.as_ref();
    if !text.contains(['*', '?', '[']) {
        let path = directory.join(text);
        if is_toml(&path) {
            return vec![path];
        }
        problems.push(not_toml(Code::WrongFile, pattern.at, &path));
        return Vec::new();
    }
    let whole = if Path::new(text).is_absolute() || directory.as_os_str().is_empty() {
        text.to_owned()
    } else {
        format!("{}/{text}", Pattern::escape(&directory.to_string_lossy()))
    };
    let found = match glob::glob_with(&whole, MATCH) {
        Ok(found) => found,
        Err(error) => {
            let problem = Problem::new(Code::Malformed, pattern.at, "this is no pattern");
            problems.push(problem.label(error.msg));
            return Vec::new();
        }
    };
    let mut paths = Vec::new();
    for path in found {
        match path {
            Ok(path) if path.is_dir() => {}
            Ok(path) if is_toml(&path) => paths.push(path),
            Ok(path) => problems.push(not_toml(Code::IncludeNotToml, pattern.at, &path)),
            Err(error) => problems.push(unreadable(pattern.at, error.path(), &error.error().to_string())),
        }
    }
    paths.sort();
    if paths.is_empty() {
        problems.push(
            Problem::new(Code::IncludeMatchesNothing, pattern.at, "this include matches no file")
                .label("nothing here")
                .help(format!("looked for {whole}; names that begin with a dot do not match")),
        );
    }
    paths
}

/// What is left behind by editors and package managers (`x.toml~`, `x.toml.rpmnew`) and a secret that lies beside the
/// config are no config.
fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

fn not_toml(code: Code, at: Place, path: &Path) -> Problem {
    Problem::new(code, at, format!("{} is not included: its name does not end in .toml", path.display()))
        .label("matches it")
        .help("name it *.toml, or include \"*.toml\"")
}
