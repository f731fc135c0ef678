//! How fast the clients of one name may publish: a bucket that fills with time and that each message takes from.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

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

/// The rates of all names that have a client.
#[derive(Debug, Default)]
pub(super) struct Paces {
    names: Mutex<HashMap<Box<str>, Weak<Mutex<Rate>>>>,
}

impl Paces {
    /// What clients of `name` share; who has none has a rate alone.
    pub(super) fn of(&self, name: Option<&str>, messages_per_s: u64, bytes_per_s: u64) -> Pace {
        let new = || Arc::new(Mutex::new(Rate::new(messages_per_s, bytes_per_s)));
        let Some(name) = name else { return Pace(new()) };
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rate) = names.get(name).and_then(Weak::upgrade) {
            return Pace(rate);
        }
        // Those that nobody has any more go before the table grows.
        if names.len() == names.capacity() {
            names.retain(|_, rate| rate.strong_count() > 0);
        }
        let rate = new();
        names.insert(name.into(), Arc::downgrade(&rate));
        Pace(rate)
    }
}

/// How fast a client may go on, with all others of its name.
#[derive(Debug, Clone)]
pub(crate) struct Pace(Arc<Mutex<Rate>>);

impl Pace {
    /// Takes note of a message, and tells how long its client is not to be read; `None` where it may go on.
    pub(crate) fn take(&self, bytes: usize, now_ns: u64) -> Option<Duration> {
        let mut rate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rate.take(bytes, now_ns)
    }
}

/// Messages and bytes a second.
#[derive(Debug, Clone, Copy)]
struct Rate {
    messages: Bucket,
    bytes: Bucket,
}

impl Rate {
    /// Messages and bytes a second, 0 for any number; as many as a second has may come at once.
    const fn new(messages_per_s: u64, bytes_per_s: u64) -> Self {
        Self {
            messages: Bucket::new(messages_per_s),
            bytes: Bucket::new(bytes_per_s),
        }
    }

    /// Takes note of a message, and tells how long its client is not to be read; `None` where it may go on.
    fn take(&mut self, bytes: usize, now_ns: u64) -> Option<Duration> {
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
    fn clients_of_one_name_share_what_it_may() {
        let paces = Paces::default();
        let of = |name: Option<&str>| paces.of(name, 10, 0);
        let now = 1_000 * SECOND_NS;
        let free = |pace: &Pace| (0..100).take_while(|_| pace.take(1, now).is_none()).count();
        let (one, two) = (of(Some("a")), of(Some("a")));
        assert_eq!((free(&one), free(&two), free(&of(Some("b")))), (10, 0, 10));
        assert_eq!((free(&of(None)), free(&of(None))), (10, 10), "nobody is not one");
        for n in 0..1_000 {
            drop(of(Some(&n.to_string())));
        }
        assert!(paces.names.lock().unwrap().len() < 100, "who has left is forgotten");
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
