//! Times of samples, and what their rates are taken over.
//!
//! A sampler wakes up by a timer and is a little late each time. What is told of a gap is how late it is against
//! the timer's period; times in whole milliseconds then follow from the gaps, but for what is lost in rounding.

use super::{super::MAX_SPAN_MS, class::NONE, grid::Moment};
use crate::UnixMs;

/// A period holds while gaps are within this share of it.
const NEAR: u32 = 8;

/// Where times stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    /// When the last row was.
    pub(super) last_ms: UnixMs,
    /// From the row before to the last one.
    step_ms: i64,
    /// What the timer waits; 0 before the first gap.
    pub(super) period_us: u32,
    /// How late the last row was, by the timer.
    late_us: i64,
    /// What it usually is, 16 times.
    usually: i64,
    /// Classes of the last residuals of gaps and of times.
    pub(super) classes: [u8; 2],
    /// Microseconds of the last row within its millisecond, as far as they are known.
    phase_us: i64,
    /// The last row's gap.
    gap_us: u32,
    /// The gap when it last changed by more than a third.
    ruling_us: u32,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            last_ms: 0,
            step_ms: 0,
            period_us: 0,
            late_us: 0,
            usually: 0,
            classes: [NONE; 2],
            phase_us: 0,
            gap_us: 0,
            ruling_us: 0,
        }
    }
}

impl Clock {
    /// The period that rows with `gaps_us` are told by: the one that stands if it is near, else their median.
    pub(super) fn period_for(&self, gaps_us: &[u32]) -> u32 {
        let is_near = |gap_us: u32| gap_us.abs_diff(self.period_us) <= self.period_us / NEAR;
        if gaps_us.iter().all(|&gap_us| gap_us > 0 && is_near(gap_us)) {
            return self.period_us;
        }
        let mut known: Vec<u32> = gaps_us.iter().copied().filter(|&gap_us| gap_us > 0).collect();
        known.sort_unstable();
        let Some(&median) = known.get(known.len() / 2) else {
            return self.period_us;
        };
        if is_near(median) {
            return self.period_us;
        }
        // Whoever waits waits for whole milliseconds.
        median.saturating_add(500) / 1_000 * 1_000
    }

    /// Takes a new period.
    pub(super) const fn set_period(&mut self, period_us: u32) {
        self.period_us = period_us;
        self.late_us = 0;
        self.usually = 0;
    }

    /// The moment of the last row.
    pub(super) fn moment(&self) -> Moment {
        Moment::new(self.gap_us, self.ruling_us)
    }

    /// What the next gap is expected to be.
    pub(super) fn expected_gap(&self) -> i64 {
        i64::from(self.period_us) + (self.usually >> 4) - self.late_us
    }

    /// Goes on by a gap that is known.
    pub(super) fn follow_gap(&mut self, gap_us: u32) {
        self.late_us += i64::from(gap_us) - i64::from(self.period_us);
        if self.late_us.unsigned_abs() > u64::from(self.period_us) {
            self.late_us = 0;
        }
        self.usually += ((self.late_us << 4) - self.usually) >> 3;
    }

    /// How many milliseconds after the last row the next one is expected to be, whose gap is `gap_us`.
    pub(super) fn expected_step(&self, gap_us: u32) -> i64 {
        match gap_us {
            0 => self.step_ms,
            _ => (self.phase_us + i64::from(gap_us)) / 1_000,
        }
    }

    /// Goes on to the next row.
    pub(super) fn follow_time(&mut self, time_ms: UnixMs, gap_us: u32) {
        let step_ms = time_ms.saturating_sub(self.last_ms);
        let past_us = step_ms.saturating_mul(1_000);
        let phase_us = (self.phase_us + i64::from(gap_us)).saturating_sub(past_us);
        self.phase_us = if gap_us == 0 { 500 } else { phase_us.clamp(0, 999) };
        self.step_ms = step_ms.clamp(0, MAX_SPAN_MS as i64);
        self.last_ms = time_ms;
        self.gap_us = gap_us;
        let near = u64::from(gap_us) * 4 >= u64::from(self.ruling_us) * 3
            && u64::from(gap_us) * 3 <= u64::from(self.ruling_us) * 4;
        if !near {
            self.ruling_us = gap_us;
        }
    }
}
