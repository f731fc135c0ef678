//! Moments of history with what came after them, sampled so that any history fits the time and memory there is.

use rand::{RngExt, rngs::StdRng, seq::SliceRandom};

use crate::{
    features::{self, Moment, describe},
    scaler::Scaler,
    window::{Layout, RESOURCES, ResourceRow},
};

/// Rows that a moment must have before it.
pub(crate) const PAST_ROWS: usize = 30;

/// The rows of one host that may be learnt from: every moment's future ends before `end`.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) rows: Vec<ResourceRow>,
    pub(crate) end: usize,
}

/// Sampled moments, in flat arrays of N.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dataset {
    /// `[N, T * I]`
    sequences: Vec<f32>,
    /// `[N, R * F]`
    statistics: Vec<f32>,
    /// `[N, R * H]`: (value - newest) / scale, 0 where unknown.
    truths: Vec<f32>,
    /// `[N, R * H]`: how much each truth counts, 0 where unknown.
    weights: Vec<f32>,
    sequence_width: usize,
    statistics_width: usize,
    truths_width: usize,
}

/// One batch, gathered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub(crate) moments: usize,
    pub(crate) sequences: Vec<f32>,
    pub(crate) statistics: Vec<f32>,
    pub(crate) truths: Vec<f32>,
    pub(crate) weights: Vec<f32>,
}

impl Dataset {
    /// Samples at most `most` moments, spread evenly over all stretches.
    pub(crate) fn sample(layout: &Layout, stretches: &[Stretch], most: usize, random: &mut StdRng) -> Self {
        let mut set = Self {
            sequence_width: layout.inputs * Layout::input_width(),
            statistics_width: RESOURCES * features::count(layout),
            truths_width: RESOURCES * layout.horizons.len(),
            ..Self::default()
        };
        let farthest = layout.horizons.iter().copied().max().unwrap_or(1);
        let usable = |stretch: &Stretch| stretch.end.saturating_sub(farthest + PAST_ROWS);
        let total: usize = stretches.iter().map(usable).sum();
        let stride = (total as f64 / most.max(1) as f64).max(1.0);
        for stretch in stretches {
            let end = PAST_ROWS + usable(stretch);
            let mut place = PAST_ROWS as f64;
            while (place as usize) < end {
                let row = place as usize + (random.random::<f64>() * (stride - 1.0)) as usize;
                set.push(layout, stretch, row.min(end - 1));
                place += stride;
            }
        }
        set.balance();
        set
    }

    /// How many moments there are.
    pub(crate) fn len(&self) -> usize {
        self.truths.len().checked_div(self.truths_width).unwrap_or(0)
    }

    /// Which resources have a truth at all.
    pub(crate) fn present(&self) -> [bool; RESOURCES] {
        let mut present = [false; RESOURCES];
        let horizons = (self.truths_width / RESOURCES).max(1);
        for (index, weight) in self.weights.iter().enumerate() {
            if let Some(slot) = present.get_mut(index / horizons % RESOURCES) {
                *slot |= *weight > 0.0;
            }
        }
        present
    }

    /// The scaler of these moments' features.
    pub(crate) fn scaler(&self) -> Scaler {
        Scaler::fit(
            self.statistics.chunks(self.statistics_width.max(1)),
            self.statistics_width,
        )
    }

    /// Standardises the features in place.
    pub(crate) fn standardise(&mut self, scaler: &Scaler) {
        self.statistics
            .chunks_mut(self.statistics_width.max(1))
            .for_each(|row| scaler.apply(row));
    }

    /// Gathers the moments with these indices.
    pub(crate) fn batch(&self, indices: &[usize]) -> Batch {
        let gather = |from: &[f32], width: usize| -> Vec<f32> {
            let rows = indices
                .iter()
                .filter_map(|&index| from.get(index * width..(index + 1) * width));
            rows.flatten().copied().collect()
        };
        Batch {
            moments: indices.len(),
            sequences: gather(&self.sequences, self.sequence_width),
            statistics: gather(&self.statistics, self.statistics_width),
            truths: gather(&self.truths, self.truths_width),
            weights: gather(&self.weights, self.truths_width),
        }
    }

    fn push(&mut self, layout: &Layout, stretch: &Stretch, row: usize) {
        let Some(rows) = stretch.rows.get(..=row) else { return };
        let moment = describe(layout, rows);
        for resource in 0..RESOURCES {
            let root = weight(&moment, resource);
            for horizon in &layout.horizons {
                let later = stretch.rows.get(row + horizon).and_then(|row| row.get(resource));
                let now = rows.last().and_then(|row| row.get(resource));
                let change = later.zip(now).zip(moment.scale.get(resource));
                let z = change.map_or(f32::NAN, |((later, now), scale)| (later - now) / scale);
                self.truths.push(if z.is_finite() { z } else { 0.0 });
                self.weights.push(if z.is_finite() { root } else { 0.0 });
            }
        }
        self.sequences.extend(moment.sequence);
        self.statistics.extend(moment.statistics);
    }

    /// Gives every resource that is there the same mean weight, 1.
    fn balance(&mut self) {
        let horizons = (self.truths_width / RESOURCES).max(1);
        let (mut sums, mut counts) = ([0.0_f64; RESOURCES], [0.0_f64; RESOURCES]);
        for (index, weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            let resource = index / horizons % RESOURCES;
            if let (Some(sum), Some(count)) = (sums.get_mut(resource), counts.get_mut(resource)) {
                *sum += f64::from(*weight);
                *count += 1.0;
            }
        }
        for (index, weight) in self.weights.iter_mut().enumerate() {
            let resource = index / horizons % RESOURCES;
            if let (Some(sum), Some(count)) = (sums.get(resource), counts.get(resource)) {
                *weight *= (count / sum.max(f64::MIN_POSITIVE)) as f32;
            }
        }
    }
}

/// Square root of the scale as a share of the reference: between equal weight for every series and the weight
/// of absolute errors.
fn weight(moment: &Moment, resource: usize) -> f32 {
    match (moment.scale.get(resource), moment.reference.get(resource)) {
        (Some(scale), Some(reference)) => (scale / reference).sqrt(),
        _ => 0.0,
    }
}

/// An endless random order of `count` indices without replacement, `size` at a time.
pub(crate) struct Shuffle {
    order: Vec<usize>,
    at: usize,
}

impl Shuffle {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            order: (0..count).collect(),
            at: count,
        }
    }

    pub(crate) fn next(&mut self, size: usize, random: &mut StdRng) -> &[usize] {
        let size = size.min(self.order.len());
        if self.at + size > self.order.len() {
            self.order.shuffle(random);
            self.at = 0;
        }
        let from = self.at;
        self.at += size;
        self.order.get(from..self.at).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::config::Config;

    fn stretch(count: usize, end: usize) -> Stretch {
        let row = |row: usize| {
            [
                row as f32 / 1_000.0,
                if row.is_multiple_of(7) { f32::NAN } else { 0.5 },
                3.0,
                4.0,
                f32::NAN,
            ]
        };
        Stretch {
            rows: (0..count).map(row).collect(),
            end,
        }
    }

    #[test]
    fn no_truth_lies_beyond_the_end_and_the_number_is_bounded() {
        let layout = Layout::new(&Config::for_step(60));
        let mut random = StdRng::seed_from_u64(1);
        let set = Dataset::sample(&layout, &[stretch(500, 400)], 10_000, &mut random);
        assert_eq!(set.len(), 400 - 15 - PAST_ROWS);
        let few = Dataset::sample(&layout, &[stretch(500, 400), stretch(3_000, 2_000)], 100, &mut random);
        assert!((95..=102).contains(&few.len()), "{}", few.len());
        assert_eq!(Dataset::sample(&layout, &[stretch(40, 30)], 100, &mut random).len(), 0);
        assert_eq!(set.present(), [true, true, true, true, false]);
    }

    #[test]
    fn truths_are_changes_over_the_scale_and_gaps_do_not_count() {
        let layout = Layout::new(&Config::for_step(60));
        let mut random = StdRng::seed_from_u64(1);
        let stretch = stretch(300, 300);
        let set = Dataset::sample(&layout, std::slice::from_ref(&stretch), 10_000, &mut random);
        let row = PAST_ROWS + 5;
        let moment = describe(&layout, &stretch.rows[..=row]);
        let batch = set.batch(&[5]);
        assert!(
            (batch.truths[1] - 0.010 / moment.scale[0]).abs() < 1e-3,
            "{:?}",
            batch.truths
        );
        // Row 35 is a gap of memory: no truth of it counts.
        assert_eq!(&batch.weights[3..6], &[0.0; 3]);
        let mean = set.weights.iter().step_by(15).sum::<f32>() / set.len() as f32;
        assert!((mean - 1.0).abs() < 0.2, "{mean}");
        assert!(
            set.sequences
                .iter()
                .chain(&set.statistics)
                .chain(&set.truths)
                .all(|value| value.is_finite())
        );
    }

    #[test]
    fn a_shuffle_shows_each_once_before_any_twice() {
        let (mut shuffle, mut random) = (Shuffle::new(10), StdRng::seed_from_u64(1));
        let mut seen: Vec<usize> = (0..5).flat_map(|_| shuffle.next(2, &mut random).to_vec()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        assert_eq!(Shuffle::new(3).next(8, &mut random).len(), 3);
    }
}
