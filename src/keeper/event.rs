//! What goes in and what comes out of the keeper.

use std::time::Duration;

use super::diff::{Counts, Diff};
use super::id::{Generation, LaneIx, LaneKey, SessionIx, Slot, UserId};
use super::outcome::{Loss, Outcome, Refusal, TokenAnswer};
use super::plan::LaneHead;
use super::presence::{PresenceState, Wish};
use super::tally::Tally;
use super::time::MonoTime;

/// What happened outside.
#[derive(Debug)]
pub enum Input {
    /// What earlier runs left behind: the first input, before any plan, or never.
    Restore(Vec<RestoredLane>),
    /// From here on this is wanted. Taken in slices: the next plan may come once [`Event::PlanApplied`] is out.
    Plan {
        /// From the plan in force to the next.
        diff: Box<Diff>,
        /// What becomes of the sessions it removes.
        on_remove: OnRemove,
    },
    /// Between two plans the plan's word on a session is another: an edge of a schedule. An override hides it.
    Change {
        /// Which.
        session: SessionIx,
        /// What it shall show from now on.
        wish: Option<Wish>,
        /// When this ends, as far as known; else [`MonoTime::FAR`].
        until: MonoTime,
    },
    /// Something else than the plan says is wanted of a session, or no longer. It goes before other changes, and
    /// outlasts plans until it is taken back.
    Override {
        /// Which.
        session: SessionIx,
        /// What is wanted instead; `None`: what the plan says.
        over: Option<Over>,
    },
    /// From here on nothing is held for anyone who is new: they are overridden as they come, with no session. Who is there
    /// already is overridden one by one.
    Release {
        /// Whether it is so; `false`: no longer. Who is overridden stays so.
        all: bool,
    },
    /// A request was answered, or lost. Each [`Output::Send`] gets exactly one, at the latest at its deadline.
    Answered {
        /// Whose request.
        session: SessionIx,
        /// What became of it.
        outcome: Outcome,
    },
    /// A token request was answered. Each [`Output::FetchToken`] gets exactly one, at the latest at its deadline.
    Token {
        /// Whose.
        lane: LaneIx,
        /// What became of it.
        answer: TokenAnswer,
    },
    /// The credential of a lane is another: worth a try at once, whatever failed before.
    CredentialChanged {
        /// Whose.
        lane: LaneIx,
    },
    /// Parked users are tried again at once, as after a reload.
    Unpark,
    /// Every session is to be renewed ahead of its time, from quota that nothing else needs.
    RenewAll,
    /// Nothing but time went by. Early, late or doubled ones do no harm.
    Wake,
    /// Stop: finish what is in flight and start nothing new but, if asked, clears.
    Drain {
        /// Whether to clear every session that we hold.
        clear: bool,
    },
}

/// What is wanted of a session instead of what the plan says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Over {
    /// What it shall show; `None`: no session of ours.
    pub wish: Option<Wish>,
    /// When this ends, as far as known; else [`MonoTime::FAR`]. It is ended from outside, not by itself.
    pub until: MonoTime,
}

/// What becomes of a session at the service once nobody wants it any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnRemove {
    /// It is cleared.
    #[default]
    Clear,
    /// It is left to run out, for another presenced to take over.
    Leave,
}

/// A lane as the ledger remembers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestoredLane {
    /// Which.
    pub key: LaneKey,
    /// Its name and quota.
    pub head: LaneHead,
    /// Its sessions, each in the slot that it had.
    pub sessions: Vec<(Slot, UserId, Record)>,
}

/// What is remembered of a session across restarts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// What was wanted of it.
    pub wish: Wish,
    /// The lease it was granted last; `None` when a set was sent and no answer is known, or its time is not to be
    /// trusted: the service may hold it, in a state that we do not know.
    pub lease: Option<Lease>,
}

/// What the service has granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// State and expiration as they were sent.
    pub granted: Wish,
    /// When the request was sent; the service began to count somewhere between then and its answer.
    pub sent_at: MonoTime,
}

impl Lease {
    /// The first moment at which others would see it wrong.
    #[must_use]
    pub fn lapses_at(&self) -> MonoTime {
        self.sent_at + self.granted.term()
    }

    /// When the service forgets the session altogether.
    #[must_use]
    pub fn expires_at(&self) -> MonoTime {
        self.sent_at + self.granted.expiration.duration()
    }
}

/// What to do. Carried out by one match in the driver.
#[derive(Debug)]
pub enum Output {
    /// A lane begins: connections, credential and ledger file are needed.
    Open {
        /// Its place.
        lane: LaneIx,
        /// Which.
        key: LaneKey,
    },
    /// A lane is gone: what was held for it may be dropped.
    Close {
        /// Its place, free from now on.
        lane: LaneIx,
        /// What it has counted.
        tally: Box<Tally>,
    },
    /// A call to Graph.
    Send(Request),
    /// A token request; its token, if one comes, is of this generation.
    FetchToken {
        /// Whose.
        lane: LaneIx,
        /// The generation it makes.
        generation: Generation,
        /// When to give up.
        deadline: MonoTime,
    },
    /// Remember this across restarts; `None`: forget it.
    Remember {
        /// Whose record.
        session: SessionIx,
        /// Whose session.
        user: UserId,
        /// What to remember.
        record: Option<Record>,
    },
    /// Something that someone may want to know.
    Event(Event),
    /// Nothing more until then, or until the next input.
    Sleep {
        /// When to wake it.
        until: MonoTime,
        /// What for.
        because: Because,
    },
}

/// Why the keeper wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Because {
    /// The rest of a plan is to be taken: now, after whatever else has come in.
    Plan,
    /// A lane has something to do then.
    Lane(LaneIx),
    /// It has nothing to do.
    Nothing,
}

/// A call to Graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Whose.
    pub session: SessionIx,
    /// The user in the path.
    pub user: UserId,
    /// What to ask.
    pub call: Call,
    /// The token to send it with.
    pub generation: Generation,
    /// When to give up: it is [`Loss::Timeout`] then.
    pub deadline: MonoTime,
    /// Of a renewal: since when it was due. `None`: it is none, or one ahead of its time.
    pub due: Option<MonoTime>,
}

/// What is asked of Graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `setPresence` with this state and expiration.
    Set(Wish),
    /// `clearPresence`.
    Clear,
}

/// Something that someone may want to know. Words and levels are chosen in `daemon::logging`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A session shows something new.
    Set {
        /// Which.
        session: SessionIx,
        /// Whose.
        user: UserId,
        /// What it showed, as far as known.
        from: Option<PresenceState>,
        /// What it shows now.
        to: PresenceState,
        /// Why.
        why: Why,
    },
    /// A session is gone from the service.
    Cleared {
        /// Which.
        session: SessionIx,
        /// Whose.
        user: UserId,
    },
    /// Graph refuses this user; tried again later.
    Parked {
        /// Which.
        session: SessionIx,
        /// Whose.
        user: UserId,
        /// Why.
        refusal: Refusal,
        /// When it is tried again.
        next_try: Duration,
    },
    /// A user who was parked is granted again.
    Unparked {
        /// Which.
        session: SessionIx,
        /// Whose.
        user: UserId,
    },
    /// A session is past its lapse.
    SessionLapsed {
        /// Which.
        session: SessionIx,
        /// Whose.
        user: UserId,
    },
    /// The first session of a lane, after none was, is past its lapse.
    Lapsed {
        /// Whose.
        lane: LaneIx,
        /// The user.
        user: UserId,
    },
    /// 429: the lane is closed.
    Throttled {
        /// Which.
        lane: LaneIx,
        /// What the server asked for.
        retry_after: Option<Duration>,
        /// For how long it is closed.
        closed: Duration,
        /// Our own requests in the window.
        used: u32,
        /// What the quota is.
        quota: u32,
        /// Someone else must spend the quota: our own count is too low for a 429.
        foreign: bool,
    },
    /// A lane cannot renew.
    LaneDown {
        /// Which.
        lane: LaneIx,
        /// Why.
        trouble: Trouble,
        /// How many sessions it has to keep.
        sessions: u32,
        /// When the first of them lapses.
        first_lapse_in: Option<Duration>,
    },
    /// It can again.
    LaneUp {
        /// Which.
        lane: LaneIx,
        /// After how long.
        down_for: Duration,
        /// How many of its sessions are past their lapse.
        lapsed: u32,
    },
    /// A token request failed.
    TokenFailed {
        /// Whose.
        lane: LaneIx,
        /// How often in a row, from 1.
        attempt: u32,
        /// When the next one goes out.
        next_try: Duration,
        /// How long the token at hand is still good; `None`: there is none.
        good_for: Option<Duration>,
    },
    /// The first token of a lane, or one after failures.
    TokenGranted {
        /// Whose.
        lane: LaneIx,
        /// How long it is good.
        lifetime: Duration,
    },
    /// Graph rejects the token at hand: a new one is fetched.
    TokenRejected {
        /// Whose.
        lane: LaneIx,
    },
    /// The last slice of a plan is taken.
    PlanApplied(Counts),
    /// Draining is over: nothing is in flight, and what was to be cleared is.
    Drained,
}

/// Why a session is set to something new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It is new.
    Added,
    /// The config says something else.
    Changed,
    /// It had lapsed or was not known to be held.
    Regained,
}

/// Why a lane cannot renew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Five answers in a row were lost, the last one so.
    Lost(Loss),
    /// There is no token.
    NoToken,
    /// Graph rejects every token.
    TokenRejected,
    /// Five different users were refused, and none granted.
    Refused(Refusal),
}
