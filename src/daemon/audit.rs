//! Who changed what: a record for each override, release and reload, in `audit/<day>.jsonl` of the state directory.
//!
//! Thirty days are kept, and no more than 256 MiB: of what is too much, the oldest days go.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How many days are kept.
const DAYS: usize = 30;
/// Of all days together, in bytes.
const BYTES_MAX: u64 = 256 << 20;
/// Of one day, in bytes: nobody reads more, and a loop that goes wrong must not push the days before it out.
const DAY_MAX: u64 = 32 << 20;
/// Longest line that is read, in bytes.
const LINE_MAX: u64 = 16 * 1024;

/// One change.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Record {
    /// When: RFC 3339, UTC.
    pub at: String,
    /// What was done.
    pub action: Action,
    /// Who did it: `uid 1000 (pid 812)`, `token pbx`, `signal of uid 0 (pid 1)`, or `presenced` for what ends by itself.
    pub by: String,
    /// The source of an override.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The app's name in the config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The user's object id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The group that was meant, where the user was one of its members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What was wanted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What is wanted from now on; of a reload, what it changed, or why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Until when, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The hash of the config in force.
    pub config: String,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// An override was put in force, or changed.
    Set,
    /// An override was taken back.
    Unset,
    /// An override came to its end.
    Expired,
    /// Somebody was released, or everyone.
    Release,
    /// A release was taken back.
    Resume,
    /// A config was taken.
    Reload,
    /// A config was refused.
    ReloadRefused,
}

impl Action {
    /// As it is written.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Unset => "unset",
            Self::Expired => "expired",
            Self::Release => "release",
            Self::Resume => "resume",
            Self::Reload => "reload",
            Self::ReloadRefused => "reload_refused",
        }
    }
}

/// The log as it is written.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    day: String,
    file: Option<(File, u64)>,
}

impl Log {
    /// The log of a state directory.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { dir: state.join("audit"), day: String::new(), file: None }
    }

    /// Writes a record.
    ///
    /// # Errors
    /// When it cannot be written, or the day is full: of calls at 24 MiB, of all else at 32 MiB.
    pub fn append(&mut self, record: &Record) -> io::Result<()> {
        let day = record.at.get(..10).unwrap_or("unknown");
        if self.file.is_none() || day != self.day {
            self.open(day)?;
        }
        let mut text = serde_json::to_string(record)?;
        text.push('\n');
        let Some((file, size)) = &mut self.file else { return Ok(()) };
        // Calls that go wrong in a loop leave room for what people do.
        let of_calls = matches!(record.action, Action::Set | Action::Unset | Action::Expired)
            && record.source.as_deref() != Some("operator");
        if *size >= if of_calls { DAY_MAX / 4 * 3 } else { DAY_MAX } {
            return Err(io::Error::other("the history of this day is full"));
        }
        let written = file.write_all(text.as_bytes());
        *size += text.len() as u64;
        if written.is_err() {
            self.file = None;
        }
        written
    }

    fn open(&mut self, day: &str) -> io::Result<()> {
        self.file = None;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        prune(&self.dir)?;
        let path = self.dir.join(format!("{day}.jsonl"));
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).read(true).open(&path)?;
        let size = file.metadata()?.len();
        if size > 0 && !ends_a_line(&path, size)? {
            file.write_all(b"\n")?;
        }
        self.file = Some((file, size));
        day.clone_into(&mut self.day);
        Ok(())
    }
}

/// Whether a file ends with the end of a line: a process that was killed may have left half of one.
fn ends_a_line(path: &Path, size: u64) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let mut last = [0];
    File::open(path)?.read_exact_at(&mut last, size - 1)?;
    Ok(last == *b"\n")
}

/// The days that are there, the newest first.
fn days(dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut days = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "jsonl") {
            days.push((entry.path(), entry.metadata()?.len()));
        }
    }
    days.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
    Ok(days)
}

/// Makes room for one more day.
fn prune(dir: &Path) -> io::Result<()> {
    let mut bytes = 0;
    for (n, (path, size)) in days(dir)?.into_iter().enumerate() {
        bytes += size;
        if n + 1 >= DAYS || bytes > BYTES_MAX - DAY_MAX {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Which records to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Those from then on, RFC 3339, UTC.
    pub since: String,
    /// Those of this user.
    pub user: Option<String>,
    /// Those of this app.
    pub app: Option<String>,
    /// At most so many, the newest.
    pub limit: usize,
}

/// The records of a state directory that are wanted, the oldest first. Lines that cannot be read are left out. Blocks.
///
/// # Errors
/// When the directory cannot be read.
pub fn read(state: &Path, wanted: &Wanted) -> io::Result<Vec<Record>> {
    let mut found: Vec<Record> = Vec::new();
    for (path, _) in days(&state.join("audit"))? {
        let day = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if wanted.since.get(..10).is_some_and(|first| *day < *first) || found.len() >= wanted.limit {
            break;
        }
        let mut of_day = records_of(&path, wanted)?;
        let room = wanted.limit - found.len();
        of_day.drain(..of_day.len().saturating_sub(room));
        of_day.append(&mut found);
        found = of_day;
    }
    Ok(found)
}

fn records_of(path: &Path, wanted: &Wanted) -> io::Result<Vec<Record>> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    let mut records = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(records);
        }
        let Ok(record) = serde_json::from_slice::<Record>(&line) else { continue };
        // What concerns everyone concerns each.
        let fits = |wanted: &Option<String>, has: &Option<String>| {
            wanted.is_none() || has.is_none() || has == wanted
        };
        if fits(&wanted.user, &record.user) && fits(&wanted.app, &record.app) && record.at >= wanted.since {
            records.push(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at: &str, user: Option<&str>) -> Record {
        Record {
            at: at.to_owned(),
            action: Action::Set,
            by: "uid 0 (pid 812)".to_owned(),
            source: Some("operator".to_owned()),
            app: Some("contoso".to_owned()),
            user: user.map(str::to_owned),
            group: None,
            before: Some("Available/Available".to_owned()),
            after: Some("Busy/InACall".to_owned()),
            until: None,
            reason: Some("fire drill".to_owned()),
            config: "7f3c9e1".to_owned(),
        }
    }

    fn wanted(since: &str, user: Option<&str>, limit: usize) -> Wanted {
        Wanted { since: since.to_owned(), user: user.map(str::to_owned), app: None, limit }
    }

    #[test]
    fn records_are_found_by_time_and_user_the_newest_where_there_are_too_many() {
        let state = tempfile::tempdir().unwrap();
        let mut log = Log::new(state.path());
        for (at, user) in [
            ("2026-11-23T10:00:00.000Z", Some("a")),
            ("2026-11-24T10:00:00.000Z", Some("b")),
            ("2026-11-24T11:00:00.000Z", None),
            ("2026-11-25T10:00:00.000Z", Some("a")),
        ] {
            log.append(&record(at, user)).unwrap();
        }
        let times = |wanted: &Wanted| -> Vec<String> {
            read(state.path(), wanted).unwrap().iter().map(|record| record.at[8..13].to_owned()).collect()
        };
        assert_eq!(times(&wanted("2026-11-01", None, 10)), ["23T10", "24T10", "24T11", "25T10"]);
        assert_eq!(times(&wanted("2026-11-24T10:30:00Z", None, 10)), ["24T11", "25T10"]);
        assert_eq!(
            times(&wanted("2026-11-01", Some("a"), 10)),
            ["23T10", "24T11", "25T10"],
            "and what concerns all"
        );
        assert_eq!(times(&wanted("2026-11-01", None, 2)), ["24T11", "25T10"]);
        assert_eq!(read(&state.path().join("nowhere"), &wanted("2026", None, 1)).unwrap(), []);
    }

    #[test]
    fn thirty_days_are_kept() {
        let state = tempfile::tempdir().unwrap();
        let mut log = Log::new(state.path());
        for day in 1..=31 {
            log.append(&record(&format!("2026-10-{day:02}T10:00:00.000Z"), None)).unwrap();
        }
        let days = days(&state.path().join("audit")).unwrap();
        assert_eq!(days.len(), DAYS);
        assert!(days.last().unwrap().0.ends_with("2026-10-02.jsonl"));
    }

    #[test]
    fn half_a_line_of_a_killed_process_costs_only_itself() {
        let state = tempfile::tempdir().unwrap();
        Log::new(state.path()).append(&record("2026-11-23T10:00:00.000Z", None)).unwrap();
        let path = state.path().join("audit/2026-11-23.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() / 2]).unwrap();
        Log::new(state.path()).append(&record("2026-11-23T11:00:00.000Z", None)).unwrap();
        let found = read(state.path(), &wanted("2026-11-23", None, 10)).unwrap();
        assert_eq!(found.iter().map(|record| &record.at[11..13]).collect::<Vec<_>>(), ["11"]);
    }
}
