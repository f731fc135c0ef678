//! One host: how new and how rare is the state that all its metrics are in together?
//!
//! Detectors of single series are not added up: there is one memory for the host. Its state is the level of every metric
//! now, and two states are as far apart as their metrics are on average, each in its own spread.

use crate::{
    memory::{Memory, Novelty},
    spread::Spread,
    stored::{Reader, Writer},
    tail::Tail,
};

/// Values that the spread of a metric is taken of, and rows between two of them: they reach back as far as those of a single
/// series, in a tenth of the memory.
const SPREAD_VALUES: usize = 1000;
const SPREAD_STRIDE: u64 = 5;

/// The least spread of a metric, as a share of the largest value it has had.
const LEAST_SHARE: f64 = 0.02;

/// Rows that the level is taken of.
const LEVEL_ROWS: usize = 3;

/// No metric counts more than this in a distance, in spreads.
const MOST: f32 = 2.0;

/// A value beyond this is taken as this, so that no sum of such values overflows in single precision.
const LARGEST: f64 = 1e30;

/// The version of what is stored.
const FORMAT: u64 = 1;

/// What one row of a host means.
#[derive(Debug, Clone, PartialEq)]
pub struct HostJudged {
    /// Mean distance of the metrics to the nearest state that the host has been in, each in its own spread, 0 to 2; 0
    /// while none is known.
    pub novelty: f64,
    /// How rare such a novelty is for this host: -log10 of the chance that [`BLOCK`](crate::BLOCK) rows reach it.
    pub rarity: f64,
    /// -log10 of how many troubles of such novelty begin in a block, by the past of this host: what lasts counts once. It
    /// is what a chosen rate of alarms is compared with. 0 is usual.
    pub alarm: f64,
    /// Rows since the nearest state was last visited; `None` while none is known.
    pub rows_ago: Option<u64>,
    /// Where the nearest state is, for [`HostDetector::apart`].
    nearest: Option<usize>,
}

/// What one metric does, beside the nearest state that the host has been in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Apart {
    /// Index of the metric.
    pub metric: usize,
    /// Its level now.
    pub level: f64,
    /// Its level in the nearest state.
    pub usual: f64,
    /// Their distance in spreads of the metric, 0 to 2.
    pub spreads: f64,
}

/// Watches all metrics of one host, row by row; about 6 KB a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct HostDetector {
    metrics: Vec<Metric>,
    memory: Memory<Box<[f32]>>,
    tail: Tail,
    /// Levels in the newest row, and what a difference of each is multiplied by to be told in spreads.
    levels: Box<[f32]>,
    scales: Box<[f32]>,
}

impl HostDetector {
    /// A detector that has seen nothing, of as many metrics as there are in `least`: the smallest spread of each that
    /// means anything, in its unit, 0 or more.
    pub fn new(least: &[f64]) -> Self {
        Self {
            metrics: least.iter().copied().map(Metric::new).collect(),
            memory: Memory::default(),
            tail: Tail::default(),
            levels: vec![f32::NAN; least.len()].into(),
            scales: vec![0.0; least.len()].into(),
        }
    }

    /// Takes in the metrics of the next row, in the detector's order, and judges them by the rows before. What is not
    /// finite is a missing reading and repeats the last; a metric that was never read counts for nothing.
    pub fn update(&mut self, values: &[f64]) -> HostJudged {
        let places = self.levels.iter_mut().zip(&mut self.scales);
        for ((metric, value), (level, scale)) in self.metrics.iter_mut().zip(values).zip(places) {
            (*level, *scale) = metric.update(*value);
        }
        let scales = &self.scales;
        let state = self.levels.clone();
        let found = self.memory.update(state, 1.0, |a, b| f64::from(distance(a, b, scales)));
        let Novelty {
            distance,
            rows_ago,
            nearest,
        } = found;
        let troubles = self.tail.troubles();
        let rarity = self.tail.update(distance);
        HostJudged {
            novelty: distance,
            rarity,
            alarm: if rarity > 0.0 { rarity - troubles.log10() } else { 0.0 },
            rows_ago,
            nearest,
        }
    }

    /// Everything it has learnt, in bytes: 4 KB a metric, and 4 bytes a metric for each of at most 525 states.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.whole(FORMAT);
        to.count(self.metrics.len());
        for metric in &self.metrics {
            to.double(metric.largest);
            metric.newest.iter().for_each(|value| to.double(*value));
            metric.spread.write(&mut to);
        }
        self.memory.write(&mut to);
        self.tail.write(&mut to);
        to.bytes()
    }

    /// A detector that goes on with what another has learnt, of the same metrics; `None` when the bytes are not of one, or of
    /// other metrics.
    pub fn from_bytes(least: &[f64], bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        let mut read = || {
            let mut detector = Self::new(least);
            if (from.whole()?, from.count(usize::MAX)?) != (FORMAT, least.len()) {
                return Err(());
            }
            for metric in &mut detector.metrics {
                metric.largest = from.amount()?;
                for value in &mut metric.newest {
                    *value = from.double()?;
                }
                metric.spread.read(&mut from)?;
            }
            detector.memory = Memory::read(&mut from, least.len())?;
            detector.tail = Tail::read(&mut from)?;
            from.end().map(|()| detector)
        };
        read().ok()
    }

    /// What each metric does that was ever read, those that are farthest from the nearest state first; empty while none is
    /// known. `judged` is what the newest row was judged.
    pub fn apart(&self, judged: &HostJudged) -> Vec<Apart> {
        let Some(nearest) = judged.nearest.and_then(|index| self.memory.state(index)) else {
            return Vec::new();
        };
        let pairs = self.levels.iter().zip(nearest).zip(&self.scales);
        let all = pairs.enumerate().map(|(metric, ((level, usual), scale))| Apart {
            metric,
            level: f64::from(*level),
            usual: f64::from(*usual),
            spreads: f64::from(((level - usual).abs() * scale).min(MOST)),
        });
        let mut known: Vec<Apart> = all.filter(|apart| apart.usual.is_finite()).collect();
        known.sort_by(|a, b| b.spreads.total_cmp(&a.spreads));
        known
    }
}

/// Mean distance of the metrics of two states; of those that are known in both.
fn distance(a: &[f32], b: &[f32], scales: &[f32]) -> f32 {
    let (mut sum, mut count) = (0.0, 0.0);
    for ((a, b), scale) in a.iter().zip(b).zip(scales) {
        let far = (a - b).abs() * scale;
        if !far.is_nan() {
            sum += far.min(MOST);
            count += 1.0;
        }
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

/// One metric of the host.
#[derive(Debug, Clone, PartialEq)]
struct Metric {
    /// The smallest spread that means anything.
    least: f64,
    /// The largest value so far, without its sign.
    largest: f64,
    spread: Spread<f32>,
    /// The newest values, oldest first; NaN before the first was read.
    newest: [f64; LEVEL_ROWS],
}

impl Metric {
    const fn new(least: f64) -> Self {
        Self {
            least,
            largest: 0.0,
            spread: Spread::new(SPREAD_VALUES, SPREAD_STRIDE),
            newest: [f64::NAN; LEVEL_ROWS],
        }
    }

    /// The level of the metric now, and 1 over its spread; NaN while nothing was read.
    fn update(&mut self, value: f64) -> (f32, f32) {
        let [_, before, last] = self.newest;
        let value = if value.is_finite() {
            value.clamp(-LARGEST, LARGEST)
        } else {
            last
        };
        if value.is_nan() {
            return (f32::NAN, f32::NAN);
        }
        self.newest = [before, last, value];
        self.largest = self.largest.max(value.abs());
        let known = self.newest.iter().filter(|value| !value.is_nan());
        let level = known.clone().sum::<f64>() / known.count() as f64;
        let spread = self.spread.update(single(value));
        let spread = spread.max(self.least).max(LEAST_SHARE * self.largest);
        (single(level), single(1.0 / spread))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to what single precision holds")]
const fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests;
