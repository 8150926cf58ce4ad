//! How long requests take, in a few hundred bytes.

use std::time::Duration;

/// Counts of durations in classes that each are an eighth wider than the one before, from 1 ms to over 20 minutes.
#[derive(Clone, Debug)]
pub(super) struct Latency {
    counts: [u32; Self::CLASSES],
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: [0; Self::CLASSES] }
    }
}

impl Latency {
    const CLASSES: usize = 128;
    const GROWTH: f64 = 1.125;

    /// Counts one more.
    pub(super) fn record(&mut self, took: Duration) {
        let class = (took.as_secs_f64() * 1e3).max(1.0).log(Self::GROWTH).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 and up; `as` saturates"
        )]
        let class = (class as usize).min(Self::CLASSES - 1);
        self.counts[class] = self.counts[class].saturating_add(1);
    }

    /// No more than one in a hundred took longer than this; `None` when there was nothing to count.
    pub(super) fn p99(&self) -> Option<Duration> {
        let total: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let mut above = total.div_ceil(100);
        if total == 0 {
            return None;
        }
        let mut longest = Self::GROWTH.powf(Self::CLASSES as f64 - 1.0) / 1e3;
        for &count in self.counts.iter().rev() {
            if u64::from(count) >= above {
                break;
            }
            above -= u64::from(count);
            longest /= Self::GROWTH;
        }
        Some(Duration::from_secs_f64(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p99(spans: impl IntoIterator<Item = u64>) -> Option<u64> {
        let mut latency = Latency::default();
        for ms in spans {
            latency.record(Duration::from_millis(ms));
        }
        latency.p99().map(|p99| u64::try_from(p99.as_millis()).unwrap())
    }

    #[test]
    fn it_lies_within_an_eighth_above_the_real_figure() {
        assert_eq!(p99([]), None);
        let one = p99([150]).unwrap();
        assert!((150..=168).contains(&one), "{one}");
        let among_many = p99((0..1_000).map(|i| if i < 11 { 2_000 } else { 100 })).unwrap();
        assert!((2_000..=2_250).contains(&among_many), "{among_many}");
        let below = p99((0..1_000).map(|i| if i < 9 { 2_000 } else { 100 })).unwrap();
        assert!((100..=113).contains(&below), "{below}");
    }

    #[test]
    fn what_is_beyond_the_scale_is_counted_at_its_end() {
        assert!(p99([u64::MAX / 2]).unwrap() > 1_200_000);
        assert_eq!(p99([0]), Some(1));
    }
}
