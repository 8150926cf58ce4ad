//! Looks at the credentials: whether one is another now, and when it ends.

use std::sync::Arc;

use tokio::task::JoinError;

use super::looks::{For, Place};
use super::{CredentialLook, Driver, Said};
use crate::daemon::logging;
use crate::daemon::token::TokenSource;
use crate::daemon::token::expiry::End;
use crate::keeper::id::{LaneIx, LaneKey};
use crate::keeper::{Input, MonoTime};

/// Looks that are taken in one turn, so that time and commands have theirs.
const LOOKS_A_TURN: usize = 256;

impl Driver {
    /// Looks whether a credential is another, on threads: a disk that hangs must hang neither the loop nor the looks at
    /// other credentials.
    pub(super) fn check_credentials(&mut self) {
        if self.ending.is_some() {
            return;
        }
        self.looks.forget(For::Change);
        for (lane, source) in self.lanes.sources() {
            self.looks.want(place(lane, &source), For::Change, move || CredentialLook::Credential {
                lane,
                credential: source.fingerprint(),
                source,
            });
        }
        self.looks.begin(self.clock.now());
    }

    /// Looks when credentials end, in the same way.
    pub(super) fn check_ends(&mut self) {
        if self.ending.is_some() {
            return;
        }
        self.looks.forget(For::End);
        for (lane, key, app, source) in self.lanes.fetching() {
            self.looks.want(place(lane, &source), For::End, move || CredentialLook::End {
                key,
                end: End::of(&app, &source),
                name: app.name,
            });
        }
        self.looks.begin(self.clock.now());
    }

    /// A look has come back, and maybe others.
    pub(super) fn looks_came_back(&mut self, first: Result<CredentialLook, JoinError>) {
        let mut next = Some(first);
        for _ in 0..LOOKS_A_TURN {
            match next {
                Some(Ok(CredentialLook::Credential { lane, source, credential })) => {
                    if self.lanes.looked_at(lane, &source, credential) {
                        logging::credential_changed(&self.lanes.name(lane));
                        self.look_at_date(lane);
                        self.feed(Input::CredentialChanged { lane }, &Said::default());
                    }
                }
                Some(Ok(CredentialLook::End { key, name, end })) => self.ends(&key, &name, end),
                Some(Err(_)) => logging::task_panicked("look at a credential"),
                None => break,
            }
            self.looks.begin(self.clock.now());
            next = self.looks.try_next();
        }
    }

    /// Says what is near.
    fn ends(&mut self, key: &LaneKey, name: &str, end: Option<End>) {
        self.ends_told.know(key, end);
        let Some(end) = end else { return };
        if let Some(notice) = self.ends_told.due(key, end, self.clock.wall()) {
            logging::credential_expiring(name, end, notice);
        }
    }

    /// Says whose credential cannot be looked at.
    pub(super) fn tell_hanging(&mut self, now: MonoTime) {
        for lane in self.looks.begun_to_hang(now, self.clock.speed()) {
            logging::credential_hangs(&self.lanes.name(lane));
        }
        // Whoever hangs has made room.
        self.looks.begin(now);
    }

    /// Says so when a secret was renewed and the end that the config tells of it was not.
    pub(super) fn look_at_date(&mut self, lane: LaneIx) {
        if let Some(date) = self.lanes.outdated(lane) {
            logging::secret_expires_outdated(&self.lanes.name(lane), date);
        }
    }
}

fn place(lane: LaneIx, source: &Arc<TokenSource>) -> Place {
    Place { lane, source: Arc::as_ptr(source).addr() }
}
