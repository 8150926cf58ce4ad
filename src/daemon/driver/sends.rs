//! Calls to Graph: how they go out, alone or together, and what becomes of their answers.

use std::time::Duration;

use tokio::task::{Id, JoinError};

use super::gather::WINDOW;
use super::{Driver, Said, Sent};
use crate::daemon::graph::{Answer, Ask, Together};
use crate::daemon::logging;
use crate::keeper::snapshot::{Phase, Query, SessionView};
use crate::keeper::{Call, Input, Loss, MonoTime, Outcome, Request};

/// A renewal waits for others only if its session lapses later than this, and its time is over later: twenty times as
/// long as it waits.
const GOOD_TIME: Duration = WINDOW.saturating_mul(20);

impl Driver {
    /// Sends a request, or lets it wait for others that go out with it; its answer comes through `sends`.
    pub(super) fn send(&mut self, request: Request, now: MonoTime) {
        if self.ending.is_some() || !self.gather.takes(&request, now) {
            return self.dispatch(vec![request], now);
        }
        // What someone waits for goes out at the end of this turn, with what waits already.
        let until = if self.may_wait(&request, now) { now + WINDOW } else { now };
        if let Some(enough) = self.gather.wait(request, until) {
            self.dispatch(enough, now);
        }
    }

    /// Sends what has waited long enough.
    pub(super) fn send_due(&mut self) {
        let now = self.clock.now();
        for requests in self.gather.take_due(now) {
            self.dispatch(requests, now);
        }
    }

    /// Requests that the keeper counts as sent, and that are not answered.
    pub(super) fn unanswered(&self) -> usize {
        self.gather.waiting() + self.sending.values().map(|sent| sent.requests.len()).sum::<usize>()
    }

    fn may_wait(&self, request: &Request, now: MonoTime) -> bool {
        let page = self.keeper.sessions(Query { from: request.session, limit: 1 });
        page.sessions.first().is_some_and(|session| is_patient(request, session, now))
    }

    /// Sends requests of one lane and one token. What cannot be sent is answered at once.
    fn dispatch(&mut self, requests: Vec<Request>, now: MonoTime) {
        let Some(&Request { session, generation, .. }) = requests.first() else { return };
        let outcome = match self.lanes.call(session.lane, generation) {
            None => lost(),
            Some((_, None)) => Outcome::TokenRejected,
            Some((client, Some(token))) => {
                let deadline = requests.iter().map(|request| request.deadline).min().unwrap_or(now);
                let timeout = self.clock.real_span(deadline.since(now));
                let wall = self.clock.wall();
                let asks: Vec<_> =
                    requests.iter().map(|&Request { user, call, .. }| Ask { user, call }).collect();
                let task = async move { client.call_together(&asks, &token, timeout, wall).await };
                let task = self.sends.spawn(task).id();
                for due in requests.iter().filter_map(|request| request.due) {
                    self.meters.renews(session.lane, now.since(due));
                }
                self.sending.insert(task, Sent { requests, at: now });
                return;
            }
        };
        for Request { session, .. } in requests {
            self.backlog.push_back((Input::Answered { session, outcome }, Said::default()));
        }
    }

    /// Calls were answered; returns how many. Those whose task panicked may have been done or not, like any that are
    /// lost.
    pub(super) fn answered(&mut self, done: Result<(Id, Together), JoinError>) -> usize {
        let (task, together) = match done {
            Ok((task, together)) => (task, Some(together)),
            Err(error) => {
                logging::task_panicked("request");
                (error.id(), None)
            }
        };
        let Some(Sent { requests, at }) = self.sending.remove(&task) else { return 0 };
        let now = self.clock.now();
        let answers = self.outcomes(&requests, together, now);
        let count = answers.len();
        for (Request { session, user, generation, .. }, answer) in requests.into_iter().zip(answers) {
            self.latency.record(now.since(at));
            self.meters.answered(session.lane, now.since(at));
            // Before the keeper hears of it: it asks for another token at once.
            if let Some(claims) = answer.claims {
                self.lanes.challenged(session.lane, generation, claims);
            }
            let wall = self.clock.wall();
            self.story.answered(
                (session, user),
                answer.outcome,
                answer.detail.as_deref(),
                answer.request_id,
                wall,
            );
            let said = Said { answer: answer.detail, token: None };
            // All at one moment: what is lost together is one loss.
            self.feed_at(now, Input::Answered { session, outcome: answer.outcome }, &said);
            self.tempo.count(session.lane, answer.outcome, now);
            if answer.outcome == Outcome::Granted {
                let keeper = &self.keeper;
                let shows =
                    || keeper.session(session).and_then(|view| Some((view.granted?, view.overridden)));
                self.story.granted((session, user), now, shows);
            }
        }
        count
    }

    /// The answer to each request. Where batches are not taken, there is none yet: each request goes out again, alone.
    fn outcomes(&mut self, requests: &[Request], together: Option<Together>, now: MonoTime) -> Vec<Answer> {
        let Some(lane) = requests.first().map(|first| first.session.lane) else { return Vec::new() };
        match together {
            None => {
                vec![Answer { outcome: lost(), detail: None, claims: None, request_id: None }; requests.len()]
            }
            Some(Together::Answered(answers)) => {
                let came = answers.iter().any(|answer| !matches!(answer.outcome, Outcome::Lost { .. }));
                if requests.len() > 1 && came {
                    self.gather.works(lane);
                }
                answers
            }
            Some(Together::Unread(answers)) => {
                if self.gather.fails(lane, now) {
                    let detail = answers.first().and_then(|answer| answer.detail.as_deref());
                    logging::batches_fail(&self.lanes.name(lane), detail);
                }
                answers
            }
            Some(Together::NotTaken(detail)) => {
                if self.gather.fails(lane, now) {
                    logging::batches_fail(&self.lanes.name(lane), Some(&detail));
                }
                for &request in requests {
                    self.dispatch(vec![request], now);
                }
                Vec::new()
            }
        }
    }
}

/// Whether a request renews what its session shows, and in good time: nobody waits for it.
fn is_patient(request: &Request, session: &SessionView, now: MonoTime) -> bool {
    let Call::Set(wish) = request.call else { return false };
    let lapses_at = session.lapses_at.unwrap_or(now);
    session.session == request.session
        && session.phase == Phase::Held
        && session.granted == Some(wish.state)
        && lapses_at.since(now) > GOOD_TIME
        && request.deadline.since(now) > 4 * WINDOW
}

/// It may have been done or not.
const fn lost() -> Outcome {
    Outcome::Lost { loss: Loss::Transport, retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::id::{Generation, Guid, SessionIx};
    use crate::keeper::{Expiration, Next, PresenceState, Wish};

    const NOW: MonoTime = MonoTime::from_secs(1_000);

    #[test]
    fn only_renewals_in_good_time_wait_for_others() {
        let wish = Wish { state: PresenceState::Available, expiration: Expiration::MAX };
        let renewal = Request {
            session: SessionIx::FIRST,
            user: Guid::from_u128(1),
            call: Call::Set(wish),
            generation: Generation(1),
            deadline: NOW + Duration::from_secs(2),
            due: Some(NOW),
        };
        let held = SessionView {
            session: SessionIx::FIRST,
            user: renewal.user,
            wish: Some(wish),
            overridden: false,
            until: MonoTime::FAR,
            planned: Some(wish),
            granted: Some(wish.state),
            sent_at: Some(NOW),
            lapses_at: Some(NOW + Duration::from_secs(10)),
            expires_at: Some(NOW + Duration::from_secs(600)),
            phase: Phase::Held,
            next: Next::Answer,
            lost: 0,
            renewals: 0,
        };
        assert!(is_patient(&renewal, &held, NOW), "as in a full lane");
        let close = SessionView { lapses_at: Some(NOW + Duration::from_secs(5)), ..held.clone() };
        assert!(!is_patient(&renewal, &close, NOW), "its lapse is near");
        let late = Request { deadline: NOW + Duration::from_secs(1), ..renewal };
        assert!(!is_patient(&late, &held, NOW), "its time is short");
        let change = SessionView { granted: Some(PresenceState::Away), ..held.clone() };
        assert!(!is_patient(&renewal, &change, NOW), "an operator waits");
        let first = SessionView { granted: None, lapses_at: None, phase: Phase::Pending, ..held.clone() };
        assert!(!is_patient(&renewal, &first, NOW), "someone waits to be seen");
        let lapsed = SessionView { phase: Phase::Lapsed, ..held.clone() };
        assert!(!is_patient(&renewal, &lapsed, NOW), "it is late already");
        assert!(!is_patient(&Request { call: Call::Clear, ..renewal }, &held, NOW), "a user is removed");
    }
}
