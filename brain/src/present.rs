//! The present, from two clocks that may disagree: the wall clock, which is set, and the monotonic one, which is
//! not. Pure.
//!
//! A brain that believed a wrong clock at once would push its history out of memory, forget its hosts and delete what
//! is old by that clock. So a jump is followed only when it has stood for [`DOUBTED_NS`]; until then the monotonic clock
//! goes on. Frames from the future are refused meanwhile, and stay with their agents.

use shadow::UnixMs;

/// A wall clock that moved by less against the monotonic one is followed at once, in milliseconds.
pub(crate) const FOLLOWED_MS: i64 = 60_000;

/// How long a jump must stand before it is followed, on the monotonic clock.
const DOUBTED_NS: u64 = 300_000_000_000;

/// What the wall clock is worth.
#[derive(Debug)]
pub(crate) struct Present {
    /// Wall clock less monotonic clock, as it is believed, in milliseconds.
    offset_ms: i64,
    doubt: Option<Doubt>,
    /// Since when nothing has been doubted, on the monotonic clock.
    steady_ns: u64,
}

/// A wall clock that has jumped.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    offset_ms: i64,
    since_ns: u64,
}

impl Present {
    /// Believes what the clocks say at first.
    pub(crate) fn new(wall_ms: UnixMs, monotonic_ns: u64) -> Self {
        Self {
            offset_ms: wall_ms.saturating_sub(millis(monotonic_ns)),
            doubt: None,
            steady_ns: monotonic_ns,
        }
    }

    /// The present.
    pub(crate) fn at(&mut self, wall_ms: UnixMs, monotonic_ns: u64) -> UnixMs {
        let offset_ms = wall_ms.saturating_sub(millis(monotonic_ns));
        if is_near(offset_ms, self.offset_ms) {
            if self.doubt.take().is_some() {
                tracing::warn!("the system's clock is back where it was");
                self.steady_ns = monotonic_ns;
            }
            self.offset_ms = offset_ms;
        } else {
            self.jumped(offset_ms, monotonic_ns);
        }
        millis(monotonic_ns).saturating_add(self.offset_ms)
    }

    fn jumped(&mut self, offset_ms: i64, monotonic_ns: u64) {
        let by_ms = offset_ms.saturating_sub(self.offset_ms);
        let known = self.doubt.filter(|doubt| is_near(doubt.offset_ms, offset_ms));
        let since_ns = known.map_or(monotonic_ns, |doubt| doubt.since_ns);
        if known.is_none() {
            tracing::warn!(
                by_ms,
                "the system's clock has jumped; followed if it stays there for 5 min"
            );
        }
        if monotonic_ns.saturating_sub(since_ns) < DOUBTED_NS {
            self.doubt = Some(Doubt { offset_ms, since_ns });
            return;
        }
        tracing::warn!(by_ms, "the jump of the system's clock is followed");
        self.offset_ms = offset_ms;
        self.doubt = None;
        self.steady_ns = monotonic_ns;
    }

    /// For how long the clocks have agreed, in nanoseconds; 0 while they do not.
    pub(crate) fn agreed_ns(&self, monotonic_ns: u64) -> u64 {
        match self.doubt {
            Some(_) => 0,
            None => monotonic_ns.saturating_sub(self.steady_ns),
        }
    }
}

const fn is_near(one_ms: i64, other_ms: i64) -> bool {
    one_ms.saturating_sub(other_ms).saturating_abs() <= FOLLOWED_MS
}

fn millis(ns: u64) -> i64 {
    i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn a_clock_that_is_slewed_or_set_by_little_is_followed() {
        let mut present = Present::new(1_000, 0);
        assert_eq!(present.at(2_000, SECOND), 2_000);
        assert_eq!(present.at(33_000, 2 * SECOND), 33_000);
        assert_eq!(present.at(4_000, 3 * SECOND), 4_000);
        assert_eq!(present.agreed_ns(3 * SECOND), 3 * SECOND);
    }

    #[test]
    fn a_jump_that_is_taken_back_never_was() {
        for by_ms in [400 * DAY_MS, -400 * DAY_MS, i64::MAX / 2, i64::MIN / 2] {
            let mut present = Present::new(DAY_MS, 0);
            for second in 0..299 {
                let told = present.at(DAY_MS + by_ms, second * SECOND);
                assert_eq!(told, DAY_MS + 1_000 * i64::try_from(second).unwrap(), "{by_ms}");
            }
            assert_eq!(present.agreed_ns(298 * SECOND), 0);
            assert_eq!(present.at(DAY_MS + 299_000, 299 * SECOND), DAY_MS + 299_000);
            assert_eq!(present.agreed_ns(300 * SECOND), SECOND);
        }
    }

    #[test]
    fn a_jump_that_stands_is_followed() {
        for by_ms in [DAY_MS, -DAY_MS / 2] {
            let mut present = Present::new(DAY_MS, 0);
            let wall = |second: u64| DAY_MS + by_ms + 1_000 * i64::try_from(second).unwrap();
            for second in 0..300 {
                assert_ne!(present.at(wall(second), second * SECOND), wall(second));
            }
            assert_eq!(present.at(wall(300), 300 * SECOND), wall(300));
            assert_eq!(present.agreed_ns(310 * SECOND), 10 * SECOND);
        }
    }

    #[test]
    fn a_clock_that_jumps_about_is_not_believed() {
        let mut present = Present::new(DAY_MS, 0);
        for second in 0..3_600 {
            let wall = DAY_MS * i64::try_from(2 + second / 200).unwrap();
            let told = present.at(wall, second * SECOND);
            assert_eq!(told, DAY_MS + 1_000 * i64::try_from(second).unwrap());
        }
    }
}
