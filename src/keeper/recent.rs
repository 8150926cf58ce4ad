//! How much a lane has sent lately, and how much it may send while it is not open.

use std::time::Duration;

use super::time::MonoTime;

/// What a lane that is not open may send in five minutes: half as much again as normal, and ten.
pub(super) fn allowance(normal: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and `as` saturates"
    )]
    let scaled = (1.5 * normal) as u32;
    scaled.saturating_add(10)
}

/// Requests sent in the last five minutes, in steps of ten seconds.
#[derive(Debug, Default)]
pub(super) struct Sent {
    steps: [u32; Self::STEPS],
    /// The step, counted from the origin of time, that was counted last.
    last: u64,
}

impl Sent {
    const STEP: Duration = Duration::from_secs(10);
    /// One more than five minutes hold, so that a step leaves only when all of it is older than that.
    const STEPS: usize = 31;

    fn step(now: MonoTime) -> u64 {
        now.as_nanos() / 10_000_000_000
    }

    fn forget(&mut self, now: MonoTime) {
        let step = Self::step(now);
        for gone in self.last + 1..=step.min(self.last + Self::STEPS as u64) {
            self.steps[Self::index(gone)] = 0;
        }
        self.last = self.last.max(step);
    }

    fn index(step: u64) -> usize {
        usize::try_from(step % Self::STEPS as u64).unwrap_or(0)
    }

    pub(super) fn count(&mut self, now: MonoTime) {
        self.forget(now);
        self.steps[Self::index(self.last)] += 1;
    }

    fn total(&mut self, now: MonoTime) -> u32 {
        self.forget(now);
        self.steps.iter().sum()
    }

    /// Holds no more against the lane than `most` of what it sent so far, the latest of it.
    pub(super) fn forgive(&mut self, now: MonoTime, most: u32) {
        let mut over = self.total(now).saturating_sub(most);
        for age in (0..Self::STEPS as u64).rev() {
            let Some(step) = self.last.checked_sub(age) else { continue };
            let count = &mut self.steps[Self::index(step)];
            let forgiven = over.min(*count);
            *count -= forgiven;
            over -= forgiven;
        }
    }

    /// When there is room for one more below the allowance.
    pub(super) fn room_at(&mut self, now: MonoTime, allowance: u32) -> MonoTime {
        let mut over = self.total(now).saturating_add(1).saturating_sub(allowance);
        let mut at = now;
        // The oldest step leaves first.
        for age in (0..Self::STEPS as u64).rev() {
            if over == 0 {
                break;
            }
            let Some(step) = self.last.checked_sub(age) else { continue };
            over = over.saturating_sub(self.steps[Self::index(step)]);
            at = MonoTime::ZERO + Self::STEP * u32::try_from(step + Self::STEPS as u64).unwrap_or(u32::MAX);
        }
        at.max(now)
    }

    /// How far apart probes must be so that the allowance lasts: free while more than half of it is left.
    pub(super) fn spacing(&mut self, now: MonoTime, allowance: u32) -> Duration {
        let half = allowance / 2;
        if self.total(now) < half { Duration::ZERO } else { Self::STEP * 30 / half.max(1) }
    }
}
