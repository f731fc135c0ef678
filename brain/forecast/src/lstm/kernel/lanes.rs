//! Vectors of L numbers, and the product that everything else is made of.
//!
//! The loops have fixed lengths and go by index: so the compiler unrolls them whole and keeps each `[f32; L]` in a
//! register. `array::map` and iterators over arrays by value do not (measured: ten times slower).

use std::array::from_fn;

/// Four vectors side by side: the gates of L units, or 4 L columns of any kind.
pub(crate) type Quad<const L: usize> = [[f32; L]; 4];

/// `numbers` as vectors.
#[inline(always)]
pub(crate) fn vectors<const L: usize>(numbers: &[f32]) -> &[[f32; L]] {
    numbers.as_chunks().0
}

/// `numbers` as vectors.
#[inline(always)]
pub(crate) fn vectors_mut<const L: usize>(numbers: &mut [f32]) -> &mut [[f32; L]] {
    numbers.as_chunks_mut().0
}

/// `numbers` as quads.
#[inline(always)]
pub(crate) fn quads<const L: usize>(numbers: &[f32]) -> &[Quad<L>] {
    vectors(numbers).as_chunks().0
}

/// `numbers` as quads.
#[inline(always)]
pub(crate) fn quads_mut<const L: usize>(numbers: &mut [f32]) -> &mut [Quad<L>] {
    vectors_mut(numbers).as_chunks_mut().0
}

/// Rows that lie at equal distances; a row past the last one is the last one again, so that a tile is always whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) count: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    pub(crate) fn row(&self, at: usize) -> &'a [f32] {
        &self.numbers[at.min(self.count - 1) * self.stride..]
    }

    /// R rows from `first` on.
    #[inline(always)]
    pub(crate) fn tile<const R: usize>(&self, first: usize) -> [&'a [f32]; R] {
        from_fn(|at| self.row(first + at))
    }
}

/// `a * b + c`.
#[inline(always)]
pub(crate) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
pub(crate) fn map<const L: usize>(mut a: [f32; L], f: impl Fn(f32) -> f32) -> [f32; L] {
    for l in 0..L {
        a[l] = f(a[l]);
    }
    a
}

#[inline(always)]
pub(crate) fn zip<const L: usize>(mut a: [f32; L], b: [f32; L], f: impl Fn(f32, f32) -> f32) -> [f32; L] {
    for l in 0..L {
        a[l] = f(a[l], b[l]);
    }
    a
}

/// `sums[r] += x[r] * quad`. One vector of the quad at a time: so 3 x 4 sums, three numbers and a vector fit in 16
/// registers.
#[inline(always)]
pub(crate) fn multiply_add<const L: usize, const R: usize, const FMA: bool>(
    sums: &mut [Quad<L>; R],
    x: [f32; R],
    quad: &Quad<L>,
) {
    for v in 0..4 {
        for r in 0..R {
            for l in 0..L {
                sums[r][v][l] = fma::<FMA>(x[r], quad[v][l], sums[r][v][l]);
            }
        }
    }
}

/// `sums[r] += rows[r] x quads`: each row's first numbers, one for each quad.
#[inline(always)]
pub(crate) fn accumulate<const L: usize, const R: usize, const FMA: bool>(
    sums: &mut [Quad<L>; R],
    rows: [&[f32]; R],
    quads: &[Quad<L>],
) {
    // A copy that nothing else sees stays in registers.
    let mut local = *sums;
    let rows = rows.map(|row| &row[..quads.len()]);
    for k in 0..quads.len() {
        let x = from_fn(|r| rows[r][k]);
        multiply_add::<L, R, FMA>(&mut local, x, &quads[k]);
    }
    *sums = local;
}

/// `sums[r] += numbers[k][r] * quads[k]`, over all of them.
#[inline(always)]
pub(crate) fn add_products<const L: usize, const R: usize, const FMA: bool>(
    sums: &mut [Quad<L>; R],
    numbers: &[[f32; R]],
    quads: &[Quad<L>],
) {
    // A copy that nothing else sees stays in registers.
    let mut local = *sums;
    let numbers = &numbers[..quads.len()];
    for k in 0..quads.len() {
        multiply_add::<L, R, FMA>(&mut local, numbers[k], &quads[k]);
    }
    *sums = local;
}

/// A row's numbers in pieces of R, the last one filled up with zeros, to every `apart`th place of `places`: of many rows the
/// same piece lies side by side then.
#[inline(always)]
pub(crate) fn side_by_side<const R: usize>(row: &[f32], places: &mut [[f32; R]], apart: usize) {
    let (whole, rest) = row.as_chunks::<R>();
    for (piece, numbers) in whole.iter().enumerate() {
        places[piece * apart] = *numbers;
    }
    if !rest.is_empty() {
        let mut last = [0.0; R];
        last[..rest.len()].copy_from_slice(rest);
        places[whole.len() * apart] = last;
    }
}
