//! Steps of the optimiser: a batch way there, its loss, the way back, and the weights moved.

use std::sync::Arc;

use burn::{
    module::Module,
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use rand::{Rng, RngExt, rngs::StdRng};

use super::{
    Part, Progress, Watch,
    adam::{self, Adam},
    loss::{Truths, loss},
    plan::Plan,
    progress,
};
use crate::{
    artifact::sizes,
    config::{Config, Training},
    dataset::{Batch, Dataset, Shuffle},
    device,
    error::TrainError,
    head::Masks,
    model::{Network, Sizes, extend},
};

pub(super) fn fit(
    dataset: &Dataset,
    config: &Config,
    plan: &Plan,
    start: Option<Vec<f32>>,
    random: &mut StdRng,
    watch: Watch<'_>,
) -> Result<Network, TrainError> {
    let mut network = Network::new(sizes(config), random, &device::training());
    if let Some(weights) = start {
        network = network.with_weights(&weights);
    }
    let mut fit = Fit::new(network, sizes(config), &config.training);
    let mut order = Shuffle::new(dataset.len());
    for step in 1..=plan.steps {
        let batch = dataset.batch(order.next(plan.batch, random));
        let loss = fit.step(batch, plan.rate_at(step), random);
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step, loss });
        }
        let now = Progress {
            loss: Some(loss),
            ..progress(Part::Steps, step, plan.steps)
        };
        if watch(now).is_break() {
            return Err(TrainError::Stopped { steps: step });
        }
    }
    fit.averaged().ok_or(TrainError::Diverged {
        step: plan.steps,
        loss: f32::NAN,
    })
}

/// A network that is being fitted.
pub(super) struct Fit {
    /// `None` only within a step.
    network: Option<Network>,
    adam: Adam,
    /// Room for gradients and outputs, used again at each step.
    gradients: Vec<f32>,
    outputs: Vec<f32>,
    sizes: Sizes,
    dropout: f64,
    device: Device,
}

impl Fit {
    /// Before the first step.
    pub(super) fn new(network: Network, sizes: Sizes, training: &Training) -> Self {
        Self {
            device: network.device(),
            adam: Adam::new(&network.weights(), training.weight_decay),
            network: Some(network),
            gradients: Vec::new(),
            outputs: Vec::new(),
            sizes,
            dropout: training.dropout,
        }
    }

    /// One step at a learning rate; returns the loss before it.
    pub(super) fn step(&mut self, mut batch: Batch, rate: f64, random: &mut StdRng) -> f32 {
        let Some(network) = self.network.take() else {
            return f32::NAN;
        };
        self.skip(&mut batch, random);
        let (moments, rows) = (batch.moments, batch.moments * self.sizes.targets);
        let inputs = self
            .sizes
            .inputs(moments, batch.sequences, batch.statistics, &self.device);
        let (states, masks) = rayon::join(
            || network.states(&inputs),
            || masks(&self.sizes, moments, self.dropout, random),
        );
        let steps = network.steps(states, &inputs, masks.as_ref());
        let truths = Truths {
            values: &batch.values,
            peaks: &batch.peaks,
        };
        self.outputs.clear();
        extend(&mut self.outputs, steps.clone());
        let Some((loss, gradient)) = loss(&self.outputs, rows, truths) else {
            return f32::NAN;
        };
        let gradient = Tensor::<2>::from_data(TensorData::new(gradient, steps.dims()), &self.device);
        // A sum whose gradient is that of the loss.
        let mut gradients = GradientsParams::from_grads((steps * gradient).sum().backward(), &network);
        adam::read(&network, &mut gradients, &mut self.gradients);
        let weights = self.adam.step(&self.gradients, rate);
        self.network = Some(network.with_weights(weights));
        loss
    }

    /// Takes whole inputs out of all looks but the first, as if there had been nothing then.
    fn skip(&self, batch: &mut Batch, random: &mut StdRng) {
        let share = SKIPPED * self.dropout;
        for (numbers, &(_, width)) in batch.sequences.iter_mut().zip(&self.sizes.looks).skip(1) {
            for input in numbers.chunks_mut(width.max(1)) {
                if f64::from(random.random::<u8>()) < 256.0 * share {
                    input.fill(0.0);
                }
            }
        }
    }

    /// The network with its averaged weights; `None` when one of them is not finite.
    pub(super) fn averaged(self) -> Option<Network> {
        let averages = self.adam.averages()?;
        let network = self.network?.with_weights(&averages).valid();
        // Where it forecasts.
        Some(network.to_device(&Device::flex()))
    }
}

/// How much more often than activations states are dropped, and inputs of LSTMs other than those of the last hour: moments
/// beside each other read almost the same days, and would be learnt by heart.
const STATES: f64 = 3.0;
const SKIPPED: f64 = 2.0;

/// A share in 1/256, at most 0.9.
fn cut(share: f64) -> u8 {
    (share.min(0.9) * 256.0).round() as u8
}

/// Draws what is dropped. `None` when nothing is.
fn masks(sizes: &Sizes, moments: usize, share: f64, random: &mut StdRng) -> Option<Arc<Masks>> {
    let (state_cut, cut) = (cut(STATES * share), cut(share));
    if cut == 0 {
        return None;
    }
    let mut bytes = |count: usize| {
        let mut bytes = vec![0_u8; count];
        random.fill_bytes(&mut bytes);
        bytes
    };
    let rows = moments * sizes.targets;
    Some(Arc::new(Masks {
        cut,
        state_cut,
        state: bytes(moments * sizes.states()),
        statistics: bytes(rows * sizes.features),
        dense: bytes(rows * sizes.dense),
    }))
}
