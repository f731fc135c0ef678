//! How fast one client may publish: a bucket that fills with time and that each message takes from. Pure.

use std::time::Duration;

const SECOND_NS: u64 = 1_000_000_000;

/// A bucket that holds what may be taken in one second.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// A second; 0 for as much as you like.
    rate: u64,
    /// When it would have been empty, in nanoseconds: what is in it is the time since then.
    empty_ns: u64,
}

impl Bucket {
    const fn new(rate: u64) -> Self {
        Self { rate, empty_ns: 0 }
    }

    /// Takes `n`, and tells how long to wait for it to be there. Never more than once its content in advance.
    fn take(&mut self, n: u64, now_ns: u64) -> u64 {
        if self.rate == 0 {
            return 0;
        }
        let cost = u128::from(n) * u128::from(SECOND_NS) / u128::from(self.rate);
        let oldest = now_ns.saturating_sub(SECOND_NS);
        self.empty_ns = self
            .empty_ns
            .max(oldest)
            .saturating_add(u64::try_from(cost).unwrap_or(u64::MAX));
        self.empty_ns.saturating_sub(now_ns)
    }
}

/// The rates of one client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    messages: Bucket,
    bytes: Bucket,
}

impl Rate {
    /// Messages and bytes a second, 0 for any number; as many as a second has may come at once.
    pub(crate) const fn new(messages_per_s: u64, bytes_per_s: u64) -> Self {
        Self {
            messages: Bucket::new(messages_per_s),
            bytes: Bucket::new(bytes_per_s),
        }
    }

    /// Takes note of a message, and tells how long its client is not to be read; `None` where it may go on.
    pub(crate) fn take(&mut self, bytes: usize, now_ns: u64) -> Option<Duration> {
        let wait = self.messages.take(1, now_ns).max(self.bytes.take(bytes as u64, now_ns));
        (wait > 0).then(|| Duration::from_nanos(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goes through `n` messages of `bytes`, waiting as told, and returns the seconds that it took.
    fn run(rate: &mut Rate, n: u64, bytes: usize) -> u64 {
        let from = 50 * SECOND_NS;
        let mut now = from;
        for _ in 0..n {
            now += rate
                .take(bytes, now)
                .map_or(0, |wait| u64::try_from(wait.as_nanos()).unwrap());
        }
        (now - from) / SECOND_NS
    }

    #[test]
    fn a_second_may_come_at_once_and_the_rest_waits() {
        assert_eq!(run(&mut Rate::new(0, 0), 1_000_000, 1_000_000), 0);
        assert_eq!(run(&mut Rate::new(100, 0), 100, 1), 0);
        assert_eq!(run(&mut Rate::new(100, 0), 1_100, 1), 10);
        assert_eq!(run(&mut Rate::new(100, 1_000), 1_100, 100), 109);
    }

    #[test]
    fn who_was_silent_for_long_has_one_second_and_no_more() {
        let mut rate = Rate::new(10, 0);
        let now = 1_000 * SECOND_NS;
        let free = (0..100).take_while(|_| rate.take(1, now).is_none()).count();
        assert_eq!(free, 10);
        // One huge message waits its time, and nothing overflows.
        assert!(Rate::new(0, 1).take(usize::MAX, now).is_some());
    }
}
