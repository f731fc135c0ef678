//! The network: an LSTM over the window, joined with window statistics, quantiles that cannot cross.
//!
//! B moments, R targets, F features a resource, K looks of T inputs of I values each, H units, D dense, horizons Z: an LSTM a
//! look reads `[B, T, I]` and leaves its last state; all states together, `[B, K H]`, are the same for every target, and each
//! target reads them by weights of its own. What it reads there, statistics `[B, R, F]` and a bias of the target enter a layer
//! of D; a second one is added to it; out come `[B, R, Z, 4]` numbers, and the statistics reach them on a straight path too.
//! The first of the four is the p50, the others are steps upwards (softplus), so the quantiles rise whatever the weights are.
//! In units: forecast = newest value + scale * output. Of P times the peaks come out in the same way, `[B, R, P, 6]`, from
//! the same layers, which learn nothing from them.

mod lstm;
mod packed;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    nn::Linear,
    tensor::{Device, Tensor, TensorData},
};
use lstm::Lstm;
pub(crate) use packed::{Packed, Said};
use rand::{RngExt, rngs::StdRng};

use crate::head::{self, Masks, Shape};

/// Sizes of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) targets: usize,
    pub(crate) horizons: usize,
    pub(crate) holds: usize,
    pub(crate) features: usize,
    /// Inputs of each look, and their width.
    pub(crate) looks: Vec<(usize, usize)>,
    pub(crate) hidden: usize,
    pub(crate) dense: usize,
    /// Without it the LSTMs' states are 0.
    pub(crate) sequence: bool,
}

impl Sizes {
    /// Numbers of all states together.
    pub(crate) fn states(&self) -> usize {
        self.looks.len() * self.hidden
    }

    /// Sizes of the layers above the LSTMs.
    pub(crate) fn head(&self) -> Shape {
        Shape {
            targets: self.targets,
            states: self.states(),
            features: self.features,
            dense: self.dense,
            values: 4 * self.horizons,
            peaks: 6 * self.holds,
        }
    }
}

/// The network's weights.
#[derive(Module, Debug)]
pub(crate) struct Network {
    /// One a look.
    lstms: Vec<Lstm>,
    /// `[states, target x dense]`
    of_state: Param<Tensor<2>>,
    /// `[feature, dense]`
    of_statistics: Param<Tensor<2>>,
    /// `[target, dense]`
    of_target: Param<Tensor<2>>,
    middle: Linear,
    out: Linear,
    straight: Linear,
    peaks: Linear,
    peaks_straight: Linear,
    #[module(skip)]
    sizes: Sizes,
}

/// What the network reads of B moments.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    /// By look: `[B, T, I]`
    pub(crate) sequences: Vec<Tensor<3>>,
    /// `[B * R, F]`, standardised.
    pub(crate) statistics: Tensor<2>,
}

impl Network {
    /// Where its weights are.
    pub(crate) fn device(&self) -> Device {
        self.of_state.device()
    }

    /// Fresh weights from `random`: uniform within 1 / sqrt(inputs), as `PyTorch` does, and a first output close to
    /// "no change" with narrow quantiles.
    pub(crate) fn new(sizes: Sizes, random: &mut StdRng, device: &Device) -> Self {
        let Shape {
            targets,
            states,
            features,
            dense,
            values,
            peaks: of_peaks,
        } = sizes.head();
        let bound = |width: usize| 1.0 / (width.max(1) as f32).sqrt();
        let mut fresh = Fresh { random, device };
        let looks = sizes.looks.iter();
        let lstms = looks.map(|&(_, width)| fresh.lstm(width, sizes.hidden)).collect();
        let enter = bound(states + features + targets);
        let of_state = Param::from_data(fresh.uniform([states, targets * dense], enter), device);
        let of_statistics = Param::from_data(fresh.uniform([features, dense], enter), device);
        let of_target = Param::from_data(fresh.uniform([targets, dense], enter), device);
        let middle = fresh.linear(dense, dense, bound(dense), true);
        let mut out = fresh.linear(dense, values, 0.3 * bound(dense), false);
        let start = [0.0_f32, 0.0, -1.0, -0.5].repeat(sizes.horizons);
        out.bias = Some(Param::from_data(TensorData::new(start, [values]), device));
        let straight = fresh.linear(features, values, 0.1 * bound(features), false);
        let mut peaks = fresh.linear(dense, of_peaks, 0.3 * bound(dense), false);
        let start = [0.0_f32, 0.0, -0.5, -1.0, -1.0, -1.0].repeat(sizes.holds);
        peaks.bias = Some(Param::from_data(TensorData::new(start, [of_peaks]), device));
        let peaks_straight = fresh.linear(features, of_peaks, 0.1 * bound(features), false);
        Self {
            lstms,
            of_state,
            of_statistics,
            of_target,
            middle,
            out,
            straight,
            peaks,
            peaks_straight,
            sizes,
        }
    }

    /// The LSTMs' last states side by side, `[B, K H]`.
    pub(crate) fn states(&self, inputs: &Inputs) -> Tensor<2> {
        if self.sizes.sequence {
            let each = self.lstms.iter().zip(&inputs.sequences);
            Tensor::cat(each.map(|(lstm, sequence)| lstm.last_state(sequence)).collect(), 1)
        } else {
            let ([rows, _], shape) = (inputs.statistics.dims(), self.sizes.head());
            Tensor::zeros([rows / shape.targets, shape.states], &inputs.statistics.device())
        }
    }

    /// What the quantiles are made of ([`crate::rise`]), from the states: `[B R, 4 Z + 6 P]`.
    pub(crate) fn steps(&self, states: Tensor<2>, inputs: &Inputs, masks: Option<&Arc<Masks>>) -> Tensor<2> {
        let statistics = inputs.statistics.clone();
        head::outputs(states, statistics, self.head(), self.sizes.head(), masks)
    }

    fn head(&self) -> head::Weights {
        let bias = |of: &Linear| {
            let [_, width] = of.weight.dims();
            let none = || Tensor::zeros([width], &of.weight.device());
            of.bias.as_ref().map_or_else(none, Param::val)
        };
        head::Weights {
            of_state: self.of_state.val(),
            of_statistics: self.of_statistics.val(),
            of_target: self.of_target.val(),
            middle: self.middle.weight.val(),
            middle_bias: bias(&self.middle),
            out: self.out.weight.val(),
            out_bias: bias(&self.out),
            straight: self.straight.weight.val(),
            peaks: self.peaks.weight.val(),
            peaks_bias: bias(&self.peaks),
            peaks_straight: self.peaks_straight.weight.val(),
        }
    }

    /// Weights of the layers above the LSTMs, in the order in which these take them.
    fn flat_head(&self) -> Vec<f32> {
        fn flat<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
            let mut numbers = Vec::new();
            extend(&mut numbers, tensor);
            numbers
        }
        let head = self.head();
        [
            flat(head.of_state),
            flat(head.of_statistics),
            flat(head.of_target),
            flat(head.middle),
            flat(head.middle_bias),
            flat(head.out),
            flat(head.out_bias),
            flat(head.straight),
            flat(head.peaks),
            flat(head.peaks_bias),
            flat(head.peaks_straight),
        ]
        .concat()
    }

    /// All weights in a fixed order.
    pub(crate) fn weights(&self) -> Vec<f32> {
        let mut reader = Reader { weights: Vec::new() };
        self.visit(&mut reader);
        reader.weights
    }

    /// The same network with other weights, in the order of [`Network::weights`].
    pub(crate) fn with_weights(self, weights: &[f32]) -> Self {
        self.map(&mut Writer { weights, at: 0 })
    }
}

/// A tensor's numbers to the end of `numbers`.
pub(crate) fn extend<const D: usize>(numbers: &mut Vec<f32>, tensor: Tensor<D>) {
    let data = tensor.into_data();
    match data.as_slice::<f32>() {
        Ok(slice) => numbers.extend_from_slice(slice),
        Err(_) => numbers.extend(data.iter::<f32>()),
    }
}

/// Draws fresh weights.
struct Fresh<'a> {
    random: &'a mut StdRng,
    device: &'a Device,
}

impl Fresh<'_> {
    fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f32) -> TensorData {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|_| bound * (2.0 * self.random.random::<f32>() - 1.0))
            .collect();
        TensorData::new(values, shape)
    }

    fn lstm(&mut self, width: usize, hidden: usize) -> Lstm {
        let (bound, device) = (1.0 / (hidden.max(1) as f32).sqrt(), self.device);
        Lstm {
            w_ih: Param::from_data(self.uniform([4 * hidden, width], bound), device),
            w_hh: Param::from_data(self.uniform([4 * hidden, hidden], bound), device),
            b_ih: Param::from_data(self.uniform([4 * hidden], bound), device),
            b_hh: Param::from_data(self.uniform([4 * hidden], bound), device),
        }
    }

    fn linear(&mut self, width: usize, out: usize, bound: f32, bias: bool) -> Linear {
        let weight = Param::from_data(self.uniform([width, out], bound), self.device);
        let bias = bias.then(|| Param::from_data(self.uniform([out], bound), self.device));
        Linear { weight, bias }
    }
}

/// Collects weights in the module's order.
struct Reader {
    weights: Vec<f32>,
}

impl ModuleVisitor for Reader {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        extend(&mut self.weights, param.val());
    }
}

/// Hands weights out in the module's order.
struct Writer<'a> {
    weights: &'a [f32],
    at: usize,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.val().dims();
        let count: usize = shape.iter().product();
        let Some(values) = self.weights.get(self.at..self.at + count) else {
            return param;
        };
        self.at += count;
        param.map(|old| {
            let required = old.is_require_grad();
            let new = Tensor::from_data(TensorData::new(values.to_vec(), shape), &old.device());
            if required { new.require_grad() } else { new }
        })
    }
}
