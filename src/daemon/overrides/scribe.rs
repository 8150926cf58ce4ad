//! Keeps overrides, and who changed what, on disk: on a thread of its own, so that a disk that hangs holds up no renewal.
//!
//! `overrides.jsonl` has a line for each change. It is read at a start, and written anew when most of its lines say
//! nothing any more. No line is synced: it is for the next process on this machine; what a power cut takes are calls of
//! the last seconds.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot};

use super::Overrides;
use super::line::Line;
use crate::daemon::audit::{self, Record};
use crate::daemon::logging;
use crate::keeper::MonoTime;

/// Its name in the state directory.
const FILE: &str = "overrides.jsonl";
/// Longest line that is read, in bytes. Names and reasons are short.
const LINE_MAX: u64 = 16 * 1024;
/// Lines that say nothing any more, up to as many as do and this: then the file is written anew.
const IDLE_LINES: usize = 1_000;
/// Jobs that wait for the thread.
const JOBS: usize = 4_096;

/// Something to write.
#[derive(Debug)]
pub struct Job {
    /// What changed of the overrides.
    pub line: Option<Line>,
    /// Who changed what.
    pub record: Option<Record>,
    /// Whom to tell whether it is written.
    pub done: Option<oneshot::Sender<bool>>,
}

/// Where jobs go.
#[derive(Clone, Debug)]
pub struct Scribe(mpsc::Sender<Job>);

impl Scribe {
    /// A scribe, and the writer for its thread. `state` is the state directory.
    #[must_use]
    pub fn new(state: &Path) -> (Self, Writer) {
        let (jobs, inbox) = mpsc::channel(JOBS);
        let overrides = Book { path: state.join(FILE), file: None, live: BTreeMap::new(), lines: 0 };
        (Self(jobs), Writer { overrides, audit: audit::Log::new(state), inbox, failing: false })
    }

    /// Hands something over. When the thread is too far behind, whoever waits is told that it is not written.
    pub fn write(&self, job: Job) {
        if let Err(error) = self.0.try_send(job) {
            let job = error.into_inner();
            if let Some(done) = job.done {
                // Whoever asked may have gone.
                let _ = done.send(false);
            }
        }
    }
}

/// The thread's side.
#[derive(Debug)]
pub struct Writer {
    overrides: Book,
    audit: audit::Log,
    inbox: mpsc::Receiver<Job>,
    failing: bool,
}

impl Writer {
    /// Writes until the last [`Scribe`] is gone. Blocks: it needs a thread.
    pub fn run(mut self) {
        if let Err(error) = self.overrides.reopen() {
            self.failed(&error);
        }
        while let Some(job) = self.inbox.blocking_recv() {
            let line = job.line.map_or(Ok(()), |line| self.overrides.append(&line));
            let record = job.record.map_or(Ok(()), |record| self.audit.append(&record));
            let kept = line.is_ok();
            match line.and(record) {
                Ok(()) if self.failing => {
                    self.failing = false;
                    logging::overrides_kept_again();
                }
                Ok(()) => {}
                Err(error) => self.failed(&error),
            }
            if let Some(done) = job.done {
                // Whoever asked may have gone.
                let _ = done.send(kept);
            }
        }
    }

    /// One line when it begins, none for each that follows.
    fn failed(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            logging::overrides_unkept(&self.overrides.path, error);
        }
    }
}

/// The file of the overrides.
#[derive(Debug)]
struct Book {
    path: PathBuf,
    file: Option<File>,
    /// The line that counts of each thing that lines are about.
    live: BTreeMap<(Vec<String>, Option<String>), String>,
    lines: usize,
}

impl Book {
    /// Reads what is there, so that it is known which lines count, and writes it anew.
    fn reopen(&mut self) -> io::Result<()> {
        each_line(&self.path, |text| {
            if let Ok(line) = serde_json::from_str::<Line>(text) {
                Self::note(&mut self.live, &line, text.to_owned());
            }
        })?;
        self.rewrite()
    }

    fn note(live: &mut BTreeMap<(Vec<String>, Option<String>), String>, line: &Line, text: String) {
        match line.about() {
            // All releases are over, those of one user and that of all.
            None => live.retain(|(_, source), _| source.is_some()),
            Some(about) if line.holds() => {
                live.insert(about, text);
            }
            Some(about) => {
                live.remove(&about);
            }
        }
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        Self::note(&mut self.live, line, text.clone());
        if self.lines > 2 * self.live.len() + IDLE_LINES || self.file.is_none() {
            return self.rewrite();
        }
        text.push('\n');
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.write_all(text.as_bytes());
        if written.is_err() {
            // Half a line may be there: the next one begins a new file.
            self.file = None;
        }
        self.lines += 1;
        written
    }

    /// Writes the lines that count beside the file, and puts them in its place.
    fn rewrite(&mut self) -> io::Result<()> {
        self.file = None;
        let beside = self.path.with_extension("jsonl.next");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        let mut text = String::new();
        for line in self.live.values() {
            text.push_str(line);
            text.push('\n');
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        self.lines = self.live.len();
        self.file = Some(OpenOptions::new().append(true).open(&self.path)?);
        Ok(())
    }
}

/// What a state directory has of overrides: those whose time is not over, and how many lines could not be read. Blocks.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn load(state: &Path, wall: SystemTime, now: MonoTime) -> io::Result<(Overrides, usize)> {
    let mut live = BTreeMap::new();
    let mut damaged = 0;
    let mut order = 0_usize;
    each_line(&state.join(FILE), |text| match serde_json::from_str::<Line>(text) {
        Ok(line) => {
            order += 1;
            match line.about() {
                None => live.retain(|(_, source): &(Vec<String>, Option<String>), _| source.is_some()),
                Some(about) if line.holds() => {
                    live.insert(about, (order, line));
                }
                Some(about) => {
                    live.remove(&about);
                }
            }
        }
        Err(_) => damaged += 1,
    })?;
    let mut lines: Vec<(usize, Line)> = live.into_values().collect();
    // A file that was written anew has lost their order.
    lines.sort_by(|(n, one), (m, other)| (one.since(), n).cmp(&(other.since(), m)));
    let mut overrides = Overrides::default();
    for (_, line) in lines {
        if !line.apply(&mut overrides, wall, now) {
            damaged += 1;
        }
    }
    Ok((overrides, damaged))
}

/// Calls `each` for every line of a file, if it is there. A line that is too long ends it: this is no file of ours.
fn each_line(path: &Path, mut each: impl FnMut(&str)) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        // What is no text is no line of ours: it counts as one that cannot be read.
        each(std::str::from_utf8(&line).unwrap_or("").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Put, Release, Rule, Source, Whom};
    use super::*;
    use crate::keeper::PresenceState;
    use crate::keeper::id::{Guid, LaneKey};
    use std::time::Duration;

    const NOW: MonoTime = MonoTime::from_secs(1_000);

    fn at(secs: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_600_000 + secs)
    }

    fn whom(user: u128) -> Whom {
        let lane = LaneKey { graph: "g".into(), tenant: Guid::from_u128(1), client: Guid::from_u128(2) };
        Whom { lane, user: Guid::from_u128(user) }
    }

    fn put(secs: u64) -> Put {
        Put {
            state: Some(PresenceState::InACall),
            ends_at: NOW + Duration::from_secs(secs),
            ends_wall: at(secs),
            priority: 3,
            by: "token pbx".into(),
            reason: Some("a call".into()),
            since: at(0),
        }
    }

    fn line(overrides: &mut Overrides, user: u128, source: &str, secs: u64) -> Line {
        let source = Source::named(source).unwrap();
        overrides.put(whom(user), source.clone(), put(secs)).unwrap();
        let (_, over) = overrides.of(&whom(user)).find(|(known, _)| **known == source).unwrap();
        Line::put(&whom(user), &source, over)
    }

    fn write(state: &Path, lines: impl IntoIterator<Item = Line>) {
        let (scribe, writer) = Scribe::new(state);
        for line in lines {
            scribe.write(Job { line: Some(line), record: None, done: None });
        }
        drop(scribe);
        writer.run();
    }

    #[test]
    fn what_is_written_is_in_force_after_a_restart_until_its_end() {
        let state = tempfile::tempdir().unwrap();
        let mut all = Overrides::default();
        let lines = [line(&mut all, 1, "a", 60), line(&mut all, 2, "operator", 600)];
        write(state.path(), lines);
        let (found, damaged) = load(state.path(), at(30), NOW).unwrap();
        assert_eq!((found.len(), damaged), (2, 0));
        assert_eq!(found.next_end(), NOW + Duration::from_secs(30), "half a minute is over");
        let Some(Rule::Override(source, over)) = found.rule(&whom(2)) else { panic!("nothing holds") };
        assert_eq!((source, over.priority, over.reason.as_deref()), (&Source::Operator, 3, Some("a call")));
        assert_eq!(load(state.path(), at(60), NOW).unwrap().0.len(), 1);
        assert_eq!(load(state.path(), at(700), NOW).unwrap().0.len(), 0);
    }

    #[test]
    fn what_is_over_or_taken_back_is_not_in_force_again() {
        let state = tempfile::tempdir().unwrap();
        let mut all = Overrides::default();
        let release = Release { by: "uid 0".into(), reason: None, since: at(0) };
        write(
            state.path(),
            [
                line(&mut all, 1, "a", 60),
                line(&mut all, 1, "b", 60),
                Line::ended(&whom(1), &Source::named("a").unwrap()),
                Line::released(Some(&whom(2)), &release),
                Line::released(Some(&whom(3)), &release),
                Line::released(None, &release),
                Line::resumed(Some(&whom(2)), at(1)),
            ],
        );
        let (found, _) = load(state.path(), at(1), NOW).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found.all_released().is_some());
        assert_eq!(found.released().map(|(whom, _)| whom.clone()).collect::<Vec<_>>(), [whom(3)]);
        write(state.path(), [Line::resumed(None, at(2))]);
        let (found, _) = load(state.path(), at(2), NOW).unwrap();
        assert!(found.all_released().is_none() && found.released().next().is_none());
        assert_eq!(found.len(), 1, "overrides stay");
    }

    #[test]
    fn half_a_line_and_what_is_no_line_cost_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        let mut all = Overrides::default();
        write(state.path(), [line(&mut all, 1, "a", 60)]);
        let path = state.path().join(FILE);
        let good = std::fs::read_to_string(&path).unwrap();
        let text = format!("no line\n{good}\u{0}\u{1}\n{}", &good[..good.len() / 2]);
        std::fs::write(&path, text).unwrap();
        let (found, damaged) = load(state.path(), at(1), NOW).unwrap();
        assert_eq!((found.len(), damaged), (1, 3));
        write(state.path(), [line(&mut all, 2, "b", 60)]);
        let (found, damaged) = load(state.path(), at(1), NOW).unwrap();
        assert_eq!((found.len(), damaged), (2, 0), "written anew");
    }

    #[test]
    fn the_file_does_not_grow_with_calls_that_are_over() {
        let state = tempfile::tempdir().unwrap();
        let mut all = Overrides::default();
        let mut lines = Vec::new();
        for n in 0..2_000 {
            lines.push(line(&mut all, n, "a", 60));
            lines.push(Line::ended(&whom(n), &Source::named("a").unwrap()));
            all.remove(&whom(n), &Source::named("a").unwrap());
        }
        write(state.path(), lines);
        let lines = std::fs::read_to_string(state.path().join(FILE)).unwrap().lines().count();
        assert!(lines <= IDLE_LINES + 2, "{lines}");
        assert_eq!(load(state.path(), at(1), NOW).unwrap().0.len(), 0);
    }

    #[test]
    fn nobody_is_told_that_something_is_kept_that_is_not() {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(state.path().join("overrides.jsonl.next")).unwrap();
        let mut all = Overrides::default();
        let (scribe, writer) = Scribe::new(state.path());
        let (done, mut answer) = oneshot::channel();
        scribe.write(Job { line: Some(line(&mut all, 1, "a", 60)), record: None, done: Some(done) });
        drop(scribe);
        writer.run();
        assert_eq!(answer.try_recv(), Ok(false));
    }
}
