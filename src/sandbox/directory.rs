//! The users that were heard of, with their sessions. Every user exists; who was never named takes no room.

use std::collections::HashMap;

use uuid::Uuid;

use super::aggregate::aggregate;
use super::presence::{PreferredState, Shown};
use super::session::Session;
use crate::keeper::time::MonoTime;

/// One user of one tenant.
#[derive(Clone, Debug)]
pub struct User {
    /// The object id.
    pub id: Uuid,
    /// The tenant.
    pub tenant: Uuid,
    /// The sessions of apps, one for each lane at most, those on record included.
    pub sessions: Vec<Session>,
    /// What was injected or preferred; few have it.
    pub own: Option<Box<OwnState>>,
    /// Sets that were carried out, ever.
    pub sets: u32,
    /// Clears that ended a session, ever.
    pub clears: u32,
}

/// What comes from the user in person rather than from an app.
#[derive(Clone, Debug, Default)]
pub struct OwnState {
    /// The sessions of Teams clients.
    pub clients: Vec<Shown>,
    /// The preferred state and when it ends.
    pub preferred: Option<(PreferredState, MonoTime)>,
}

impl User {
    /// The pair that a reader is shown at `now`.
    #[must_use]
    pub fn shown(&self, now: MonoTime) -> Shown {
        let apps = self.sessions.iter().filter_map(|session| session.shown(now));
        let clients = self.own.iter().flat_map(|own| own.clients.iter().cloned());
        aggregate(clients.chain(apps), self.preferred(now).map(PreferredState::shown))
    }

    /// The preference in force at `now`.
    #[must_use]
    pub fn preferred(&self, now: MonoTime) -> Option<PreferredState> {
        let (state, until) = self.own.as_ref()?.preferred?;
        (now < until).then_some(state)
    }

    /// What comes from the user in person, to be changed.
    pub fn own_mut(&mut self) -> &mut OwnState {
        self.own.get_or_insert_default()
    }
}

/// All users, in the order in which they were first named.
#[derive(Debug, Default)]
pub struct Directory {
    users: Vec<User>,
    /// Only looked up, never walked: its order reaches nothing.
    index: HashMap<(Uuid, Uuid), usize>,
}

impl Directory {
    /// A user that was named before.
    #[must_use]
    pub fn get(&self, tenant: Uuid, id: Uuid) -> Option<&User> {
        self.index.get(&(tenant, id)).map(|at| &self.users[*at])
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, tenant: Uuid, id: Uuid) -> Option<&mut User> {
        self.index.get(&(tenant, id)).map(|at| &mut self.users[*at])
    }

    /// A user, entered when not named before.
    pub fn enter(&mut self, tenant: Uuid, id: Uuid) -> &mut User {
        let users = &mut self.users;
        let at = *self.index.entry((tenant, id)).or_insert_with(|| {
            users.push(User { id, tenant, sessions: Vec::new(), own: None, sets: 0, clears: 0 });
            users.len() - 1
        });
        &mut users[at]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.users.iter()
    }

    /// All of them, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut User> {
        self.users.iter_mut()
    }
}
