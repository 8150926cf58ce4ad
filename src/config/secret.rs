//! Where a client secret is, and reading it. A secret is held as [`SecretString`] and never printed.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use secrecy::zeroize::{Zeroize, Zeroizing};

use super::problem::may_be_secret;
use super::settings::Credential;
use super::source::{Unreadable, open_regular};

/// The largest secret file, in bytes. Entra's secrets have about 40 characters; what is larger was named by mistake.
const SECRET_BYTES_MAX: usize = 4_096;

/// The variable that names the directory in which systemd provides credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Reads a secret, anew at each call: it may have been rotated. White space around it is not part of it, nor is the mark
/// with which some editors begin a file.
///
/// # Errors
///
/// It is not there, not readable, empty, larger than 4 KiB or not one line of printable ASCII.
pub fn read(credential: &Credential) -> Result<SecretString, SecretError> {
    match credential {
        Credential::SecretFile(path) => read_file(path).map(|file| file.secret),
        Credential::SecretEnv(name) => {
            let value = std::env::var_os(name).ok_or_else(|| SecretError::NotSet(name.clone()))?;
            from_bytes(value.into_encoded_bytes())
        }
        Credential::Certificate(_)
        | Credential::FederatedTokenFile(_)
        | Credential::ManagedIdentity(_)
        | Credential::SignedIn(_) => Err(SecretError::Empty),
    }
}

/// Why there is no secret. A name that looks like a secret is not repeated: it may have been written in its place.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is not there.
    #[error("the secret file {} does not exist", named(.0))]
    Missing(PathBuf),
    /// The file is there, and not for this user.
    #[error("this user may not read the secret file {}", named(.0))]
    Forbidden(PathBuf),
    /// The file is no regular file, or reading it failed.
    #[error("the secret file {} cannot be read: {why}", named(path))]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The variable is not set.
    #[error("the environment variable {} is not set", named(Path::new(.0)))]
    NotSet(String),
    /// There is nothing in it.
    #[error("the secret is empty")]
    Empty,
    /// More than 4 KiB.
    #[error("this is no secret: it is larger than 4 KiB")]
    TooLarge,
    /// Entra's secrets are printable ASCII; anything else is another file, or two lines.
    #[error("this is no secret: it is not one line of printable ASCII characters")]
    NotOneWord,
}

/// A path or the name of a variable, unless it looks like the secret itself.
pub(super) fn named(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if may_be_secret(&name) {
        "(its name looks like a secret)".to_owned()
    } else {
        path.display().to_string()
    }
}

/// What the config is checked against besides its files: the environment of this process, or one that a test makes up.
pub(super) struct Environment<'e> {
    pub(super) var: &'e dyn Fn(&str) -> Option<std::ffi::OsString>,
}

impl Environment<'_> {
    /// Where a secret file is: a bare name in systemd's credentials directory if it is there, else beside the file
    /// that names it.
    pub(super) fn find(&self, directory: &Path, written: &str) -> PathBuf {
        let beside = directory.join(written);
        match (self.var)(CREDENTIALS_DIRECTORY) {
            Some(credentials) if is_bare(written) => {
                let provided = Path::new(&credentials).join(written);
                if provided.exists() { provided } else { beside }
            }
            _ => beside,
        }
    }

    /// Whether this process is the service: systemd gave it credentials, or a socket to notify.
    pub(super) fn in_unit(&self) -> bool {
        [CREDENTIALS_DIRECTORY, "NOTIFY_SOCKET"].iter().any(|name| (self.var)(name).is_some())
    }
}

/// Whether a name is one that systemd could provide: no directory in it.
pub(super) fn is_bare(written: &str) -> bool {
    !written.contains('/')
}

/// A secret, and who else may have it.
pub(super) struct SecretFile {
    secret: SecretString,
    mode: u32,
    owner: u32,
}

pub(super) fn read_file(path: &Path) -> Result<SecretFile, SecretError> {
    let unreadable = |error: Unreadable| match error {
        Unreadable::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            SecretError::Missing(path.to_owned())
        }
        Unreadable::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            SecretError::Forbidden(path.to_owned())
        }
        error => SecretError::Unreadable { path: path.to_owned(), why: error.to_string() },
    };
    let file = open_regular(path).map_err(unreadable)?;
    // Of the opened file, not of its path: the path may have come to mean another one.
    let metadata = file.metadata().map_err(|error| unreadable(error.into()))?;
    // As large as it may get, so that it is never moved and leaves no copy behind.
    let mut bytes = Vec::with_capacity(SECRET_BYTES_MAX + 1);
    let read = file.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    if let Err(error) = read {
        bytes.zeroize();
        return Err(unreadable(error.into()));
    }
    Ok(SecretFile { secret: from_bytes(bytes)?, mode: metadata.mode(), owner: metadata.uid() })
}

pub(super) fn from_bytes(bytes: Vec<u8>) -> Result<SecretString, SecretError> {
    let bytes = Zeroizing::new(bytes);
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(SecretError::TooLarge);
    }
    let word = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).trim_ascii();
    match std::str::from_utf8(word) {
        Ok("") => Err(SecretError::Empty),
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(SecretString::from(text)),
        Ok(_) | Err(_) => Err(SecretError::NotOneWord),
    }
}

impl SecretFile {
    /// Who besides root and the daemon may read or change the file, where someone may. Root's files may be readable by
    /// a group: that is how Kubernetes and administrators hand a secret to a service.
    pub(super) fn exposure(&self) -> Option<&'static str> {
        let root = self.owner == 0;
        match self.mode {
            mode if mode & 0o002 != 0 => Some("everyone on this machine may change it"),
            mode if mode & 0o004 != 0 => Some("everyone on this machine may read it"),
            mode if mode & 0o020 != 0 => Some("its group may change it"),
            mode if mode & 0o040 != 0 && !root => Some("its group may read it"),
            _ => {
                let own = rustix::process::geteuid().as_raw();
                let foreign = !root && own != 0 && self.owner != own;
                foreign.then_some("it belongs to another user, who may read and change it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_secret_is_read_without_what_editors_put_around_it() {
        let read = |bytes: &[u8]| from_bytes(bytes.to_vec()).map(|secret| secret.expose_secret().to_owned());
        for content in ["s3.cr~t", "s3.cr~t\n", "s3.cr~t\r\n", "  s3.cr~t\t\n\n", "\u{feff}s3.cr~t\n"] {
            assert_eq!(read(content.as_bytes()).unwrap(), "s3.cr~t", "{content:?}");
        }
        for nothing in [&b""[..], b"\n", b" \r\n"] {
            assert!(matches!(read(nothing), Err(SecretError::Empty)));
        }
        for other in [&b"one-canary\ntwo-canary\n"[..], b"canary with spaces", b"canary\xff"] {
            let error = read(other).unwrap_err();
            assert!(matches!(error, SecretError::NotOneWord) && !error.to_string().contains("canary"));
        }
        assert!(matches!(read(&vec![b'x'; 5_000]), Err(SecretError::TooLarge)));
    }

    #[test]
    fn what_is_not_there_or_no_file_is_an_error_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let gone = Credential::SecretFile(dir.path().join("gone"));
        assert!(matches!(read(&gone), Err(SecretError::Missing(_))));
        let directory = Credential::SecretFile(dir.path().to_owned());
        assert!(matches!(read(&directory), Err(SecretError::Unreadable { .. })));
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(matches!(read(&Credential::SecretFile(pipe)), Err(SecretError::Unreadable { .. })));
        let unset = Credential::SecretEnv("PRESENCED_TEST_NO_SUCH_VARIABLE".to_owned());
        assert!(matches!(read(&unset), Err(SecretError::NotSet(_))));
    }

    #[test]
    fn a_file_that_others_may_read_is_exposed() {
        let exposure = |mode, owner| SecretFile { secret: "x".into(), mode, owner }.exposure();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(exposure(0o100_400, own), None);
        assert_eq!(exposure(0o100_640, 0), None, "root hands it to a group");
        assert_eq!(exposure(0o100_640, 4_711), Some("its group may read it"));
        assert_eq!(exposure(0o100_644, 0), Some("everyone on this machine may read it"));
        assert_eq!(exposure(0o100_660, 0), Some("its group may change it"));
        assert_eq!(exposure(0o100_602, 0), Some("everyone on this machine may change it"));
    }

    #[test]
    fn a_name_that_may_be_the_secret_itself_is_not_repeated() {
        let said = |name: &str| SecretError::Missing(Path::new("/etc/presenced").join(name)).to_string();
        assert_eq!(said("a.secret"), "the secret file /etc/presenced/a.secret does not exist");
        assert!(!said("Zk9Qabcdefgh8sTr").contains("Zk9Q"));
        assert!(!SecretError::NotSet("Zk9Qabcdefgh8sTr".to_owned()).to_string().contains("Zk9Q"));
    }

    #[test]
    fn a_bare_name_is_looked_for_in_the_credentials_directory_first() {
        let (provided, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(provided.path().join("a.secret"), "x").unwrap();
        let var = |name: &str| (name == CREDENTIALS_DIRECTORY).then(|| provided.path().into());
        let environment = Environment { var: &var };
        assert_eq!(environment.find(beside.path(), "a.secret"), provided.path().join("a.secret"));
        assert_eq!(environment.find(beside.path(), "b.secret"), beside.path().join("b.secret"));
        assert_eq!(environment.find(beside.path(), "./a.secret"), beside.path().join("./a.secret"));
        let nothing = Environment { var: &|_| None };
        assert_eq!(nothing.find(beside.path(), "a.secret"), beside.path().join("a.secret"));
        assert!(environment.in_unit() && !nothing.in_unit());
    }
}
