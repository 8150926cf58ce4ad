//! Overrides and releases: what somebody wants of a user for a while, whatever the config says.
//!
//! An override belongs to a user and a *source*: the operator, or a call, a queue, a script with a name of its own. Of
//! several, the operator's holds, then the one of the highest priority, then the newest. Each ends by itself. A release
//! stands above all of them: nothing is held until it is taken back.
//!
//! Nothing here reads a clock or a disk: the driver owns it, and [`scribe`] keeps what it is told.

pub mod line;
pub mod scribe;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use self::line::Line;
use crate::keeper::id::{LaneKey, UserId};
use crate::keeper::{MonoTime, PresenceState};

/// How long an override may last: a second to a week.
pub const TTL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);
/// How long one lasts that does not say so.
pub const TTL_UNSAID: Duration = Duration::from_secs(8 * 3_600);
/// So many of one user: calls that are never ended must not grow without end.
const MOST_OF_ONE: usize = 64;
/// So many in all.
const MOST: usize = 200_000;

/// A user in a lane.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Whom {
    /// The lane.
    pub lane: LaneKey,
    /// The user.
    pub user: UserId,
}

/// Where an override comes from. The operator's is above all others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Source {
    /// A call, a queue, a script: 1 to 128 characters of its own choice, no control characters.
    Other(Arc<str>),
    /// `presenced set`.
    Operator,
}

impl Source {
    /// How the operator's source is called.
    pub const OPERATOR: &str = "operator";
    /// Longest name, in characters.
    const LONGEST: usize = 128;

    /// The source with this name; `None`: it cannot be one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if name == Self::OPERATOR {
            return Some(Self::Operator);
        }
        let legal = !name.trim().is_empty()
            && name.chars().count() <= Self::LONGEST
            && !name.contains(char::is_control);
        legal.then(|| Self::Other(name.into()))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Other(name) => name,
            Self::Operator => Self::OPERATOR,
        })
    }
}

/// Something that is wanted for a while.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    /// What is to be shown; `None`: no session of ours.
    pub state: Option<PresenceState>,
    /// When it ends.
    pub ends_at: MonoTime,
    /// The same in wall time, for people and for the disk.
    pub ends_wall: SystemTime,
    /// Higher ones hold.
    pub priority: i32,
    /// Who said so.
    pub by: Arc<str>,
    /// Why, in their words.
    pub reason: Option<Arc<str>>,
    /// Since when, in wall time: an override that is only prolonged keeps it.
    pub since: SystemTime,
    /// Newer ones are higher.
    order: u64,
}

/// What is put in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Put {
    /// What is to be shown; `None`: no session of ours.
    pub state: Option<PresenceState>,
    /// When it ends.
    pub ends_at: MonoTime,
    /// The same in wall time.
    pub ends_wall: SystemTime,
    /// Higher ones hold.
    pub priority: i32,
    /// Who says so.
    pub by: Arc<str>,
    /// Why.
    pub reason: Option<Arc<str>>,
    /// The wall time now.
    pub since: SystemTime,
}

/// Nothing is held for a user, or for anyone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// Who said so.
    pub by: Arc<str>,
    /// Why, in their words.
    pub reason: Option<Arc<str>>,
    /// Since when, in wall time.
    pub since: SystemTime,
}

/// What holds for a user instead of the plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule<'a> {
    /// Nothing is held.
    Released(&'a Release),
    /// This override.
    Override(&'a Source, &'a Override),
}

/// There are too many already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Full {
    /// Of this user.
    #[error("this user has {MOST_OF_ONE} overrides already: end those of calls that are over")]
    OfOne,
    /// In all.
    #[error("there are {MOST} overrides already")]
    InAll,
}

/// All that is in force.
#[derive(Debug, Default)]
pub struct Overrides {
    of: BTreeMap<Whom, BTreeMap<Source, Override>>,
    ends: BTreeSet<(MonoTime, Whom, Source)>,
    released: BTreeMap<Whom, Release>,
    all_released: Option<Release>,
    order: u64,
}

impl Overrides {
    /// Puts an override in force, in place of the one of the same source; returns that. One that only lasts longer than
    /// before stays as new, or old, as it was.
    ///
    /// # Errors
    /// When there are too many.
    pub fn put(&mut self, whom: Whom, source: Source, put: Put) -> Result<Option<Override>, Full> {
        let in_all = self.len();
        let of_one = self.of.entry(whom.clone()).or_default();
        let before = of_one.get(&source).cloned();
        let room = match &before {
            Some(_) => Ok(()),
            // Calls that are never ended must not lock the operator out.
            None if source == Source::Operator => Ok(()),
            None if of_one.len() >= MOST_OF_ONE => Err(Full::OfOne),
            None if in_all >= MOST => Err(Full::InAll),
            None => Ok(()),
        };
        if let Err(full) = room {
            if of_one.is_empty() {
                self.of.remove(&whom);
            }
            return Err(full);
        }
        let goes_on = before.as_ref().filter(|was| (was.state, was.priority) == (put.state, put.priority));
        let (order, since) = goes_on.map_or((self.order, put.since), |was| (was.order, was.since));
        self.order += 1;
        let Put { state, ends_at, ends_wall, priority, by, reason, .. } = put;
        let next = Override { state, ends_at, ends_wall, priority, by, reason, since, order };
        of_one.insert(source.clone(), next);
        if let Some(was) = &before {
            self.ends.remove(&(was.ends_at, whom.clone(), source.clone()));
        }
        self.ends.insert((ends_at, whom, source));
        Ok(before)
    }

    /// Ends an override; returns it.
    pub fn remove(&mut self, whom: &Whom, source: &Source) -> Option<Override> {
        let of_one = self.of.get_mut(whom)?;
        let was = of_one.remove(source)?;
        if of_one.is_empty() {
            self.of.remove(whom);
        }
        self.ends.remove(&(was.ends_at, whom.clone(), source.clone()));
        Some(was)
    }

    /// What holds for a user holds for them in another lane from now on; returns what is to be kept of that.
    pub fn move_to(&mut self, from: &Whom, to: &Whom) -> Vec<Line> {
        let mut lines = Vec::new();
        for (source, over) in self.of.remove(from).unwrap_or_default() {
            self.ends.remove(&(over.ends_at, from.clone(), source.clone()));
            self.ends.insert((over.ends_at, to.clone(), source.clone()));
            lines.push(Line::ended(from, &source));
            lines.push(Line::put(to, &source, &over));
            if let Some(other) = self.of.entry(to.clone()).or_default().insert(source.clone(), over.clone())
                && other.ends_at != over.ends_at
            {
                self.ends.remove(&(other.ends_at, to.clone(), source));
            }
        }
        if let Some(release) = self.released.remove(from) {
            lines.push(Line::resumed(Some(from), release.since));
            lines.push(Line::released(Some(to), &release));
            self.released.entry(to.clone()).or_insert(release);
        }
        lines
    }

    /// All that is in force, as it is kept.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let overrides = self.iter().map(|(whom, source, over)| Line::put(whom, source, over));
        let released = self.released.iter().map(|(whom, release)| Line::released(Some(whom), release));
        let all = self.all_released.iter().map(|release| Line::released(None, release));
        overrides.chain(released).chain(all).collect()
    }

    /// Ends the override whose time is over first, if it is over; returns it.
    pub fn expire(&mut self, now: MonoTime) -> Option<(Whom, Source, Override)> {
        let (_, whom, source) = self.ends.first().filter(|(at, ..)| *at <= now)?.clone();
        let was = self.remove(&whom, &source)?;
        Some((whom, source, was))
    }

    /// When the next one ends; [`MonoTime::FAR`]: there is none.
    #[must_use]
    pub fn next_end(&self) -> MonoTime {
        self.ends.first().map_or(MonoTime::FAR, |(at, ..)| *at)
    }

    /// Nothing is held for this user from now on; returns whether that is new.
    pub fn release(&mut self, whom: Whom, release: Release) -> bool {
        let new = !self.released.contains_key(&whom);
        self.released.entry(whom).or_insert(release);
        new
    }

    /// Nothing is held for anyone from now on; returns whether that is new.
    pub fn release_all(&mut self, release: Release) -> bool {
        let new = self.all_released.is_none();
        self.all_released.get_or_insert(release);
        new
    }

    /// Takes the release of a user back; returns whether there was one.
    pub fn resume(&mut self, whom: &Whom) -> bool {
        self.released.remove(whom).is_some()
    }

    /// Takes all releases back; returns whose, and whether all were released.
    pub fn resume_all(&mut self) -> (Vec<Whom>, bool) {
        let users = std::mem::take(&mut self.released).into_keys().collect();
        (users, self.all_released.take().is_some())
    }

    /// The release of all, if there is one.
    #[must_use]
    pub fn all_released(&self) -> Option<&Release> {
        self.all_released.as_ref()
    }

    /// What holds for a user; `None`: what the plan says.
    #[must_use]
    pub fn rule(&self, whom: &Whom) -> Option<Rule<'_>> {
        if let Some(release) = self.all_released.as_ref().or_else(|| self.released.get(whom)) {
            return Some(Rule::Released(release));
        }
        let strongest =
            |(source, over): &(&Source, &Override)| (**source == Source::Operator, over.priority, over.order);
        let of_one = self.of.get(whom)?;
        of_one.iter().max_by_key(strongest).map(|(source, over)| Rule::Override(source, over))
    }

    /// The overrides of a user, in the order of their sources.
    pub fn of(&self, whom: &Whom) -> impl Iterator<Item = (&Source, &Override)> {
        self.of.get(whom).into_iter().flatten()
    }

    /// All overrides, by user.
    pub fn iter(&self) -> impl Iterator<Item = (&Whom, &Source, &Override)> {
        self.of.iter().flat_map(|(whom, of)| of.iter().map(move |(source, over)| (whom, source, over)))
    }

    /// The users that are released one by one.
    pub fn released(&self) -> impl Iterator<Item = (&Whom, &Release)> {
        self.released.iter()
    }

    /// Everyone that something else holds for than the plan, once; not those that only the release of all concerns.
    pub fn whom(&self) -> BTreeSet<&Whom> {
        self.of.keys().chain(self.released.keys()).collect()
    }

    /// How many overrides are in force.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}
