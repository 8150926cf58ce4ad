//! The file of a sign-in: `<state_dir>/login/<app>.json`, for the daemon's user alone.
//!
//! It is replaced as a whole, and on disk before anyone is told so. Whoever writes holds a lock on the directory for that
//! time: `presenced login` and the daemon are two processes. Whoever uses the refresh token in it holds another lock from
//! the read until the next one is written, on a file of the app's own: a refresh token may be good only once.

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
/// As large as a file may well be, in bytes.
const LIKELY_FILE: usize = 8 * 1024;

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
    replace(&locked_dir(path)?, name(path)?, &sign_in.to_json()?)
}

/// Makes sure that a sign-in can be kept there, by writing as much as one takes and taking it away again. The directory
/// is made as by [`store`].
///
/// # Errors
/// When it could not be.
pub fn prepare_place(path: &Path) -> io::Result<()> {
    let dir = locked_dir(path)?;
    let beside = beside(name(path)?);
    let written = write(&dir, &beside, &[b' '; LIKELY_FILE]);
    match unlinkat(&dir, &beside, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => written,
        Err(error) => written.and(Err(error.into())),
    }
}

/// The directory of sign-ins, made where it is missing, and locked. Root sees to it that it is the daemon's, whoever made
/// it: one who was killed at that may have left it as root's.
fn locked_dir(path: &Path) -> io::Result<File> {
    let dir = parent(path);
    let state = open_dir(parent(dir))?;
    let login = name(dir)?;
    match mkdirat(&state, login, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let dir = open_dir_at(&state, login)?;
    give(&dir, &state)?;
    flock(&dir, FlockOperation::LockExclusive)?;
    Ok(dir)
}

/// Held by whoever uses an app's refresh token, until this is dropped.
#[derive(Debug)]
pub(in crate::daemon::token) struct Lock {
    _file: File,
}

/// Takes the lock on the use of an app's refresh token; `None`: somebody else has it. It does not wait.
pub(in crate::daemon::token) fn try_lock(path: &Path) -> io::Result<Option<Lock>> {
    let dir = open_dir(parent(path))?;
    let mut name = OsString::from(".");
    name.push(path.file_stem().unwrap_or_default());
    name.push(".lock");
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(&dir, &name, flags, Mode::RUSR | Mode::WUSR)?);
    give(&file, &dir)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Replaces a sign-in by what `change` makes of it; `None` leaves it as it is, and so does a file that is gone.
pub(super) fn update(path: &Path, change: impl FnOnce(SignIn) -> Option<SignIn>) -> io::Result<()> {
    let (dir, name) = (open_dir(parent(path))?, name(path)?);
    flock(&dir, FlockOperation::LockExclusive)?;
    let kept = match SignIn::read_at(&dir, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        kept => kept?,
    };
    change(kept).map_or(Ok(()), |next| replace(&dir, name, &next.to_json()?))
}

/// Writes beside the file and renames. The name beside it is always the same, and the lock is held: what a process that
/// was killed has left there is swept away by the next, and no old refresh token lies about.
fn replace(dir: &File, name: &OsStr, json: &[u8]) -> io::Result<()> {
    let beside = beside(name);
    if let Err(error) = write(dir, &beside, json) {
        // What is left is swept away at the next try.
        let _ = unlinkat(dir, &beside, AtFlags::empty());
        return Err(error);
    }
    renameat(dir, &beside, dir, name)?;
    dir.sync_all()
}

fn beside(name: &OsStr) -> OsString {
    let mut beside = OsString::from(".");
    beside.push(name);
    beside
}

/// Writes a file anew, down to the disk.
fn write(dir: &File, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(bytes)?;
    give(&file, dir)?;
    file.sync_all()
}

/// Root hands a file to the owner of the directory that it lies in.
fn give(file: &File, dir: &File) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let (is, owner) = (file.metadata()?, dir.metadata()?);
    if (is.uid(), is.gid()) == (owner.uid(), owner.gid()) {
        return Ok(());
    }
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
mod tests;
