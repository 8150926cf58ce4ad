//! The apps: what they inherit, and that no two are the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

use super::azure::{self, Azure};
use crate::config::credential::Way;
use crate::config::environment::Environment;
use crate::config::file::{AppEntry, AppKeys, Contents};
use crate::config::problem::{Code, Problem};
use crate::config::read::Key;
use crate::config::settings::{App, Cloud, Credential};
use crate::config::source::{Place, Placed, Sources};
use crate::keeper::id::{ClientId, LaneKey, TenantId, UserId};
use crate::keeper::{LaneHead, LanePlan, Plan, Quota, SessionPlan};

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
    pub(super) way: Way,
    /// Where the end of its client secret is written.
    pub(super) expires_at: Option<Place>,
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

    /// The app, where it has no problems.
    pub(super) fn get(&self, index: AppIx) -> Option<&AdmittedApp> {
        self.entries[index.0].1.as_ref()
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

    /// The lane of each, in order; `None`: it has problems.
    pub(super) fn keys(&self) -> Vec<Option<LaneKey>> {
        self.entries.iter().map(|(_, app)| app.as_ref().map(|app| app.app.lane())).collect()
    }

    /// The header of the app with this lane.
    pub(super) fn place(&self, lane: &LaneKey) -> Option<Place> {
        self.entries
            .iter()
            .find(|(_, app)| app.as_ref().is_some_and(|app| app.app.lane() == *lane))
            .map(|(at, _)| *at)
    }

    /// In the order of their keys, each with its user in the plan where it acts for one.
    pub(super) fn into_settings(self, plan: &Plan) -> Vec<App> {
        let apps = self.entries.into_iter().filter_map(|(_, app)| app).map(|app| app.app);
        let mut apps: Vec<App> = apps.map(|app| App { user: signed_in(&app, plan), ..app }).collect();
        apps.sort_by_cached_key(App::lane);
        apps
    }
}

/// What apps are admitted with, besides what is written.
pub(super) struct Around<'a> {
    pub(super) sources: &'a Sources,
    pub(super) state_dir: &'a Path,
    /// Nothing was lost, so what is missing is really missing.
    pub(super) complete: bool,
    pub(super) environment: Option<&'a Environment<'a>>,
}

pub(super) fn admit(contents: &[Contents], around: &Around<'_>, problems: &mut Vec<Problem>) -> Apps {
    let mut apps = Apps { entries: Vec::new(), by_name: HashMap::new(), nameless: false };
    let mut named: HashMap<&str, Place> = HashMap::new();
    let mut lanes: HashMap<LaneKey, (Place, Arc<str>)> = HashMap::new();
    let main = contents.first().map(|main| &main.app_defaults);
    let count = contents.iter().map(|file| file.apps.len()).sum();
    let azure = around.environment.map(|environment| Azure { environment, apps: count });
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
            let admitted = one(entry, defaults, around, azure.as_ref(), problems);
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
    if apps.entries.is_empty() && around.complete {
        let main = around.sources.main().path().to_owned();
        let problem = Problem::new(Code::NoApp, main, "there is no app: nothing can be set without one");
        problems.push(problem.help("add an [[app]] with name, tenant, client_id and credential"));
    }
    apps
}

/// An app with what it inherits; says what is missing.
fn one(
    entry: &AppEntry,
    defaults: [&AppKeys; 2],
    around: &Around<'_>,
    azure: Option<&Azure<'_>>,
    problems: &mut Vec<Problem>,
) -> Option<AdmittedApp> {
    if entry.name.is_absent() {
        let problem = Problem::new(Code::MissingKey, entry.at, "this app has no `name`");
        problems.push(problem.help("every app needs a name of its own"));
    }
    let identity = identity(entry, defaults, azure, problems);
    let cloud = match inherit(entry, defaults, |keys| &keys.cloud) {
        Key::Absent => Cloud::named("global"),
        key => key.value().cloned(),
    };
    let quota = match inherit(entry, defaults, |keys| &keys.quota) {
        Key::Absent => Some(Quota::PRESENCE),
        key => key.value().copied(),
    };
    let (secret_expires, cae) =
        (inherit(entry, defaults, |keys| &keys.secret_expires), inherit(entry, defaults, |keys| &keys.cae));
    let name: Arc<str> = entry.name.value()?.as_ref().into();
    let Identity { tenant, client_id, way } = identity?;
    let way = way.with_app(&name);
    let credential = way.credential(&name, around);
    without_effect(&entry.keys, &credential, problems);
    let expires = secret_expires.given().filter(|_| has_secret(&credential));
    let cae = cae.value().copied().unwrap_or(false) && !is_managed(&credential);
    let app = App {
        name,
        tenant,
        client_id,
        cloud: cloud?,
        credential,
        secret_expires: expires.map(|expires| expires.value),
        cae,
        quota: quota?,
        // Users are admitted after the apps.
        user: None,
    };
    if let Some(azure) = azure {
        problems.extend(azure.other_authority(&app, entry.at));
    }
    Some(AdmittedApp { app, way, expires_at: expires.map(|expires| expires.at) })
}

/// Who an app is, and how it proves it.
struct Identity {
    tenant: TenantId,
    client_id: ClientId,
    way: Way,
}

/// What every app needs, from the config or, for an only app, from Azure's variables; says what is missing.
fn identity(
    entry: &AppEntry,
    defaults: [&AppKeys; 2],
    azure: Option<&Azure<'_>>,
    problems: &mut Vec<Problem>,
) -> Option<Identity> {
    let mut tenant = inherit(entry, defaults, |keys| &keys.tenant).clone();
    let mut client_id = inherit(entry, defaults, |keys| &keys.client_id).clone();
    let mut credential = inherit(entry, defaults, |keys| &keys.credential).clone();
    if let Some(azure) = azure.filter(|azure| azure.apps == 1) {
        azure.fill_in(entry.at, &mut tenant, &mut client_id, &mut credential, problems);
    }
    let needed = [
        ("`tenant`", tenant.is_absent(), azure::TENANT),
        ("`client_id`", client_id.is_absent(), azure::CLIENT),
        ("`credential`", credential.is_absent(), azure::TOKEN_FILE),
    ];
    let missing: Vec<_> = needed.iter().filter(|(_, absent, _)| *absent).collect();
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|(name, ..)| *name).collect();
        let message = format!("this app has no {}", names.join(", no "));
        let problem = Problem::new(Code::MissingKey, entry.at, message);
        let problem = problem.help("write it here, or in [defaults.app] for all apps");
        let set: Vec<&str> = missing.iter().map(|(.., variable)| *variable).collect();
        problems.push(match azure.and_then(|azure| azure.unheeded(&set)) {
            Some(why) => problem.help(why),
            None => problem,
        });
    }
    Some(Identity {
        tenant: *tenant.value()?,
        client_id: *client_id.value()?,
        way: credential.value()?.clone(),
    })
}

/// Says which of the app's own keys do nothing with its credential. What it inherits may be meant for others.
fn without_effect(own: &AppKeys, credential: &Credential, problems: &mut Vec<Problem>) {
    if let Some(expires) = own.secret_expires.given().filter(|_| !has_secret(credential)) {
        let message = "secret_expires does nothing here: this app has no client secret";
        let problem = Problem::new(Code::NoEffect, expires.at, message).label("take it out");
        problems.push(match credential {
            Credential::Certificate(_) => {
                problem.help("when a certificate ends is read from the certificate")
            }
            _ => problem,
        });
    }
    if let Some(cae) = own.cae.given().filter(|cae| cae.value && is_managed(credential)) {
        let message =
            "cae does nothing here: managed identities take no part in continuous access evaluation";
        problems.push(Problem::new(Code::NoEffect, cae.at, message).label("take it out"));
    }
}

/// The user of an app that acts for who signed in.
fn signed_in(app: &App, plan: &Plan) -> Option<UserId> {
    let lane = plan.lane(&app.lane()).filter(|_| matches!(app.credential, Credential::SignedIn(_)))?;
    lane.sessions.first().map(|session| session.user)
}

fn has_secret(credential: &Credential) -> bool {
    matches!(credential, Credential::SecretFile(_) | Credential::SecretEnv(_))
}

/// Source: the page "Continuous access evaluation for workload identities", which leaves managed identities out.
fn is_managed(credential: &Credential) -> bool {
    matches!(credential, Credential::ManagedIdentity(_))
}

/// The app's own key, or else that of its file's `[defaults.app]`, or else that of the main file's.
fn inherit<'k, T>(
    entry: &'k AppEntry,
    defaults: [&'k AppKeys; 2],
    key: fn(&AppKeys) -> &Key<T>,
) -> &'k Key<T> {
    key(&entry.keys).or(key(defaults[0])).or(key(defaults[1]))
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
