//! What users are called, and who belongs together.

use std::sync::Arc;

use super::Settings;
use crate::keeper::id::{Guid, LaneKey, UserId};

/// Who belongs together, for commands that name them at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its name.
    pub name: Arc<str>,
    /// The app that its members are shown by.
    pub lane: LaneKey,
    /// Ascending.
    pub members: Arc<[UserId]>,
    /// The group of the directory whose members are among them, where there is one.
    pub entra_group: Option<Guid>,
}

/// What people are called.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Person {
    /// For people to read.
    pub name: Option<Box<str>>,
    /// What other systems call them.
    pub aliases: Box<[Box<str>]>,
}

impl Settings {
    /// The names of the groups that a user belongs to in a lane, in the order of the files.
    pub fn groups_of(&self, lane: &LaneKey, user: UserId) -> impl Iterator<Item = &str> {
        let of_lane = self.groups.iter().filter(move |group| group.lane == *lane);
        of_lane.filter(move |group| group.members.binary_search(&user).is_ok()).map(|group| &*group.name)
    }
}
