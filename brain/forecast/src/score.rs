//! Losses, and the table of who forecast how well.

use serde::{Deserialize, Serialize};
use shadow::{QUANTILES, Rung};

use crate::target::Target;

/// Means over truths, in the target's unit; lower is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Mean absolute error of the p50.
    pub mae: f64,
    /// Pinball loss, mean of p50, p90, p95 and p99.
    pub pinball: f64,
    /// Pinball loss of the p95.
    pub pinball_p95: f64,
}

/// Who forecast one target at one horizon how well, over all hosts, since the forecaster began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// Of what.
    pub target: Target,
    /// How far ahead, in seconds.
    pub horizon_s: u32,
    /// Over every moment with a truth.
    pub all: Compared,
    /// Over those moments only at which the LSTM forecast too, so that all compare fairly; `None` when there were none.
    pub with_lstm: Option<Compared>,
    /// Share of truths at or below what was served at each of [`QUANTILES`]; zeros in scores of before this was counted.
    #[serde(default)]
    pub coverage: [f64; 4],
    /// Share of moments that each rung served, in the order of [`Rung::ALL`].
    pub served_share: [f64; 3],
}

/// Losses over the same moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// How many truths.
    pub n: u64,
    /// The last value stays.
    pub last: Loss,
    /// The exponentially weighted average stays.
    pub ewma: Loss,
    /// Quantiles of the last hour.
    pub hour: Loss,
    /// Quantiles of the last four hours.
    pub four_hours: Loss,
    /// Quantiles of the last day.
    pub day: Loss,
    /// The LSTM; `None` in [`ScoreRow::all`], where it was not always there.
    pub lstm: Option<Loss>,
    /// What was published.
    pub served: Loss,
}

/// What everybody said at one moment about one horizon, in the target's unit: quantiles at [`QUANTILES`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Experts {
    /// The last value with the errors of the past around it.
    pub last: [f32; 4],
    /// Those that are blended, in the order of [`shadow::Shares`]; `None` where one said nothing.
    pub blended: [Option<[f32; 4]>; 5],
}

/// All scores, by target and horizon in rising order; targets without a truth are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreTable {
    /// One a target and horizon.
    pub rows: Vec<ScoreRow>,
}

impl ScoreTable {
    /// How much more the network loses here than in `other`, as the geometric mean over what both tell of; 0.1 is a tenth
    /// more. `None` where they have nothing in common.
    pub(crate) fn excess(&self, other: &Self) -> Option<f64> {
        let loss = |row: &ScoreRow| Some(row.with_lstm?.lstm?.pinball).filter(|loss| *loss > 0.0);
        let same = |row: &ScoreRow| {
            let mut others = other.rows.iter();
            let other = others.find(|other| other.target == row.target && other.horizon_s == row.horizon_s)?;
            Some((loss(row)? / loss(other)?).ln())
        };
        let ratios: Vec<f64> = self.rows.iter().filter_map(same).collect();
        let count = ratios.len() as f64;
        (count > 0.0).then(|| (ratios.iter().sum::<f64>() / count).exp() - 1.0)
    }
}

/// Pinball loss of one quantile: `tau` times what the truth lies above it, `1 - tau` times what it lies below
/// (Koenker and Bassett 1978).
pub(crate) fn pinball(truth: f32, quantile: f32, tau: f64) -> f64 {
    let error = f64::from(truth) - f64::from(quantile);
    (tau * error).max((tau - 1.0) * error)
}

/// Mean pinball loss of quantiles at [`QUANTILES`].
pub(crate) fn mean_pinball(truth: f32, quantiles: &[f32; 4]) -> f64 {
    let each = quantiles
        .iter()
        .zip(QUANTILES)
        .map(|(&quantile, tau)| pinball(truth, quantile, tau));
    each.sum::<f64>() / 4.0
}

/// Sums of losses.
#[derive(Debug, Clone, Copy, Default)]
struct LossSum {
    sum: Loss,
    count: u64,
}

impl LossSum {
    fn add(&mut self, truth: f32, quantiles: &[f32; 4]) {
        let [p50, _, p95, _] = *quantiles;
        self.sum.mae += (f64::from(truth) - f64::from(p50)).abs();
        self.sum.pinball += mean_pinball(truth, quantiles);
        self.sum.pinball_p95 += pinball(truth, p95, 0.95);
        self.count += 1;
    }

    fn mean(self) -> Loss {
        let by = 1.0 / self.count.max(1) as f64;
        Loss {
            mae: self.sum.mae * by,
            pinball: self.sum.pinball * by,
            pinball_p95: self.sum.pinball_p95 * by,
        }
    }
}

/// Sums over the same moments: of who is blended, the last value, and what was served.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    blended: [LossSum; 5],
    last: LossSum,
    served: LossSum,
}

/// One cell of the board.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    all: Sums,
    with_lstm: Sums,
    covered: [u64; 4],
    served: [u64; 3],
}

/// What was forecast for one moment by whom, and what came.
pub(crate) struct Judged<'a> {
    pub(crate) truth: f32,
    pub(crate) experts: &'a Experts,
    pub(crate) served: &'a [f32; 4],
    pub(crate) rung: Rung,
}

/// Running sums behind a [`ScoreTable`].
#[derive(Debug, Clone)]
pub(crate) struct Board {
    targets: Vec<Target>,
    horizons_s: Vec<u32>,
    cells: Vec<Cell>,
}

impl Board {
    pub(crate) fn new(targets: &[Target], horizons_s: &[u32]) -> Self {
        Self {
            targets: targets.to_vec(),
            horizons_s: horizons_s.to_vec(),
            cells: vec![Cell::default(); targets.len() * horizons_s.len()],
        }
    }

    pub(crate) fn add(&mut self, target: usize, horizon: usize, judged: &Judged<'_>) {
        let Some(cell) = self.cells.get_mut(target * self.horizons_s.len() + horizon) else {
            return;
        };
        let [lstm, ..] = judged.experts.blended;
        let both = [Some(&mut cell.all), lstm.map(|_| &mut cell.with_lstm)];
        for sums in both.into_iter().flatten() {
            sums.served.add(judged.truth, judged.served);
            sums.last.add(judged.truth, &judged.experts.last);
            for (sum, quantiles) in sums.blended.iter_mut().zip(&judged.experts.blended) {
                if let Some(quantiles) = quantiles {
                    sum.add(judged.truth, quantiles);
                }
            }
        }
        for (covered, quantile) in cell.covered.iter_mut().zip(judged.served) {
            *covered += u64::from(judged.truth <= *quantile);
        }
        if let Some(count) = cell.served.get_mut(judged.rung.index()) {
            *count += 1;
        }
    }

    pub(crate) fn table(&self) -> ScoreTable {
        let mut rows = Vec::new();
        for (target, cells) in self.targets.iter().zip(self.cells.chunks(self.horizons_s.len().max(1))) {
            let scored = self
                .horizons_s
                .iter()
                .zip(cells)
                .filter(|(_, cell)| cell.all.served.count > 0);
            rows.extend(scored.map(|(&horizon_s, cell)| cell.row(target, horizon_s)));
        }
        ScoreTable { rows }
    }
}

impl Cell {
    fn row(&self, target: &Target, horizon_s: u32) -> ScoreRow {
        let share = |count: u64| count as f64 / self.all.served.count.max(1) as f64;
        ScoreRow {
            target: target.clone(),
            horizon_s,
            all: self.all.compared(false),
            with_lstm: (self.with_lstm.served.count > 0).then(|| self.with_lstm.compared(true)),
            coverage: self.covered.map(share),
            served_share: self.served.map(share),
        }
    }
}

impl Sums {
    fn compared(&self, with_lstm: bool) -> Compared {
        let [lstm, ewma, hour, four_hours, day] = self.blended.map(LossSum::mean);
        Compared {
            n: self.served.count,
            last: self.last.mean(),
            ewma,
            hour,
            four_hours,
            day,
            lstm: with_lstm.then_some(lstm),
            served: self.served.mean(),
        }
    }
}

#[cfg(test)]
mod tests {
    use shadow::Resource;

    use super::*;

    #[test]
    fn pinball_weighs_the_two_sides() {
        for (truth, quantile, tau, expected) in [(1.0, 0.0, 0.95, 0.95), (0.0, 1.0, 0.95, 0.05), (2.0, 2.0, 0.5, 0.0)] {
            assert!(
                (pinball(truth, quantile, tau) - expected).abs() < 1e-12,
                "{truth} {quantile} {tau}"
            );
        }
    }

    #[test]
    fn experts_are_compared_on_the_same_moments() {
        let mut board = Board::new(&[Target::whole(Resource::Cpu)], &[300]);
        let (far, near) = ([9.0; 4], [1.0; 4]);
        let mut add = |last: [f32; 4], lstm: Option<[f32; 4]>, rung: Rung| {
            let experts = Experts {
                last,
                blended: [lstm, Some(far), Some(near), None, Some(far)],
            };
            let served = if rung == Rung::Lstm { near } else { last };
            let judged = Judged {
                truth: 1.0,
                experts: &experts,
                served: &served,
                rung,
            };
            board.add(0, 0, &judged);
        };
        add(far, None, Rung::Last);
        add(near, Some(near), Rung::Lstm);
        let table = board.table();
        let [row] = table.rows.as_slice() else {
            panic!("one row expected: {table:?}")
        };
        assert_eq!(
            (row.all.n, row.all.last.mae, row.all.served.mae, row.all.lstm),
            (2, 4.0, 4.0, None)
        );
        let fair = row.with_lstm.unwrap();
        assert_eq!(
            (
                fair.n,
                fair.last.mae,
                fair.ewma.mae,
                fair.lstm.unwrap().mae,
                fair.hour.mae
            ),
            (1, 0.0, 8.0, 0.0, 0.0)
        );
        assert_eq!((row.coverage[2], row.served_share), (1.0, [0.5, 0.0, 0.5]));
    }
}
