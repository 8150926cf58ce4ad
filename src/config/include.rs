//! Finds and reads the files that a config names by a path or a pattern: those that the main one includes, and the
//! CSV files and calendars.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, Pattern};
use toml::de::DeTable;

use super::file::Contents;
use super::footprint::Footprint;
use super::problem::{Code, Problem, shown_path};
use super::read::{Key, Reader};
use super::source::{FileIx, Place, Placed, Source, Sources, is_calendar, is_table};

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

/// What a pattern is to find.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// What is left behind by editors and package managers (`x.toml~`, `x.toml.rpmnew`) and a secret that lies beside
    /// the config are no config.
    Toml,
    Table,
    /// An iCalendar file.
    Calendar,
}

impl Kind {
    fn takes(self, path: &Path) -> bool {
        match self {
            Self::Toml => path.extension().is_some_and(|extension| extension == "toml"),
            Self::Table => is_table(path),
            Self::Calendar => is_calendar(path),
        }
    }

    fn read(self, path: &Path) -> Result<Source, super::source::Unreadable> {
        match self {
            Self::Toml => Source::read(path),
            Self::Table => Source::read_table(path),
            Self::Calendar => Source::read_calendar(path),
        }
    }

    const fn named_at(self) -> &'static str {
        match self {
            Self::Toml => "included here",
            Self::Table | Self::Calendar => "named here",
        }
    }

    fn unreadable(self, at: Place, path: &Path, why: &str) -> Problem {
        Problem::new(Code::Unreadable, at, format!("cannot read {}: {why}", shown_path(path)))
            .label(self.named_at())
    }

    fn nothing(self, at: Place, looked_for: &str) -> Problem {
        let message = match self {
            Self::Toml => "this include matches no file",
            Self::Table => "this pattern matches no file: no users come from it",
            Self::Calendar => "this pattern matches no file: no exceptions come from it",
        };
        let looked_for = shown_path(Path::new(looked_for));
        let help = format!("looked for {looked_for}; names that begin with a dot do not match");
        Problem::new(Code::MatchesNothing, at, message).label("nothing here").help(help)
    }

    fn wrong_name(self, code: Code, at: Place, path: &Path) -> Problem {
        let path = shown_path(path);
        let (message, help) = match self {
            Self::Toml => (
                format!("{path} is not included: its name does not end in .toml"),
                "name it *.toml, or include \"*.toml\"",
            ),
            Self::Table => (
                format!("{path} is not read: its name does not end in .csv or .tsv"),
                "name it *.csv; a workbook is saved as \"CSV UTF-8\"",
            ),
            Self::Calendar => (
                format!("{path} is not read: its name does not end in .ics"),
                "a calendar is exported as iCalendar, *.ics",
            ),
        };
        Problem::new(code, at, message).label("matches it").help(help)
    }

    /// The files that match a pattern from the root on, whatever else does.
    pub(super) fn matching(self, whole: &str) -> Vec<PathBuf> {
        let found = glob::glob_with(whole, MATCH).into_iter().flatten().flatten();
        found.filter(|path| !path.is_dir() && self.takes(path)).collect()
    }

    /// The files that match, by name.
    fn find(
        self,
        directory: &Path,
        pattern: &Placed<Box<str>>,
        footprint: &mut Footprint,
        problems: &mut Vec<Problem>,
    ) -> Vec<PathBuf> {
        let Some(whole) = whole(directory, &pattern.value) else {
            let path = directory.join(pattern.value.as_ref());
            if self.takes(&path) {
                footprint.name(&path);
                return vec![path];
            }
            problems.push(self.wrong_name(Code::WrongFile, pattern.at, &path));
            return Vec::new();
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
                Ok(path) if self.takes(&path) => paths.push(path),
                Ok(path) => problems.push(self.wrong_name(Code::NotRead, pattern.at, &path)),
                Err(error) => {
                    problems.push(self.unreadable(pattern.at, error.path(), &error.error().to_string()));
                }
            }
        }
        paths.sort();
        footprint.pattern(self, &whole, &paths);
        if paths.is_empty() {
            problems.push(self.nothing(pattern.at, &whole));
        }
        paths
    }
}

/// A pattern from the root or the working directory on; nothing for what is a path and no pattern.
fn whole(directory: &Path, text: &str) -> Option<String> {
    is_pattern(text).then(|| {
        if Path::new(text).is_absolute() || directory.as_os_str().is_empty() {
            text.to_owned()
        } else {
            format!("{}/{text}", Pattern::escape(&directory.to_string_lossy()))
        }
    })
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Reads the files that match, in the order of the patterns and of their names, each once.
pub(super) fn read_all(patterns: &[Placed<Box<str>>], sources: &mut Sources, problems: &mut Vec<Problem>) {
    let directory = sources.main().directory().to_owned();
    let mut seen: HashSet<PathBuf> = sources.main().path().canonicalize().into_iter().collect();
    for pattern in patterns {
        for path in Kind::Toml.find(&directory, pattern, Arc::make_mut(&mut sources.footprint), problems) {
            let Some(same) = canonical(&path, pattern.at, problems) else { continue };
            if seen.insert(same) && !read_one(Kind::Toml, &path, pattern.at, sources, problems) {
                return;
            }
        }
    }
}

/// Reads the CSV files and calendars that the files name, each once, whoever asks for it.
pub(super) fn read_others(contents: &[Contents], sources: &mut Sources, problems: &mut Vec<Problem>) {
    let mut seen: HashSet<PathBuf> = HashSet::new();
    for (kind, pattern) in others(contents) {
        let directory = sources.get(pattern.at.file).directory().to_owned();
        for path in kind.find(&directory, &pattern, Arc::make_mut(&mut sources.footprint), problems) {
            if seen.insert(plain(&path)) && !read_one(kind, &path, pattern.at, sources, problems) {
                return;
            }
        }
    }
}

/// What is named besides TOML files, in the order in which it is read.
fn others(contents: &[Contents]) -> Vec<(Kind, Placed<Box<str>>)> {
    let tables = table_patterns(contents).into_iter().map(|pattern| (Kind::Table, pattern));
    let calendars = contents.iter().flat_map(|file| &file.schedules);
    let calendars = calendars.filter_map(|schedule| schedule.except_from.value()).flatten();
    tables.chain(calendars.map(|pattern| (Kind::Calendar, pattern.clone()))).collect()
}

/// The paths and patterns of every `[[users_from]]` and `members_from`, with the name of each app put in that has a place for it.
fn table_patterns(contents: &[Contents]) -> Vec<Placed<Box<str>>> {
    let apps: BTreeSet<&str> = contents
        .iter()
        .flat_map(|file| &file.apps)
        .filter_map(|app| app.name.value())
        .map(AsRef::as_ref)
        .collect();
    contents
        .iter()
        .flat_map(|file| file.users_from.iter().chain(file.groups.iter().flat_map(|group| &group.lists)))
        .flat_map(|entry| -> Vec<_> {
            if entry.is_for_each_app() {
                apps.iter().filter_map(|app| entry.file_of(app)).collect()
            } else {
                entry.file.given().cloned().into_iter().collect()
            }
        })
        .collect()
}

/// Says which of them are not among the files in hand. A pattern may match nothing.
pub(super) fn check_others(contents: &[Contents], sources: &Sources, problems: &mut Vec<Problem>) {
    let (tables, calendars) = (Found::of(sources, Kind::Table), Found::of(sources, Kind::Calendar));
    for (kind, pattern) in others(contents) {
        let found = if kind == Kind::Table { &tables } else { &calendars };
        let path = sources.get(pattern.at.file).directory().join(pattern.value.as_ref());
        if !is_pattern(&pattern.value) && !found.exact.contains_key(&plain(&path)) {
            problems.push(kind.unreadable(pattern.at, &path, "it is not among the files in hand"));
        }
    }
}

/// Reads a file. Returns whether there is room for more of them.
fn read_one(kind: Kind, path: &Path, at: Place, sources: &mut Sources, problems: &mut Vec<Problem>) -> bool {
    if sources.count() == FILES_MAX {
        let message = format!("the config has more than {FILES_MAX} files");
        problems.push(Problem::new(Code::Unreadable, at, message).label("the rest is not read"));
        return false;
    }
    match kind.read(path) {
        Ok(source) => sources.push(source),
        Err(error) => problems.push(kind.unreadable(at, path, &error.to_string())),
    }
    true
}

/// The real path, so that one file is not read under two names.
fn canonical(path: &Path, at: Place, problems: &mut Vec<Problem>) -> Option<PathBuf> {
    match path.canonicalize() {
        Ok(path) => Some(path),
        Err(error) => {
            let why = super::source::Unreadable::from(error).to_string();
            problems.push(Kind::Toml.unreadable(at, path, &why));
            None
        }
    }
}

/// The files of a kind among the sources. What an entry asks for is found by the names alone, so that a config that was
/// kept is the same without its directory.
pub(super) struct Found {
    by_path: Vec<(PathBuf, FileIx)>,
    exact: HashMap<PathBuf, FileIx>,
}

impl Found {
    pub(super) fn of(sources: &Sources, kind: Kind) -> Self {
        let files = sources.files().filter(|(_, source)| kind.takes(source.path()));
        let by_path: Vec<_> = files.map(|(file, source)| (plain(source.path()), file)).collect();
        let exact = by_path.iter().rev().cloned().collect();
        Self { by_path, exact }
    }

    /// Those that `pattern`, written in a file of `directory`, asks for.
    pub(super) fn matching(&self, directory: &Path, pattern: &str) -> Vec<FileIx> {
        let Some(whole) = whole(directory, pattern) else {
            return self.exact.get(&plain(&directory.join(pattern))).copied().into_iter().collect();
        };
        let whole = plain(Path::new(&whole));
        let Ok(pattern) = Pattern::new(&whole.to_string_lossy()) else { return Vec::new() };
        let matches = |(path, _): &&(PathBuf, FileIx)| pattern.matches_path_with(path, MATCH);
        self.by_path.iter().filter(matches).map(|(_, file)| *file).collect()
    }
}

/// Without `.` and doubled slashes, which patterns would take for names.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}
