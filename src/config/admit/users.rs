//! The users: whose app, what is wanted of each, and that nobody comes twice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::apps::{AppIx, Apps};
use crate::config::file::{Contents, UserEntry};
use crate::config::problem::{Code, Problem, Severity, shown};
use crate::config::read::{Key, did_you_mean};
use crate::config::resolve::{Layer, wish};
use crate::config::settings::Person;
use crate::config::source::{Place, Placed, Sources};
use crate::config::stated::Stated;
use crate::keeper::SessionPlan;
use crate::keeper::id::UserId;

/// All `[[user]]`.
pub(super) struct Users {
    /// For each app, in the order of the apps.
    pub(super) sessions: Vec<Vec<SessionPlan>>,
    pub(super) people: HashMap<UserId, Person>,
}

pub(super) fn admit(
    contents: &[Contents],
    sources: &Sources,
    apps: &Apps,
    complete: bool,
    problems: &mut Vec<Problem>,
) -> Users {
    let mut users = Users { sessions: vec![Vec::new(); apps.count()], people: HashMap::new() };
    let mut seen: HashMap<(AppIx, UserId), Place> = HashMap::new();
    for file in contents {
        let main = contents.first().unwrap_or(file);
        for user in &file.users {
            let app = app_of(user, apps, complete, problems);
            if user.id.is_absent() {
                let problem = Problem::new(Code::MissingKey, user.at, "this user has no `id`");
                problems.push(problem.help("write the user's object id in Entra ID"));
            }
            let Some(id) = user.id.given() else { continue };
            users.add_person(id.value, user);
            let Some(app) = app else { continue };
            match seen.entry((app, id.value)) {
                Entry::Occupied(first) => {
                    problems.push(twice(id, *first.get()));
                    continue;
                }
                Entry::Vacant(free) => free.insert(id.at),
            };
            let layers = [
                Layer::built_in(),
                Layer::of(&main.defaults),
                Layer::of(&file.defaults),
                Layer::of(&user.stated),
            ];
            let priority = user.priority.value().copied().unwrap_or(0);
            let session = SessionPlan { priority, ..SessionPlan::new(id.value, wish(&layers)) };
            users.sessions[app.0].push(session);
        }
    }
    let sound = !problems.iter().any(|problem| problem.code.severity() == Severity::Error);
    if sound && contents.iter().all(|file| file.users.is_empty()) {
        let main = sources.main().path().to_owned();
        problems.push(Problem::new(Code::NoUser, main, "there is no user: nothing is shown"));
    }
    without_state(contents, problems);
    ambiguous_aliases(contents, problems);
    users
}

impl Users {
    /// A user of several apps may be described in one place and only named in another.
    fn add_person(&mut self, id: UserId, user: &UserEntry) {
        if user.name.is_absent() && user.aliases.is_absent() {
            return;
        }
        let person = self.people.entry(id).or_default();
        if person.name.is_none() {
            person.name = user.name.value().cloned();
        }
        let more = user.aliases.value().into_iter().flatten().map(|alias| alias.value.clone());
        let mut aliases: Vec<Box<str>> = person.aliases.iter().cloned().chain(more).collect();
        aliases.sort_unstable();
        aliases.dedup();
        person.aliases = aliases.into();
    }
}

impl Layer {
    fn of(stated: &Stated) -> Self {
        Self { state: stated.state.value().copied(), expiration: stated.expiration.value().copied() }
    }
}

/// The app that a user names, or the only one.
fn app_of(user: &UserEntry, apps: &Apps, complete: bool, problems: &mut Vec<Problem>) -> Option<AppIx> {
    // Without any app, or with one that could not be read, the user is not to blame.
    let certain = complete && apps.count() > 0 && !apps.nameless();
    match &user.app {
        Key::Bad => None,
        Key::Absent if apps.count() == 1 => Some(AppIx(0)),
        Key::Absent => {
            if certain {
                let names = apps.names().join(", ");
                let problem =
                    Problem::new(Code::WhichApp, user.at, "this user names no app, and there are several");
                problems.push(problem.label("add `app`").help(format!("one of: {names}")));
            }
            None
        }
        Key::Given(name) => {
            let found = apps.by_name(&name.value);
            if found.is_none() && certain {
                problems.push(unknown_app(name, &apps.names()));
            }
            found
        }
    }
}

fn unknown_app(name: &Placed<Box<str>>, names: &[&str]) -> Problem {
    let problem = Problem::new(Code::UnknownApp, name.at, format!("there is no app {}", shown(&name.value)));
    let problem = match did_you_mean(&name.value, names) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem.label("not the name of an [[app]]"),
    };
    problem.help(format!("one of: {}", names.join(", ")))
}

fn twice(id: &Placed<UserId>, first: Place) -> Problem {
    Problem::new(Code::UserTwice, id.at, "user listed twice in one app")
        .label("second entry (ids compare without case)")
        .also(first, "first entry")
        .help("an app has one session for a user: keep one of them")
}

/// One warning a file, however many of its users it is about.
fn without_state(contents: &[Contents], problems: &mut Vec<Problem>) {
    let Some(main) = contents.first() else { return };
    for file in contents {
        if !(file.defaults.state.is_absent() && main.defaults.state.is_absent()) {
            continue;
        }
        let mut bare = file.users.iter().filter(|user| user.stated.state.is_absent());
        let Some(first) = bare.next() else { continue };
        let message = match bare.count() {
            0 => "this user has no availability, nor has [defaults]".to_owned(),
            others => {
                format!("this user and {others} more of the file have no availability, nor has [defaults]")
            }
        };
        let problem = Problem::new(Code::NoState, first.at, message).label("shown as Available");
        problems.push(problem.help("write availability here or in [defaults], \"none\" for no session"));
    }
}

/// An alias that two users answer to, or that is another user's name. It is a warning: every session is held all the
/// same, only commands by that alias are refused; a slip in a phone number must not stop a reload.
fn ambiguous_aliases(contents: &[Contents], problems: &mut Vec<Problem>) {
    let users = || contents.iter().flat_map(|file| &file.users);
    let mut taken: HashMap<&str, (UserId, Place)> = HashMap::new();
    for user in users() {
        if let (Some(id), Some(name)) = (user.id.value(), user.name.given()) {
            taken.entry(&name.value).or_insert((*id, name.at));
        }
    }
    for user in users() {
        let Some(id) = user.id.value() else { continue };
        for alias in user.aliases.value().into_iter().flatten() {
            let (other, first) = *taken.entry(&alias.value).or_insert((*id, alias.at));
            if other != *id {
                let message = format!("two users answer to {}", shown(&alias.value));
                let problem = Problem::new(Code::AmbiguousAlias, alias.at, message)
                    .label("second user")
                    .also(first, "first user")
                    .help("commands that change something refuse this name; use the id, or another alias");
                problems.push(problem);
            }
        }
    }
}
