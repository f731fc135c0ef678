//! How long to wait before the next attempt to connect.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// A connection that lived this long was a good one: the next attempt comes soon again.
const STEADY: Duration = Duration::from_secs(10);

/// Exponential with full jitter: each wait is drawn evenly from 0 to a bound that doubles, so that a
/// thousand hosts that lost the same broker do not come back in step.
///
/// After Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// The first wait is at most `base`, the bound doubles up to `cap`.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, attempt: 0 }
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        self.bound().mul_f64(fraction())
    }

    /// Takes note that a connection ended after `lived`.
    pub fn ended(&mut self, lived: Duration) {
        if lived >= STEADY {
            self.attempt = 0;
        }
    }

    /// The longest that the next wait can be; each call doubles it.
    fn bound(&mut self) -> Duration {
        let doubled = self.base.saturating_mul(2_u32.saturating_pow(self.attempt));
        self.attempt = self.attempt.saturating_add(1);
        doubled.min(self.cap)
    }
}

/// Even in 0 to 1, from the keys that the system gives each hash map: a wait needs no better source.
fn fraction() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

impl Default for Backoff {
    /// Up to 200 ms first, up to 15 s in the end.
    fn default() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(15))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let bounds: Vec<_> = (0..6).map(|_| backoff.bound().as_millis()).collect();
        assert_eq!(bounds, [100, 200, 400, 800, 1_000, 1_000]);
        backoff.attempt = u32::MAX;
        assert_eq!(backoff.bound(), Duration::from_secs(1));
    }

    #[test]
    fn only_a_steady_connection_starts_it_anew() {
        let mut backoff = Backoff {
            attempt: 5,
            ..Backoff::default()
        };
        backoff.ended(Duration::from_secs(9));
        assert_eq!(backoff.attempt, 5);
        backoff.ended(STEADY);
        assert_eq!(backoff.attempt, 0);
    }

    #[test]
    fn waits_are_spread_over_the_whole_range() {
        let base = Duration::from_secs(1);
        let waits: Vec<_> = (0..200).map(|_| Backoff::new(base, base).wait()).collect();
        assert!(waits.iter().all(|wait| *wait <= base));
        assert!(waits.iter().any(|wait| *wait < base / 4), "no short wait in 200");
        assert!(waits.iter().any(|wait| *wait > base * 3 / 4), "no long wait in 200");
    }
}
