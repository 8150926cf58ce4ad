//! What a config asks of the tenants' directories, and what they have said: who is in the Entra groups that it names, and
//! whose the user principal names are. Nothing is asked here; the running daemon does that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::source::Placed;
use crate::keeper::id::{Guid, LaneKey, UserId};

/// The longest name of a member that is kept, in characters; as long as one in a config may be.
const NAME_CHARS_MAX: usize = 256;

/// A member of an Entra group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Member {
    /// The object id.
    pub id: UserId,
    /// What the directory calls this user; `None` where the app may not read that.
    pub name: Option<Box<str>>,
}

impl Member {
    /// One with the name that a directory has, put so that a config could have it. One that it could not is none.
    #[must_use]
    pub fn new(id: UserId, name: Option<&str>) -> Self {
        let words = name.map(|name| name.split(|c: char| c.is_whitespace() || c.is_control()));
        let joined = words.map(|words| words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
        let cut = joined.map(|name| name.chars().take(NAME_CHARS_MAX).collect::<String>());
        let name = cut.as_deref().map(str::trim_end).filter(|name| !name.is_empty());
        Self { id, name: name.map(Box::from) }
    }
}

/// What the directories have said, as far as it is known.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Directory {
    /// The members of each group, ascending, each once.
    pub groups: BTreeMap<(LaneKey, Guid), Arc<[Member]>>,
    /// Whose a user principal name is, by the name in lower case: case does not count in them.
    /// `None`: nobody's.
    pub users: BTreeMap<(LaneKey, Box<str>), Option<UserId>>,
}

impl Directory {
    /// The lanes in which something is asked that was never said: nobody knows who belongs there.
    #[must_use]
    pub fn unread(&self, asks: &Asks) -> BTreeSet<LaneKey> {
        let groups = asks.groups.keys().filter(|key| !self.groups.contains_key(key)).map(|(lane, _)| lane);
        let names = asks.users.iter().filter(|key| !self.users.contains_key(key)).map(|(lane, _)| lane);
        groups.chain(names).cloned().collect()
    }
}

/// What a config asks of the directories.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Asks {
    /// Groups whose members are wanted, each with the name of the first `[[group]]` that wants them.
    pub groups: BTreeMap<(LaneKey, Guid), Arc<str>>,
    /// User principal names, in lower case.
    pub users: BTreeSet<(LaneKey, Box<str>)>,
}

impl Asks {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.users.is_empty()
    }
}

/// Who is meant by an id in a config.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Who {
    /// Whose object id it is.
    Id(UserId),
    /// Whose user principal name it is, as it is written.
    Named(Box<str>),
}

/// What is known while a config is admitted.
#[derive(Clone, Copy)]
pub(super) enum Known<'d> {
    /// Each user principal name is somebody's, always the same one's, and groups have no members. By that a config has the
    /// same hash whatever the directories say, and a name that comes twice is found without asking.
    Anyone,
    /// What the directories have said.
    Said(&'d Directory),
}

impl Known<'_> {
    pub(super) fn members(&self, lane: &LaneKey, group: Guid) -> Option<Arc<[Member]>> {
        match self {
            Self::Anyone => None,
            Self::Said(directory) => directory.groups.get(&(lane.clone(), group)).cloned(),
        }
    }

    pub(super) fn user(&self, lane: &LaneKey, name: &str) -> Option<UserId> {
        match self {
            Self::Anyone => {
                let digest = Sha256::digest(format!("user principal name {name}"));
                digest.first_chunk().map(|bytes| Guid::from_bytes(*bytes))
            }
            Self::Said(directory) => directory.users.get(&(lane.clone(), name.into())).copied().flatten(),
        }
    }
}

/// Whether a text can be a user principal name: something, an `@`, a domain. What it may hold Entra ID knows better.
pub(super) fn is_principal_name(text: &str) -> bool {
    /// In characters. Source: the page "Prepare for directory synchronization to Microsoft 365": 64 before the `@`, 48
    /// after it; guests' are longer.
    const MOST: usize = 256;
    let sound =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control());
    text.chars().count() <= MOST
        && !text.contains(['/', '\\', '?'])
        && text.rsplit_once('@').is_some_and(|(name, domain)| sound(name) && sound(domain))
}

/// How a user principal name is compared.
pub(super) fn folded(name: &str) -> Box<str> {
    name.to_lowercase().into()
}

impl Placed<Who> {
    /// The object id, where that is what is written.
    pub(super) fn as_id(&self) -> Option<Placed<UserId>> {
        match &self.value {
            Who::Id(value) => Some(Placed { value: *value, at: self.at }),
            Who::Named(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_directory_is_put_so_that_a_config_could_have_it() {
        let name = |text: &str| Member::new(Guid::default(), Some(text)).name;
        assert_eq!(name("  Anna\t Berg\u{7}\n").as_deref(), Some("Anna Berg"));
        assert_eq!(name(" \n"), None);
        assert_eq!(name(&"ä".repeat(300)).map(|name| name.chars().count()), Some(256));
    }

    #[test]
    fn what_has_a_name_and_a_domain_can_be_a_principal_name() {
        for good in
            ["anna@contoso.com", "anna_fabrikam.com#EXT#@contoso.onmicrosoft.com", "o'neil+x@contoso.com"]
        {
            assert!(is_principal_name(good), "{good}");
        }
        for bad in ["anna", "@contoso.com", "anna@", "anna berg@contoso.com", "anna@a/b", "a\u{7}@b.c"] {
            assert!(!is_principal_name(bad), "{bad}");
        }
    }
}
