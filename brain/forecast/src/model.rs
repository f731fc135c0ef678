//! The network: an LSTM over the window, joined with window statistics, quantiles that cannot cross.
//!
//! B moments, R targets, F features a resource, T inputs of I values, S state, D dense, H horizons:
//! the LSTM reads `[B, T, I]` and leaves its last state `[B, S]`, the same for every target. State,
//! statistics `[B, R, F]` and a bias of the target enter a layer of D; a second one is added to it; out come
//! `[B, R, H, 4]` numbers, and the statistics reach them on a straight path too. The first of the four is the
//! p50, the others are steps upwards (softplus), so the quantiles rise whatever the weights are.
//! In units: forecast = newest value + scale * output. Of P times the peaks come out in the same way, `[B, R, P, 6]`, from
//! the same layers, which learn nothing from them.

mod lstm;
#[cfg(test)]
mod tests;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    nn::Linear,
    tensor::{Device, Tensor, TensorData, activation},
};
use lstm::Lstm;
use rand::{RngExt, rngs::StdRng};

/// Sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) targets: usize,
    pub(crate) horizons: usize,
    pub(crate) holds: usize,
    pub(crate) features: usize,
    pub(crate) inputs: usize,
    pub(crate) input_width: usize,
    pub(crate) hidden: usize,
    pub(crate) dense: usize,
    /// Without it the LSTM's state is 0.
    pub(crate) sequence: bool,
}

/// The network's weights.
#[derive(Module, Debug)]
pub(crate) struct Network {
    lstm: Lstm,
    from_state: Linear,
    from_statistics: Linear,
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

/// What the network says of B moments: rising quantiles of (value - newest) / scale.
#[derive(Debug, Clone)]
pub(crate) struct Outputs {
    /// `[B * R * H, 4]`
    pub(crate) values: Tensor<2>,
    /// `[B * R * P, 6]`
    pub(crate) peaks: Tensor<2>,
}

/// What the network reads of B moments.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    /// `[B, T, I]`
    pub(crate) sequence: Tensor<3>,
    /// `[B * R, F]`, standardised.
    pub(crate) statistics: Tensor<2>,
}

/// What is dropped in a training step: 0 or 1 / (1 - share), element by element.
#[derive(Debug, Clone)]
pub(crate) struct Masks {
    /// `[B, S]`
    pub(crate) state: Tensor<2>,
    /// `[B * R, F]`
    pub(crate) statistics: Tensor<2>,
    /// `[B * R, D]`
    pub(crate) dense: Tensor<2>,
}

impl Network {
    /// Fresh weights from `random`: uniform within 1 / sqrt(inputs), as `PyTorch` does, and a first output close to
    /// "no change" with narrow quantiles.
    pub(crate) fn new(sizes: Sizes, random: &mut StdRng, device: &Device) -> Self {
        let Sizes {
            targets,
            horizons,
            holds,
            features,
            input_width,
            hidden,
            dense,
            ..
        } = sizes;
        let bound = |width: usize| 1.0 / (width.max(1) as f32).sqrt();
        let of_state = bound(hidden);
        let mut fresh = Fresh { random, device };
        let lstm = Lstm {
            w_ih: Param::from_data(fresh.uniform([4 * hidden, input_width], of_state), device),
            w_hh: Param::from_data(fresh.uniform([4 * hidden, hidden], of_state), device),
            b_ih: Param::from_data(fresh.uniform([4 * hidden], of_state), device),
            b_hh: Param::from_data(fresh.uniform([4 * hidden], of_state), device),
        };
        let enter = bound(hidden + features + targets);
        let (from_state, from_statistics) = (
            fresh.linear(hidden, dense, enter, true),
            fresh.linear(features, dense, enter, false),
        );
        let of_target = Param::from_data(fresh.uniform([targets, dense], enter), device);
        let middle = fresh.linear(dense, dense, bound(dense), true);
        let mut out = fresh.linear(dense, horizons * 4, 0.3 * bound(dense), false);
        let start = [0.0_f32, 0.0, -1.0, -0.5].repeat(horizons);
        out.bias = Some(Param::from_data(TensorData::new(start, [horizons * 4]), device));
        let straight = fresh.linear(features, horizons * 4, 0.1 * bound(features), false);
        let mut peaks = fresh.linear(dense, holds * 6, 0.3 * bound(dense), false);
        let start = [0.0_f32, 0.0, -0.5, -1.0, -1.0, -1.0].repeat(holds);
        peaks.bias = Some(Param::from_data(TensorData::new(start, [holds * 6]), device));
        let peaks_straight = fresh.linear(features, holds * 6, 0.1 * bound(features), false);
        Self {
            lstm,
            from_state,
            from_statistics,
            of_target,
            middle,
            out,
            straight,
            peaks,
            peaks_straight,
            sizes,
        }
    }

    pub(crate) fn forward(&self, inputs: &Inputs, masks: Option<&Masks>) -> Outputs {
        let Sizes { targets, dense, .. } = self.sizes;
        let drop = |x: Tensor<2>, mask: Option<&Tensor<2>>| match mask {
            Some(mask) => x * mask.clone(),
            None => x,
        };
        let [moments, _, _] = inputs.sequence.dims();
        let state = if self.sizes.sequence {
            drop(self.lstm.last_state(&inputs.sequence), masks.map(|masks| &masks.state))
        } else {
            Tensor::zeros([moments, self.sizes.hidden], &inputs.sequence.device())
        };
        let shared = self.from_state.forward(state).reshape([moments, 1, dense]);
        let statistics = drop(inputs.statistics.clone(), masks.map(|masks| &masks.statistics));
        let own = self
            .from_statistics
            .forward(statistics)
            .reshape([moments, targets, dense]);
        let bias = self.of_target.val().reshape([1, targets, dense]);
        let entered = activation::relu(own + shared + bias).reshape([moments * targets, dense]);
        let deep = entered.clone() + activation::relu(self.middle.forward(entered));
        let deep = drop(deep, masks.map(|masks| &masks.dense));
        let steps = self.out.forward(deep.clone()) + self.straight.forward(inputs.statistics.clone());
        let to_peaks = self.peaks.forward(deep.detach()) + self.peaks_straight.forward(inputs.statistics.clone());
        Outputs {
            values: rise::<4>(steps),
            peaks: rise::<6>(to_peaks),
        }
    }

    /// Pinball loss over all quantiles, which are `taus`.
    ///
    /// `quantiles`: `[N, Q]`; `truths`: `[N, 1]`; `weights`: `[N, 1]`, 0 where there is no truth; `known`: truths, above 0.
    pub(crate) fn loss<const Q: usize>(
        quantiles: Tensor<2>,
        taus: [f64; Q],
        truths: Tensor<2>,
        weights: Tensor<2>,
        known: f32,
    ) -> Tensor<1> {
        let device = quantiles.device();
        let taus: Tensor<2> = Tensor::from_floats([taus], &device);
        let error = truths - quantiles;
        // max(tau e, (tau - 1) e) = tau e + max(-e, 0)
        let pinball = error.clone() * taus + activation::relu(error.neg());
        (pinball * weights).sum().div_scalar(Q as f32 * known)
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

/// `[N, H * Q]` steps to `[N * H, Q]` quantiles: the first as it is, the others upwards from it.
fn rise<const Q: usize>(steps: Tensor<2>) -> Tensor<2> {
    let [rows, width] = steps.dims();
    let device = steps.device();
    let steps = steps.reshape([rows * width / Q, Q]);
    let when = |holds: bool| if holds { 1.0_f32 } else { 0.0 };
    let first: Tensor<2> = Tensor::from_floats([std::array::from_fn::<f32, Q, _>(|at| when(at == 0))], &device);
    let others: Tensor<2> = Tensor::from_floats([std::array::from_fn::<f32, Q, _>(|at| when(at > 0))], &device);
    let sum: [[f32; Q]; Q] = std::array::from_fn(|from| std::array::from_fn(|to| when(from <= to)));
    let up = activation::softplus(steps.clone(), 1.0) * others + steps * first;
    up.matmul(Tensor::from_floats(sum, &device))
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
        self.weights.extend(param.val().into_data().iter::<f32>());
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
