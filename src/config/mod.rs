//! Admits: from the files that an operator writes, TOML and CSV, to settings and the keeper's plan, or to problems that
//! say what would be right. It never touches the network, and never prints.
//!
//! Texts become trees (`syntax`), trees what may be written (`file`), and that the [`settings`] and the plan (`admit`).
//! Each step collects problems (`problem`) and goes on, so that one run finds all of them.

mod admit;
pub mod certificate;
mod credential;
mod csv;
mod daemon;
pub mod directory;
mod doors;
mod environment;
pub mod example;
mod file;
mod footprint;
mod group;
mod include;
pub mod notify;
pub mod origin;
mod ping;
mod private;
mod problem;
mod read;
pub mod resolve;
pub mod rota;
pub mod schedule;
pub mod schema;
pub mod secret;
pub mod settings;
mod source;
mod stated;
mod syntax;
mod users_from;
mod words;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::keeper::Plan;
use crate::keeper::id::LaneKey;
use admit::Admitted;
use directory::{Asks, Directory, Known};
use environment::Environment;
use problem::{Code, Problem, Severity};
use read::Reader;
use rota::Rotas;
use settings::Settings;
use source::{FileIx, Source};
use syntax::Tree;

pub use environment::Look;
pub use footprint::{Contents, Footprint, Stamps};
pub use problem::Problems;
pub use read::did_you_mean;
pub use source::{FILE_BYTES_MAX, Sources, TABLE_BYTES_MAX};

/// A config that was admitted.
#[derive(Debug)]
pub struct Loaded {
    /// Everything but the plan.
    pub settings: Settings,
    /// Every session that is wanted.
    ///
    /// Of those who follow a schedule it has the state that costs most, and funds them by that.
    pub plan: Plan,
    /// What they want at which time.
    pub rotas: Rotas,
    /// What it asks of the directories.
    pub asks: Asks,
    /// The lanes in which something of that was never said.
    pub unread: BTreeSet<LaneKey>,
    /// Warnings and notes; no errors.
    pub warnings: Problems,
    /// The files that it was read from; of CSV files only the columns that were asked for, because nobody who is to
    /// keep the files should have to keep the rest.
    pub sources: Sources,
}

/// The control socket of the daemon that runs on the file at `path`, also where that file has problems: whoever asks for
/// the daemon may well do so because of them.
#[must_use]
pub fn control_socket(path: &Path) -> PathBuf {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let (table, _) = DeTable::parse_recoverable(&text);
    let control = table.get_ref().get("control").and_then(|control| control.get_ref().as_table());
    let socket =
        control.and_then(|control| control.get("socket")).and_then(|socket| socket.get_ref().as_str());
    match socket {
        Some(socket) => path.parent().unwrap_or(Path::new("")).join(socket),
        None => PathBuf::from(admit::CONTROL_SOCKET),
    }
}

/// Reads the file at `path` and those it includes, and checks everything. Nobody is known who is there by the word of a
/// directory.
///
/// # Errors
///
/// All problems, the warnings among them, if one of them is an error.
pub fn load(path: &Path, look: Look) -> Result<Loaded, Problems> {
    load_known(path, look, &Directory::default())
}

/// The same with what the directories have said.
///
/// # Errors
///
/// As for [`load`].
pub fn load_known(path: &Path, look: Look, directory: &Directory) -> Result<Loaded, Problems> {
    load_in(path, Environment::of_process(look).as_ref(), directory)
}

/// The same from texts that are in hand: every file after the first is included, whatever the first one's `include`
/// says, but for those whose names end in `.csv`, `.tsv` or `.ics`: they are there for other entries to find. Relative
/// names are relative to the paths that the texts came from.
///
/// # Errors
///
/// As for [`load`].
pub fn load_sources(sources: Sources, look: Look) -> Result<Loaded, Problems> {
    load_sources_known(sources, look, &Directory::default())
}

/// The same with what the directories have said.
///
/// # Errors
///
/// As for [`load`].
pub fn load_sources_known(sources: Sources, look: Look, directory: &Directory) -> Result<Loaded, Problems> {
    load_sources_in(sources, Environment::of_process(look).as_ref(), directory)
}

fn load_in(
    path: &Path,
    environment: Option<&Environment<'_>>,
    directory: &Directory,
) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut footprint = Footprint::default();
    footprint.name(path);
    let main = match Source::read(path) {
        Ok(main) => main,
        Err(error) => {
            let message = format!("cannot read the config: {error}");
            let problem = Problem::new(Code::Unreadable, path.to_owned(), message);
            let mut sources = Sources::new(path, "");
            sources.footprint = footprint.into();
            return Err(Problems::new(sources, vec![problem]));
        }
    };
    let mut sources = Sources::from(main);
    sources.footprint = footprint.into();
    let main = sources.main().clone();
    let tree = Tree::parse(FileIx::MAIN, &main, &mut problems);
    let mut reader = Reader::new(FileIx::MAIN, &mut problems);
    let patterns = include::patterns(&mut reader, &tree.table);
    include::read_all(&patterns, &mut sources, &mut problems);
    finish(sources, tree, true, problems, environment, directory)
}

fn load_sources_in(
    sources: Sources,
    environment: Option<&Environment<'_>>,
    directory: &Directory,
) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let main = sources.main().clone();
    let tree = Tree::parse(FileIx::MAIN, &main, &mut problems);
    include::patterns(&mut Reader::new(FileIx::MAIN, &mut problems), &tree.table);
    finish(sources, tree, false, problems, environment, directory)
}

/// Reads the files, the main one already parsed, and admits what they say. `others`: whether the CSV files and calendars
/// are yet to be read.
fn finish(
    mut sources: Sources,
    main: Tree<'_>,
    others: bool,
    mut problems: Vec<Problem>,
    environment: Option<&Environment<'_>>,
    directory: &Directory,
) -> Result<Loaded, Problems> {
    let main_path = sources.main().path().display().to_string();
    let mut contents = Vec::with_capacity(sources.count());
    let mut complete = main.is_sound();
    contents.push(main.read(&main_path, &mut problems));
    for (file, source) in sources.files().skip(1) {
        if !source.is_toml() {
            contents.push(file::Contents::default());
            continue;
        }
        let tree = Tree::parse(file, source, &mut problems);
        complete &= tree.is_sound();
        contents.push(tree.read(&main_path, &mut problems));
    }
    complete &= !contents.iter().any(|contents| contents.apps_unread);
    if others {
        include::read_others(&contents, &mut sources, &mut problems);
    } else {
        include::check_others(&contents, &sources, &mut problems);
    }
    // Where a file could not be read, too, what seems to be missing may be in it.
    complete &= !problems.iter().any(|problem| problem.code == Code::Unreadable);
    let admitted = with_known(&contents, &sources, complete, environment, directory, &mut problems);
    let problems = Problems::new(sources.clone(), problems);
    match admitted {
        Some(Admitted { settings, plan, rotas, used, asks, .. }) if problems.errors() == 0 => {
            for (file, used) in used {
                if let Some(text) = used.only(sources.get(file).text()) {
                    sources.replace(file, text);
                }
            }
            let unread = directory.unread(&asks);
            Ok(Loaded { settings, plan, rotas, asks, unread, warnings: problems, sources })
        }
        _ => Err(problems),
    }
}

/// Admits the contents, those whom the directories know among them. What they say makes no other hash and no error.
fn with_known(
    contents: &[file::Contents],
    sources: &Sources,
    complete: bool,
    environment: Option<&Environment<'_>>,
    directory: &Directory,
    problems: &mut Vec<Problem>,
) -> Option<Admitted> {
    let before = problems.len();
    let admitted = admit::admit(contents, sources, complete, environment, Known::Anyone, problems)?;
    let is_bad = problems.iter().any(|problem| problem.code.severity() == Severity::Error);
    if admitted.asks.is_empty() || is_bad {
        return Some(admitted);
    }
    let hash = admitted.settings.hash;
    let mut directory = Cow::Borrowed(directory);
    let mut told = Vec::new();
    loop {
        problems.truncate(before);
        let known = Known::Said(&directory);
        let mut admitted = admit::admit(contents, sources, complete, environment, known, problems)?;
        if admitted.doubled.is_empty() {
            problems.append(&mut told);
            admitted.settings.hash = hash;
            return Some(admitted);
        }
        // Without those names, each of which is somebody who is there anyway.
        told.extend(problems.drain(before..).filter(|problem| problem.code == Code::SameUser));
        for name in &admitted.doubled {
            directory.to_mut().users.remove(name);
        }
    }
}

#[cfg(test)]
mod tests;
