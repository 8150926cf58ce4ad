//! One session: what is wanted, what the service has granted, and where it stands.

use super::agenda::Place;
use super::event::{Call, Lease};
use super::id::{Generation, UserId};
use super::outcome::Refusal;
use super::presence::Wish;
use super::snapshot::Phase;
use super::time::MonoTime;

/// A session in its lane.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) user: UserId,
    /// What it shall show; `None`: nothing.
    pub(super) wish: Option<Wish>,
    /// When the wish ends, if that is known; else [`MonoTime::FAR`].
    pub(super) until: MonoTime,
    /// Whether the quota can keep it.
    pub(super) funded: bool,
    /// Whether the wish comes from an override.
    pub(super) urgent: bool,
    /// Whether the plan still has it; if not, it goes once the service holds it no more.
    pub(super) fate: Fate,
    /// Since when something else is wanted than is granted.
    pub(super) since: MonoTime,
    pub(super) lease: Option<Lease>,
    /// The wish that the lease was asked for; its expiration may have been shortened on the way out. `None` as well
    /// once something else was asked for: until that is granted, the service may show either.
    pub(super) granted_for: Option<Wish>,
    /// Until when the service may hold it for us; [`MonoTime::ZERO`]: it does not.
    pub(super) holds_until: MonoTime,
    pub(super) asked: Option<Asked>,
    pub(super) place: Option<Place>,
    /// Lost answers in a row.
    pub(super) attempt: u8,
    /// Refusals in a row.
    pub(super) parks: u8,
    pub(super) parked: Option<Refusal>,
    /// The token generation that was rejected (401) first since the last other answer; 0: none.
    pub(super) rejected: Generation,
    /// The lease is known to have lapsed.
    pub(super) lapsed: bool,
    /// The agenda watches the lease for its lapse.
    pub(super) watched: bool,
    /// Sets granted while it held the same state.
    pub(super) renewals: u32,
}

/// A request in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) call: Call,
    /// The wish behind it.
    pub(super) wish: Option<Wish>,
    pub(super) at: MonoTime,
    pub(super) generation: Generation,
}

/// What becomes of a session that the plan has no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// The plan has it.
    Planned,
    /// It is cleared.
    Clear,
    /// Its user moves: it is cleared once the state is set in the other lane.
    Moving,
    /// It is left to run out.
    Leave,
}

/// What a session needs next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Need {
    /// Its lease goes on.
    Renewal,
    /// Something else is to be set.
    Change,
    /// It is to be cleared.
    Clear,
    /// Nothing.
    Nothing,
}

impl Session {
    pub(super) const fn new(user: UserId, wish: Option<Wish>, funded: bool, now: MonoTime) -> Self {
        Self {
            user,
            wish,
            until: MonoTime::FAR,
            funded,
            urgent: false,
            fate: Fate::Planned,
            since: now,
            lease: None,
            granted_for: None,
            holds_until: MonoTime::ZERO,
            asked: None,
            place: None,
            attempt: 0,
            parks: 0,
            parked: None,
            rejected: Generation(0),
            lapsed: false,
            watched: false,
            renewals: 0,
        }
    }

    /// What shall be shown and can be kept.
    pub(super) fn kept_wish(&self) -> Option<Wish> {
        self.wish.filter(|_| self.funded && self.fate == Fate::Planned)
    }

    /// Whether the service may hold it for us.
    pub(super) fn owned(&self) -> bool {
        self.holds_until > MonoTime::ZERO
    }

    pub(super) fn need(&self) -> Need {
        if let Some(wish) = self.kept_wish() {
            return if self.lease.is_some() && self.granted_for == Some(wish) {
                Need::Renewal
            } else {
                Need::Change
            };
        }
        let unwanted = match self.fate {
            Fate::Planned => self.wish.is_none(),
            Fate::Clear | Fate::Moving => true,
            Fate::Leave => false,
        };
        if unwanted && self.owned() { Need::Clear } else { Need::Nothing }
    }

    pub(super) fn phase(&self) -> Phase {
        if self.fate != Fate::Planned || self.wish.is_none() {
            return if self.owned() { Phase::Clearing } else { Phase::Empty };
        }
        if !self.funded {
            return Phase::Unfunded;
        }
        if let Some(refusal) = self.parked {
            return Phase::Parked(refusal);
        }
        match self.need() {
            Need::Renewal if self.lapsed => Phase::Lapsed,
            Need::Renewal => Phase::Held,
            Need::Change | Need::Clear | Need::Nothing => Phase::Pending,
        }
    }
}

/// Phases without what they carry, to count sessions by.
pub(super) const PHASES: usize = 7;

pub(super) const fn phase_index(phase: Phase) -> usize {
    match phase {
        Phase::Held => 0,
        Phase::Pending => 1,
        Phase::Lapsed => 2,
        Phase::Parked(_) => 3,
        Phase::Unfunded => 4,
        Phase::Clearing => 5,
        Phase::Empty => 6,
    }
}
