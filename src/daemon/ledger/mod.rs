//! The ledger: which sessions we own, and their leases, on disk.
//!
//! One file a lane under `state_dir/leases`, one record a session at the place of its slot, written in place at each
//! grant. Without fsync: the records are for the next process on this machine, and outlive `kill -9` in the page
//! cache. After a power cut some may be old or torn; checksums make a torn one unknown, and an old lease only makes a
//! session be set sooner. It never guesses a lease.

mod header;
mod record;
mod writer;

pub use record::Stored;
pub use writer::{Queue, Write, Writer};

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::keeper::event::{Lease, Record, RestoredLane};
use crate::keeper::id::{LaneKey, Slot, UserId};
use crate::keeper::{MonoTime, Wish};

use record::Slotted;

/// A file longer than this is no ledger: 4 million sessions, where one lane can keep a hundred thousand.
const LARGEST: u64 = (header::SIZE + 4_000_000 * record::SIZE) as u64;

/// What a start finds.
#[derive(Debug, Default)]
pub struct Found {
    /// Lanes with at least one session, ascending by key.
    pub lanes: Vec<RestoredLane>,
    /// What could not be read.
    pub damage: Vec<Damage>,
    /// Files there were, those without a session too.
    pub files: usize,
}

/// A file that is not as it was written.
#[derive(Debug)]
pub struct Damage {
    /// Which.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: Harm,
}

/// What is wrong with a ledger file, and so what is lost.
#[derive(Debug, thiserror::Error)]
pub enum Harm {
    /// All of it.
    #[error("its header is damaged or of another version: its lane starts as if new")]
    Header,
    /// All of it.
    #[error("it cannot be read ({0}): its lane starts as if new")]
    Unreadable(#[from] io::Error),
    /// Some records.
    #[error("{0} records are damaged: their sessions start as if new")]
    Records(usize),
    /// Some leases; whose they were is known.
    #[error("{0} leases are damaged: these are set anew")]
    Leases(usize),
    /// A session was there twice; the newer record is kept.
    #[error("{0} users were there twice: the newer record is kept")]
    Doubles(usize),
}

/// Reads every lane's file under `leases`. `now` is the moment at which the wall clock shows `wall`.
///
/// # Errors
/// When the directory cannot be listed.
pub fn load(leases: &Path, wall: SystemTime, now: MonoTime) -> io::Result<Found> {
    let mut found = Found::default();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(leases)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "ledger"));
    files.sort();
    found.files = files.len();
    for file in files {
        match load_file(&file, wall, now) {
            Ok((lane, harms)) => {
                if !lane.sessions.is_empty() {
                    found.lanes.push(lane);
                }
                found.damage.extend(harms.into_iter().map(|what| Damage { file: file.clone(), what }));
            }
            Err(what) => found.damage.push(Damage { file, what }),
        }
    }
    found.lanes.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

fn load_file(path: &Path, wall: SystemTime, now: MonoTime) -> Result<(RestoredLane, Vec<Harm>), Harm> {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
    if file.metadata()?.len() > LARGEST {
        return Err(Harm::Header);
    }
    let bytes = std::fs::read(path)?;
    let (key, head) = header::decode(&bytes).ok_or(Harm::Header)?;
    if path.file_name().is_none_or(|name| name != header::file_name(&key).as_str()) {
        return Err(Harm::Header);
    }
    let (records, rest) = bytes[header::SIZE..].as_chunks::<{ record::SIZE }>();
    let mut kept: HashMap<UserId, (Slot, Stored)> = HashMap::new();
    let mut doubles: Vec<Slot> = Vec::new();
    let mut broken: Vec<Slot> = Vec::new();
    let mut leases = 0;
    for (slot, bytes) in (0_u32..).map(Slot).zip(records) {
        let slotted = record::decode(bytes);
        leases += usize::from(record::lost_its_lease(bytes, &slotted));
        match slotted {
            Slotted::Free => {}
            Slotted::Damaged => broken.push(slot),
            Slotted::Session(stored) => match kept.get_mut(&stored.user) {
                None => {
                    kept.insert(stored.user, (slot, stored));
                }
                Some(other) if stored.written_ms > other.1.written_ms => {
                    doubles.push(other.0);
                    *other = (slot, stored);
                }
                Some(_) => doubles.push(slot),
            },
        }
    }
    for &slot in &doubles {
        file.write_all_at(&[0; record::SIZE], offset(slot))?;
    }
    forget(&file, &broken, (bytes.len() - rest.len()) as u64);
    let mut sessions: Vec<(Slot, UserId, Record)> =
        kept.into_values().map(|(slot, stored)| (slot, stored.user, restore(&stored, wall, now))).collect();
    sessions.sort_unstable_by_key(|session| session.0);
    let mut harms = Vec::new();
    let damaged = broken.len() + usize::from(!rest.is_empty());
    if damaged > 0 {
        harms.push(Harm::Records(damaged));
    }
    if leases > 0 {
        harms.push(Harm::Leases(leases));
    }
    if !doubles.is_empty() {
        harms.push(Harm::Doubles(doubles.len()));
    }
    Ok((RestoredLane { key, head, sessions }, harms))
}

/// Takes damage out of a file, so that the next start does not tell of it again. It is no more than a nuisance where
/// that cannot be done.
fn forget(file: &std::fs::File, broken: &[Slot], whole: u64) {
    for &slot in broken {
        let _ = file.write_all_at(&[0; record::SIZE], offset(slot));
    }
    if file.metadata().is_ok_and(|metadata| metadata.len() > whole) {
        let _ = file.set_len(whole);
    }
}

/// The path of a lane's file.
fn file_of(leases: &Path, key: &LaneKey) -> PathBuf {
    leases.join(header::file_name(key))
}

/// Where the record of a slot begins.
fn offset(slot: Slot) -> u64 {
    header::SIZE as u64 + u64::from(slot.0) * record::SIZE as u64
}

/// From the keeper's clock to the wall's, for the disk. `now` is the moment at which the wall clock shows `wall`.
#[must_use]
pub fn store(user: UserId, record: &Record, wall: SystemTime, now: MonoTime) -> Stored {
    let lease = record.lease.map(|lease| (lease.granted, wall_ms(wall - now.since(lease.sent_at))));
    Stored { user, written_ms: wall_ms(wall), wish: record.wish, lease }
}

/// And back. A lease whose send lies in the future is unknown: one of the clocks was wrong.
fn restore(stored: &Stored, wall: SystemTime, now: MonoTime) -> Record {
    let lease = stored.lease.and_then(|(granted, sent_ms): (Wish, u64)| {
        let age = wall_ms(wall).checked_sub(sent_ms)?;
        Some(Lease { granted, sent_at: now - Duration::from_millis(age) })
    });
    Record { wish: stored.wish, lease }
}

/// Whole milliseconds, down: a lease seems older by less than one, never younger.
fn wall_ms(wall: SystemTime) -> u64 {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
