//! What a quota still allows. Two rules hold at once: a bucket paces the sends, and a window counts them as the
//! service may.

use std::collections::VecDeque;
use std::time::Duration;

use super::plan::Quota;
use super::time::MonoTime;

/// A quota, and what is spent of it.
///
/// The bucket starts empty, fills at requests/per and holds a sixtieth of the quota (at least 1): sends are even, so
/// that due times, which follow sends, stay even. And a request occupies the quota from its send until one window
/// after its answer: it reached the service somewhere in between, so no window of the service's ever holds more.
#[derive(Debug)]
pub(super) struct Budget {
    quota: Quota,
    /// Requests in the bucket at `filled_at`.
    bucket: f64,
    filled_at: MonoTime,
    in_flight: u32,
    /// When each answered request leaves the window, ascending.
    leaving: VecDeque<MonoTime>,
    squeeze: Squeeze,
}

impl Budget {
    pub(super) const fn new(quota: Quota, now: MonoTime) -> Self {
        Self {
            quota,
            bucket: 0.0,
            filled_at: now,
            in_flight: 0,
            leaving: VecDeque::new(),
            squeeze: Squeeze { share: 1.0, since: now },
        }
    }

    /// Another quota from now on; what is spent stays spent.
    pub(super) fn change(&mut self, quota: Quota, now: MonoTime) {
        self.fill(now);
        self.quota = quota;
        self.bucket = self.bucket.min(self.depth());
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Requests that count against the quota now.
    pub(super) fn used(&mut self, now: MonoTime) -> u32 {
        while self.leaving.front().is_some_and(|&at| at <= now) {
            self.leaving.pop_front();
        }
        self.in_flight + u32::try_from(self.leaving.len()).unwrap_or(u32::MAX)
    }

    /// Requests per second that planning may count on.
    pub(super) fn rate(&self, now: MonoTime) -> f64 {
        self.quota.per_second() * self.squeeze.share(now, self.quota.per)
    }

    /// When the next request may go out: `now`, later, or [`MonoTime::FAR`] if only an answer can make room.
    pub(super) fn free_at(&mut self, now: MonoTime) -> MonoTime {
        self.fill(now);
        let filled = if self.bucket >= 1.0 {
            now
        } else {
            // A nanosecond more, so that rounding never wakes us just before the request is there.
            now + Duration::from_secs_f64((1.0 - self.bucket) / self.rate(now)) + Duration::from_nanos(1)
        };
        if self.used(now) < self.quota.requests {
            return filled;
        }
        self.leaving.front().map_or(MonoTime::FAR, |&at| at.max(filled))
    }

    /// A request goes out. Only when [`Budget::free_at`] says `now`.
    pub(super) fn spend(&mut self, now: MonoTime) {
        debug_assert!(self.free_at(now) <= now, "a request beyond the quota");
        self.bucket -= 1.0;
        self.in_flight += 1;
    }

    /// A request was answered, or timed out.
    pub(super) fn answered(&mut self, now: MonoTime) {
        self.in_flight -= 1;
        self.leaving.push_back(now + self.quota.per);
    }

    /// Takes a 429 into account. Says whether someone else must spend the quota too, our own count being too low for
    /// it: the rate is then lowered, but not below `least` requests per second, and recovers.
    pub(super) fn throttled(&mut self, least: f64, now: MonoTime) -> bool {
        /// Above this share of the quota a 429 may well be our own doing.
        const OWN: f64 = 0.7;
        let foreign = f64::from(self.used(now)) < OWN * f64::from(self.quota.requests);
        if foreign {
            self.fill(now);
            self.squeeze.tighten(least / self.quota.per_second(), now, self.quota.per);
        }
        foreign
    }

    fn depth(&self) -> f64 {
        f64::from(self.quota.requests / 60).max(1.0)
    }

    fn fill(&mut self, now: MonoTime) {
        let more = now.since(self.filled_at).as_secs_f64() * self.rate(now);
        self.bucket = (self.bucket + more).min(self.depth());
        self.filled_at = self.filled_at.max(now);
    }
}

/// Which share of the quota is ours while someone else spends it too.
#[derive(Debug)]
struct Squeeze {
    share: f64,
    since: MonoTime,
}

impl Squeeze {
    /// What a window without a foreign 429 gives back.
    const RECOVERY: f64 = 0.05;
    const TIGHTER: f64 = 0.8;
    const TIGHTEST: f64 = 0.2;

    fn share(&self, now: MonoTime, window: Duration) -> f64 {
        let windows = now.since(self.since).as_secs_f64() / window.as_secs_f64();
        (self.share + Self::RECOVERY * windows).min(1.0)
    }

    fn tighten(&mut self, least: f64, now: MonoTime, window: Duration) {
        let share = self.share(now, window);
        self.share = (share * Self::TIGHTER).max(Self::TIGHTEST).max(least).min(share);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Quota = Quota { requests: 120, per: Duration::from_secs(30) };

    fn at(secs: f64) -> MonoTime {
        MonoTime::ZERO + Duration::from_secs_f64(secs)
    }

    /// Sends whenever it may, answers after `latency`; returns when each request went out.
    fn greedy(latency: f64, seconds: f64) -> Vec<f64> {
        let mut budget = Budget::new(SMALL, at(0.0));
        let mut answers = VecDeque::new();
        let mut sent = Vec::new();
        let mut now = at(0.0);
        while now < at(seconds) {
            while answers.front().is_some_and(|&a| a <= now) {
                answers.pop_front();
                budget.answered(now);
            }
            let free = budget.free_at(now);
            if free <= now {
                budget.spend(now);
                sent.push(now.as_secs_f64());
                answers.push_back(now + Duration::from_secs_f64(latency));
            } else {
                now = free.min(answers.front().copied().unwrap_or(MonoTime::FAR));
            }
        }
        sent
    }

    #[test]
    fn no_window_of_the_services_holds_more_than_the_quota() {
        for latency in [0.001, 0.15, 3.0] {
            let sent = greedy(latency, 300.0);
            // The service may count each request anywhere between send and answer: the worst window takes the first
            // ones late and the last ones early. (A microsecond for what the floats lose.)
            for (first, start) in sent.iter().enumerate() {
                let counted =
                    sent[first..].iter().take_while(|&&s| s < start + latency + 30.0 - 1e-6).count();
                assert!(counted <= 120, "{counted} in a window, answers after {latency} s");
            }
        }
    }

    #[test]
    fn sends_are_paced_and_the_bucket_starts_empty() {
        let sent = greedy(0.001, 20.0);
        assert!(sent[0] > 0.24, "the first request waits for the bucket: {}", sent[0]);
        let in_first_second = sent.iter().take_while(|&&s| s < 1.0).count();
        assert!(in_first_second <= 4, "{in_first_second} requests in the first second");
    }

    #[test]
    fn a_foreign_429_lowers_the_rate_and_time_gives_it_back() {
        let mut budget = Budget::new(SMALL, at(0.0));
        assert!(budget.throttled(0.0, at(1.0)), "nothing of ours is in the window");
        assert!(budget.rate(at(1.0)) < 3.3);
        assert!(budget.rate(at(1.0 + 120.0)) > 3.99);
    }
}
