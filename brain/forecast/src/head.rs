//! The layers above the LSTM: one operation from states and statistics to what the quantiles are made of.
//!
//! As [`crate::lstm`], it is [`kernel`] on the processor, an operation of its own in the library's graph ([`op`]), and
//! everywhere else it is put together from the library's tensors ([`plain`]).

pub(crate) mod kernel;
mod op;
mod plain;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use crate::lstm::runs_on;

/// B moments of R targets: S numbers of the states of a moment, F statistics of a target, D units a layer, V numbers for
/// values and P for peaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// R
    pub(crate) targets: usize,
    /// S
    pub(crate) states: usize,
    /// F
    pub(crate) features: usize,
    /// D
    pub(crate) dense: usize,
    /// V
    pub(crate) values: usize,
    /// P
    pub(crate) peaks: usize,
}

impl Shape {
    fn is_empty(&self) -> bool {
        self.targets * self.states * self.features * self.dense * self.values * self.peaks == 0
    }
}

/// What is dropped in a training step: where a byte lies below `cut`. What stays is made larger by as much.
#[derive(Debug, Clone)]
pub(crate) struct Masks {
    pub(crate) cut: u8,
    /// The same of states.
    pub(crate) state_cut: u8,
    /// `[B, S]`
    pub(crate) state: Vec<u8>,
    /// `[B R, F]`
    pub(crate) statistics: Vec<u8>,
    /// `[B R, D]`
    pub(crate) dense: Vec<u8>,
}

impl Masks {
    #[inline]
    fn factor(cut: u8, byte: u8) -> f32 {
        let kept = 256.0 / (256.0 - f32::from(cut));
        if byte >= cut { kept } else { 0.0 }
    }

    fn fit(&self, moments: usize, shape: &Shape) -> bool {
        let rows = moments * shape.targets;
        let counts = [moments * shape.states, rows * shape.features, rows * shape.dense];
        [&self.state, &self.statistics, &self.dense].map(Vec::len) == counts
    }

    fn tensor(cut: u8, bytes: &[u8], shape: [usize; 2], device: &Device) -> Tensor<2> {
        let factors: Vec<f32> = bytes.iter().map(|byte| Self::factor(cut, *byte)).collect();
        Tensor::from_data(TensorData::new(factors, shape), device)
    }
}

/// The layers' weights.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    /// `[S, R D]`: each target reads the states in its own way.
    pub(crate) of_state: Tensor<2>,
    /// `[F, D]`
    pub(crate) of_statistics: Tensor<2>,
    /// `[R, D]`
    pub(crate) of_target: Tensor<2>,
    /// `[D, D]`
    pub(crate) middle: Tensor<2>,
    /// `[D]`
    pub(crate) middle_bias: Tensor<1>,
    /// `[D, V]`
    pub(crate) out: Tensor<2>,
    /// `[V]`
    pub(crate) out_bias: Tensor<1>,
    /// `[F, V]`
    pub(crate) straight: Tensor<2>,
    /// `[D, P]`
    pub(crate) peaks: Tensor<2>,
    /// `[P]`
    pub(crate) peaks_bias: Tensor<1>,
    /// `[F, P]`
    pub(crate) peaks_straight: Tensor<2>,
}

/// `state`: `[B, S]`; `statistics`: `[B R, F]`; gives `[B R, V + P]`. Gradients of the P end at the last layer.
pub(crate) fn outputs(
    state: Tensor<2>,
    statistics: Tensor<2>,
    weights: Weights,
    shape: Shape,
    masks: Option<&Arc<Masks>>,
) -> Tensor<2> {
    if runs_on(&state.device()) {
        op::outputs(state, statistics, weights, shape, masks)
    } else {
        plain::outputs(state, statistics, weights, shape, masks.map(Arc::as_ref))
    }
}
