//! Whether a lane may send: open, closed by a 429, probing in an outage, or parked because everyone is refused.

use std::time::Duration;

use super::event::Trouble;
use super::id::{Slot, UserId};
use super::outcome::{Loss, Refusal};
use super::recent::{Sent, allowance};
use super::time::MonoTime;

/// So many lost answers in a row turn a lane to probes.
const LOSSES_IN_A_ROW: u32 = 5;
/// So many different users refused, and none granted on the token, park a lane.
const REFUSED_USERS: usize = 5;
/// A `Retry-After` is honoured up to this long; beyond it one probe goes out each [`PATIENT_PROBE`].
const CLOSED_LONGEST: Duration = Duration::from_secs(120);
const PATIENT_PROBE: Duration = Duration::from_secs(60);
/// The wait after a 429 without `Retry-After`, doubling from the first to the longest; also the shortest close.
const THROTTLED_FIRST: Duration = Duration::from_secs(1);
const THROTTLED_LONGEST: Duration = Duration::from_secs(60);
/// Between probes in an outage.
const PROBE_FIRST: Duration = Duration::from_secs(1);
const PROBE_LONGEST: Duration = Duration::from_secs(15);
/// Between probes of a parked lane. Short at first: the five may have been the only five.
const PARKED_FIRST: Duration = Duration::from_secs(10);
const PARKED_LONGEST: Duration = Duration::from_secs(900);

/// How a lane stands towards the service.
#[derive(Debug, Default)]
pub(super) struct Standing {
    state: State,
    /// The request that is the probe, while it is in flight.
    probe: Option<Slot>,
    /// Lost answers since the last other one; those of one moment are one.
    losses: u32,
    lost_at: Option<MonoTime>,
    /// 429s since the last grant.
    throttles: u32,
    /// Different users refused on the token at hand.
    refused: Vec<UserId>,
    sent: Sent,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Open,
    /// Nothing before `until`; after it one request a minute until `asked_until`, if that is later. `again`: nothing was
    /// granted since the 429 before, so that one request shows whether there is room before all others follow.
    Closed {
        until: MonoTime,
        asked_until: MonoTime,
        again: bool,
    },
    Probing {
        next: MonoTime,
        tries: u32,
    },
    Parked {
        next: MonoTime,
        tries: u32,
    },
}

impl Standing {
    /// When the next request may go out as far as the standing goes; `FAR` while a probe is in flight. `normal` is
    /// the number of planned renewals in five minutes.
    pub(super) fn free_at(&mut self, now: MonoTime, normal: f64) -> MonoTime {
        if self.probe.is_some() {
            return MonoTime::FAR;
        }
        let next = match self.state {
            State::Open => return now,
            State::Closed { until, asked_until, again: false } if asked_until <= until && until <= now => {
                self.state = State::Open;
                return now;
            }
            State::Closed { until, .. } => until,
            State::Probing { next, .. } | State::Parked { next, .. } => next,
        };
        next.max(self.sent.room_at(now, allowance(normal)))
    }

    /// Whether whatever goes out next is a probe.
    pub(super) const fn probes(&self) -> bool {
        !matches!(self.state, State::Open)
    }

    /// Whether everyone is refused: a probe is then best made with a session that was granted before.
    pub(super) const fn parked(&self) -> bool {
        matches!(self.state, State::Parked { .. })
    }

    /// For the snapshot.
    pub(super) const fn view(&self) -> super::snapshot::Standing {
        match self.state {
            State::Open => super::snapshot::Standing::Open,
            State::Closed { until, .. } => super::snapshot::Standing::Closed(until),
            State::Probing { .. } => super::snapshot::Standing::Probing,
            State::Parked { .. } => super::snapshot::Standing::Parked,
        }
    }

    /// A request goes out.
    pub(super) fn sent(&mut self, slot: Slot, now: MonoTime) {
        self.sent.count(now);
        if self.probes() {
            self.probe = Some(slot);
        }
    }

    /// The session has its answer; returns whether it was the probe.
    pub(super) fn answered(&mut self, slot: Slot) -> bool {
        let probe = self.probe == Some(slot);
        if probe {
            self.probe = None;
        }
        probe
    }

    /// Something was granted. Opens the lane, except that only a probe opens one that a 429 closed.
    pub(super) fn granted(&mut self, probe: bool) {
        self.losses = 0;
        self.refused.clear();
        if !matches!(self.state, State::Closed { .. }) || probe {
            self.throttles = 0;
            self.state = State::Open;
        }
    }

    /// An answer was lost. Returns the trouble if this one turned the lane to probes. Answers that are lost at one and
    /// the same moment were in one exchange, and say no more than one of them.
    pub(super) fn lost(&mut self, loss: Loss, probe: bool, now: MonoTime, normal: f64) -> Option<Trouble> {
        if self.lost_at.replace(now) != Some(now) || self.losses == 0 {
            self.losses = self.losses.saturating_add(1);
        }
        match &mut self.state {
            State::Open if self.losses >= LOSSES_IN_A_ROW => {
                self.state = State::Probing { next: now + PROBE_FIRST, tries: 0 };
                self.forgive(now, normal);
                Some(Trouble::Lost(loss))
            }
            State::Open => None,
            State::Closed { .. } => {
                if probe {
                    self.other_than_429(now);
                }
                None
            }
            State::Probing { next, tries, .. } => {
                if probe {
                    *tries += 1;
                    let wait = PROBE_FIRST.saturating_mul(1 << (*tries).min(4)).min(PROBE_LONGEST);
                    *next = now + wait.max(self.sent.spacing(now, allowance(normal)));
                }
                None
            }
            State::Parked { next, tries, .. } => {
                if probe {
                    *next = now + parked_wait(*tries);
                }
                None
            }
        }
    }

    /// The lane was open until now. A reload may have cost it more than is normal: no reason to stay blind.
    pub(super) fn forgive(&mut self, now: MonoTime, normal: f64) {
        self.sent.forgive(now, allowance(normal) / 3 * 2);
    }

    /// 429. Returns for how long the lane is closed, if this answer closed it or closes it for longer.
    pub(super) fn throttled(
        &mut self,
        retry_after: Option<Duration>,
        probe: bool,
        now: MonoTime,
    ) -> Option<Duration> {
        self.losses = 0;
        let wait = retry_after.unwrap_or_else(|| {
            THROTTLED_FIRST.saturating_mul(1 << self.throttles.min(6)).min(THROTTLED_LONGEST)
        });
        let wait = wait.max(THROTTLED_FIRST);
        let asked_until = now + wait;
        let was_open = matches!(self.state, State::Open);
        let again = match self.state {
            State::Closed { again, .. } => again || probe,
            State::Open | State::Probing { .. } | State::Parked { .. } => self.throttles > 0,
        };
        // A probe that is still under way was sent before this was known: it opens nothing.
        self.probe = None;
        let (until, asked_until) = match self.state {
            State::Closed { until, asked_until: before, .. } => {
                let asked_until = before.max(asked_until);
                let step = now + if probe { PATIENT_PROBE } else { CLOSED_LONGEST };
                (until.max(asked_until.min(step)), asked_until)
            }
            // In an outage: the service answers again, if only with this.
            State::Open | State::Probing { .. } | State::Parked { .. } => {
                (now + wait.min(CLOSED_LONGEST), asked_until)
            }
        };
        self.state = State::Closed { until, asked_until, again };
        if was_open || probe {
            self.throttles = self.throttles.saturating_add(1);
        }
        if was_open {
            return Some(until.since(now));
        }
        None
    }

    /// Graph refuses this user, for the first time, while nobody is granted on the token. Returns the trouble if
    /// that parks the lane.
    pub(super) fn refused(
        &mut self,
        user: UserId,
        refusal: Refusal,
        enough: usize,
        now: MonoTime,
    ) -> Option<Trouble> {
        self.losses = 0;
        if !self.refused.contains(&user) && self.refused.len() < REFUSED_USERS {
            self.refused.push(user);
        }
        if self.refused.len() < enough.min(REFUSED_USERS) || self.parked() {
            return None;
        }
        self.state = State::Parked { next: now + PARKED_FIRST, tries: 0 };
        Some(Trouble::Refused(refusal))
    }

    /// A probe was refused or rejected: of a parked lane the next one is later; in an outage it is an answer, and
    /// the next one, with another session, is soon; within a long `Retry-After` it comes a minute later as ever.
    pub(super) fn probe_refused(&mut self, now: MonoTime) {
        match &mut self.state {
            State::Parked { next, tries } => {
                *tries += 1;
                *next = now + parked_wait(*tries);
            }
            State::Probing { next, .. } => *next = now + PROBE_FIRST,
            State::Closed { .. } => self.other_than_429(now),
            State::Open => {}
        }
    }

    /// The probe of a lane that a 429 closed was answered by something else, or not at all. Once the time that was
    /// asked for is over, that opens the lane.
    fn other_than_429(&mut self, now: MonoTime) {
        match &mut self.state {
            State::Closed { asked_until, .. } if *asked_until <= now => self.state = State::Open,
            State::Closed { until, .. } => *until = now + PATIENT_PROBE,
            State::Open | State::Probing { .. } | State::Parked { .. } => {}
        }
    }

    /// What parked the lane may be mended: try at once.
    pub(super) fn try_now(&mut self, now: MonoTime) {
        self.refused.clear();
        if let State::Parked { next, tries, .. } = &mut self.state {
            *next = now;
            *tries = 0;
        }
    }

    /// A new token: who was refused on the old one says nothing about it.
    pub(super) fn new_token(&mut self) {
        self.refused.clear();
    }
}

fn parked_wait(tries: u32) -> Duration {
    PARKED_FIRST.saturating_mul(1 << tries.min(7)).min(PARKED_LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::id::Guid;

    const SLOT: Slot = Slot(0);

    fn at(secs: u64) -> MonoTime {
        MonoTime::from_secs(10_000 + secs)
    }

    /// Probes until `until`, each lost after a second; returns when they went out.
    fn probes(standing: &mut Standing, from: u64, until: u64, normal: f64) -> Vec<u64> {
        let mut sent = Vec::new();
        let mut now = at(from);
        loop {
            now = now.max(standing.free_at(now, normal));
            if now >= at(until) {
                return sent;
            }
            standing.sent(SLOT, now);
            sent.push(now.since(at(0)).as_secs());
            now += Duration::from_secs(1);
            let probe = standing.answered(SLOT);
            standing.lost(Loss::Transport, probe, now, normal);
        }
    }

    fn down(normal: f64) -> Standing {
        let mut standing = Standing::default();
        for n in 0..5 {
            standing.sent(SLOT, at(0));
            let trouble = standing.lost(Loss::Transport, false, at(0) + Duration::from_millis(n), normal);
            assert_eq!(trouble.is_some(), n == 4, "the fifth in a row");
        }
        standing
    }

    #[test]
    fn an_outage_is_probed_every_1_to_15_s_and_the_first_grant_opens() {
        let mut standing = down(600.0);
        let sent = probes(&mut standing, 0, 120, 600.0);
        let gaps: Vec<u64> = sent.windows(2).map(|w| w[1] - w[0]).collect();
        assert_eq!(gaps[..4], [3, 5, 9, 16], "the wait doubles to 15 s, after an answer that took one");
        assert!(gaps.iter().all(|g| *g <= 16), "{gaps:?}");
        standing.granted(false);
        assert!(!standing.probes());
    }

    #[test]
    fn a_tiny_lane_in_an_outage_stays_within_its_allowance() {
        let normal = 2.0;
        let mut standing = down(normal);
        let sent = probes(&mut standing, 0, 3_600, normal);
        let all: Vec<u64> = std::iter::repeat_n(0, 5).chain(sent).collect();
        for (first, start) in all.iter().enumerate() {
            let counted = all[first..].iter().take_while(|&&s| s < start + 300).count();
            assert!(counted <= 13, "{counted} requests in five minutes");
        }
        let longest = all.windows(2).map(|w| w[1] - w[0]).max().unwrap();
        assert!(longest <= 60, "probes go on: {longest} s without one");
    }

    #[test]
    fn retry_after_is_honoured_up_to_two_minutes_and_then_probed_each_minute() {
        let mut standing = Standing::default();
        assert_eq!(
            standing.throttled(Some(Duration::from_secs(300)), false, at(0)),
            Some(Duration::from_secs(120))
        );
        assert_eq!(standing.free_at(at(0), 0.0), at(120));
        let mut sent = Vec::new();
        for _ in 0..3 {
            let now = standing.free_at(at(120), 1e6);
            sent.push(now.since(at(0)).as_secs());
            standing.sent(SLOT, now);
            let probe = standing.answered(SLOT);
            let left = Duration::from_secs(300).saturating_sub(now.since(at(0)));
            standing.throttled(Some(left), probe, now);
        }
        assert_eq!(sent, [120, 180, 240]);
        assert_eq!(standing.free_at(at(301), 1e6), at(301));
        standing.sent(SLOT, at(301));
        assert_eq!(standing.free_at(at(302), 1e6), MonoTime::FAR, "one shows whether there is room");
        let probe = standing.answered(SLOT);
        standing.granted(probe);
        assert!(!standing.probes());
    }

    #[test]
    fn a_grant_that_was_under_way_does_not_open_what_a_429_closed() {
        let mut standing = Standing::default();
        standing.throttled(Some(Duration::from_secs(10)), false, at(0));
        standing.granted(false);
        assert_eq!(standing.free_at(at(1), 0.0), at(10));
        assert_eq!(standing.free_at(at(10), 0.0), at(10));
        assert!(!standing.probes());
    }

    #[test]
    fn five_different_users_refused_park_the_lane_and_a_grant_opens_it() {
        let mut standing = Standing::default();
        let user = Guid::from_u128;
        for n in [1, 2, 2, 3, 4] {
            assert_eq!(standing.refused(user(n), Refusal::Forbidden, 5, at(0)), None);
        }
        assert!(standing.refused(user(5), Refusal::Forbidden, 5, at(0)).is_some());
        assert_eq!(standing.free_at(at(0), 1e6), at(10));
        standing.sent(SLOT, at(10));
        let probe = standing.answered(SLOT);
        standing.granted(probe);
        assert!(!standing.probes());
    }
}
