//! What is kept of overrides on disk: one JSON object a line, each saying what has changed.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Overrides, Put, Release, Source, Whom};
use crate::daemon::wall;
use crate::keeper::id::{LaneKey, UserId};
use crate::keeper::{MonoTime, PresenceState};

/// A change.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// An override is in force.
    Put(Kept),
    /// One is over.
    Ended(Ended),
    /// Nothing is held for a user.
    Released(Freed),
    /// Nothing is held for anyone.
    AllReleased(Freed),
    /// The release of a user is taken back.
    Resumed(Freed),
    /// All releases are taken back.
    AllResumed(Freed),
}

/// An override.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Kept {
    #[serde(flatten)]
    whom: Named,
    source: String,
    /// `Available/Available` and its like; absent: no session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    ends_at: String,
    #[serde(default)]
    priority: i32,
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    since: String,
}

/// Which override is over.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Ended {
    #[serde(flatten)]
    whom: Named,
    source: String,
}

/// Of a release, or its end.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Freed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whom: Option<Named>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    since: String,
}

/// A user in a lane.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Debug)]
struct Named {
    graph: String,
    tenant: String,
    client_id: String,
    user: String,
}

/// What a line is about: of two lines about the same, the later one counts.
pub(super) type About = Option<(Vec<String>, Option<String>)>;

impl Line {
    /// An override as it is in force.
    pub(crate) fn put(whom: &Whom, source: &Source, over: &super::Override) -> Self {
        Self::Put(Kept {
            whom: Named::of(whom),
            source: source.to_string(),
            state: over.state.map(|state| state.to_string()),
            ends_at: wall::text(over.ends_wall),
            priority: over.priority,
            by: over.by.to_string(),
            reason: over.reason.as_ref().map(ToString::to_string),
            since: wall::text(over.since),
        })
    }

    /// An override that is over.
    pub(crate) fn ended(whom: &Whom, source: &Source) -> Self {
        Self::Ended(Ended { whom: Named::of(whom), source: source.to_string() })
    }

    /// A release; without `whom`, of all.
    pub(crate) fn released(whom: Option<&Whom>, release: &Release) -> Self {
        let freed = Freed {
            whom: whom.map(Named::of),
            by: release.by.to_string(),
            reason: release.reason.as_ref().map(ToString::to_string),
            since: wall::text(release.since),
        };
        if whom.is_some() { Self::Released(freed) } else { Self::AllReleased(freed) }
    }

    /// A release that is taken back; without `whom`, all of them.
    pub(crate) fn resumed(whom: Option<&Whom>, at: SystemTime) -> Self {
        let freed =
            Freed { whom: whom.map(Named::of), by: String::new(), reason: None, since: wall::text(at) };
        if whom.is_some() { Self::Resumed(freed) } else { Self::AllResumed(freed) }
    }

    /// What it is about; `None`: everything before it.
    pub(super) fn about(&self) -> About {
        let of = |named: &Named| {
            vec![named.graph.clone(), named.tenant.clone(), named.client_id.clone(), named.user.clone()]
        };
        match self {
            Self::Put(kept) => Some((of(&kept.whom), Some(kept.source.clone()))),
            Self::Ended(ended) => Some((of(&ended.whom), Some(ended.source.clone()))),
            Self::Released(freed) | Self::Resumed(freed) => {
                Some((freed.whom.as_ref().map(of).unwrap_or_default(), None))
            }
            Self::AllReleased(_) => Some((Vec::new(), None)),
            Self::AllResumed(_) => None,
        }
    }

    /// Since when it holds.
    pub(super) fn since(&self) -> &str {
        match self {
            Self::Put(kept) => &kept.since,
            Self::Released(freed)
            | Self::AllReleased(freed)
            | Self::Resumed(freed)
            | Self::AllResumed(freed) => &freed.since,
            Self::Ended(_) => "",
        }
    }

    /// Whether it is an override whose time is over.
    pub(super) fn is_over(&self, wall: SystemTime) -> bool {
        matches!(self, Self::Put(kept) if wall::parse(&kept.ends_at).is_none_or(|end| end <= wall))
    }

    /// Whether something holds by it.
    pub(super) fn holds(&self) -> bool {
        matches!(self, Self::Put(_) | Self::Released(_) | Self::AllReleased(_))
    }

    /// Puts it in force, unless its time is over. Returns whether it could be read.
    pub(super) fn apply(&self, overrides: &mut Overrides, wall: SystemTime, now: MonoTime) -> bool {
        match self {
            Self::Put(kept) => kept.apply(overrides, wall, now).is_some(),
            Self::Released(freed) => freed
                .whom
                .as_ref()
                .and_then(Named::read)
                .zip(freed.release())
                .map(|(whom, release)| overrides.release(whom, release))
                .is_some(),
            Self::AllReleased(freed) => {
                freed.release().map(|release| overrides.release_all(release)).is_some()
            }
            Self::Ended(_) | Self::Resumed(_) | Self::AllResumed(_) => true,
        }
    }
}

impl Kept {
    fn apply(&self, overrides: &mut Overrides, wall: SystemTime, now: MonoTime) -> Option<()> {
        let whom = self.whom.read()?;
        let source = Source::named(&self.source)?;
        let state = match &self.state {
            None => None,
            Some(text) => Some(PresenceState::ALL.into_iter().find(|state| state.to_string() == *text)?),
        };
        let ends_wall = wall::parse(&self.ends_at)?;
        let left = ends_wall.duration_since(wall).unwrap_or(Duration::ZERO);
        if left.is_zero() {
            return Some(());
        }
        // A clock that was set back must not make it last for years.
        let left = left.min(*super::TTL.end());
        let put = Put {
            state,
            ends_at: now + left,
            ends_wall,
            priority: self.priority,
            by: self.by.as_str().into(),
            reason: self.reason.as_deref().map(Into::into),
            since: wall::parse(&self.since)?,
        };
        overrides.put(whom, source, put).ok().map(drop)
    }
}

impl Freed {
    fn release(&self) -> Option<Release> {
        Some(Release {
            by: self.by.as_str().into(),
            reason: self.reason.as_deref().map(Into::into),
            since: wall::parse(&self.since)?,
        })
    }
}

impl Named {
    fn of(whom: &Whom) -> Self {
        Self {
            graph: whom.lane.graph.to_string(),
            tenant: whom.lane.tenant.to_string(),
            client_id: whom.lane.client.to_string(),
            user: whom.user.to_string(),
        }
    }

    fn read(&self) -> Option<Whom> {
        let lane = LaneKey {
            graph: self.graph.as_str().into(),
            tenant: self.tenant.parse().ok()?,
            client: self.client_id.parse().ok()?,
        };
        Some(Whom { lane, user: self.user.parse::<UserId>().ok()? })
    }
}
