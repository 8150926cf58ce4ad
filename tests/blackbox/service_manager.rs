//! What systemd is to a service: a socket that listens.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::patience::PATIENCE;

/// Listens where `NOTIFY_SOCKET` leads.
pub struct ServiceManager {
    socket: UnixDatagram,
    path: PathBuf,
    heard: Vec<String>,
    _dir: TempDir,
}

impl ServiceManager {
    /// With a socket of its own.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        Self { socket: UnixDatagram::bind(&path).unwrap(), path, heard: Vec::new(), _dir: dir }
    }

    /// For `NOTIFY_SOCKET`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next message.
    ///
    /// # Panics
    /// When none comes; with all that were heard.
    pub async fn message(&mut self) -> String {
        let mut bytes = [0; 8192];
        let Ok(length) = timeout(PATIENCE, self.socket.recv(&mut bytes)).await else {
            panic!("nothing more after {:#?}", self.heard);
        };
        let message = String::from_utf8(bytes[..length.unwrap()].to_vec()).unwrap();
        self.heard.push(message.clone());
        message
    }

    /// The next message that holds a line which begins so; others are passed over.
    pub async fn message_with(&mut self, beginning: &str) -> String {
        loop {
            let message = self.message().await;
            if message.lines().any(|line| line.starts_with(beginning)) {
                return message;
            }
        }
    }

    /// All messages that are here already, those that were looked at before included.
    pub fn heard(&mut self) -> &[String] {
        let mut bytes = [0; 8192];
        while let Ok(length) = self.socket.try_recv(&mut bytes) {
            self.heard.push(String::from_utf8(bytes[..length].to_vec()).unwrap());
        }
        &self.heard
    }
}
