//! Does the network still know the series that it forecasts? What it loses is held against its own record, and when it has
//! lost too much for too long, a retraining is asked for.
//!
//! Two things are watched of each target, over all hosts, in blocks of a quarter of an hour: `loss`, the pinball loss of what
//! is served over the series' own spread, and `edge`, the network's loss against that of the moving average, which a
//! series that is merely harder to forecast for everybody leaves alone. Of each the logarithm is compared with the mean and
//! the deviation of its record, and what is above is added up (Page 1954, a cumulative sum): a small loss that lasts counts
//! as a large one that does not. The record is made of the day after a training and follows the series slowly, but stands
//! still while something adds up. Coverage is no sign: calibration keeps it.

use shadow::UnixMs;

use crate::{config::Config, forecaster::Matured, score::mean_pinball};

/// How long a block is.
const BLOCK_MS: i64 = 900_000;

/// Blocks of the record before anything is held against it: a day, so that its deviation has day and night in it.
const RECORD: f64 = 96.0;

/// Blocks that the record remembers: a week.
const MEMORY: f64 = 672.0;

/// What is above the record by less than this many deviations is no drift, and no block counts for more than that.
const SLACK: f64 = 0.75;
const MOST: f64 = 4.0;

/// The sum at which a retraining is asked for: two hours of what counts most, six of 1.75 deviations more. It is asked for until
/// the sum has fallen to half.
const ASKED: f64 = 24.0;

/// The least deviation of a record: a network that loses a tenth more than it did is not worth a training.
const LEAST: f64 = 0.15;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// What is served loses more, over the series' spread.
    Loss,
    /// The network loses more against the moving average.
    Edge,
}

impl Sign {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loss => "what is served loses more than it did",
            Self::Edge => "the network loses more against the moving average than it did",
        }
    }
}

/// How far a target has drifted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drifted {
    /// Which of [`Config::targets`].
    pub target: usize,
    /// By what it is told.
    pub sign: Sign,
    /// From 1 on a retraining is asked for.
    pub score: f64,
    /// Whether it is asked for.
    pub asks: bool,
}

/// Watches what a network is worth. Time comes with what is judged.
#[derive(Debug, Clone)]
pub struct Drift {
    /// By target: loss, edge.
    watched: Vec<[Watched; 2]>,
    block: i64,
    /// Of the open block, by target.
    sums: Vec<Sums>,
}

/// Losses of a block, over the scale.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    count: f64,
    served: f64,
    network: f64,
    average: f64,
}

/// One number a block, its record, and what has added up.
#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    count: f64,
    mean: f64,
    variance: f64,
    sum: f64,
    asks: bool,
}

impl Drift {
    /// Nothing is known of any target.
    pub fn new(config: &Config) -> Self {
        Self {
            watched: vec![[Watched::default(); 2]; config.targets.len()],
            block: i64::MIN,
            sums: vec![Sums::default(); config.targets.len()],
        }
    }

    /// Takes in forecasts that met their truth, as far as a network has spoken. They come in order of time; what is of a
    /// block that is over counts to the open one.
    pub fn add(&mut self, matured: &[Matured]) {
        for ripe in matured {
            let came_ms = ripe.made_ms.saturating_add(1_000 * i64::from(ripe.horizon_s));
            self.reach(came_ms);
            let [network, average, ..] = ripe.experts.blended;
            let (Some(network), Some(average)) = (network, average) else {
                continue;
            };
            let truth = ripe.value as f32;
            let served = ripe.forecast.quantiles.to_array().map(|quantile| quantile as f32);
            if let Some(sums) = self.sums.get_mut(ripe.target) {
                sums.count += 1.0;
                sums.served += mean_pinball(truth, &served) / ripe.scale;
                sums.network += mean_pinball(truth, &network) / ripe.scale;
                sums.average += mean_pinball(truth, &average) / ripe.scale;
            }
        }
    }

    /// Closes the open block when `now_ms` is past it.
    fn reach(&mut self, now_ms: UnixMs) {
        let block = now_ms.div_euclid(BLOCK_MS);
        if block <= self.block {
            return;
        }
        self.block = block;
        for (sums, [loss, edge]) in self.sums.iter_mut().zip(&mut self.watched) {
            let Sums {
                count,
                served,
                network,
                average,
            } = std::mem::take(sums);
            if count > 0.0 && served > 0.0 && network > 0.0 && average > 0.0 {
                loss.add((served / count).ln());
                edge.add((network / average).ln());
            }
        }
    }

    /// Another network serves, or time was set back: what follows makes a record of its own.
    pub fn restart(&mut self) {
        self.watched.fill([Watched::default(); 2]);
        self.sums.fill(Sums::default());
        self.block = i64::MIN;
    }

    /// The target that has drifted farthest; `None` without any.
    pub fn farthest(&self) -> Option<Drifted> {
        let signs = [Sign::Loss, Sign::Edge];
        let of_target = |(target, watched): (usize, &[Watched; 2])| {
            let each = signs.into_iter().zip(*watched);
            each.map(move |(sign, watched)| Drifted {
                target,
                sign,
                score: watched.sum / ASKED,
                asks: watched.asks,
            })
        };
        let all = self.watched.iter().enumerate().flat_map(of_target);
        all.max_by(|a, b| a.asks.cmp(&b.asks).then(a.score.total_cmp(&b.score)))
    }

    /// The target for which a retraining is asked for, if one is.
    pub fn asks(&self) -> Option<Drifted> {
        self.farthest().filter(|drifted| drifted.asks)
    }
}

impl Watched {
    fn add(&mut self, value: f64) {
        if self.count >= RECORD {
            let above = (value - self.mean) / self.variance.sqrt().max(LEAST);
            self.sum = (self.sum + above.clamp(-MOST, MOST) - SLACK).clamp(0.0, 2.0 * ASKED);
            self.asks = self.sum >= if self.asks { ASKED / 2.0 } else { ASKED };
        }
        if self.sum < ASKED / 4.0 {
            self.learn(value);
        }
    }

    /// Mean and variance, of all values at first, later of those that are remembered.
    fn learn(&mut self, value: f64) {
        self.count += 1.0;
        let weight = 1.0 / self.count.min(MEMORY);
        let off = value - self.mean;
        self.mean += weight * off;
        self.variance = (1.0 - weight) * (self.variance + weight * off * off);
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;
    use crate::{
        Artifact, Forecaster, HostWindow,
        synthetic::{cycle, quick},
        train,
    };

    /// Blocks of noise with a wave of a day, from a block on higher by `jump` deviations.
    fn asked(seed: u64, blocks: usize, jump: impl Fn(usize) -> f64) -> Vec<usize> {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut watched, mut asked) = (Watched::default(), Vec::new());
        for block in 0..blocks {
            let normal: f64 = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
            let wave = (block as f64 / 96.0 * std::f64::consts::TAU).sin();
            let before = watched.asks;
            watched.add(-1.0 + 0.2 * (normal + wave + jump(block)));
            if watched.asks && !before {
                asked.push(block);
            }
        }
        asked
    }

    #[test]
    fn noise_and_days_are_no_drift() {
        let false_alarms: usize = (0..40).map(|seed| asked(seed, 90 * 96, |_| 0.0).len()).sum();
        assert!(false_alarms <= 4, "{false_alarms} in ten years of one target");
    }

    #[test]
    fn what_is_worse_for_hours_is_asked_for_once_and_what_passes_is_not() {
        for seed in 0..20 {
            let lasting = asked(seed, 1_000, |block| if block >= 500 { 4.0 } else { 0.0 });
            assert!(
                lasting.len() == 1 && (505..530).contains(&lasting[0]),
                "{seed}: {lasting:?}"
            );
            let passing = asked(seed, 1_000, |block| if (500..504).contains(&block) { 4.0 } else { 0.0 });
            assert!(passing.is_empty(), "{seed}: an hour: {passing:?}");
            let better = asked(seed, 1_000, |block| if block >= 500 { -4.0 } else { 0.0 });
            assert!(better.is_empty(), "{seed}: {better:?}");
        }
    }

    /// Steps a host through `rows` with a network; the rows at which is asked.
    fn replay(artifact: &Artifact, rows: &[[f32; shadow::Channel::COUNT]]) -> Vec<usize> {
        let (mut forecaster, mut drift) = (Forecaster::new(quick()).unwrap(), Drift::new(&quick()));
        forecaster.adopt(artifact).unwrap();
        let mut asked = Vec::new();
        for row in 60..rows.len() {
            let window = HostWindow {
                host: "a",
                rows: &rows[row.saturating_sub(1_440)..=row],
            };
            let made = forecaster.step(row as i64 * 60_000, &[window]);
            let before = drift.asks().is_some();
            drift.add(&made[0].matured);
            if drift.asks().is_some() && !before {
                asked.push(row);
            }
        }
        asked
    }

    #[test]
    fn a_series_that_stays_as_it_was_asks_for_nothing_and_one_of_another_nature_does() {
        // What it learns from has days before it, as what it forecasts.
        let histories = [cycle("a", 3_000, 1), cycle("b", 3_000, 2)];
        let artifact = train(&histories, &quick(), None, &|_| ControlFlow::Continue(())).unwrap();
        let same = cycle("a", 5_000, 7).rows;
        assert_eq!(replay(&artifact, &same), [0_usize; 0]);
        // From the third day on its jobs come every 33 minutes and last 20, of changing height.
        let mut other = same;
        for (at, row) in other.iter_mut().enumerate().skip(3_000) {
            let busy = if at % 33 < 20 {
                0.3 + 0.1 * (at / 33 % 6) as f32
            } else {
                0.05
            };
            (row[0], row[5]) = (busy, busy * 5e7);
        }
        let asked = replay(&artifact, &other);
        assert!(!asked.is_empty() && (3_000..3_600).contains(&asked[0]), "{asked:?}");
    }
}
