//! What the directories have said, kept and guarded: the members of Entra groups, and whose user principal names are.
//!
//! The driver owns the [`Book`], the [`Librarian`] reads what is due. Nobody is lost by a read that fails, nor by a list
//! that looks like an accident.

mod failure;
mod kept;
mod librarian;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

pub use failure::Failure;
pub(in crate::daemon) use failure::{FOR_GROUPS, FOR_NAMES, NO_GROUP};
pub use kept::{KeptError, keep, load};
pub use librarian::Librarian;

use crate::config::directory::{Asks, Directory, Member};
use crate::keeper::id::{Guid, LaneKey, UserId};

/// A group of a directory.
pub type GroupKey = (LaneKey, Guid);
/// A user principal name in a directory, in lower case.
pub type NameKey = (LaneKey, Box<str>);

/// What the directories have said.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Book {
    /// Each group that was read.
    pub groups: BTreeMap<GroupKey, Members>,
    /// Each name that was looked up.
    pub names: BTreeMap<NameKey, Owner>,
}

/// The members of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Members {
    /// Those who count, ascending, each once.
    pub all: Arc<[Member]>,
    /// When the group was read last.
    pub read: SystemTime,
    /// What was read last, where that lacks too many of them: it waits to be accepted.
    pub held: Option<Arc<[Member]>>,
}

/// Whose a name is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// Whose; `None`: nobody's so far.
    pub user: Option<UserId>,
    /// Whether it was somebody's at the last look.
    pub found: bool,
    /// When that was.
    pub checked: SystemTime,
}

/// Something that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Learned {
    /// All members of a group.
    Members(GroupKey, Vec<Member>),
    /// Whose a name is; `None`: nobody's.
    Owner(NameKey, Option<UserId>),
}

/// What something that was read has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nothing.
    None,
    /// The members of a group; only what they are called, if nobody was added or removed.
    Members {
        /// How many came.
        added: usize,
        /// How many went.
        removed: usize,
    },
    /// Nothing: too many would be removed.
    Held {
        /// How many.
        removed: usize,
        /// Of how many.
        of: usize,
        /// As many wait since an earlier read.
        known: bool,
    },
    /// A name is somebody's, or somebody else's.
    Owner {
        /// Whose it was.
        was: Option<UserId>,
        /// Whose it is.
        is: UserId,
    },
    /// A name is nobody's, which was not known.
    Nobody {
        /// Whose it was, and goes on to be here.
        was: Option<UserId>,
    },
}

impl Book {
    /// Takes what was read at `wall`. `max_removed` is the share of a group that may go at once, in percent.
    pub fn learn(&mut self, learned: Learned, wall: SystemTime, max_removed: u8) -> Change {
        match learned {
            Learned::Members(group, members) => self.learn_members(group, members, wall, max_removed),
            Learned::Owner(name, user) => self.learn_owner(name, user, wall),
        }
    }

    fn learn_members(
        &mut self,
        group: GroupKey,
        mut members: Vec<Member>,
        wall: SystemTime,
        max_removed: u8,
    ) -> Change {
        members.sort_unstable();
        members.dedup_by_key(|member| member.id);
        let members: Arc<[Member]> = members.into();
        let added = members.len();
        let Some(before) = self.groups.get_mut(&group) else {
            self.groups.insert(group, Members { all: members, read: wall, held: None });
            return Change::Members { added, removed: 0 };
        };
        before.read = wall;
        let removed = lacking(&members, &before.all);
        let of = before.all.len();
        if is_accident(removed, of, max_removed) {
            let known = before.held.as_ref().is_some_and(|held| lacking(held, &before.all) == removed);
            before.held = Some(members);
            return Change::Held { removed, of, known };
        }
        before.held = None;
        if before.all == members {
            return Change::None;
        }
        let added = lacking(&before.all, &members);
        before.all = members;
        Change::Members { added, removed }
    }

    fn learn_owner(&mut self, name: NameKey, user: Option<UserId>, wall: SystemTime) -> Change {
        let before = self.names.get(&name).copied();
        let was = before.and_then(|before| before.user);
        // A user who was renamed or is gone is somebody all the same: only another owner takes the session away.
        self.names.insert(name, Owner { user: user.or(was), found: user.is_some(), checked: wall });
        match user {
            Some(is) if was == Some(is) => Change::None,
            Some(is) => Change::Owner { was, is },
            None if before.is_some_and(|before| !before.found) => Change::None,
            None => Change::Nobody { was },
        }
    }

    /// Takes what waits to be accepted. Returns what became of each group.
    pub fn accept(&mut self) -> Vec<(GroupKey, Change)> {
        let mut changes = Vec::new();
        for (key, members) in &mut self.groups {
            let Some(held) = members.held.take() else { continue };
            let (added, removed) = (lacking(&members.all, &held), lacking(&held, &members.all));
            members.all = held;
            changes.push((key.clone(), Change::Members { added, removed }));
        }
        changes
    }

    /// Drops what nobody asks for any more.
    pub fn retain(&mut self, asks: &Asks) {
        self.groups.retain(|key, _| asks.groups.contains_key(key));
        self.names.retain(|key, _| asks.users.contains(key));
    }

    /// What a config is admitted with.
    #[must_use]
    pub fn known(&self) -> Directory {
        let groups = self.groups.iter().map(|(key, members)| (key.clone(), Arc::clone(&members.all)));
        let users = self.names.iter().map(|(key, owner)| (key.clone(), owner.user));
        Directory { groups: groups.collect(), users: users.collect() }
    }

    /// Members who have gone and wait for somebody to say that this is meant.
    #[must_use]
    pub fn held(&self) -> usize {
        let lists = self.groups.values().filter_map(|members| Some((members.held.as_ref()?, &members.all)));
        lists.map(|(held, all)| lacking(held, all)).sum()
    }

    /// Names that are nobody's.
    #[must_use]
    pub fn nobodys(&self) -> usize {
        self.names.values().filter(|owner| !owner.found).count()
    }
}

/// How many of `of` are not in `list`. Both ascend.
fn lacking(list: &[Member], of: &[Member]) -> usize {
    of.iter().filter(|member| list.binary_search_by_key(&member.id, |other| other.id).is_err()).count()
}

/// Whether the loss of so many looks like one, by the rule that reloads have: all of them, or more than ten and more than
/// the share. At 100 percent nothing does.
fn is_accident(removed: usize, of: usize, max_percent: u8) -> bool {
    /// So few are never one, unless they are all there are.
    const FEW: usize = 10;
    let all = removed > 0 && removed == of;
    max_percent < 100 && (all || removed > FEW && removed * 100 > of * usize::from(max_percent))
}

#[cfg(test)]
mod tests;
