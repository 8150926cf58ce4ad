//! From one plan to the next: the first one, and reloads, one at a time.

use std::sync::Arc;

use super::{Driver, Files, Said};
use crate::config::settings::ConfigHash;
use crate::daemon::archive;
use crate::daemon::logging::{self, InForce, People};
use crate::daemon::outlook::Outlook;
use crate::daemon::reload::{Prepared, Refused};
use crate::daemon::signals::Origin;
use crate::keeper::diff::Counts;
use crate::keeper::{Input, MonoTime};

/// Where the driver is between two plans.
pub(super) enum Stage {
    /// One plan is in force, and no other in sight.
    Quiet,
    /// The file is being read.
    Preparing { by: Option<Origin>, since: MonoTime },
    /// The keeper takes the next plan.
    Applying { from: From, since: MonoTime, files: Files, outlook: Outlook },
}

/// Where a plan comes from.
pub(super) enum From {
    Start { restored: usize },
    Reload { previous: ConfigHash, warnings: usize, by: Option<Origin> },
}

impl Driver {
    /// Gives the keeper what was restored, and the first plan.
    pub(super) fn begin(&mut self) {
        let Some(mut first) = self.first.take() else { return };
        let since = self.clock.now();
        let restored = std::mem::take(&mut self.restored);
        let sessions = restored.iter().map(|lane| lane.sessions.len()).sum();
        // A lane that is restored opens at once: what it needs must be at hand.
        self.lanes.add(std::mem::take(&mut first.ways));
        if !restored.is_empty() {
            self.feed(Input::Restore(restored), &Said::default());
        }
        self.apply(*first, From::Start { restored: sessions }, since);
    }

    /// Reads the file, or remembers to do so after the reload that is under way.
    pub(super) fn reload(&mut self, by: Option<Origin>) {
        if self.ending.is_some() {
            let refused = Refused::because("the daemon is stopping");
            return self.refuse(&refused, by);
        }
        let Stage::Quiet = self.stage else {
            self.wanted = Some(by);
            return;
        };
        let Some(config) = self.config.clone() else {
            let refused = Refused::because("this daemon was not started from a file");
            return self.refuse(&refused, by);
        };
        self.systemd.reloading();
        self.stage = Stage::Preparing { by, since: self.clock.now() };
        let in_force = self.accepted.clone();
        self.preparing.spawn_blocking(move || config.prepare(&in_force));
    }

    /// The file is read: takes it, or says why not.
    pub(super) fn prepared(&mut self, result: Result<Prepared, Refused>) {
        let Stage::Preparing { by, since } = std::mem::replace(&mut self.stage, Stage::Quiet) else { return };
        if self.ending.is_some() {
            return self.refuse(&Refused::because("the daemon is stopping"), by);
        }
        match result {
            Err(refused) => {
                self.trouble.refused = true;
                self.refuse(&refused, by);
                self.settle();
            }
            Ok(mut next) => {
                let previous = self.accepted.settings.hash;
                let warnings = next.warnings.as_ref().map_or(0, |(count, _)| *count);
                let ways = std::mem::take(&mut next.ways);
                for lane in self.lanes.take(&next.next.settings, ways) {
                    logging::credential_changed(&self.lanes.name(lane));
                    self.feed(Input::CredentialChanged { lane }, &Said::default());
                }
                self.apply(next, From::Reload { previous, warnings, by }, since);
                self.check_credentials();
            }
        }
    }

    /// Gives the keeper the next plan. [`Driver::in_force`] follows when it has taken all of it.
    fn apply(&mut self, next: Prepared, from: From, since: MonoTime) {
        let Prepared { next, diff, held, ways: _, sources, warnings, outlook } = next;
        for held in &held {
            logging::removals_held(held);
        }
        if let Some((count, first)) = &warnings {
            logging::config_warnings(*count, first);
        }
        self.trouble.held = held.iter().map(|held| held.removed).sum();
        self.trouble.refused = false;
        if matches!(from, From::Reload { .. }) {
            self.trouble.last_good = None;
        }
        // With a million users, freeing what was in force takes a while, too.
        let old = std::mem::replace(&mut self.accepted, next);
        self.writing.spawn_blocking(move || drop(old));
        let files = self.trouble.last_good.is_none().then_some(sources);
        self.people = People::new(Arc::clone(&self.accepted.settings));
        for crowded in &outlook.crowded {
            logging::quota_exceeded(crowded, &self.people);
        }
        self.stage = Stage::Applying { from, since, files, outlook };
        self.chatter.plan(diff.counts());
        let on_remove = self.accepted.settings.daemon.on_remove;
        self.feed(Input::Plan { diff: Box::new(diff), on_remove }, &Said::default());
        self.feed(Input::Unpark, &Said::default());
    }

    /// The keeper has taken all of a plan: says so, archives its files, and turns to what waits.
    pub(super) fn in_force(&mut self, counts: Counts) {
        let stage = std::mem::replace(&mut self.stage, Stage::Quiet);
        let Stage::Applying { from, since, files, outlook } = stage else { return };
        let config = self.accepted.settings.hash;
        let took = self.clock.real_span(self.clock.now().since(since));
        let plan = InForce { config, outlook, counts, took };
        match from {
            From::Start { restored } => logging::started(&plan, restored),
            From::Reload { previous, by, .. } if previous == config && counts == Counts::default() => {
                logging::reload_unchanged(config, took, by);
            }
            From::Reload { previous, warnings, by } => logging::reloaded(&plan, previous, warnings, by),
        }
        if files.is_some() {
            self.to_archive = files;
            self.archive();
        }
        self.check_ends();
        self.settle();
    }

    fn refuse(&mut self, refused: &Refused, by: Option<Origin>) {
        logging::reload_refused(self.accepted.settings.hash, refused.problems, &refused.first, by);
    }

    /// A plan is in force, or refused: that is the end of a start or of a reload.
    fn settle(&mut self) {
        if self.ending.is_none() {
            self.systemd.ready();
        }
        if let Some(by) = self.wanted.take() {
            self.reload(by);
        }
        self.publish();
    }

    /// The archive was written, or its task panicked.
    pub(super) fn archived(&mut self, panicked: bool) {
        if panicked {
            logging::task_panicked("archive");
        }
        self.archive();
    }

    fn archive(&mut self) {
        let Some(kept) = self.kept.as_ref().filter(|_| self.archiving.is_empty()) else { return };
        if let Some(sources) = self.to_archive.take() {
            let (accepted, at) = (kept.accepted.clone(), self.clock.wall());
            self.archiving.spawn_blocking(move || {
                if let Err(error) = archive::keep(&accepted, &sources, at) {
                    logging::archive_failed(&error);
                }
            });
        }
    }
}
