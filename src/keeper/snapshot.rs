//! How things stand: counters and lane figures at a moment, and sessions page by page.

use std::time::Duration;

use super::id::{LaneIx, LaneKey, SessionIx, Slot, UserId};
use super::outcome::Refusal;
use super::presence::{PresenceState, Wish};
use super::tally::Tally;
use super::time::MonoTime;
use std::sync::Arc;

/// All lanes at a moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Ascending by place.
    pub lanes: Vec<LaneSnapshot>,
}

/// One lane at a moment. Counters only grow while the lane is open.
#[derive(Clone, Debug)]
pub struct LaneSnapshot {
    /// Its place.
    pub lane: LaneIx,
    /// Which.
    pub key: LaneKey,
    /// Its name.
    pub name: Arc<str>,
    /// Sessions in the plan that have a wish.
    pub sessions: u32,
    /// Those whose lease is in date.
    pub held: u32,
    /// Those of the held ones that are close to their lapse, or that wait for a repeat.
    pub late: u32,
    /// Those past their lapse, parked ones not counted.
    pub lapsed: u32,
    /// Those that Graph refuses.
    pub parked: u32,
    /// Those that the quota cannot keep.
    pub unfunded: u32,
    /// Those that were never granted, parked ones not counted.
    pub pending: u32,
    /// Sessions that wait to be cleared.
    pub clearing: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests that count against the quota now.
    pub quota_used: u32,
    /// What the quota is.
    pub quota: u32,
    /// After which share of its term a session is renewed.
    pub fraction: f64,
    /// Time to the first lapse that is near: of a session that is due or late, or the next to be due. `None`: none is.
    pub next_lapse_in: Option<Duration>,
    /// Whether it may send.
    pub standing: Standing,
    /// How long the token is good.
    pub token_good_for: Option<Duration>,
    /// Sets granted to sessions that held the same state already.
    pub renewals: u64,
    /// Requests granted, clears included.
    pub granted: u64,
    /// Answers 429.
    pub throttled: u64,
    /// Answers 401.
    pub token_rejected: u64,
    /// Answers that refuse a user.
    pub refused: u64,
    /// Lost answers.
    pub lost: u64,
    /// Leases that lapsed before their renewal was granted.
    pub lapses: u64,
    /// The same and more, call by call.
    pub tally: Tally,
}

/// Whether a lane may send, and if not, until when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It may.
    Open,
    /// 429: not before then.
    Closed(MonoTime),
    /// In an outage: one request at a time.
    Probing,
    /// Every user is refused: one request now and then.
    Parked,
    /// Not without a token.
    NoToken,
}

/// Which sessions to show.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// The first place to look at.
    pub from: SessionIx,
    /// How many sessions at the most.
    pub limit: usize,
}

/// Some sessions, in the order of their places.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Those found.
    pub sessions: Vec<SessionView>,
    /// Where to go on; `None`: that was the last.
    pub next: Option<SessionIx>,
}

/// How one session stands.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Its place.
    pub session: SessionIx,
    /// Whose.
    pub user: UserId,
    /// What is wanted.
    pub wish: Option<Wish>,
    /// Whether that comes from an override.
    pub overridden: bool,
    /// When that ends, as far as known; else [`MonoTime::FAR`].
    pub until: MonoTime,
    /// What the plan says: the same as `wish`, unless that comes from an override.
    pub planned: Option<Wish>,
    /// What the service granted last, in date or not.
    pub granted: Option<PresenceState>,
    /// When the request for that was sent.
    pub sent_at: Option<MonoTime>,
    /// When that lapses, or has lapsed.
    pub lapses_at: Option<MonoTime>,
    /// When the service forgets it altogether.
    pub expires_at: Option<MonoTime>,
    /// How it stands.
    pub phase: Phase,
    /// What comes next.
    pub next: Next,
    /// Answers that were lost in a row.
    pub lost: u8,
    /// Sets granted so far to a session in the same state.
    pub renewals: u32,
}

/// What comes next for a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The answer to a request that is under way.
    Answer,
    /// A request, as soon as its turn comes.
    Turn,
    /// A renewal, then.
    Renewal(MonoTime),
    /// Another try after a lost answer, then.
    Retry(MonoTime),
    /// Another try after a refusal, then.
    Trial(MonoTime),
    /// Nothing.
    Nothing,
}

/// How a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// In date.
    Held,
    /// Never granted yet.
    Pending,
    /// Past its lapse.
    Lapsed,
    /// Refused by Graph.
    Parked(Refusal),
    /// Not sent: the quota cannot keep it.
    Unfunded,
    /// To be cleared.
    Clearing,
    /// Nothing is wanted, and nothing held.
    Empty,
}

impl SessionIx {
    /// The first place of all.
    pub const FIRST: Self = Self { lane: LaneIx(0), slot: Slot(0) };
}
