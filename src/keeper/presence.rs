//! The states that a presence session can show, and for how long it is asked to.

use std::fmt;
use std::time::Duration;

/// What a session shows. Graph accepts exactly these five pairs of availability and activity in `setPresence`.
///
/// Source: the `setPresence` page of the Microsoft Graph v1.0 reference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PresenceState {
    /// Available / Available.
    Available = 0,
    /// Busy / InACall.
    InACall = 1,
    /// Busy / InAConferenceCall.
    InAConferenceCall = 2,
    /// Away / Away.
    Away = 3,
    /// DoNotDisturb / Presenting.
    Presenting = 4,
}

impl PresenceState {
    /// All five.
    pub const ALL: [Self; 5] =
        [Self::Available, Self::InACall, Self::InAConferenceCall, Self::Away, Self::Presenting];

    /// How long a session shows this state after a set, whatever its expiration: 300 s for Available, which then
    /// fades to inactive and after 10 minutes to Away; without such an end for the others.
    ///
    /// Source: the `setPresence` page ("timeout").
    pub const AVAILABLE_TIMEOUT: Duration = Duration::from_secs(300);

    /// Graph's word for the availability.
    #[must_use]
    pub const fn availability(self) -> &'static str {
        match self {
            Self::Available => "Available",
            Self::InACall | Self::InAConferenceCall => "Busy",
            Self::Away => "Away",
            Self::Presenting => "DoNotDisturb",
        }
    }

    /// Graph's word for the activity.
    #[must_use]
    pub const fn activity(self) -> &'static str {
        match self {
            Self::Available => "Available",
            Self::InACall => "InACall",
            Self::InAConferenceCall => "InAConferenceCall",
            Self::Away => "Away",
            Self::Presenting => "Presenting",
        }
    }
}

impl fmt::Display for PresenceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.availability(), self.activity())
    }
}

/// How long a session lives after a set: whole minutes, 5 to 240 (`PT5M` to `PT4H`).
///
/// Source: the `setPresence` page (`expirationDuration`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Expiration(u8);

impl Expiration {
    /// PT5M, the shortest that Graph grants.
    pub const MIN: Self = Self(5);
    /// PT4H, the longest that Graph grants.
    pub const MAX: Self = Self(240);

    /// This many minutes, or `None` outside 5 to 240.
    #[must_use]
    pub const fn from_minutes(minutes: u64) -> Option<Self> {
        if minutes < 5 || minutes > 240 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "240 at the most")]
        Some(Self(minutes as u8))
    }

    /// The shortest expiration that covers `time`, within what Graph grants.
    #[must_use]
    pub fn covering(time: Duration) -> Self {
        let minutes = time.as_secs().div_ceil(60)
            + u64::from(time.as_secs().is_multiple_of(60) && time.subsec_nanos() > 0);
        Self::from_minutes(minutes.clamp(5, 240)).unwrap_or(Self::MAX)
    }

    /// Whole minutes, 5 to 240.
    #[must_use]
    pub const fn minutes(self) -> u8 {
        self.0
    }

    /// The same as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64 * 60)
    }
}

/// As Graph is told it: `PT<minutes>M`.
impl fmt::Display for Expiration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PT{}M", self.0)
    }
}

/// What is wanted of a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Wish {
    /// What it shall show.
    pub state: PresenceState,
    /// How long it shall live after each set.
    pub expiration: Expiration,
}

impl Wish {
    /// From a set until others would see it wrong: the earlier of fade and expiry, 300 s to 4 h.
    #[must_use]
    pub fn term(self) -> Duration {
        match self.state {
            PresenceState::Available => PresenceState::AVAILABLE_TIMEOUT.min(self.expiration.duration()),
            PresenceState::InACall
            | PresenceState::InAConferenceCall
            | PresenceState::Away
            | PresenceState::Presenting => self.expiration.duration(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_available_session_lasts_five_minutes_whatever_its_expiration() {
        let wish = |state, minutes| Wish { state, expiration: Expiration::from_minutes(minutes).unwrap() };
        assert_eq!(wish(PresenceState::Available, 240).term(), Duration::from_secs(300));
        assert_eq!(wish(PresenceState::Available, 5).term(), Duration::from_secs(300));
        assert_eq!(wish(PresenceState::Away, 240).term(), Duration::from_secs(14_400));
    }

    #[test]
    fn an_expiration_covers_a_time_in_whole_minutes_within_what_graph_grants() {
        let covering = |secs| Expiration::covering(Duration::from_secs(secs)).minutes();
        assert_eq!(covering(0), 5);
        assert_eq!(covering(300), 5);
        assert_eq!(covering(301), 6);
        assert_eq!(covering(100_000), 240);
    }
}
