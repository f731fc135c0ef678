//! The LSTM over the window: reads a sequence, leaves its last state.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::lstm::{self, Weights};

/// Weights of one layer with S cells and inputs of I values, gates in the order input, forget, candidate, output; the
/// names and shapes are those of `PyTorch`.
#[derive(Module, Debug)]
pub(crate) struct Lstm {
    /// `[4 S, I]`
    pub(crate) w_ih: Param<Tensor<2>>,
    /// `[4 S, S]`
    pub(crate) w_hh: Param<Tensor<2>>,
    /// `[4 S]`
    pub(crate) b_ih: Param<Tensor<1>>,
    /// `[4 S]`
    pub(crate) b_hh: Param<Tensor<1>>,
}

impl Lstm {
    /// The state after the last input: `[B, T, I]` to `[B, S]`.
    pub(crate) fn last_state(&self, sequence: &Tensor<3>) -> Tensor<2> {
        let weights = Weights {
            w_ih: self.w_ih.val(),
            w_hh: self.w_hh.val(),
            b_ih: self.b_ih.val(),
            b_hh: self.b_hh.val(),
        };
        lstm::last_state(sequence.clone(), &[weights])
    }
}
