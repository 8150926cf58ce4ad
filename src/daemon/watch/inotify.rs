//! What the kernel tells of directories: inotify(7). Events are prompts; what happened is found by looking.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use super::places::{Names, Places};
use crate::config::Stamps;
use crate::daemon::logging;

/// All that may make a file another one, and who is through with writing it.
const EVENTS: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Files that are being written, at most: of more, the rest is taken for written.
const WRITTEN_MAX: usize = 10_000;

/// An inotify instance, and what it listens at.
pub(super) struct Inotify {
    fd: AsyncFd<Arc<OwnedFd>>,
    watched: Watched,
    /// Files that somebody has written to and not closed yet.
    open: HashSet<PathBuf>,
    /// It was said that not every directory can be watched.
    limited: bool,
}

/// The part of it that blocks: a path may lead to a disk that hangs.
pub(super) struct Watcher(Arc<OwnedFd>);

/// What is watched, by the kernel's number for it.
#[derive(Default)]
pub(super) struct Watched {
    directories: HashMap<i32, (PathBuf, Names)>,
    error: Option<io::Error>,
}

impl Watcher {
    /// Watches these directories. Those that are watched already stay so.
    pub(super) fn watch(&self, places: Places) -> Watched {
        let mut watched = Watched::default();
        for (directory, names) in places {
            match inotify::add_watch(&self.0, &directory, EVENTS) {
                Ok(number) => drop(watched.directories.insert(number, (directory, names))),
                // It comes into being in one that is watched; or only root may list it, and the next poll looks through.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
                Err(error) => watched.error = Some(error.into()),
            }
        }
        watched
    }
}

impl Inotify {
    /// Opens an instance. Needs a runtime.
    ///
    /// # Errors
    /// When the kernel gives none, because there are too many for instance.
    pub(super) fn new() -> io::Result<Self> {
        let fd = Arc::new(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?);
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe, for the sake of types that may change their descriptor"
        )]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { fd, watched: Watched::default(), open: HashSet::new(), limited: false })
    }

    pub(super) fn watcher(&self) -> Watcher {
        Watcher(Arc::clone(self.fd.get_ref()))
    }

    /// From now on these are what is watched.
    pub(super) fn heed(&mut self, watched: Watched) {
        let before = std::mem::replace(&mut self.watched, watched);
        for number in before.directories.keys().filter(|n| !self.watched.directories.contains_key(n)) {
            // One that is gone has taken its watch along.
            let _ = inotify::remove_watch(self.fd.get_ref(), *number);
        }
        if let Some(error) = self.watched.error.take()
            && !std::mem::replace(&mut self.limited, true)
        {
            logging::watch_limited(&error);
        }
    }

    /// Returns when something happened that is worth a look.
    pub(super) async fn news(&mut self) {
        loop {
            let Ok(mut ready) = self.fd.readable().await else { return std::future::pending().await };
            ready.clear_ready();
            drop(ready);
            if self.drain() {
                return;
            }
        }
    }

    /// Whether one of these files has been written to by somebody who has it open still.
    pub(super) fn writes(&mut self, stamps: &Stamps) -> bool {
        self.drain();
        let is_open = |path: &Path| {
            self.open.contains(path) || path.canonicalize().is_ok_and(|real| self.open.contains(&real))
        };
        !self.open.is_empty() && stamps.files().any(is_open)
    }

    /// Takes all events that are there; returns whether one of them is worth a look.
    fn drain(&mut self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(self.fd.get_ref(), &mut buffer);
        let mut worth = false;
        // At most as many as the kernel keeps (fs.inotify.max_queued_events, 16,384 by default): a look is due then.
        for _ in 0..16_384 {
            let Ok(event) = reader.next() else { return worth };
            let Some((directory, names)) = self.watched.directories.get(&event.wd()) else {
                if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                    self.open.clear();
                    worth = true;
                }
                continue;
            };
            let Some(name) = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes())) else {
                // The directory itself.
                worth = true;
                continue;
            };
            if !names.have(name) {
                continue;
            }
            worth = true;
            let path = directory.join(name);
            if !event.events().contains(ReadFlags::MODIFY) {
                self.open.remove(&path);
            } else if self.open.len() < WRITTEN_MAX {
                self.open.insert(path);
            }
        }
        true
    }
}
