//! Moments of history with what came after them, sampled so that any history fits the time and memory there is.

use std::ops::{ControlFlow, Range};

use rand::{RngExt, rngs::StdRng, seq::SliceRandom};
use rayon::prelude::*;
use shadow::UnixMs;

use crate::{
    features::{self, Columns, Levels, describe, sequence},
    scaler::Scaler,
    window::{Layout, Look},
};

/// Rows that a moment must have before it.
pub(crate) const PAST_ROWS: usize = 30;

/// Moments that are described between two reports of progress, and those that one thread takes at a time.
const BLOCK: usize = 4_096;
const CHUNK: usize = 128;

const HOUR_MS: i64 = 3_600_000;

/// The rows of one host that may be learnt from: every moment's future ends before `end`.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) columns: Columns,
    pub(crate) end: usize,
    pub(crate) first_ms: UnixMs,
    /// How much each row counts; empty: 1 each.
    pub(crate) weights: Vec<f32>,
}

/// One row of one stretch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    stretch: usize,
    row: usize,
}

/// Sampled moments, in flat arrays of N.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dataset {
    stretches: Vec<Stretch>,
    /// `[N]`
    places: Vec<Place>,
    /// `[N, C]`: the scale of each channel.
    scales: Vec<f32>,
    /// `[N, R * F]`
    statistics: Vec<f32>,
    /// What came at each horizon, and the peaks.
    values: Answers,
    peaks: Answers,
    layout: Option<Layout>,
    widths: Widths,
}

/// What came after each moment, in flat arrays of N, R targets, and A answers a target.
#[derive(Debug, Clone, Default)]
struct Answers {
    /// `[N, R * A]`: (value - newest) / scale, 0 where unknown.
    truths: Vec<f32>,
    /// `[N, R * A]`: how much each truth counts, 0 where unknown.
    weights: Vec<f32>,
    /// R * A.
    width: usize,
    targets: usize,
}

/// What came after the moments of a batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Came {
    pub(crate) truths: Vec<f32>,
    pub(crate) weights: Vec<f32>,
}

/// Values of one moment in each array.
#[derive(Debug, Clone, Copy, Default)]
struct Widths {
    scales: usize,
    statistics: usize,
}

/// One batch, gathered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub(crate) moments: usize,
    /// By look.
    pub(crate) sequences: Vec<Vec<f32>>,
    pub(crate) statistics: Vec<f32>,
    pub(crate) values: Came,
    pub(crate) peaks: Came,
}

impl Dataset {
    /// Samples at most `most` moments, spread evenly over all stretches: from a day after the begin of each on, or from a
    /// quarter of a shorter one. `watch` is told how many of how many are described; `None` when it says stop.
    pub(crate) fn sample(
        layout: &Layout,
        stretches: Vec<Stretch>,
        most: usize,
        random: &mut StdRng,
        watch: &dyn Fn(usize, usize) -> ControlFlow<()>,
    ) -> Option<Self> {
        let widths = Widths {
            scales: layout.channels,
            statistics: layout.targets.len() * features::count(layout),
        };
        let places = places(layout, &stretches, most, random);
        let count = places.len();
        let mut set = Self {
            stretches,
            scales: vec![0.0; count * widths.scales],
            statistics: vec![0.0; count * widths.statistics],
            values: Answers::new(count, layout.targets.len(), layout.horizons.len()),
            peaks: Answers::new(count, layout.targets.len(), layout.holds.len()),
            places,
            layout: Some(layout.clone()),
            widths,
        };
        for block in 0..count.div_ceil(BLOCK) {
            if watch(block * BLOCK, count).is_break() {
                return None;
            }
            set.describe(layout, block * BLOCK..(count.min((block + 1) * BLOCK)));
        }
        set.values.balance();
        set.peaks.balance();
        Some(set)
    }

    /// How many moments there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Which targets have a truth at all.
    pub(crate) fn present(&self) -> Vec<bool> {
        let mut present = vec![false; self.values.targets];
        for (index, weight) in self.values.weights.iter().enumerate() {
            if let Some(slot) = present.get_mut(self.values.target_of(index)) {
                *slot |= *weight > 0.0;
            }
        }
        present
    }

    /// The scaler of these moments' features.
    pub(crate) fn scaler(&self) -> Scaler {
        let width = self.widths.statistics;
        Scaler::fit(self.statistics.chunks(width.max(1)), width)
    }

    /// Standardises the features in place.
    pub(crate) fn standardise(&mut self, scaler: &Scaler) {
        self.statistics
            .par_chunks_mut(self.widths.statistics.max(1))
            .for_each(|row| scaler.apply(row));
    }

    /// Gathers the moments with these indices.
    pub(crate) fn batch(&self, indices: &[usize]) -> Batch {
        let looks = self.layout.iter().flat_map(|layout| &layout.looks);
        Batch {
            moments: indices.len(),
            sequences: looks.map(|look| self.sequences(look, indices)).collect(),
            statistics: gather(&self.statistics, self.widths.statistics, indices),
            values: self.values.gather(indices),
            peaks: self.peaks.gather(indices),
        }
    }

    /// What an LSTM reads of the moments with these indices.
    fn sequences(&self, look: &Look, indices: &[usize]) -> Vec<f32> {
        let Some(layout) = &self.layout else {
            return Vec::new();
        };
        let width = look.ends.len() * look.width(layout.channels);
        let mut all = vec![0.0; indices.len() * width];
        let chunks = all.par_chunks_mut(CHUNK * width).zip(indices.par_chunks(CHUNK));
        chunks.for_each(|(all, indices)| {
            let mut one = Vec::with_capacity(width);
            for (slot, index) in all.chunks_mut(width).zip(indices) {
                one.clear();
                self.sequence(look, *index, &mut one);
                copy(&one, slot);
            }
        });
        all
    }

    fn sequence(&self, look: &Look, index: usize, out: &mut Vec<f32>) {
        let width = self.widths.scales;
        let place = self.places.get(index);
        let stretch = place.and_then(|place| self.stretches.get(place.stretch));
        let scales = self.scales.get(index * width..(index + 1) * width);
        if let (Some(layout), Some(place), Some(stretch), Some(scales)) = (&self.layout, place, stretch, scales) {
            sequence(layout, look, &stretch.columns, place.row, scales, out);
        }
    }

    /// Fills in the moments of a range.
    fn describe(&mut self, layout: &Layout, range: Range<usize>) {
        let Widths { scales, statistics } = self.widths;
        let (values, peaks) = (self.values.width, self.peaks.width);
        let of = |width: usize| range.start * width..range.end * width;
        let parts = (
            self.places.get(range.clone()),
            self.scales.get_mut(of(scales)),
            self.statistics.get_mut(of(statistics)),
            self.values.range(&range),
            self.peaks.range(&range),
        );
        let (Some(places), Some(all_scales), Some(all_statistics), Some(all_values), Some(all_peaks)) = parts else {
            return;
        };
        let stretches = &self.stretches;
        places
            .par_chunks(CHUNK)
            .zip(all_scales.par_chunks_mut(CHUNK * scales.max(1)))
            .zip(all_statistics.par_chunks_mut(CHUNK * statistics.max(1)))
            .zip(all_values.0.par_chunks_mut(CHUNK * values.max(1)))
            .zip(all_values.1.par_chunks_mut(CHUNK * values.max(1)))
            .zip(all_peaks.0.par_chunks_mut(CHUNK * peaks.max(1)))
            .zip(all_peaks.1.par_chunks_mut(CHUNK * peaks.max(1)))
            .for_each(
                |((((((places, scales_of), statistics_of), truths), weights), peaks_of), counts_of)| {
                    let mut levels: Option<(Place, Levels)> = None;
                    let each = places
                        .iter()
                        .zip(scales_of.chunks_mut(scales.max(1)))
                        .zip(statistics_of.chunks_mut(statistics.max(1)))
                        .zip(truths.chunks_mut(values.max(1)).zip(weights.chunks_mut(values.max(1))))
                        .zip(
                            peaks_of
                                .chunks_mut(peaks.max(1))
                                .zip(counts_of.chunks_mut(peaks.max(1))),
                        );
                    for ((((place, scales), statistics), values), peaks) in each {
                        let Some(stretch) = stretches.get(place.stretch) else {
                            continue;
                        };
                        let hour = Place {
                            row: stretch.hour_of(layout, place.row),
                            ..*place
                        };
                        if levels.as_ref().is_none_or(|(of, _)| *of != hour) {
                            levels = Some((hour, Levels::new(layout, &stretch.columns, hour.row)));
                        }
                        let none = Levels::default();
                        let levels = levels.as_ref().map_or(&none, |(_, levels)| levels);
                        let moment = describe(layout, &stretch.columns, place.row, levels);
                        copy(&moment.scales, scales);
                        copy(&moment.statistics, statistics);
                        let at = |track: usize, horizon: usize| stretch.columns.at(track, place.row + horizon);
                        stretch.judge(layout, place.row, &moment, &layout.horizons, at, values);
                        let peak = |track: usize, hold: usize| stretch.peak(track, place.row, hold);
                        stretch.judge(layout, place.row, &moment, &layout.holds, peak, peaks);
                    }
                },
            );
    }
}

impl Answers {
    fn new(count: usize, targets: usize, answers: usize) -> Self {
        let width = targets * answers;
        Self {
            truths: vec![0.0; count * width],
            weights: vec![0.0; count * width],
            width,
            targets,
        }
    }

    fn range(&mut self, range: &Range<usize>) -> Option<(&mut [f32], &mut [f32])> {
        let of = range.start * self.width..range.end * self.width;
        Some((self.truths.get_mut(of.clone())?, self.weights.get_mut(of)?))
    }

    fn gather(&self, indices: &[usize]) -> Came {
        Came {
            truths: gather(&self.truths, self.width, indices),
            weights: gather(&self.weights, self.width, indices),
        }
    }

    fn target_of(&self, index: usize) -> usize {
        let answers = self.width / self.targets.max(1);
        index / answers.max(1) % self.targets.max(1)
    }

    /// Gives every target that is there the same mean weight, 1.
    fn balance(&mut self) {
        let mut sums = vec![(0.0_f64, 0.0_f64); self.targets];
        for (index, weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            if let Some((sum, count)) = sums.get_mut(self.target_of(index)) {
                *sum += f64::from(*weight);
                *count += 1.0;
            }
        }
        let by: Vec<f32> = sums
            .into_iter()
            .map(|(sum, count)| if sum > 0.0 { (count / sum) as f32 } else { 0.0 })
            .collect();
        let targets = (0..self.weights.len())
            .map(|index| self.target_of(index))
            .collect::<Vec<_>>();
        for (weight, target) in self.weights.iter_mut().zip(targets) {
            *weight *= by.get(target).copied().unwrap_or(0.0);
        }
    }
}

fn gather(from: &[f32], width: usize, indices: &[usize]) -> Vec<f32> {
    let rows = indices
        .iter()
        .filter_map(|&index| from.get(index * width..(index + 1) * width));
    rows.flatten().copied().collect()
}

fn copy(from: &[f32], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

/// Which rows are sampled.
fn places(layout: &Layout, stretches: &[Stretch], most: usize, random: &mut StdRng) -> Vec<Place> {
    let farthest = layout.horizons.iter().copied().max().unwrap_or(1);
    let usable = |stretch: &Stretch| {
        let begin = PAST_ROWS.max(layout.day.min(stretch.end / 4));
        begin..stretch.end.saturating_sub(farthest).max(begin)
    };
    let total: usize = stretches.iter().map(|stretch| usable(stretch).len()).sum();
    let stride = (total as f64 / most.max(1) as f64).max(1.0);
    let mut places = Vec::new();
    for (index, stretch) in stretches.iter().enumerate() {
        let usable = usable(stretch);
        let mut place = usable.start as f64;
        while (place as usize) < usable.end {
            let row = place as usize + (random.random::<f64>() * (stride - 1.0)) as usize;
            places.push(Place {
                stretch: index,
                row: row.min(usable.end - 1),
            });
            place += stride;
        }
    }
    places
}

impl Stretch {
    /// The row at which the hour of `row` began.
    fn hour_of(&self, layout: &Layout, row: usize) -> usize {
        let step_ms = i64::from(layout.step_s) * 1_000;
        let time_ms = self.first_ms.saturating_add(row as i64 * step_ms);
        let since = usize::try_from(time_ms.rem_euclid(HOUR_MS) / step_ms).unwrap_or(0);
        row.saturating_sub(since)
    }

    /// The highest known value of a track within so many rows behind `row`; NaN where less than all of them may be known.
    fn peak(&self, track: usize, row: usize, hold: usize) -> f32 {
        if row + hold >= self.end {
            return f32::NAN;
        }
        let values = (1..=hold).map(|ahead| self.columns.at(track, row + ahead));
        values.fold(f32::NAN, f32::max)
    }

    /// What came after a moment, by target and then by `spans` as `came` tells it, and how much it counts: the square root of
    /// the scale lies between equal weight for every series and the weight of absolute errors.
    fn judge(
        &self,
        layout: &Layout,
        row: usize,
        moment: &features::Moment,
        spans: &[usize],
        came: impl Fn(usize, usize) -> f32,
        (truths, weights): (&mut [f32], &mut [f32]),
    ) {
        let counts = self.weights.get(row).copied().unwrap_or(1.0);
        let pairs = layout
            .targets
            .iter()
            .zip(&moment.targets)
            .flat_map(|pair| spans.iter().map(move |span| (pair, *span)));
        for (((place, standing), span), (truth, weight)) in pairs.zip(truths.iter_mut().zip(weights)) {
            let change = (came(place.track, span) - self.columns.at(place.track, row)) / standing.scale;
            if change.is_finite() {
                *truth = change;
                *weight = counts * standing.scale.sqrt();
            }
        }
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
mod tests;
