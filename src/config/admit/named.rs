//! Who is there by the word of a directory: members of Entra groups, and users by their principal names.

use std::collections::HashMap;
use std::sync::Arc;

use super::apps::AppIx;
use super::users::Among;
use crate::config::credential::Way;
use crate::config::directory::{Asks, Member, Who, folded};
use crate::config::problem::{Code, Problem, shown};
use crate::config::source::{Place, Placed};
use crate::keeper::id::{Guid, LaneKey, UserId};

/// What a config asks of the directories, as it is found.
#[derive(Default)]
pub(in crate::config) struct Named {
    pub(in crate::config) asks: Asks,
    /// Members that are known, each list where its group is written.
    pub(super) members: Vec<(Place, Arc<[Member]>)>,
    /// Users who are written by a name, where.
    by_name: HashMap<Place, (LaneKey, Box<str>)>,
    /// Names of users who are written otherwise, too.
    pub(in crate::config) doubled: Vec<(LaneKey, Box<str>)>,
    /// What is not known: how many groups and names, and the first of either.
    waiting: [usize; 2],
    first: [Option<Place>; 2],
}

impl Named {
    /// Whose an id is, as far as that is known.
    pub(super) fn find(
        &mut self,
        among: Among<'_>,
        app: AppIx,
        who: &Placed<Who>,
        problems: &mut Vec<Problem>,
    ) -> Option<Placed<UserId>> {
        let name = match &who.value {
            Who::Id(value) => return Some(Placed { value: *value, at: who.at }),
            Who::Named(name) => folded(name),
        };
        let what = "a user principal name is";
        let lane = lane(among, app, who.at, what, "write the user's object id", problems)?;
        let found = among.known.user(&lane, &name);
        let key = (lane, name);
        if found.is_none() {
            self.wait(1, who.at);
        }
        self.by_name.insert(who.at, key.clone());
        self.asks.users.insert(key);
        Some(Placed { value: found?, at: who.at })
    }

    /// The members of an Entra group, as far as they are known.
    pub(super) fn members(
        &mut self,
        among: Among<'_>,
        app: AppIx,
        group: Placed<Guid>,
        name: &Arc<str>,
        problems: &mut Vec<Problem>,
    ) -> Option<Arc<[Member]>> {
        let what = "the members of a group are";
        let lane = lane(among, app, group.at, what, "list its user in `members`", problems)?;
        let found = among.known.members(&lane, group.value);
        self.asks.groups.entry((lane, group.value)).or_insert_with(|| Arc::clone(name));
        match &found {
            Some(members) => self.members.push((group.at, Arc::clone(members))),
            None => self.wait(0, group.at),
        }
        found
    }

    /// Whether two entries for one user are no mistake of whoever wrote them, but of one of them a directory has said whose
    /// it is.
    pub(super) fn gives_way(&mut self, later: Place, first: Place, problems: &mut Vec<Problem>) -> bool {
        let Some((at, other)) =
            [(later, first), (first, later)].into_iter().find(|(at, _)| self.by_name.contains_key(at))
        else {
            return false;
        };
        let Some(key) = self.by_name.get(&at).cloned() else { return false };
        if self.by_name.get(&other) == Some(&key) {
            return false;
        }
        let message = format!("{} is a user who is written elsewhere, too", shown(&key.1));
        let problem = Problem::new(Code::SameUser, at, message).label("this entry counts for nothing");
        problems.push(
            problem.also(other, "this one holds").help("an app has one session for a user: keep one of them"),
        );
        self.doubled.push(key);
        true
    }

    /// Says what only the running daemon knows, and what it needs for that.
    pub(super) fn waiting(&self, problems: &mut Vec<Problem>) {
        let count = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("one {one}")),
            count => Some(format!("{count} {many}")),
        };
        let [groups, names] = self.waiting;
        let what = [
            count(groups, "Entra group", "Entra groups"),
            count(names, "user principal name", "user principal names"),
        ];
        let what: Vec<String> = what.into_iter().flatten().collect();
        let Some(at) = self.first[0].or(self.first[1]) else { return };
        let message = format!("who is behind {} is not known here", what.join(" and "));
        let mut problem = Problem::new(Code::AsksDirectory, at, message)
            .label("the running daemon reads it; nobody of them is counted here");
        if groups > 0 {
            problem = problem
                .help(
                    "for groups the app needs the application permission GroupMember.Read.All of Microsoft Graph; with \
                     User.Read.All, too, disabled accounts are left out",
                )
                .help("without it, list their members in `members` or `members_from`");
        }
        if names > 0 {
            problem = problem.help(
                "for user principal names it needs User.ReadBasic.All; without it, write object ids in their place",
            );
        }
        problems.push(problem);
    }

    fn wait(&mut self, which: usize, at: Place) {
        self.waiting[which] += 1;
        self.first[which].get_or_insert(at);
    }
}

/// The lane of an app that may ask its directory; says so where it may not.
fn lane(
    among: Among<'_>,
    app: AppIx,
    at: Place,
    what: &str,
    help: &str,
    problems: &mut Vec<Problem>,
) -> Option<LaneKey> {
    let app = among.apps.get(app)?;
    if let Way::SignedIn(way) = &app.way {
        let message =
            format!("{what} read in an app's own name, and app `{}` acts for who signs in", app.app.name);
        let problem = Problem::new(Code::SignedInUsers, at, message).also(*way, "for one user");
        problems.push(problem.help(help));
        return None;
    }
    Some(app.app.lane())
}
