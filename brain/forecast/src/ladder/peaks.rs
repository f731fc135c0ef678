//! Peaks of one series: how high it goes within a time, calibrated as forecasts are.

use std::collections::VecDeque;

use shadow::{PEAK_QUANTILES, Peak, Resource, UnixMs};

use crate::calibrate::Tracker;

/// How often what was said of peaks is remembered, to be judged.
const JUDGED_EVERY_MS: i64 = 60_000;

/// What was said at one moment.
#[derive(Debug, Clone)]
struct Pending {
    made_ms: UnixMs,
    /// By hold.
    said: Vec<[f32; 6]>,
}

/// The peaks of one series over several holds.
#[derive(Debug, Clone)]
pub(crate) struct Peaks {
    resource: Resource,
    /// Each hold in seconds, with what holds its quantiles to their coverage.
    holds: Vec<(u32, Tracker<6>)>,
    pending: VecDeque<Pending>,
}

/// Peaks that were said and the highest value that came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RipePeak {
    pub(crate) hold_s: u32,
    pub(crate) made_ms: UnixMs,
    pub(crate) truth: f32,
    pub(crate) quantiles: [f32; 6],
}

impl Peaks {
    pub(crate) fn new(resource: Resource, holds_s: &[u32]) -> Self {
        Self {
            resource,
            holds: holds_s.iter().map(|&hold_s| (hold_s, Tracker::new())).collect(),
            pending: VecDeque::new(),
        }
    }

    pub(crate) fn rewind(&mut self) {
        self.pending.clear();
    }

    /// Judges what was said of times that ended after `since_ms` and up to `until_ms`. `truth` tells the highest value
    /// after one moment up to another, if it is known.
    pub(crate) fn judge(
        &mut self,
        since_ms: UnixMs,
        until_ms: UnixMs,
        truth: impl Fn(UnixMs, UnixMs) -> Option<f32>,
    ) -> Vec<RipePeak> {
        let mut ripe = Vec::new();
        for pending in &self.pending {
            for ((hold_s, tracker), said) in self.holds.iter_mut().zip(&pending.said) {
                let end_ms = pending.made_ms.saturating_add(1_000 * i64::from(*hold_s));
                let due = since_ms < end_ms && end_ms <= until_ms;
                let Some(truth) = due.then(|| truth(pending.made_ms, end_ms)).flatten() else {
                    continue;
                };
                tracker.learn(truth, said, PEAK_QUANTILES);
                ripe.push(RipePeak {
                    hold_s: *hold_s,
                    made_ms: pending.made_ms,
                    truth,
                    quantiles: *said,
                });
            }
        }
        let longest_ms = self.holds.last().map_or(0, |(hold_s, _)| 1_000 * i64::from(*hold_s));
        self.pending.retain(|pending| pending.made_ms + longest_ms > until_ms);
        ripe
    }

    /// What is published of `network`'s quantiles by hold, none of it above `most`. What is said once a minute, or at each row
    /// of `step_ms` where these are longer, is remembered when `remember` says so.
    pub(crate) fn say(
        &mut self,
        (time_ms, step_ms): (UnixMs, i64),
        network: &[[f32; 6]],
        scale: f32,
        most: f32,
        remember: bool,
    ) -> Vec<Peak> {
        let mut lowest = [0.0_f32; 6];
        let said: Vec<[f32; 6]> = self
            .holds
            .iter()
            .zip(network)
            .map(|((_, tracker), quantiles)| {
                let mut published = tracker.publish(*quantiles, scale);
                for (value, lowest) in published.iter_mut().zip(&mut lowest) {
                    *value = value.max(*lowest).min(most);
                    *lowest = *value;
                }
                published
            })
            .collect();
        let peak = |((hold_s, _), quantiles): (&(u32, Tracker<6>), &[f32; 6])| Peak {
            resource: self.resource,
            made_ms: time_ms,
            hold_s: *hold_s,
            quantiles: quantiles.map(f64::from),
        };
        let peaks = self.holds.iter().zip(&said).map(peak).collect();
        if remember && time_ms.rem_euclid(JUDGED_EVERY_MS) < step_ms {
            self.pending.push_back(Pending { made_ms: time_ms, said });
        }
        peaks
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn peaks_are_held_to_their_coverage_and_longer_times_have_no_lower_ones() {
        let mut random = StdRng::seed_from_u64(5);
        let values: Vec<f32> = (0..12_000).map(|_| random.random()).collect();
        let mut peaks = Peaks::new(Resource::Cpu, &[60, 300]);
        let (mut counted, mut covered) = ([0_u32; 2], [0_u32; 2]);
        for (row, value) in values.iter().enumerate() {
            let now_ms = 60_000 * row as i64;
            let truth = |from_ms: UnixMs, to_ms: UnixMs| {
                let rows = (from_ms / 60_000) as usize + 1..=(to_ms / 60_000) as usize;
                values[rows].iter().copied().reduce(f32::max)
            };
            for ripe in peaks.judge(now_ms - 60_000, now_ms, truth) {
                let hold = usize::from(ripe.hold_s == 300);
                if row > 4_000 {
                    counted[hold] += 1;
                    covered[hold] += u32::from(ripe.truth <= ripe.quantiles[3]);
                }
            }
            let said = peaks.say((now_ms, 60_000), &[[*value; 6], [0.5; 6]], 1.0, 1.0, true);
            let near = said[0].quantiles.iter().zip(&said[1].quantiles);
            assert!(
                said[0].quantiles.is_sorted() && near.clone().all(|(near, far)| near <= far),
                "{said:?}"
            );
            assert!(said[1].quantiles[5] <= 1.0);
        }
        for (covered, counted) in covered.into_iter().zip(counted) {
            let share = f64::from(covered) / f64::from(counted);
            assert!((share - 0.95).abs() < 0.03, "{share} of {counted}");
        }
    }

    #[test]
    fn on_a_fine_grid_one_a_minute_is_remembered() {
        let mut peaks = Peaks::new(Resource::Cpu, &[60]);
        for row in 0..12 {
            peaks.say((10_000 * row, 10_000), &[[0.5; 6]], 0.1, 1.0, true);
        }
        let ripe = peaks.judge(0, 120_000, |_, _| Some(0.7));
        assert_eq!(ripe.iter().map(|ripe| ripe.made_ms).collect::<Vec<_>>(), [0, 60_000]);
        assert!(peaks.judge(120_000, 999_000, |_, _| Some(0.7)).is_empty());
    }
}
