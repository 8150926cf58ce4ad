//! Reads: requests that change nothing and count against the quota all the same. They take what nothing else needs.

use std::time::Duration;

use super::id::{Generation, LaneIx};
use super::machine::Keeper;
use super::time::MonoTime;

/// How long a read may take.
const READ_TIME: Duration = Duration::from_secs(10);

/// A read that may go out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Read {
    /// The token to send it with.
    pub generation: Generation,
    /// When to give up.
    pub deadline: MonoTime,
}

/// Why a read may not go out now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoRead {
    /// There is no such lane.
    #[error("the app is not in force")]
    NoLane,
    /// There is no token that is any good.
    #[error("the app has no token")]
    NoToken,
    /// The lane may not send, or its quota is needed for what is kept.
    #[error("the app has no quota to spare at the moment")]
    NoRoom,
}

impl Keeper {
    /// Takes room for a read in a lane at `now`; [`Keeper::read_over`] is to follow once it is answered or given up.
    ///
    /// # Errors
    /// When there is none: nothing that is kept waits for a read.
    pub fn read(&mut self, ix: LaneIx, now: MonoTime) -> Result<Read, NoRead> {
        let lane = self.lanes.get_mut(ix.0 as usize).and_then(Option::as_mut).ok_or(NoRead::NoLane)?;
        let generation = lane.token.usable(now).ok_or(NoRead::NoToken)?;
        let app = &mut self.apps[lane.app];
        let shared = &mut app.budget;
        if !app.waiting.is_empty() || lane.is_occupied(now) || shared.free_at(now) > now {
            return Err(NoRead::NoRoom);
        }
        lane.budget.spend(now);
        shared.spend(now);
        Ok(Read { generation, deadline: now + READ_TIME })
    }

    /// A read was answered, or given up.
    pub fn read_over(&mut self, ix: LaneIx, now: MonoTime) {
        let Some(lane) = self.lanes.get_mut(ix.0 as usize).and_then(Option::as_mut) else { return };
        lane.budget.answered(now);
        let app = lane.app;
        self.apps[app].budget.answered(now);
        self.look_again(ix, app);
    }
}
