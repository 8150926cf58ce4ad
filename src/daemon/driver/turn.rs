//! The loop: waits for the next thing to happen, and tells the keeper.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError};

use super::{Command, Driver, Ended, Fetched, Said, plans};
use crate::daemon::clock::Clock;
use crate::daemon::figures::{Figures, Released, Stage};
use crate::daemon::logging::{self, Summary};
use crate::daemon::reload::Refused;
use crate::keeper::{Input, MonoTime, TokenAnswer, TokenFailure};

/// Figures are published, and the status line renewed, once in this time of the world.
const TICK: Duration = Duration::from_secs(1);
/// Answers that are taken in one turn, so that time and commands have theirs.
const ANSWERS_A_TURN: usize = 256;

impl Driver {
    /// Keeps sessions until it is told to stop.
    pub(super) async fn run(mut self) -> Ended {
        self.begin();
        while !self.is_over() {
            self.turn().await;
            self.catch_up();
        }
        self.end().await
    }

    async fn turn(&mut self) {
        let until = self.next_wake();
        tokio::select! {
            biased;
            // What is rare comes first: answers never end on a busy day.
            Some(command) = self.inbox.recv() => self.command(command),
            Some(done) = self.fetches.join_next_with_id() => self.fetched(done),
            Some(done) = self.sends.join_next_with_id() => {
                let mut answers = self.answered(done);
                while answers < ANSWERS_A_TURN {
                    let Some(done) = self.sends.try_join_next_with_id() else { break };
                    answers += self.answered(done);
                }
            }
            Some(done) = self.reads.join_next_with_id() => self.was_read(done),
            Some(done) = self.preparing.join_next() => {
                let bug = |_| Err(Refused::because("reading the config panicked: this is a bug"));
                self.prepared(done.unwrap_or_else(bug));
            }
            Some(done) = self.looks.next() => self.looks_came_back(done),
            Some(done) = self.archiving.join_next() => self.archived(done.is_err()),
            Some(done) = self.filing.join_next() => self.filed(done.is_err()),
            // Before the end only a panic ends the ledger's thread.
            Some(Err(_)) = self.writing.join_next() => logging::task_panicked("ledger"),
            () = pause(&self.clock, until) => {}
        }
    }

    /// What is due by now, and what waits for nothing.
    fn catch_up(&mut self) {
        if self.clock.now() >= self.wake {
            self.feed(Input::Wake, &Said::default());
        }
        self.edges_due();
        self.lay_due();
        self.send_due();
        while let Some((input, said)) = self.backlog.pop_front() {
            self.feed(input, &said);
            self.send_due();
        }
        if let Some(counts) = self.applied.take() {
            self.in_force(counts);
        }
        let now = self.clock.now();
        if now >= self.tick {
            self.tick = now + TICK.saturating_mul(self.clock.speed());
            self.mind_wall_clock();
            self.publish();
            self.note_late(now);
            self.gather.count(now, self.clock.speed());
            self.tell_hanging(now);
        }
        // The keeper was served just now: that is what the watchdog wants to know.
        if now >= self.watchdog
            && let Some(interval) = self.systemd.watchdog_interval()
        {
            self.watchdog = now + interval.saturating_mul(self.clock.speed());
            self.systemd.watchdog();
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.flush();
        }
    }

    fn next_wake(&self) -> MonoTime {
        let watchdog = if self.systemd.watchdog_interval().is_some() { self.watchdog } else { MonoTime::FAR };
        let end = self.ending.as_ref().map_or(MonoTime::FAR, |ending| ending.deadline);
        let lay = if self.has_to_lay() { MonoTime::ZERO } else { self.steering.overrides.next_end() };
        let edge = self.next_edge();
        self.wake.min(self.gather.due()).min(self.tick).min(watchdog).min(end).min(lay).min(edge)
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Reload(ask) => self.reload(ask),
            // Whoever asked may have gone: what is below is then told to nobody.
            Command::Steer { what, by, to } => {
                let steered = self.steer(what, &by);
                let _ = to.send(steered);
            }
            Command::SteerGroup { what, group, by, to } => {
                let steered = self.steer_group(what, group, &by);
                let _ = to.send(steered);
            }
            Command::Look { whom, to } => {
                let _ = to.send(whom.into_iter().map(|whom| self.look(whom)).collect());
            }
            Command::Read { whom, to } => self.read(&whom, to),
            Command::Directory { lane, what, to } => self.read_directory(&lane, what, to),
            Command::Learn(learned) => self.learn(learned),
            Command::Worst { limit, app, to } => {
                let _ = to.send((self.figures(), self.look_at_worst(limit, app.as_deref())));
            }
            Command::Tempo { to } => {
                let _ = to.send(self.tempo.at(self.clock.now()));
            }
            Command::Overrides { limit, to } => {
                let _ = to.send(self.look_at_overrides(limit));
            }
            Command::RenewAll { by } => {
                logging::renew_all(by);
                self.feed(Input::RenewAll, &Said::default());
            }
            Command::Stop { by } => self.stop(by),
            Command::Sweep => {
                self.last_sweep = Some(self.clock.wall());
                self.sweep_edges();
                self.feed(Input::Wake, &Said::default());
                self.keep_again();
            }
            Command::Summary => self.summarise(),
            Command::CheckCredentials => self.check_credentials(),
            Command::CheckEnds => self.check_ends(),
            Command::Sessions { query, to } => {
                let _ = to.send(self.keeper.sessions(query));
            }
        }
    }

    fn fetched(&mut self, done: Result<(Id, Fetched), JoinError>) {
        let failed = TokenAnswer::Failed { failure: TokenFailure::Unreachable, retry_after: None };
        match done {
            Ok((task, Fetched { lane, generation, credential, reply })) => {
                self.fetching.remove(&task);
                // The keeper must not count on a token that is not there.
                let missing = reply.token.is_none() && matches!(reply.answer, TokenAnswer::Granted { .. });
                let answer = if missing { failed } else { reply.answer };
                self.lanes.fetched(lane, credential, answer, reply.token.map(|token| (generation, token)));
                self.remember(lane, reply.unwritten);
                self.look_at_date(lane);
                self.feed(Input::Token { lane, answer }, &Said { answer: None, token: reply.detail });
            }
            Err(error) => {
                logging::task_panicked("token request");
                if let Some(lane) = self.fetching.remove(&error.id()) {
                    self.feed(Input::Token { lane, answer: failed }, &Said::default());
                }
            }
        }
    }

    pub(super) fn figures(&mut self) -> Figures {
        let at = self.clock.now();
        let stage = match &self.stage {
            _ if self.ending.is_some() => Stage::Stopping,
            plans::Stage::Applying { from: plans::From::Start { .. }, .. } => Stage::Starting,
            plans::Stage::Applying { .. } | plans::Stage::Preparing { .. } => Stage::Reloading,
            plans::Stage::Quiet => Stage::Running,
        };
        let config = self.accepted.settings.hash;
        let overrides = &self.steering.overrides;
        let released = match (overrides.all_released(), overrides.released().count()) {
            (Some(_), _) => Some(Released::All),
            (None, 0) => None,
            (None, users) => Some(Released::Users(users)),
        };
        let snapshot = self.keeper.snapshot(at);
        Figures {
            at,
            stage,
            meters: self.meters.count(&snapshot, at),
            snapshot,
            config,
            trouble: self.trouble.clone(),
            wall: self.clock.wall(),
            started: self.started,
            accepted: self.accepted.clone(),
            last_reload: self.last_reload.clone(),
            last_taken: self.last_taken,
            last_sweep: self.last_sweep,
            directory: Arc::clone(&self.book),
            overrides: overrides.len(),
            released,
            ends: self.ends_told.ends(),
            troubles: Arc::clone(&self.troubles),
        }
    }

    pub(super) fn publish(&mut self) {
        let figures = self.figures();
        self.systemd.status(&figures);
        let before = self.publish.send_replace(Arc::new(figures));
        if !Arc::ptr_eq(&before.accepted.plan, &self.accepted.plan) {
            // The last to hold the config before this one, maybe: with a million users, freeing it takes a while.
            self.writing.spawn_blocking(move || drop(before));
        }
    }

    fn summarise(&mut self) {
        let figures = self.figures();
        let sum = figures.sum();
        let note = figures.trouble.note();
        let latency = std::mem::take(&mut self.latency);
        let before = std::mem::replace(&mut self.renewals, sum.renewals);
        logging::summary(&Summary {
            // A lane that is gone takes its counter along.
            renewals: sum.renewals.saturating_sub(before),
            p99: latency.p99(),
            note: note.as_deref(),
            ..sum
        });
    }
}

/// Returns at `until`, at once if that is now, but not before others had their turn on this thread.
async fn pause(clock: &Clock, until: MonoTime) {
    if until <= clock.now() {
        tokio::task::yield_now().await;
    } else {
        clock.sleep_until(until).await;
    }
}
