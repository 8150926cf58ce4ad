//! The book on disk, `directory.json` in the state directory: a start knows who belongs to which group before anything
//! was read. Names of people are in it, so it is for the daemon's user alone.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Book, Members, Owner};
use crate::config::directory::Member;
use crate::keeper::id::{Guid, LaneKey};

/// Its name in the state directory.
const FILE: &str = "directory.json";
/// Of the file; another one is not read.
const FORMAT: u32 = 1;

/// Why the book cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
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
struct Kept {
    format: u32,
    groups: Vec<KeptGroup>,
    names: Vec<KeptName>,
}

#[derive(Serialize, Deserialize)]
struct KeptLane {
    graph: String,
    tenant: String,
    client: String,
}

#[derive(Serialize, Deserialize)]
struct KeptGroup {
    lane: KeptLane,
    group: String,
    read_ms: u64,
    members: Vec<(String, Option<Box<str>>)>,
    held: Option<Vec<(String, Option<Box<str>>)>>,
}

#[derive(Serialize, Deserialize)]
struct KeptName {
    lane: KeptLane,
    name: Box<str>,
    user: Option<String>,
    found: bool,
    checked_ms: u64,
}

/// Writes the book into the state directory, in the place of what is there.
///
/// # Errors
/// When it cannot be written. What was there is whole then.
pub fn keep(state: &Path, book: &Book) -> Result<(), KeptError> {
    replace(state, &Kept::of(book)).map_err(|source| KeptError::Io { path: state.join(FILE), source })
}

fn replace(state: &Path, kept: &Kept) -> io::Result<()> {
    // Made for its owner alone.
    let mut file = tempfile::NamedTempFile::new_in(state)?;
    let mut out = io::BufWriter::new(&mut file);
    serde_json::to_writer(&mut out, kept)?;
    out.flush()?;
    drop(out);
    file.as_file().sync_all()?;
    file.persist(state.join(FILE))?;
    File::open(state)?.sync_all()
}

/// Reads the book; an empty one where there is none.
///
/// # Errors
/// When there is one that cannot be used.
pub fn load(state: &Path) -> Result<Book, KeptError> {
    let path = state.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
        Err(source) => return Err(KeptError::Io { path, source }),
    };
    let kept: Option<Kept> = serde_json::from_slice(&bytes).ok();
    let book = kept.filter(|kept| kept.format == FORMAT).and_then(Kept::book);
    book.ok_or(KeptError::Damaged { path })
}

impl Kept {
    fn of(book: &Book) -> Self {
        let groups = book.groups.iter().map(|((lane, group), members)| KeptGroup {
            lane: KeptLane::of(lane),
            group: group.to_string(),
            read_ms: millis(members.read),
            members: listed(&members.all),
            held: members.held.as_deref().map(listed),
        });
        let names = book.names.iter().map(|((lane, name), owner)| KeptName {
            lane: KeptLane::of(lane),
            name: name.clone(),
            user: owner.user.map(|user| user.to_string()),
            found: owner.found,
            checked_ms: millis(owner.checked),
        });
        Self { format: FORMAT, groups: groups.collect(), names: names.collect() }
    }

    fn book(self) -> Option<Book> {
        let mut book = Book::default();
        for KeptGroup { lane, group, read_ms, members, held } in self.groups {
            let held = match held {
                Some(held) => Some(unlisted(held)?.into()),
                None => None,
            };
            let members = Members { all: unlisted(members)?.into(), read: at(read_ms), held };
            book.groups.insert((lane.key()?, group.parse().ok()?), members);
        }
        for KeptName { lane, name, user, found, checked_ms } in self.names {
            let user = match user {
                Some(user) => Some(user.parse().ok()?),
                None => None,
            };
            book.names.insert((lane.key()?, name), Owner { user, found, checked: at(checked_ms) });
        }
        Some(book)
    }
}

impl KeptLane {
    fn of(lane: &LaneKey) -> Self {
        let LaneKey { graph, tenant, client } = lane;
        Self { graph: graph.to_string(), tenant: tenant.to_string(), client: client.to_string() }
    }

    fn key(self) -> Option<LaneKey> {
        let Self { graph, tenant, client } = self;
        Some(LaneKey { graph: graph.into(), tenant: tenant.parse().ok()?, client: client.parse().ok()? })
    }
}

fn listed(members: &[Member]) -> Vec<(String, Option<Box<str>>)> {
    members.iter().map(|member| (member.id.to_string(), member.name.clone())).collect()
}

/// In their order, each once, whoever wrote the file.
fn unlisted(members: Vec<(String, Option<Box<str>>)>) -> Option<Vec<Member>> {
    let members = members.into_iter().map(|(id, name)| {
        let id: Guid = id.parse().ok()?;
        Some(Member::new(id, name.as_deref()))
    });
    let mut members: Vec<Member> = members.collect::<Option<_>>()?;
    members.sort_unstable();
    members.dedup_by_key(|member| member.id);
    Some(members)
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A time that no clock shows is the beginning of all: what was read then is read anew.
fn at(millis: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn book() -> Book {
        let lane = LaneKey {
            graph: "https://graph.example".into(),
            tenant: Guid::from_u128(1),
            client: Guid::from_u128(2),
        };
        let members = |ids: Range<u128>| ids.map(|id| Member::new(Guid::from_u128(id), Some("Änna \"x\"")));
        let mut book = Book::default();
        let group =
            Members { all: members(1..4).collect(), read: at(1_000), held: Some(members(1..2).collect()) };
        book.groups.insert((lane.clone(), Guid::from_u128(7)), group);
        let owner = Owner { user: Some(Guid::from_u128(9)), found: true, checked: at(2_000) };
        book.names.insert((lane.clone(), "anna@contoso.com".into()), owner);
        book.names
            .insert((lane, "nobody@contoso.com".into()), Owner { user: None, found: false, checked: at(3) });
        book
    }

    #[test]
    fn the_book_reads_back_as_it_was_written_and_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), Book::default(), "there is none yet");
        keep(dir.path(), &book()).unwrap();
        assert_eq!(load(dir.path()).unwrap(), book());
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        keep(dir.path(), &Book::default()).unwrap();
        assert_eq!(load(dir.path()).unwrap(), Book::default());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_damaged_book_is_refused_and_overwritten_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path(), &book()).unwrap();
        let whole = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        let cuts = (0..whole.len()).filter(|at| whole.is_char_boundary(*at)).map(|at| whole[..at].to_owned());
        let wrong = ["\"format\":2", "\"format\":\"1\""].map(|format| whole.replace("\"format\":1", format));
        let mut count = 0;
        for text in cuts.chain(wrong).chain([whole.replace("-0000-", "-oooo-")]) {
            std::fs::write(dir.path().join(FILE), &text).unwrap();
            assert!(matches!(load(dir.path()), Err(KeptError::Damaged { .. })), "{text}");
            count += 1;
        }
        assert!(count > 500, "{count}");
        keep(dir.path(), &book()).unwrap();
        assert_eq!(load(dir.path()).unwrap(), book());
    }
}
