//! The kernel against `PyTorch`, against the formulas written down plainly, against itself on other machines and with
//! other numbers of threads, and the operation against the library's own tensors.

mod reference;

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Deserialize;

use super::{
    Weights,
    kernel::{Isa, Lstm, Sequences, Sizes, To},
    last_state, op, plain,
};

/// What `testdata/lstm.py` has written.
#[derive(Deserialize)]
struct Case {
    shape: [usize; 3],
    hidden: usize,
    layers: usize,
    weights: Vec<f32>,
    sequence: Vec<f32>,
    d_last: Vec<f32>,
    last: Vec<f32>,
    d_weights: Vec<f32>,
    d_sequence: Vec<f32>,
}

/// Last states, gradients of weights and of the sequence.
type Outcome = [Vec<f32>; 3];

impl Case {
    fn stored() -> Vec<Self> {
        serde_json::from_str(include_str!("../../testdata/lstm.json")).unwrap()
    }

    fn drawn(shape: [usize; 3], hidden: usize, layers: usize, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut draw = |count: usize, bound: f32| -> Vec<f32> {
            (0..count)
                .map(|_| bound * (2.0 * random.random::<f32>() - 1.0))
                .collect()
        };
        let [batch, steps, input] = shape;
        let of = |width: usize| 4 * hidden * (width + hidden + 2);
        let count = of(input) + (layers - 1) * of(hidden);
        Self {
            shape,
            hidden,
            layers,
            weights: draw(count, 1.5 / (hidden as f32).sqrt()),
            sequence: draw(batch * steps * input, 2.0),
            d_last: draw(batch * hidden, 1.0),
            last: Vec::new(),
            d_weights: Vec::new(),
            d_sequence: Vec::new(),
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            input: self.shape[2],
            hidden: self.hidden,
        }
    }

    fn by_kernel(&self, isa: Isa) -> Outcome {
        let lstm = Lstm::new(&self.weights, self.sizes(), isa).unwrap();
        let sequences = Sequences::new(&self.sequence, self.shape).unwrap();
        let (last, traces) = lstm.forward(sequences);
        let (d_weights, d_sequence) =
            lstm.backward(&self.weights, sequences, &traces, &self.d_last, To::WeightsAndInput);
        [last, d_weights, d_sequence]
    }

    fn inferred(&self, isa: Isa) -> Vec<f32> {
        let lstm = Lstm::new(&self.weights, self.sizes(), isa).unwrap();
        lstm.infer(Sequences::new(&self.sequence, self.shape).unwrap())
    }

    /// Through the library, with gradients.
    fn by_library(&self, last_state: impl Fn(Tensor<3>, &[Weights]) -> Tensor<2>) -> Outcome {
        self.on(&Device::flex().autodiff(), last_state)
    }

    fn on(&self, device: &Device, last_state: impl Fn(Tensor<3>, &[Weights]) -> Tensor<2>) -> Outcome {
        let sequence = tensor(&self.sequence, self.shape, device).require_grad();
        let (mut rest, mut layers) = (self.weights.as_slice(), Vec::new());
        let mut width = self.shape[2];
        let rows = 4 * self.hidden;
        for _ in 0..self.layers {
            let mut take = |columns: usize| rest.split_off(..rows * columns).unwrap();
            layers.push(Weights {
                w_ih: tensor(take(width), [rows, width], device).require_grad(),
                w_hh: tensor(take(self.hidden), [rows, self.hidden], device).require_grad(),
                b_ih: tensor(take(1), [rows], device).require_grad(),
                b_hh: tensor(take(1), [rows], device).require_grad(),
            });
            width = self.hidden;
        }
        let last = last_state(sequence.clone(), &layers);
        let d_last = tensor(&self.d_last, [self.shape[0], self.hidden], device);
        let gradients = (last.clone() * d_last).sum().backward();
        let mut d_weights = Vec::new();
        for layer in &layers {
            d_weights.extend(numbers(layer.w_ih.grad(&gradients).unwrap()));
            d_weights.extend(numbers(layer.w_hh.grad(&gradients).unwrap()));
            d_weights.extend(numbers(layer.b_ih.grad(&gradients).unwrap()));
            d_weights.extend(numbers(layer.b_hh.grad(&gradients).unwrap()));
        }
        [numbers(last), d_weights, numbers(sequence.grad(&gradients).unwrap())]
    }
}

fn tensor<const D: usize>(numbers: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), shape), device)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Each number within `relative` of what it should be, or `relative` / 100 of the largest one.
fn close(found: &[f32], expected: &[f32], relative: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = relative * (expected.abs() + 0.01 * largest);
        assert!(
            (found - expected).abs() <= allowed,
            "{what} {at}: {found} is not {expected}"
        );
    }
}

fn states_are(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{what}: {found} is not {expected}");
    }
}

#[test]
fn states_and_gradients_are_those_of_pytorch() {
    for case in Case::stored() {
        let by_kernel = Isa::all().map(|isa| (format!("{isa:?}"), case.by_kernel(isa)));
        let by_library = ("the operation".to_owned(), case.by_library(last_state));
        for (what, [last, d_weights, d_sequence]) in by_kernel.chain([by_library]) {
            let what = format!("{what}, {:?}", case.shape);
            states_are(&last, &case.last, &what);
            close(&d_weights, &case.d_weights, 1e-4, &what);
            close(&d_sequence, &case.d_sequence, 1e-4, &what);
        }
        for isa in Isa::all() {
            states_are(&case.inferred(isa), &case.last, &format!("inferred by {isa:?}"));
        }
    }
}

#[test]
fn the_plain_path_gives_what_the_operation_gives() {
    for case in Case::stored() {
        let ([last, weights, sequence], fused) = (
            case.by_library(|sequence, layers| plain::last_state(&sequence, layers)),
            case.by_library(op::last_state),
        );
        states_are(&fused[0], &last, "states");
        close(&fused[1], &weights, 1e-4, "weights");
        close(&fused[2], &sequence, 1e-4, "sequence");
    }
}

/// Wants a graphics adapter; one in software will do.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
#[test]
fn a_graphics_adapter_gives_what_pytorch_gives() {
    let Some(device) = crate::device::adapter() else {
        eprintln!("SKIPPED: there is no graphics adapter");
        return;
    };
    for case in Case::stored() {
        let [last, d_weights, d_sequence] = case.on(&device.clone().autodiff(), last_state);
        states_are(&last, &case.last, "states");
        close(&d_weights, &case.d_weights, 1e-4, "weights");
        close(&d_sequence, &case.d_sequence, 1e-4, "sequence");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for batch in [16, 70, 600] {
        let case = Case::drawn([batch, 9, 6], 24, 2, 3);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (case.by_kernel(Isa::best()), case.inferred(Isa::best())))
        };
        let one = with(1);
        for threads in [2, 3, 8] {
            assert_eq!(with(threads), one, "{threads} threads, batch {batch}");
        }
    }
}

#[test]
fn what_the_room_held_before_does_not_matter() {
    let (case, other) = (Case::drawn([20, 8, 3], 12, 2, 1), Case::drawn([20, 8, 3], 12, 2, 2));
    let first = case.by_kernel(Isa::best());
    let mut broken = Case::drawn([20, 8, 3], 12, 2, 4);
    broken.sequence.fill(f32::NAN);
    broken.by_kernel(Isa::best());
    other.by_kernel(Isa::best());
    assert_eq!(case.by_kernel(Isa::best()), first);
}

#[test]
fn what_is_no_number_stays_none() {
    let mut case = Case::drawn([40, 5, 3], 8, 1, 1);
    case.sequence[3 * 5 * 3] = f32::NAN;
    for isa in Isa::all() {
        let states = case.inferred(isa);
        let broken: Vec<usize> = (0..40).filter(|row| states[row * 8].is_nan()).collect();
        assert_eq!(broken, [3], "{isa:?}");
        assert!(case.by_kernel(isa)[1][0].is_nan());
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let sizes = Sizes { input: 3, hidden: 5 };
    assert!(Sequences::new(&[0.0; 11], [2, 2, 3]).is_none());
    assert!(Sequences::new(&[], [0, 2, 3]).is_none());
    for count in [0, 199, 201] {
        assert!(Lstm::new(&vec![0.0; count], sizes, Isa::best()).is_none(), "{count}");
    }
    let lstm = Lstm::new(&[0.0; 200], sizes, Isa::best()).unwrap();
    assert_eq!(lstm.infer(Sequences::new(&[1.0; 8], [2, 2, 2]).unwrap()), [0.0; 10]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_machine_follows_the_formulas(
        batch in 1_usize..72, steps in 1_usize..14, input in 1_usize..30, hidden in 1_usize..40,
        layers in 1_usize..4, seed in any::<u64>(),
    ) {
        let case = Case::drawn([batch, steps, input], hidden, layers, seed);
        let [last, d_weights, d_sequence] = reference::run(&case);
        for isa in Isa::all() {
            let [ours, our_weights, our_sequence] = case.by_kernel(isa);
            states_are(&ours, &last, "states");
            states_are(&case.inferred(isa), &last, "inferred");
            close(&our_weights, &d_weights, 1e-3, "weights");
            close(&our_sequence, &d_sequence, 1e-3, "sequence");
        }
    }
}
