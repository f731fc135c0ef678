use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use super::{
    kernel::{Head, Ins},
    *,
};
use crate::lstm::kernel::isa::Isa;

fn draw(random: &mut StdRng, count: usize) -> Vec<f32> {
    (0..count).map(|_| 2.0 * random.random::<f32>() - 1.0).collect()
}

fn masks(random: &mut StdRng, moments: usize, shape: Shape) -> Masks {
    let mut bytes = |count: usize| {
        let mut bytes = vec![0; count];
        random.fill_bytes(&mut bytes);
        bytes
    };
    Masks {
        cut: 40,
        state_cut: 90,
        state: bytes(moments * shape.states),
        statistics: bytes(moments * shape.targets * shape.features),
        dense: bytes(moments * shape.targets * shape.dense),
    }
}

/// Weights as leaves of a graph, in their order.
struct Leaves {
    matrices: Vec<Tensor<2>>,
    biases: Vec<Tensor<1>>,
}

fn leaves(random: &mut StdRng, shape: Shape, device: &Device) -> Leaves {
    let Shape {
        targets,
        states,
        features,
        dense,
        values,
        peaks,
    } = shape;
    let sizes = [
        [states, targets * dense],
        [features, dense],
        [targets, dense],
        [dense, dense],
        [dense, values],
        [features, values],
        [dense, peaks],
        [features, peaks],
    ];
    let matrices = sizes.map(|size| {
        let numbers = draw(random, size[0] * size[1]);
        Tensor::from_data(TensorData::new(numbers, size), device).require_grad()
    });
    let biases = [dense, values, peaks].map(|size| {
        let numbers = draw(random, size);
        Tensor::from_data(TensorData::new(numbers, [size]), device).require_grad()
    });
    Leaves {
        matrices: matrices.into(),
        biases: biases.into(),
    }
}

impl Leaves {
    fn weights(&self) -> Weights {
        let matrix = |at: usize| self.matrices[at].clone();
        let bias = |at: usize| self.biases[at].clone();
        Weights {
            of_state: matrix(0),
            of_statistics: matrix(1),
            of_target: matrix(2),
            middle: matrix(3),
            middle_bias: bias(0),
            out: matrix(4),
            out_bias: bias(1),
            straight: matrix(5),
            peaks: matrix(6),
            peaks_bias: bias(2),
            peaks_straight: matrix(7),
        }
    }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(1e-3_f32, |size, value| size.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() < 1e-5 * size,
            "{what} {index}: {found} for {expected}"
        );
    }
}

/// The operation against the same layers from tensors: outputs, and gradients of states and of every weight.
fn agrees(moments: usize, shape: Shape, dropout: bool) {
    let device = Device::flex().autodiff();
    let mut random = StdRng::seed_from_u64(moments as u64);
    let leaves = leaves(&mut random, shape, &device);
    let state = TensorData::new(draw(&mut random, moments * shape.states), [moments, shape.states]);
    let state = Tensor::<2>::from_data(state, &device).require_grad();
    let rows = moments * shape.targets;
    let statistics = TensorData::new(draw(&mut random, rows * shape.features), [rows, shape.features]);
    let statistics = Tensor::<2>::from_data(statistics, &device);
    let both = shape.values + shape.peaks;
    let weighed = TensorData::new(draw(&mut random, rows * both), [rows, both]);
    let weighed = Tensor::<2>::from_data(weighed, &device);
    let masks = dropout.then(|| Arc::new(masks(&mut random, moments, shape)));
    let went = [
        op::outputs(
            state.clone(),
            statistics.clone(),
            leaves.weights(),
            shape,
            masks.as_ref(),
        ),
        plain::outputs(state.clone(), statistics, leaves.weights(), shape, masks.as_deref()),
    ];
    let [(found, of_found), (expected, of_expected)] = went.map(|outputs| {
        let gradients = (outputs.clone() * weighed.clone()).sum().backward();
        let mut all = vec![numbers(state.grad(&gradients).unwrap())];
        all.extend(
            leaves
                .matrices
                .iter()
                .map(|leaf| numbers(leaf.grad(&gradients).unwrap())),
        );
        all.extend(leaves.biases.iter().map(|leaf| numbers(leaf.grad(&gradients).unwrap())));
        (numbers(outputs), all)
    });
    close(&found, &expected, "outputs");
    for (index, (found, expected)) in of_found.iter().zip(&of_expected).enumerate() {
        close(found, expected, &format!("gradient {index}"));
    }
}

const SHAPE: Shape = Shape {
    targets: 3,
    states: 10,
    features: 7,
    dense: 70,
    values: 12,
    peaks: 18,
};

#[test]
fn outputs_and_gradients_are_those_of_the_library() {
    agrees(5, SHAPE, false);
    agrees(70, SHAPE, true);
    let large = Shape {
        targets: 5,
        states: 64,
        features: 94,
        dense: 256,
        ..SHAPE
    };
    agrees(40, large, true);
}

#[test]
fn every_kind_of_machine_gives_the_same_and_wrong_sizes_nothing() {
    let mut random = StdRng::seed_from_u64(3);
    let count = 10 * 210 + 7 * 70 + 3 * 70 + 70 * 71 + 70 * 30 + 7 * 30 + 30;
    let weights = draw(&mut random, count);
    let (state, statistics) = (draw(&mut random, 50 * 10), draw(&mut random, 150 * 7));
    let d_out = draw(&mut random, 150 * 30);
    let masks = masks(&mut random, 50, SHAPE);
    let ins = Ins {
        state: &state,
        statistics: &statistics,
        masks: Some(&masks),
    };
    let all: Vec<_> = Isa::all()
        .map(|isa| {
            let head = Head::new(&weights, SHAPE, isa).unwrap();
            let (out, traces) = head.forward(ins).unwrap();
            let back = head.backward(&weights, ins, &traces, &d_out).unwrap();
            assert!(head.backward(&weights, ins, &traces, &d_out[1..]).is_none());
            assert!(
                head.forward(Ins {
                    state: &state[1..],
                    ..ins
                })
                .is_none()
            );
            (out, back)
        })
        .collect();
    for (out, (d_state, d_weights)) in &all {
        close(out, &all[0].0, "outputs");
        close(d_state, &all[0].1.0, "states");
        close(d_weights, &all[0].1.1, "weights");
        assert_eq!(d_weights.len(), count);
    }
    assert!(Head::new(&weights[1..], SHAPE, Isa::best()).is_none());
}
