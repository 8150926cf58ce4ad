//! The state directory: who owns it, and what lies where in it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

/// A state directory that is this process's alone as long as this lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another daemon runs on it.
    #[error("state_dir {} is in use by {}", path.display(), holder.as_deref().map_or_else(
        || "another process".to_owned(),
        |pid| format!("pid {pid}"),
    ))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The pid that it wrote into its lock.
        holder: Option<String>,
    },
    /// It cannot be made, or not be written to.
    #[error("state_dir {}: {source}", path.display())]
    Unusable {
        /// The directory, or what is in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StateDir {
    /// Makes the directory where it is missing, and takes its lock.
    ///
    /// # Errors
    /// When another process holds the lock, or the directory cannot be used.
    pub fn lock(path: &Path) -> Result<Self, StateDirError> {
        for path in [path, &path.join("leases"), &path.join("accepted")] {
            let mut builder = std::fs::DirBuilder::new();
            let made = builder.recursive(true).mode(0o700).create(path);
            made.map_err(|source| StateDirError::Unusable { path: path.to_owned(), source })?;
        }
        let file = path.join("lock");
        let unusable = |source| StateDirError::Unusable { path: file.clone(), source };
        let mut lock = open_lock(&file).map_err(unusable)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StateDirError::InUse { path: path.to_owned(), holder: holder(&mut lock) });
            }
            Err(errno) => return Err(unusable(errno.into())),
        }
        sign(&mut lock).map_err(unusable)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the ledger is.
    #[must_use]
    pub fn leases(&self) -> PathBuf {
        self.path.join("leases")
    }

    /// Where the accepted configs are.
    #[must_use]
    pub fn accepted(&self) -> PathBuf {
        self.path.join("accepted")
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    #[expect(clippy::cast_possible_wrap, reason = "a flag bit")]
    let nofollow = OFlags::NOFOLLOW.bits() as i32;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(nofollow).open(path)
}

fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// The pid in the lock: digits, or it is not shown.
fn holder(lock: &mut File) -> Option<String> {
    let mut text = String::new();
    lock.take(20).read_to_string(&mut text).ok()?;
    let pid = text.trim_end();
    (!pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit())).then(|| pid.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_second_owner_is_refused_and_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let first = StateDir::lock(&path).unwrap();

        // The lock belongs to the open file, so that even the same process is refused.
        let error = StateDir::lock(&path).unwrap_err();

        let expected = format!("state_dir {} is in use by pid {}", path.display(), std::process::id());
        assert_eq!(error.to_string(), expected);
        drop(first);
        StateDir::lock(&path).unwrap();
    }

    #[test]
    fn a_lock_left_behind_by_a_dead_process_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("lock"), "99999999999999999999999").unwrap();
        let state = StateDir::lock(dir.path()).unwrap();
        let text = std::fs::read_to_string(state.path().join("lock")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn nobody_else_may_look_into_what_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::lock(&dir.path().join("state")).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(state.path()), mode(&state.leases()), mode(&state.accepted())], [0o700; 3]);
        assert_eq!(mode(&state.path().join("lock")), 0o600);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let error = StateDir::lock(Path::new("/proc/nowhere/state")).unwrap_err();
        assert!(error.to_string().starts_with("state_dir /proc/nowhere/state: "), "{error}");
    }
}
