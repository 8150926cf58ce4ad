//! The throttle: requests counted in windows as they arrive, and what a throttled client is told.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::keeper::time::MonoTime;

/// So many requests in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// How many are served.
    pub requests: u32,
    /// In how many seconds.
    pub per_s: u32,
}

impl Limit {
    /// Per app and tenant: 1,500 in 30 s. Source: Microsoft's page "Microsoft Graph service-specific throttling
    /// limits", cloud communication.
    pub const PRESENCE: Self = Self { requests: 1_500, per_s: 30 };
    /// Per app over all tenants: 130,000 in 10 s. Source: the same page.
    pub const GLOBAL: Self = Self { requests: 130_000, per_s: 10 };

    const fn per(self) -> Duration {
        Duration::from_secs(self.per_s as u64)
    }
}

/// How a window lies over time. Which one Graph has is not documented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// Every span of the length counts.
    #[default]
    Sliding,
    /// Only spans that begin at a multiple of the length count.
    Fixed,
}

/// The arrivals of one window's length, and the most that were ever in it.
///
/// A request counts at the moment it arrives, throttled or not, and no longer when exactly one window's length has
/// passed. The peak is that of the sliding window, whatever kind decides.
#[derive(Debug, Default)]
pub struct Window {
    arrivals: VecDeque<MonoTime>,
    fixed: FixedCount,
    peak: usize,
}

#[derive(Debug, Default)]
struct FixedCount {
    number: u64,
    count: usize,
}

impl Window {
    /// Counts one arrival at `now`, which never goes back. Returns how long to wait when it is one too many.
    pub fn arrive(&mut self, now: MonoTime, limit: Limit, kind: WindowKind) -> Option<Duration> {
        self.forget(now, limit);
        self.arrivals.push_back(now);
        self.peak = self.peak.max(self.arrivals.len());
        let length = u64::try_from(limit.per().as_nanos()).unwrap_or(u64::MAX).max(1);
        let number = now.as_nanos() / length;
        if self.fixed.number != number {
            self.fixed = FixedCount { number, count: 0 };
        }
        self.fixed.count += 1;
        let allowed = limit.requests as usize;
        match kind {
            WindowKind::Sliding if self.arrivals.len() > allowed => {
                // The next one is served when no more than the limit less one are left.
                let last_to_leave = self.arrivals[self.arrivals.len() - allowed.max(1)];
                Some((last_to_leave + limit.per()).since(now))
            }
            WindowKind::Fixed if self.fixed.count > allowed => {
                Some(Duration::from_nanos((number + 1).saturating_mul(length) - now.as_nanos()))
            }
            _ => None,
        }
    }

    /// How many are in the window that ends at `now`.
    pub fn used(&mut self, now: MonoTime, limit: Limit) -> usize {
        self.forget(now, limit);
        self.arrivals.len()
    }

    /// The most that were in any window of this length since the start or the last reset.
    #[must_use]
    pub const fn peak(&self) -> usize {
        self.peak
    }

    /// Takes what is in the window now as the peak.
    pub fn reset_peak(&mut self, now: MonoTime, limit: Limit) {
        self.peak = self.used(now, limit);
    }

    fn forget(&mut self, now: MonoTime, limit: Limit) {
        while self.arrivals.front().is_some_and(|first| now.since(*first) >= limit.per()) {
            self.arrivals.pop_front();
        }
    }
}

/// In which form a throttled client is told how long to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfterForm {
    /// Whole seconds, rounded up.
    #[default]
    Integer,
    /// Seconds with three decimals, rounded up, as Microsoft's page showed for years.
    Decimal,
    /// An HTTP date.
    Date,
    /// Not at all.
    Absent,
    /// "0", whatever is true.
    Zero,
    /// "-5".
    Negative,
    /// A number that does not fit into 32 bits.
    Huge,
}

/// The value of a Retry-After header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// As it goes out.
    Text(String),
    /// The date this long from the moment of the answer.
    Date(Duration),
}

impl RetryAfter {
    /// The wait in the given form.
    #[must_use]
    pub fn of(wait: Duration, form: RetryAfterForm) -> Option<Self> {
        let text = match form {
            RetryAfterForm::Integer => whole_seconds_up(wait).to_string(),
            RetryAfterForm::Decimal => {
                let millis = wait.as_nanos().div_ceil(1_000_000);
                format!("{}.{:03}", millis / 1_000, millis % 1_000)
            }
            RetryAfterForm::Date => return Some(Self::Date(wait)),
            RetryAfterForm::Absent => return None,
            RetryAfterForm::Zero => "0".to_owned(),
            RetryAfterForm::Negative => "-5".to_owned(),
            RetryAfterForm::Huge => "99999999999".to_owned(),
        };
        Some(Self::Text(text))
    }

    /// The header's value, given the wall time of the answer.
    #[must_use]
    pub fn text(&self, wall: SystemTime) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Date(wait) => {
                httpdate::fmt_http_date(wall + Duration::from_secs(whole_seconds_up(*wait) + 1))
            }
        }
    }

    /// What a careful client makes of it: the seconds it says, zero or more. `None` when it says none.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Date(wait) => Some(*wait),
            Self::Text(text) => {
                text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            }
        }
    }
}

const fn whole_seconds_up(wait: Duration) -> u64 {
    wait.as_secs() + (wait.subsec_nanos() > 0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Limit = Limit { requests: 5, per_s: 30 };

    fn at(secs: f64) -> MonoTime {
        MonoTime::ZERO + Duration::from_secs_f64(secs)
    }

    #[test]
    fn a_sliding_window_counts_every_span_of_its_length() {
        let mut window = Window::default();
        for second in [0.0, 10.0, 20.0, 29.0, 29.5] {
            assert_eq!(window.arrive(at(second), FIVE, WindowKind::Sliding), None, "{second}");
        }
        // The sixth in the window of (−0.1, 29.9]: it waits until the one at 10 s has left as well.
        assert_eq!(window.arrive(at(29.9), FIVE, WindowKind::Sliding), Some(Duration::from_millis(10_100)));
        assert_eq!(
            window.arrive(at(40.0), FIVE, WindowKind::Sliding),
            None,
            "0 s and 10 s have left exactly now"
        );
        assert_eq!(window.peak(), 6);
        assert_eq!(window.used(at(59.5), FIVE), 2);
    }

    #[test]
    fn throttled_requests_count_too() {
        let mut window = Window::default();
        let refused = (0..60).filter(|n| {
            window.arrive(at(f64::from(*n)), Limit { requests: 1, per_s: 2 }, WindowKind::Sliding).is_some()
        });
        assert_eq!(refused.count(), 59, "who never pauses is never served again");
    }

    #[test]
    fn a_fixed_window_begins_anew_at_multiples_of_its_length() {
        let mut window = Window::default();
        for n in 0..5 {
            assert_eq!(window.arrive(at(29.0 + f64::from(n) / 10.0), FIVE, WindowKind::Fixed), None);
        }
        assert_eq!(window.arrive(at(29.5), FIVE, WindowKind::Fixed), Some(Duration::from_millis(500)));
        for n in 0..5 {
            assert_eq!(window.arrive(at(30.0 + f64::from(n) / 10.0), FIVE, WindowKind::Fixed), None);
        }
        assert_eq!(window.peak(), 11, "the peak is still that of the sliding window");
    }

    #[test]
    fn resetting_the_peak_keeps_what_is_in_the_window() {
        let mut window = Window::default();
        for second in [0.0, 1.0, 20.0] {
            window.arrive(at(second), FIVE, WindowKind::Sliding);
        }
        window.reset_peak(at(35.0), FIVE);
        assert_eq!(window.peak(), 1);
    }

    #[test]
    fn every_form_of_retry_after_is_what_it_says() {
        let wait = Duration::from_millis(2_128);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let text = |form| RetryAfter::of(wait, form).map(|retry| retry.text(wall));
        assert_eq!(text(RetryAfterForm::Integer).as_deref(), Some("3"));
        assert_eq!(text(RetryAfterForm::Decimal).as_deref(), Some("2.128"));
        assert_eq!(text(RetryAfterForm::Date).as_deref(), Some("Sun, 06 Nov 1994 08:49:41 GMT"));
        let tight = RetryAfter::of(Duration::from_nanos(1_999_000_001), RetryAfterForm::Decimal);
        assert_eq!(tight, Some(RetryAfter::Text("2.000".to_owned())), "never sooner than it is true");
        assert_eq!(text(RetryAfterForm::Absent), None);
        assert_eq!(text(RetryAfterForm::Zero).as_deref(), Some("0"));
        assert_eq!(text(RetryAfterForm::Negative).as_deref(), Some("-5"));
        assert_eq!(text(RetryAfterForm::Huge).as_deref(), Some("99999999999"));
    }

    #[test]
    fn a_careful_client_reads_no_negative_wait() {
        let wait = |text: &str| RetryAfter::Text(text.to_owned()).wait();
        assert_eq!(wait("17"), Some(Duration::from_secs(17)));
        assert_eq!(wait("2.5"), Some(Duration::from_millis(2_500)));
        assert_eq!(wait("-5"), None);
        assert_eq!(wait("soon"), None);
    }
}
