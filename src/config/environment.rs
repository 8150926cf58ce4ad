//! What counts besides the files of a config: the variables of this process, and what they lead to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// What is looked at besides the files of a config.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// Nothing: the same texts have the same verdict on every machine.
    TextsAlone,
    /// The variables of this process, which say where credentials are and what an only app leaves out. What is there is
    /// not looked into.
    Variables,
    /// Those, and what they and the config lead to: secrets, certificates, tokens and the CA file.
    Everything {
        /// When credentials have to be in force; `None`: nobody asks.
        at: Option<Timestamp>,
    },
}

/// The variable that names the directory in which systemd provides credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// What systemd puts before the names of files that it provides by the directory:
/// `LoadCredential=presenced:/etc/presenced/credentials`.
///
/// Source: systemd.exec(5), `LoadCredential=`.
const OF_A_DIRECTORY: &str = "presenced_";
/// That directory's name, beside the config.
const CREDENTIALS: &str = "credentials";

/// The environment of this process, or one that a test makes up.
pub(super) struct Environment<'e> {
    pub(super) var: &'e dyn Fn(&str) -> Option<OsString>,
    /// Whether what it leads to is looked into.
    pub(super) looked_into: bool,
    /// When credentials have to be in force.
    pub(super) at: Option<Timestamp>,
}

impl Environment<'_> {
    /// That of this process, as far as it is looked at.
    pub(super) fn of_process(look: Look) -> Option<Environment<'static>> {
        fn var(name: &str) -> Option<OsString> {
            std::env::var_os(name)
        }
        let (looked_into, at) = match look {
            Look::TextsAlone => return None,
            Look::Variables => (false, None),
            Look::Everything { at } => (true, at),
        };
        Some(Environment { var: &var, looked_into, at })
    }

    /// What a variable holds, unless it is empty. What is no UTF-8 has marks in it.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = (self.var)(name).filter(|value| !value.is_empty())?;
        Some(value.to_string_lossy().into_owned())
    }

    /// Where a credential's file is: a bare name in systemd's credentials directory if it is there, else in
    /// `credentials` beside the file that names it if it is there, else beside that file.
    pub(super) fn find(&self, directory: &Path, written: &str) -> PathBuf {
        let beside = directory.join(written);
        if !is_bare(written) {
            return beside;
        }
        let provided =
            (self.var)(CREDENTIALS_DIRECTORY).map(PathBuf::from).into_iter().flat_map(|provided| {
                [provided.join(written), provided.join(format!("{OF_A_DIRECTORY}{written}"))]
            });
        let kept = directory.join(CREDENTIALS).join(written);
        provided.chain([kept]).find(|path| path.exists()).unwrap_or(beside)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(var: &dyn Fn(&str) -> Option<OsString>) -> Environment<'_> {
        Environment { var, looked_into: false, at: None }
    }

    #[test]
    fn a_bare_name_is_looked_for_in_the_credentials_directory_first() {
        let (provided, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(provided.path().join("a.secret"), "x").unwrap();
        let var = |name: &str| (name == CREDENTIALS_DIRECTORY).then(|| provided.path().into());
        let environment = of(&var);
        assert_eq!(environment.find(beside.path(), "a.secret"), provided.path().join("a.secret"));
        assert_eq!(environment.find(beside.path(), "b.secret"), beside.path().join("b.secret"));
        assert_eq!(environment.find(beside.path(), "./a.secret"), beside.path().join("./a.secret"));
        let nothing = of(&|_| None);
        assert_eq!(nothing.find(beside.path(), "a.secret"), beside.path().join("a.secret"));
        assert!(environment.in_unit() && !nothing.in_unit());
    }

    #[test]
    fn what_systemd_provides_by_the_directory_is_found_by_the_files_own_names() {
        let (provided, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(provided.path().join("presenced_a.secret"), "x").unwrap();
        std::fs::create_dir(beside.path().join("credentials")).unwrap();
        for name in ["a.secret", "b.secret"] {
            std::fs::write(beside.path().join("credentials").join(name), "x").unwrap();
        }
        let var = |name: &str| (name == CREDENTIALS_DIRECTORY).then(|| provided.path().into());
        let (service, command) = (of(&var), of(&|_| None));
        assert_eq!(service.find(beside.path(), "a.secret"), provided.path().join("presenced_a.secret"));
        for environment in [&service, &command] {
            assert_eq!(
                environment.find(beside.path(), "b.secret"),
                beside.path().join("credentials/b.secret")
            );
            assert_eq!(environment.find(beside.path(), "c.secret"), beside.path().join("c.secret"));
        }
        std::fs::write(provided.path().join("a.secret"), "x").unwrap();
        assert_eq!(service.find(beside.path(), "a.secret"), provided.path().join("a.secret"));
    }

    #[test]
    fn an_empty_variable_is_none() {
        let empty = of(&|name| Some(if name == "EMPTY" { "" } else { "x" }.into()));
        assert_eq!((empty.text("EMPTY"), empty.text("FULL")), (None, Some("x".to_owned())));
    }
}
