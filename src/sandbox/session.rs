//! One application's session of one user: its two clocks, and the judgement on how well it was kept.

use std::time::Duration;

use super::presence::{SessionState, Shown};
use crate::keeper::time::MonoTime;

/// When an Available session begins to fade, counted from its last set. Source: Microsoft's page "Manage presence
/// state using the Microsoft Graph API".
pub const INACTIVE_AFTER: Duration = Duration::from_secs(5 * 60);
/// When it shows Away. Source: the same page.
pub const AWAY_AFTER: Duration = Duration::from_secs(10 * 60);

/// How far a session's clocks have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Shown as it was set.
    Fresh,
    /// Available, and 5 minutes old: shown as Available/AvailableInactive.
    Inactive,
    /// Available, and 10 minutes old: shown as Away/Away.
    FadedAway,
    /// At its expiration or past it: gone.
    Expired,
}

/// A session as the last granted set left it. It stays on record after its expiration, until it is set again or
/// cleared, so that the gap can be judged.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// The lane that set it.
    pub lane: u32,
    /// What it shows.
    pub state: SessionState,
    /// When it was last set.
    pub set_at: MonoTime,
    /// When it is gone.
    pub expires_at: MonoTime,
    /// Whether a request for it was refused by script since its last set: a gap is then nobody's fault.
    pub excused: bool,
    /// Whether it is judged at all: not when it had lapsed already as the counts were reset.
    pub judged: bool,
}

impl Session {
    /// A session that is set now.
    #[must_use]
    pub fn set(lane: u32, state: SessionState, now: MonoTime, expiration: Duration) -> Self {
        Self { lane, state, set_at: now, expires_at: now + expiration, excused: false, judged: true }
    }

    /// How far its clocks have run at `now`. Each limit belongs to what comes after it.
    #[must_use]
    pub fn phase(&self, now: MonoTime) -> Phase {
        let age = now.since(self.set_at);
        if now >= self.expires_at {
            Phase::Expired
        } else if self.state != SessionState::Available || age < INACTIVE_AFTER {
            Phase::Fresh
        } else if age < AWAY_AFTER {
            Phase::Inactive
        } else {
            Phase::FadedAway
        }
    }

    /// What it contributes at `now`: nothing once it has expired.
    #[must_use]
    pub fn shown(&self, now: MonoTime) -> Option<Shown> {
        match self.phase(now) {
            Phase::Fresh => Some(self.state.shown()),
            Phase::Inactive => Some(Shown::of("Available", "AvailableInactive")),
            Phase::FadedAway => Some(Shown::of("Away", "Away")),
            Phase::Expired => None,
        }
    }

    /// The first moment at which others see something else than what was set.
    #[must_use]
    pub fn lapses_at(&self) -> MonoTime {
        match self.state {
            SessionState::Available => self.expires_at.min(self.set_at + INACTIVE_AFTER),
            _ => self.expires_at,
        }
    }

    /// For how long it has been seen wrong at `now`, if it has.
    #[must_use]
    pub fn gap(&self, now: MonoTime) -> Option<Duration> {
        let gap = now.since(self.lapses_at());
        (self.judged && !gap.is_zero()).then_some(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: MonoTime = MonoTime::from_secs(1_000);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn after(session: &Session, secs: u64, nanos_less: u64) -> Option<Shown> {
        session.shown(START + Duration::from_secs(secs) - Duration::from_nanos(nanos_less))
    }

    #[test]
    fn available_fades_at_exactly_300_and_600_seconds() {
        let session = Session::set(0, SessionState::Available, START, HOUR);
        assert_eq!(after(&session, 300, 1), Some(Shown::of("Available", "Available")));
        assert_eq!(after(&session, 300, 0), Some(Shown::of("Available", "AvailableInactive")));
        assert_eq!(after(&session, 600, 1), Some(Shown::of("Available", "AvailableInactive")));
        assert_eq!(after(&session, 600, 0), Some(Shown::of("Away", "Away")));
        assert_eq!(after(&session, 3_600, 1), Some(Shown::of("Away", "Away")));
        assert_eq!(after(&session, 3_600, 0), None);
    }

    #[test]
    fn the_other_states_do_not_fade_and_end_at_exactly_their_expiration() {
        for state in SessionState::ALL.into_iter().filter(|state| *state != SessionState::Available) {
            let session = Session::set(0, state, START, HOUR);
            assert_eq!(after(&session, 3_600, 1), Some(state.shown()));
            assert_eq!(after(&session, 3_600, 0), None);
        }
    }

    #[test]
    fn with_the_default_expiration_available_is_gone_rather_than_faded() {
        let session = Session::set(0, SessionState::Available, START, Duration::from_secs(300));
        assert_eq!(after(&session, 300, 1), Some(Shown::of("Available", "Available")));
        assert_eq!(after(&session, 300, 0), None);
    }

    #[test]
    fn a_gap_begins_after_the_lapse_and_never_at_it() {
        let session = Session::set(0, SessionState::Available, START, HOUR);
        assert_eq!(session.gap(START + Duration::from_secs(300)), None);
        assert_eq!(session.gap(START + Duration::from_millis(300_001)), Some(Duration::from_millis(1)));
        let session = Session::set(0, SessionState::Away, START, HOUR);
        assert_eq!(session.gap(START + HOUR), None);
        assert_eq!(session.gap(START + HOUR * 2), Some(HOUR));
    }
}
