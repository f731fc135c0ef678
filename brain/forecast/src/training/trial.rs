//! Steps of training and forecasts of the network as it is served, on made-up moments, for `bench lstm`.

use burn::tensor::Device;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::fit::Fit;
use crate::{
    artifact::sizes,
    config::Config,
    dataset::{Batch, Came},
    model::{Network, Packed, Sizes},
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Moments a training step.
    pub batch: usize,
    /// Inputs of each look of an LSTM, and how many numbers each has.
    pub looks: Vec<(usize, usize)>,
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
        let network = Network::new(self.sizes.clone(), &mut self.random, &Device::flex());
        Shape {
            batch: self.config.training.batch,
            looks: self.sizes.looks.clone(),
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
        let network = Network::new(self.sizes.clone(), &mut self.random, &Device::flex().autodiff());
        let mut fit = Fit::new(network, self.sizes.clone(), &self.config.training);
        move || fit.step(batch.clone(), RATE, &mut self.random)
    }

    /// One forward pass of `moments` each time it is called: the quantiles of all values, then of all peaks.
    pub fn inference(mut self, moments: usize) -> impl Fn() -> Vec<f32> {
        let Batch {
            sequences, statistics, ..
        } = self.batch(moments);
        let network = Network::new(self.sizes.clone(), &mut self.random, &Device::flex());
        let packed = Packed::new(&network);
        move || {
            let said = packed
                .as_ref()
                .and_then(|network| network.infer(moments, &sequences, &statistics));
            said.map(|said| [said.values, said.peaks].concat()).unwrap_or_default()
        }
    }

    fn batch(&mut self, moments: usize) -> Batch {
        let Sizes {
            targets,
            horizons,
            holds,
            features,
            ref looks,
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
            sequences: looks.iter().map(|look| numbers(moments * look.0 * look.1)).collect(),
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
