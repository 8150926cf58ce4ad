//! Files that hold what only the daemon may know: they are read whole, into memory that is wiped, and it is seen who
//! else may have them.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use secrecy::zeroize::Zeroizing;

use super::source::{Unreadable, open_regular};

/// What a private file holds, and who may read or change it.
pub(super) struct Private {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) access: Access,
}

/// Why a private file was not read.
pub(super) enum NotRead {
    /// It is not there.
    Missing,
    /// It is there, and not for this user.
    Forbidden,
    /// What else there may be, in words.
    Other(String),
}

impl From<Unreadable> for NotRead {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Io(error) if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            Unreadable::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => Self::Forbidden,
            error => Self::Other(error.to_string()),
        }
    }
}

/// Reads a regular file; of one that is longer than `most` bytes, one byte more.
pub(super) fn read(path: &Path, most: usize) -> Result<Private, NotRead> {
    let failed = |error: io::Error| NotRead::from(Unreadable::from(error));
    let file = open_regular(path)?;
    // Of the opened file, not of its path: the path may have come to mean another one.
    let access = Access::of(&file.metadata().map_err(failed)?);
    // As large as it may get, so that it is never moved and leaves no copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Private { bytes, access })
}

/// The rights and the owner of a file.
#[derive(Clone, Copy)]
pub(super) struct Access {
    mode: u32,
    owner: u32,
}

impl Access {
    fn of(metadata: &Metadata) -> Self {
        Self { mode: metadata.mode(), owner: metadata.uid() }
    }

    /// Who besides root and the daemon may read or change the file, where someone may. Root's files may be readable by
    /// a group: that is how Kubernetes and administrators hand a secret to a service.
    pub(super) fn exposure(self) -> Option<&'static str> {
        let root = self.owner == 0;
        match self.mode {
            mode if mode & 0o002 != 0 => Some("everyone on this machine may change it"),
            mode if mode & 0o004 != 0 => Some("everyone on this machine may read it"),
            mode if mode & 0o020 != 0 => Some("its group may change it"),
            mode if mode & 0o040 != 0 && !root => Some("its group may read it"),
            _ => {
                let own = rustix::process::geteuid().as_raw();
                let foreign = !root && own != 0 && self.owner != own;
                foreign.then_some("it belongs to another user, who may read and change it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_may_read_is_exposed() {
        let exposure = |mode, owner| Access { mode, owner }.exposure();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(exposure(0o100_400, own), None);
        assert_eq!(exposure(0o100_640, 0), None, "root hands it to a group");
        assert_eq!(exposure(0o100_640, 4_711), Some("its group may read it"));
        assert_eq!(exposure(0o100_644, 0), Some("everyone on this machine may read it"));
        assert_eq!(exposure(0o100_660, 0), Some("its group may change it"));
        assert_eq!(exposure(0o100_602, 0), Some("everyone on this machine may change it"));
    }

    #[test]
    fn no_more_is_read_than_shows_that_it_is_too_much() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        for (length, read_of_it) in [(0, 0), (9, 9), (10, 10), (11, 11), (5_000, 11)] {
            std::fs::write(&path, vec![b'x'; length]).unwrap();
            let read = read(&path, 10).ok().expect("it is there");
            assert_eq!(read.bytes.len(), read_of_it);
            assert_eq!(read.bytes.capacity(), 11, "it was not moved");
        }
    }
}
