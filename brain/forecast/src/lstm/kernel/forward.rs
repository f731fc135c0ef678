//! The way there of a training step: all that the way back needs is kept.

use super::{
    Sequences, cell,
    isa::Job,
    lanes::{Rows, accumulate, quads_mut, vectors, vectors_mut},
    layer::Layer,
    spare::Spare,
};

/// What one layer did with B rows, their number filled up to whole tiles, in T steps.
#[derive(Debug)]
pub(super) struct Trace {
    /// `[T, G, B, 4, L]`
    pub(super) gates: Spare,
    /// `[T, G, B, L]`
    pub(super) cells: Spare,
    /// `[T, B, G, L]`
    pub(super) states: Spare,
}

impl Trace {
    pub(super) fn new(layer: &Layer, steps: usize, rows: usize) -> Self {
        let count = steps * rows * layer.padded;
        Self {
            gates: Spare::new(4 * count),
            cells: Spare::new(count),
            states: Spare::new(count),
        }
    }
}

/// The rows that layer `at` reads at `step`: of the sequences, or states of the layer below.
#[inline(always)]
pub(super) fn input<'a>(layer: &Layer, sequences: &Sequences<'a>, below: Option<&'a Trace>, step: usize) -> Rows<'a> {
    match below {
        None => Rows {
            numbers: &sequences.numbers[step * layer.wide..],
            stride: sequences.steps * layer.wide,
            count: sequences.batch,
        },
        Some(below) => states(below, sequences.steps, layer.wide, step),
    }
}

/// A layer's states after `step`.
#[inline(always)]
pub(super) fn states(trace: &Trace, steps: usize, padded: usize, step: usize) -> Rows<'_> {
    let count = trace.states.len() / steps;
    Rows {
        numbers: &trace.states[step * count..][..count],
        stride: padded,
        count: count / padded,
    }
}

/// One part of a batch through all layers and steps.
pub(super) struct Forward<'a> {
    pub(super) layers: &'a [Layer],
    pub(super) sequences: Sequences<'a>,
    /// One a layer.
    pub(super) traces: &'a mut [Trace],
    /// `[batch, hidden]`
    pub(super) last: &'a mut [f32],
}

impl Job for Forward<'_> {
    #[inline(always)]
    fn run<const L: usize, const R: usize, const FMA: bool>(self) {
        for (at, layer) in self.layers.iter().enumerate() {
            let (below, here) = self.traces.split_at_mut(at);
            for step in 0..self.sequences.steps {
                let input = input(layer, &self.sequences, below.last(), step);
                go::<L, R, FMA>(layer, input, step, self.sequences.steps, &mut here[0]);
            }
        }
        if let (Some(layer), Some(trace)) = (self.layers.last(), self.traces.last()) {
            let states = states(trace, self.sequences.steps, layer.padded, self.sequences.steps - 1);
            for (row, last) in self.last.chunks_exact_mut(layer.hidden).enumerate() {
                last.copy_from_slice(&states.row(row)[..layer.hidden]);
            }
        }
    }
}

/// One step of one layer.
#[inline(always)]
fn go<const L: usize, const R: usize, const FMA: bool>(
    layer: &Layer,
    input: Rows<'_>,
    step: usize,
    steps: usize,
    trace: &mut Trace,
) {
    let count = trace.states.len() / steps;
    let rows = count / layer.padded;
    let from = step.saturating_sub(1) * count;
    let (before, states) = trace.states.split_at_mut(step * count);
    let (cells_before, cells) = trace.cells.split_at_mut(step * count);
    let before = Rows {
        numbers: &before[from..],
        stride: layer.padded,
        count: rows,
    };
    let cells_before = vectors::<L>(&cells_before[from..]);
    let cells = vectors_mut::<L>(cells);
    let gates = quads_mut::<L>(&mut trace.gates[4 * step * count..][..4 * count]);
    for group in 0..layer.groups() {
        let (of_input, of_state, bias) = layer.group::<L>(group);
        for first in (0..rows).step_by(R) {
            let mut sums = [bias; R];
            accumulate::<L, R, FMA>(&mut sums, input.tile(first), of_input);
            if step > 0 {
                accumulate::<L, R, FMA>(&mut sums, before.tile(first), of_state);
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let at = group * rows + first + row;
                let cell = if step > 0 { cells_before[at] } else { [0.0; L] };
                let (cell, state) = cell::forward::<L, FMA>(sums, cell);
                gates[at] = *sums;
                cells[at] = cell;
                states[(first + row) * layer.padded + group * L..][..L].copy_from_slice(&state);
            }
        }
    }
}
