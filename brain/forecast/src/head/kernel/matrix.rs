//! Matrices in tiles of columns, and the three products that the layers above the LSTM are made of.

use std::ops::Range;

use rayon::prelude::*;

use crate::lstm::kernel::{
    isa::Isa,
    lanes::{Quad, Rows, accumulate, add_products, quads, quads_mut, side_by_side},
    spare::Spare,
};

/// Rows of a matrix that a product goes through at a time: so much of a tile stays in the first cache.
const HIGH: usize = 128;

/// Rows that sums of gradients go through at a time: their gradients of a tile lie side by side in the first cache.
const ROWS: usize = 160;

/// A matrix in tiles of 4 L columns: `[tile, high, 4 L]`, the last one filled up with zeros.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    pub(super) high: usize,
    numbers: Spare,
}

/// What a product begins with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Begin<'a> {
    Zero,
    /// The same for every row, as wide as the tiles are.
    Row(&'a [f32]),
    /// What is there.
    Out,
}

/// `width` filled up to whole tiles.
pub(super) fn tiled(width: usize, isa: Isa) -> usize {
    width.next_multiple_of(4 * isa.lanes())
}

impl Matrix {
    /// From rows of `width` numbers each.
    pub(super) fn new(rows: &[f32], width: usize, isa: Isa) -> Self {
        let (high, quad) = (rows.len() / width, 4 * isa.lanes());
        Self::of_tiles(high, width, isa, |tile, to| {
            let columns = tile * quad..width.min((tile + 1) * quad);
            for (to, row) in to.chunks_exact_mut(quad).zip(rows.chunks_exact(width)) {
                to[..columns.len()].copy_from_slice(&row[columns.clone()]);
                to[columns.len()..].fill(0.0);
            }
        })
    }

    /// The same with rows and columns changed over.
    pub(super) fn turned(rows: &[f32], width: usize, isa: Isa) -> Self {
        let quad = 4 * isa.lanes();
        Self::of_tiles(width, rows.len() / width, isa, |tile, to| {
            let rows = &rows[tile * quad * width..];
            let rows = &rows[..rows.len().min(quad * width)];
            for (column, to) in to.chunks_exact_mut(quad).enumerate() {
                let count = rows.len() / width;
                let from = rows[column..].iter().step_by(width);
                to[..count].iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                to[count..].fill(0.0);
            }
        })
    }

    /// Threads fill the tiles.
    fn of_tiles(high: usize, width: usize, isa: Isa, fill: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        let mut numbers = Spare::new(high * tiled(width, isa));
        let tiles = numbers.par_chunks_mut(high * 4 * isa.lanes()).enumerate();
        tiles.for_each(|(tile, to)| fill(tile, to));
        Self { high, numbers }
    }
}

/// `out[rows, tiles] = end(begin + x matrix)`; of each of `x`'s rows the first `matrix.high` numbers count.
#[inline(always)]
pub(super) fn product<const L: usize, const R: usize, const FMA: bool>(
    x: Rows<'_>,
    matrix: &Matrix,
    out: &mut [f32],
    begin: Begin<'_>,
    end: impl Fn(f32) -> f32,
) {
    let (high, rows) = (matrix.high, x.count);
    let out = quads_mut::<L>(out);
    let tiles = out.len() / rows;
    for (tile, numbers) in quads::<L>(&matrix.numbers).chunks_exact(high).take(tiles).enumerate() {
        for (block, numbers) in numbers.chunks(HIGH).enumerate() {
            let last = (block + 1) * HIGH >= high;
            for first in (0..rows).step_by(R) {
                let count = R.min(rows - first);
                let mut sums = [[[0.0; L]; 4]; R];
                match begin {
                    Begin::Row(row) if block == 0 => sums = [quads::<L>(row)[tile]; R],
                    Begin::Zero if block == 0 => {}
                    _ => {
                        for (row, sums) in sums.iter_mut().enumerate().take(count) {
                            *sums = out[(first + row) * tiles + tile];
                        }
                    }
                }
                let x = x.tile::<R>(first).map(|row| &row[block * HIGH..]);
                accumulate::<L, R, FMA>(&mut sums, x, numbers);
                for (row, sums) in sums.iter_mut().enumerate().take(count) {
                    if last {
                        for v in 0..4 {
                            for l in 0..L {
                                sums[v][l] = end(sums[v][l]);
                            }
                        }
                    }
                    out[(first + row) * tiles + tile] = *sums;
                }
            }
        }
    }
}

/// `sums[tile, wide, 4 L] +=` each row's first `wide` numbers times its gradients, `[rows, tiles]`; `wide` is filled up to
/// whole tiles of rows.
#[inline(always)]
pub(super) fn gradient<const L: usize, const R: usize, const FMA: bool>(
    x: Rows<'_>,
    wide: usize,
    d: &[f32],
    sums: &mut [f32],
) {
    let high = wide.next_multiple_of(R);
    let d = quads::<L>(d);
    let tiles = d.len() / x.count;
    let mut numbers = Spare::new(high * ROWS);
    let numbers = numbers.as_chunks_mut::<R>().0;
    let mut column = Spare::new(4 * L * ROWS);
    let column = quads_mut::<L>(&mut column);
    let sums = quads_mut::<L>(sums);
    for first in (0..x.count).step_by(ROWS) {
        let count = ROWS.min(x.count - first);
        for row in 0..count {
            side_by_side::<R>(&x.row(first + row)[..wide], &mut numbers[row..], ROWS);
        }
        for (tile, sums) in sums.chunks_exact_mut(high).enumerate() {
            for (row, column) in column.iter_mut().enumerate().take(count) {
                *column = d[(first + row) * tiles + tile];
            }
            let places = sums.as_chunks_mut::<R>().0.iter_mut();
            for (sums, numbers) in places.zip(numbers.chunks_exact(ROWS)) {
                add_products::<L, R, FMA>(sums, numbers, &column[..count]);
            }
        }
    }
}

/// `sums[columns] +=` all rows.
#[inline(always)]
pub(super) fn column_sums<const L: usize>(rows: &[f32], sums: &mut [f32]) {
    let sums = quads_mut::<L>(sums);
    for row in quads::<L>(rows).chunks_exact(sums.len()) {
        for (sum, row) in sums.iter_mut().zip(row) {
            add::<L>(sum, row);
        }
    }
}

#[inline(always)]
fn add<const L: usize>(sum: &mut Quad<L>, row: &Quad<L>) {
    for v in 0..4 {
        for l in 0..L {
            sum[v][l] += row[v][l];
        }
    }
}

/// What [`gradient`] has summed, to the end of `flat`: `wide` rows, of each the `columns`.
pub(super) fn untile(
    sums: &[f32],
    (wide, rows): (usize, usize),
    columns: &[Range<usize>],
    quad: usize,
    flat: &mut Vec<f32>,
) {
    let high = wide.next_multiple_of(rows);
    for (row, columns) in (0..wide).flat_map(|row| columns.iter().map(move |columns| (row, columns))) {
        let mut column = columns.start;
        while column < columns.end {
            let until = columns.end.min((column / quad + 1) * quad);
            let at = (column / quad * high + row) * quad + column % quad;
            flat.extend_from_slice(&sums[at..at + until - column]);
            column = until;
        }
    }
}
