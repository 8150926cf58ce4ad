//! Reads, of what others see of a user when somebody asks, and of directories: from quota that nothing else needs.

use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::task::{Id, JoinError};

use super::{Driver, Said};
use crate::config::settings::Credential;
use crate::daemon::graph::{Answer, DirectoryPage, DirectoryRead, GraphClient, Seen};
use crate::daemon::logging;
use crate::daemon::overrides::Whom;
use crate::daemon::token::AccessToken;
use crate::keeper::id::{LaneIx, LaneKey};
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

/// Why a page of a directory was not read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotRead {
    /// There is no room for a read at the moment, in words.
    NotNow(String),
    /// What came instead.
    Failed(Box<Answer>),
}

/// A read that is under way.
#[derive(Debug)]
pub(super) struct Reading {
    lane: LaneIx,
    to: Reader,
}

/// Who waits for it.
#[derive(Debug)]
enum Reader {
    Presence(oneshot::Sender<ReadResult>),
    Directory(oneshot::Sender<Result<DirectoryPage, NotRead>>),
}

/// What came of it.
pub(super) enum Done {
    Presence(ReadResult),
    Directory(Result<DirectoryPage, NotRead>),
}

/// What a read may be made with.
struct Room {
    lane: LaneIx,
    client: GraphClient,
    token: AccessToken,
    time: Duration,
    wall: SystemTime,
}

impl Driver {
    /// Reads that are under way at a time; more are told to come again.
    const READS: usize = 8;

    /// Reads what others see of a user.
    pub(super) fn read(&mut self, whom: &Whom, to: oneshot::Sender<ReadResult>) {
        let Room { lane, client, token, time, wall } = match self.room(&whom.lane) {
            Ok(room) => room,
            // Whoever asked may have gone.
            Err(why) => return drop(to.send(Err(Unread::NotNow(why)))),
        };
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
        let task = self.reads.spawn(async { Done::Presence(task.await) }).id();
        self.reading.insert(task, Reading { lane, to: Reader::Presence(to) });
    }

    /// Reads a page of a directory.
    pub(super) fn read_directory(
        &mut self,
        lane: &LaneKey,
        what: DirectoryRead,
        to: oneshot::Sender<Result<DirectoryPage, NotRead>>,
    ) {
        let Room { lane, client, token, time, wall } = match self.room(lane) {
            Ok(room) => room,
            // Whoever asked may have gone.
            Err(why) => return drop(to.send(Err(NotRead::NotNow(why)))),
        };
        let task = async move {
            let read = client.directory(&what, &token, time, wall).await;
            Done::Directory(read.map_err(|answer| NotRead::Failed(Box::new(answer))))
        };
        let task = self.reads.spawn(task).id();
        self.reading.insert(task, Reading { lane, to: Reader::Directory(to) });
    }

    /// Takes room for a read. It is given back when the read is over.
    fn room(&mut self, lane: &LaneKey) -> Result<Room, String> {
        if self.ending.is_some() || self.reading.len() >= Self::READS {
            return Err("the daemon is busy: try again".to_owned());
        }
        let now = self.clock.now();
        let lane = self.keeper.lane(lane).ok_or_else(|| NoRead::NoLane.to_string())?;
        let read = self.keeper.read(lane, now).map_err(|why| why.to_string())?;
        let Some((client, Some(token))) = self.lanes.call(lane, read.generation) else {
            self.keeper.read_over(lane, now);
            return Err(NoRead::NoToken.to_string());
        };
        let (time, wall) = (self.clock.real_span(read.deadline.since(now)), self.clock.wall());
        Ok(Room { lane, client, token, time, wall })
    }

    /// A read was answered.
    pub(super) fn was_read(&mut self, done: Result<(Id, Done), JoinError>) {
        let (task, done) = match done {
            Ok((task, done)) => (task, Ok(done)),
            // One that a stop has given up.
            Err(error) if error.is_cancelled() => (error.id(), Err("the daemon is stopping")),
            Err(error) => {
                logging::task_panicked("read");
                (error.id(), Err("this is a bug: the log has more"))
            }
        };
        let Some(Reading { lane, to }) = self.reading.remove(&task) else { return };
        self.keeper.read_over(lane, self.clock.now());
        // Whoever asked may have gone.
        match (to, done) {
            (Reader::Presence(to), Ok(Done::Presence(result))) => drop(to.send(result)),
            (Reader::Directory(to), Ok(Done::Directory(result))) => drop(to.send(result)),
            (Reader::Presence(to), done) => {
                drop(to.send(Err(Unread::Failed(done.err().unwrap_or_default().to_owned()))));
            }
            (Reader::Directory(to), done) => {
                drop(to.send(Err(NotRead::NotNow(done.err().unwrap_or_default().to_owned()))));
            }
        }
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
