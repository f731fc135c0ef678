use burn::optim::{AdamConfig, GradientsParams};
use proptest::prelude::*;
use rand::SeedableRng;

use shadow::{PEAK_QUANTILES, QUANTILES};

use super::*;

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
        let outputs = network.forward(&inputs, None);
        let peaks = Tensor::ones([60, 1], &device);
        Network::loss(outputs.values, QUANTILES, truths.clone(), weights.clone(), 40.0)
            + Network::loss(outputs.peaks, PEAK_QUANTILES, of_peaks.clone(), peaks, 60.0)
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
        let expected = network.forward(&inputs, None);
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
        let output = network.with_weights(&wild).forward(&inputs(size, &device), None);
        for (tensor, width, count) in [(output.values, 4, 4 * 5 * 2), (output.peaks, 6, 4 * 5 * 3)] {
            let values: Vec<f32> = tensor.into_data().iter::<f32>().collect();
            prop_assert_eq!(values.len(), count * width);
            for quantiles in values.chunks(width) {
                prop_assert!(quantiles.is_sorted() && quantiles.iter().all(|v| v.is_finite()), "{:?}", quantiles);
            }
        }
    }
}
