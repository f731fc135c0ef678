//! The kernel as an operation of the library, for the backend `Flex` and for gradients over it.

use std::sync::Arc;

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{Tensor, TensorData},
};

use super::{
    Masks, Shape, Weights,
    kernel::{Head, Ins, Trace},
};
use crate::lstm::kernel::isa::Isa;

/// See [`super::outputs`]; for devices that the operation runs on.
pub(super) fn outputs(
    state: Tensor<2>,
    statistics: Tensor<2>,
    weights: Weights,
    shape: Shape,
    masks: Option<&Arc<Masks>>,
) -> Tensor<2> {
    let flat = |tensor: Tensor<2>| {
        let [rows, columns] = tensor.dims();
        tensor.reshape([rows * columns])
    };
    let weights = vec![
        flat(weights.of_state),
        flat(weights.of_statistics),
        flat(weights.of_target),
        flat(weights.middle),
        weights.middle_bias,
        flat(weights.out),
        weights.out_bias,
        flat(weights.straight),
        flat(weights.peaks),
        weights.peaks_bias,
        flat(weights.peaks_straight),
    ];
    let weights = Tensor::cat(weights, 0);
    let outputs = Dispatch::fused_head(
        state.into_dispatch(),
        statistics.into_dispatch(),
        weights.into_dispatch(),
        shape,
        masks.cloned(),
    );
    Tensor::from_dispatch(outputs)
}

/// The operation; `weights`: all of them, flat, as [`Weights`] has them.
#[backend_extension(Autodiff, Flex)]
pub(super) trait FusedHead: Backend {
    fn fused_head(
        state: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        shape: Shape,
        masks: Option<Arc<Masks>>,
    ) -> FloatTensor<Self>;
}

impl FusedHead for Flex {
    fn fused_head(
        state: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        shape: Shape,
        masks: Option<Arc<Masks>>,
    ) -> FloatTensor<Self> {
        let arguments = Arguments::new(&state, &statistics, &weights, shape, masks);
        let went = arguments.head().zip(arguments.ins());
        arguments.outputs(went.and_then(|(head, ins)| head.infer(ins)))
    }
}

impl<C: CheckpointStrategy> FusedHead for Autodiff<Flex, C> {
    fn fused_head(
        state: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        shape: Shape,
        masks: Option<Arc<Masks>>,
    ) -> FloatTensor<Self> {
        let (state, of_state) = state.into_parts();
        // Nobody asks for gradients of statistics.
        let (statistics, _) = statistics.into_parts();
        let (weights, of_weights) = weights.into_parts();
        match WayBack.prepare::<C>([of_state, of_weights]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let arguments = Arguments::new(&state, &statistics, &weights, shape, masks);
                let went = arguments.head().zip(arguments.ins()).and_then(|(head, ins)| {
                    let (outputs, traces) = head.forward(ins)?;
                    Some((outputs, (head, traces)))
                });
                let (outputs, went) = went.unzip();
                let outputs = arguments.outputs(outputs);
                prepared.finish((arguments, Arc::new(went)), outputs)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(Flex::fused_head(state, statistics, weights, shape, masks)),
        }
    }
}

/// What both ways read.
#[derive(Debug, Clone)]
struct Arguments {
    state: FloatTensor<Flex>,
    statistics: FloatTensor<Flex>,
    weights: FloatTensor<Flex>,
    shape: Shape,
    masks: Option<Arc<Masks>>,
}

impl Arguments {
    fn new(
        state: &FloatTensor<Flex>,
        statistics: &FloatTensor<Flex>,
        weights: &FloatTensor<Flex>,
        shape: Shape,
        masks: Option<Arc<Masks>>,
    ) -> Self {
        Self {
            state: state.to_contiguous(),
            statistics: statistics.to_contiguous(),
            weights: weights.to_contiguous(),
            shape,
            masks,
        }
    }

    /// `None` when they are not of single precision.
    fn ins(&self) -> Option<Ins<'_>> {
        Some(Ins {
            state: self.state.as_slice()?,
            statistics: self.statistics.as_slice()?,
            masks: self.masks.as_deref(),
        })
    }

    /// With its weights laid out; `None` when they are not as many as they have to be, or not of single precision.
    fn head(&self) -> Option<Head> {
        Head::new(self.weights.as_slice()?, self.shape, Isa::best())
    }

    /// `[B R, V + P]`: zeros where there is nothing to go by.
    fn outputs(&self, outputs: Option<Vec<f32>>) -> FloatTensor<Flex> {
        let [rows, _] = self.statistics.shape().dims();
        tensor(outputs, [rows, self.shape.values + self.shape.peaks])
    }
}

fn tensor<const D: usize>(numbers: Option<Vec<f32>>, shape: [usize; D]) -> FloatTensor<Flex> {
    let numbers = numbers.unwrap_or_else(|| vec![0.0; shape.iter().product()]);
    FloatTensor::<Flex>::from_data(TensorData::new(numbers, shape))
}

/// The way back.
#[derive(Debug)]
struct WayBack;

impl Backward<Flex, 2> for WayBack {
    /// With the weights as they were laid out for the way there.
    type State = (Arguments, Arc<Option<(Head, Vec<Trace>)>>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (arguments, went) = ops.state;
        let d_outputs = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let back = || {
            let (head, traces) = (*went).as_ref()?;
            let (weights, d_outputs) = (arguments.weights.as_slice()?, d_outputs.as_slice()?);
            head.backward(weights, arguments.ins()?, traces, d_outputs)
        };
        let (d_state, d_weights) = back().unzip();
        let [of_state, of_weights] = ops.parents;
        if let Some(node) = of_state {
            let shape: [usize; 2] = arguments.state.shape().dims();
            gradients.register::<Flex>(node.id, tensor(d_state, shape));
        }
        if let Some(node) = of_weights {
            let [count] = arguments.weights.shape().dims();
            gradients.register::<Flex>(node.id, tensor(d_weights, [count]));
        }
    }
}
