//! What time it is, and when things are due.

use std::time::Duration;

use runtime::Clock;
use shadow::UnixMs;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{Config, config::Ticks, present::Present};

/// How often the clock is looked at, and views are published at most.
const SECOND: Duration = Duration::from_secs(1);
/// How often old rows are deleted.
const PRUNE_EVERY: Duration = Duration::from_mins(10);
/// Nothing is deleted by a clock that has not agreed with the monotonic one for so long. A clock that is wrong from the
/// start and for longer is not found out.
const PRUNE_AFTER_NS: u64 = 3_600_000_000_000;

/// What time it is.
#[derive(Debug)]
pub(crate) struct Time {
    pub(super) clock: Clock,
    /// `None` where ticks tell the time: it is virtual, and right by definition.
    present: Option<Present>,
}

impl Time {
    pub(crate) fn new(clock: Clock, ticks: Ticks) -> Self {
        let present = || Present::new(clock.now_ms(), clock.monotonic_ns());
        Self {
            present: (ticks == Ticks::EverySecond).then(present),
            clock,
        }
    }

    pub(super) fn now(&mut self) -> (UnixMs, u64) {
        let (wall_ms, monotonic_ns) = (self.clock.now_ms(), self.clock.monotonic_ns());
        let present = self.present.as_mut();
        (
            present.map_or(wall_ms, |present| present.at(wall_ms, monotonic_ns)),
            monotonic_ns,
        )
    }

    /// Whether what is old by this clock may be deleted.
    pub(super) fn is_trusted(&self) -> bool {
        let agreed = |present: &Present| present.agreed_ns(self.clock.monotonic_ns()) >= PRUNE_AFTER_NS;
        self.present.as_ref().is_none_or(agreed)
    }
}

/// When things are due.
pub(super) struct Timers {
    pub(super) tick: Option<Interval>,
    pub(super) flush: Interval,
    pub(super) publish: Interval,
    pub(super) prune: Interval,
}

impl Timers {
    pub(super) fn new(config: &Config) -> Self {
        let every = |period| {
            let mut interval = interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        Self {
            tick: (config.ticks == Ticks::EverySecond).then(|| every(SECOND)),
            flush: every(config.store.flush_every.duration()),
            publish: every(SECOND),
            prune: every(PRUNE_EVERY),
        }
    }
}

/// The next turn of `interval`; never, where there is none.
pub(super) async fn due(interval: Option<&mut Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}
