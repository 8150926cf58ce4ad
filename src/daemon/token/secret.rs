//! A client secret, read from where the config says it is, each time anew.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::Fingerprint;
use crate::config::settings::Credential;

/// Longest secret file, in bytes. Entra's secrets have about 40 characters.
const MAX_SECRET: u64 = 4096;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretError {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// Something else than a file is there. Reading a pipe could take for ever.
    #[error("not a regular file")]
    NotAFile,
    /// The variable is not set.
    #[error("not set")]
    NotSet,
    /// Nothing in it but white space.
    #[error("empty")]
    Empty,
    /// Too much in it.
    #[error("longer than {MAX_SECRET} bytes, which is no client secret")]
    TooLong,
    /// Entra's secrets are printable ASCII; anything else is another file, or two lines.
    #[error("not one line of printable ASCII characters, which is no client secret")]
    NotASecret,
}

/// The secret, without white space around it.
pub(super) fn read(credential: &Credential) -> Result<SecretString, SecretError> {
    let bytes = Zeroizing::new(match credential {
        Credential::SecretFile(path) => read_file(path)?,
        Credential::SecretEnv(name) => {
            std::env::var_os(name).ok_or(SecretError::NotSet)?.into_encoded_bytes()
        }
    });
    // Some editors begin a file with a mark of its encoding.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).trim_ascii();
    match std::str::from_utf8(bytes) {
        Ok("") => Err(SecretError::Empty),
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(SecretString::from(text)),
        Ok(_) | Err(_) => Err(SecretError::NotASecret),
    }
}

/// What tells this secret from another.
pub(super) fn fingerprint(secret: &SecretString) -> Fingerprint {
    Fingerprint(Sha256::digest(secret.expose_secret()).into())
}

/// Where the secret is, as the config says it.
pub(super) struct Place<'a>(pub(super) &'a Credential);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Credential::SecretFile(path) => write!(f, "secret_file {}", path.display()),
            Credential::SecretEnv(name) => write!(f, "secret_env {name}"),
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, SecretError> {
    let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(SecretError::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(MAX_SECRET + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SECRET {
        return Err(SecretError::TooLong);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file_with(content: &[u8]) -> (tempfile::TempDir, Credential) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("contoso.secret");
        std::fs::write(&path, content).unwrap();
        (dir, Credential::SecretFile(path))
    }

    #[test]
    fn a_secret_is_read_without_what_editors_put_around_it() {
        for content in ["s3.cr~t", "s3.cr~t\n", "s3.cr~t\r\n", "  s3.cr~t\t\n\n", "\u{feff}s3.cr~t\n"] {
            let (_dir, credential) = file_with(content.as_bytes());
            assert_eq!(read(&credential).unwrap().expose_secret(), "s3.cr~t", "{content:?}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_shown() {
        let long = "x".repeat(5_000);
        let cases: [(&[u8], &str); 6] = [
            (b"", "empty"),
            (b" \n", "empty"),
            (b"one-canary\ntwo-canary\n", "one line"),
            (b"canary with spaces", "one line"),
            (b"canary\xff", "one line"),
            (long.as_bytes(), "longer than 4096 bytes"),
        ];
        for (content, expected) in cases {
            let (_dir, credential) = file_with(content);
            let error = read(&credential).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn what_is_not_there_or_no_file_is_an_error_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let gone = Credential::SecretFile(dir.path().join("gone"));
        assert!(read(&gone).unwrap_err().to_string().contains("No such file"));
        let directory = Credential::SecretFile(dir.path().to_owned());
        assert!(matches!(read(&directory), Err(SecretError::NotAFile)));
        let pipe: PathBuf = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(matches!(read(&Credential::SecretFile(pipe)), Err(SecretError::NotAFile)));
        let unset = Credential::SecretEnv("PRESENCED_TEST_NO_SUCH_VARIABLE".to_owned());
        assert!(matches!(read(&unset), Err(SecretError::NotSet)));
    }

    #[test]
    fn a_fingerprint_changes_with_the_secret_alone() {
        let (_a, one) = file_with(b"one\n");
        let (_b, same) = file_with(b"one");
        let (_c, other) = file_with(b"other");
        let print = |credential| fingerprint(&read(credential).unwrap());
        assert_eq!(print(&one), print(&same));
        assert_ne!(print(&one), print(&other));
        assert_eq!(format!("{:?}", print(&one)), "Fingerprint(..)");
    }
}
