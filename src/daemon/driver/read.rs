//! Reading what others see of a user, when somebody asks: from quota that nothing else needs.

use tokio::sync::oneshot;
use tokio::task::{Id, JoinError};

use super::{Driver, Said};
use crate::config::settings::Credential;
use crate::daemon::graph::{Answer, Seen};
use crate::daemon::logging;
use crate::daemon::overrides::Whom;
use crate::keeper::id::LaneIx;
use crate::keeper::{Input, NoRead};

/// What others see of a user, or why that is not known.
pub type ReadResult = Result<Seen, Unread>;

/// Why what others see is not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unread {
    /// There is no room for a read at the moment, in words.
    NotNow(String),
    /// No answer, or another, in words.
    Failed(String),
}

/// A read that is under way.
#[derive(Debug)]
pub(super) struct Reading {
    lane: LaneIx,
    to: oneshot::Sender<ReadResult>,
}

impl Driver {
    /// Reads that are under way at a time; more are told to come again.
    const READS: usize = 8;

    /// Reads what others see of a user.
    pub(super) fn read(&mut self, whom: &Whom, to: oneshot::Sender<ReadResult>) {
        match self.begin_read(whom) {
            Ok((task, lane)) => {
                self.reading.insert(task, Reading { lane, to });
            }
            // Whoever asked may have gone.
            Err(why) => drop(to.send(Err(Unread::NotNow(why)))),
        }
    }

    fn begin_read(&mut self, whom: &Whom) -> Result<(Id, LaneIx), String> {
        if self.ending.is_some() || self.reading.len() >= Self::READS {
            return Err("the daemon is busy: try again".to_owned());
        }
        let now = self.clock.now();
        let lane = self.keeper.lane(&whom.lane).ok_or_else(|| NoRead::NoLane.to_string())?;
        let read = self.keeper.read(lane, now).map_err(|why| why.to_string())?;
        let Some((client, Some(token))) = self.lanes.call(lane, read.generation) else {
            self.keeper.read_over(lane, now);
            return Err(NoRead::NoToken.to_string());
        };
        let (time, wall) = (self.clock.real_span(read.deadline.since(now)), self.clock.wall());
        let alone = self.lanes.app(lane).is_some_and(|app| matches!(app.credential, Credential::SignedIn(_)));
        let user = whom.user;
        let task = async move {
            if alone {
                return client.presence(user, &token, time, wall).await.map_err(|answer| why(&answer));
            }
            let mut seen =
                client.presences(&[user], &token, time, wall).await.map_err(|answer| why(&answer))?;
            let missing = || Unread::Failed("Graph has no presence of this user in this tenant".to_owned());
            seen.remove(&user).ok_or_else(missing)
        };
        Ok((self.reads.spawn(task).id(), lane))
    }

    /// A read was answered.
    pub(super) fn was_read(&mut self, done: Result<(Id, ReadResult), JoinError>) {
        let (task, result) = match done {
            Ok((task, result)) => (task, result),
            Err(error) => {
                logging::task_panicked("read");
                (error.id(), Err(Unread::Failed("this is a bug: the log has more".to_owned())))
            }
        };
        let Some(Reading { lane, to }) = self.reading.remove(&task) else { return };
        self.keeper.read_over(lane, self.clock.now());
        // Whoever asked may have gone.
        let _ = to.send(result);
        self.feed(Input::Wake, &Said::default());
    }
}

/// Why there was no answer, in words.
fn why(answer: &Answer) -> Unread {
    let detail = answer.detail.as_deref();
    let status = detail.and_then(|detail| detail.status).map(|status| format!("status {status}"));
    let code = detail.and_then(|detail| detail.code.clone());
    let words = detail.and_then(|detail| detail.cause.clone().or_else(|| detail.message.clone()));
    let parts: Vec<String> = [status, code, words].into_iter().flatten().collect();
    Unread::Failed(if parts.is_empty() { "no answer".to_owned() } else { parts.join(", ") })
}
