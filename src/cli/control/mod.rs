//! The commands that ask the running daemon: over its control socket, as HTTP.

mod group;
pub mod health;
pub mod history;
pub mod release;
pub mod reload;
pub mod set;
pub mod status;
pub mod why;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::exit;
use crate::config;
use crate::daemon::control::wire::Failure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long that of a reload may take: a million users are read in seconds.
const RELOAD_PATIENCE: Duration = Duration::from_secs(310);
/// Longest answer that is read, in bytes: ten thousand records of the history.
const ANSWER_MAX: usize = 32 << 20;

/// The way to the daemon.
struct Control {
    socket: PathBuf,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// Why there is no answer, or it is no.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// Nobody answers.
    #[error("no daemon answers at {}: {why}", socket.display())]
    Unreachable {
        /// Where.
        socket: PathBuf,
        /// Why.
        why: String,
    },
    /// The daemon has said no.
    #[error("{message}")]
    Refused {
        /// With which status.
        status: StatusCode,
        /// Why.
        message: String,
    },
}

impl Refusal {
    /// What the process ends with.
    fn code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } => exit::UNREACHABLE,
            Self::Refused { status, .. } => match *status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => exit::REFUSED,
                StatusCode::SERVICE_UNAVAILABLE => exit::UNREACHABLE,
                status if status.is_client_error() => exit::USAGE,
                _ => exit::FAILURE,
            },
        }
    }
}

impl Control {
    /// The way to the daemon that runs on this config.
    fn of(config: &Path) -> anyhow::Result<Self> {
        let socket = config::control_socket(config);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let http = reqwest::Client::builder().unix_socket(socket.as_path()).no_proxy().build()?;
        Ok(Self { socket, http, runtime })
    }

    fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, Refusal> {
        self.ask(Method::GET, path, query, None::<&()>, PATIENCE)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&impl Serialize>,
        patience: Duration,
    ) -> Result<T, Refusal> {
        self.runtime.block_on(async {
            let asked = self.exchange(method, url(path, query), body);
            tokio::time::timeout(patience, asked)
                .await
                .unwrap_or_else(|_| Err(self.unreachable("it has not answered in time")))
        })
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&impl Serialize>,
    ) -> Result<T, Refusal> {
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            let json = serde_json::to_vec(body).map_err(|error| self.unreachable(&error.to_string()))?;
            request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(json);
        }
        let mut answer = request.send().await.map_err(|error| self.unsent(&error))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unreachable(&root(&error)))? {
            if bytes.len() + chunk.len() > ANSWER_MAX {
                return Err(self.unreachable("its answer is too long"));
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|_| self.unreachable("its answer is not one of a daemon of this version"));
        }
        let message = serde_json::from_slice(&bytes)
            .map_or_else(|_| format!("status {status}"), |failure: Failure| failure.error.message);
        Err(Refusal::Refused { status, message })
    }

    /// Why a request could not be sent: nobody is there, or this user may not.
    fn unsent(&self, error: &reqwest::Error) -> Refusal {
        let mut source: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = source {
            let denied = |error: &std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
            if error.downcast_ref().is_some_and(denied) {
                let socket = self.socket.display();
                let message =
                    format!("this user may not use {socket}: root, the daemon's user and its group may");
                return Refusal::Refused { status: StatusCode::FORBIDDEN, message };
            }
            source = error.source();
        }
        self.unreachable(&root(error))
    }

    fn unreachable(&self, why: &str) -> Refusal {
        Refusal::Unreachable { socket: self.socket.clone(), why: why.to_owned() }
    }
}

/// What an error goes back to, for people.
fn root(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

/// A URL whose host nobody looks at, each part of its path by itself.
fn url(path: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = Url::parse("http://presenced/").expect("this is a URL");
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty().push("v1").extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// `?app=`, where it is said.
fn of_app(app: Option<&str>) -> Vec<(&'static str, &str)> {
    app.map(|app| ("app", app)).into_iter().collect()
}

/// Prints an answer, as JSON or in words, or why there is none; returns what the process ends with.
fn tell<T: Serialize>(
    answer: Result<T, Refusal>,
    json: bool,
    words: impl FnOnce(&T) -> String,
) -> anyhow::Result<ExitCode> {
    match answer {
        Ok(answer) => {
            print(&if json {
                format!("{}\n", serde_json::to_string_pretty(&answer)?)
            } else {
                words(&answer)
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => refuse(&refusal),
    }
}

fn refuse(refusal: &Refusal) -> anyhow::Result<ExitCode> {
    writeln!(std::io::stderr(), "error: {refusal}")?;
    Ok(refusal.code().into())
}

/// Writes to standard output. Whoever reads along may have seen enough.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// A name and an id, as far as there is a name.
fn who(name: Option<&str>, user: &str) -> String {
    name.map_or_else(|| user.to_owned(), |name| format!("{name} ({user})"))
}

/// `142 s`, `52 min`, `8 h`, `3 d`.
fn span(seconds: f64) -> String {
    match seconds.abs() {
        ..600.0 => format!("{seconds:.0} s"),
        600.0..7_200.0 => format!("{:.0} min", seconds / 60.0),
        7_200.0..172_800.0 => format!("{:.0} h", seconds / 3_600.0),
        _ => format!("{:.0} d", seconds / 86_400.0),
    }
}

/// A time as it is told, to the second and without its letters.
fn time(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// Lines of cells, each column as wide as it must be; numbers to the right.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (n, (cell, width)) in cells.zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let gap = if n == 0 { "" } else { "  " };
            text.push_str(&if n == 0 { format!("{gap}{cell}{pad}") } else { format!("{gap}{pad}{cell}") });
        }
        format!("{}\n", text.trim_end())
    };
    let mut text = line(&mut head.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}
