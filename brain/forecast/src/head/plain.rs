//! The layers put together from the library's tensors, for devices that the operation is not written for.

use burn::tensor::{Tensor, activation};

use super::{Masks, Shape, Weights};

/// See [`super::outputs`].
pub(super) fn outputs(
    state: Tensor<2>,
    statistics: Tensor<2>,
    weights: Weights,
    shape: Shape,
    masks: Option<&Masks>,
) -> Tensor<2> {
    let Shape {
        targets,
        states,
        features,
        dense,
        ..
    } = shape;
    let ([moments, _], device) = (state.dims(), state.device());
    let rows = moments * targets;
    let drop = |x: Tensor<2>, bytes: fn(&Masks) -> (u8, &[u8]), width: usize| {
        let [rows, _] = x.dims();
        match masks {
            Some(masks) => {
                let (cut, bytes) = bytes(masks);
                x * Masks::tensor(cut, bytes, [rows, width], &device)
            }
            None => x,
        }
    };
    let state = drop(state, |masks| (masks.state_cut, &masks.state), states);
    let shared = state.matmul(weights.of_state).reshape([moments, targets, dense]);
    let own = drop(statistics.clone(), |masks| (masks.cut, &masks.statistics), features);
    let own = own.matmul(weights.of_statistics).reshape([moments, targets, dense]);
    let bias = weights.of_target.reshape([1, targets, dense]);
    let entered = activation::relu(own + shared + bias).reshape([rows, dense]);
    let middle = entered.clone().matmul(weights.middle) + weights.middle_bias.unsqueeze();
    let deep = drop(
        entered + activation::relu(middle),
        |masks| (masks.cut, &masks.dense),
        dense,
    );
    let peaks = deep.clone().detach().matmul(weights.peaks) + weights.peaks_bias.unsqueeze();
    let values = deep.matmul(weights.out) + weights.out_bias.unsqueeze();
    Tensor::cat(
        vec![
            values + statistics.clone().matmul(weights.straight),
            peaks + statistics.matmul(weights.peaks_straight),
        ],
        1,
    )
}
