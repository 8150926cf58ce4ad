//! The users: whose app, what is wanted of each, and that nobody comes twice.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::LISTED_MAX;
use super::apps::{AppIx, Apps};
use super::groups::{self, Groups};
use super::named::Named;
use super::people::People;
use super::rows;
use super::says::{Courses, Defaults, Said, Says, Settled};
use super::schedules::Schedules;
use super::table::Used;
use crate::config::credential::Way;
use crate::config::directory::{Known, Who};
use crate::config::file::Contents;
use crate::config::problem::{Code, Problem, Severity, shown};
use crate::config::read::{Key, did_you_mean};
use crate::config::resolve::Layer;
use crate::config::schedule::entry::Follows;
use crate::config::source::{FileIx, Place, Placed, Sources};
use crate::config::stated::Stated;
use crate::keeper::SessionPlan;
use crate::keeper::id::UserId;

/// How many of too many users are shown.
const SHOWN_MAX: usize = 3;

/// All users, of `[[user]]`, of `[[users_from]]` and of groups.
pub(super) struct Users<'c> {
    /// For each app, in the order of the apps.
    pub(super) sessions: Vec<Vec<SessionPlan>>,
    /// Where the id of each of them is written.
    places: Vec<Vec<Place>>,
    pub(super) people: People<'c>,
    /// What was asked for of each CSV file.
    pub(super) used: BTreeMap<FileIx, Used>,
    pub(super) groups: Groups,
    pub(super) courses: Courses<'c>,
    /// Who is there by the word of a directory.
    pub(super) named: Named,
}

/// What users are admitted with, besides what is written of them.
#[derive(Clone, Copy)]
pub(super) struct Among<'a> {
    pub(super) contents: &'a [Contents],
    pub(super) sources: &'a Sources,
    pub(super) apps: &'a Apps,
    pub(super) schedules: &'a Schedules,
    /// What the directories have said.
    pub(super) known: Known<'a>,
    /// Nothing was lost, so what is missing is really missing.
    pub(super) complete: bool,
}

impl Among<'_> {
    /// What the two keys on schedules say, with all else that a place says.
    pub(super) fn says(
        &self,
        stated: &Stated,
        priority: &Key<i32>,
        follows: &Follows,
        problems: &mut Vec<Problem>,
    ) -> Says {
        let schedules = follows.schedules.value();
        Says {
            layer: Layer::of(stated),
            states: !stated.state.is_absent(),
            priority: priority.value().copied(),
            zone: follows.timezone.value().cloned(),
            schedules: schedules.map(|names| self.schedules.named(names, self.complete, problems)),
        }
    }
}

pub(super) fn admit<'c>(among: Among<'c>, problems: &mut Vec<Problem>) -> Users<'c> {
    let Among { contents, apps, complete, .. } = among;
    let mut users = Users {
        sessions: vec![Vec::new(); apps.count()],
        places: vec![Vec::new(); apps.count()],
        people: People::new(contents),
        used: BTreeMap::new(),
        groups: Groups::default(),
        courses: Courses::new(among.schedules, apps.count()),
        named: Named::default(),
    };
    groups::admit(among, &mut users, problems);
    for file in contents {
        let main = contents.first().unwrap_or(file);
        let defaults = Defaults::of(main, file);
        let mut bare = Bare::default();
        for user in &file.users {
            let app = app_of(&user.app, user.at, "user", apps, complete, problems);
            if user.id.is_absent() {
                let problem = Problem::new(Code::MissingKey, user.at, "this user has no `id`");
                problems
                    .push(problem.help("write the user's object id in Entra ID, or the user principal name"));
            }
            let says = among.says(&user.stated, &user.priority, &user.follows, problems);
            let Some(who) = user.id.given() else { continue };
            let found = match app {
                Some(app) => users.named.find(among, app, who, problems),
                None => who.as_id(),
            };
            let Some(id) = found else { continue };
            users.people.add_written(id.value, &user.name, &user.aliases);
            users.called(id, who);
            let Some(app) = app else { continue };
            if !users.add(app, id, &defaults, &[&says]) {
                bare.note(user.at);
            }
        }
        bare.tell("user", problems);
    }
    rows::admit(among, &mut users, problems);
    users.add_members(problems);
    users.call_members();
    users.twice(problems);
    users.named.waiting(problems);
    users.signed_in(apps, problems);
    let sound = !problems.iter().any(|problem| problem.code.severity() == Severity::Error);
    if sound && users.named.asks.is_empty() && users.sessions.iter().all(Vec::is_empty) {
        let main = among.sources.main().path().to_owned();
        problems.push(Problem::new(Code::NoUser, main, "there is no user: nothing is shown"));
    }
    users.people.check(problems);
    users
}

/// Those of whom nothing says a state, one warning for all.
#[derive(Default)]
struct Bare {
    first: Option<Place>,
    others: usize,
}

impl Bare {
    fn note(&mut self, at: Place) {
        match self.first {
            None => self.first = Some(at),
            Some(_) => self.others += 1,
        }
    }

    fn tell(&self, what: &str, problems: &mut Vec<Problem>) {
        let Some(first) = self.first else { return };
        let message = match self.others {
            0 => format!("this {what} has no availability, nor has [defaults]"),
            others => {
                format!("this {what} and {others} more of the file have no availability, nor has [defaults]")
            }
        };
        let problem = Problem::new(Code::NoState, first, message).label("shown as Available");
        problems.push(problem.help("write availability here or in [defaults], \"none\" for no session"));
    }
}

impl Users<'_> {
    /// Adds a user, with what groups and the user's own places say, and returns whether any says a state.
    pub(super) fn add(&mut self, app: AppIx, id: Placed<UserId>, defaults: &Defaults, own: &[&Says]) -> bool {
        let settled = match self.groups.find(app, id.value) {
            None => self.courses.settle(Said { defaults, groups: &[], own }),
            Some(found) => {
                let rows = found.rows.iter().chain(own.iter().copied()).collect::<Vec<_>>();
                self.courses.settle(Said { defaults, groups: &found.groups, own: &rows })
            }
        };
        self.groups.met(app, id.value, own);
        self.push(app, id, &settled);
        settled.stated
    }

    fn push(&mut self, app: AppIx, id: Placed<UserId>, settled: &Settled) {
        let plan = SessionPlan { priority: settled.priority, ..SessionPlan::new(id.value, settled.wish) };
        self.sessions[app.0].push(plan);
        self.places[app.0].push(id.at);
        if let Some(rota) = settled.rota {
            self.courses.followers[app.0].push((id.value, rota));
        }
    }

    /// Adds those whom groups alone have.
    fn add_members(&mut self, problems: &mut Vec<Problem>) {
        let mut stateless = BTreeSet::new();
        for (app, id, first) in self.groups.unmet() {
            let Some(found) = self.groups.find(app, id.value) else { continue };
            let own: Vec<&Says> = found.rows.iter().collect();
            let defaults = self.groups.defaults(first);
            let settled = self.courses.settle(Said { defaults, groups: &found.groups, own: &own });
            if !settled.stated {
                stateless.insert(first);
            }
            self.groups.met(app, id.value, &[]);
            self.push(app, id, &settled);
        }
        self.groups.without_state(&stateless, problems);
        self.groups.disagreeing(problems);
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

    /// A user who is written by a user principal name answers to that, too.
    pub(super) fn called(&mut self, id: Placed<UserId>, who: &Placed<Who>) {
        if let Who::Named(name) = &who.value {
            let alias = Placed { value: Cow::Owned(name.to_string()), at: who.at };
            self.people.add(id.value, None, std::iter::once(alias));
        }
    }

    /// What the directories call the members of their groups, where the config says nothing.
    fn call_members(&mut self) {
        for (at, members) in &self.named.members {
            for member in members.iter() {
                let name = member.name.as_deref();
                let name = name.map(|name| Placed { value: Cow::Owned(name.to_owned()), at: *at });
                self.people.add(member.id, name, std::iter::empty());
            }
        }
    }

    /// Says who comes twice in one app. Where a user principal name turns out to be somebody who is written, too, it gives
    /// way: what a directory says makes no config wrong.
    fn twice(&mut self, problems: &mut Vec<Problem>) {
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
        found.retain(|(later, first)| !self.named.gives_way(*later, *first, problems));
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

/// The app that a user or a group names, or the only one; `at` is where it is described.
pub(super) fn app_of<T: AsRef<str>>(
    named: &Key<T>,
    at: Place,
    what: &str,
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
                let message = format!("this {what} names no app, and there are several");
                let problem = Problem::new(Code::WhichApp, at, message);
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
