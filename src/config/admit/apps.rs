//! The apps: what they inherit, and that no two are the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::config::credential::Way;
use crate::config::environment::Environment;
use crate::config::file::{AppEntry, AppKeys, Contents};
use crate::config::problem::{Code, Problem};
use crate::config::read::Key;
use crate::config::settings::{App, Cloud, Credential};
use crate::config::source::{Place, Placed, Sources};
use crate::keeper::id::LaneKey;
use crate::keeper::{LaneHead, LanePlan, Quota, SessionPlan};

/// What stands for the app's name in a path or the name of a variable.
pub(in crate::config) const APP_PLACEHOLDER: &str = "{app}";

/// All `[[app]]`.
pub(super) struct Apps {
    /// In the order in which they are written; `None`: it has problems.
    entries: Vec<(Place, Option<AdmittedApp>)>,
    by_name: HashMap<Box<str>, AppIx>,
    /// Some app has no legal name, so an unknown one may mean it.
    nameless: bool,
}

/// An app's place among all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct AppIx(pub(super) usize);

/// One app without problems.
pub(super) struct AdmittedApp {
    pub(super) app: App,
    /// Its credential as it is written, with the app's name in it.
    pub(super) written: Placed<Box<str>>,
}

impl Apps {
    pub(super) fn by_name(&self, name: &str) -> Option<AppIx> {
        self.by_name.get(name).copied()
    }

    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.by_name.keys().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names
    }

    /// Whether a name that is not among them may be one that could not be read.
    pub(super) fn nameless(&self) -> bool {
        self.nameless
    }

    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Those without problems.
    pub(super) fn admitted(&self) -> impl Iterator<Item = &AdmittedApp> {
        self.entries.iter().filter_map(|(_, app)| app.as_ref())
    }

    /// The lanes of those without problems; `sessions` are those of each app, in order.
    pub(super) fn lanes(&self, sessions: Vec<Vec<SessionPlan>>) -> Vec<LanePlan> {
        let each = self.entries.iter().zip(sessions);
        each.filter_map(|((_, app), sessions)| {
            let app = &app.as_ref()?.app;
            let head = LaneHead { name: app.name.clone(), quota: app.quota };
            Some(LanePlan { key: app.lane(), head, sessions })
        })
        .collect()
    }

    /// The header of the app with this lane.
    pub(super) fn place(&self, lane: &LaneKey) -> Option<Place> {
        self.entries
            .iter()
            .find(|(_, app)| app.as_ref().is_some_and(|app| app.app.lane() == *lane))
            .map(|(at, _)| *at)
    }

    /// In the order of their keys.
    pub(super) fn into_settings(self) -> Vec<App> {
        let mut apps: Vec<App> =
            self.entries.into_iter().filter_map(|(_, app)| app).map(|app| app.app).collect();
        apps.sort_by_cached_key(App::lane);
        apps
    }
}

pub(super) fn admit(
    contents: &[Contents],
    sources: &Sources,
    complete: bool,
    environment: Option<&Environment<'_>>,
    problems: &mut Vec<Problem>,
) -> Apps {
    let mut apps = Apps { entries: Vec::new(), by_name: HashMap::new(), nameless: false };
    let mut named: HashMap<&str, Place> = HashMap::new();
    let mut lanes: HashMap<LaneKey, (Place, Arc<str>)> = HashMap::new();
    let main = contents.first().map(|main| &main.app_defaults);
    for file in contents {
        for entry in &file.apps {
            let defaults = [&file.app_defaults, main.unwrap_or(&file.app_defaults)];
            let index = AppIx(apps.entries.len());
            match entry.name.given() {
                Some(name) => match named.entry(&name.value) {
                    Entry::Occupied(first) => problems.push(name_twice(name, *first.get())),
                    Entry::Vacant(free) => {
                        free.insert(name.at);
                        apps.by_name.insert(name.value.clone(), index);
                    }
                },
                None => apps.nameless = true,
            }
            let admitted = one(entry, defaults, sources, environment, problems);
            if let Some(admitted) = &admitted {
                match lanes.entry(admitted.app.lane()) {
                    Entry::Occupied(first) => {
                        let (first, other) = first.get();
                        problems.push(lane_twice(entry.at, &admitted.app.name, *first, other));
                    }
                    Entry::Vacant(free) => {
                        free.insert((entry.at, admitted.app.name.clone()));
                    }
                }
            }
            apps.entries.push((entry.at, admitted));
        }
    }
    if apps.entries.is_empty() && complete {
        let main = sources.main().path().to_owned();
        let problem = Problem::new(Code::NoApp, main, "there is no app: nothing can be set without one");
        problems.push(problem.help("add an [[app]] with name, tenant, client_id and credential"));
    }
    apps
}

/// An app with what it inherits; says what is missing.
fn one(
    entry: &AppEntry,
    defaults: [&AppKeys; 2],
    sources: &Sources,
    environment: Option<&Environment<'_>>,
    problems: &mut Vec<Problem>,
) -> Option<AdmittedApp> {
    if entry.name.is_absent() {
        let problem = Problem::new(Code::MissingKey, entry.at, "this app has no `name`");
        problems.push(problem.help("every app needs a name of its own"));
    }
    let tenant = inherit(entry, defaults, |keys| &keys.tenant);
    let client_id = inherit(entry, defaults, |keys| &keys.client_id);
    let credential = inherit(entry, defaults, |keys| &keys.credential);
    let needed = [
        ("`tenant`", tenant.is_absent()),
        ("`client_id`", client_id.is_absent()),
        ("`credential`", credential.is_absent()),
    ];
    let missing: Vec<&str> = needed.iter().filter(|(_, absent)| *absent).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        let message = format!("this app has no {}", missing.join(", no "));
        let problem = Problem::new(Code::MissingKey, entry.at, message);
        problems.push(problem.help("write it here, or in [defaults.app] for all apps"));
    }
    let cloud = match inherit(entry, defaults, |keys| &keys.cloud) {
        Key::Absent => Cloud::named("global"),
        key => key.value().cloned(),
    };
    let quota = match inherit(entry, defaults, |keys| &keys.quota) {
        Key::Absent => Some(Quota::PRESENCE),
        key => key.value().copied(),
    };
    let name: Arc<str> = entry.name.value()?.as_ref().into();
    let (credential, written) = name_in(credential.value()?, &name, sources, environment);
    let app = App {
        name,
        tenant: *tenant.value()?,
        client_id: *client_id.value()?,
        cloud: cloud?,
        credential,
        secret_expires: None,
        cae: false,
        quota: quota?,
    };
    Some(AdmittedApp { app, written })
}

/// The app's own key, or else that of its file's `[defaults.app]`, or else that of the main file's.
fn inherit<'k, T>(
    entry: &'k AppEntry,
    defaults: [&'k AppKeys; 2],
    key: fn(&AppKeys) -> &Key<T>,
) -> &'k Key<T> {
    key(&entry.keys).or(key(defaults[0])).or(key(defaults[1]))
}

/// A credential with the app's name put in, and what was written with it put in.
fn name_in(
    way: &Way,
    app: &str,
    sources: &Sources,
    environment: Option<&Environment<'_>>,
) -> (Credential, Placed<Box<str>>) {
    let put_in = |text: &Placed<Box<str>>| Placed {
        value: text.value.replace(APP_PLACEHOLDER, app).into(),
        at: text.at,
    };
    match way {
        Way::SecretEnv(name) => {
            let written: Placed<Box<str>> = put_in(name);
            (Credential::SecretEnv(written.value.to_string()), written)
        }
        Way::SecretFile(path) => {
            let written: Placed<Box<str>> = put_in(path);
            let directory = sources.get(path.at.file).directory();
            let path = match environment {
                Some(environment) => environment.find(directory, &written.value),
                None => directory.join(written.value.as_ref()),
            };
            (Credential::SecretFile(path), written)
        }
    }
}

fn name_twice(name: &Placed<Box<str>>, first: Place) -> Problem {
    Problem::new(Code::AppNameTwice, name.at, format!("two apps are called `{}`", name.value))
        .label("second app of this name")
        .also(first, "first app")
}

fn lane_twice(at: Place, name: &str, first: Place, other: &str) -> Problem {
    let message = format!("apps `{other}` and `{name}` are the same app registration in the same tenant");
    Problem::new(Code::LaneTwice, at, message)
        .label("second entry")
        .also(first, "first entry")
        .help("they would overwrite each other's sessions and share one quota: keep one of them")
}
