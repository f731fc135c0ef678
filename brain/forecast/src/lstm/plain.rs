//! The LSTM from the library's own operations: for devices that the kernel does not run on.

use burn::tensor::{Tensor, activation};

use super::Weights;

/// See [`super::last_state`].
pub(super) fn last_state(sequence: &Tensor<3>, layers: &[Weights]) -> Tensor<2> {
    let [batch, steps, width] = sequence.dims();
    let mut inputs: Vec<Tensor<2>> = (0..steps)
        .map(|step| sequence.clone().narrow(1, step, 1).reshape([batch, width]))
        .collect();
    for layer in layers {
        inputs = states(&inputs, layer);
    }
    inputs
        .pop()
        .unwrap_or_else(|| Tensor::zeros([batch, width], &sequence.device()))
}

/// One layer's states after each step.
fn states(inputs: &[Tensor<2>], layer: &Weights) -> Vec<Tensor<2>> {
    let hidden = layer.hidden();
    let of_input = layer.w_ih.clone().transpose();
    let of_state = layer.w_hh.clone().transpose();
    let bias = (layer.b_ih.clone() + layer.b_hh.clone()).unsqueeze::<2>();
    let mut past: Option<(Tensor<2>, Tensor<2>)> = None;
    let steps = inputs.iter().map(|input| {
        let mut sums = input.clone().matmul(of_input.clone()) + bias.clone();
        if let Some((state, _)) = &past {
            sums = sums + state.clone().matmul(of_state.clone());
        }
        let gate = |at: usize| sums.clone().narrow(1, at * hidden, hidden);
        let mut cell = activation::sigmoid(gate(0)) * activation::tanh(gate(2));
        if let Some((_, before)) = past.take() {
            cell = cell + activation::sigmoid(gate(1)) * before;
        }
        let state = activation::sigmoid(gate(3)) * activation::tanh(cell.clone());
        past = Some((state.clone(), cell));
        state
    });
    steps.collect()
}
