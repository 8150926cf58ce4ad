//! A `presenced run` that is watched: its log, line by line, and its end.

use std::collections::HashMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::patience::PATIENCE;
use crate::secrecy;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_presenced");

/// What a process has written so far.
#[derive(Default)]
pub struct Written {
    /// Line by line.
    pub lines: Vec<String>,
    /// It has closed the stream.
    pub ended: bool,
}

/// Reads a stream to its end.
pub async fn listen(stream: impl AsyncRead + Unpin, to: watch::Sender<Written>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        to.send_modify(|written| written.lines.push(line));
    }
    to.send_modify(|written| written.ended = true);
}

/// The binary with a clean environment, so that nothing of the machine at hand plays a part.
pub fn presenced() -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().kill_on_drop(true).stdin(Stdio::null());
    // Where coverage is measured, it is measured here, too.
    command.envs(std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)));
    command
}

/// A daemon that runs; it is killed when this is dropped, and its log is searched for secrets.
pub struct Daemon {
    child: Child,
    stderr: watch::Receiver<Written>,
    taken: HashMap<String, usize>,
    _listening: JoinSet<()>,
}

impl Daemon {
    /// Starts the daemon with a config and more arguments.
    pub fn start(config: &Path, args: &[&str]) -> Self {
        let mut command = presenced();
        command.arg("run").arg("--config").arg(config).args(["--log-format", "json"]).args(args);
        Self::spawn(command)
    }

    /// Starts what a command says.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (to, stderr) = watch::channel(Written::default());
        let mut listening = JoinSet::new();
        listening.spawn(listen(child.stderr.take().unwrap(), to));
        Self { child, stderr, taken: HashMap::new(), _listening: listening }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it has not ended")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it as the kernel does: without a word.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Returns the next log line of this event, each one once, in their order.
    ///
    /// # Panics
    /// When it does not come; with all that was said instead.
    pub async fn event(&mut self, name: &str) -> Value {
        let taken = self.taken.get(name).copied().unwrap_or_default();
        let found = {
            let seen = self.stderr.wait_for(|written| written.ended || nth(written, name, taken).is_some());
            match timeout(PATIENCE, seen).await {
                Ok(Ok(written)) => nth(&written, name, taken),
                Ok(Err(_)) | Err(_) => None,
            }
        };
        let Some(found) = found else { panic!("no {name} (number {}):\n{}", taken + 1, self.log()) };
        self.taken.insert(name.to_owned(), taken + 1);
        found
    }

    /// Returns when so many lines of this event were said.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn all_said(&mut self, name: &str, lines: usize) {
        let last = lines - 1;
        let said = self.stderr.wait_for(|written| nth(written, name, last).is_some());
        let said = timeout(PATIENCE, said).await.is_ok_and(|said| said.is_ok());
        assert!(said, "not {lines} times {name}:\n{}", self.log());
    }

    /// All lines of this event so far.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let written = self.stderr.borrow();
        let lines = written.lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == name).collect()
    }

    /// All that it has said so far.
    pub fn log(&self) -> String {
        self.stderr.borrow().lines.join("\n")
    }

    /// Returns how it ended.
    ///
    /// # Panics
    /// When it has not within `patience`; with all that it said.
    pub async fn end_within(&mut self, patience: Duration) -> ExitStatus {
        let Ok(status) = timeout(patience, self.child.wait()).await else {
            panic!("it has not ended within {patience:?}:\n{}", self.log());
        };
        // The last line may still be on its way.
        let read_all = self.stderr.wait_for(|written| written.ended);
        timeout(PATIENCE, read_all).await.expect("nobody else holds the stream").unwrap();
        status.unwrap()
    }

    /// The exit code that it ends with.
    pub async fn exit_code(&mut self) -> Option<i32> {
        self.end_within(PATIENCE).await.code()
    }

    /// Whether it has ended already.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        secrecy::search("the log of a daemon", &self.log());
    }
}

fn nth(written: &Written, name: &str, index: usize) -> Option<Value> {
    let lines = written.lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == name).nth(index)
}
