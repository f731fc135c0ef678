//! Time, injected. Only this file asks the system for it.

use std::sync::{Arc, Mutex, PoisonError};

use rustix::time::{ClockId, clock_gettime};

const NS_PER_MS: u64 = 1_000_000;

/// Where a part reads the time. Cheap to clone; all clones of a manual clock move together.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System { start_ns: u64 },
    Manual(Arc<Mutex<Manual>>),
}

#[derive(Debug)]
struct Manual {
    wall_ms: i64,
    monotonic_ns: u64,
}

impl Clock {
    /// The system's clocks. Monotonic time begins at 0 with this call.
    pub fn system() -> Self {
        Self(Source::System {
            start_ns: boottime_ns(),
        })
    }

    /// A clock that stands at `start_ms` until it is set. Its monotonic time begins at 0.
    pub fn manual(start_ms: i64) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(Manual {
            wall_ms: start_ms,
            monotonic_ns: 0,
        }))))
    }

    /// Milliseconds of the unix clock. It may jump, in both directions.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System { .. } => system_ms(),
            Source::Manual(manual) => lock(manual).wall_ms,
        }
    }

    /// Nanoseconds since this clock began. Never falls, whatever the unix clock does, and goes on while the machine
    /// is suspended.
    #[inline]
    pub fn monotonic_ns(&self) -> u64 {
        match &self.0 {
            Source::System { start_ns } => boottime_ns().saturating_sub(*start_ns),
            Source::Manual(manual) => lock(manual).monotonic_ns,
        }
    }

    /// Sets a manual clock to `wall_ms`; monotonic time follows forward, and stands still when `wall_ms`
    /// lies in the past. Does nothing to the system's clock.
    pub fn set(&self, wall_ms: i64) {
        if let Source::Manual(manual) = &self.0 {
            let mut manual = lock(manual);
            let ahead_ms = u64::try_from(wall_ms.saturating_sub(manual.wall_ms)).unwrap_or(0);
            manual.monotonic_ns = manual.monotonic_ns.saturating_add(ahead_ms.saturating_mul(NS_PER_MS));
            manual.wall_ms = wall_ms;
        }
    }

    /// Sets the unix time of a manual clock and leaves its monotonic time alone, as a corrected system
    /// clock would. Does nothing to the system's clock.
    pub fn jump(&self, wall_ms: i64) {
        if let Source::Manual(manual) = &self.0 {
            lock(manual).wall_ms = wall_ms;
        }
    }

    /// Whether the time is set by hand.
    pub fn is_manual(&self) -> bool {
        matches!(self.0, Source::Manual(_))
    }
}

/// Unix time, by the same way as [`boottime_ns`]: an agent looks at both at each sample.
fn system_ms() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec.saturating_mul(1_000).saturating_add(now.tv_nsec / 1_000_000)
}

/// Since the machine was started, suspended time included (`clock_gettime(2)`).
fn boottime_ns() -> u64 {
    #[cfg(target_os = "linux")]
    const ID: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const ID: ClockId = ClockId::Monotonic;
    let now = clock_gettime(ID);
    let (seconds, ns) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds.saturating_mul(1_000_000_000).saturating_add(ns)
}

/// Two plain numbers cannot be left half written, so a poisoned lock is as good as any.
fn lock(manual: &Mutex<Manual>) -> std::sync::MutexGuard<'_, Manual> {
    manual.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_set() {
        let clock = Clock::manual(1_000);
        let other = clock.clone();
        assert_eq!((clock.now_ms(), clock.monotonic_ns()), (1_000, 0));
        clock.set(1_250);
        assert_eq!((other.now_ms(), other.monotonic_ns()), (1_250, 250 * NS_PER_MS));
        clock.set(900);
        assert_eq!((other.now_ms(), other.monotonic_ns()), (900, 250 * NS_PER_MS));
        clock.set(901);
        assert_eq!(other.monotonic_ns(), 251 * NS_PER_MS);
        clock.jump(5_000_000);
        assert_eq!((other.now_ms(), other.monotonic_ns()), (5_000_000, 251 * NS_PER_MS));
    }

    #[test]
    fn extreme_settings_saturate() {
        let clock = Clock::manual(i64::MIN);
        clock.set(i64::MAX);
        assert_eq!(clock.now_ms(), i64::MAX);
        clock.set(i64::MIN);
        clock.set(i64::MAX);
        assert_eq!(clock.monotonic_ns(), u64::MAX);
    }

    #[test]
    fn the_system_clock_cannot_be_set() {
        let clock = Clock::system();
        clock.set(0);
        clock.jump(0);
        assert!(clock.now_ms() > 1_600_000_000_000);
        assert!(!clock.is_manual());
        let before = clock.monotonic_ns();
        assert!(clock.clone().monotonic_ns() >= before);
    }
}
