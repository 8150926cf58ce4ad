//! From one plan to the next: the first one, and reloads, one at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Driver, Files, Said};
use crate::config::settings::ConfigHash;
use crate::daemon::archive;
use crate::daemon::audit::{Action, Record};
use crate::daemon::figures::LastReload;
use crate::daemon::logging::{self, AskedBy, InForce, People};
use crate::daemon::outlook::Outlook;
use crate::daemon::reload::{Prepared, Refused};
use crate::daemon::signals::Origin;
use crate::keeper::diff::Counts;
use crate::keeper::{Input, MonoTime};

/// A look at the file that somebody wants.
#[derive(Debug, Default)]
pub struct ReloadAsk {
    /// Which process asks, where that is known.
    pub by: Option<Origin>,
    /// Who asks, for the history.
    pub who: Option<Arc<str>>,
    /// Whether removals that would wait are meant.
    pub accept_shrink: bool,
    /// Whether the files are left alone: the config in force is read again, with what the directories say by now.
    pub again: bool,
    /// Who waits to hear of it.
    pub to: Option<oneshot::Sender<Reloaded>>,
}

/// What came of a look at the file.
#[derive(Clone, Debug)]
pub enum Reloaded {
    /// It is in force.
    Taken {
        /// The config in force.
        config: ConfigHash,
        /// The one before it.
        previous: ConfigHash,
        /// How much it changed.
        counts: Counts,
        /// What it changed: the first changes, in words.
        changes: Arc<[String]>,
        /// How many sessions it has.
        sessions: usize,
        /// Removals that wait to be accepted.
        held: usize,
        /// How many warnings there are, and the first.
        warnings: Option<(usize, String)>,
        /// How long the sets of it take.
        sets_take: Duration,
    },
    /// It is not: what was in force stays so.
    Refused {
        /// The config in force.
        kept: ConfigHash,
        /// Why.
        refused: Refused,
    },
}

/// Whoever waits for the same look at the file.
#[derive(Default)]
pub(super) struct Asks {
    by: Option<Origin>,
    who: Option<Arc<str>>,
    accept_shrink: bool,
    /// Nobody wants the files read.
    again: bool,
    to: Vec<oneshot::Sender<Reloaded>>,
}

impl Asks {
    fn of(asks: Vec<ReloadAsk>) -> Self {
        let mut all = Self { again: asks.iter().all(|ask| ask.again), ..Self::default() };
        for ask in asks {
            all.by = all.by.or(ask.by);
            all.who = match (all.who.take(), ask.who) {
                (Some(one), Some(other)) if one != other => Some(format!("{one}, {other}").into()),
                (one, other) => one.or(other),
            };
            all.accept_shrink |= ask.accept_shrink;
            all.to.extend(ask.to);
        }
        all
    }

    /// Who it was, for the history.
    fn name(&self) -> String {
        match (&self.who, self.by) {
            (Some(who), _) => who.to_string(),
            (None, Some(Origin { pid, uid })) => format!("signal of uid {uid} (pid {pid})"),
            (None, None) => "presenced".to_owned(),
        }
    }

    /// Who it was, for the log: a process by its number, whatever else by its name.
    fn by(&self) -> AskedBy<'_> {
        AskedBy { process: self.by, name: self.who.as_deref().filter(|_| self.by.is_none()) }
    }

    fn answer(self, reloaded: &Reloaded) {
        for to in self.to {
            // Whoever asked may have gone.
            let _ = to.send(reloaded.clone());
        }
    }
}

/// Where the driver is between two plans.
pub(super) enum Stage {
    /// One plan is in force, and no other in sight.
    Quiet,
    /// The file is being read.
    Preparing { asks: Asks, since: MonoTime },
    /// The keeper takes the next plan.
    Applying { from: From, since: MonoTime, files: Files, outlook: Outlook },
}

/// Where a plan comes from.
pub(super) enum From {
    Start { restored: usize },
    Reload { previous: ConfigHash, warnings: Option<(usize, String)>, changes: Arc<[String]>, asks: Asks },
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
        if self.steering.overrides.all_released().is_some() {
            self.feed(Input::Release { all: true }, &Said::default());
        }
        if !restored.is_empty() {
            self.feed(Input::Restore(restored), &Said::default());
            self.lay_restored();
        }
        self.apply(*first, From::Start { restored: sessions }, since);
    }

    /// Reads the file, or remembers to do so after the reload that is under way.
    pub(super) fn reload(&mut self, ask: ReloadAsk) {
        let Stage::Quiet = self.stage else {
            self.wanted.push(ask);
            return;
        };
        self.reload_for(Asks::of(vec![ask]));
    }

    fn reload_for(&mut self, asks: Asks) {
        if self.ending.is_some() {
            return self.refuse(Refused::because("the daemon is stopping"), asks);
        }
        let Some(config) = self.config.clone() else {
            return self.refuse(Refused::because("this daemon was not started from a file"), asks);
        };
        let (accept_shrink, again) = (asks.accept_shrink, asks.again);
        if !again {
            self.systemd.reloading();
        }
        let mut book = Arc::clone(&self.book);
        self.stage = Stage::Preparing { asks, since: self.clock.now() };
        let in_force = self.accepted.clone();
        let clock = self.clock.clone();
        self.preparing.spawn_blocking(move || {
            if accept_shrink {
                Arc::make_mut(&mut book).accept();
            }
            let known = book.known();
            if again {
                config.prepare_again(&in_force, &clock, &known)
            } else {
                config.prepare(&in_force, &clock, accept_shrink, &known)
            }
        });
    }

    /// The file is read: takes it, or says why not.
    pub(super) fn prepared(&mut self, result: Result<Prepared, Refused>) {
        let Stage::Preparing { asks, since } = std::mem::replace(&mut self.stage, Stage::Quiet) else {
            return;
        };
        if self.ending.is_some() {
            return self.refuse(Refused::because("the daemon is stopping"), asks);
        }
        match result {
            Err(refused) => {
                self.trouble.refused |= !asks.again;
                self.refuse(refused, asks);
                self.settle();
            }
            Ok(mut next) => {
                if asks.accept_shrink {
                    self.accept_members();
                }
                let previous = self.accepted.settings.hash;
                let warnings = next.warnings.clone();
                let changes = Arc::clone(&next.changes);
                let ways = std::mem::take(&mut next.ways);
                for lane in self.lanes.take(&next.next.settings, ways) {
                    logging::credential_changed(&self.lanes.name(lane));
                    self.feed(Input::CredentialChanged { lane }, &Said::default());
                }
                self.apply(next, From::Reload { previous, warnings, changes, asks }, since);
                self.check_credentials();
            }
        }
    }

    /// Gives the keeper the next plan. [`Driver::in_force`] follows when it has taken all of it.
    fn apply(&mut self, next: Prepared, from: From, since: MonoTime) {
        let Prepared { next, diff, held, ways: _, sources, warnings, outlook, changes: _ } = next;
        for held in &held {
            logging::removals_held(held);
        }
        if let Some((count, first)) = &warnings {
            logging::config_warnings(*count, first);
        }
        self.trouble.held = held.iter().map(|held| held.removed).sum();
        let again = matches!(&from, From::Reload { asks, .. } if asks.again);
        // The files were not looked at: what is wrong with them still is.
        if !again {
            self.trouble.refused = false;
            if matches!(from, From::Reload { .. }) {
                self.trouble.last_good = None;
            }
        }
        // At once with the troubles that it ends: figures may be read before the keeper has taken all of it.
        if self.trouble.last_good.is_none() && !again {
            self.last_taken = Some(self.clock.wall());
        }
        // With a million users, freeing what was in force takes a while, too.
        let old = std::mem::replace(&mut self.accepted, next);
        self.writing.spawn_blocking(move || drop(old));
        let files = (self.trouble.last_good.is_none() && !again).then_some(sources);
        self.people = People::new(Arc::clone(&self.accepted.settings));
        for crowded in &outlook.crowded {
            logging::quota_exceeded(crowded, &self.people);
        }
        self.tidy_book();
        self.follow_plan();
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
            From::Reload { previous, warnings, changes, asks } => {
                if previous == config && counts == Counts::default() {
                    logging::reload_unchanged(config, took, asks.by());
                } else {
                    logging::reloaded(
                        &plan,
                        previous,
                        warnings.as_ref().map_or(0, |(count, _)| *count),
                        asks.by(),
                    );
                }
                self.taken(&plan, previous, warnings, changes, asks);
            }
        }
        self.follow_rotas();
        self.lay_all();
        if files.is_some() {
            self.to_archive = files;
            self.archive();
        }
        self.check_ends();
        self.settle();
    }

    /// A reload is in force: whoever asked for it hears so, and the history.
    fn taken(
        &mut self,
        plan: &InForce,
        previous: ConfigHash,
        warnings: Option<(usize, String)>,
        changes: Arc<[String]>,
        asks: Asks,
    ) {
        let counts = plan.counts;
        if !asks.again {
            self.last_reload = Some(LastReload { at: self.clock.wall(), refused: None });
        }
        let what = format!("{} added, {} changed, {} removed", counts.added, counts.changed, counts.removed);
        let record = Record {
            before: Some(previous.to_string()),
            after: Some(what),
            ..self.record(Action::Reload, &asks.name(), None, None)
        };
        // Nobody waits for it to be written.
        let _ = self.keep(None, Some(record));
        asks.answer(&Reloaded::Taken {
            config: plan.config,
            previous,
            counts,
            changes,
            sessions: plan.outlook.sessions,
            held: self.trouble.held,
            warnings,
            sets_take: plan.outlook.sets_take,
        });
    }

    fn refuse(&mut self, refused: Refused, asks: Asks) {
        let kept = self.accepted.settings.hash;
        logging::reload_refused(kept, refused.problems, &refused.first, asks.by());
        self.last_reload = Some(LastReload { at: self.clock.wall(), refused: Some(refused.first.clone()) });
        let record = Record {
            after: Some(refused.first.clone()),
            ..self.record(Action::ReloadRefused, &asks.name(), None, None)
        };
        // Nobody waits for it to be written.
        let _ = self.keep(None, Some(record));
        asks.answer(&Reloaded::Refused { kept, refused });
    }

    /// A plan is in force, or refused: that is the end of a start or of a reload.
    fn settle(&mut self) {
        if self.ending.is_none() {
            self.systemd.ready();
        }
        if !self.wanted.is_empty() {
            let asks = Asks::of(std::mem::take(&mut self.wanted));
            self.reload_for(asks);
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
