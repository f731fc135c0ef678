//! Steps of training and forecasts of the network as it is served, on made-up moments, for `bench lstm`.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::fit::Fit;
use crate::{
    artifact::sizes,
    config::Config,
    dataset::{Batch, Came},
    model::{Network, Sizes},
};

/// Learning rate of the trial.
const RATE: f64 = 1e-3;

/// The network of the default settings on rows of 10 s: five targets, seven channels.
#[derive(Debug)]
pub struct Served {
    config: Config,
    sizes: Sizes,
    random: StdRng,
}

/// Its sizes, for a rival that is to be of the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Moments a training step.
    pub batch: usize,
    /// Inputs of the LSTM's window.
    pub inputs: usize,
    /// Numbers of an input.
    pub width: usize,
    /// Units of the LSTM.
    pub hidden: usize,
    /// Width of the layers above.
    pub dense: usize,
    /// Targets.
    pub targets: usize,
    /// Statistics a target.
    pub features: usize,
    /// Horizons, of four quantiles each.
    pub horizons: usize,
    /// Times of peaks, of six quantiles each.
    pub holds: usize,
    /// Its weights.
    pub weights: usize,
}

impl Default for Served {
    fn default() -> Self {
        let config = Config::default();
        Self {
            sizes: sizes(&config),
            config,
            random: StdRng::seed_from_u64(1),
        }
    }
}

impl Served {
    /// How large it is.
    pub fn shape(&mut self) -> Shape {
        let network = Network::new(self.sizes, &mut self.random, &Device::flex());
        Shape {
            batch: self.config.training.batch,
            inputs: self.sizes.inputs,
            width: self.sizes.input_width,
            hidden: self.sizes.hidden,
            dense: self.sizes.dense,
            targets: self.sizes.targets,
            features: self.sizes.features,
            horizons: self.sizes.horizons,
            holds: self.sizes.holds,
            weights: network.weights().len(),
        }
    }

    /// One step of training on the same moments, each time it is called; it returns the loss before the step: dropout, way
    /// there, weighed pinball losses of values and peaks, way back, clipping, `AdamW` and the average of the weights.
    pub fn training(mut self) -> impl FnMut() -> f32 {
        let batch = self.batch(self.config.training.batch);
        let network = Network::new(self.sizes, &mut self.random, &Device::flex().autodiff());
        let mut fit = Fit::new(network, self.sizes, &self.config.training);
        move || fit.step(batch.clone(), RATE, &mut self.random)
    }

    /// One forward pass of `moments` each time it is called: the quantiles of all values, then of all peaks.
    pub fn inference(mut self, moments: usize) -> impl Fn() -> Vec<f32> {
        let Batch {
            sequences, statistics, ..
        } = self.batch(moments);
        let network = Network::new(self.sizes, &mut self.random, &Device::flex()).valid();
        move || {
            let inputs = self
                .sizes
                .inputs(moments, sequences.clone(), statistics.clone(), &Device::flex());
            let outputs = network.forward(&inputs, None);
            let flat = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
            [flat(outputs.values), flat(outputs.peaks)].concat()
        }
    }

    fn batch(&mut self, moments: usize) -> Batch {
        let Sizes {
            targets,
            horizons,
            holds,
            features,
            inputs,
            input_width,
            ..
        } = self.sizes;
        let mut numbers =
            |count: usize| -> Vec<f32> { (0..count).map(|_| 4.0 * self.random.random::<f32>() - 2.0).collect() };
        let mut came = |answers: usize| Came {
            truths: numbers(moments * targets * answers),
            weights: vec![1.0; moments * targets * answers],
        };
        let (values, peaks) = (came(horizons), came(holds));
        Batch {
            moments,
            sequences: numbers(moments * inputs * input_width),
            statistics: numbers(moments * targets * features),
            values,
            peaks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_learns_and_a_forecast_is_made() {
        let mut step = Served::default().training();
        let first = step();
        let last = (0..30).map(|_| step()).last().unwrap();
        assert!(last < 0.95 * first, "{first} {last}");
        let shape = Served::default().shape();
        let outputs = Served::default().inference(3)();
        assert_eq!(
            outputs.len(),
            3 * shape.targets * (4 * shape.horizons + 6 * shape.holds)
        );
        assert!(outputs.iter().all(|output| output.is_finite()));
    }
}
