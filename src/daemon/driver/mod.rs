//! The driver: one task that owns the keeper, tells it what happened, and does what it says.
//!
//! Nothing here decides about a session. The loop never blocks on a disk: the ledger, the config and its archive have
//! threads of their own.

mod books;
mod command;
mod credentials;
mod directory;
mod ending;
mod gather;
mod look;
mod looks;
mod outputs;
mod plans;
mod read;
mod rota;
mod sends;
mod steer;
mod turn;

pub use command::Command;
pub use look::{Looked, OverridesPage};
pub use plans::{ReloadAsk, Reloaded};
pub use read::{NotRead, ReadResult, Unread};
pub use steer::{Held, Steer, Steered};

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinSet};

use super::chatter::Chatter;
use super::clock::Clock;
use super::directory::Book;
use super::figures::{ConfigTrouble, Figures, LastReload, Stage};
use super::graph::{Detail, Together};
use super::lanes::{Lanes, Ways};
use super::latency::Latency;
use super::ledger;
use super::logging::People;
use super::meters::Meters;
use super::overrides::Overrides;
use super::overrides::scribe::Scribe;
use super::reload::{Accepted, ConfigFile, Prepared, Refused};
use super::story::Story;
use super::systemd::Systemd;
use super::tempo::Tempo;
use super::token::{Fingerprint, TokenDetail, TokenReply, TokenSource, expiry};
use super::troubles::Troubles;
use crate::config::Sources;
use crate::keeper::diff::Counts;
use crate::keeper::event::RestoredLane;
use crate::keeper::id::{Generation, LaneIx, LaneKey};
use crate::keeper::{Input, Keeper, MonoTime, Page, Query, Request, Snapshot};

/// What a daemon is made of. It is started from parts, so that it also runs without files, signals and systemd.
#[derive(Debug)]
pub struct Parts {
    /// Its time.
    pub clock: Clock,
    /// The first plan.
    pub first: Prepared,
    /// What earlier runs left behind.
    pub restored: Vec<RestoredLane>,
    /// Ways of lanes that are restored and no longer in the config.
    pub older_ways: Ways,
    /// Where a reload reads; `None`: there is nothing to reload.
    pub config: Option<ConfigFile>,
    /// What is kept on disk, and where; `None`: nothing is.
    pub kept: Option<Kept>,
    /// Where it is supervised.
    pub systemd: Systemd,
    /// What is wrong with the config at hand: the last good one stands in for it.
    pub last_good: Option<String>,
    /// Overrides and releases of an earlier run.
    pub overrides: Overrides,
    /// What the directories have said to earlier runs.
    pub directory: Book,
}

/// What a daemon keeps on disk.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The state directory.
    pub state: PathBuf,
    /// Directory of the ledger.
    pub leases: PathBuf,
    /// Directory of the accepted configs.
    pub accepted: PathBuf,
}

/// How a daemon ended.
#[derive(Debug)]
pub struct Ended {
    /// How it stood at the end.
    pub figures: Figures,
    /// Sessions that were to be cleared and could not be in time.
    pub uncleared: usize,
}

/// A daemon that runs. It is aborted when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    commands: mpsc::Sender<Command>,
    figures: watch::Receiver<Arc<Figures>>,
    task: JoinSet<Ended>,
}

/// The driver ended by a bug.
#[derive(Debug, thiserror::Error)]
#[error("the driver panicked: this is a bug")]
pub struct Panicked;

impl Daemon {
    /// Commands that wait for the driver.
    const COMMANDS: usize = 64;

    /// Starts it. Needs a runtime.
    #[must_use]
    pub fn start(parts: Parts) -> Self {
        let (commands, inbox) = mpsc::channel(Self::COMMANDS);
        let first = Figures {
            at: parts.clock.now(),
            stage: Stage::Starting,
            snapshot: Snapshot::default(),
            config: parts.first.next.settings.hash,
            trouble: ConfigTrouble::default(),
            wall: parts.clock.wall(),
            started: parts.clock.wall(),
            accepted: parts.first.next.clone(),
            last_reload: None,
            last_taken: None,
            overrides: parts.overrides.len(),
            released: None,
            ends: Arc::default(),
            troubles: Arc::default(),
            meters: Arc::default(),
            last_sweep: None,
            directory: Arc::new(parts.directory.clone()),
        };
        let (publish, figures) = watch::channel(Arc::new(first));
        let mut task = JoinSet::new();
        task.spawn(Driver::new(parts, inbox, publish).run());
        Self { commands, figures, task }
    }

    /// Where commands go; bounded.
    #[must_use]
    pub fn commands(&self) -> mpsc::Sender<Command> {
        self.commands.clone()
    }

    /// How it stands, once a second.
    #[must_use]
    pub fn figures(&self) -> watch::Receiver<Arc<Figures>> {
        self.figures.clone()
    }

    /// Some sessions, as they stand now; none when it has ended.
    pub async fn sessions(&self, query: Query) -> Page {
        let (to, answer) = oneshot::channel();
        if self.commands.send(Command::Sessions { query, to }).await.is_err() {
            return Page::default();
        }
        answer.await.unwrap_or_default()
    }

    /// Asks it to end in good order. [`Daemon::ended`] returns when it has.
    pub async fn stop(&self) {
        // One that has ended needs not be asked.
        let _ = self.commands.send(Command::Stop { by: None }).await;
    }

    /// Returns when it has ended.
    ///
    /// # Errors
    /// When it ended by a panic.
    pub async fn ended(&mut self) -> Result<Ended, Panicked> {
        match self.task.join_next().await {
            Some(Ok(ended)) => Ok(ended),
            Some(Err(_)) | None => Err(Panicked),
        }
    }
}

/// The task's own.
struct Driver {
    clock: Clock,
    keeper: Keeper,
    lanes: Lanes,
    ledger: Option<ledger::Queue>,
    systemd: Systemd,
    inbox: mpsc::Receiver<Command>,
    publish: watch::Sender<Arc<Figures>>,

    accepted: Accepted,
    config: Option<ConfigFile>,
    kept: Option<Kept>,
    trouble: ConfigTrouble,
    stage: plans::Stage,
    /// Reloads that wait for the one before them: one look at the file answers them all.
    wanted: Vec<ReloadAsk>,
    /// What the first turn starts with.
    restored: Vec<RestoredLane>,
    first: Option<Box<Prepared>>,

    /// Requests in flight, and whose.
    sends: JoinSet<Together>,
    sending: HashMap<Id, Sent>,
    /// Requests that wait a moment to go out together.
    gather: gather::Gather,
    reads: JoinSet<read::Done>,
    reading: HashMap<Id, read::Reading>,
    fetches: JoinSet<Fetched>,
    fetching: HashMap<Id, LaneIx>,
    /// Those of them that use a refresh token, which may be good only once: a stop waits for them.
    redeeming: HashSet<Id>,
    /// At most one task.
    preparing: JoinSet<Result<Prepared, Refused>>,
    looks: looks::Looks<CredentialLook>,
    ends_told: expiry::Told,
    /// The ledger's thread, and the freeing of old plans.
    writing: JoinSet<()>,
    /// At most one write of the archive at a time, so that the newest is the last.
    archiving: JoinSet<()>,
    to_archive: Files,
    /// What the directories have said.
    book: Arc<Book>,
    /// At most one write of it at a time.
    filing: JoinSet<()>,
    to_file: Option<Arc<Book>>,

    /// What is to be told to the keeper without waiting.
    backlog: VecDeque<(Input, Said)>,
    /// When the keeper wants to be woken.
    wake: MonoTime,
    /// When figures are due.
    tick: MonoTime,
    watchdog: MonoTime,
    applied: Option<Counts>,
    drained: bool,
    ending: Option<ending::Ending>,

    steering: steer::Steering,
    edges: rota::Edges,
    scribe: Option<Scribe>,
    story: Story,
    tempo: Tempo,
    troubles: Arc<Troubles>,

    people: People,
    chatter: Chatter,
    latency: Latency,
    meters: Meters,
    renewals: u64,
    started: SystemTime,
    last_reload: Option<LastReload>,
    last_taken: Option<SystemTime>,
    last_sweep: Option<SystemTime>,
}

/// Calls that went out together, or one alone.
struct Sent {
    requests: Vec<Request>,
    at: MonoTime,
}

/// What a token request brought.
struct Fetched {
    lane: LaneIx,
    generation: Generation,
    credential: Option<Fingerprint>,
    reply: TokenReply,
}

/// What a look at a credential brought.
enum CredentialLook {
    /// How it stands.
    Credential { lane: LaneIx, source: Arc<TokenSource>, credential: Option<Fingerprint> },
    /// When it ends; `None` where nobody knows, or never.
    End { key: LaneKey, name: Arc<str>, end: Option<expiry::End> },
}

/// What the log is told beside the events that an input leads to.
#[derive(Default)]
struct Said {
    answer: Option<Box<Detail>>,
    token: Option<Box<TokenDetail>>,
}

impl Driver {
    fn new(parts: Parts, inbox: mpsc::Receiver<Command>, publish: watch::Sender<Arc<Figures>>) -> Self {
        let now = parts.clock.now();
        let mut writing = JoinSet::new();
        let ledger = parts.kept.as_ref().map(|kept| {
            let (queue, writer) = ledger::Queue::new(kept.leases.clone());
            writing.spawn_blocking(move || writer.run());
            queue
        });
        let scribe = parts.kept.as_ref().map(|kept| {
            let (scribe, writer) = Scribe::new(&kept.state, parts.clock.wall());
            writing.spawn_blocking(move || writer.run());
            scribe
        });
        let trouble = ConfigTrouble { last_good: parts.last_good, ..ConfigTrouble::default() };
        // Nothing is in force before the first plan: the keeper begins with what it restores.
        let accepted = parts.first.next.clone();
        let mut driver = Self {
            keeper: Keeper::new(),
            lanes: Lanes::new(parts.older_ways),
            ledger,
            systemd: parts.systemd,
            inbox,
            publish,
            people: People::new(Arc::clone(&accepted.settings)),
            accepted,
            config: parts.config,
            kept: parts.kept,
            trouble,
            stage: plans::Stage::Quiet,
            wanted: Vec::new(),
            restored: parts.restored,
            first: Some(Box::new(parts.first)),
            sends: JoinSet::new(),
            sending: HashMap::new(),
            gather: gather::Gather::default(),
            reads: JoinSet::new(),
            reading: HashMap::new(),
            fetches: JoinSet::new(),
            fetching: HashMap::new(),
            redeeming: HashSet::new(),
            preparing: JoinSet::new(),
            looks: looks::Looks::new(),
            ends_told: expiry::Told::default(),
            writing,
            archiving: JoinSet::new(),
            to_archive: None,
            book: Arc::new(parts.directory),
            filing: JoinSet::new(),
            to_file: None,
            ending: None,
            backlog: VecDeque::new(),
            wake: MonoTime::FAR,
            tick: now,
            watchdog: now,
            applied: None,
            drained: false,
            chatter: Chatter::default(),
            latency: Latency::default(),
            meters: Meters::default(),
            renewals: 0,
            steering: steer::Steering::default(),
            edges: rota::Edges::default(),
            scribe,
            story: Story::default(),
            tempo: Tempo::default(),
            troubles: Arc::default(),
            started: parts.clock.wall(),
            last_reload: None,
            last_taken: None,
            last_sweep: None,
            clock: parts.clock,
        };
        driver.steer_as(parts.overrides);
        driver
    }
}

/// The files that a plan was read from, until they are archived.
type Files = Option<Sources>;
