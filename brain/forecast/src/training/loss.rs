//! The loss of what the network says, and its gradient: pinball losses of rising quantiles over plain numbers. From tensors
//! they are some fifty small operations, each with a pass over memory and a node of the graph.

use rayon::prelude::*;
use shadow::{PEAK_QUANTILES, QUANTILES};

use crate::{
    dataset::Came,
    lstm::kernel::{isa::Isa, spare::Spare},
    rise::softplus_all,
};

/// What the loss of the peaks counts beside that of the values. It is small so that it has no part in the length of all
/// gradients together; the optimiser's steps do not depend on it.
const PEAKS: f32 = 0.01;

/// Rows that a thread takes at once.
const ROWS: usize = 128;

/// What came for each row of what the network says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Truths<'a> {
    pub(crate) values: &'a Came,
    pub(crate) peaks: &'a Came,
}

/// The loss of `steps`, `[rows, 4 H + 6 P]`, and its gradient.
///
/// `truths`: `[rows, H]` of values and `[rows, P]` of peaks, with weights; a weight of 0 is a truth that is not known.
/// The same bit by bit for any number of threads. `None` when there are not as many as there have to be.
pub(crate) fn loss(steps: &[f32], rows: usize, truths: Truths<'_>) -> Option<(f32, Vec<f32>)> {
    let horizons = truths.values.truths.len() / rows.max(1);
    let holds = truths.peaks.truths.len() / rows.max(1);
    let width = 4 * horizons + 6 * holds;
    let whole =
        |came: &Came, each: usize| each > 0 && came.truths.len() == rows * each && came.weights.len() == rows * each;
    if !whole(truths.values, horizons) || !whole(truths.peaks, holds) || steps.len() != rows * width {
        return None;
    }
    let by_value = share::<4>(truths.values);
    let by_peak = PEAKS * share::<6>(truths.peaks);
    let mut gradient = vec![0.0; steps.len()];
    let parts = gradient
        .par_chunks_mut(ROWS * width)
        .zip(steps.par_chunks(ROWS * width));
    let parts = parts.zip(came(truths.values, horizons)).zip(came(truths.peaks, holds));
    let losses: Vec<f64> = parts
        .map(|(((gradient, steps), values), peaks)| {
            let (mut up, mut slopes) = (Spare::new(steps.len()), Spare::new(steps.len()));
            up.copy_from_slice(steps);
            softplus_all(Isa::best(), &mut up, &mut slopes);
            // The slopes become the gradient.
            gradient.copy_from_slice(&slopes);
            let rows = gradient
                .chunks_exact_mut(width)
                .zip(steps.chunks_exact(width))
                .zip(up.chunks_exact(width));
            let of_values = values.0.chunks_exact(horizons).zip(values.1.chunks_exact(horizons));
            let of_peaks = peaks.0.chunks_exact(holds).zip(peaks.1.chunks_exact(holds));
            let mut loss = 0.0;
            for ((((gradient, steps), up), values), peaks) in rows.zip(of_values).zip(of_peaks) {
                let split = 4 * horizons;
                let ((first, second), (up_first, up_second)) = (steps.split_at(split), up.split_at(split));
                let (d_first, d_second) = gradient.split_at_mut(split);
                loss += f64::from(pinball(QUANTILES, (first, up_first), values, by_value, d_first));
                loss += f64::from(pinball(PEAK_QUANTILES, (second, up_second), peaks, by_peak, d_second));
            }
            loss
        })
        .collect();
    Some((losses.iter().sum::<f64>() as f32, gradient))
}

/// What one quantile of one known truth counts.
fn share<const Q: usize>(came: &Came) -> f32 {
    let known = came.weights.iter().filter(|weight| **weight > 0.0).count().max(1);
    1.0 / (Q as f32 * known as f32)
}

fn came(came: &Came, each: usize) -> impl IndexedParallelIterator<Item = (&[f32], &[f32])> {
    let truths = came.truths.par_chunks(ROWS * each);
    truths.zip(came.weights.par_chunks(ROWS * each))
}

/// Losses of one row. `said`: steps, and softplus of them; `gradient`: slopes of softplus, which become gradients of the steps.
fn pinball<const Q: usize>(
    taus: [f64; Q],
    said: (&[f32], &[f32]),
    came: (&[f32], &[f32]),
    share: f32,
    gradient: &mut [f32],
) -> f32 {
    let taus = taus.map(|tau| tau as f32);
    let (steps, up) = (said.0.as_chunks::<Q>().0, said.1.as_chunks::<Q>().0);
    let answers = steps.iter().zip(up).zip(gradient.as_chunks_mut::<Q>().0);
    let mut loss = 0.0;
    for ((((steps, up), gradient), truth), weight) in answers.zip(came.0).zip(came.1) {
        let by = weight * share;
        let mut quantile = 0.0;
        let mut of_quantiles = [0.0; Q];
        for (at, ((step, up), tau)) in steps.iter().zip(up).zip(taus).enumerate() {
            quantile = if at == 0 { *step } else { quantile + up };
            let error = truth - quantile;
            let below = if error < 0.0 { 1.0 } else { 0.0 };
            loss += by * (tau - below) * error;
            if let Some(of) = of_quantiles.get_mut(at) {
                *of = by * (below - tau);
            }
        }
        // A step moves its own quantile and all above it.
        let mut above = 0.0;
        for (at, (slope, of)) in gradient.iter_mut().zip(of_quantiles).enumerate().rev() {
            above += of;
            *slope = if at == 0 { above } else { above * *slope };
        }
    }
    loss
}
