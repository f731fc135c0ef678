//! The layers over plain slices, forwards and backwards.
//!
//! A batch is cut into parts of [`MOMENTS`] moments, and a thread takes a part through all layers: what lies between two
//! of them stays in its second cache. The result is the same bit by bit for any number of threads.

#![allow(
    clippy::indexing_slicing,
    clippy::needless_range_loop,
    clippy::inline_always,
    reason = "lengths follow from the sizes that are checked at the entrance; only such loops become vectors, and only \
              what is inlined gets a machine's instructions"
)]

mod backward;
mod forward;
mod matrix;
mod part;
mod weights;

use rayon::prelude::*;

use super::Shape;
use crate::lstm::kernel::{isa::Isa, spare::Spare};
use backward::{Back, Backward, Sums};
use forward::Forward;
pub(crate) use forward::Trace;
use matrix::{Matrix, tiled};
pub(crate) use part::Ins;
use weights::{Weights, beside, padded};

/// Moments of a part.
const MOMENTS: usize = 32;

/// Sums of gradients that are kept side by side, and so the most threads that go backwards at once.
const SUMS: usize = 4;

/// The layers' weights, laid out for one kind of machine. D' is D filled up to whole tiles.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    isa: Isa,
    shape: Shape,
    /// `[S, R D']`
    of_state: Matrix,
    /// `[F, D']`
    of_statistics: Matrix,
    /// `[R D']`
    of_target: Spare,
    middle: Matrix,
    middle_bias: Spare,
    /// `[D, V + P]`
    out: Matrix,
    out_bias: Spare,
    /// `[F, V + P]`
    straight: Matrix,
}

impl Head {
    /// `None` when a size is 0, or the weights are not as many as they have to be.
    pub(crate) fn new(weights: &[f32], shape: Shape, isa: Isa) -> Option<Self> {
        if shape.is_empty() {
            return None;
        }
        let Shape {
            targets,
            dense,
            values,
            peaks,
            ..
        } = shape;
        let of = Weights::new(weights, &shape)?;
        let wide = tiled(dense, isa);
        let of_state = padded(of.of_state, dense, wide);
        let out = beside(of.out, values, of.peaks, peaks);
        let straight = beside(of.straight, values, of.peaks_straight, peaks);
        let both = values + peaks;
        let outs = tiled(both, isa);
        Some(Self {
            of_state: Matrix::new(&of_state, targets * wide, isa),
            of_statistics: Matrix::new(of.of_statistics, dense, isa),
            of_target: padded(of.of_target, dense, wide),
            middle: Matrix::new(of.middle, dense, isa),
            middle_bias: padded(of.middle_bias, dense, wide),
            out: Matrix::new(&out, both, isa),
            out_bias: padded(&[of.out_bias, of.peaks_bias].concat(), both, outs),
            straight: Matrix::new(&straight, both, isa),
            isa,
            shape,
        })
    }

    /// What comes out, `[B R, V + P]`; `None` when there are not as many numbers as there have to be.
    pub(crate) fn infer(&self, ins: Ins<'_>) -> Option<Vec<f32>> {
        let moments = ins.moments(&self.shape)?;
        let both = self.shape.values + self.shape.peaks;
        let mut out = vec![0.0; moments * self.shape.targets * both];
        let parts = out.par_chunks_mut(MOMENTS * self.shape.targets * both);
        parts.enumerate().for_each(|(part, out)| {
            let ins = ins.part(part, &self.shape);
            let mut trace = Trace::new(ins.moments, &self.shape, self.isa);
            self.isa.run(Forward {
                head: self,
                ins,
                trace: &mut trace,
                out,
            });
        });
        Some(out)
    }

    /// Like [`Head::infer`], and what the way back needs.
    pub(crate) fn forward(&self, ins: Ins<'_>) -> Option<(Vec<f32>, Vec<Trace>)> {
        let moments = ins.moments(&self.shape)?;
        let both = self.shape.values + self.shape.peaks;
        let mut out = vec![0.0; moments * self.shape.targets * both];
        // Made by the thread that will drop them: see `spare`.
        let mut traces: Vec<Trace> = (0..moments)
            .step_by(MOMENTS)
            .map(|from| Trace::new(MOMENTS.min(moments - from), &self.shape, self.isa))
            .collect();
        let parts = out.par_chunks_mut(MOMENTS * self.shape.targets * both).zip(&mut traces);
        parts.enumerate().for_each(|(part, (out, trace))| {
            let ins = ins.part(part, &self.shape);
            self.isa.run(Forward {
                head: self,
                ins,
                trace,
                out,
            });
        });
        Some((out, traces))
    }

    /// Gradients of the states, `[B, S]`, and of all weights from those of what came out; those of the peaks end at the layer
    /// that they come out of.
    pub(crate) fn backward(
        &self,
        weights: &[f32],
        ins: Ins<'_>,
        traces: &[Trace],
        d_out: &[f32],
    ) -> Option<(Vec<f32>, Vec<f32>)> {
        let moments = ins.moments(&self.shape)?;
        let Shape {
            targets,
            states,
            values,
            peaks,
            ..
        } = self.shape;
        let parts = moments.div_ceil(MOMENTS);
        if traces.len() != parts || d_out.len() != moments * targets * (values + peaks) {
            return None;
        }
        let back = Back::new(self, weights)?;
        let mut d_state = vec![0.0; moments * states];
        let each = parts.div_ceil(SUMS);
        let taken = d_state.par_chunks_mut(MOMENTS * states).zip(traces);
        let taken = taken.zip(d_out.par_chunks(MOMENTS * targets * (values + peaks)));
        // Made by the thread that will drop them: see `spare`.
        let mut sums: Vec<Sums> = (0..parts)
            .step_by(each)
            .map(|_| Sums::new(&self.shape, self.isa))
            .collect();
        let taken = taken.enumerate().chunks(each).zip(&mut sums);
        taken.for_each(|(parts, sums)| {
            sums.clear();
            for (part, ((d_state, trace), d_out)) in parts {
                self.isa.run(Backward {
                    head: self,
                    back: &back,
                    ins: ins.part(part, &self.shape),
                    trace,
                    d_out,
                    d_state,
                    sums,
                });
            }
        });
        let mut sums = sums.into_iter();
        let mut total = sums.next()?;
        sums.for_each(|more| total.add(&more));
        Some((d_state, total.flat(&self.shape, self.isa, weights.len())))
    }
}
