//! What a config was read from, and how that looks now: whoever waits for changes compares the two.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::include::Kind;
use super::source::{TABLE_BYTES_MAX, open_regular};

/// Every file that a config was looked for in, there or not, and the patterns that found some of them.
#[derive(Clone, Debug, Default)]
pub struct Footprint {
    named: BTreeSet<PathBuf>,
    patterns: BTreeSet<(Kind, String)>,
    stamps: Stamps,
}

/// How files looked at a moment. Where two of these are equal, nobody wrote in between.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stamps(BTreeMap<PathBuf, Option<Stamp>>);

/// What changes when a file is written, replaced, or made readable for others; `None` in its place: it cannot be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// SHA-256 of what is in some files, and of their names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contents([u8; 32]);

impl Footprint {
    /// Notes a file that is asked for by its name. It must be read after this, not before: then no change goes unseen.
    pub(super) fn name(&mut self, path: &Path) {
        self.stamps.take(path);
        self.named.insert(path.to_owned());
    }

    /// Notes a pattern and what it found.
    pub(super) fn pattern(&mut self, kind: Kind, whole: &str, found: &[PathBuf]) {
        found.iter().for_each(|path| self.stamps.take(path));
        self.patterns.insert((kind, whole.to_owned()));
    }

    /// How the files looked just before they were read.
    #[must_use]
    pub fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    /// How those that would be read look now, as far as that can be told without reading: a main file that names others
    /// has changed itself. It blocks.
    #[must_use]
    pub fn look(&self) -> Stamps {
        let mut stamps = Stamps::default();
        self.named.iter().for_each(|path| stamps.take(path));
        for (kind, whole) in &self.patterns {
            kind.matching(whole).iter().for_each(|path| stamps.take(path));
        }
        stamps
    }

    /// The patterns, each from the root on.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|(_, whole)| whole.as_str())
    }
}

impl Stamps {
    fn take(&mut self, path: &Path) {
        let stamp = fs::metadata(path).ok().map(|file| Stamp {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        });
        self.0.insert(path.to_owned(), stamp);
    }

    /// The files, there or not.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Reads all of them. It blocks.
    #[must_use]
    pub fn read(&self) -> Contents {
        let mut hash = Sha256::new();
        for path in self.files() {
            // Everything with its length, so that no two states look the same.
            hash.update(path.as_os_str().len().to_be_bytes());
            hash.update(path.as_os_str().as_bytes());
            hash.update(of_file(path).unwrap_or_default());
        }
        Contents(hash.finalize().into())
    }
}

/// SHA-256 of a file; nothing of one that cannot be read.
fn of_file(path: &Path) -> Option<[u8; 32]> {
    let mut file = open_regular(path).ok()?.take(TABLE_BYTES_MAX + 1);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Some(hash.finalize().into()),
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Look, load};

    const APP: &str = "[[app]]\nname = \"contoso\"\ntenant = \"9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877\"\n\
         client_id = \"22553876-f5ab-4529-bffb-cfe50aa89f87\"\ncredential = { secret_file = \"contoso.secret\" }\n";

    fn footprint(path: &Path) -> Footprint {
        match load(path, Look::TextsAlone) {
            Ok(loaded) => (**loaded.sources.footprint()).clone(),
            Err(problems) => (**problems.sources().footprint()).clone(),
        }
    }

    #[test]
    fn a_footprint_has_every_file_that_was_asked_for_also_those_that_are_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let text = format!(
            "include = [\"conf.d/*.toml\", \"gone.toml\"]\n{APP}[[users_from]]\nfile = \"users/*.csv\"\n\
             [[users_from]]\nfile = \"more.csv\"\n"
        );
        fs::write(path("config.toml"), text).unwrap();
        for folder in ["conf.d", "users"] {
            fs::create_dir(path(folder)).unwrap();
        }
        fs::write(path("conf.d/a.toml"), "").unwrap();

        let before = footprint(&path("config.toml"));
        let names = |stamps: &Stamps| {
            let name = |path: &Path| path.strip_prefix(dir.path()).unwrap().display().to_string();
            stamps.files().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(before.stamps()), ["conf.d/a.toml", "config.toml", "gone.toml", "more.csv"]);
        assert_eq!(&before.look(), before.stamps(), "nobody wrote");

        fs::write(path("users/u.csv"), "id\n").unwrap();
        fs::write(path("users/u.txt"), "no table").unwrap();
        fs::write(path("gone.toml"), "").unwrap();
        let now = before.look();
        assert_ne!(&now, before.stamps());
        assert_eq!(
            names(&now),
            ["conf.d/a.toml", "config.toml", "gone.toml", "more.csv", "users/u.csv"],
            "what would be read now"
        );
    }

    #[test]
    fn a_file_that_is_touched_looks_different_and_reads_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, APP).unwrap();
        let before = footprint(&path);
        let read = before.stamps().read();

        let next = dir.path().join("next");
        fs::write(&next, APP).unwrap();
        fs::rename(&next, &path).unwrap();
        assert_ne!(&before.look(), before.stamps());
        assert_eq!(before.look().read(), read);

        fs::write(&path, APP.replace("contoso", "fabrika")).unwrap();
        assert_ne!(before.look().read(), read, "as long as before");
        fs::remove_file(&path).unwrap();
        let gone = before.look().read();
        fs::write(&path, "").unwrap();
        assert_ne!(gone, before.look().read(), "none is not empty");
    }

    #[test]
    fn a_config_that_is_not_there_leaves_a_footprint_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let before = footprint(&path);
        assert_eq!(before.stamps().files().collect::<Vec<_>>(), [path.as_path()]);
        fs::write(&path, "").unwrap();
        assert_ne!(&before.look(), before.stamps());
    }
}
