//! The way back.

use std::slice::from_ref;

use rayon::prelude::*;

use super::{
    super::{Masks, Shape},
    Head,
    forward::Trace,
    matrix::{Begin, Matrix, column_sums, gradient, product, tiled, untile},
    part::{Part, rows},
    weights::{Weights, padded},
};
use crate::lstm::kernel::{
    isa::{Isa, Job},
    spare::Spare,
};

/// Sums that a thread takes at once.
const CHUNK: usize = 1 << 14;

/// The same matrices for the way back.
#[derive(Debug)]
pub(super) struct Back {
    /// `[R D', S]`
    of_state: Matrix,
    middle: Matrix,
    /// `[V, D']`
    out: Matrix,
}

impl Back {
    /// `None` when the weights are not those of `head`.
    pub(super) fn new(head: &Head, weights: &[f32]) -> Option<Self> {
        let Shape {
            targets,
            states,
            dense,
            values,
            ..
        } = head.shape;
        let of = Weights::new(weights, &head.shape)?;
        let wide = tiled(dense, head.isa);
        let of_state = padded(of.of_state, dense, wide);
        debug_assert_eq!(of_state.len(), states * targets * wide, "states");
        Some(Self {
            of_state: Matrix::turned(&of_state, targets * wide, head.isa),
            middle: Matrix::turned(of.middle, dense, head.isa),
            out: Matrix::turned(of.out, values, head.isa),
        })
    }
}

/// Sums of gradients, as [`gradient`] lays them.
pub(super) struct Sums {
    of_state: Spare,
    of_statistics: Spare,
    of_target: Spare,
    middle: Spare,
    middle_bias: Spare,
    out: Spare,
    out_bias: Spare,
    straight: Spare,
}

impl Sums {
    /// Room for them.
    pub(super) fn new(shape: &Shape, isa: Isa) -> Self {
        let room = |high: usize, wide: usize| Spare::new(high.next_multiple_of(isa.rows()) * wide);
        let (wide, outs) = (tiled(shape.dense, isa), tiled(shape.values + shape.peaks, isa));
        Self {
            of_state: room(shape.states, shape.targets * wide),
            of_statistics: room(shape.features, wide),
            of_target: Spare::new(shape.targets * wide),
            middle: room(shape.dense, wide),
            middle_bias: Spare::new(wide),
            out: room(shape.dense, outs),
            out_bias: Spare::new(outs),
            straight: room(shape.features, outs),
        }
    }

    pub(super) fn clear(&mut self) {
        for sums in self.each() {
            sums.fill(0.0);
        }
    }

    fn each(&mut self) -> [&mut Spare; 8] {
        [
            &mut self.of_state,
            &mut self.of_statistics,
            &mut self.of_target,
            &mut self.middle,
            &mut self.middle_bias,
            &mut self.out,
            &mut self.out_bias,
            &mut self.straight,
        ]
    }

    pub(super) fn add(&mut self, more: &Self) {
        let others = [
            &more.of_state,
            &more.of_statistics,
            &more.of_target,
            &more.middle,
            &more.middle_bias,
            &more.out,
            &more.out_bias,
            &more.straight,
        ];
        for (own, more) in self.each().into_iter().zip(others) {
            let chunks = own.par_chunks_mut(CHUNK).zip(more.par_chunks(CHUNK));
            chunks.for_each(|(own, more)| own.iter_mut().zip(more).for_each(|(own, more)| *own += more));
        }
    }

    /// In the order of [`Weights`].
    pub(super) fn flat(&self, shape: &Shape, isa: Isa, count: usize) -> Vec<f32> {
        let Shape {
            targets,
            states,
            features,
            dense,
            values,
            peaks,
        } = *shape;
        let (wide, quad) = (tiled(dense, isa), 4 * isa.lanes());
        let mut flat = Vec::with_capacity(count);
        let (rows, of_dense) = (isa.rows(), 0..dense);
        let of_targets: Vec<_> = (0..targets)
            .map(|target| target * wide..target * wide + dense)
            .collect();
        untile(&self.of_state, (states, rows), &of_targets, quad, &mut flat);
        untile(
            &self.of_statistics,
            (features, rows),
            from_ref(&of_dense),
            quad,
            &mut flat,
        );
        for columns in of_targets {
            flat.extend_from_slice(&self.of_target[columns]);
        }
        untile(&self.middle, (dense, rows), from_ref(&of_dense), quad, &mut flat);
        flat.extend_from_slice(&self.middle_bias[..dense]);
        for columns in [0..values, values..values + peaks] {
            untile(&self.out, (dense, rows), from_ref(&columns), quad, &mut flat);
            flat.extend_from_slice(&self.out_bias[columns.clone()]);
            untile(&self.straight, (features, rows), from_ref(&columns), quad, &mut flat);
        }
        flat
    }
}

/// One part back through all layers.
pub(super) struct Backward<'a> {
    pub(super) head: &'a Head,
    pub(super) back: &'a Back,
    pub(super) ins: Part<'a>,
    pub(super) trace: &'a Trace,
    pub(super) d_out: &'a [f32],
    pub(super) d_state: &'a mut [f32],
    pub(super) sums: &'a mut Sums,
}

impl Job for Backward<'_> {
    #[inline(always)]
    fn run<const L: usize, const R: usize, const FMA: bool>(self) {
        let Self {
            head,
            back,
            ins,
            trace,
            d_out,
            d_state,
            sums,
        } = self;
        let shape = &head.shape;
        let (dense, both) = (shape.dense, shape.values + shape.peaks);
        let (wide, outs) = (tiled(dense, head.isa), tiled(both, head.isa));
        let same = |value: f32| value;
        let d_outs = padded(d_out, both, outs);
        {
            let deep = ins.deep(trace, wide, dense);
            gradient::<L, R, FMA>(rows(&deep, wide), dense, &d_outs, &mut sums.out);
        }
        gradient::<L, R, FMA>(
            rows(ins.plain, shape.features),
            shape.features,
            &d_outs,
            &mut sums.straight,
        );
        column_sums::<L>(&d_outs, &mut sums.out_bias);
        let mut d = Spare::new(trace.entered.len());
        product::<L, R, FMA>(rows(d_out, both), &back.out, &mut d, Begin::Zero, same);
        ins.drop(&mut d, wide, dense);
        let mut d_middle = Spare::new(trace.entered.len());
        for ((to, d), middle) in d_middle.iter_mut().zip(d.iter()).zip(trace.middle.iter()) {
            *to = if *middle > 0.0 { *d } else { 0.0 };
        }
        gradient::<L, R, FMA>(rows(&trace.entered, wide), dense, &d_middle, &mut sums.middle);
        column_sums::<L>(&d_middle, &mut sums.middle_bias);
        product::<L, R, FMA>(rows(&d_middle, wide), &back.middle, &mut d, Begin::Out, same);
        for (d, entered) in d.iter_mut().zip(trace.entered.iter()) {
            *d = if *entered > 0.0 { *d } else { 0.0 };
        }
        gradient::<L, R, FMA>(
            ins.statistics.rows(shape.features),
            shape.features,
            &d,
            &mut sums.of_statistics,
        );
        column_sums::<L>(&d, &mut sums.of_target);
        gradient::<L, R, FMA>(ins.state.rows(shape.states), shape.states, &d, &mut sums.of_state);
        let states = tiled(shape.states, head.isa);
        let mut d_states = Spare::new(ins.moments * states);
        let d = rows(&d, shape.targets * wide);
        product::<L, R, FMA>(d, &back.of_state, &mut d_states, Begin::Zero, same);
        for (to, from) in d_state
            .chunks_exact_mut(shape.states)
            .zip(d_states.chunks_exact(states))
        {
            to.copy_from_slice(&from[..shape.states]);
        }
        if let Some((masks, bytes, _)) = ins.masks {
            for (d, byte) in d_state.iter_mut().zip(bytes) {
                *d *= Masks::factor(masks.state_cut, *byte);
            }
        }
    }
}
