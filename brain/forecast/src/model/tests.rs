use burn::{
    optim::{AdamConfig, GradientsParams},
    tensor::activation,
};
use proptest::prelude::*;
use rand::SeedableRng;

use shadow::{PEAK_QUANTILES, QUANTILES};

use super::*;
use crate::{
    dataset::Came,
    training::loss::{Truths, loss},
};

mod reference;

const MOMENTS: usize = 4;

fn sizes() -> Sizes {
    Sizes {
        targets: 5,
        horizons: 2,
        holds: 3,
        features: 6,
        looks: vec![(3, 20), (2, 7)],
        hidden: 8,
        dense: 16,
        sequence: true,
    }
}

fn uniform<const D: usize>(shape: [usize; D], size: f32, device: &Device) -> Tensor<D> {
    let mut random = StdRng::seed_from_u64(7);
    Tensor::from_data(
        Fresh {
            random: &mut random,
            device,
        }
        .uniform(shape, size),
        device,
    )
}

fn inputs(size: f32, device: &Device) -> Inputs {
    let sizes = sizes();
    let look = |&(inputs, width): &(usize, usize)| uniform([MOMENTS, inputs, width], size, device);
    Inputs {
        sequences: sizes.looks.iter().map(look).collect(),
        statistics: uniform([MOMENTS * sizes.targets, sizes.features], size, device),
    }
}

/// Rising quantiles of (value - newest) / scale, from the library's tensors.
struct Outputs {
    /// `[B * R * Z, 4]`
    values: Tensor<2>,
    /// `[B * R * P, 6]`
    peaks: Tensor<2>,
}

fn forward(network: &Network, inputs: &Inputs) -> Outputs {
    let shape = network.sizes.head();
    let steps = network.steps(network.states(inputs), inputs, None);
    Outputs {
        values: rise::<4>(steps.clone().narrow(1, 0, shape.values)),
        peaks: rise::<6>(steps.narrow(1, shape.values, shape.peaks)),
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

/// Mean pinball loss over all quantiles, which are `taus`, from the library's tensors.
///
/// `quantiles`: `[N, Q]`; `truths`: `[N, 1]`; `weights`: `[N, 1]`, 0 where there is no truth; `known`: truths, above 0.
fn pinball<const Q: usize>(
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

#[test]
fn the_loss_and_its_gradient_are_those_of_the_library() {
    let (rows, horizons, holds) = (300, 2, 3);
    let device = Device::flex().autodiff();
    let steps: Tensor<2> = uniform([rows, 4 * horizons + 6 * holds], 6.0, &device);
    let steps = steps.require_grad();
    let of = |answers: usize, seed: u64| {
        let mut random = StdRng::seed_from_u64(seed);
        let mut numbers = |most: f32| -> Vec<f32> {
            let count = rows * answers;
            (0..count).map(|_| most * random.random::<f32>()).collect()
        };
        let truths = numbers(8.0);
        // A third is not known.
        let weights = numbers(3.0).iter().map(|weight| (weight - 1.0).max(0.0)).collect();
        Came { truths, weights }
    };
    let (values, peaks) = (of(horizons, 1), of(holds, 2));
    let expected = |came: &Came, quantiles: Tensor<2>| {
        let count = came.truths.len();
        let column = |of: &Vec<f32>| Tensor::<2>::from_data(TensorData::new(of.clone(), [count, 1]), &device);
        let known = came.weights.iter().filter(|weight| **weight > 0.0).count() as f32;
        (quantiles, column(&came.truths), column(&came.weights), known)
    };
    let (quantiles, truths, weights, known) = expected(&values, rise::<4>(steps.clone().narrow(1, 0, 4 * horizons)));
    let of_values = pinball(quantiles, QUANTILES, truths, weights, known);
    let (quantiles, truths, weights, known) =
        expected(&peaks, rise::<6>(steps.clone().narrow(1, 4 * horizons, 6 * holds)));
    let all = of_values + pinball(quantiles, PEAK_QUANTILES, truths, weights, known).mul_scalar(0.01);
    let gradients = all.backward();
    let numbers = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
    let gradient = numbers(steps.grad(&gradients).unwrap());
    let numbers = numbers(steps.inner());
    let truths = Truths {
        values: &values,
        peaks: &peaks,
    };
    let (found, found_gradient) = loss(&numbers, rows, truths).unwrap();
    let all = all.into_scalar::<f32>();
    assert!((found - all).abs() < 1e-5 * all, "{found} for {all}");
    let size = gradient.iter().fold(0.0_f32, |size, number| size.max(number.abs()));
    for (at, (found, expected)) in found_gradient.iter().zip(&gradient).enumerate() {
        // Those of peaks are a hundredth.
        let size = if at % 26 < 8 { size } else { 0.01 * size };
        assert!((found - expected).abs() < 2e-5 * size, "{at}: {found} for {expected}");
    }
    assert!(loss(&numbers, rows - 1, truths).is_none() && loss(&numbers[1..], rows, truths).is_none());
}

/// Weights, each tensor by itself.
#[derive(Default)]
struct Tensors(Vec<Vec<f32>>);

impl ModuleVisitor for Tensors {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().into_data().iter::<f32>().collect());
    }
}

fn tensors(network: &Network) -> Vec<Vec<f32>> {
    let mut tensors = Tensors::default();
    network.visit(&mut tensors);
    tensors.0
}

#[test]
fn every_weight_learns_and_the_loss_falls() {
    let device = Device::flex().autodiff();
    let mut network = Network::new(sizes(), &mut StdRng::seed_from_u64(1), &device);
    let inputs = inputs(1.0, &device);
    let truths: Tensor<2> = uniform([40, 1], 2.0, &device);
    let weights: Tensor<2> = Tensor::ones([40, 1], &device);
    let of_peaks: Tensor<2> = uniform([60, 1], 2.0, &device);
    let loss = |network: &Network| {
        let outputs = forward(network, &inputs);
        let peaks = Tensor::ones([60, 1], &device);
        pinball(outputs.values, QUANTILES, truths.clone(), weights.clone(), 40.0)
            + pinball(outputs.peaks, PEAK_QUANTILES, of_peaks.clone(), peaks, 60.0)
    };
    let (before, first) = (tensors(&network), loss(&network).into_scalar::<f32>());
    let mut optimiser = AdamConfig::new().init();
    for _ in 0..100 {
        let gradients = GradientsParams::from_grads(loss(&network).backward(), &network);
        network = optimiser.step(0.01, network, gradients);
    }
    let last = loss(&network).into_scalar::<f32>();
    assert!(last < 0.3 * first, "{first} {last}");
    assert_eq!(before.len(), 2 * 4 + 3 + 2 + 2 + 1 + 2 + 1);
    for (index, (before, after)) in before.iter().zip(tensors(&network)).enumerate() {
        let still = before
            .iter()
            .zip(after)
            .filter(|(before, after)| *before == after)
            .count();
        assert!(
            still * 2 < before.len(),
            "tensor {index}: {still} of {} weights did not move",
            before.len()
        );
    }
}

#[test]
fn the_lstm_is_the_one_of_the_library() {
    let device = Device::flex();
    let network = Network::new(sizes(), &mut StdRng::seed_from_u64(1), &device);
    let (lstm, Sizes { hidden, .. }) = (&network.lstms[0], sizes());
    let mut theirs = burn::nn::LstmConfig::new(20, hidden, true).init(&device);
    let gate = |gate: usize| {
        let weight = |of: Tensor<2>| Param::from_tensor(of.narrow(0, gate * hidden, hidden).transpose());
        let bias = |of: Tensor<1>| Param::from_tensor(of.narrow(0, gate * hidden, hidden));
        burn::nn::GateController {
            input_transform: Linear {
                weight: weight(lstm.w_ih.val()),
                bias: Some(bias(lstm.b_ih.val())),
            },
            hidden_transform: Linear {
                weight: weight(lstm.w_hh.val()),
                bias: Some(bias(lstm.b_hh.val())),
            },
        }
    };
    theirs.input_gate = gate(0);
    theirs.forget_gate = Some(gate(1));
    theirs.cell_gate = gate(2);
    theirs.output_gate = gate(3);
    let sequence = inputs(2.0, &device).sequences.remove(0);
    let (_, state) = theirs.forward(sequence.clone(), None);
    let difference = (lstm.last_state(&sequence) - state.hidden)
        .abs()
        .max()
        .into_scalar::<f32>();
    assert!(difference < 1e-6, "{difference}");
}

#[test]
fn what_is_served_is_what_was_trained() {
    let device = Device::flex();
    let network = Network::new(sizes(), &mut StdRng::seed_from_u64(1), &device);
    let blind = Network {
        sizes: Sizes {
            sequence: false,
            ..sizes()
        },
        ..network.clone()
    };
    for network in [network, blind] {
        let inputs = inputs(2.0, &device);
        let flat = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
        let sequences = inputs
            .sequences
            .iter()
            .map(|look| look.to_data().iter::<f32>().collect());
        let sequences: Vec<Vec<f32>> = sequences.collect();
        let statistics = flat(inputs.statistics.clone());
        let packed = Packed::new(&network).unwrap();
        let said = packed.infer(MOMENTS, &sequences, &statistics).unwrap();
        let expected = forward(&network, &inputs);
        for (said, expected) in [(said.values, flat(expected.values)), (said.peaks, flat(expected.peaks))] {
            assert_eq!(said.len(), expected.len());
            for (said, expected) in said.iter().zip(&expected) {
                assert!((said - expected).abs() < 1e-5, "{said} for {expected}");
            }
        }
        assert!(packed.infer(MOMENTS, &sequences, &statistics[1..]).is_none());
    }
}

#[test]
fn weights_come_back_as_they_were() {
    let device = Device::flex();
    let network = Network::new(sizes(), &mut StdRng::seed_from_u64(1), &device);
    let other = Network::new(sizes(), &mut StdRng::seed_from_u64(2), &device);
    assert_eq!(other.with_weights(&network.weights()).weights(), network.weights());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn quantiles_never_cross(seed in any::<u64>(), size in 0.01_f32..100.0, gain in 0.1_f32..30.0) {
        let device = Device::flex();
        let network = Network::new(sizes(), &mut StdRng::seed_from_u64(seed), &device);
        let wild: Vec<f32> = network.weights().iter().map(|weight| weight * gain).collect();
        let output = forward(&network.with_weights(&wild), &inputs(size, &device));
        for (tensor, width, count) in [(output.values, 4, 4 * 5 * 2), (output.peaks, 6, 4 * 5 * 3)] {
            let values: Vec<f32> = tensor.into_data().iter::<f32>().collect();
            prop_assert_eq!(values.len(), count * width);
            for quantiles in values.chunks(width) {
                prop_assert!(quantiles.is_sorted() && quantiles.iter().all(|v| v.is_finite()), "{:?}", quantiles);
            }
        }
    }
}
