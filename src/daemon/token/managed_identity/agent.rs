//! The key that the agent of an Arc machine makes for each request, in a folder that only its group may read.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags, openat};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::daemon::token::failure::Class;
use crate::daemon::token::proof::NoProof;

/// Largest key, in bytes, as Microsoft's own libraries have it.
pub(super) const MAX_KEY: usize = 4_096;

/// Reads the key that `realm` names. Whoever answers on the agent's port is not to choose which file is sent to it: only
/// one that lies directly in `folder`, ends in `.key` and is no link is read.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read_key(folder: &Path, realm: Option<&str>) -> Result<SecretString, NoProof> {
    let Some(realm) = realm else {
        return Err(wrong("the Arc agent did not say which key it wants to be shown".to_owned()));
    };
    let Some(name) = file_in(folder, realm) else {
        return Err(wrong(format!(
            "the Arc agent wants to be shown a file that is not one of its keys in {}",
            folder.display()
        )));
    };
    let path = folder.join(name);
    match read(folder, name) {
        Ok(key) => Ok(key),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(NoProof {
            class: Class::Fix,
            meaning: format!("this user may not read the key of the Arc agent, {}", path.display()),
            advice: "let the daemon's user be in the group himds (SupplementaryGroups=himds in the unit)"
                .to_owned(),
        }),
        Err(error) => {
            Err(wrong(format!("the key of the Arc agent, {}, cannot be used: {error}", path.display())))
        }
    }
}

/// The name of the file at `realm`, if it lies directly in `folder` by its name alone.
fn file_in<'r>(folder: &Path, realm: &'r str) -> Option<&'r OsStr> {
    let path = Path::new(realm);
    let name = path.file_name()?;
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let is_key = path.extension() == Some(OsStr::new("key"));
    // Compared as it is written: `..` and doubled slashes are no way around.
    let written = folder.join(name);
    (plain && is_key && path.is_absolute() && written.as_os_str() == path.as_os_str()).then_some(name)
}

fn read(folder: &Path, name: &OsStr) -> io::Result<SecretString> {
    let dir = openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(dir, name, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY + 1));
    file.take(MAX_KEY as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_KEY {
        return Err(io::Error::other("it is larger than 4 KiB"));
    }
    match std::str::from_utf8(bytes.trim_ascii()) {
        Ok(key) if !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(key.into()),
        Ok(_) | Err(_) => Err(io::Error::other("it is not one line of printable ASCII characters")),
    }
}

fn wrong(meaning: String) -> NoProof {
    NoProof {
        class: Class::Fix,
        meaning,
        advice: "see that the Azure Connected Machine agent runs, and that nothing else listens on its port"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use secrecy::ExposeSecret;

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let tokens = dir.path().join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        std::fs::write(tokens.join("a.key"), "k-canary\n").unwrap();
        std::fs::write(dir.path().join("b.key"), "outside").unwrap();
        (dir, tokens)
    }

    fn refused(folder: &Path, realm: &str) -> String {
        let none = read_key(folder, Some(realm)).unwrap_err();
        assert_eq!(none.class, Class::Fix);
        assert!(!format!("{none:?}").contains("canary"), "{none:?}");
        none.meaning
    }

    #[test]
    fn a_key_in_the_folder_is_read() {
        let (_dir, tokens) = folder();
        let realm = tokens.join("a.key");
        assert_eq!(read_key(&tokens, realm.to_str()).unwrap().expose_secret(), "k-canary");
    }

    #[test]
    fn no_file_outside_the_folder_is_read_by_any_name() {
        let (_dir, tokens) = folder();
        let shown = tokens.display();
        let realms = [
            format!("{shown}/../b.key"),
            format!("{shown}/./a.key"),
            format!("{shown}//a.key"),
            format!("{shown}/sub/a.key"),
            format!("{shown}/a.key/"),
            format!("{shown}/a.key/."),
            format!("{shown}/.key"),
            format!("{shown}/a.txt"),
            format!("{shown}/a.KEY"),
            format!("{shown}2/a.key"),
            tokens.parent().unwrap().join("b.key").display().to_string(),
            "a.key".to_owned(),
            "/etc/shadow".to_owned(),
            String::new(),
        ];
        for realm in realms {
            assert!(refused(&tokens, &realm).contains("not one of its keys"), "{realm}");
        }
        assert!(read_key(&tokens, None).is_err());
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_reason() {
        let (dir, tokens) = folder();
        let at = |name: &str| tokens.join(name);
        let realm = |name: &str| at(name).display().to_string();
        std::fs::write(at("large.key"), "k".repeat(MAX_KEY + 1)).unwrap();
        std::fs::write(at("fits.key"), "k".repeat(MAX_KEY)).unwrap();
        std::fs::write(at("empty.key"), "\n").unwrap();
        std::fs::write(at("lines.key"), "one-canary\ntwo").unwrap();
        std::fs::create_dir(at("folder.key")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("b.key"), at("link.key")).unwrap();
        rustix::fs::mknodat(CWD, at("pipe.key"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(refused(&tokens, &realm("large.key")).contains("larger than 4 KiB"));
        assert!(read_key(&tokens, Some(&realm("fits.key"))).is_ok());
        for name in ["empty.key", "lines.key"] {
            assert!(refused(&tokens, &realm(name)).contains("one line of printable"), "{name}");
        }
        for name in ["folder.key", "link.key", "pipe.key", "missing.key"] {
            assert!(refused(&tokens, &realm(name)).contains("cannot be used"), "{name}");
        }
    }
}
