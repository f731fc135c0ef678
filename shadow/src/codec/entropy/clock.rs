//! Times of samples, and what their rates are taken over.
//!
//! A sampler wakes up by a timer and is a little late each time. What is told of a gap is how late it is against
//! the timer's period; times in whole milliseconds then follow from the gaps, but for what is lost in rounding.

use super::{
    super::{CodecError, MAX_SPAN_MS},
    ABSENT,
    coder::{Coder, Context, GAP, TIME},
    grid::Moment,
    is_level,
};
use crate::UnixMs;

/// A period holds while gaps are within this share of it.
const NEAR: u32 = 8;

/// Gaps whose activity is 2^this or more are told by its scale: residuals lose as many low bits, which travel raw.
const SCALED: u32 = 10;

/// How many classes their activity has: 0, and two for each octave below `2^SCALED`.
pub(super) const GAP_CLASSES: usize = 2 * SCALED as usize + 1;

/// Where times stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// When the last row was.
    last_ms: UnixMs,
    /// From the row before to the last one.
    step_ms: i64,
    /// What the timer waits; 0 before the first gap.
    pub(super) period_us: u32,
    /// How late the last row was, by the timer.
    late_us: i64,
    /// What it usually is, 16 times.
    usually: i64,
    /// Of what is told.
    activity: i64,
    /// Microseconds of the last row within its millisecond, as far as they are known.
    phase_us: i64,
    /// The last row's gap.
    gap_us: u32,
    /// The gap when it last changed by more than a third.
    ruling_us: u32,
}

impl Clock {
    /// The period that rows with `gaps_us` are told by: the one that stands if it is near, else their median.
    pub(super) fn period_for(&self, gaps_us: &[u32]) -> u32 {
        let mut known: Vec<u32> = gaps_us.iter().copied().filter(|&gap_us| gap_us > 0).collect();
        known.sort_unstable();
        let Some(&median) = known.get(known.len() / 2) else {
            return self.period_us;
        };
        if median.abs_diff(self.period_us) <= self.period_us / NEAR {
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

    /// Codes the gap of the next row; 0 = not known.
    pub(super) fn gap(&mut self, coder: &mut impl Coder, gap_us: u32) -> Result<u32, CodecError> {
        let expected = i64::from(self.period_us) + (self.usually >> 4) - self.late_us;
        let (class, shift) = class(self.activity);
        let context = Context {
            number: GAP + class,
            shift,
        };
        let residual = if gap_us == 0 {
            ABSENT
        } else {
            i64::from(gap_us) - expected
        };
        let residual = coder.residual(context, residual)?;
        if residual == ABSENT {
            return Ok(0);
        }
        let gap = is_level(residual).then(|| expected + residual);
        let gap_us = gap
            .and_then(|gap_us| u32::try_from(gap_us).ok())
            .filter(|&gap_us| gap_us > 0);
        let gap_us = gap_us.ok_or(CodecError::Invalid("gap"))?;
        self.activity += ((residual.abs() << 4) - self.activity) >> 2;
        self.late_us += i64::from(gap_us) - i64::from(self.period_us);
        if self.late_us.unsigned_abs() > u64::from(self.period_us) {
            self.late_us = 0;
        }
        self.usually += ((self.late_us << 4) - self.usually) >> 3;
        Ok(gap_us)
    }

    /// Goes on to the first row of a frame, whose time the frame tells.
    pub(super) fn begin(&mut self, start_ms: UnixMs, gap_us: u32) {
        let step_ms = start_ms.saturating_sub(self.last_ms);
        self.go(step_ms, gap_us);
        self.last_ms = start_ms;
    }

    /// Codes the time of the next row, whose gap is `gap_us`.
    pub(super) fn time(
        &mut self,
        coder: &mut impl Coder,
        gap_us: u32,
        time_ms: UnixMs,
    ) -> Result<Option<UnixMs>, CodecError> {
        let (context, expected) = match gap_us {
            0 => (TIME + 1, self.step_ms),
            _ => (TIME, (self.phase_us + i64::from(gap_us)) / 1_000),
        };
        let step_ms = time_ms.wrapping_sub(self.last_ms);
        let step_ms = expected + coder.number(context, step_ms.wrapping_sub(expected))?;
        if step_ms < 1 || step_ms > MAX_SPAN_MS as i64 {
            return Ok(None);
        }
        self.go(step_ms, gap_us);
        let time_ms = self.last_ms.checked_add(step_ms);
        self.last_ms = time_ms.unwrap_or(self.last_ms);
        Ok(time_ms)
    }

    fn go(&mut self, step_ms: i64, gap_us: u32) {
        let past_us = step_ms.saturating_mul(1_000);
        let phase_us = (self.phase_us + i64::from(gap_us)).saturating_sub(past_us);
        self.phase_us = if gap_us == 0 { 500 } else { phase_us.clamp(0, 999) };
        self.step_ms = step_ms.clamp(0, MAX_SPAN_MS as i64);
        self.gap_us = gap_us;
        let near = u64::from(gap_us) * 4 >= u64::from(self.ruling_us) * 3
            && u64::from(gap_us) * 3 <= u64::from(self.ruling_us) * 4;
        if !near {
            self.ruling_us = gap_us;
        }
    }
}

/// The class of an activity, and how many bits above the last class it is.
fn class(activity: i64) -> (usize, u32) {
    let activity = activity.max(0).unsigned_abs();
    let shift = (u64::BITS - activity.leading_zeros()).saturating_sub(SCALED);
    let scaled = activity >> shift;
    let class = scaled.checked_ilog2().map_or(0, |octave| {
        let half = if octave > 0 { scaled >> (octave - 1) & 1 } else { 0 };
        1 + 2 * octave as usize + usize::from(half == 1)
    });
    (class, shift)
}
