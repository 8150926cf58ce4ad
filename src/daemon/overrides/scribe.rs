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
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Something to write. With nothing in it, what could not be written is tried again.
#[derive(Debug, Default)]
pub struct Job {
    /// What changed of the overrides.
    pub line: Option<Line>,
    /// Who changed what.
    pub record: Option<Record>,
    /// Whom to tell whether it is written.
    pub done: Option<oneshot::Sender<bool>>,
    /// All that is in force, in place of what was written so far.
    pub whole: Option<Vec<Line>>,
}

/// Where jobs go.
#[derive(Debug)]
pub struct Scribe {
    jobs: mpsc::Sender<Job>,
    /// A line has found no room: only the whole is right again.
    lost: AtomicBool,
}

impl Scribe {
    /// A scribe, and the writer for its thread. `state` is the state directory; what is over at `wall` is not kept on.
    #[must_use]
    pub fn new(state: &Path, wall: SystemTime) -> (Self, Writer) {
        let (jobs, inbox) = mpsc::channel(JOBS);
        let path = state.join(FILE);
        let overrides = Book { path, wall, is_read: false, file: None, live: BTreeMap::new(), lines: 0 };
        let scribe = Self { jobs, lost: AtomicBool::new(false) };
        (scribe, Writer { overrides, audit: audit::Log::new(state), inbox, failing: false })
    }

    /// Hands something over. When the thread is too far behind, whoever waits is told that it is not written.
    pub fn write(&self, job: Job) {
        let whole = job.whole.is_some();
        match self.jobs.try_send(job) {
            Ok(()) if whole => self.lost.store(false, Ordering::Relaxed),
            Ok(()) => {}
            Err(error) => {
                let job = error.into_inner();
                if job.line.is_some() || job.record.is_some() {
                    let error = io::Error::other("the disk is too slow");
                    if !self.lost.swap(true, Ordering::Relaxed) {
                        logging::overrides_unkept(Path::new(FILE), &error);
                    }
                }
                if let Some(done) = job.done {
                    // Whoever asked may have gone.
                    let _ = done.send(false);
                }
            }
        }
    }

    /// Whether something has found no room since the whole was written.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
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
            self.take(job);
        }
    }

    fn take(&mut self, job: Job) {
        let line = match (job.whole, job.line) {
            (Some(lines), _) => self.overrides.replace(&lines),
            (None, Some(line)) => self.overrides.append(&line),
            (None, None) if self.failing => self.overrides.again(),
            (None, None) => Ok(()),
        };
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
    /// When the daemon started.
    wall: SystemTime,
    /// What earlier runs wrote is in `live`: before that, nothing may take its place.
    is_read: bool,
    file: Option<File>,
    /// The line that counts of each thing that lines are about.
    live: BTreeMap<(Vec<String>, Option<String>), String>,
    lines: usize,
}

impl Book {
    /// Reads what is there, so that it is known which lines count, and writes it anew.
    fn reopen(&mut self) -> io::Result<()> {
        let mut live = BTreeMap::new();
        each_line(&self.path, |text| {
            if let Ok(line) = serde_json::from_str::<Line>(text) {
                // One that is over would stay for ever: its source, a call, is never heard of again.
                let text = if line.is_over(self.wall) { None } else { Some(text.to_owned()) };
                Self::note(&mut live, &line, text);
            }
        })?;
        // What came since goes on top.
        live.append(&mut self.live);
        (self.live, self.is_read) = (live, true);
        self.rewrite()
    }

    /// Tries what could not be done.
    fn again(&mut self) -> io::Result<()> {
        if self.is_read { self.rewrite() } else { self.reopen() }
    }

    /// Writes these lines in place of all others.
    fn replace(&mut self, lines: &[Line]) -> io::Result<()> {
        (self.live, self.is_read) = (BTreeMap::new(), true);
        for line in lines {
            Self::note(&mut self.live, line, Some(serde_json::to_string(line)?));
        }
        self.rewrite()
    }

    /// `text`: the line as it is written, if it says something that holds.
    fn note(live: &mut BTreeMap<(Vec<String>, Option<String>), String>, line: &Line, text: Option<String>) {
        match (line.about(), text) {
            // All releases are over, those of one user and that of all.
            (None, _) => live.retain(|(_, source), _| source.is_some()),
            (Some(about), Some(text)) if line.holds() => {
                live.insert(about, text);
            }
            (Some(about), _) => {
                live.remove(&about);
            }
        }
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        Self::note(&mut self.live, line, Some(text.clone()));
        if !self.is_read {
            return self.reopen();
        }
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
mod tests;
