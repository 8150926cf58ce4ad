//! Chance without state: every draw is a function of (seed, purpose, number), so the same run has the same faults.

use std::time::Duration;

use uuid::Uuid;

/// What a draw is for; draws for different purposes do not go together.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Whether a request fails, and how.
    Fault,
    /// Which of the statuses a failing request gets.
    Status,
    /// How long an answer takes.
    Latency,
    /// How long a request is on its way.
    Travel,
    /// How long a token lives.
    TokenLife,
    /// The code that a person types to sign in.
    UserCode,
    /// The id of a request.
    RequestId,
    /// The order of the answers in a batch.
    Order,
    /// The object id of an app's service principal.
    Principal,
}

/// 64 bits for (seed, purpose, number). This is SplitMix64's output function over a mix of the three.
#[must_use]
pub fn bits(seed: u64, purpose: Purpose, number: u64) -> u64 {
    let stream = mix(seed ^ mix(purpose as u64 + 1));
    mix(stream.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

/// A number in [0, 1) for (seed, purpose, number).
#[must_use]
pub fn unit(seed: u64, purpose: Purpose, number: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float has")]
    let top = (bits(seed, purpose, number) >> 11) as f64;
    top / (1u64 << 53) as f64
}

/// A duration from `min` to `max` for (seed, purpose, number); `min` when `max` is not above it.
#[must_use]
pub fn between(seed: u64, purpose: Purpose, number: u64, min: Duration, max: Duration) -> Duration {
    min + max.saturating_sub(min).mul_f64(unit(seed, purpose, number))
}

/// An id of the shape of a random UUID.
#[must_use]
pub fn id(seed: u64, purpose: Purpose, number: u64) -> Uuid {
    let high = bits(seed, purpose, number);
    uuid::Builder::from_random_bytes(Uuid::from_u64_pair(high, mix(high)).into_bytes()).into_uuid()
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_and_spread() {
        let draws: Vec<f64> = (0..10_000).map(|n| unit(7, Purpose::Fault, n)).collect();
        assert_eq!(draws, (0..10_000).map(|n| unit(7, Purpose::Fault, n)).collect::<Vec<_>>());
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        let below = draws.iter().filter(|draw| **draw < 0.1).count();
        assert!((900..1100).contains(&below), "{below} of 10,000 below a tenth");
        assert_ne!(bits(7, Purpose::Fault, 1), bits(8, Purpose::Fault, 1));
        assert_ne!(bits(7, Purpose::Fault, 1), bits(7, Purpose::Latency, 1));
    }
}
