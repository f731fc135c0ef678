//! When a lab begins and ends, and in which steps its time goes.

use shadow::UnixMs;

use crate::trace::Trace;

/// Times below this are relative to a recording's start, not unix time (2001-09-09).
const RELATIVE_BELOW_MS: UnixMs = 1_000_000_000_000;
/// Where relative times begin: 2024-01-01 00:00 UTC.
const RELATIVE_START_MS: UnixMs = 1_704_067_200_000;
/// Steps of the grid, in seconds: each divides five minutes, so that every horizon is a whole number of steps.
const STEPS_S: [i64; 8] = [10, 15, 20, 30, 60, 100, 150, 300];

/// Virtual time of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the unit is part of each name")]
pub(crate) struct Timeline {
    /// The first step begins here; a multiple of the step.
    pub(crate) start_ms: UnixMs,
    /// The last sample lies at it or before.
    pub(crate) end_ms: UnixMs,
    /// Width of a step, and of the brain's grid.
    pub(crate) step_ms: i64,
}

impl Timeline {
    /// From the first to the last sample of all traces, in steps no finer than their coarsest.
    pub(crate) fn of(traces: &[Trace]) -> Self {
        let coarsest_ms = traces.iter().map(Trace::step_ms).max().unwrap_or(1);
        let step_ms = grid_step_ms(coarsest_ms);
        let times = || {
            traces
                .iter()
                .flat_map(|trace| [trace.times_ms.first(), trace.times_ms.last()])
                .flatten()
        };
        let times = || times().map(|&time| absolute(time));
        let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        let start_ms = first - first.rem_euclid(step_ms);
        let steps = ((last - start_ms + step_ms - 1) / step_ms).max(1);
        let end_ms = start_ms + steps * step_ms;
        Self {
            start_ms,
            end_ms,
            step_ms,
        }
    }

    /// The end of every step.
    pub(crate) fn steps(self) -> impl Iterator<Item = UnixMs> {
        let count = (self.end_ms - self.start_ms) / self.step_ms;
        (1..=count).map(move |step| self.start_ms + step * self.step_ms)
    }

    /// How long it is, in milliseconds.
    pub(crate) const fn length_ms(self) -> i64 {
        self.end_ms - self.start_ms
    }
}

/// Unix time of a trace's time, which may be relative.
pub(crate) const fn absolute(time_ms: UnixMs) -> UnixMs {
    if time_ms < RELATIVE_BELOW_MS {
        RELATIVE_START_MS + time_ms
    } else {
        time_ms
    }
}

/// The finest step that holds a sample of a trace with this distance of samples, which may be off by a fiftieth
/// (recorders drift); past five minutes, whole multiples of five.
fn grid_step_ms(trace_step_ms: i64) -> i64 {
    let least_ms = trace_step_ms - trace_step_ms / 50;
    let finest = STEPS_S.iter().map(|s| s * 1_000).find(|&step| step >= least_ms);
    finest.unwrap_or_else(|| (least_ms + 299_999) / 300_000 * 300_000)
}

#[cfg(test)]
mod tests {
    use shadow::Channel;

    use super::*;

    fn trace(times_ms: &[i64]) -> Trace {
        Trace {
            host: "web".into(),
            channels: vec![Channel::Cpu],
            unknown: vec![],
            times_ms: times_ms.to_vec(),
            rows: vec![[0.0; Channel::COUNT]; times_ms.len()],
        }
    }

    #[test]
    fn steps_cover_every_sample_and_divide_the_horizons() {
        let check = |times: &[i64], step_s: i64, steps: usize| {
            let timeline = Timeline::of(&[trace(times)]);
            assert_eq!(timeline.step_ms, step_s * 1_000, "{times:?}");
            assert_eq!(timeline.steps().count(), steps, "{times:?}");
            assert_eq!(timeline.steps().last(), Some(timeline.end_ms));
            assert!(timeline.start_ms <= absolute(times[0]) && absolute(times[times.len() - 1]) <= timeline.end_ms);
        };
        check(&[0, 2_000, 4_000, 9_999, 10_001], 10, 2);
        check(&[0, 60_000, 120_000], 60, 2);
        check(&[1_704_067_205_000, 1_704_067_505_000, 1_704_067_805_300], 300, 3);
        check(&[0, 700_000, 1_400_000], 900, 2);
    }
}
