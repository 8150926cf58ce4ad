//! The room as a whole, through its door.

mod credentials;
mod directory;
mod environment;
mod gallery;
mod meaning;
mod schedules;
mod schema;
mod secrecy;
mod users_from;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::{Loaded, Look, Problems, Sources, load_sources};
use crate::keeper::PresenceState;

/// An app, and a default so that users need none.
const APP: &str = r#"
[defaults]
availability = "Available"
[[app]]
name = "contoso"
tenant = "9c7f0000-5e1d-4b6a-8f3e-2d1c0b9a8877"
client_id = "22553876-f5ab-4529-bffb-cfe50aa89f87"
credential = { secret_file = "contoso.secret" }
"#;

/// A config of one text, without an environment.
fn read(text: &str) -> Result<Loaded, Problems> {
    load_sources(Sources::new("config.toml", text), Look::TextsAlone)
}

/// The problems of a config, whether it is admitted or not.
fn problems(loaded: Result<Loaded, Problems>) -> Problems {
    loaded.map_or_else(|problems| problems, |loaded| loaded.warnings)
}

/// Code and line of each problem, `0` for one of a file as a whole.
fn codes(problems: &Problems) -> Vec<(String, u64)> {
    let json = problems.to_json();
    let one =
        |p: &serde_json::Value| (p["code"].as_str().unwrap().to_owned(), p["line"].as_u64().unwrap_or(0));
    json.as_array().unwrap().iter().map(one).collect()
}

/// What the sessions of a config show, in the order of their users, and for how many minutes.
fn wishes(loaded: &Loaded) -> Vec<Option<(PresenceState, u8)>> {
    let sessions = loaded.plan.lanes().iter().flat_map(|lane| &lane.sessions);
    sessions.map(|s| s.wish.map(|wish| (wish.state, wish.expiration.minutes()))).collect()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// An environment with these variables, in which everything is looked into, at no time in particular.
fn around(var: &dyn Fn(&str) -> Option<OsString>) -> Environment<'_> {
    Environment { var, looked_into: true, at: None }
}

fn nowhere() -> Environment<'static> {
    around(&|_| None)
}
