//! What is around a config: included files, secrets, certificates.

use super::super::load_in;
use super::*;
use crate::config::settings::Credential;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A directory with a config in it.
pub(super) struct Site {
    pub(super) dir: tempfile::TempDir,
}

impl Site {
    pub(super) fn new(main: &str) -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        site.file("config.toml", main)
    }

    pub(super) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    pub(super) fn mode(self, name: &str, mode: u32) -> Self {
        fs::set_permissions(self.dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(super) fn load(&self, environment: Option<&Environment<'_>>) -> Result<Loaded, Problems> {
        load_in(&self.dir.path().join("config.toml"), environment, &Default::default())
    }

    /// What is said, with the directory taken out of it.
    pub(super) fn said(&self, environment: Option<&Environment<'_>>) -> String {
        let text = problems(self.load(environment)).render(false);
        text.replace(&format!("{}/", self.dir.path().display()), "")
    }
}

pub(super) fn user(n: u32) -> String {
    format!("[[user]]\nid = \"fa8bf3dc-eca7-46b7-bad1-db1900000{n:03}\"\n")
}

#[test]
fn included_files_are_read_once_in_the_order_of_their_names() {
    let site = Site::new(&format!(
        "include = [\"conf.d/*.toml\", \"conf.d/20.toml\", \"*.toml\", \"own/x.toml\"]\n{APP}"
    ))
    .file("conf.d/20.toml", user(20))
    .file("conf.d/10.toml", user(10))
    .file("conf.d/.hidden.toml", user(99))
    .file("own/x.toml", user(30));
    let loaded = site.load(None).unwrap();
    let names = loaded.sources.iter().map(|(path, _)| path.strip_prefix(site.dir.path()).unwrap().to_owned());
    let expected = ["config.toml", "conf.d/10.toml", "conf.d/20.toml", "own/x.toml"].map(PathBuf::from);
    assert_eq!(names.collect::<Vec<_>>(), expected);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.plan.len(), 3);
    let again = load_sources(loaded.sources, Look::TextsAlone).unwrap();
    assert_eq!(
        (again.settings.hash, again.plan),
        (loaded.settings.hash, loaded.plan),
        "the archived texts will do"
    );
}

#[test]
fn a_directory_with_brackets_in_its_name_is_no_pattern() {
    let site = Site { dir: tempfile::Builder::new().prefix("a[b]*").tempdir().unwrap() }
        .file("config.toml", format!("include = [\"*.d/*.toml\"]\n{APP}"))
        .file("x.d/1.toml", user(1));
    assert_eq!(site.load(None).unwrap().plan.len(), 1);
}

#[test]
fn what_cannot_be_included_is_said() {
    let main =
        format!("include = [\"none.d/*.toml\", \"missing.toml\", \"x.secret\", \"conf.d/*\", \"a[\"]\n{APP}");
    let site = Site::new(&main)
        .file("x.secret", "abc8Q~0123456789_0123456789.0123456789AB")
        .file("conf.d/old.toml~", "nonsense")
        .file("conf.d/bytes.toml", b"name = \"\xff\"")
        .file(
            "conf.d/sub.toml",
            format!(
                "include = [\"x.toml\"]\n[daemon]\non_stop = \"clear\"\n[http]\nlisten = \"x\"\n{}",
                user(1)
            ),
        );
    insta::assert_snapshot!(site.said(None));
}

#[test]
fn two_places_of_one_problem_are_shown_with_their_files() {
    let far = "# a comment that keeps two users apart\n".repeat(20);
    let main = format!("include = [\"conf.d/*.toml\"]\n{APP}{}{far}{}", user(1), user(1));
    let site = Site::new(&main).file("conf.d/20-sales.toml", user(1));
    insta::assert_snapshot!(site.said(None));
}

#[test]
fn a_config_that_is_not_there_is_a_problem_like_others() {
    let missing = load_in(Path::new("/nonexistent/config.toml"), None, &Default::default()).unwrap_err();
    assert_eq!(
        missing.first_line(),
        "/nonexistent/config.toml cannot read the config: there is no such file"
    );
    assert_eq!(missing.errors(), 1);
}

#[test]
fn secrets_are_looked_into_and_each_defect_is_said() {
    let app = |n: u32, credential: &str| {
        format!(
            "[[app]]\nname = \"app{n}\"\ntenant = \"9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877\"\n\
             client_id = \"22553876-f5ab-4529-bffb-cfe50aa8{n:04}\"\ncredential = {{ {credential} }}\n"
        )
    };
    let credentials = [
        "secret_file = \"good.secret\"",
        "secret_file = \"open.secret\"",
        "secret_file = \"empty.secret\"",
        "secret_file = \"./missing.secret\"",
        "secret_file = \"bytes.secret\"",
        "secret_file = \"directory.secret\"",
        "secret_file = \"bare.secret\"",
        "secret_env = \"SET\"",
        "secret_env = \"EMPTY\"",
        "secret_env = \"UNSET\"",
    ];
    let apps: String = (1..).zip(credentials).map(|(n, credential)| app(n, credential)).collect();
    let site = Site::new(&format!("{apps}{}app = \"app1\"\navailability = \"Away\"\n", user(1)))
        .file("good.secret", "canary\n")
        .file("open.secret", "canary\n")
        .mode("open.secret", 0o644)
        .file("empty.secret", "\n")
        .file("bytes.secret", b"\xffcanary")
        .file("directory.secret/x", "");
    let var = |name: &str| match name {
        "SET" => Some("canary".into()),
        "EMPTY" => Some("".into()),
        _ => None,
    };
    let said = site.said(Some(&around(&var)));
    assert!(!said.contains("canary"));
    insta::assert_snapshot!(said);
    assert_eq!(site.said(None), "", "without the environment nobody looks");
}

#[test]
fn inside_the_unit_a_secret_that_is_not_there_is_an_error() {
    let site = Site::new(&format!("{APP}{}", user(1)));
    let in_unit = |name: &str| (name == "NOTIFY_SOCKET").then(|| "/run/x".into());
    assert_eq!(codes(&site.load(Some(&around(&in_unit))).unwrap_err())[0].0, "E042");
    let outside = site.load(Some(&nowhere())).unwrap();
    assert_eq!(codes(&outside.warnings)[0].0, "N001");
    assert_eq!((outside.warnings.errors(), outside.warnings.warnings(), outside.warnings.notes()), (0, 0, 1));
}

#[test]
fn variables_say_where_a_secret_is_also_where_it_is_not_looked_into() {
    let site = Site::new(&format!("{APP}{}", user(1))).file("provided/contoso.secret", "\n");
    let var = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| site.dir.path().join("provided").into());
    let path = |looked_into: bool| {
        let environment = Environment { looked_into, ..around(&var) };
        let loaded = site.load(Some(&environment))?;
        Ok::<_, Problems>(loaded.settings.apps[0].credential.clone())
    };
    let provided = Credential::SecretFile(site.dir.path().join("provided/contoso.secret"));
    assert_eq!(path(false).unwrap(), provided);
    assert_eq!(codes(&path(true).unwrap_err())[0].0, "E042", "it is empty");
}

#[test]
fn a_ca_file_must_hold_a_certificate() {
    let site = Site::new(&format!("{APP}{}[network]\nca_file = \"root.pem\"\n", user(1)));
    let ca =
        |site: &Site| codes(&problems(site.load(Some(&nowhere())))).iter().any(|(code, _)| code == "E043");
    assert!(ca(&site), "missing");
    let site = site.file("root.pem", "no PEM");
    assert!(ca(&site), "not one");
    let site = site.file("root.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    assert!(ca(&site), "broken");
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let site = site.file("root.pem", certificate);
    assert!(!ca(&site));
}
