//! Trainings and forecasts of a given size, for `bench lstm`: an LSTM with a linear layer on its last state that gives
//! [`OUTPUTS`] numbers, quantiles [`TAUS`] of 15 values.

use burn::{
    module::{Module, Param},
    nn::{Linear, LinearConfig},
    optim::{AdamConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData, activation},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    Weights,
    kernel::{Isa, Lstm, Sequences, Sizes},
    last_state,
};

/// Numbers that the linear layer gives.
pub const OUTPUTS: usize = 60;

/// Quantiles of each value.
pub const TAUS: [f32; 4] = [0.5, 0.9, 0.95, 0.99];

/// Learning rate of Adam.
const RATE: f64 = 1e-3;

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Sequences side by side.
    pub batch: usize,
    /// Steps of each.
    pub steps: usize,
    /// Numbers of a step.
    pub input: usize,
    /// Units of each layer.
    pub hidden: usize,
    /// Layers of the LSTM.
    pub layers: usize,
}

/// Runs `work` with so many threads.
///
/// # Errors
/// When they cannot be started.
pub fn with_threads<T: Send>(
    threads: usize,
    work: impl FnOnce() -> T + Send,
) -> Result<T, rayon::ThreadPoolBuildError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    Ok(pool.install(work))
}

#[derive(Module, Debug)]
struct Layer {
    w_ih: Param<Tensor<2>>,
    w_hh: Param<Tensor<2>>,
    b_ih: Param<Tensor<1>>,
    b_hh: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Network {
    layers: Vec<Layer>,
    out: Linear,
}

/// One step of training on the same batch, each time it is called; it returns the loss before the step.
///
/// Way there, pinball loss, way back, Adam.
pub fn training(workload: Workload) -> impl FnMut() -> f32 {
    let device = Device::flex().autodiff();
    let mut draw = Draw(StdRng::seed_from_u64(1));
    let mut network = Some(Network::new(workload, &mut draw, &device));
    let mut optimiser = AdamConfig::new().init();
    let Workload {
        batch, steps, input, ..
    } = workload;
    let sequence: Tensor<3> = draw.tensor([batch, steps, input], 2.0, &device);
    let truths: Tensor<3> = draw.tensor([batch, OUTPUTS / TAUS.len(), 1], 1.0, &device);
    move || {
        let Some(before) = network.take() else {
            return f32::NAN;
        };
        let loss = loss(before.forward(sequence.clone()), truths.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &before);
        network = Some(optimiser.step(RATE, before, gradients));
        loss.into_scalar::<f32>()
    }
}

/// Mean pinball loss of `[B, OUTPUTS]` against truths `[B, 15, 1]`.
fn loss(outputs: Tensor<2>, truths: Tensor<3>) -> Tensor<1> {
    let [batch, values, _] = truths.dims();
    let taus: Tensor<3> = Tensor::<1>::from_floats(TAUS, &outputs.device()).reshape([1, 1, TAUS.len()]);
    let error = truths - outputs.reshape([batch, values, TAUS.len()]);
    (error.clone() * taus + activation::relu(error.neg())).mean()
}

impl Network {
    fn new(workload: Workload, draw: &mut Draw, device: &Device) -> Self {
        let Workload {
            input, hidden, layers, ..
        } = workload;
        let bound = 1.0 / (hidden as f32).sqrt();
        let rows = 4 * hidden;
        let layers = (0..layers).map(|at| Layer {
            w_ih: Param::from_tensor(draw.tensor([rows, if at == 0 { input } else { hidden }], bound, device)),
            w_hh: Param::from_tensor(draw.tensor([rows, hidden], bound, device)),
            b_ih: Param::from_tensor(draw.tensor([rows], bound, device)),
            b_hh: Param::from_tensor(draw.tensor([rows], bound, device)),
        });
        Self {
            layers: layers.collect(),
            out: LinearConfig::new(hidden, OUTPUTS).init(device),
        }
    }

    fn forward(&self, sequence: Tensor<3>) -> Tensor<2> {
        let weights = self.layers.iter().map(|layer| Weights {
            w_ih: layer.w_ih.val(),
            w_hh: layer.w_hh.val(),
            b_ih: layer.b_ih.val(),
            b_hh: layer.b_hh.val(),
        });
        let weights: Vec<Weights> = weights.collect();
        self.out.forward(last_state(sequence, &weights))
    }
}

/// One pass over the same batch, each time it is called: `[batch, OUTPUTS]`. `None` when a size is 0.
pub fn inference(workload: Workload) -> Option<impl Fn() -> Vec<f32>> {
    let Workload {
        batch,
        steps,
        input,
        hidden,
        layers,
    } = workload;
    let mut draw = Draw(StdRng::seed_from_u64(1));
    let of = |input: usize| 4 * hidden * (input + hidden + 2);
    let weights = draw.numbers(
        of(input) + layers.checked_sub(1)? * of(hidden),
        1.0 / (hidden as f32).sqrt(),
    );
    let lstm = Lstm::new(&weights, Sizes { input, hidden }, Isa::best())?;
    let out = draw.numbers(hidden * OUTPUTS, 0.1);
    let bias = draw.numbers(OUTPUTS, 0.1);
    let numbers = draw.numbers(batch * steps * input, 2.0);
    let shape = [batch, steps, input];
    Sequences::new(&numbers, shape)?;
    Some(move || {
        let states = Sequences::new(&numbers, shape).map_or_else(Vec::new, |sequences| lstm.infer(sequences));
        let mut outputs = bias.repeat(batch);
        for (outputs, states) in outputs.chunks_mut(OUTPUTS).zip(states.chunks(hidden)) {
            for (state, weights) in states.iter().zip(out.chunks(OUTPUTS)) {
                for (output, weight) in outputs.iter_mut().zip(weights) {
                    *output += state * weight;
                }
            }
        }
        outputs
    })
}

/// Uniform numbers.
struct Draw(StdRng);

impl Draw {
    fn numbers(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count)
            .map(|_| bound * (2.0 * self.0.random::<f32>() - 1.0))
            .collect()
    }

    fn tensor<const D: usize>(&mut self, shape: [usize; D], bound: f32, device: &Device) -> Tensor<D> {
        let numbers = self.numbers(shape.iter().product(), bound);
        Tensor::from_data(TensorData::new(numbers, shape), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Workload = Workload {
        batch: 20,
        steps: 6,
        input: 3,
        hidden: 8,
        layers: 2,
    };

    #[test]
    fn a_training_learns_and_a_forecast_is_made() {
        let mut step = training(SMALL);
        let first = step();
        let last = (0..100).map(|_| step()).last().unwrap();
        assert!(last < 0.7 * first, "{first} {last}");
        let outputs = with_threads(2, inference(SMALL).unwrap()).unwrap();
        assert_eq!(outputs.len(), 20 * OUTPUTS);
        assert!(outputs.iter().all(|output| output.is_finite()));
    }
}
