//! Writes the ledger on a thread of its own, so that a disk that hangs does not stop the renewals.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use super::record::{self, Stored};
use super::{file_of, header, offset};
use crate::daemon::logging;
use crate::keeper::LaneHead;
use crate::keeper::id::{LaneIx, LaneKey, SessionIx};

/// Something to write.
#[derive(Clone, Debug)]
pub enum Write {
    /// A lane begins: its file is opened, or made.
    Open {
        /// Its place.
        lane: LaneIx,
        /// Which.
        key: LaneKey,
        /// Its name and quota.
        head: LaneHead,
    },
    /// A lane is gone, and its file with it.
    Close {
        /// Its place.
        lane: LaneIx,
    },
    /// A session's record; `None` frees its slot.
    Record {
        /// Whose.
        session: SessionIx,
        /// What to write.
        stored: Option<Stored>,
    },
}

/// Writes that wait for the thread: at most the newest one of each session, however long the disk hangs.
#[derive(Debug)]
pub struct Queue {
    thread: mpsc::Sender<Vec<Write>>,
    waiting: Vec<Write>,
    newest: HashMap<SessionIx, usize>,
}

impl Queue {
    /// Batches on their way to the thread.
    const BATCHES: usize = 4;

    /// A queue, and the writer for its other end.
    #[must_use]
    pub fn new(leases: PathBuf) -> (Self, Writer) {
        let (thread, batches) = mpsc::channel(Self::BATCHES);
        let queue = Self { thread, waiting: Vec::new(), newest: HashMap::new() };
        (queue, Writer { leases, lanes: HashMap::new(), batches, unwritten: HashSet::new() })
    }

    /// Takes something to write.
    pub fn push(&mut self, write: Write) {
        let at = self.waiting.len();
        match &write {
            Write::Record { session, .. } => {
                if let Some(older) = self.newest.insert(*session, at) {
                    self.newest.insert(*session, older);
                    self.waiting[older] = write;
                    return;
                }
            }
            // Places are used again: what comes now is for another lane.
            Write::Open { .. } | Write::Close { .. } => self.newest.clear(),
        }
        self.waiting.push(write);
    }

    /// Hands over what waits, unless the thread is busy; then it waits on. Never blocks.
    pub fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if let Ok(place) = self.thread.try_reserve() {
            place.send(std::mem::take(&mut self.waiting));
            self.newest.clear();
        }
    }

    /// Returns when everything is handed over; the writer ends once it has written it.
    pub async fn close(self) {
        // A writer that has ended by a panic has said so.
        let _ = self.thread.send(self.waiting).await;
    }
}

/// The thread's side.
#[derive(Debug)]
pub struct Writer {
    leases: PathBuf,
    lanes: HashMap<LaneIx, LaneFile>,
    batches: mpsc::Receiver<Vec<Write>>,
    /// Sessions whose newest record is not on the disk.
    unwritten: HashSet<SessionIx>,
}

/// A lane's file. One that could not be opened is tried again with the next record.
#[derive(Debug)]
struct LaneFile {
    path: PathBuf,
    key: LaneKey,
    head: LaneHead,
    file: Option<File>,
}

impl LaneFile {
    fn opened(&mut self, leases: &Path) -> io::Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => open(leases, &self.path, &self.key, &self.head)?,
        };
        Ok(self.file.insert(file))
    }
}

impl Writer {
    /// Writes until the queue is closed. Blocks: it needs a thread.
    pub fn run(mut self) {
        while let Some(batch) = self.batches.blocking_recv() {
            for write in &batch {
                let failed_before = self.failing();
                if let Err(error) = self.write(write)
                    && !failed_before
                {
                    logging::ledger_failed(&self.leases, &error);
                }
                if failed_before && !self.failing() {
                    logging::ledger_works_again();
                }
            }
        }
    }

    fn write(&mut self, write: &Write) -> io::Result<()> {
        match write {
            Write::Open { lane, key, head } => {
                let path = file_of(&self.leases, key);
                let file = LaneFile { path, key: key.clone(), head: head.clone(), file: None };
                self.lanes.insert(*lane, file);
                self.lanes.get_mut(lane).map_or(Ok(()), |file| file.opened(&self.leases).map(drop))
            }
            Write::Close { lane } => {
                self.unwritten.retain(|session| session.lane != *lane);
                match self.lanes.remove(lane) {
                    Some(LaneFile { path, file: Some(_), .. }) => std::fs::remove_file(path),
                    _ => Ok(()),
                }
            }
            Write::Record { session, stored } => {
                let Some(lane) = self.lanes.get_mut(&session.lane) else { return Ok(()) };
                let bytes = stored.map_or([0; record::SIZE], |stored| stored.encode());
                let result = lane
                    .opened(&self.leases)
                    .and_then(|file| file.write_all_at(&bytes, offset(session.slot)));
                match &result {
                    Ok(()) => self.unwritten.remove(session),
                    Err(_) => self.unwritten.insert(*session),
                };
                result
            }
        }
    }

    /// Whether something is not on the disk that should be. On a full disk one record has room and the next one has
    /// not: the trouble is over when all are written.
    fn failing(&self) -> bool {
        !self.unwritten.is_empty() || self.lanes.values().any(|lane| lane.file.is_none())
    }
}

/// Opens a lane's file, or makes it; one whose header is not this lane's is set aside.
fn open(leases: &Path, path: &Path, key: &LaneKey, head: &LaneHead) -> io::Result<File> {
    match OpenOptions::new().read(true).write(true).custom_flags(nofollow()).open(path) {
        Ok(file) => {
            let mut page = [0; header::SIZE];
            let whole = file.read_exact_at(&mut page, 0).is_ok();
            if whole && header::decode(&page).is_some_and(|(found, _)| found == *key) {
                return Ok(file);
            }
            std::fs::rename(path, path.with_extension("damaged"))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let page = header::encode(key, head).ok_or(io::ErrorKind::InvalidFilename)?;
    let mut file = tempfile::NamedTempFile::new_in(leases)?;
    file.write_all(&page[..])?;
    Ok(file.persist(path)?)
}

fn nofollow() -> i32 {
    #[expect(clippy::cast_possible_wrap, reason = "a flag bit")]
    let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::id::{Guid, Slot};
    use crate::keeper::{Expiration, PresenceState, Wish};

    fn record(slot: u32, written_ms: u64) -> Write {
        let session = SessionIx { lane: LaneIx(0), slot: Slot(slot) };
        let wish = Wish { state: PresenceState::Away, expiration: Expiration::MAX };
        let stored = Stored { user: Guid::from_u128(slot.into()), written_ms, wish, lease: None };
        Write::Record { session, stored: Some(stored) }
    }

    #[test]
    fn while_the_thread_is_busy_only_the_newest_record_of_a_session_waits() {
        let (mut queue, _busy) = Queue::new(PathBuf::from("/nowhere"));
        for round in 0..100 {
            queue.push(record(1, round));
            queue.push(record(2, round));
            queue.flush();
        }
        let waiting: Vec<Option<u64>> = queue
            .waiting
            .iter()
            .map(|write| match write {
                Write::Record { stored, .. } => stored.map(|stored| stored.written_ms),
                _ => None,
            })
            .collect();
        assert_eq!(waiting, [Some(99), Some(99)]);
    }

    #[test]
    fn a_record_for_a_place_that_was_used_again_does_not_replace_one_of_before() {
        let (mut queue, _busy) = Queue::new(PathBuf::from("/nowhere"));
        queue.push(record(1, 1));
        queue.push(Write::Close { lane: LaneIx(0) });
        queue.push(record(1, 2));
        assert_eq!(queue.waiting.len(), 3);
    }
}
