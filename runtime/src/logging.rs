//! `tracing` to standard error, and a limit for sites that would flood it.

use std::{
    io::{self, IsTerminal},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use thiserror::Error;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

use crate::trail;

/// The environment variable with the filter, such as `debug` or `info,broker=trace`.
pub const ENV: &str = "FORESHADOW_LOG";

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error("{ENV}={filter:?}: {reason}; try \"info\" or \"info,broker=debug\"")]
    Filter {
        /// What was set.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another part of the process has set it up before.
    #[error("logging is set up already")]
    Twice,
}

/// rumqttd logs each connection of its router and a panic of it; the broker reports what matters itself.
const QUIET: &str = "rumqttd=off";

/// Sends log lines to standard error: in colour on a terminal where `NO_COLOR` is not set, filtered by
/// [`ENV`], or else by `default` (`info`).
///
/// # Errors
/// [`LoggingError`].
pub fn init(default: &str) -> Result<(), LoggingError> {
    let filter = std::env::var(ENV).ok().filter(|f| !f.is_empty());
    let filter = filter.unwrap_or_else(|| default.to_owned());
    let parsed = EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(|error| LoggingError::Filter {
        filter,
        reason: error.to_string(),
    })?;
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colour);
    // What is kept for good is not for the filter of what is shown.
    let all = Registry::default().with(lines.with_filter(parsed)).with(trail::layer());
    all.try_init().map_err(|_| LoggingError::Twice)
}

/// Lets one line through each interval and counts the others, for sites that a peer can make noisy.
///
/// ```
/// # use std::time::Duration;
/// static REFUSED: runtime::LogLimit = runtime::LogLimit::new(Duration::from_secs(10));
/// # let clock = runtime::Clock::system();
/// if let Some(suppressed) = REFUSED.pass(clock.monotonic_ns()) {
///     tracing::warn!(suppressed, "frame refused");
/// }
/// ```
#[derive(Debug)]
pub struct LogLimit {
    every_ns: u64,
    /// 0 = open.
    closed_until_ns: AtomicU64,
    suppressed: AtomicU64,
}

impl LogLimit {
    /// One line each `every`.
    pub const fn new(every: Duration) -> Self {
        let whole = every.as_secs().saturating_mul(1_000_000_000);
        Self {
            every_ns: whole.saturating_add(every.subsec_nanos() as u64),
            closed_until_ns: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// `Some(lines held back since the last one)` when a line may be written at `now_ns`, the monotonic time.
    pub fn pass(&self, now_ns: u64) -> Option<u64> {
        let until = self.closed_until_ns.load(Ordering::Relaxed);
        let next = now_ns.saturating_add(self.every_ns).max(1);
        let open = now_ns >= until
            && self
                .closed_until_ns
                .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if open {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// Lets what is rare through, each of it, and holds back a flood: some at once, and from then on one each interval. For what
/// is kept, so that nobody drives out what was kept before.
#[derive(Debug, Clone)]
pub struct LogBudget {
    at_once: u64,
    every_ns: u64,
    /// When all of the budget is there again.
    whole_ns: u64,
    suppressed: u64,
}

impl LogBudget {
    /// `at_once` lines, at least one, and another one each `every`.
    pub const fn new(at_once: u32, every: Duration) -> Self {
        let whole = every.as_secs().saturating_mul(1_000_000_000);
        Self {
            at_once: if at_once == 0 { 1 } else { at_once as u64 },
            every_ns: whole.saturating_add(every.subsec_nanos() as u64),
            whole_ns: 0,
            suppressed: 0,
        }
    }

    /// `Some(lines held back since the last one)` when a line may be written at `now_ns`, the monotonic time.
    pub fn pass(&mut self, now_ns: u64) -> Option<u64> {
        let used_ns = self.whole_ns.saturating_sub(now_ns);
        if used_ns > self.every_ns.saturating_mul(self.at_once - 1) {
            self.suppressed += 1;
            return None;
        }
        self.whole_ns = self.whole_ns.max(now_ns).saturating_add(self.every_ns);
        Some(std::mem::take(&mut self.suppressed))
    }

    /// Whether it is as a new one: all of it is there, and nothing was held back.
    pub const fn is_whole(&self, now_ns: u64) -> bool {
        self.suppressed == 0 && self.whole_ns <= now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_held_back_and_what_is_rare_is_not() {
        let mut budget = LogBudget::new(3, Duration::from_nanos(10));
        let mut pass = |now: u64| budget.pass(now);
        assert_eq!(
            [1, 1, 1, 1, 5, 10].map(&mut pass),
            [Some(0), Some(0), Some(0), None, None, None]
        );
        assert_eq!([11, 12, 21].map(&mut pass), [Some(3), None, Some(1)]);
        // Seldom enough: each of it, for ever.
        assert!((10..100).all(|n| pass(n * 10) == Some(0)));
        assert!(!budget.is_whole(999) && budget.is_whole(1_030));
        budget.pass(1_030);
        assert!((0..5).any(|_| budget.pass(1_031).is_none()));
        assert!(!budget.is_whole(u64::MAX), "it has something to tell");
    }

    #[test]
    fn one_line_passes_each_interval() {
        let limit = LogLimit::new(Duration::from_nanos(10));
        let passed: Vec<_> = [0, 1, 9, 10, 11, 40].into_iter().map(|now| limit.pass(now)).collect();
        assert_eq!(passed, [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn an_endless_interval_lets_one_line_through() {
        let limit = LogLimit::new(Duration::MAX);
        assert_eq!(limit.pass(5), Some(0));
        assert_eq!(limit.pass(u64::MAX - 1), None);
    }
}
