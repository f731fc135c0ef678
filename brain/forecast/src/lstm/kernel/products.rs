//! The products of the way back.

use std::ops::Range;

use super::{
    lanes::{Quad, Rows, accumulate, add_products, quads, quads_mut, side_by_side},
    spare::Spare,
};

/// Weights that a product goes through at a time, about: so many quads of them stay in the first cache.
const HIGH: usize = 128;

/// Gradients of gates of several steps, `[G, steps, B]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a, const L: usize> {
    pub(super) d_gates: &'a [Quad<L>],
    /// The step that it begins with, and how many it has room for.
    pub(super) first: usize,
    pub(super) span: usize,
    pub(super) rows: usize,
}

impl<'a, const L: usize> Block<'a, L> {
    fn groups(&self) -> usize {
        self.d_gates.len() / (self.span * self.rows)
    }

    /// Of one group at some steps: `[steps, B]`.
    #[inline(always)]
    fn of(&self, group: usize, steps: Range<usize>) -> &'a [Quad<L>] {
        let from = (group * self.span + steps.start - self.first) * self.rows;
        &self.d_gates[from..][..steps.len() * self.rows]
    }
}

/// `[B, columns]` from the gradients of a step's gates and weights in tiles of columns ([`super::layer::Back`]).
#[inline(always)]
pub(super) fn through<const L: usize, const R: usize, const FMA: bool>(
    block: Block<'_, L>,
    step: usize,
    weights: &[f32],
    out: &mut [f32],
) {
    let (groups, rows) = (block.groups(), block.rows);
    let high = 4 * L * groups;
    let tiles = weights.len() / (4 * L * high);
    let out = quads_mut::<L>(out);
    let at_once = (HIGH / (4 * L)).max(1);
    for (tile, weights) in quads::<L>(weights).chunks_exact(high).enumerate() {
        for (part, weights) in weights.chunks(at_once * 4 * L).enumerate() {
            for first in (0..rows).step_by(R) {
                let mut sums = [[[0.0; L]; 4]; R];
                if part > 0 {
                    for (row, sums) in sums.iter_mut().enumerate() {
                        *sums = out[(first + row) * tiles + tile];
                    }
                }
                for (group, weights) in weights.chunks_exact(4 * L).enumerate() {
                    let d_gates = block.of(part * at_once + group, step..step + 1);
                    let gates = Rows {
                        numbers: d_gates.as_flattened().as_flattened(),
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
    let count = steps.len() * block.rows;
    if count == 0 {
        return;
    }
    let high = wide.next_multiple_of(R);
    let mut packed = Spare::new(high * count);
    let packed = packed.as_chunks_mut::<R>().0;
    for (at, step) in steps.clone().enumerate() {
        let input = input(step);
        for row in 0..block.rows {
            side_by_side::<R>(&input.row(row)[..wide], &mut packed[at * block.rows + row..], count);
        }
    }
    for (group, sums) in quads_mut::<L>(sums).chunks_exact_mut(high).enumerate() {
        let d_gates = block.of(group, steps.clone());
        let tiles = sums.as_chunks_mut::<R>().0.iter_mut();
        for (sums, numbers) in tiles.zip(packed.chunks_exact(count)) {
            add_products::<L, R, FMA>(sums, numbers, d_gates);
        }
    }
}
