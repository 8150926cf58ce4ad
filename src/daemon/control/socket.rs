//! The control socket in the file system: made for its group, in the place of one that a killed daemon left.

use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Gid;

/// Who may connect: the owner, and the group.
const MODE: u32 = 0o660;
/// Who may enter the directory, where it is made here: everyone; the socket's own mode counts.
const DIR_MODE: u32 = 0o755;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon answers there.
    #[error("another process serves {}", .0.display())]
    InUse(PathBuf),
    /// The group does not exist.
    #[error("there is no group {0}")]
    NoGroup(Box<str>),
    /// It cannot be made.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// The socket, or its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A socket that is taken away when this is dropped.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    inode: u64,
}

impl Drop for Socket {
    fn drop(&mut self) {
        use std::os::unix::fs::MetadataExt;
        // Another daemon may have put its own there.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|now| now.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes the socket, its directory too where that is missing, and listens on it. It appears with its mode and group, not
/// before.
///
/// # Errors
/// When another daemon answers there, the group does not exist, or the system refuses.
pub fn bind(path: &Path, group: Option<&str>) -> Result<(UnixListener, Socket), SocketError> {
    use std::os::unix::fs::MetadataExt;
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |source| SocketError::Unusable { path, source }
    };
    let dir = path.parent().unwrap_or(path);
    let made = std::fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir);
    made.map_err(unusable(dir))?;
    if UnixStream::connect(path).is_ok() {
        return Err(SocketError::InUse(path.to_owned()));
    }
    let group = group.map(group_id).transpose()?;
    // A name of its own, so that nobody connects before mode and group are right.
    let beside = dir.join(format!(".{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside).map_err(unusable(&beside))?;
    let ready = || -> io::Result<u64> {
        std::fs::set_permissions(&beside, PermissionsExt::from_mode(MODE))?;
        // Under systemd it is the daemon's own, which needs no call that a service has no business with.
        if let Some(group) = group.filter(|group| *group != rustix::process::getegid()) {
            rustix::fs::chown(&beside, None, Some(group))?;
        }
        listener.set_nonblocking(true)?;
        std::fs::rename(&beside, path)?;
        Ok(std::fs::symlink_metadata(path)?.ino())
    };
    match ready() {
        Ok(inode) => Ok((listener, Socket { path: path.to_owned(), inode })),
        Err(source) => {
            let _ = std::fs::remove_file(&beside);
            Err(SocketError::Unusable { path: path.to_owned(), source })
        }
    }
}

/// The group with this name or number, as the system knows them.
fn group_id(name: &str) -> Result<Gid, SocketError> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => Ok(Gid::from_raw(group.gid.as_raw())),
        Ok(None) => Err(SocketError::NoGroup(name.into())),
        Err(errno) => {
            Err(SocketError::Unusable { path: format!("group {name}").into(), source: errno.into() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_appears_with_its_mode_in_the_place_of_a_dead_one_and_goes_with_its_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/control.sock");
        let (listener, socket) = bind(&path, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let error = bind(&path, None).unwrap_err();
        assert!(matches!(error, SocketError::InUse(_)), "{error}");
        drop(listener);
        // Killed: the file is still there, and nobody answers.
        let (second, second_socket) = bind(&path, Some("0")).unwrap();
        drop(socket);
        assert!(path.exists(), "it is the second one's");
        drop(second);
        drop(second_socket);
        assert!(!path.exists());
        assert_eq!(std::fs::read_dir(dir.path().join("run")).unwrap().count(), 0);
    }

    #[test]
    fn a_group_that_does_not_exist_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = bind(&dir.path().join("s"), Some("no-such-group-here")).unwrap_err();
        assert_eq!(error.to_string(), "there is no group no-such-group-here");
        assert_eq!(group_id("root").unwrap(), Gid::ROOT);
    }
}
