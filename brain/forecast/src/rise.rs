//! Quantiles that cannot cross: the first number of each is as it is, the others are steps upwards (softplus) from there.

#![allow(
    clippy::indexing_slicing,
    clippy::inline_always,
    reason = "loops of a fixed length become vectors, and only what is inlined gets a machine's instructions"
)]

use crate::lstm::kernel::{
    isa::{Isa, Job},
    lanes::fma,
};

/// What is added to a number below 2^22 so that its last bits are whole: 1.5 * 2^23.
const WHOLE: f32 = 12_582_912.0;

/// Beyond it e^-x is as good as 0.
const FAR: f32 = 87.0;

/// e^-x of 0 or more, within 2e-7 of itself; NaN stays NaN.
#[inline(always)]
fn exp_minus<const FMA: bool>(x: f32) -> f32 {
    let x = if x > FAR { FAR } else { x };
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, WHOLE);
    let twos = shifted - WHOLE;
    // ln 2 in two pieces, the first of which has few bits.
    let rest = fma::<FMA>(twos, 0.693_359_4, -x);
    let rest = fma::<FMA>(twos, -2.121_944_4e-4, rest);
    let mut p = fma::<FMA>(rest, 1.0 / 720.0, 1.0 / 120.0);
    p = fma::<FMA>(rest, p, 1.0 / 24.0);
    p = fma::<FMA>(rest, p, 1.0 / 6.0);
    p = fma::<FMA>(rest, p, 0.5);
    p = fma::<FMA>(rest, p, 1.0);
    p = fma::<FMA>(rest, p, 1.0);
    let exponent = shifted.to_bits().wrapping_sub(WHOLE.to_bits());
    p * f32::from_bits(127_u32.wrapping_sub(exponent).wrapping_shl(23))
}

/// ln(1 + e^x) and its slope, within 3e-7 of themselves.
#[inline(always)]
fn softplus<const FMA: bool>(x: f32) -> (f32, f32) {
    let small = exp_minus::<FMA>(x.abs());
    // ln(1 + u) = 2 artanh(u / (2 + u)), whose argument is at most a third.
    let s = small / (2.0 + small);
    let z = s * s;
    let mut p = fma::<FMA>(z, 1.0 / 15.0, 1.0 / 13.0);
    for of in [11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        p = fma::<FMA>(z, p, 1.0 / of);
    }
    let whole = if x > 0.0 { x } else { 0.0 };
    let slope = (if x > 0.0 { 1.0 } else { small }) / (1.0 + small);
    (fma::<FMA>(2.0 * s, p, whole), slope)
}

/// Softplus of all numbers, and its slopes where there is room for as many.
struct All<'a> {
    numbers: &'a mut [f32],
    slopes: &'a mut [f32],
}

impl Job for All<'_> {
    #[inline(always)]
    fn run<const L: usize, const R: usize, const FMA: bool>(self) {
        if self.slopes.len() == self.numbers.len() {
            for (number, slope) in self.numbers.iter_mut().zip(self.slopes) {
                (*number, *slope) = softplus::<FMA>(*number);
            }
        } else {
            for number in self.numbers {
                (*number, _) = softplus::<FMA>(*number);
            }
        }
    }
}

/// Softplus of `steps`, and its slopes where there is room for as many.
pub(crate) fn softplus_all(isa: Isa, numbers: &mut [f32], slopes: &mut [f32]) {
    isa.run(All { numbers, slopes });
}

/// Rows of steps, each of `values` numbers of four quantiles each and then peaks of six, to rising quantiles: those of all
/// values and those of all peaks.
pub(crate) fn rise(isa: Isa, steps: &[f32], widths: (usize, usize), values: &mut [f32], peaks: &mut [f32]) {
    let (of_values, of_peaks) = widths;
    let mut up = steps.to_vec();
    softplus_all(isa, &mut up, &mut []);
    let width = (of_values + of_peaks).max(1);
    let rows = steps.chunks_exact(width).zip(up.chunks_exact(width));
    let outs = values
        .chunks_exact_mut(of_values.max(1))
        .zip(peaks.chunks_exact_mut(of_peaks.max(1)));
    for ((steps, up), (values, peaks)) in rows.zip(outs) {
        let ((first, second), (up_first, up_second)) = (steps.split_at(of_values), up.split_at(of_values));
        sums::<4>(first, up_first, values);
        sums::<6>(second, up_second, peaks);
    }
}

fn sums<const Q: usize>(steps: &[f32], up: &[f32], out: &mut [f32]) {
    let (steps, up) = (steps.as_chunks::<Q>().0, up.as_chunks::<Q>().0);
    for ((steps, up), out) in steps.iter().zip(up).zip(out.as_chunks_mut::<Q>().0) {
        out[0] = steps[0];
        for at in 1..Q {
            out[at] = out[at - 1] + up[at];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softplus_and_its_slope_are_right_on_every_kind_of_machine() {
        let numbers: Vec<f32> = (-12_000..=12_000).map(|at| at as f32 * 0.01).collect();
        for isa in Isa::all() {
            let (mut found, mut slopes) = (numbers.clone(), vec![0.0; numbers.len()]);
            softplus_all(isa, &mut found, &mut slopes);
            for ((x, found), slope) in numbers.iter().zip(&found).zip(&slopes) {
                let x = f64::from(*x);
                let expected = x.max(0.0) + (-x.abs()).exp().ln_1p();
                let expected_slope = 1.0 / (1.0 + (-x).exp());
                // From 87 on the small one stays where it is.
                let near = |found: f32, expected: f64| (f64::from(found) - expected).abs() < 4e-7 * expected + 1e-37;
                assert!(near(*found, expected), "{x}: {found} for {expected}");
                assert!(near(*slope, expected_slope), "{x}: slope {slope} for {expected_slope}");
            }
            let mut wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN];
            softplus_all(isa, &mut wild, &mut []);
            assert!(wild[0].is_nan() && wild[1] == f32::INFINITY && wild[3] == f32::MAX);
            assert!(wild[2].abs() < 1e-37 && wild[4].abs() < 1e-37, "{wild:?}");
        }
    }
}
