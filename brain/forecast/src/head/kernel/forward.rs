//! The way there.

use super::{
    super::Shape,
    Head,
    matrix::{Begin, product, tiled},
    part::{Part, rows},
};
use crate::lstm::kernel::{
    isa::{Isa, Job},
    spare::Spare,
};

/// What the way back needs of a part.
#[derive(Debug)]
pub(crate) struct Trace {
    /// `[rows, D']`, after the first layer and after the second.
    pub(super) entered: Spare,
    pub(super) middle: Spare,
}

impl Trace {
    pub(super) fn new(moments: usize, shape: &Shape, isa: Isa) -> Self {
        let count = moments * shape.targets * tiled(shape.dense, isa);
        Self {
            entered: Spare::new(count),
            middle: Spare::new(count),
        }
    }
}

/// One part through all layers.
pub(super) struct Forward<'a> {
    pub(super) head: &'a Head,
    pub(super) ins: Part<'a>,
    pub(super) trace: &'a mut Trace,
    /// `[rows, V + P]`
    pub(super) out: &'a mut [f32],
}

#[inline(always)]
fn relu(value: f32) -> f32 {
    if value > 0.0 { value } else { 0.0 }
}

impl Job for Forward<'_> {
    #[inline(always)]
    fn run<const L: usize, const R: usize, const FMA: bool>(self) {
        let (head, shape) = (self.head, &self.head.shape);
        let (dense, both) = (shape.dense, shape.values + shape.peaks);
        let (wide, outs) = (tiled(dense, head.isa), tiled(both, head.isa));
        let Trace { entered, middle } = self.trace;
        let same = |value: f32| value;
        let state = self.ins.state.rows(shape.states);
        product::<L, R, FMA>(state, &head.of_state, entered, Begin::Row(&head.of_target), same);
        let statistics = self.ins.statistics.rows(shape.features);
        product::<L, R, FMA>(statistics, &head.of_statistics, entered, Begin::Out, relu);
        let read = rows(entered, wide);
        product::<L, R, FMA>(read, &head.middle, middle, Begin::Row(&head.middle_bias), relu);
        let deep = self.ins.deep(self.trace, wide, dense);
        let mut out = Spare::new(self.out.len() / both * outs);
        product::<L, R, FMA>(rows(&deep, wide), &head.out, &mut out, Begin::Row(&head.out_bias), same);
        let plain = rows(self.ins.plain, shape.features);
        product::<L, R, FMA>(plain, &head.straight, &mut out, Begin::Out, same);
        for (to, from) in self.out.chunks_exact_mut(both).zip(out.chunks_exact(outs)) {
            to.copy_from_slice(&from[..both]);
        }
    }
}
