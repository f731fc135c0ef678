//! The way back through all steps: gradients of weights and input from those of the last states.
//!
//! Steps are taken in blocks from the end, all layers for each block, so that a block's gradients are still in the
//! cache when they meet what was read there.

use std::ops::Range;

use super::{
    Sequences,
    cell::{self, Cells},
    forward::{Trace, input, states},
    isa::Job,
    lanes::{Quad, quads, quads_mut, vectors, vectors_mut, zip},
    layer::{Back, Layer},
    products::{Block, outer, through},
    spare::Spare,
};

/// Rows times steps of a block, about: with 64 units their gradients take 128 KB.
const BLOCK: usize = 128;

/// Sums of gradients of a layer's weights; `[G, high, 4, L]`, where `high` is the weights' filled up to whole tiles.
#[derive(Debug)]
pub(super) struct Gradients {
    of_input: Spare,
    of_state: Spare,
    bias: Spare,
}

impl Gradients {
    /// Room for them; `rows` of a tile.
    pub(super) fn new(layer: &Layer, rows: usize) -> Self {
        let room = |wide: usize| Spare::new(4 * layer.padded * wide);
        Self {
            of_input: room(layer.wide.next_multiple_of(rows)),
            of_state: room(layer.padded.next_multiple_of(rows)),
            bias: room(1),
        }
    }

    pub(super) fn clear(&mut self) {
        for sums in [&mut self.of_input, &mut self.of_state, &mut self.bias] {
            sums.fill(0.0);
        }
    }

    pub(super) fn add(&mut self, more: &Self) {
        let own = [&mut self.of_input, &mut self.of_state, &mut self.bias];
        for (own, more) in own.into_iter().zip([&more.of_input, &more.of_state, &more.bias]) {
            for (own, more) in own.iter_mut().zip(more.iter()) {
                *own += more;
            }
        }
    }

    /// To the end of `flat`, as the weights lie there; both biases have the same gradient.
    pub(super) fn write(&self, layer: &Layer, flat: &mut Vec<f32>) {
        layer.ungroup(&self.of_input, layer.input, flat);
        layer.ungroup(&self.of_state, layer.hidden, flat);
        layer.ungroup(&self.bias, 1, flat);
        layer.ungroup(&self.bias, 1, flat);
    }
}

/// One part of a batch back through all layers and steps.
pub(super) struct Backward<'a> {
    pub(super) layers: &'a [Layer],
    pub(super) back: &'a [Back],
    pub(super) sequences: Sequences<'a>,
    pub(super) traces: &'a [Trace],
    /// `[batch, hidden]`
    pub(super) d_last: &'a [f32],
    /// Where gradients of the sequences go; empty when nobody asks.
    pub(super) d_input: &'a mut [f32],
    /// What is found is added to them.
    pub(super) gradients: &'a mut [Gradients],
}

/// Gradients that go from step to step, by layer, and from layer to layer.
struct Carried {
    /// `[B, tiles of hidden]`
    states: Vec<Spare>,
    /// `[G, B, L]`
    cells: Vec<Spare>,
    /// `[G, steps, B, 4, L]` of the layer at hand.
    gates: Spare,
    /// `[steps, B, tiles of input]`, from the layer at hand to the one below.
    inputs: Spare,
}

impl Job for Backward<'_> {
    #[inline(always)]
    fn run<const L: usize, const R: usize, const FMA: bool>(mut self) {
        let rows = self.sequences.batch.next_multiple_of(R);
        let span = (BLOCK / rows).max(1);
        let mut carried = self.carried(rows, span);
        let mut end = self.sequences.steps;
        while end > 0 {
            let first = end.saturating_sub(span);
            for at in (0..self.layers.len()).rev() {
                self.layer::<L, R, FMA>(at, first..end, (rows, span), &mut carried);
            }
            end = first;
        }
    }
}

impl Backward<'_> {
    fn carried(&self, rows: usize, span: usize) -> Carried {
        let most = |of: fn(&Layer) -> usize| self.layers.iter().map(of).max().unwrap_or(0);
        let zeros = |width: fn(&Layer) -> usize| -> Vec<Spare> {
            let layers = self.layers.iter();
            layers.map(|layer| Spare::zeros(rows * width(layer))).collect()
        };
        let mut states = zeros(|layer| layer.tiled_width(layer.hidden));
        if let (Some(top), Some(layer)) = (states.last_mut(), self.layers.last()) {
            let rows = top.chunks_exact_mut(layer.tiled_width(layer.hidden));
            for (top, d_last) in rows.zip(self.d_last.chunks_exact(layer.hidden)) {
                top[..layer.hidden].copy_from_slice(d_last);
            }
        }
        Carried {
            states,
            cells: zeros(|layer| layer.padded),
            gates: Spare::new(span * rows * 4 * most(|layer| layer.padded)),
            inputs: Spare::new(span * rows * most(|layer| layer.tiled_width(layer.input))),
        }
    }

    /// One layer back through a block of steps.
    #[inline(always)]
    fn layer<const L: usize, const R: usize, const FMA: bool>(
        &mut self,
        at: usize,
        steps: Range<usize>,
        (rows, span): (usize, usize),
        carried: &mut Carried,
    ) {
        let (layer, back, trace) = (&self.layers[at], &self.back[at], &self.traces[at]);
        let groups = layer.groups();
        let all = self.sequences.steps;
        let d_gates = &mut quads_mut::<L>(&mut carried.gates)[..groups * span * rows];
        // What the layer above has left for this one.
        let above = self.layers.get(at + 1).map(|above| above.tiled_width(above.input));
        for step in steps.clone().rev() {
            let from_above = above.map(|width| {
                let d_inputs = &carried.inputs[(step - steps.start) * rows * width..];
                (&d_inputs[..rows * width], width)
            });
            let d_state = &mut carried.states[at];
            let d_cells = vectors_mut::<L>(&mut carried.cells[at]);
            let sums = quads_mut::<L>(&mut self.gradients[at].bias);
            let places = Places {
                first: (step - steps.start) * rows,
                apart: span * rows,
                rows,
            };
            gates_back::<L, FMA>(
                trace,
                (step, all),
                (&*d_state, from_above),
                d_cells,
                sums,
                d_gates,
                places,
            );
            if step > 0 {
                let block = Block {
                    d_gates: &*d_gates,
                    first: steps.start,
                    span,
                    rows,
                };
                through::<L, R, FMA>(block, step, &back.to_state, d_state);
            }
        }
        let block = Block {
            d_gates: &*d_gates,
            first: steps.start,
            span,
            rows,
        };
        let below = at.checked_sub(1).map(|below| &self.traces[below]);
        let sequences = &self.sequences;
        let read = |step: usize| input(layer, sequences, below, step);
        outer::<L, R, FMA>(block, steps.clone(), read, layer.wide, &mut self.gradients[at].of_input);
        let before = |step: usize| states(trace, all, layer.padded, step - 1);
        let known = steps.start.max(1)..steps.end;
        outer::<L, R, FMA>(block, known, before, layer.padded, &mut self.gradients[at].of_state);
        if at > 0 || !self.d_input.is_empty() {
            let width = layer.tiled_width(layer.input);
            let d_inputs = carried.inputs.chunks_exact_mut(rows * width);
            for (step, d_inputs) in steps.clone().zip(d_inputs) {
                through::<L, R, FMA>(block, step, &back.to_input, d_inputs);
            }
        }
        if at == 0 {
            self.tell(layer, steps, rows, &carried.inputs);
        }
    }

    /// Gradients of the sequences, where they are asked for.
    fn tell(&mut self, layer: &Layer, steps: Range<usize>, rows: usize, d_inputs: &[f32]) {
        let width = layer.tiled_width(layer.input);
        let sequences = self.d_input.chunks_exact_mut(self.sequences.steps * layer.input);
        for (row, sequence) in sequences.enumerate() {
            for step in steps.clone() {
                let from = &d_inputs[((step - steps.start) * rows + row) * width..][..layer.input];
                sequence[step * layer.input..][..layer.input].copy_from_slice(from);
            }
        }
    }
}

/// Where gradients of a step's gates go: those of group g and row b to `first + g * apart + b`.
#[derive(Debug, Clone, Copy)]
struct Places {
    first: usize,
    apart: usize,
    rows: usize,
}

/// Gradients of the gates' sums at a step of so many; their sums over the rows go to `sums`.
///
/// `d_states`: from the step after, `[B, columns]`, and from the layer above with its columns.
#[inline(always)]
fn gates_back<const L: usize, const FMA: bool>(
    trace: &Trace,
    (step, steps): (usize, usize),
    d_states: (&[f32], Option<(&[f32], usize)>),
    d_cells: &mut [[f32; L]],
    sums: &mut [Quad<L>],
    d_gates: &mut [Quad<L>],
    places: Places,
) {
    let rows = places.rows;
    let count = sums.len() * rows;
    let gates = &quads::<L>(&trace.gates)[step * count..][..count];
    let cells = vectors::<L>(&trace.cells);
    debug_assert_eq!(cells.len(), steps * count, "cells of all steps");
    let after = &cells[step * count..][..count];
    let before = &cells[step.saturating_sub(1) * count..][..count];
    let (own, above) = d_states;
    let own_width = own.len() / rows;
    for (group, sums) in sums.iter_mut().enumerate() {
        let mut local = *sums;
        let d_gates = &mut d_gates[places.first + group * places.apart..][..rows];
        for row in 0..rows {
            let at = group * rows + row;
            let mut d_state = vectors::<L>(&own[row * own_width..])[group];
            if let Some((above, width)) = above {
                d_state = zip(d_state, vectors::<L>(&above[row * width..])[group], |own, above| {
                    own + above
                });
            }
            let cells = Cells {
                before: if step > 0 { &before[at] } else { &[0.0; L] },
                after: &after[at],
            };
            let d = cell::backward::<L, FMA>(&gates[at], &cells, &d_state, &mut d_cells[at]);
            d_gates[row] = d;
            for v in 0..4 {
                local[v] = zip(local[v], d[v], |sum, gate| sum + gate);
            }
        }
        *sums = local;
    }
}
