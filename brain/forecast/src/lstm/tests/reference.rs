//! The formulas, one number at a time, in double precision.

use super::{Case, Outcome};

/// One layer's weights, and what is found for them.
struct Layer {
    input: usize,
    w_ih: Vec<f64>,
    w_hh: Vec<f64>,
    bias: Vec<f64>,
    d_ih: Vec<f64>,
    d_hh: Vec<f64>,
    d_bias: Vec<f64>,
}

/// What one row did at one step.
#[derive(Clone)]
struct Step {
    input: Vec<f64>,
    before: Vec<f64>,
    cell_before: Vec<f64>,
    gates: [Vec<f64>; 4],
    cell: Vec<f64>,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `to += factor * x`.
fn add(to: &mut [f64], factor: f64, x: &[f64]) {
    for (to, x) in to.iter_mut().zip(x) {
        *to += factor * x;
    }
}

fn doubles(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().copied().map(f64::from).collect()
}

/// Last states, gradients of weights and sequence.
pub(super) fn run(case: &Case) -> Outcome {
    let [_, steps, input] = case.shape;
    let hidden = case.hidden;
    let mut layers = layers(case);
    let (mut last, mut d_sequence) = (Vec::new(), Vec::new());
    for (row, sequence) in case.sequence.chunks(steps * input).enumerate() {
        let mut inputs: Vec<Vec<f64>> = sequence.chunks(input).map(doubles).collect();
        let mut done = Vec::new();
        for layer in &layers {
            let (states, past) = layer.forward(&inputs, hidden);
            inputs = states;
            done.push(past);
        }
        last.extend(inputs.last().unwrap());
        let mut d_states = vec![vec![0.0; hidden]; steps];
        d_states[steps - 1] = doubles(&case.d_last[row * hidden..][..hidden]);
        for (layer, past) in layers.iter_mut().zip(&done).rev() {
            d_states = layer.backward(past, &d_states, hidden);
        }
        d_sequence.extend(d_states.into_iter().flatten());
    }
    let d_weights = layers
        .iter()
        .flat_map(|layer| [&layer.d_ih, &layer.d_hh, &layer.d_bias, &layer.d_bias])
        .flatten()
        .copied()
        .collect();
    [last, d_weights, d_sequence].map(singles)
}

#[allow(clippy::cast_possible_truncation, reason = "compared with single precision")]
fn singles(numbers: Vec<f64>) -> Vec<f32> {
    numbers.into_iter().map(|number| number as f32).collect()
}

fn layers(case: &Case) -> Vec<Layer> {
    let mut rest = case.weights.as_slice();
    let mut take = |columns: usize| doubles(rest.split_off(..4 * case.hidden * columns).unwrap());
    let of = |at: usize| if at == 0 { case.shape[2] } else { case.hidden };
    (0..case.layers)
        .map(|at| {
            let (w_ih, w_hh, b_ih, b_hh) = (take(of(at)), take(case.hidden), take(1), take(1));
            Layer {
                input: of(at),
                d_ih: vec![0.0; w_ih.len()],
                d_hh: vec![0.0; w_hh.len()],
                d_bias: vec![0.0; b_ih.len()],
                bias: b_ih.iter().zip(b_hh).map(|(one, two)| one + two).collect(),
                w_ih,
                w_hh,
            }
        })
        .collect()
}

impl Layer {
    /// States after each step, and what the way back needs.
    fn forward(&self, inputs: &[Vec<f64>], hidden: usize) -> (Vec<Vec<f64>>, Vec<Step>) {
        let (mut state, mut cell) = (vec![0.0; hidden], vec![0.0; hidden]);
        let (mut states, mut past) = (Vec::new(), Vec::new());
        for input in inputs {
            let dot = |weights: &[f64], x: &[f64]| -> f64 { weights.iter().zip(x).map(|(w, x)| w * x).sum() };
            let sum = |row: usize| {
                self.bias[row]
                    + dot(&self.w_ih[row * self.input..], input)
                    + dot(&self.w_hh[row * hidden..][..hidden], &state)
            };
            let gate = |gate: usize, f: fn(f64) -> f64| -> Vec<f64> {
                (0..hidden).map(|unit| f(sum(gate * hidden + unit))).collect()
            };
            let gates = [gate(0, sigmoid), gate(1, sigmoid), gate(2, f64::tanh), gate(3, sigmoid)];
            let [i, f, g, o] = &gates;
            let after: Vec<f64> = (0..hidden).map(|at| f[at] * cell[at] + i[at] * g[at]).collect();
            let new: Vec<f64> = (0..hidden).map(|at| o[at] * after[at].tanh()).collect();
            past.push(Step {
                input: input.clone(),
                before: state,
                cell_before: cell,
                gates,
                cell: after.clone(),
            });
            (state, cell) = (new.clone(), after);
            states.push(new);
        }
        (states, past)
    }

    /// Gradients of the inputs from those of the states; those of the weights are added to.
    fn backward(&mut self, past: &[Step], d_states: &[Vec<f64>], hidden: usize) -> Vec<Vec<f64>> {
        let (mut d_state, mut d_cell) = (vec![0.0; hidden], vec![0.0; hidden]);
        let mut d_inputs = Vec::new();
        for (step, from_above) in past.iter().zip(d_states).rev() {
            let [i, f, g, o] = &step.gates;
            let mut d_sums = vec![0.0; 4 * hidden];
            for at in 0..hidden {
                let d = d_state[at] + from_above[at];
                let t = step.cell[at].tanh();
                let d_c = d_cell[at] + d * o[at] * (1.0 - t * t);
                d_sums[at] = d_c * g[at] * i[at] * (1.0 - i[at]);
                d_sums[hidden + at] = d_c * step.cell_before[at] * f[at] * (1.0 - f[at]);
                d_sums[2 * hidden + at] = d_c * i[at] * (1.0 - g[at] * g[at]);
                d_sums[3 * hidden + at] = d * t * o[at] * (1.0 - o[at]);
                d_cell[at] = d_c * f[at];
            }
            let mut d_input = vec![0.0; self.input];
            d_state = vec![0.0; hidden];
            for (row, d_sum) in d_sums.iter().enumerate() {
                self.d_bias[row] += d_sum;
                let of_input = row * self.input..(row + 1) * self.input;
                add(&mut self.d_ih[of_input.clone()], *d_sum, &step.input);
                add(&mut d_input, *d_sum, &self.w_ih[of_input]);
                let of_state = row * hidden..(row + 1) * hidden;
                add(&mut self.d_hh[of_state.clone()], *d_sum, &step.before);
                add(&mut d_state, *d_sum, &self.w_hh[of_state]);
            }
            d_inputs.push(d_input);
        }
        d_inputs.reverse();
        d_inputs
    }
}
