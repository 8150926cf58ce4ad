//! The accepted configs: the last one to start with when the file is broken, and the one before it, because a lane
//! that was removed drains with the credentials that only the older one names.
//!
//! Kept are the files' texts, not what they meant: a newer presenced reads them with its own eyes. No client secret is
//! in them, the door lets none in; a proxy's password may be, so they are for the daemon's user alone.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::config::Sources;

/// Of the file; another one is not read.
const FORMAT: u32 = 1;

/// An accepted config.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Its files.
    pub sources: Sources,
    /// When it was accepted.
    pub at: SystemTime,
}

/// Why an accepted config cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is none.
    #[error("no config was accepted before")]
    None,
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not as it was written, or of another version.
    #[error("{} is damaged, or of another version", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
struct Archived {
    format: u32,
    accepted_ms: u64,
    /// Paths and texts, the main file first.
    files: Vec<(PathBuf, String)>,
}

/// Keeps a config that was accepted at `at`; what was the last one becomes the one before it. The same texts again
/// change only the time.
///
/// # Errors
/// When it cannot be written. What was there is whole then.
pub fn keep(dir: &Path, sources: &Sources, at: SystemTime) -> Result<(), ArchiveError> {
    let files: Vec<(PathBuf, String)> =
        sources.iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    let last = last_path(dir);
    let changed = read(&last).is_ok_and(|old| old.files != files);
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let accepted_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let archived = Archived { format: FORMAT, accepted_ms, files };
    replace(dir, &archived, changed).map_err(|source| ArchiveError::Io { path: last, source })
}

fn replace(dir: &Path, archived: &Archived, changed: bool) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    let mut out = io::BufWriter::new(&mut file);
    serde_json::to_writer(&mut out, archived)?;
    out.flush()?;
    drop(out);
    file.as_file().sync_all()?;
    if changed {
        std::fs::rename(last_path(dir), before_path(dir))?;
    }
    file.persist(last_path(dir))?;
    File::open(dir)?.sync_all()
}

/// The config that was accepted last.
///
/// # Errors
/// When there is none that can be read.
pub fn last(dir: &Path) -> Result<Accepted, ArchiveError> {
    match read(&last_path(dir)) {
        // Killed between two renames: the one before is the last one.
        Err(ArchiveError::None) => read(&before_path(dir)),
        other => other,
    }
    .map(Archived::accepted)
}

/// The config that was accepted before the last one.
///
/// # Errors
/// When there is none that can be read.
pub fn before_last(dir: &Path) -> Result<Accepted, ArchiveError> {
    read(&before_path(dir)).map(Archived::accepted)
}

impl Archived {
    fn accepted(self) -> Accepted {
        let mut files = self.files.into_iter();
        let (path, text) = files.next().expect("`read` refuses an archive without files");
        let sources = files.fold(Sources::new(path, text), |sources, (path, text)| sources.with(path, text));
        Accepted { sources, at: UNIX_EPOCH + Duration::from_millis(self.accepted_ms) }
    }
}

/// Whether a config was ever accepted here.
#[must_use]
pub fn has_any(dir: &Path) -> bool {
    last_path(dir).exists() || before_path(dir).exists()
}

fn read(path: &Path) -> Result<Archived, ArchiveError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ArchiveError::None),
        Err(source) => return Err(ArchiveError::Io { path: path.to_owned(), source }),
    };
    let archived: Option<Archived> = serde_json::from_slice(&bytes).ok();
    archived
        .filter(|archived| archived.format == FORMAT && !archived.files.is_empty())
        .ok_or_else(|| ArchiveError::Damaged { path: path.to_owned() })
}

fn last_path(dir: &Path) -> PathBuf {
    dir.join("last.json")
}

fn before_path(dir: &Path) -> PathBuf {
    dir.join("before.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(accepted: &Accepted) -> Vec<(String, String)> {
        accepted.sources.iter().map(|(path, text)| (path.display().to_string(), text.to_owned())).collect()
    }

    fn at(secs: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(secs)
    }

    #[test]
    fn the_last_config_and_the_one_before_it_read_back() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(last(dir.path()), Err(ArchiveError::None)));

        keep(dir.path(), &Sources::new("/etc/a.toml", "one"), at(1)).unwrap();
        keep(dir.path(), &Sources::new("/etc/a.toml", "two").with("/etc/b.toml", "more"), at(2)).unwrap();

        let accepted = last(dir.path()).unwrap();
        assert_eq!(accepted.at, at(2));
        let expected = [("/etc/a.toml", "two"), ("/etc/b.toml", "more")];
        assert_eq!(texts(&accepted), expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
        assert_eq!(texts(&before_last(dir.path()).unwrap())[0].1, "one");
    }

    #[test]
    fn the_same_texts_again_do_not_push_out_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        for (secs, text) in [(1, "one"), (2, "two"), (3, "two")] {
            keep(dir.path(), &Sources::new("/etc/a.toml", text), at(secs)).unwrap();
        }
        assert_eq!(last(dir.path()).unwrap().at, at(3));
        assert_eq!(texts(&before_last(dir.path()).unwrap())[0].1, "one");
    }

    #[test]
    fn killed_between_the_two_renames_the_older_one_stands_in() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), &Sources::new("/etc/a.toml", "one"), at(1)).unwrap();
        std::fs::rename(last_path(dir.path()), before_path(dir.path())).unwrap();
        assert_eq!(texts(&last(dir.path()).unwrap())[0].1, "one");
    }

    #[test]
    fn a_damaged_archive_is_refused_and_overwritten_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), &Sources::new("/etc/a.toml", "one"), at(1)).unwrap();
        let whole = std::fs::read(last_path(dir.path())).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(last_path(dir.path()), &whole[..cut]).unwrap();
            assert!(matches!(last(dir.path()), Err(ArchiveError::Damaged { .. })), "cut at {cut}");
        }
        keep(dir.path(), &Sources::new("/etc/a.toml", "two"), at(2)).unwrap();
        assert_eq!(texts(&last(dir.path()).unwrap())[0].1, "two");
    }
}
