//! The way there when nobody goes back: nothing is kept but the state.

use super::{
    Sequences, cell,
    isa::Job,
    lanes::{Quad, Rows, accumulate, quads_mut, vectors_mut, zip},
    layer::Layer,
    spare::Spare,
};

/// One part of a batch through all layers and steps.
pub(super) struct Infer<'a> {
    pub(super) layers: &'a [Layer],
    pub(super) sequences: Sequences<'a>,
    /// `[batch, hidden]`
    pub(super) last: &'a mut [f32],
}

impl Job for Infer<'_> {
    /// Rows that fill a tile go together, step by step. Fewer go one by one: then the products with the input, which
    /// need not wait for the step before, are made for all steps first.
    #[inline(always)]
    fn run<const L: usize, const R: usize, const FMA: bool>(self) {
        if self.sequences.batch < R {
            one_by_one::<L, R, FMA>(self);
        } else {
            together::<L, R, FMA>(self);
        }
    }
}

/// A layer's state before and after a step, `[B, G, L]`, and its cells, `[G, B, L]`.
struct State {
    before: Spare,
    after: Spare,
    cells: Spare,
}

#[inline(always)]
fn together<const L: usize, const R: usize, const FMA: bool>(infer: Infer<'_>) {
    let Infer {
        layers,
        sequences,
        last,
    } = infer;
    let Sequences {
        numbers, batch, steps, ..
    } = sequences;
    let rows = batch.next_multiple_of(R);
    let zeros = |layer: &Layer| Spare::zeros(rows * layer.padded);
    let mut states: Vec<State> = layers
        .iter()
        .map(|layer| State {
            before: zeros(layer),
            after: zeros(layer),
            cells: zeros(layer),
        })
        .collect();
    for step in 0..steps {
        for (at, layer) in layers.iter().enumerate() {
            let (below, here) = states.split_at_mut(at);
            let input = match below.last() {
                None => Rows {
                    numbers: &numbers[step * layer.wide..],
                    stride: steps * layer.wide,
                    count: batch,
                },
                Some(below) => Rows {
                    numbers: &below.before,
                    stride: layer.wide,
                    count: rows,
                },
            };
            go::<L, R, FMA>(layer, input, rows, &mut here[0]);
        }
    }
    if let (Some(layer), Some(state)) = (layers.last(), states.last()) {
        let states = state.before.chunks_exact(layer.padded);
        for (last, state) in last.chunks_exact_mut(layer.hidden).zip(states) {
            last.copy_from_slice(&state[..layer.hidden]);
        }
    }
}

/// One step of one layer; afterwards `before` is its state.
#[inline(always)]
fn go<const L: usize, const R: usize, const FMA: bool>(layer: &Layer, input: Rows<'_>, rows: usize, state: &mut State) {
    let before = Rows {
        numbers: &state.before,
        stride: layer.padded,
        count: rows,
    };
    let cells = vectors_mut::<L>(&mut state.cells);
    for group in 0..layer.groups() {
        let (of_input, of_state, bias) = layer.group::<L>(group);
        for first in (0..rows).step_by(R) {
            let mut sums = [bias; R];
            accumulate::<L, R, FMA>(&mut sums, input.tile(first), of_input);
            accumulate::<L, R, FMA>(&mut sums, before.tile(first), of_state);
            for (row, sums) in sums.iter_mut().enumerate() {
                let cell = &mut cells[group * rows + first + row];
                let after;
                (*cell, after) = cell::forward::<L, FMA>(sums, *cell);
                state.after[(first + row) * layer.padded + group * L..][..L].copy_from_slice(&after);
            }
        }
    }
    std::mem::swap(&mut state.before, &mut state.after);
}

#[inline(always)]
fn one_by_one<const L: usize, const R: usize, const FMA: bool>(infer: Infer<'_>) {
    let Infer {
        layers,
        sequences,
        last,
    } = infer;
    let Sequences { steps, input, .. } = sequences;
    let widest = layers.iter().map(|layer| layer.padded).max().unwrap_or(0);
    let mut sums = Spare::new(steps.next_multiple_of(R) * 4 * widest);
    // Of a layer, after each step, behind the zeros it begins with.
    let mut states = Spare::zeros((steps + 1) * widest);
    let width = last.len() / sequences.batch;
    let rows = sequences.numbers.chunks_exact(steps * input);
    for (last, sequence) in last.chunks_mut(width).zip(rows) {
        for (at, layer) in layers.iter().enumerate() {
            let numbers = if at == 0 { sequence } else { &states[layer.wide..] };
            let input = Rows {
                numbers,
                stride: layer.wide,
                count: steps,
            };
            let sums = quads_mut::<L>(&mut sums);
            ahead::<L, R, FMA>(layer, input, sums);
            states[..layer.padded].fill(0.0);
            alone::<L, FMA>(layer, steps, sums, &mut states);
            let end = &states[steps * layer.padded..];
            if at + 1 == layers.len() {
                last.copy_from_slice(&end[..layer.hidden]);
            }
        }
    }
}

/// What the input gives to the gates at each step: `[T, G]`.
#[inline(always)]
fn ahead<const L: usize, const R: usize, const FMA: bool>(layer: &Layer, input: Rows<'_>, sums: &mut [Quad<L>]) {
    let groups = layer.groups();
    for group in 0..groups {
        let (of_input, _, bias) = layer.group::<L>(group);
        for first in (0..input.count).step_by(R) {
            let mut tile = [bias; R];
            accumulate::<L, R, FMA>(&mut tile, input.tile(first), of_input);
            for (step, tile) in tile.iter().enumerate() {
                sums[(first + step) * groups + group] = *tile;
            }
        }
    }
}

/// One row's steps, the input's share being known.
#[inline(always)]
fn alone<const L: usize, const FMA: bool>(layer: &Layer, steps: usize, sums: &[Quad<L>], states: &mut [f32]) {
    let groups = layer.groups();
    let mut cells = vec![[0.0; L]; groups];
    for (step, sums) in sums.chunks_exact(groups).take(steps).enumerate() {
        let (before, after) = states[step * layer.padded..].split_at_mut(layer.padded);
        for (group, cell) in cells.iter_mut().enumerate() {
            let (_, of_state, _) = layer.group::<L>(group);
            let mut tile = [[[0.0; L]; 4]];
            accumulate::<L, 1, FMA>(&mut tile, [before], of_state);
            let [mut gates] = tile;
            for v in 0..4 {
                gates[v] = zip(gates[v], sums[group][v], |own, input| own + input);
            }
            let state;
            (*cell, state) = cell::forward::<L, FMA>(&mut gates, *cell);
            after[group * L..][..L].copy_from_slice(&state);
        }
    }
}
