//! Reading what an app asks of its directory: one page of each group, and whose its first user principal names are.

use std::sync::Arc;

use super::READ_TIME;
use super::report::{Check, CheckName};
use super::users::{Reader, words};
use crate::config::directory::Asks;
use crate::daemon::directory::{FOR_GROUPS, FOR_NAMES, NO_GROUP};
use crate::daemon::graph::DirectoryRead;
use crate::keeper::id::{Guid, LaneKey};
use crate::keeper::{MonoTime, Outcome, Refusal};

/// So many names are looked up; the daemon looks up all of them.
const NAMES: usize = 20;
/// So many of those with something wrong are named.
const SHOWN: usize = 5;

/// What one app asks.
#[derive(Debug, Default)]
pub(super) struct Asked {
    groups: Vec<(Guid, Arc<str>)>,
    names: Vec<Box<str>>,
}

impl Asked {
    pub(super) fn of(asks: &Asks, lane: &LaneKey) -> Self {
        let groups = asks.groups.iter().filter(|((of, _), _)| of == lane);
        let names = asks.users.iter().filter(|(of, _)| of == lane);
        Self {
            groups: groups.map(|((_, id), name)| (*id, Arc::clone(name))).collect(),
            names: names.map(|(_, name)| name.clone()).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.names.is_empty()
    }

    /// Reads it, at most once a second. What Graph does not allow is asked once.
    pub(super) async fn check(&self, reader: &Reader<'_>) -> Check {
        let mut next = reader.clock.now();
        let mut wrong = Vec::new();
        let mut advice: Vec<String> = Vec::new();
        let mut blame = |what: String, how: &str| {
            wrong.push(what);
            if !advice.iter().any(|said| said == how) {
                advice.push(how.to_owned());
            }
        };
        for (id, name) in &self.groups {
            match read(reader, &mut next, DirectoryRead::Members(*id)).await {
                Ok(()) => {}
                Err(Wrong::Missing) => blame(format!("there is no group {id} (@{name})"), NO_GROUP),
                Err(Wrong::Forbidden) => {
                    blame("groups may not be read".to_owned(), FOR_GROUPS);
                    break;
                }
                Err(Wrong::Other(what, how)) => blame(format!("@{name} is not read: {what}"), &how),
            }
        }
        for name in self.names.iter().take(NAMES) {
            match read(reader, &mut next, DirectoryRead::User(name.clone())).await {
                Ok(()) => {}
                Err(Wrong::Missing) => {
                    const HOW: &str = "check the name: it is the user principal name, which may differ from the mail address";
                    blame(format!("{name} is nobody's user principal name"), HOW);
                }
                Err(Wrong::Forbidden) => {
                    blame("user principal names may not be looked up".to_owned(), FOR_NAMES);
                    break;
                }
                Err(Wrong::Other(what, how)) => {
                    blame(format!("{name} is not looked up: {what}"), &how);
                    break;
                }
            }
        }
        if wrong.is_empty() {
            return Check::ok(CheckName::Groups, self.summary());
        }
        let more = wrong.len().saturating_sub(SHOWN);
        wrong.truncate(SHOWN);
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        Check::failed(CheckName::Groups, format!("{}{more}", wrong.join("; ")), advice.join("; "))
    }

    fn summary(&self) -> String {
        let (groups, names) = (self.groups.len(), self.names.len());
        let mut parts = Vec::new();
        match groups {
            0 => {}
            1 => parts.push("one group can be read".to_owned()),
            _ => parts.push(format!("{groups} groups can be read")),
        }
        match names {
            0 => {}
            1 => parts.push("the user principal name is somebody's".to_owned()),
            2..=NAMES => parts.push(format!("{names} user principal names are somebody's")),
            _ => parts.push(format!("of {names} user principal names the first {NAMES} are somebody's")),
        }
        parts.join(", ")
    }
}

/// What is wrong with a read.
enum Wrong {
    Missing,
    Forbidden,
    /// What, and what to do.
    Other(String, String),
}

async fn read(reader: &Reader<'_>, next: &mut MonoTime, what: DirectoryRead) -> Result<(), Wrong> {
    let read = reader
        .patiently(next, async |wall| reader.graph.directory(&what, reader.token, READ_TIME, wall).await)
        .await;
    match read {
        Ok(_) => Ok(()),
        Err(answer) => Err(match answer.outcome {
            Outcome::Refused(Refusal::NotFound) => Wrong::Missing,
            Outcome::Refused(Refusal::Forbidden) => Wrong::Forbidden,
            _ => {
                let (what, how) = words(&answer);
                Wrong::Other(what, how)
            }
        }),
    }
}
