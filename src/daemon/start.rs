//! How a daemon comes up: from the file, the ledger and the archive to the parts that it is started from.
//!
//! Start is a reload from the ledger's plan to the file's. A file that is refused is replaced by the last one that was
//! accepted, unless `start_with` says otherwise. It blocks: it runs before anything else does.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use toml::de::DeTable;

use super::archive::{self, Accepted};
use super::clock::Clock;
use super::directory::{self, Book};
use super::driver::{Kept, Parts};
use super::lanes::{Ways, ways_for};
use super::ledger;
use super::logging;
use super::overrides::{Overrides, scribe};
use super::reload::{Before, ConfigFile, Refused, prepare};
use super::state_dir::{StateDir, StateDirError};
use super::systemd::Systemd;
use crate::config::directory::Directory;
use crate::config::settings::Settings;
use crate::config::{self, Loaded, Look, Problems};
use crate::keeper::event::RestoredLane;
use crate::keeper::id::LaneKey;
use crate::keeper::{MonoTime, Plan};

/// Where state is kept when no config can be read that says so.
const DEFAULT_STATE_DIR: &str = "/var/lib/presenced";

/// Why a daemon does not come up.
#[derive(thiserror::Error)]
pub enum StartError {
    /// The file is refused, and no older config stands in.
    #[error("the config is refused: {}; no older one stands in: {why_alone}", problems.first_line())]
    Refused {
        /// All that is wrong.
        problems: Box<Problems>,
        /// Why no older config stands in.
        why_alone: String,
    },
    /// It must not run with these options.
    #[error("{0}")]
    Usage(String),
    /// The config is good, and cannot be run.
    #[error("{}", .0.first)]
    Unrunnable(Refused),
    /// The state directory is not to be had.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The file is refused, and what stands in for it is in a state directory that is not to be had.
    #[error("the config is refused: {first}; and no older one can stand in: {source}")]
    NoStandIn {
        /// The first problem of the file.
        first: String,
        /// What is wrong with the directory.
        source: StateDirError,
    },
    /// The ledger cannot be listed.
    #[error("the ledger in {} cannot be read: {source}", path.display())]
    Ledger {
        /// Its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// As it is displayed: problems hold whole files.
impl std::fmt::Debug for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Reads everything, takes the state directory, and says loudly what is not as it should be. The directory is this
/// process's alone as long as the second part is kept.
///
/// # Errors
/// Why the daemon cannot come up.
pub fn parts(file: ConfigFile, clock: Clock, systemd: Systemd) -> Result<(Parts, StateDir), StartError> {
    let (loaded, state, last_good) = match file.load(&Directory::default()) {
        Ok(loaded) => {
            let state = StateDir::lock(&loaded.settings.daemon.state_dir)?;
            (loaded, state, None)
        }
        Err(problems) => {
            let (loaded, state, at) = stand_in(problems, &file)?;
            (loaded, state, Some(at))
        }
    };
    file.admit(&loaded.settings).map_err(|refused| StartError::Usage(refused.first))?;
    let directory = earlier_directory(&state, &loaded);
    let loaded = with_known(loaded, &directory, state.path());
    let (wall, now) = (clock.wall(), clock.now());
    let leases = state.leases();
    let found = ledger::load(&leases, wall, now)
        .map_err(|source| StartError::Ledger { path: leases.clone(), source })?;
    for damage in &found.damage {
        logging::ledger_damaged(damage);
    }
    if found.files == 0 && archive::has_any(&state.accepted()) {
        logging::ledger_missing(&leases);
    }
    let older_ways = older_ways(&state.accepted(), &found.lanes, &loaded.settings);
    let old = Plan::of_restored(&found.lanes);
    let first = prepare(loaded, Before::Ledger(&old), &clock, false).map_err(StartError::Unrunnable)?;
    let overrides = earlier_overrides(state.path(), wall, now);
    let kept = Kept { state: state.path().to_owned(), leases, accepted: state.accepted() };
    let parts = Parts {
        clock,
        first,
        restored: found.lanes,
        older_ways,
        config: Some(file),
        kept: Some(kept),
        systemd,
        last_good,
        overrides,
        directory,
    };
    Ok((parts, state))
}

/// The overrides and releases of an earlier run. What cannot be read of them must not keep the sessions from being kept.
fn earlier_overrides(state: &Path, wall: SystemTime, now: MonoTime) -> Overrides {
    match scribe::load(state, wall, now) {
        Ok((overrides, 0)) => overrides,
        Ok((overrides, damaged)) => {
            logging::overrides_damaged(damaged, None);
            overrides
        }
        Err(error) => {
            logging::overrides_damaged(0, Some(&error));
            Overrides::default()
        }
    }
}

/// What the directories have said to an earlier run, where the config asks something. What cannot be read of it is read
/// anew.
fn earlier_directory(state: &StateDir, loaded: &Loaded) -> Book {
    if loaded.asks.is_empty() {
        return Book::default();
    }
    let mut book = directory::load(state.path()).unwrap_or_else(|error| {
        logging::directory_damaged(&error);
        Book::default()
    });
    book.retain(&loaded.asks);
    book
}

/// A config with what the directories have said.
fn with_known(loaded: Loaded, book: &Book, state: &Path) -> Loaded {
    if loaded.asks.is_empty() {
        return loaded;
    }
    let known = config::load_sources_known(loaded.sources.clone(), Look::Variables, &book.known());
    // It was admitted a moment ago, and what directories say makes no config wrong.
    let Ok(mut known) = known else { return loaded };
    known.settings.keep_in(state);
    // That one has looked at the credentials, too.
    known.warnings = loaded.warnings;
    known
}

/// The last accepted config, its state directory, and when it was accepted.
fn stand_in(problems: Problems, file: &ConfigFile) -> Result<(Loaded, StateDir, String), StartError> {
    let refused =
        |problems, why: String| Err(StartError::Refused { problems: Box::new(problems), why_alone: why });
    let wishes = Wishes::of(&problems);
    if wishes.file_only {
        return refused(problems, "[daemon] start_with = \"file\"".to_owned());
    }
    let path = file.state_dir.clone().or(wishes.state_dir).unwrap_or_else(fallback_state_dir);
    if !path.is_dir() {
        return refused(problems, format!("there is no state_dir {}", path.display()));
    }
    let locked = StateDir::lock(&path);
    let state = locked.map_err(|source| StartError::NoStandIn { first: problems.first_line(), source })?;
    match load_accepted(&state.accepted(), file.path.as_path(), wishes.known || file.state_dir.is_some()) {
        Err(why) => refused(problems, why),
        Ok((mut loaded, Accepted { at, .. })) => {
            loaded.settings.keep_in(&path);
            let at = Timestamp::try_from(at).map_or_else(|_| "?".to_owned(), |at| format!("{at:.0}"));
            let hash = loaded.settings.hash;
            logging::running_on_last_good(hash, &at, problems.errors(), &problems.first_line());
            Ok((loaded, state, at))
        }
    }
}

/// The last accepted config. Where nothing says that this is the state directory of `file`, it must be of that file:
/// a path that was mistyped is not to bring up another daemon's sessions.
fn load_accepted(dir: &Path, file: &Path, is_of_file: bool) -> Result<(Loaded, Accepted), String> {
    let accepted = archive::last(dir).map_err(|error| error.to_string())?;
    let main = accepted.sources.iter().next().map(|(path, _)| path);
    if let Some(other) = main.filter(|main| !is_of_file && *main != file) {
        return Err(format!("the last accepted config in {} is that of {}", dir.display(), other.display()));
    }
    // Its secrets may be what is wrong: then fetching a token says so, and what is held is held as long as it lasts.
    config::load_sources(accepted.sources.clone(), Look::Variables)
        .map(|loaded| (loaded, accepted))
        .map_err(|problems| format!("the last accepted config is refused, too: {}", problems.first_line()))
}

/// Ways for lanes of the ledger that the config no longer names, from the configs before it.
fn older_ways(accepted: &Path, lanes: &[RestoredLane], settings: &Settings) -> Ways {
    let mut missing: BTreeSet<LaneKey> = lanes.iter().map(|lane| lane.key.clone()).collect();
    for app in &settings.apps {
        missing.remove(&app.lane());
    }
    let mut ways = Ways::new();
    for older in [archive::last, archive::before_last] {
        if missing.is_empty() {
            break;
        }
        // An archive that cannot be read helps nobody here; the lane is reported when it opens without a way.
        let Ok(older) = older(accepted) else { continue };
        let Ok(loaded) = config::load_sources(older.sources, Look::Variables) else {
            continue;
        };
        let apps = loaded.settings.apps.iter().filter(|app| missing.contains(&app.lane()));
        if let Ok(mut found) = ways_for(apps, &loaded.settings.network) {
            missing.retain(|key| !found.contains_key(key));
            ways.append(&mut found);
        }
    }
    ways
}

/// What can be read of `[daemon]` in a file that is refused, also for its syntax.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wishes {
    /// The file was there to be read; when it names no `state_dir`, the default is meant.
    known: bool,
    state_dir: Option<PathBuf>,
    file_only: bool,
}

impl Wishes {
    fn of(problems: &Problems) -> Self {
        let sources = problems.sources();
        sources.iter().next().map_or_else(Self::default, |(path, text)| Self::in_text(path, text))
    }

    fn in_text(path: &Path, text: &str) -> Self {
        let (table, _) = DeTable::parse_recoverable(text);
        let daemon = table.get_ref().get("daemon").and_then(|daemon| daemon.get_ref().as_table());
        let word = |key| daemon?.get(key)?.get_ref().as_str();
        let directory = path.parent().unwrap_or(Path::new(""));
        let state_dir = word("state_dir").filter(|dir| !dir.is_empty()).map(|dir| directory.join(dir));
        Self { known: true, state_dir, file_only: word("start_with") == Some("file") }
    }
}

/// What systemd made for the service, or the default.
fn fallback_state_dir() -> PathBuf {
    let made = std::env::var("STATE_DIRECTORY").ok();
    let first = made.as_deref().and_then(|dirs| dirs.split(':').next()).filter(|dir| !dir.is_empty());
    PathBuf::from(first.unwrap_or(DEFAULT_STATE_DIR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_dir_and_start_with_are_found_in_a_file_with_a_syntax_error_elsewhere() {
        let text = "[daemon]\nstate_dir = \"state\"\nstart_with = \"file\"\n\n[[user]]\nid = \"unfinished\nname = \"x\"\n";
        let wishes = Wishes::in_text(Path::new("/etc/presenced/config.toml"), text);
        assert_eq!(wishes.state_dir, Some(PathBuf::from("/etc/presenced/state")));
        assert!(wishes.file_only);
    }

    #[test]
    fn a_file_that_says_nothing_leaves_the_choice() {
        let free = Wishes { known: true, ..Wishes::default() };
        for text in ["", "[daemon", "daemon = 3", "[daemon]\nstate_dir = 7\nstart_with = \"last-good\""] {
            assert_eq!(Wishes::in_text(Path::new("c.toml"), text), free, "{text}");
        }
    }

    #[test]
    fn a_guessed_directory_must_have_the_config_of_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        archive::keep(dir.path(), &config::example::sources("/etc/a.toml"), std::time::UNIX_EPOCH).unwrap();
        let load = |file: &str, is_of_file| load_accepted(dir.path(), Path::new(file), is_of_file).map(drop);
        let why = load("/etc/b.toml", false).unwrap_err();
        assert!(why.ends_with(" is that of /etc/a.toml"), "{why}");
        assert_eq!(load("/etc/a.toml", false), Ok(()));
        assert_eq!(load("/etc/b.toml", true), Ok(()));
    }
}
