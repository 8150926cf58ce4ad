//! What others ask of the driver.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Looked, NotRead, OverridesPage, ReadResult, ReloadAsk, Steer, Steered};
use crate::daemon::directory::Learned;
use crate::daemon::figures::Figures;
use crate::daemon::graph::{DirectoryPage, DirectoryRead};
use crate::daemon::overrides::{Full, Whom};
use crate::daemon::signals::Origin;
use crate::daemon::tempo::Hour;
use crate::keeper::id::{LaneIx, LaneKey};
use crate::keeper::{Page, Query};

/// What others ask of the driver.
#[derive(Debug)]
pub enum Command {
    /// Look at the file again.
    Reload(ReloadAsk),
    /// Something else is wanted than the plan says, or no longer.
    Steer {
        /// What.
        what: Steer,
        /// Who asks, for the history.
        by: Arc<str>,
        /// Who waits to hear of it.
        to: oneshot::Sender<Result<Steered, Full>>,
    },
    /// The same of members of a group.
    SteerGroup {
        /// What, of each of them.
        what: Vec<Steer>,
        /// The group's name, for the history.
        group: Arc<str>,
        /// Who asks, for the history.
        by: Arc<str>,
        /// Who waits to hear of it, one for one.
        to: oneshot::Sender<Vec<Result<Steered, Full>>>,
    },
    /// Tell of these sessions.
    Look {
        /// Whose.
        whom: Vec<Whom>,
        /// Who wants to know.
        to: oneshot::Sender<Vec<Looked>>,
    },
    /// Read what others see of a user.
    Read {
        /// Whose.
        whom: Whom,
        /// Who wants to know.
        to: oneshot::Sender<ReadResult>,
    },
    /// Read a page of a directory.
    Directory {
        /// Which app's.
        lane: LaneKey,
        /// What.
        what: DirectoryRead,
        /// Who wants to know.
        to: oneshot::Sender<Result<DirectoryPage, NotRead>>,
    },
    /// Take what was read of directories.
    Learn(Vec<Learned>),
    /// Tell how things stand now, and of the sessions that stand worst.
    Worst {
        /// At most so many.
        limit: usize,
        /// Of this app; `None`: of all.
        app: Option<String>,
        /// Who wants to know.
        to: oneshot::Sender<(Figures, Vec<Looked>)>,
    },
    /// Tell how many requests each lane had answered in the last hour, minute by minute.
    Tempo {
        /// Who wants to know.
        to: oneshot::Sender<HashMap<LaneIx, Hour>>,
    },
    /// Tell of overrides and releases.
    Overrides {
        /// At most so many of each.
        limit: usize,
        /// Who wants to know.
        to: oneshot::Sender<OverridesPage>,
    },
    /// Renew every session ahead of its time, from spare quota.
    RenewAll {
        /// Who asks.
        by: Option<Origin>,
    },
    /// End in good order.
    Stop {
        /// Who asks.
        by: Option<Origin>,
    },
    /// Let the keeper look at everything again: no lost timer leaves a session alone for longer than this comes.
    Sweep,
    /// Log how things stand.
    Summary,
    /// Look whether a credential is another.
    CheckCredentials,
    /// Look whether the end of a credential is near.
    CheckEnds,
    /// Tell some sessions.
    Sessions {
        /// Which.
        query: Query,
        /// Who wants to know.
        to: oneshot::Sender<Page>,
    },
}
