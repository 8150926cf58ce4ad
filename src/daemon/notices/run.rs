//! Runs a command once: no shell, what it is to know on its standard input, and bounds on all of it.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::daemon::clock::Clock;

/// How long a command may take, in the world's time.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// How long the rest of its output may take once it has ended: somebody else may hold the pipe.
const REST: Duration = Duration::from_millis(200);
/// How much of its output is kept, in bytes.
const OUTPUT_MAX: usize = 1_024;
/// How much of the first line of that is told, in characters.
const LINE_MAX: usize = 200;

/// What a command gets of the daemon's environment: nothing secret is ever in these.
const PASSED_ON: [&str; 4] = ["PATH", "LANG", "LC_ALL", "TZ"];
/// Where programs are when the daemon's environment does not say so.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why nobody was told.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it cannot be run: {0}")]
    Spawn(#[source] io::Error),
    #[error("it was not waited for: {0}")]
    Wait(#[source] io::Error),
    #[error("it ended with {0}")]
    Status(ExitStatus),
    #[error("it took longer than {} s and was killed", TIMEOUT.as_secs())]
    TimedOut,
}

/// Runs a command to its end, with `input`. Returns the first line of what it said, errors first.
pub(super) async fn run(
    command: &[Box<str>],
    input: &str,
    clock: &Clock,
) -> (Result<(), Failure>, Option<String>) {
    let Some((program, arguments)) = command.split_first() else { return (Ok(()), None) };
    let mut command = Command::new(program.as_ref());
    command.args(arguments.iter().map(AsRef::as_ref)).env_clear().env("PATH", PATH).current_dir("/");
    command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // In a group of its own, so that what it leaves behind ends with it.
    command.process_group(0).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return (Err(Failure::Spawn(error)), None),
    };
    let group = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ended = attend(&mut child, input, &mut out, &mut err, clock).await;
    if let Some(group) = group {
        // Whoever is left in it. Before the child is reaped its number is nobody else's; afterwards it stays that of the
        // group as long as somebody is in it.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let result = match ended {
        None => {
            // It has been killed: this reaps it.
            let _ = child.wait().await;
            Err(Failure::TimedOut)
        }
        Some(Err(error)) => Err(Failure::Wait(error)),
        Some(Ok(status)) if status.success() => Ok(()),
        Some(Ok(status)) => Err(Failure::Status(status)),
    };
    (result, first_line(&err).or_else(|| first_line(&out)))
}

/// Gives a child its input, takes its output, and returns when it has ended; nothing when that takes too long.
async fn attend(
    child: &mut Child,
    input: &str,
    out: &mut Vec<u8>,
    err: &mut Vec<u8>,
    clock: &Clock,
) -> Option<io::Result<ExitStatus>> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // One that does not want to know closes its end.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let talk = async {
        tokio::join!(write, keep(stdout, out), keep(stderr, err));
    };
    let timeout = clock.sleep_real(TIMEOUT);
    tokio::pin!(talk, timeout);
    let mut talking = true;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            () = &mut talk, if talking => talking = false,
            () = &mut timeout => return None,
        }
    };
    if talking {
        tokio::select! {
            () = &mut talk => {}
            () = clock.sleep_real(REST) => {}
        }
    }
    Some(status)
}

/// Reads to the end, and keeps the beginning.
async fn keep(from: Option<impl AsyncRead + Unpin>, to: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 1_024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let room = OUTPUT_MAX - to.len().min(OUTPUT_MAX);
        to.extend_from_slice(&buffer[..read.min(room)]);
    }
}

/// The first line that is not blank.
fn first_line(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(LINE_MAX).collect())
}
