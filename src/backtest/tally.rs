//! Losses by host, target, horizon and expert, at the moments that are scored.

use forecast::{Config, HostForecasts, Matured, Target};
use serde::Serialize;
use shadow::{QUANTILES, Shares};

use super::data::{Data, Host, Row};

/// Who is scored, in the order of the sums; what was published last.
pub(super) const METHODS: [&str; 7] = ["last", "lstm", "ewma", "hour", "four_hours", "day", "published"];

/// Rates are shown over this quantile of the learnt part.
const HIGH: f64 = 0.999;

/// Truths that lie this little above a quantile are covered by it.
const TOLERANCE: f64 = 1e-9;

/// Sums of one method.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: f64,
    mae: f64,
    pinball: [f64; 4],
    covered: [f64; 4],
}

impl Sum {
    fn add(&mut self, truth: f64, quantiles: [f64; 4]) {
        self.count += 1.0;
        self.mae += (truth - quantiles[0]).abs();
        let each = self
            .pinball
            .iter_mut()
            .zip(&mut self.covered)
            .zip(quantiles.into_iter().zip(QUANTILES));
        for ((pinball, covered), (quantile, tau)) in each {
            let error = truth - quantile;
            *pinball += (tau * error).max((tau - 1.0) * error);
            *covered += if error <= TOLERANCE { 1.0 } else { 0.0 };
        }
    }

    fn figures(&self) -> Option<Figures> {
        (self.count > 0.0).then(|| Figures {
            mae: self.mae / self.count,
            pinball: self.pinball.map(|sum| sum / self.count),
            coverage: self.covered.map(|sum| sum / self.count),
        })
    }
}

/// Means over the scored moments of a host, or over hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Figures {
    /// Mean absolute error of the p50.
    pub(super) mae: f64,
    /// By quantile.
    pub(super) pinball: [f64; 4],
    /// Share of truths at or below each quantile.
    pub(super) coverage: [f64; 4],
}

/// One host, target and horizon.
#[derive(Debug, Clone, Default)]
struct Cell {
    sums: [Sum; METHODS.len()],
    shares: [f64; 5],
}

/// What was published at one moment that is scored, and what came, in the trace's unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published {
    pub(super) host: usize,
    pub(super) target: usize,
    pub(super) horizon: usize,
    /// The row it was said at.
    pub(super) row: usize,
    pub(super) quantiles: [f64; 4],
    pub(super) truth: f64,
}

/// Everything that was scored.
pub(super) struct Tally {
    horizons_s: Vec<u32>,
    targets: Vec<Target>,
    step_s: u32,
    stride: usize,
    /// By host: the first scored row, and the one behind the last.
    rows: Vec<(usize, usize)>,
    /// By host, then by target: what 1 is.
    pub(super) highs: Vec<Vec<f64>>,
    /// By host, then by target, then by horizon.
    cells: Vec<Cell>,
    pub(super) published: Vec<Published>,
}

/// One target, horizon and method, over all hosts, each of which weighs the same.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    pub(super) target: String,
    pub(super) horizon_s: u32,
    pub(super) method: &'static str,
    pub(super) hosts: usize,
    pub(super) moments: u64,
    #[serde(flatten)]
    pub(super) figures: Figures,
    /// Coverage of the p95 on the host where it is lowest.
    pub(super) lowest_p95: f64,
    /// 1 - (pinball loss / the last value's), over all quantiles.
    pub(super) skill: f64,
    /// What it counts in the blend.
    pub(super) share: Option<f64>,
}

impl Tally {
    pub(super) fn new(data: &Data, config: &Config, stride: usize) -> Self {
        let farthest = config
            .horizons_s
            .iter()
            .max()
            .map_or(0, |horizon| horizon / data.step_s) as usize;
        let high = |host: &Host, target: &Target| {
            let share = data.normalised || target.resource.unit() == "1";
            if share { 1.0 } else { high(host, target) }
        };
        let highs = |host: &Host| config.targets.iter().map(|target| high(host, target)).collect();
        Self {
            horizons_s: config.horizons_s.clone(),
            targets: config.targets.clone(),
            step_s: data.step_s,
            stride,
            rows: data
                .hosts
                .iter()
                .map(|host| (host.split, host.rows.len().saturating_sub(farthest)))
                .collect(),
            highs: data.hosts.iter().map(highs).collect(),
            cells: vec![Cell::default(); data.hosts.len() * config.targets.len() * config.horizons_s.len()],
            published: Vec::new(),
        }
    }

    /// Takes in what fell due of one host.
    pub(super) fn add(&mut self, host: usize, made: &HostForecasts) {
        for ripe in &made.matured {
            self.judge(host, ripe);
        }
    }

    fn judge(&mut self, host: usize, ripe: &Matured) -> Option<()> {
        let row = usize::try_from(ripe.made_ms / 1_000 / i64::from(self.step_s)).ok()?;
        let (first, end) = *self.rows.get(host)?;
        if row < first || row >= end || !(row - first).is_multiple_of(self.stride) {
            return None;
        }
        let horizon = self
            .horizons_s
            .iter()
            .position(|horizon_s| *horizon_s == ripe.horizon_s)?;
        let high = *self.highs.get(host)?.get(ripe.target)?;
        let index = self.index(host, ripe.target, horizon);
        let cell = self.cells.get_mut(index)?;
        let quantiles = ripe.forecast.quantiles.to_array();
        let wide = |quantiles: [f32; 4]| quantiles.map(f64::from);
        let [lstm, ewma, hour, four_hours, day] = ripe.experts.blended.map(|said| said.map(wide));
        let said = [
            Some(wide(ripe.experts.last)),
            lstm,
            ewma,
            hour,
            four_hours,
            day,
            Some(quantiles),
        ];
        for (sum, quantiles) in cell.sums.iter_mut().zip(said) {
            if let Some(quantiles) = quantiles {
                sum.add(ripe.value / high, quantiles.map(|quantile| quantile / high));
            }
        }
        for (sum, share) in cell.shares.iter_mut().zip(ripe.forecast.shares.to_array()) {
            *sum += share;
        }
        self.published.push(Published {
            host,
            target: ripe.target,
            horizon,
            row,
            quantiles,
            truth: ripe.value,
        });
        Some(())
    }

    fn index(&self, host: usize, target: usize, horizon: usize) -> usize {
        (host * self.targets.len() + target) * self.horizons_s.len() + horizon
    }

    /// Figures of what a method said on one host.
    pub(super) fn of_host(&self, host: usize, target: usize, horizon: usize, method: &str) -> Option<Figures> {
        let at = METHODS.iter().position(|known| *known == method)?;
        self.cells
            .get(self.index(host, target, horizon))?
            .sums
            .get(at)?
            .figures()
    }

    /// All lines, by target, horizon and method.
    pub(super) fn table(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for target in 0..self.targets.len() {
            for horizon in 0..self.horizons_s.len() {
                lines.extend((0..METHODS.len()).filter_map(|method| self.line(target, horizon, method)));
            }
        }
        lines
    }

    fn line(&self, target: usize, horizon: usize, method: usize) -> Option<Line> {
        let cells = (0..self.rows.len()).filter_map(|host| self.cells.get(self.index(host, target, horizon)));
        let cells: Vec<&Cell> = cells
            .filter(|cell| cell.sums.get(method).is_some_and(|sum| sum.count > 0.0))
            .collect();
        let of = |method: usize| -> Vec<Figures> {
            let sums = cells.iter().filter_map(|cell| cell.sums.get(method));
            sums.filter_map(Sum::figures).collect()
        };
        let figures = of(method);
        let mean = mean(&figures)?;
        let total = |figures: Figures| figures.pinball.iter().sum::<f64>();
        let last = super::tally::mean(&of(0)).map_or(f64::NAN, total);
        let expert = Shares::NAMES.iter().position(|name| METHODS.get(method) == Some(name));
        let moments: f64 = cells
            .iter()
            .filter_map(|cell| cell.sums.get(method))
            .map(|sum| sum.count)
            .sum();
        let share = |expert: usize| {
            let shares = cells.iter().filter_map(|cell| cell.shares.get(expert));
            shares.sum::<f64>() / moments
        };
        Some(Line {
            target: self.targets.get(target)?.name().to_owned(),
            horizon_s: *self.horizons_s.get(horizon)?,
            method: METHODS.get(method)?,
            hosts: figures.len(),
            moments: moments as u64,
            figures: mean,
            lowest_p95: figures.iter().map(|figures| figures.coverage[2]).fold(1.0, f64::min),
            skill: 1.0 - total(mean) / last,
            share: expert.map(share),
        })
    }
}

/// Means over hosts; `None` of none.
fn mean(figures: &[Figures]) -> Option<Figures> {
    let count = figures.len() as f64;
    let over = |of: &dyn Fn(&Figures) -> f64| figures.iter().map(of).sum::<f64>() / count;
    let by_quantile = |of: fn(&Figures) -> &[f64; 4]| {
        [0, 1, 2, 3].map(|rank: usize| over(&|figures| of(figures).get(rank).copied().unwrap_or(f64::NAN)))
    };
    (!figures.is_empty()).then(|| Figures {
        mae: over(&|figures| figures.mae),
        pinball: by_quantile(|figures| &figures.pinball),
        coverage: by_quantile(|figures| &figures.coverage),
    })
}

/// The high quantile of a target over the learnt part of a host, by linear interpolation; 1 where it is 0.
fn high(host: &Host, target: &Target) -> f64 {
    let value = |row: &Row| {
        let values = target.channels.iter().filter_map(|channel| row.get(channel.index()));
        values.map(|value| f64::from(*value)).sum::<f64>()
    };
    let mut values: Vec<f64> = host
        .rows
        .iter()
        .take(host.split)
        .map(value)
        .filter(|v| v.is_finite())
        .collect();
    values.sort_by(f64::total_cmp);
    let place = HIGH * values.len().saturating_sub(1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let at = |index: usize| values.get(index).or(values.last()).copied().unwrap_or(0.0);
    let high = at(low) + part * (at(low + 1) - at(low));
    if high > 0.0 { high } else { 1.0 }
}
