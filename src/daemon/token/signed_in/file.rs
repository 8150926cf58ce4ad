//! The file of a sign-in: `<state_dir>/login/<app>.json`, for the daemon's user alone.
//!
//! It is replaced as a whole, and on disk before anyone is told so. Whoever writes holds a lock on the directory for that
//! time: `presenced login` and the daemon are two processes.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::SecretText;
use crate::keeper::id::{ClientId, TenantId, UserId};

/// Of the file; another one is not read.
const FORMAT: u32 = 1;
/// Largest file that is read, in bytes. Refresh tokens have about two thousand.
const MAX_FILE: usize = 64 * 1024;

/// A user who signed in, for one app.
pub struct SignIn {
    /// Tells one sign-in from another, whatever its refresh token has become.
    pub id: Uuid,
    /// The tenant that it is in.
    pub tenant: TenantId,
    /// The app that it is for.
    pub client: ClientId,
    /// Who signed in.
    pub user: UserId,
    /// What the next access token is asked for with.
    pub refresh_token: SecretString,
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    sign_in: Uuid,
    tenant: String,
    client_id: String,
    user: String,
    refresh_token: &'a str,
}

#[derive(Deserialize)]
struct Found {
    format: u32,
    sign_in: Uuid,
    tenant: String,
    client_id: String,
    user: String,
    refresh_token: SecretText,
}

impl SignIn {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not there, or not as it was written. Nothing of what it holds is in the error.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::read_at(&open_dir(parent(path))?, name(path)?)
    }

    fn read_at(dir: &File, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(dir, name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
        file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
        Self::from_json(&bytes).ok_or_else(|| io::Error::other("it is damaged, or of another version"))
    }

    fn from_json(bytes: &[u8]) -> Option<Self> {
        // Of a larger one only the beginning was read.
        let found: Found = serde_json::from_slice(bytes).ok()?;
        if found.format != FORMAT || found.refresh_token.0.expose_secret().is_empty() {
            return None;
        }
        Some(Self {
            id: found.sign_in,
            tenant: found.tenant.parse().ok()?,
            client: found.client_id.parse().ok()?,
            user: found.user.parse().ok()?,
            refresh_token: found.refresh_token.0,
        })
    }

    fn to_json(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let written = Written {
            format: FORMAT,
            sign_in: self.id,
            tenant: self.tenant.to_string(),
            client_id: self.client.to_string(),
            user: self.user.to_string(),
            refresh_token: self.refresh_token.expose_secret(),
        };
        // As large as it may get, so that it is never moved and leaves no copy behind.
        let mut json = Zeroizing::new(Vec::with_capacity(MAX_FILE));
        serde_json::to_writer(&mut *json, &written)?;
        if json.len() > MAX_FILE {
            return Err(io::Error::other("the refresh token is larger than 64 KiB"));
        }
        Ok(json)
    }
}

/// Keeps a sign-in in the place of any that is there. The directory is made where it is missing; the state directory
/// that it lies in is not. What root makes belongs to the owner of the state directory: the daemon's user.
///
/// # Errors
/// When it cannot be written; what was there is whole then.
pub fn store(path: &Path, sign_in: &SignIn) -> io::Result<()> {
    let dir = parent(path);
    let state = open_dir(parent(dir))?;
    let login = name(dir)?;
    match mkdirat(&state, login, Mode::RWXU) {
        Ok(()) => give(&open_dir_at(&state, login)?, &state)?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let dir = open_dir_at(&state, login)?;
    flock(&dir, FlockOperation::LockExclusive)?;
    replace(&dir, name(path)?, sign_in)
}

/// Replaces a sign-in by what `change` makes of it; `None` leaves it as it is, and so does a file that is gone.
pub(super) fn update(path: &Path, change: impl FnOnce(SignIn) -> Option<SignIn>) -> io::Result<()> {
    let (dir, name) = (open_dir(parent(path))?, name(path)?);
    flock(&dir, FlockOperation::LockExclusive)?;
    let kept = match SignIn::read_at(&dir, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        kept => kept?,
    };
    change(kept).map_or(Ok(()), |next| replace(&dir, name, &next))
}

/// Writes beside the file and renames. The name beside it is always the same, and the lock is held: what a process that
/// was killed has left there is swept away by the next, and no old refresh token lies about.
fn replace(dir: &File, name: &OsStr, sign_in: &SignIn) -> io::Result<()> {
    let json = sign_in.to_json()?;
    let mut beside = OsString::from(".");
    beside.push(name);
    match unlinkat(dir, &beside, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(dir, &beside, flags, Mode::RUSR | Mode::WUSR)?);
    let written = file.write_all(&json).and_then(|()| give(&file, dir)).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // What is left is swept away at the next try.
        let _ = unlinkat(dir, &beside, AtFlags::empty());
        return Err(error);
    }
    renameat(dir, &beside, dir, name)?;
    dir.sync_all()
}

/// Root hands a file to the owner of the directory that it lies in.
fn give(file: &File, dir: &File) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let owner = dir.metadata()?;
    let (uid, gid) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    Ok(rustix::fs::fchown(file, Some(uid), Some(gid))?)
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn open_dir(path: &Path) -> io::Result<File> {
    Ok(openat(CWD, path, DIRECTORY, Mode::empty())?.into())
}

/// A directory in a directory. It may belong to another user than this process's: a link out of it is not followed.
fn open_dir_at(dir: &File, name: &OsStr) -> io::Result<File> {
    Ok(openat(dir, name, DIRECTORY.union(OFlags::NOFOLLOW), Mode::empty())?.into())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn name(path: &Path) -> io::Result<&OsStr> {
    path.file_name().ok_or_else(|| io::Error::other("the path names no file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn sign_in(token: &str) -> SignIn {
        SignIn {
            id: Uuid::from_u128(7),
            tenant: "9c7f0000-0000-4000-8000-000000000001".parse().unwrap(),
            client: "22553876-f5ab-4529-bffb-cfe50aa89f87".parse().unwrap(),
            user: "fa8bf3dc-eca7-46b7-bad1-db199b62afc3".parse().unwrap(),
            refresh_token: token.into(),
        }
    }

    fn place(state: &tempfile::TempDir) -> PathBuf {
        state.path().join("login/contoso.json")
    }

    fn token(path: &Path) -> String {
        SignIn::read(path).unwrap().refresh_token.expose_secret().to_owned()
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_sign_in_is_kept_for_the_owner_of_the_state_directory_alone() {
        let state = tempfile::tempdir().unwrap();
        let path = place(&state);
        if geteuid().is_root() {
            std::os::unix::fs::chown(state.path(), Some(4_711), Some(4_712)).unwrap();
        }
        store(&path, &sign_in("r-canary")).unwrap();
        let read = SignIn::read(&path).unwrap();
        assert_eq!(read.user, sign_in("").user);
        assert!(!format!("{read:?}").contains("canary"));
        let owner = std::fs::metadata(state.path()).unwrap();
        for (path, mode) in [(parent(&path), 0o700), (&path, 0o600)] {
            let metadata = std::fs::metadata(path).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, mode, "{}", path.display());
            assert_eq!((metadata.uid(), metadata.gid()), (owner.uid(), owner.gid()), "{}", path.display());
        }
        store(&path, &sign_in("another")).unwrap();
        assert_eq!(token(&path), "another");
        assert_eq!(names(parent(&path)), ["contoso.json"]);
    }

    #[test]
    fn a_token_that_somebody_replaced_meanwhile_is_left_alone() {
        let state = tempfile::tempdir().unwrap();
        let path = place(&state);
        store(&path, &sign_in("first")).unwrap();
        super::super::rotate(&path, "first", "second".into()).unwrap();
        assert_eq!(token(&path), "second");
        super::super::rotate(&path, "first", "late".into()).unwrap();
        assert_eq!(token(&path), "second");
        std::fs::remove_file(&path).unwrap();
        super::super::rotate(&path, "second", "third".into()).unwrap();
        assert!(!path.exists(), "who has been signed out stays so");
    }

    #[test]
    fn what_a_killed_process_left_is_swept_away_and_no_half_file_is_read() {
        let state = tempfile::tempdir().unwrap();
        let path = place(&state);
        store(&path, &sign_in("first")).unwrap();
        let beside = parent(&path).join(".contoso.json");
        std::fs::write(&beside, "half of a canary").unwrap();
        super::super::rotate(&path, "first", "second".into()).unwrap();
        assert_eq!((token(&path).as_str(), beside.exists()), ("second", false));
        let whole = std::fs::read_to_string(&path).unwrap();
        for damaged in
            ["", "{}", "null", &whole[..whole.len() - 2], &whole.replace("\"format\":1", "\"format\":2")]
        {
            std::fs::write(&path, damaged).unwrap();
            let error = SignIn::read(&path).unwrap_err().to_string();
            assert_eq!(error, "it is damaged, or of another version", "{damaged}");
            assert!(super::super::rotate(&path, "second", "third".into()).is_err());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged, "it is left as it is");
        }
    }

    #[test]
    fn links_are_not_followed() {
        let (state, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = place(&state);
        std::os::unix::fs::symlink(elsewhere.path(), parent(&path)).unwrap();
        assert!(store(&path, &sign_in("x")).is_err());
        assert!(names(elsewhere.path()).is_empty());
        std::fs::remove_file(parent(&path)).unwrap();
        store(&path, &sign_in("x")).unwrap();
        let target = elsewhere.path().join("target");
        std::fs::rename(&path, &target).unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(SignIn::read(&path).is_err());
        store(&path, &sign_in("y")).unwrap();
        assert_eq!((token(&path), token(&target)), ("y".to_owned(), "x".to_owned()));
    }

    #[test]
    fn two_who_write_at_once_wait_for_each_other() {
        let state = tempfile::tempdir().unwrap();
        let path = place(&state);
        store(&path, &sign_in("t0")).unwrap();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for round in 0..20 {
                        store(path, &sign_in(&format!("t{n}-{round}"))).unwrap();
                        assert!(token(path).starts_with('t'));
                    }
                });
            }
        });
        assert_eq!(names(parent(&path)), ["contoso.json"]);
    }

    #[test]
    fn without_a_state_directory_nothing_is_made() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("nowhere/login/contoso.json");
        assert_eq!(store(&path, &sign_in("x")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
