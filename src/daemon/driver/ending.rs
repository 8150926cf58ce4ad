//! The end: what is in flight is waited for, and what is to be cleared is, as long as the time allows.

use tokio::task::JoinSet;

use super::{Driver, Ended, Said};
use crate::config::settings::OnStop;
use crate::daemon::ledger::Queue;
use crate::daemon::logging;
use crate::daemon::signals::Origin;
use crate::keeper::id::{LaneIx, SessionIx};
use crate::keeper::snapshot::{Phase, Query};
use crate::keeper::{Input, MonoTime};

/// A daemon that is told to stop.
pub(super) struct Ending {
    since: MonoTime,
    /// When requests are given up.
    pub(super) deadline: MonoTime,
    /// When it must be gone.
    gone_by: MonoTime,
}

impl Driver {
    /// Starts the end. A second prompt changes nothing: the signal itself ends a process that is told twice.
    pub(super) fn stop(&mut self, by: Option<Origin>) {
        if self.ending.is_some() {
            return;
        }
        let since = self.clock.now();
        let within = self.accepted.settings.daemon.stop_timeout;
        let clear = self.accepted.settings.daemon.on_stop == OnStop::Clear;
        // The last tenth is for the ledger.
        let deadline = since + within / 10 * 9;
        self.ending = Some(Ending { since, deadline, gone_by: since + within });
        // Nobody who is kept waits for a read.
        self.reads.abort_all();
        self.systemd.stopping();
        logging::stopping(clear, within, by);
        self.feed(Input::Drain { clear }, &Said::default());
        self.publish();
    }

    /// Whether all that is waited for is done, or the time is over. A refresh token that is being used is waited for like a
    /// request: its answer may hold the only one that is good.
    pub(super) fn is_over(&self) -> bool {
        let now = self.clock.now();
        let redeems = || self.fetching.keys().any(|task| self.redeeming.contains(task));
        self.ending.as_ref().is_some_and(|ending| now >= ending.deadline || self.drained && !redeems())
    }

    /// Gives up what is still in flight, writes what is to be kept, and says how it went.
    pub(super) async fn end(mut self) -> Ended {
        let figures = self.figures();
        let unanswered = self.unanswered();
        self.sends.abort_all();
        self.fetches.abort_all();
        self.reads.abort_all();
        // Its thread ends once it has written what it was told.
        self.scribe = None;
        let left = self.uncleared();
        let uncleared = figures.snapshot.lanes.iter().map(|lane| lane.clearing as usize).sum();
        let gone_by = self.ending.as_ref().map_or(MonoTime::ZERO, |ending| ending.gone_by);
        let clock = self.clock.clone();
        let mut sign_ins = self.begin_sign_ins();
        let written = async {
            self.write_ledger().await;
            while let Some(done) = sign_ins.join_next().await {
                if let Ok(Some(lane)) = done {
                    self.remember(lane, None);
                }
            }
        };
        // A disk that hangs does not keep the daemon from ending.
        tokio::select! {
            () = written => {}
            () = clock.sleep_until(gone_by) => {}
        }
        let took =
            self.ending.as_ref().map(|ending| self.clock.now().since(ending.since)).unwrap_or_default();
        logging::stopped(self.clock.real_span(took), unanswered, uncleared, &left);
        Ended { figures, uncleared }
    }

    /// The ledger, the last accepted config, and what the directories have said.
    async fn write_ledger(&mut self) {
        let Some(ledger) = self.ledger.take() else { return };
        Queue::close(ledger).await;
        while self.writing.join_next().await.is_some() {}
        // The last accepted config may still wait for the one before it to be written.
        while let Some(done) = self.archiving.join_next().await {
            self.archived(done.is_err());
        }
        while let Some(done) = self.filing.join_next().await {
            self.filed(done.is_err());
        }
    }

    /// Tries once more to write the refresh tokens that are in memory alone. What is written says for which lane.
    fn begin_sign_ins(&self) -> JoinSet<Option<LaneIx>> {
        let mut writing = JoinSet::new();
        for (lane, source, unwritten) in self.lanes.all_unwritten() {
            writing.spawn_blocking(move || source.write(&unwritten).is_ok().then_some(lane));
        }
        writing
    }

    /// The first few users whose session is still to be cleared.
    fn uncleared(&self) -> Vec<String> {
        const FEW: usize = 5;
        const PAGE: usize = 10_000;
        let mut users = Vec::new();
        let mut from = Some(SessionIx::FIRST);
        while let Some(at) = from
            && users.len() < FEW
        {
            let page = self.keeper.sessions(Query { from: at, limit: PAGE });
            let clearing = page.sessions.iter().filter(|session| session.phase == Phase::Clearing);
            users.extend(clearing.map(|session| self.people.show(session.user)).take(FEW - users.len()));
            from = page.next;
        }
        users
    }
}
