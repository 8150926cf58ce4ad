//! What the directories say: taken, guarded, kept, and followed by a reload of the config in force.

use std::sync::Arc;

use super::{Driver, ReloadAsk};
use crate::config::directory::Asks;
use crate::config::settings::{LogUsers, Settings};
use crate::daemon::directory::{self, Book, Change, GroupKey, Learned, NameKey};
use crate::daemon::logging;
use crate::keeper::id::LaneKey;

impl Driver {
    /// Takes what was read. What it changes leads to a reload, of the config in force and not of the files.
    pub(super) fn learn(&mut self, learned: Vec<Learned>) {
        let (wall, max_removed) = (self.clock.wall(), self.accepted.settings.daemon.max_removed);
        let (mut follow, mut keep) = (false, false);
        for learned in learned {
            let what = match &learned {
                Learned::Members(group, _) => What::Group(group.clone()),
                Learned::Owner(name, _) => What::Name(name.clone()),
            };
            // Who asked for it has gone from the config meanwhile.
            if !what.is_asked(&self.accepted.asks) {
                continue;
            }
            let change = Arc::make_mut(&mut self.book).learn(learned, wall, max_removed);
            self.tell_change(&what, change);
            follow |= matches!(change, Change::Members { .. } | Change::Owner { .. });
            // When names were looked up is worth keeping: that is once a day.
            keep |= change != Change::None || matches!(what, What::Name(_));
        }
        if keep {
            self.keep_book();
        }
        self.trouble.note_book(&self.book);
        if follow {
            self.follow_directory();
        }
    }

    /// Reads the config in force again, with what the directories say by now.
    fn follow_directory(&mut self) {
        self.reload(ReloadAsk { again: true, who: Some("directory".into()), ..ReloadAsk::default() });
    }

    /// Removals that waited have been accepted, with a config.
    pub(super) fn accept_members(&mut self) {
        if self.book.held() == 0 {
            return;
        }
        for (group, change) in Arc::make_mut(&mut self.book).accept() {
            self.tell_change(&What::Group(group), change);
        }
        self.keep_book();
    }

    /// A config is in force that may ask for less than the one before it.
    pub(super) fn tidy_book(&mut self) {
        let asks = &self.accepted.asks;
        let idle = |book: &Book| {
            book.groups.keys().any(|key| !asks.groups.contains_key(key))
                || book.names.keys().any(|key| !asks.users.contains(key))
        };
        if idle(&self.book) {
            Arc::make_mut(&mut self.book).retain(asks);
            self.keep_book();
        }
        self.trouble.note_book(&self.book);
    }

    fn tell_change(&self, what: &What, change: Change) {
        let settings = &self.accepted.settings;
        match (what, change) {
            (What::Group(key), Change::Members { added, removed }) if added + removed > 0 => {
                let members = self.book.groups.get(key).map_or(0, |members| members.all.len());
                logging::group_changed(app(settings, &key.0), self.group(key), added, removed, members);
            }
            (What::Group(key), Change::Held { removed, of, known: false }) => {
                logging::group_held(app(settings, &key.0), self.group(key), removed, of);
            }
            (What::Name(key), Change::Owner { was, is }) => {
                let was = was.map(|was| self.people.show(was));
                let (app, name) = (app(settings, &key.0), shown_name(settings, key));
                logging::user_found(app, &name, &self.people.show(is), was.as_deref());
            }
            (What::Name(key), Change::Nobody { was }) => {
                let was = was.map(|was| self.people.show(was));
                logging::user_unknown(app(settings, &key.0), &shown_name(settings, key), was.as_deref());
            }
            _ => {}
        }
    }

    fn group(&self, key: &GroupKey) -> &str {
        self.accepted.asks.groups.get(key).map_or("", |name| name)
    }

    fn keep_book(&mut self) {
        self.to_file = Some(Arc::clone(&self.book));
        self.file_book();
    }

    /// The book was written, or its task panicked.
    pub(super) fn filed(&mut self, panicked: bool) {
        if panicked {
            logging::task_panicked("directory");
        }
        self.file_book();
    }

    fn file_book(&mut self) {
        let Some(kept) = self.kept.as_ref().filter(|_| self.filing.is_empty()) else { return };
        if let Some(book) = self.to_file.take() {
            let state = kept.state.clone();
            self.filing.spawn_blocking(move || {
                if let Err(error) = directory::keep(&state, &book) {
                    logging::directory_unkept(&error);
                }
            });
        }
    }
}

/// What was read.
enum What {
    Group(GroupKey),
    Name(NameKey),
}

impl What {
    fn is_asked(&self, asks: &Asks) -> bool {
        match self {
            Self::Group(key) => asks.groups.contains_key(key),
            Self::Name(key) => asks.users.contains(key),
        }
    }
}

fn app<'s>(settings: &'s Settings, lane: &LaneKey) -> &'s str {
    settings.apps.iter().find(|app| app.lane() == *lane).map_or("", |app| &*app.name)
}

/// A user principal name, unless people are to appear as hashes alone.
fn shown_name(settings: &Settings, (_, name): &NameKey) -> String {
    match settings.log_users {
        LogUsers::Id | LogUsers::Name => name.to_string(),
        LogUsers::Hash => logging::hashed(name.as_bytes()),
    }
}
