//! An installation in a directory of its own: config, secret and state.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::time::timeout;

use crate::daemon::{Daemon, presenced};
use crate::patience::PATIENCE;
use crate::sandbox::Sandbox;
use crate::secrecy;

/// The client secret in the file, unless a test writes another.
pub const SECRET: &str = "right-secret~of~the~app";
/// The tenant of all apps.
pub const TENANT: &str = "9c7f0000-0000-4000-8000-000000000001";

/// The object id of user number `n`.
pub fn id(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}

/// The client id of app number `n`, from 0.
pub fn client_id(n: usize) -> String {
    format!("22553876-0000-4000-8000-{n:012x}")
}

/// A user of the config.
#[derive(Clone)]
pub struct User {
    /// Its number.
    pub n: u32,
    /// `availability = ...` and what else is to be said of it, in TOML.
    pub says: String,
}

/// User number `n`, Available.
pub fn available(n: u32) -> User {
    user(n, "availability = \"Available\"")
}

/// User number `n`, in a call.
pub fn in_a_call(n: u32) -> User {
    user(n, "availability = \"Busy\"\nactivity = \"InACall\"")
}

/// User number `n`, with these keys.
pub fn user(n: u32, says: &str) -> User {
    User { n, says: says.to_owned() }
}

/// The config, section by section.
#[derive(Clone, Default)]
pub struct Config {
    /// What stands before the sections.
    pub top: String,
    /// Lines of `[daemon]` beside `state_dir`.
    pub daemon: String,
    /// Lines of `[control]` beside `socket`.
    pub control: String,
    /// Lines of `[network]`.
    pub network: String,
    /// `cloud` of the apps.
    pub cloud: String,
    /// More lines of each `[[app]]`.
    pub app: String,
    /// Their names.
    pub apps: Vec<&'static str>,
    /// All users.
    pub users: Vec<User>,
}

impl Config {
    fn text(&self) -> String {
        let Self { top, daemon, control, network, cloud, app, apps, users } = self;
        let mut text = format!("{top}\n[daemon]\nstate_dir = \"state\"\n{daemon}\n[network]\n{network}\n");
        for (n, name) in apps.iter().enumerate() {
            let client_id = client_id(n);
            let _ = write!(
                text,
                "[[app]]\nname = \"{name}\"\ntenant = \"{TENANT}\"\nclient_id = \"{client_id}\"\n\
                 cloud = {cloud}\ncredential = {{ secret_file = \"{name}.secret\" }}\n"
            );
            if !app.is_empty() {
                let _ = writeln!(text, "{app}");
            }
        }
        for User { n, says } in users {
            let _ = write!(text, "[[user]]\nid = \"{}\"\nname = \"user {n}\"\n{says}\n", id(*n));
        }
        let _ = write!(text, "[control]\nsocket = \"control.sock\"\n{control}\n");
        text
    }
}

/// The directory and the config in it. What a test changes in `config` counts from the next [`Site::write`] on. When it is
/// dropped, what is kept in its state directory is searched for secrets.
pub struct Site {
    /// What the file is to say.
    pub config: Config,
    dir: TempDir,
}

impl Site {
    /// One app named `contoso`, its secret, and these users, written.
    pub fn new(sandbox: &Sandbox, users: impl IntoIterator<Item = User>) -> Self {
        Self::at(&sandbox.url, &sandbox.url, users)
    }

    /// The same with a service elsewhere.
    pub fn at(graph: &str, login: &str, users: impl IntoIterator<Item = User>) -> Self {
        let config = Config {
            cloud: format!("{{ graph = \"{graph}\", login = \"{login}\" }}"),
            apps: vec!["contoso"],
            users: users.into_iter().collect(),
            ..Config::default()
        };
        let site = Self { config, dir: tempfile::tempdir().unwrap() };
        site.secret("contoso", SECRET);
        site.write();
        site
    }

    /// Writes what the config says now.
    pub fn write(&self) {
        self.write_text(&self.config.text());
    }

    /// Writes something else in its place, all at once.
    pub fn write_text(&self, text: &str) {
        let next = self.path("config.toml.next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, self.config_file()).unwrap();
    }

    /// Puts a secret into an app's file, all at once.
    pub fn secret(&self, app: &str, secret: &str) {
        self.credential(&format!("{app}.secret"), &format!("{secret}\n"));
    }

    /// Puts a credential into a file of this name, all at once. What it holds is searched for from now on.
    pub fn credential(&self, name: &str, text: &str) {
        for secret in secrecy::secrets_of(text) {
            secrecy::keep(secret);
        }
        let next = self.path("credential.next");
        std::fs::write(&next, text).unwrap();
        std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(next, self.path(name)).unwrap();
    }

    /// The config file.
    pub fn config_file(&self) -> PathBuf {
        self.path("config.toml")
    }

    /// The state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// Something in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a command on it, such as `status`, and returns its exit code, standard output and standard error.
    pub async fn command(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = presenced();
        command.args(args).arg("--config").arg(self.config_file());
        let output = timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// The same for one that succeeds and prints JSON.
    pub async fn json(&self, args: &[&str]) -> serde_json::Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let (code, out, err) = self.command(&args).await;
        assert_eq!(code, Some(0), "{args:?}: {out}{err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}: {out}"))
    }

    /// Starts the daemon on it, in real time.
    pub fn run(&self) -> Daemon {
        self.run_with(&[])
    }

    /// Starts the daemon on it with more arguments.
    pub fn run_with(&self, args: &[&str]) -> Daemon {
        Daemon::start(&self.config_file(), args)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        secrecy::search_files(&self.state_dir());
    }
}
