//! The one match that carries out what the keeper says.

use std::sync::Arc;

use super::{Driver, Fetched, Said};
use crate::daemon::ledger::{self, Write};
use crate::daemon::logging::{self, Joined};
use crate::daemon::token::{TokenDetail, Unwritten};
use crate::daemon::troubles::Troubles;
use crate::keeper::event::Event;
use crate::keeper::id::{Generation, LaneIx, LaneKey};
use crate::keeper::{Because, Input, MonoTime, Output, Record, TokenAnswer, TokenFailure};

impl Driver {
    /// Tells the keeper what happened, and does all that it says to that. `said` is for the log.
    pub(super) fn feed(&mut self, input: Input, said: &Said) {
        self.feed_at(self.clock.now(), input, said);
    }

    /// The same for what happened just now, at one moment with other things.
    pub(super) fn feed_at(&mut self, now: MonoTime, input: Input, said: &Said) {
        self.keeper.handle(input, now);
        loop {
            match self.keeper.poll_output() {
                Output::Send(request) => self.send(request, now),
                Output::FetchToken { lane, generation, deadline } => {
                    self.fetch(lane, generation, deadline, now);
                }
                Output::Remember { session, user, record } => {
                    let stored = |record: &Record| ledger::store(user, record, self.clock.wall(), now);
                    let stored = record.as_ref().map(stored);
                    self.write(Write::Record { session, stored });
                }
                Output::Open { lane, key } => self.open(lane, key),
                Output::Close { lane, tally } => {
                    self.meters.close(lane, &tally);
                    self.lanes.close(lane);
                    self.gather.close(lane);
                    self.chatter.closed(lane);
                    self.story.closed(lane);
                    self.tempo.closed(lane);
                    Arc::make_mut(&mut self.troubles).closed(lane);
                    self.write(Write::Close { lane });
                }
                Output::Event(event) => self.tell(&event, said, now),
                Output::Sleep { until, because } => {
                    if because == Because::Plan {
                        // Before the keeper sends anything for them.
                        for input in self.newly_found() {
                            self.keeper.handle(input, now);
                        }
                    }
                    self.wake = until;
                    return;
                }
            }
        }
    }

    fn write(&mut self, write: Write) {
        if let Some(ledger) = &mut self.ledger {
            ledger.push(write);
        }
    }

    fn open(&mut self, lane: LaneIx, key: LaneKey) {
        let (head, known) = self.lanes.open(lane, key.clone());
        if !known {
            logging::app_unknown(&key.graph, key.tenant.to_string(), key.client.to_string());
        }
        self.write(Write::Open { lane, key, head });
    }

    /// Asks for a token; it comes through `fetches`.
    fn fetch(&mut self, lane: LaneIx, generation: Generation, deadline: MonoTime, now: MonoTime) {
        let Some((source, claims)) = self.lanes.tokens(lane) else {
            let answer = TokenAnswer::Failed { failure: TokenFailure::Rejected, retry_after: None };
            let said = Said { answer: None, token: Some(Box::new(TokenDetail::no_app())) };
            self.backlog.push_back((Input::Token { lane, answer }, said));
            return;
        };
        let timeout = self.clock.real_span(deadline.since(now));
        let wall = self.clock.wall();
        let (redeems, unwritten) = (source.redeems(), self.lanes.unwritten(lane));
        let task = async move {
            let (credential, reply) = source.fetch(timeout, wall, claims.as_ref(), unwritten).await;
            Fetched { lane, generation, credential, reply }
        };
        let task = self.fetches.spawn(task).id();
        self.fetching.insert(task, lane);
        self.redeeming.retain(|task| self.fetching.contains_key(task));
        if redeems {
            self.redeeming.insert(task);
        }
    }

    /// Remembers the next refresh token of a lane where it is not on disk. Says so once, and once when it is.
    pub(super) fn remember(&mut self, lane: LaneIx, unwritten: Option<Unwritten>) {
        let why = unwritten.as_ref().map(|unwritten| unwritten.why().to_owned());
        let before = self.lanes.remember(lane, unwritten);
        match (before, why) {
            (false, Some(why)) => logging::sign_in_not_kept(&self.lanes.name(lane), &why),
            (true, None) => logging::sign_in_kept_again(&self.lanes.name(lane)),
            (false, None) | (true, Some(_)) => {}
        }
    }

    fn tell(&mut self, event: &Event, said: &Said, now: MonoTime) {
        match event {
            Event::PlanApplied(counts) => self.applied = Some(*counts),
            Event::Drained => self.drained = true,
            _ => {}
        }
        let whom = match event {
            Event::Set { session, user, .. } | Event::Cleared { session, user } => {
                self.whom(session.lane, *user)
            }
            _ => None,
        };
        let over = match event {
            Event::Set { .. } => whom.as_ref().and_then(|whom| self.because(whom)),
            _ => None,
        };
        self.story.hear(event, now, whom.as_ref().and_then(|whom| self.instead(whom)));
        if Troubles::concerns(event) {
            Arc::make_mut(&mut self.troubles).hear(event, said.answer.as_deref(), said.token.as_deref());
        }
        let loud = self.chatter.is_loud(event, now);
        let joined = Joined {
            over: over.as_deref(),
            people: &self.people,
            app: &|lane| self.lanes.name(lane),
            answer: said.answer.as_deref(),
            token: said.token.as_deref(),
            loud,
        };
        logging::keeper_event(event, &joined);
    }
}
