//! Where a client secret or a token is, and reading it. Both are held as [`SecretString`] and never printed.

use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::private::{self, Access, NotRead};
use super::problem::may_be_secret;
use super::settings::Credential;

/// The largest secret file, in bytes. Entra's secrets have about 40 characters; what is larger was named by mistake.
const SECRET_BYTES_MAX: usize = 4_096;

/// The largest token file, in bytes. Tokens of Kubernetes and of CI systems have one to two thousand.
const TOKEN_BYTES_MAX: usize = 16_384;

/// Reads a client secret, anew at each call: it may have been rotated. White space around it is not part of it, nor is
/// the mark with which some editors begin a file.
///
/// # Errors
///
/// It is not there, not readable, empty, larger than 4 KiB or not one line of printable ASCII; or the credential is
/// none that has a client secret.
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
        | Credential::SignedIn(_) => Err(SecretError::NoSecret),
    }
}

/// Reads a token of another identity provider, anew at each call: who provides it replaces it every few minutes to
/// hours. It has the shape of a JWT, three parts of base64url; what is in it is for the login authority to judge.
///
/// # Errors
///
/// It is not there, not readable, empty, larger than 16 KiB or of another shape.
pub fn read_token_file(path: &Path) -> Result<SecretString, SecretError> {
    let private = private::read(path, TOKEN_BYTES_MAX).map_err(|why| not_read(path, why))?;
    if private.bytes.len() > TOKEN_BYTES_MAX {
        return Err(SecretError::NotAToken("it is larger than 16 KiB"));
    }
    match word(&private.bytes) {
        Some(token) if is_jwt(token.expose_secret()) => Ok(token),
        Some(token) if token.expose_secret().is_empty() => Err(SecretError::NotAToken("it is empty")),
        _ => Err(SecretError::NotAToken("a JWT is one line of three parts with dots between them")),
    }
}

/// Source: RFC 7515, section 7.1 (compact serialization).
fn is_jwt(text: &str) -> bool {
    let base64url = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.split('.').count() == 3 && text.split('.').all(base64url)
}

/// Why there is no secret, or no token. A name that looks like a secret is not repeated: it may have been written in
/// its place.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is not there.
    #[error("the file {} does not exist", named(.0))]
    Missing(PathBuf),
    /// The file is there, and not for this user.
    #[error("this user may not read the file {}", named(.0))]
    Forbidden(PathBuf),
    /// The file is no regular file, or reading it failed.
    #[error("the file {} cannot be read: {why}", named(path))]
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
    /// The file holds something else, or nothing.
    #[error("this is no token: {0}")]
    NotAToken(&'static str),
    /// Such a credential has none.
    #[error("this credential is no client secret")]
    NoSecret,
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

/// A secret, and who else may have it.
pub(super) struct SecretFile {
    secret: SecretString,
    pub(super) access: Access,
}

pub(super) fn read_file(path: &Path) -> Result<SecretFile, SecretError> {
    let private = private::read(path, SECRET_BYTES_MAX).map_err(|why| not_read(path, why))?;
    Ok(SecretFile { secret: secret_in(&private.bytes)?, access: private.access })
}

pub(super) fn from_bytes(bytes: Vec<u8>) -> Result<SecretString, SecretError> {
    secret_in(&Zeroizing::new(bytes))
}

fn secret_in(bytes: &[u8]) -> Result<SecretString, SecretError> {
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(SecretError::TooLarge);
    }
    let secret = word(bytes).ok_or(SecretError::NotOneWord)?;
    if secret.expose_secret().is_empty() { Err(SecretError::Empty) } else { Ok(secret) }
}

/// What is in a file but for a byte order mark and white space around it, maybe nothing; `None` where that is not one
/// run of printable ASCII.
fn word(bytes: &[u8]) -> Option<SecretString> {
    let word = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    let text = std::str::from_utf8(word).ok()?;
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| text.into())
}

fn not_read(path: &Path, why: NotRead) -> SecretError {
    let path = path.to_owned();
    match why {
        NotRead::Missing => SecretError::Missing(path),
        NotRead::Forbidden => SecretError::Forbidden(path),
        NotRead::Other(why) => SecretError::Unreadable { path, why },
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
    fn a_token_has_three_parts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_token_file(&path).map(|token| token.expose_secret().to_owned())
        };
        for text in ["eyJh.eyJh.c2ln", "eyJh.eyJh.c2ln\n", "\u{feff}eyJh.eyJh.c2ln\r\n"] {
            assert_eq!(read(text).unwrap(), "eyJh.eyJh.c2ln", "{text:?}");
        }
        for text in
            ["a.b", "a.b.c.d", "a..c", "a.b.", "a.b.c=", "a.b.c\na.b.c", "s3cr~t", "{\"token\":\"a.b.c\"}"]
        {
            assert!(matches!(read(text), Err(SecretError::NotAToken(_))), "{text:?}");
        }
        assert!(read(" \n").unwrap_err().to_string().contains("it is empty"));
        assert!(read(&format!("a.b.{}", "c".repeat(TOKEN_BYTES_MAX - 4))).is_ok());
        let too_long = read(&format!("a.b.{}", "c".repeat(TOKEN_BYTES_MAX - 3))).unwrap_err();
        assert!(too_long.to_string().contains("16 KiB"), "{too_long}");
        assert!(matches!(read_token_file(&dir.path().join("gone")), Err(SecretError::Missing(_))));
    }

    #[test]
    fn a_name_that_may_be_the_secret_itself_is_not_repeated() {
        let said = |name: &str| SecretError::Missing(Path::new("/etc/presenced").join(name)).to_string();
        assert_eq!(said("a.secret"), "the file /etc/presenced/a.secret does not exist");
        assert!(!said("Zk9Qabcdefgh8sTr").contains("Zk9Q"));
        assert!(!SecretError::NotSet("Zk9Qabcdefgh8sTr".to_owned()).to_string().contains("Zk9Q"));
    }
}
