//! Groups: who belongs to which, and where two that share members do not say the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::apps::AppIx;
use super::rows;
use super::says::{Defaults, Says};
use super::users::{Among, Users, app_of};
use crate::config::problem::{Code, Problem, shown};
use crate::config::settings;
use crate::config::source::{Place, Placed};
use crate::keeper::id::{Guid, LaneKey, UserId};

/// Which group: its place among all, in the files' order.
pub(super) type GroupIx = u32;

/// All groups and their members.
#[derive(Default)]
pub(super) struct Groups {
    all: Vec<Group>,
    members: HashMap<(AppIx, UserId), Member>,
    /// Pairs of groups that do not say the same: for how many members, and of what.
    disagree: BTreeMap<(GroupIx, GroupIx), (usize, &'static str)>,
}

struct Group {
    name: Arc<str>,
    entra_group: Option<Guid>,
    /// Its header.
    at: Place,
    app: AppIx,
    says: Says,
    defaults: Defaults,
    members: Vec<UserId>,
}

/// A member of groups in one app.
#[derive(Default)]
struct Member {
    /// Ascending.
    groups: Vec<GroupIx>,
    /// What the user's own rows in their lists say.
    rows: Vec<Says>,
    /// Where the user is named first.
    at: Option<Place>,
    met: bool,
}

/// What groups say of a member.
pub(super) struct OfGroups<'a> {
    /// Of the groups, the strongest first.
    pub(super) groups: Vec<&'a Says>,
    /// In rows of their lists, which are the user's own.
    pub(super) rows: &'a [Says],
}

pub(super) fn admit<'c>(among: Among<'c>, users: &mut Users<'c>, problems: &mut Vec<Problem>) {
    let mut named: HashMap<&str, Place> = HashMap::new();
    let Some(main) = among.contents.first() else { return };
    for (file, entry) in
        among.contents.iter().flat_map(|file| file.groups.iter().map(move |entry| (file, entry)))
    {
        let says = among.says(&entry.stated, &entry.priority, &entry.follows, problems);
        let app = app_of(&entry.app, entry.at, "group", among.apps, among.complete, problems);
        if let Some(name) = entry.name.given()
            && let Some(first) = named.insert(&name.value, name.at)
        {
            let message = format!("two groups are called {}", shown(&name.value));
            let problem = Problem::new(Code::NameTwice, name.at, message);
            problems.push(problem.label("second group").also(first, "first group"));
        }
        let Some(app) = app else { continue };
        let group = GroupIx::try_from(users.groups.all.len()).unwrap_or(GroupIx::MAX);
        let entra_group = entry.entra_group.given().copied();
        users.groups.all.push(Group {
            name: entry.name.value().map_or("", AsRef::as_ref).into(),
            entra_group: entra_group.map(|id| id.value),
            at: entry.at,
            app,
            says,
            defaults: Defaults::of(main, file),
            members: Vec::new(),
        });
        for member in entry.members.value().map(Vec::as_slice).unwrap_or_default() {
            let Some(id) = users.named.find(among, app, &member.id, problems) else { continue };
            users.people.add_written(id.value, &member.name, &member.aliases);
            users.called(id, &member.id);
            users.groups.join(group, app, id, None);
        }
        if let Some(id) = entra_group {
            let name = Arc::clone(&users.groups.all[group as usize].name);
            for member in users.named.members(among, app, id, &name, problems).iter().flat_map(|of| of.iter())
            {
                users.groups.join(group, app, Placed { value: member.id, at: id.at }, None);
            }
        }
        for list in &entry.lists {
            rows::members(among, list, (group, app), users, problems);
        }
    }
}

impl Groups {
    /// A user belongs to a group. One who is named twice in it does so once.
    pub(super) fn join(&mut self, group: GroupIx, app: AppIx, id: Placed<UserId>, row: Option<Says>) {
        let member = self.members.entry((app, id.value)).or_default();
        member.at.get_or_insert(id.at);
        member.rows.extend(row);
        if member.groups.last() != Some(&group) {
            member.groups.push(group);
            self.all[group as usize].members.push(id.value);
        }
    }

    /// What groups say of a user.
    pub(super) fn find(&self, app: AppIx, user: UserId) -> Option<OfGroups<'_>> {
        if self.members.is_empty() {
            return None;
        }
        let member = self.members.get(&(app, user))?;
        let groups = member.groups.iter().map(|group| &self.all[*group as usize].says).collect();
        Some(OfGroups { groups, rows: &member.rows })
    }

    /// A user is planned for, and this is what the user's own places say.
    pub(super) fn met(&mut self, app: AppIx, user: UserId, own: &[&Says]) {
        let Some(member) = self.members.get_mut(&(app, user)) else { return };
        member.met = true;
        let own: Vec<&Says> = own.iter().copied().chain(&member.rows).collect();
        if let Some((pair, what)) = disagreement(&self.all, &member.groups, &own) {
            self.disagree.entry(pair).or_insert((0, what)).0 += 1;
        }
    }

    /// Those whom nothing but groups names, where that is, and the first of their groups, in the files' order.
    pub(super) fn unmet(&self) -> Vec<(AppIx, Placed<UserId>, GroupIx)> {
        let unmet = self.members.iter().filter(|(_, member)| !member.met);
        let mut unmet: Vec<_> = unmet
            .filter_map(|((app, user), member)| {
                Some((*app, Placed { value: *user, at: member.at? }, *member.groups.first()?))
            })
            .collect();
        unmet.sort_unstable_by_key(|(_, id, _)| (id.at, id.value));
        unmet
    }

    pub(super) fn defaults(&self, group: GroupIx) -> &Defaults {
        &self.all[group as usize].defaults
    }

    /// Says that nothing states what these groups' members show.
    pub(super) fn without_state(&self, groups: &BTreeSet<GroupIx>, problems: &mut Vec<Problem>) {
        for group in groups.iter().map(|group| &self.all[*group as usize]) {
            let message = "members of this group have no availability, nor has [defaults]";
            let problem = Problem::new(Code::NoState, group.at, message).label("shown as Available");
            problems.push(problem.help("write availability here or in [defaults], \"none\" for no session"));
        }
    }

    /// Says which groups share members and do not say the same of them.
    pub(super) fn disagreeing(&self, problems: &mut Vec<Problem>) {
        for (&(first, second), (count, what)) in &self.disagree {
            let (first, second) = (&self.all[first as usize], &self.all[second as usize]);
            let (name, other) = (shown(&first.name), shown(&second.name));
            let users = if *count == 1 { "one user is".to_owned() } else { format!("{count} users are") };
            let message = format!("{users} in groups {name} and {other}, which disagree on {what}");
            let problem = Problem::new(Code::GroupsDisagree, second.at, message)
                .label("does not hold for them")
                .also(first.at, "holds: it stands first")
                .help("say it in [[user]], which is stronger than any group, or take them out of one");
            problems.push(problem);
        }
    }

    /// As commands name them; `lanes` are those of the apps.
    pub(super) fn into_settings(self, lanes: &[Option<LaneKey>]) -> Vec<settings::Group> {
        let admitted = self.all.into_iter().filter_map(|group| {
            let lane = lanes.get(group.app.0)?.clone()?;
            let mut members = group.members;
            members.sort_unstable();
            let entra_group = group.entra_group;
            Some(settings::Group { name: group.name, lane, members: members.into(), entra_group })
        });
        admitted.collect()
    }
}

/// The first two groups that say different things of a member who does not say it, and of what.
fn disagreement(
    all: &[Group],
    groups: &[GroupIx],
    own: &[&Says],
) -> Option<((GroupIx, GroupIx), &'static str)> {
    fn differ<T: PartialEq>(
        all: &[Group],
        groups: &[GroupIx],
        own: &[&Says],
        says: impl Fn(&Says) -> Option<T>,
    ) -> Option<(GroupIx, GroupIx)> {
        if own.iter().any(|place| says(place).is_some()) {
            return None;
        }
        let mut said = groups.iter().filter_map(|ix| Some((*ix, says(&all[*ix as usize].says)?)));
        let (first, holds) = said.next()?;
        said.find(|(_, other)| *other != holds).map(|(second, _)| (first, second))
    }
    let pair = |what: &'static str, pair: Option<_>| pair.map(|pair| (pair, what));
    pair("availability", differ(all, groups, own, |says| says.layer.state))
        .or_else(|| pair("expiration", differ(all, groups, own, |says| says.layer.expiration)))
        .or_else(|| pair("priority", differ(all, groups, own, |says| says.priority)))
        .or_else(|| pair("timezone", differ(all, groups, own, |says| says.zone.clone())))
}
