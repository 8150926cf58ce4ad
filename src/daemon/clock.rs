//! The one place that reads clocks and sleeps.
#![expect(clippy::disallowed_methods, reason = "this is the place that the ban protects")]

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::keeper::MonoTime;

/// A clock that counts suspended time, can run faster than the world's, and knows the wall time that goes with it.
///
/// Monotonic time is Linux's `CLOCK_BOOTTIME`: Graph's clocks go on while this machine is suspended, so ours must.
#[derive(Clone, Debug)]
pub struct Clock {
    speed: u32,
    epoch: SystemTime,
    started: Duration,
}

impl Clock {
    /// Where the clock stands when it is made: far enough from its origin that what happened before a restart, or
    /// before a boot, has a place on it.
    pub const START: MonoTime = MonoTime::from_secs(366 * 24 * 3600);
    /// A sleep is looked at again after this long, because timers stand still in suspend.
    const LONGEST_SLEEP: Duration = Duration::from_secs(5);

    /// The world's clock.
    #[must_use]
    pub fn real() -> Self {
        Self::accelerated(1, SystemTime::UNIX_EPOCH)
    }

    /// A clock that runs `speed` times faster, wall time `epoch + speed x (real time since epoch)`. A speed of 0 is
    /// taken as 1.
    #[must_use]
    pub fn accelerated(speed: u32, epoch: SystemTime) -> Self {
        Self { speed: speed.max(1), epoch, started: boot_time() }
    }

    /// The epoch for an accelerated clock where none is given: today's midnight, UTC.
    #[must_use]
    pub fn todays_midnight() -> SystemTime {
        const DAY: u64 = 24 * 3600;
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs() / DAY * DAY)
    }

    /// How many times faster than the world it runs.
    #[must_use]
    pub const fn speed(&self) -> u32 {
        self.speed
    }

    /// Now, on the monotonic clock.
    #[must_use]
    pub fn now(&self) -> MonoTime {
        Self::START + boot_time().saturating_sub(self.started).saturating_mul(self.speed)
    }

    /// Now, on the wall clock that goes with it.
    #[must_use]
    pub fn wall(&self) -> SystemTime {
        let now = SystemTime::now();
        match now.duration_since(self.epoch) {
            Ok(since) => self.epoch + since.saturating_mul(self.speed),
            Err(_) => now,
        }
    }

    /// How long a span of this clock takes in the world.
    #[must_use]
    pub fn real_span(&self, span: Duration) -> Duration {
        span / self.speed
    }

    /// Returns when this clock shows `until`.
    pub async fn sleep_until(&self, until: MonoTime) {
        loop {
            let left = self.real_span(until.since(self.now()));
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(Self::LONGEST_SLEEP)).await;
        }
    }

    /// Returns after a span of the world's time.
    pub async fn sleep_real(&self, span: Duration) {
        self.sleep(span.saturating_mul(self.speed)).await;
    }

    /// Returns after a span of this clock.
    pub async fn sleep(&self, span: Duration) {
        self.sleep_until(self.now() + span).await;
    }
}

fn boot_time() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fast_clock_shows_what_was_slept_for() {
        let clock = Clock::accelerated(1_000, SystemTime::UNIX_EPOCH);
        let (mono, wall) = (clock.now(), clock.wall());
        clock.sleep(Duration::from_secs(20)).await;
        assert!(clock.now().since(mono) >= Duration::from_secs(20));
        assert!(clock.wall().duration_since(wall).unwrap() >= Duration::from_secs(15));
    }

    #[test]
    fn the_wall_time_of_a_fast_clock_goes_on_over_a_restart() {
        let epoch = Clock::todays_midnight();
        let first = Clock::accelerated(60, epoch).wall();
        let second = Clock::accelerated(60, epoch).wall();
        assert!(second.duration_since(first).unwrap() < Duration::from_secs(60));
    }
}
