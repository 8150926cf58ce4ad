//! The users: whose app, what is wanted of each, and that nobody comes twice.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::LISTED_MAX;
use super::apps::{AppIx, Apps};
use super::people::People;
use super::rows;
use super::table::Used;
use crate::config::credential::Way;
use crate::config::file::Contents;
use crate::config::problem::{Code, Problem, Severity, shown};
use crate::config::read::{Key, did_you_mean};
use crate::config::resolve::{Layer, wish};
use crate::config::source::{FileIx, Place, Placed, Sources};
use crate::config::stated::Stated;
use crate::keeper::SessionPlan;
use crate::keeper::id::UserId;

/// How many of too many users are shown.
const SHOWN_MAX: usize = 3;

/// All users, of `[[user]]` and of `[[users_from]]`.
pub(super) struct Users<'c> {
    /// For each app, in the order of the apps.
    pub(super) sessions: Vec<Vec<SessionPlan>>,
    /// Where the id of each of them is written.
    places: Vec<Vec<Place>>,
    pub(super) people: People<'c>,
    /// What was asked for of each CSV file.
    pub(super) used: BTreeMap<FileIx, Used>,
}

pub(super) fn admit<'c>(
    contents: &'c [Contents],
    sources: &'c Sources,
    apps: &Apps,
    complete: bool,
    problems: &mut Vec<Problem>,
) -> Users<'c> {
    let sessions = vec![Vec::new(); apps.count()];
    let mut users = Users {
        sessions,
        places: vec![Vec::new(); apps.count()],
        people: People::new(contents),
        used: BTreeMap::new(),
    };
    for file in contents {
        let main = contents.first().unwrap_or(file);
        for user in &file.users {
            let app = app_of(&user.app, user.at, apps, complete, problems);
            if user.id.is_absent() {
                let problem = Problem::new(Code::MissingKey, user.at, "this user has no `id`");
                problems.push(problem.help("write the user's object id in Entra ID"));
            }
            let Some(id) = user.id.given() else { continue };
            let borrowed =
                |text: &'c Placed<Box<str>>| Placed { value: Cow::Borrowed(&*text.value), at: text.at };
            let aliases = user.aliases.value().map_or(&[][..], Vec::as_slice);
            users.people.add(id.value, user.name.given().map(borrowed), aliases.iter().map(borrowed));
            let Some(app) = app else { continue };
            let layers = [
                Layer::built_in(),
                Layer::of(&main.defaults),
                Layer::of(&file.defaults),
                Layer::of(&user.stated),
            ];
            let priority = user.priority.value().copied().unwrap_or(0);
            users.add(app, id.at, SessionPlan { priority, ..SessionPlan::new(id.value, wish(&layers)) });
        }
    }
    users.used = rows::admit(contents, sources, apps, complete, &mut users, problems);
    users.twice(problems);
    users.signed_in(apps, problems);
    let sound = !problems.iter().any(|problem| problem.code.severity() == Severity::Error);
    if sound && users.sessions.iter().all(Vec::is_empty) {
        let main = sources.main().path().to_owned();
        problems.push(Problem::new(Code::NoUser, main, "there is no user: nothing is shown"));
    }
    without_state(contents, problems);
    users.people.check(problems);
    users
}

impl Users<'_> {
    /// Adds a user whose id is written at `at`.
    pub(super) fn add(&mut self, app: AppIx, at: Place, session: SessionPlan) {
        self.sessions[app.0].push(session);
        self.places[app.0].push(at);
    }

    /// Says which apps act for one user, who signed in, and have several.
    fn signed_in(&self, apps: &Apps, problems: &mut Vec<Problem>) {
        for (index, (sessions, places)) in (0..).map(AppIx).zip(self.sessions.iter().zip(&self.places)) {
            let Some(app) = apps.get(index) else { continue };
            let Way::SignedIn(at) = &app.way else { continue };
            let mut users: Vec<(UserId, Place)> =
                sessions.iter().map(|s| s.user).zip(places.iter().copied()).collect();
            users.sort_unstable();
            users.dedup_by_key(|(user, _)| *user);
            if users.len() < 2 {
                continue;
            }
            users.sort_unstable_by_key(|(_, place)| *place);
            let message = format!(
                "app `{}` acts for the one user who signs in for it, and has {} users",
                app.app.name,
                users.len()
            );
            let problem = Problem::new(Code::SignedInUsers, *at, message).label("for one user");
            let problem = users
                .iter()
                .take(SHOWN_MAX)
                .fold(problem, |problem, (_, place)| problem.also(*place, "a user of it"));
            problems.push(
                problem
                    .help("keep the one who signs in; Graph takes no other for a delegated token")
                    .help("an app for many users proves itself by a secret, a certificate or an identity"),
            );
        }
    }

    /// Says who comes twice in one app.
    fn twice(&self, problems: &mut Vec<Problem>) {
        let mut found: Vec<(Place, Place)> = Vec::new();
        for (sessions, places) in self.sessions.iter().zip(&self.places) {
            if sessions.is_sorted_by(|a, b| a.user < b.user) {
                continue;
            }
            let mut sorted: Vec<(UserId, usize)> = sessions.iter().map(|s| s.user).zip(0..).collect();
            sorted.sort_unstable();
            for same in sorted.chunk_by(|a, b| a.0 == b.0) {
                let (_, first) = same[0];
                found.extend(same[1..].iter().map(|(_, later)| (places[*later], places[first])));
            }
        }
        found.sort_unstable();
        for (later, first) in found.iter().take(LISTED_MAX) {
            problems.push(
                Problem::new(Code::UserTwice, *later, "user listed twice in one app")
                    .label("second entry (ids compare without case)")
                    .also(*first, "first entry")
                    .help("an app has one session for a user: keep one of them"),
            );
        }
        if let Some((later, _)) = found.get(LISTED_MAX) {
            let message = format!("{} more users are listed twice in one app", found.len() - LISTED_MAX);
            problems.push(Problem::new(Code::UserTwice, *later, message).label("the first of them"));
        }
    }
}

impl Layer {
    pub(super) fn of(stated: &Stated) -> Self {
        Self { state: stated.state.value().copied(), expiration: stated.expiration.value().copied() }
    }
}

/// The app that a user names, or the only one; `at` is where the user is described.
pub(super) fn app_of<T: AsRef<str>>(
    named: &Key<T>,
    at: Place,
    apps: &Apps,
    complete: bool,
    problems: &mut Vec<Problem>,
) -> Option<AppIx> {
    // Without any app, or with one that could not be read, the user is not to blame.
    let certain = complete && apps.count() > 0 && !apps.nameless();
    match named {
        Key::Bad => None,
        Key::Absent if apps.count() == 1 => Some(AppIx(0)),
        Key::Absent => {
            if certain {
                let names = apps.names().join(", ");
                let problem =
                    Problem::new(Code::WhichApp, at, "this user names no app, and there are several");
                problems.push(problem.label("add `app`").help(format!("one of: {names}")));
            }
            None
        }
        Key::Given(name) => {
            let name = Placed { value: name.value.as_ref(), at: name.at };
            let found = apps.by_name(name.value);
            if found.is_none() && certain {
                problems.push(unknown_app(name, &apps.names()));
            }
            found
        }
    }
}

fn unknown_app(name: Placed<&str>, names: &[&str]) -> Problem {
    let problem = Problem::new(Code::UnknownApp, name.at, format!("there is no app {}", shown(name.value)));
    let problem = match did_you_mean(name.value, names) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem.label("not the name of an [[app]]"),
    };
    problem.help(format!("one of: {}", names.join(", ")))
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
