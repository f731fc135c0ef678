//! All hosts in one forward pass.

use burn::tensor::{Device, Tensor, TensorData};
use shadow::Resource;

use crate::{
    dataset::PAST_ROWS,
    features::Moment,
    model::{Inputs, Network, Sizes},
    scaler::Scaler,
    window::RESOURCES,
};

/// Most hosts in one pass: memory stays bounded, and at the usual sizes the products stay below those that the
/// library would spread over all cores.
const CHUNK: usize = 64;

/// A network ready to forecast.
#[derive(Debug, Clone)]
pub(crate) struct Predictor {
    pub(crate) network: Network,
    pub(crate) scaler: Scaler,
    pub(crate) sizes: Sizes,
    /// Resources that it was trained on.
    pub(crate) trained: [bool; RESOURCES],
}

/// The network's quantiles for one host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Predicted {
    /// By resource, then by horizon, in the resource's unit; empty where the network has nothing to say.
    quantiles: [Vec<[f32; 4]>; RESOURCES],
}

impl Predicted {
    /// By horizon; `None` where the network has nothing to say.
    pub(crate) fn of(&self, resource: Resource) -> Option<&[[f32; 4]]> {
        self.quantiles
            .get(resource.index())
            .map(Vec::as_slice)
            .filter(|quantiles| !quantiles.is_empty())
    }
}

impl Predictor {
    /// One entry a moment, in order.
    pub(crate) fn predict(&self, moments: &[Moment]) -> Vec<Predicted> {
        moments.chunks(CHUNK).flat_map(|chunk| self.pass(chunk)).collect()
    }

    fn pass(&self, moments: &[Moment]) -> Vec<Predicted> {
        let sequences = moments.iter().flat_map(|moment| &moment.sequence).copied().collect();
        let mut statistics = Vec::with_capacity(moments.len() * RESOURCES * self.sizes.features);
        for moment in moments {
            let from = statistics.len();
            statistics.extend_from_slice(&moment.statistics);
            if let Some(row) = statistics.get_mut(from..) {
                self.scaler.apply(row);
            }
        }
        let inputs = self.sizes.inputs(moments.len(), sequences, statistics, &Device::flex());
        let output: Vec<f32> = self.network.forward(&inputs, None).into_data().iter::<f32>().collect();
        let width = RESOURCES * self.sizes.horizons * 4;
        moments
            .iter()
            .zip(output.chunks(width))
            .map(|(moment, output)| self.scaled(moment, output))
            .collect()
    }

    /// From changes over the scale back to the resources' units.
    fn scaled(&self, moment: &Moment, output: &[f32]) -> Predicted {
        let mut predicted = Predicted::default();
        let by_resource = output
            .chunks(self.sizes.horizons * 4)
            .zip(&mut predicted.quantiles)
            .enumerate();
        for (resource, (changes, quantiles)) in by_resource {
            let known = moment.known.get(resource).is_some_and(|known| *known >= PAST_ROWS);
            let trained = self.trained.get(resource).copied().unwrap_or(false);
            let (Some(last), Some(scale)) = (moment.last.get(resource), moment.scale.get(resource)) else {
                continue;
            };
            if known && trained {
                let (changes, _) = changes.as_chunks::<4>();
                quantiles.extend(
                    changes
                        .iter()
                        .map(|changes| changes.map(|change| last + scale * change)),
                );
            }
        }
        predicted
    }
}

impl Sizes {
    /// Tensors of B moments from flat arrays `[B, T, I]` and `[B, R, F]`.
    pub(crate) fn inputs(&self, moments: usize, sequences: Vec<f32>, statistics: Vec<f32>, device: &Device) -> Inputs {
        let sequence = TensorData::new(sequences, [moments, self.inputs, self.input_width]);
        let statistics = TensorData::new(statistics, [moments * self.resources, self.features]);
        Inputs {
            sequence: Tensor::from_data(sequence, device),
            statistics: Tensor::from_data(statistics, device),
        }
    }
}
