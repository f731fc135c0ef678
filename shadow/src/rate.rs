//! Two readings of a counter make a rate: wraps, resets and gaps.

use crate::Reading;

/// The longest gap that a rate is taken over. Past it the average would hide what happened.
const MAX_GAP_US: u64 = 60_000_000;

/// `counts` of `unit` over `gap_us` microseconds, a second. Codec 2 computes rates with it, so that exact values
/// are told as `counts`: a rate that is to be told so must come from here too.
pub fn per_second(counts: f64, unit: f64, gap_us: u32) -> f64 {
    per_seconds(counts, unit, f64::from(gap_us) / 1e6)
}

/// The same over so many seconds.
pub(crate) fn per_seconds(counts: f64, unit: f64, gap_s: f64) -> f64 {
    counts * unit / gap_s
}

/// Microseconds between two readings of a monotonic clock in nanoseconds, so rounded that gaps add up.
///
/// 0 when a rate cannot be taken: no time has passed, or more than a minute.
pub fn gap_us(then_ns: u64, now_ns: u64) -> u32 {
    let gap_us = (now_ns / 1_000).saturating_sub(then_ns / 1_000);
    if gap_us > MAX_GAP_US {
        return 0;
    }
    u32::try_from(gap_us).unwrap_or(0)
}

/// No time at which a counter is read.
const NEVER: u64 = u64::MAX;

/// Turns a counter into a rate a second.
///
/// Sixteen bytes: an agent has many of them, and touches all of them at each sample, when they are out of every cache.
#[derive(Debug, Clone, Copy)]
pub struct RateMeter {
    count: u64,
    then_ns: u64,
}

impl Default for RateMeter {
    fn default() -> Self {
        Self {
            count: 0,
            then_ns: NEVER,
        }
    }
}

impl RateMeter {
    /// The rate since the last call, a second. `now_ns` is monotonic.
    ///
    /// The first reading after a start, a reset or a gap of more than a minute has no rate yet and is
    /// [`Reading::STALE`]. A counter that fell is taken as reset, unless it is a 32 bit one that wrapped:
    /// then both readings lie within an eighth of either end of its range.
    pub fn update(&mut self, count: u64, now_ns: u64) -> Reading {
        let now = Self { count, then_ns: now_ns };
        let last = std::mem::replace(self, now);
        // Never is later than any time, and no gap from there is one.
        let gap_us = gap_us(last.then_ns, now_ns);
        match difference(last.count, count) {
            Some(counts) if gap_us > 0 => Reading::new(per_second(counts as f64, 1.0, gap_us)),
            _ => Reading::STALE,
        }
    }

    /// Forgets the last count: the next reading has no rate.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

fn difference(before: u64, after: u64) -> Option<u64> {
    const RANGE_32: u64 = 1 << 32;
    const NEAR_END: u64 = RANGE_32 / 8;
    match after.checked_sub(before) {
        Some(counts) => Some(counts),
        None if (RANGE_32 - NEAR_END..RANGE_32).contains(&before) && after < NEAR_END => {
            Some(after + RANGE_32 - before)
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn rates_survive_wraps_and_refuse_resets_and_gaps() {
        let check = |first: (u64, u64), second: (u64, u64), rate: Option<f64>| {
            let mut meter = RateMeter::default();
            assert_eq!(meter.update(first.0, first.1), Reading::STALE);
            assert_eq!(meter.update(second.0, second.1).value(), rate, "{first:?} {second:?}");
        };
        check((100, SECOND), (300, 2 * SECOND), Some(200.0));
        check((100, SECOND), (150, SECOND + SECOND / 10), Some(500.0));
        check(((1 << 32) - 50, 0), (50, SECOND), Some(100.0));
        check((5_000, 0), (10, SECOND), None);
        check((0, 0), (10, 61 * SECOND), None);
        check((0, SECOND), (10, SECOND), None);
        check((0, 2 * SECOND), (10, SECOND), None);
    }
}
