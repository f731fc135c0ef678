//! The products of the way back.

use std::ops::Range;

use super::lanes::{Quad, Rows, accumulate, first_of, multiply_add, quads, quads_mut};

/// `[B, columns]` from gradients of gates, `[G, B]`, and weights in tiles of columns ([`super::layer::Back`]).
#[inline(always)]
pub(super) fn through<const L: usize, const R: usize, const FMA: bool>(
    d_gates: &[Quad<L>],
    rows: usize,
    weights: &[f32],
    out: &mut [f32],
) {
    let groups = d_gates.len() / rows;
    let high = 4 * L * groups;
    let tiles = weights.len() / (4 * L * high);
    let out = quads_mut::<L>(out);
    for (tile, weights) in quads::<L>(weights).chunks_exact(high).enumerate() {
        for first in (0..rows).step_by(R) {
            let mut sums = [[[0.0; L]; 4]; R];
            for (group, weights) in weights.chunks_exact(4 * L).enumerate() {
                let gates = Rows {
                    numbers: d_gates[group * rows..][..rows].as_flattened().as_flattened(),
                    stride: 4 * L,
                    count: rows,
                };
                accumulate::<L, R, FMA>(&mut sums, gates.tile(first), weights);
            }
            for (row, sums) in sums.iter().enumerate() {
                out[(first + row) * tiles + tile] = *sums;
            }
        }
    }
}

/// Gradients of gates of several steps: `[steps, G, B]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a, const L: usize> {
    pub(super) d_gates: &'a [Quad<L>],
    /// The step that it begins with.
    pub(super) first: usize,
    pub(super) groups: usize,
    pub(super) rows: usize,
}

/// `sums[G, high] +=` each row's numbers times its gradients, over `steps`.
///
/// `input(step)`: rows of `wide` numbers; `high`: `wide` filled up to whole tiles.
#[inline(always)]
pub(super) fn outer<'a, const L: usize, const R: usize, const FMA: bool>(
    block: Block<'_, L>,
    steps: Range<usize>,
    input: impl Fn(usize) -> Rows<'a>,
    wide: usize,
    sums: &mut [f32],
) {
    let Block { groups, rows, .. } = block;
    let high = wide.next_multiple_of(R);
    for (group, sums) in quads_mut::<L>(sums).chunks_exact_mut(high).enumerate() {
        for (tile, sums) in sums.as_chunks_mut::<R>().0.iter_mut().enumerate() {
            let mut local = *sums;
            for step in steps.clone() {
                let input = input(step);
                let d_gates = &block.d_gates[((step - block.first) * groups + group) * rows..][..rows];
                for (row, d_gates) in d_gates.iter().enumerate() {
                    let numbers = &input.row(row)[tile * R..wide];
                    let x = first_of::<R>(numbers);
                    multiply_add::<L, R, FMA>(&mut local, x, d_gates);
                }
            }
            *sums = local;
        }
    }
}
