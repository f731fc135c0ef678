//! The LSTM over the window: reads a sequence, leaves its last state.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, activation},
};

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
        let [moments, inputs, width] = sequence.dims();
        let (w_ih, w_hh) = (self.w_ih.val(), self.w_hh.val());
        let bias = self.b_ih.val() + self.b_hh.val();
        let [_, cells] = w_hh.dims();
        let gates = [0, 1, 2, 3].map(|gate| {
            let of = |weights: &Tensor<2>| weights.clone().narrow(0, gate * cells, cells).transpose();
            let bias = bias.clone().narrow(0, gate * cells, cells).reshape([1, cells]);
            (of(&w_ih), of(&w_hh), bias)
        });
        let mut state: Tensor<2> = Tensor::zeros([moments, cells], &sequence.device());
        let mut cell = state.clone();
        for step in 0..inputs {
            let read = sequence.clone().narrow(1, step, 1).reshape([moments, width]);
            let [input, forget, candidate, output] = gates.each_ref().map(|(of_input, of_state, bias)| {
                read.clone().matmul(of_input.clone()) + state.clone().matmul(of_state.clone()) + bias.clone()
            });
            let kept = activation::sigmoid(forget) * cell;
            cell = kept + activation::sigmoid(input) * activation::tanh(candidate);
            state = activation::sigmoid(output) * activation::tanh(cell.clone());
        }
        state
    }
}
