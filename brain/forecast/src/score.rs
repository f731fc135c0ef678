//! Losses, and the table of who forecast how well.

use serde::{Deserialize, Serialize};
use shadow::{QUANTILES, Resource, Rung};

use crate::window::RESOURCES;

/// Means over truths, in the resource's unit; lower is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Mean absolute error of the p50.
    pub mae: f64,
    /// Pinball loss, mean of p50, p90, p95 and p99.
    pub pinball: f64,
    /// Pinball loss of the p95.
    pub pinball_p95: f64,
}

/// Who forecast one resource at one horizon how well, over all hosts, since the forecaster began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// Of what.
    pub resource: Resource,
    /// How far ahead, in seconds.
    pub horizon_s: u32,
    /// Over every moment with a truth: last value, EWMA and what was served.
    pub all: Compared,
    /// Over those moments only at which the LSTM forecast too, whether it was served or not, so that the
    /// rungs compare fairly; `None` when there were none.
    pub with_lstm: Option<Compared>,
    /// Share of truths at or below the served p95; ideally 0.95.
    pub coverage_p95: f64,
    /// Share of moments that each rung served, in the order of [`Rung::ALL`].
    pub served_share: [f64; 3],
}

/// Losses of the rungs over the same moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// How many truths.
    pub n: u64,
    /// The last value stays.
    pub last: Loss,
    /// The exponentially weighted average stays.
    pub ewma: Loss,
    /// The LSTM; `None` in [`ScoreRow::all`], where it was not always there.
    pub lstm: Option<Loss>,
    /// What was published.
    pub served: Loss,
}

/// All scores, by resource and horizon in rising order; resources without a truth are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreTable {
    /// One a resource and horizon.
    pub rows: Vec<ScoreRow>,
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
pub(crate) struct LossSum(Loss);

impl LossSum {
    pub(crate) fn add(&mut self, truth: f32, quantiles: &[f32; 4]) {
        let [p50, _, p95, _] = *quantiles;
        self.0.mae += (f64::from(truth) - f64::from(p50)).abs();
        self.0.pinball += mean_pinball(truth, quantiles);
        self.0.pinball_p95 += pinball(truth, p95, 0.95);
    }

    pub(crate) fn mean(self, n: u64) -> Loss {
        let by = 1.0 / n.max(1) as f64;
        Loss {
            mae: self.0.mae * by,
            pinball: self.0.pinball * by,
            pinball_p95: self.0.pinball_p95 * by,
        }
    }
}

/// Sums over the same moments: by rung, and what was served.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    n: u64,
    rungs: [LossSum; 3],
    served: LossSum,
}

/// One cell of the board.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    all: Sums,
    with_lstm: Sums,
    covered: u64,
    served: [u64; 3],
}

/// What was forecast for one moment by whom, and what came.
pub(crate) struct Judged<'a> {
    pub(crate) truth: f32,
    /// By rung; `None` where a rung gave nothing.
    pub(crate) rungs: [Option<&'a [f32; 4]>; 3],
    pub(crate) served: Rung,
}

/// Running sums behind a [`ScoreTable`].
#[derive(Debug, Clone)]
pub(crate) struct Board {
    horizons_s: Vec<u32>,
    cells: Vec<Cell>,
}

impl Board {
    pub(crate) fn new(horizons_s: &[u32]) -> Self {
        Self {
            horizons_s: horizons_s.to_vec(),
            cells: vec![Cell::default(); RESOURCES * horizons_s.len()],
        }
    }

    pub(crate) fn add(&mut self, resource: usize, horizon: usize, judged: &Judged<'_>) {
        let Some(cell) = self.cells.get_mut(resource * self.horizons_s.len() + horizon) else {
            return;
        };
        let Some(served) = judged.rungs.get(judged.served.index()).copied().flatten() else {
            return;
        };
        let [_, _, lstm] = judged.rungs;
        let both = [Some(&mut cell.all), lstm.map(|_| &mut cell.with_lstm)];
        for sums in both.into_iter().flatten() {
            sums.n += 1;
            sums.served.add(judged.truth, served);
            for (sum, quantiles) in sums.rungs.iter_mut().zip(judged.rungs) {
                if let Some(quantiles) = quantiles {
                    sum.add(judged.truth, quantiles);
                }
            }
        }
        cell.covered += u64::from(judged.truth <= served[2]);
        if let Some(count) = cell.served.get_mut(judged.served.index()) {
            *count += 1;
        }
    }

    pub(crate) fn table(&self) -> ScoreTable {
        let mut rows = Vec::new();
        for (resource, cells) in Resource::ALL
            .into_iter()
            .zip(self.cells.chunks(self.horizons_s.len().max(1)))
        {
            let scored = self.horizons_s.iter().zip(cells).filter(|(_, cell)| cell.all.n > 0);
            rows.extend(scored.map(|(&horizon_s, cell)| cell.row(resource, horizon_s)));
        }
        ScoreTable { rows }
    }
}

impl Cell {
    fn row(&self, resource: Resource, horizon_s: u32) -> ScoreRow {
        let share = |count: u64| count as f64 / self.all.n.max(1) as f64;
        ScoreRow {
            resource,
            horizon_s,
            all: self.all.compared(false),
            with_lstm: (self.with_lstm.n > 0).then(|| self.with_lstm.compared(true)),
            coverage_p95: share(self.covered),
            served_share: self.served.map(share),
        }
    }
}

impl Sums {
    fn compared(&self, lstm: bool) -> Compared {
        let [last, ewma, network] = self.rungs.map(|sum| sum.mean(self.n));
        Compared {
            n: self.n,
            last,
            ewma,
            lstm: lstm.then_some(network),
            served: self.served.mean(self.n),
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn rungs_are_compared_on_the_same_moments() {
        let mut board = Board::new(&[300]);
        let (far, near) = ([9.0; 4], [1.0; 4]);
        board.add(
            0,
            0,
            &Judged {
                truth: 1.0,
                rungs: [Some(&far), Some(&far), None],
                served: Rung::Last,
            },
        );
        board.add(
            0,
            0,
            &Judged {
                truth: 1.0,
                rungs: [Some(&near), Some(&far), Some(&near)],
                served: Rung::Lstm,
            },
        );
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
            (fair.n, fair.last.mae, fair.ewma.mae, fair.lstm.unwrap().mae),
            (1, 0.0, 8.0, 0.0)
        );
        assert_eq!((row.coverage_p95, row.served_share), (1.0, [0.5, 0.0, 0.5]));
    }
}
