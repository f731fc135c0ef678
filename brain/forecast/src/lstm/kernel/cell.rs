//! The gates of L units of one row at one step, there and back.

use super::lanes::{Quad, fma, map, zip};

/// Beyond it tanh is 1 in single precision, or misses it by less than the least bit.
const TANH_1: f32 = 7.905_311;

/// tanh as a quotient of two polynomials, within 3e-7. Coefficients: Eigen, `generic_fast_tanh_float`.
#[inline(always)]
pub(super) fn tanh<const FMA: bool>(x: f32) -> f32 {
    // Unlike `max` and `min`, this lets NaN through.
    let bounded = x.clamp(-TANH_1, TANH_1);
    let s = bounded * bounded;
    let mut p = fma::<FMA>(s, -2.760_768_5e-16, 2.000_188e-13);
    p = fma::<FMA>(s, p, -8.604_672e-11);
    p = fma::<FMA>(s, p, 5.122_297e-8);
    p = fma::<FMA>(s, p, 1.485_722_4e-5);
    p = fma::<FMA>(s, p, 6.372_619e-4);
    p = fma::<FMA>(s, p, 4.893_524_6e-3);
    let mut q = fma::<FMA>(s, 1.198_258_4e-6, 1.185_347_1e-4);
    q = fma::<FMA>(s, q, 2.268_434_6e-3);
    q = fma::<FMA>(s, q, 4.893_525e-3);
    bounded * p / q
}

#[inline(always)]
pub(super) fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    fma::<FMA>(0.5, tanh::<FMA>(0.5 * x), 0.5)
}

/// Turns sums into gates, and the cell `before` into cell and state of this step.
#[inline(always)]
pub(super) fn forward<const L: usize, const FMA: bool>(gates: &mut Quad<L>, before: [f32; L]) -> ([f32; L], [f32; L]) {
    let [input, forget, candidate, output] = *gates;
    let input = map(input, sigmoid::<FMA>);
    let forget = map(forget, sigmoid::<FMA>);
    let candidate = map(candidate, tanh::<FMA>);
    let output = map(output, sigmoid::<FMA>);
    *gates = [input, forget, candidate, output];
    let mut cell = zip(input, candidate, |input, candidate| input * candidate);
    for l in 0..L {
        cell[l] = fma::<FMA>(forget[l], before[l], cell[l]);
    }
    let state = zip(map(cell, tanh::<FMA>), output, |cell, output| cell * output);
    (cell, state)
}

/// A step's cells: of the step before, and of this one.
pub(super) struct Cells<'a, const L: usize> {
    pub(super) before: &'a [f32; L],
    pub(super) after: &'a [f32; L],
}

/// Gradients of the sums. `d_cell`: gradient of the cell after this step, becomes that of the cell before.
#[inline(always)]
pub(super) fn backward<const L: usize, const FMA: bool>(
    gates: &Quad<L>,
    cells: &Cells<'_, L>,
    d_state: &[f32; L],
    d_cell: &mut [f32; L],
) -> Quad<L> {
    let [mut input, mut forget, mut candidate, mut output] = *gates;
    for l in 0..L {
        let (i, f, g, o) = (input[l], forget[l], candidate[l], output[l]);
        let t = tanh::<FMA>(cells.after[l]);
        let d = fma::<FMA>(d_state[l] * o, fma::<FMA>(-t, t, 1.0), d_cell[l]);
        input[l] = d * g * (i * (1.0 - i));
        forget[l] = d * cells.before[l] * (f * (1.0 - f));
        candidate[l] = d * i * fma::<FMA>(-g, g, 1.0);
        output[l] = d_state[l] * t * (o * (1.0 - o));
        d_cell[l] = d * f;
    }
    [input, forget, candidate, output]
}
