//! The LSTM of the network: one operation over whole sequences, with a way back written by hand.
//!
//! On the processor (`Flex`, with or without gradients) [`last_state`] is [`kernel`], an operation of its own in the
//! library's graph ([`op`]). Everywhere else it is put together from the library's tensors ([`plain`]). Both compute
//! the same thing from weights in the layout of `PyTorch`, so that its results can be compared number by number.

pub(crate) mod kernel;
mod op;
mod plain;
#[cfg(test)]
mod tests;
#[cfg(feature = "trial")]
pub mod trial;

use burn::tensor::Tensor;

pub(crate) use op::runs_on;

/// Weights of one layer of H units, gates in the order input, forget, candidate, output.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    /// `[4 H, I]`
    pub(crate) w_ih: Tensor<2>,
    /// `[4 H, H]`
    pub(crate) w_hh: Tensor<2>,
    /// `[4 H]`
    pub(crate) b_ih: Tensor<1>,
    /// `[4 H]`; its own tensor and not one with `b_ih`, since an optimiser that scales steps would move their sum half
    /// as far.
    pub(crate) b_hh: Tensor<1>,
}

/// The state of the last of `layers`, each of as many units, after the last step: `[B, H]`.
///
/// `sequence`: `[B, T, I]`; states and cells begin at 0.
pub(crate) fn last_state(sequence: Tensor<3>, layers: &[Weights]) -> Tensor<2> {
    if op::runs_on(&sequence.device()) {
        op::last_state(sequence, layers)
    } else {
        plain::last_state(&sequence, layers)
    }
}

impl Weights {
    /// H
    fn hidden(&self) -> usize {
        let [_, hidden] = self.w_hh.dims();
        hidden
    }
}
