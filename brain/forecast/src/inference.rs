//! All hosts in one forward pass.

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::{
    dataset::PAST_ROWS,
    forecaster::Seen,
    model::{Inputs, Packed, Said, Sizes},
    scaler::Scaler,
};

/// Most hosts in one pass: memory stays bounded, and at the usual sizes the products stay below those that the
/// library would spread over all cores.
const CHUNK: usize = 64;

/// A network ready to forecast.
#[derive(Debug, Clone)]
pub(crate) struct Predictor {
    pub(crate) network: Packed,
    pub(crate) scaler: Scaler,
    pub(crate) sizes: Sizes,
    /// Whether it was trained on each target.
    pub(crate) trained: Vec<bool>,
}

/// The network's quantiles for one host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Predicted {
    /// By target, then by horizon, in the target's unit; empty where the network has nothing to say.
    quantiles: Vec<Vec<[f32; 4]>>,
    /// By target, then by hold; empty likewise.
    peaks: Vec<Vec<[f32; 6]>>,
}

impl Predicted {
    /// By horizon; `None` where the network has nothing to say.
    pub(crate) fn of(&self, target: usize) -> Option<&[[f32; 4]]> {
        self.quantiles
            .get(target)
            .map(Vec::as_slice)
            .filter(|quantiles| !quantiles.is_empty())
    }

    /// Quantiles of the peaks by hold; `None` where the network has nothing to say.
    pub(crate) fn peaks_of(&self, target: usize) -> Option<&[[f32; 6]]> {
        self.peaks
            .get(target)
            .map(Vec::as_slice)
            .filter(|peaks| !peaks.is_empty())
    }
}

impl Predictor {
    /// One entry a host, in order.
    pub(crate) fn predict(&self, seen: &[Seen<'_>]) -> Vec<Predicted> {
        seen.par_chunks(CHUNK).flat_map_iter(|chunk| self.pass(chunk)).collect()
    }

    fn pass(&self, seen: &[Seen<'_>]) -> Vec<Predicted> {
        let of = |look: usize| -> Vec<f32> {
            let each = seen.iter().filter_map(|seen| seen.sequences.get(look));
            each.flatten().copied().collect()
        };
        let sequences: Vec<Vec<f32>> = (0..self.sizes.looks.len()).map(of).collect();
        let width = self.sizes.targets * self.sizes.features;
        let mut statistics = Vec::with_capacity(seen.len() * width);
        for seen in seen {
            statistics.extend_from_slice(&seen.moment.statistics);
        }
        statistics
            .chunks_mut(width.max(1))
            .for_each(|row| self.scaler.apply(row));
        let Some(Said { values, peaks }) = self.network.infer(seen.len(), &sequences, &statistics) else {
            return vec![Predicted::default(); seen.len()];
        };
        let width = |outputs: usize| (self.sizes.targets * outputs).max(1);
        seen.iter()
            .zip(values.chunks(width(self.sizes.horizons * 4)))
            .zip(peaks.chunks(width(self.sizes.holds * 6)))
            .map(|((seen, values), peaks)| Predicted {
                quantiles: self.scaled(seen, values),
                peaks: self.scaled(seen, peaks),
            })
            .collect()
    }

    /// From changes over the scale back to the targets' units: by target, then by horizon or hold.
    fn scaled<const Q: usize>(&self, seen: &Seen<'_>, output: &[f32]) -> Vec<Vec<[f32; Q]>> {
        let each = output
            .chunks((output.len() / self.sizes.targets.max(1)).max(1))
            .zip(&seen.moment.targets)
            .zip(&self.trained);
        let quantiles = each.map(|((changes, of), trained)| {
            if of.known < PAST_ROWS || !trained {
                return Vec::new();
            }
            let (changes, _) = changes.as_chunks::<Q>();
            let value = |change: f32| (of.last + of.scale * change) * of.mark;
            changes.iter().map(|changes| changes.map(value)).collect()
        });
        quantiles.collect()
    }
}

impl Sizes {
    /// Tensors of B moments from flat arrays, `[B, T, I]` of each look and `[B, R, F]`.
    pub(crate) fn inputs(
        &self,
        moments: usize,
        sequences: Vec<Vec<f32>>,
        statistics: Vec<f32>,
        device: &Device,
    ) -> Inputs {
        let each = sequences.into_iter().zip(&self.looks);
        let sequences = each.map(|(numbers, &(inputs, width))| {
            Tensor::from_data(TensorData::new(numbers, [moments, inputs, width]), device)
        });
        let statistics = TensorData::new(statistics, [moments * self.targets, self.features]);
        Inputs {
            sequences: sequences.collect(),
            statistics: Tensor::from_data(statistics, device),
        }
    }
}
