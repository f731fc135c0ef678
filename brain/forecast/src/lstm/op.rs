//! The kernel as an operation of the library, for the backend `Flex` and for gradients over it.

use std::sync::Arc;

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, DispatchDevice, Flex, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{Device, Tensor, TensorData},
};

use super::{
    Weights,
    kernel::{Isa, Lstm, Sequences, Sizes, To, Traces},
};

/// Whether the operation runs on tensors of this device.
pub(crate) fn runs_on(device: &Device) -> bool {
    let is_processor = |device: &DispatchDevice| matches!(device, DispatchDevice::Flex(_));
    let device = device.as_dispatch();
    is_processor(device) || matches!(device, DispatchDevice::Autodiff(within) if is_processor(&within.clone().inner()))
}

/// See [`super::last_state`]; for devices that this [`runs_on`].
pub(super) fn last_state(sequence: Tensor<3>, layers: &[Weights]) -> Tensor<2> {
    let flat = |tensor: &Tensor<2>| {
        let [rows, columns] = tensor.dims();
        tensor.clone().reshape([rows * columns])
    };
    let weights = layers.iter().flat_map(|layer| {
        [
            flat(&layer.w_ih),
            flat(&layer.w_hh),
            layer.b_ih.clone(),
            layer.b_hh.clone(),
        ]
    });
    let weights = Tensor::cat(weights.collect(), 0);
    let hidden = layers.last().map_or(0, Weights::hidden);
    let state = Dispatch::fused_lstm(sequence.into_dispatch(), weights.into_dispatch(), hidden);
    Tensor::from_dispatch(state)
}

/// The operation. `sequence`: `[B, T, I]`; `weights`: all layers', flat, as [`super::kernel`] has them; gives `[B, H]`.
#[backend_extension(Autodiff, Flex)]
pub(super) trait FusedLstm: Backend {
    fn fused_lstm(sequence: FloatTensor<Self>, weights: FloatTensor<Self>, hidden: usize) -> FloatTensor<Self>;
}

impl FusedLstm for Flex {
    fn fused_lstm(sequence: FloatTensor<Self>, weights: FloatTensor<Self>, hidden: usize) -> FloatTensor<Self> {
        let arguments = Arguments::new(&sequence, &weights, hidden);
        let went = arguments.lstm().zip(arguments.sequences());
        arguments.states(went.map(|(lstm, sequences)| lstm.infer(sequences)))
    }
}

impl<C: CheckpointStrategy> FusedLstm for Autodiff<Flex, C> {
    fn fused_lstm(sequence: FloatTensor<Self>, weights: FloatTensor<Self>, hidden: usize) -> FloatTensor<Self> {
        let ((sequence, of_sequence), (weights, of_weights)) = (sequence.into_parts(), weights.into_parts());
        match WayBack
            .prepare::<C>([of_sequence, of_weights])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => {
                let arguments = Arguments::new(&sequence, &weights, hidden);
                let went = arguments.lstm().zip(arguments.sequences()).map(|(lstm, sequences)| {
                    let (state, traces) = lstm.forward(sequences);
                    (state, (lstm, traces))
                });
                let (state, went) = went.unzip();
                let states = arguments.states(state);
                prepared.finish((arguments, Arc::new(went)), states)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(Flex::fused_lstm(sequence, weights, hidden)),
        }
    }
}

/// What both ways read.
#[derive(Debug, Clone)]
struct Arguments {
    sequence: FloatTensor<Flex>,
    weights: FloatTensor<Flex>,
    hidden: usize,
}

impl Arguments {
    fn new(sequence: &FloatTensor<Flex>, weights: &FloatTensor<Flex>, hidden: usize) -> Self {
        Self {
            sequence: sequence.to_contiguous(),
            weights: weights.to_contiguous(),
            hidden,
        }
    }

    /// `None` when there are none, or they are not of single precision.
    fn sequences(&self) -> Option<Sequences<'_>> {
        Sequences::new(self.sequence.as_slice()?, self.sequence.shape().dims())
    }

    /// With its weights laid out; `None` when they are not those of one layer or more, of single precision.
    fn lstm(&self) -> Option<Lstm> {
        let [_, _, input] = self.sequence.shape().dims();
        let sizes = Sizes {
            input,
            hidden: self.hidden,
        };
        Lstm::new(self.weights.as_slice()?, sizes, Isa::best())
    }

    /// `[B, H]`: zeros where there is nothing to go by.
    fn states(&self, states: Option<Vec<f32>>) -> FloatTensor<Flex> {
        let [batch, _, _] = self.sequence.shape().dims();
        tensor(states, [batch, self.hidden])
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
    type State = (Arguments, Arc<Option<(Lstm, Traces)>>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (arguments, went) = ops.state;
        let d_last = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let [of_sequence, of_weights] = ops.parents;
        let to = match of_sequence {
            Some(_) => To::WeightsAndInput,
            None => To::Weights,
        };
        let back = || {
            let (lstm, traces) = (*went).as_ref()?;
            let (weights, d_last) = (arguments.weights.as_slice()?, d_last.as_slice()?);
            Some(lstm.backward(weights, arguments.sequences()?, traces, d_last, to))
        };
        let (d_weights, d_input) = back().unzip();
        if let Some(node) = of_weights {
            let [count] = arguments.weights.shape().dims();
            gradients.register::<Flex>(node.id, tensor(d_weights, [count]));
        }
        if let Some(node) = of_sequence {
            let shape: [usize; 3] = arguments.sequence.shape().dims();
            gradients.register::<Flex>(node.id, tensor(d_input, shape));
        }
    }
}
