//! The LSTM over plain slices: layers on top of each other, forwards, backwards, and a way of its own for inference.
//!
//! Weights lie flat, layer after layer, each as `PyTorch` has it: `w_ih [4 H, I]`, `w_hh [4 H, H]`, `b_ih [4 H]`,
//! `b_hh [4 H]`, gates in the order input, forget, candidate, output; the layers above the first read H numbers. Of
//! H = `hidden` units, vectors hold L, so units go in groups of L, the last one filled with zeros.
//!
//! A batch is cut into parts of at most [`MOST_ROWS`] rows, by its size alone, and a thread takes a part through all
//! steps; so threads meet once a call and not once a step, and the result is the same bit by bit for any number of them.

#![allow(
    clippy::indexing_slicing,
    clippy::needless_range_loop,
    clippy::inline_always,
    reason = "lengths follow from the sizes that are checked at the entrance; only such loops become vectors, and only \
              what is inlined gets a machine's instructions"
)]

pub(crate) mod aligned;
mod backward;
mod cell;
mod forward;
mod infer;
pub(crate) mod isa;
pub(crate) mod lanes;
mod layer;
mod products;
pub(crate) mod spare;

use rayon::prelude::*;

use backward::{Backward, Gradients};
use forward::{Forward, Trace};
use infer::Infer;
pub(crate) use isa::Isa;
use layer::Layer;

/// Rows of a batch that go through all steps together: their state stays in the first cache, and their weights are
/// read once for all of them.
const MOST_ROWS: usize = 32;

/// Least rows for which a batch is cut in two.
const LEAST_ROWS: usize = 8;

/// Sums of gradients that are kept side by side, and so the most threads that go backwards at once.
const MOST_SUMS: usize = 8;

/// Width of the input and number of units of each layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) input: usize,
    pub(crate) hidden: usize,
}

/// Sequences side by side: `[batch, steps, input]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sequences<'a> {
    numbers: &'a [f32],
    batch: usize,
    steps: usize,
    input: usize,
}

/// Rows of each part of a batch but the last, which may have fewer.
pub(crate) fn part(batch: usize) -> usize {
    let parts = batch.div_ceil(MOST_ROWS).max((batch / LEAST_ROWS).min(2));
    batch.div_ceil(parts.max(1)).next_multiple_of(4)
}

impl<'a> Sequences<'a> {
    /// `None` when any size is 0 or there are not as many numbers.
    pub(crate) fn new(numbers: &'a [f32], [batch, steps, input]: [usize; 3]) -> Option<Self> {
        let there = batch * steps * input > 0 && numbers.len() == batch * steps * input;
        there.then_some(Self {
            numbers,
            batch,
            steps,
            input,
        })
    }

    fn part(&self) -> usize {
        part(self.batch)
    }

    fn parts(&self, rows: usize) -> impl IndexedParallelIterator<Item = Self> {
        let width = self.steps * self.input;
        self.numbers.par_chunks(rows * width).map(move |numbers| Self {
            numbers,
            batch: numbers.len() / width,
            ..*self
        })
    }
}

/// Layers with their weights laid out for one kind of machine.
#[derive(Debug, Clone)]
pub(crate) struct Lstm {
    isa: Isa,
    sizes: Sizes,
    layers: Vec<Layer>,
}

/// What a way back needs of the way there.
#[derive(Debug)]
pub(crate) struct Traces(Vec<Vec<Trace>>);

/// Where a way back leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Weights,
    WeightsAndInput,
}

impl Lstm {
    /// `None` when a size is 0, or the weights are not those of one layer or more.
    pub(crate) fn new(weights: &[f32], sizes: Sizes, isa: Isa) -> Option<Self> {
        let Sizes { input, hidden } = sizes;
        if input * hidden == 0 {
            return None;
        }
        let (mut layers, mut rest) = (Vec::new(), weights);
        let mut width = (input, input);
        while layers.is_empty() || !rest.is_empty() {
            let layer = Layer::new(&mut rest, width, hidden, isa)?;
            width = (hidden, layer.padded);
            layers.push(layer);
        }
        Some(Self { isa, sizes, layers })
    }

    /// The last layer's states after the last step: `[batch, hidden]`.
    ///
    /// Zeros when `sequences` are of another width.
    pub(crate) fn infer(&self, sequences: Sequences<'_>) -> Vec<f32> {
        let mut last = self.no_states(sequences);
        if sequences.input == self.sizes.input {
            let rows = sequences.part();
            let parts = last.par_chunks_mut(rows * self.sizes.hidden).zip(sequences.parts(rows));
            parts.for_each(|(last, sequences)| {
                self.isa.run(Infer {
                    layers: &self.layers,
                    sequences,
                    last,
                });
            });
        }
        last
    }

    /// Like [`Lstm::infer`], by this thread alone.
    pub(crate) fn infer_part(&self, sequences: Sequences<'_>) -> Vec<f32> {
        let mut last = self.no_states(sequences);
        if sequences.input == self.sizes.input {
            self.isa.run(Infer {
                layers: &self.layers,
                sequences,
                last: &mut last,
            });
        }
        last
    }

    /// Like [`Lstm::infer`], and what the way back needs.
    pub(crate) fn forward(&self, sequences: Sequences<'_>) -> (Vec<f32>, Traces) {
        let mut last = self.no_states(sequences);
        if sequences.input != self.sizes.input {
            return (last, Traces(Vec::new()));
        }
        let rows = sequences.part();
        // Made by the thread that will drop them: see `spare`.
        let parts = (0..sequences.batch).step_by(rows);
        let mut traces: Vec<Vec<Trace>> = parts
            .map(|from| {
                let rows = rows.min(sequences.batch - from).next_multiple_of(self.isa.rows());
                let trace = |layer| Trace::new(layer, sequences.steps, rows);
                self.layers.iter().map(trace).collect()
            })
            .collect();
        let parts = last.par_chunks_mut(rows * self.sizes.hidden).zip(sequences.parts(rows));
        parts.zip(&mut traces).for_each(|((last, sequences), traces)| {
            self.isa.run(Forward {
                layers: &self.layers,
                sequences,
                traces,
                last,
            });
        });
        (last, Traces(traces))
    }

    /// Gradients of the weights, and of the sequences where they are asked for, else empty.
    ///
    /// `weights` and `sequences` are those of the way there; `d_last`: `[batch, hidden]`, gradients of the last states.
    /// Zeros when sizes differ from those of the way there.
    pub(crate) fn backward(
        &self,
        weights: &[f32],
        sequences: Sequences<'_>,
        traces: &Traces,
        d_last: &[f32],
        to: To,
    ) -> (Vec<f32>, Vec<f32>) {
        let rows = sequences.part();
        let mut d_input = match to {
            To::Weights => Vec::new(),
            To::WeightsAndInput => vec![0.0; sequences.numbers.len()],
        };
        let parts = sequences.batch.div_ceil(rows);
        if traces.0.len() != parts || d_last.len() != sequences.batch * self.sizes.hidden {
            return (vec![0.0; weights.len()], d_input);
        }
        let back = self.layers_back(weights);
        let each = parts.div_ceil(MOST_SUMS);
        let mut d_inputs: Vec<&mut [f32]> = match to {
            To::Weights => (0..parts).map(|_| [].as_mut_slice()).collect(),
            To::WeightsAndInput => d_input.chunks_mut(rows * sequences.steps * sequences.input).collect(),
        };
        let taken = sequences.parts(rows).zip(&traces.0);
        let taken = taken
            .zip(d_last.par_chunks(rows * self.sizes.hidden))
            .zip(&mut d_inputs);
        // Made by the thread that will drop them: see `spare`.
        let fresh = |layer| Gradients::new(layer, self.isa.rows());
        let mut sums: Vec<Vec<Gradients>> = (0..parts)
            .step_by(each)
            .map(|_| self.layers.iter().map(fresh).collect())
            .collect();
        taken.chunks(each).zip(&mut sums).for_each(|(parts, gradients)| {
            gradients.iter_mut().for_each(Gradients::clear);
            for (((sequences, traces), d_last), d_input) in parts {
                self.isa.run(Backward {
                    layers: &self.layers,
                    back: &back,
                    sequences,
                    traces,
                    d_last,
                    d_input,
                    gradients,
                });
            }
        });
        (self.flat(sums, weights.len()), d_input)
    }

    fn layers_back(&self, weights: &[f32]) -> Vec<layer::Back> {
        let mut rest = weights;
        let backs = self.layers.iter().filter_map(|layer| layer.back(&mut rest));
        backs.collect()
    }

    /// All sums together, laid out as the weights are.
    fn flat(&self, sums: Vec<Vec<Gradients>>, count: usize) -> Vec<f32> {
        let total = sums.into_iter().reduce(|mut total, more| {
            for (total, more) in total.iter_mut().zip(&more) {
                total.add(more);
            }
            total
        });
        let mut flat = Vec::with_capacity(count);
        for (layer, gradients) in self.layers.iter().zip(total.into_iter().flatten()) {
            gradients.write(layer, &mut flat);
        }
        flat
    }

    fn no_states(&self, sequences: Sequences<'_>) -> Vec<f32> {
        vec![0.0; sequences.batch * self.sizes.hidden]
    }
}
