//! What goes in, and one part of it.

use super::{
    super::{Masks, Shape},
    MOMENTS,
    forward::Trace,
};
use crate::lstm::kernel::{lanes::Rows, spare::Spare};

/// What goes in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ins<'a> {
    /// `[B, S]`
    pub(crate) state: &'a [f32],
    /// `[B R, F]`
    pub(crate) statistics: &'a [f32],
    pub(crate) masks: Option<&'a Masks>,
}

impl<'a> Ins<'a> {
    /// `None` when there are not as many numbers as there have to be.
    pub(super) fn moments(&self, shape: &Shape) -> Option<usize> {
        let moments = self.state.len() / shape.states;
        let rows = moments * shape.targets;
        let whole = moments > 0
            && self.state.len() == moments * shape.states
            && self.statistics.len() == rows * shape.features
            && self.masks.is_none_or(|masks| masks.fit(moments, shape));
        whole.then_some(moments)
    }

    pub(super) fn part(&self, part: usize, shape: &Shape) -> Part<'a> {
        let (from, rows) = (part * MOMENTS, part * MOMENTS * shape.targets);
        let cut = |numbers: &'a [f32], width: usize, most: usize, from: usize| {
            let numbers = &numbers[from * width..];
            &numbers[..numbers.len().min(most * width)]
        };
        let (targets, states, features) = (shape.targets, shape.states, shape.features);
        let state = cut(self.state, states, MOMENTS, from);
        let statistics = cut(self.statistics, features, MOMENTS * targets, rows);
        let moments = state.len() / states;
        let masked = |numbers: &'a [f32], bytes: &[u8], cut: u8| {
            let mut masked = Spare::new(numbers.len());
            for ((masked, number), byte) in masked.iter_mut().zip(numbers).zip(bytes) {
                *masked = number * Masks::factor(cut, *byte);
            }
            masked
        };
        let drop = self.masks;
        Part {
            moments,
            state: drop.map_or(Numbers::Same(state), |masks| {
                Numbers::Masked(masked(state, &masks.state[from * states..], masks.state_cut))
            }),
            plain: statistics,
            statistics: drop.map_or(Numbers::Same(statistics), |masks| {
                Numbers::Masked(masked(statistics, &masks.statistics[rows * features..], masks.cut))
            }),
            masks: drop.map(|masks| {
                let (states, dense) = (&masks.state[from * states..], &masks.dense[rows * shape.dense..]);
                (masks, states, dense)
            }),
        }
    }
}

/// Some numbers, or what dropout has left of them.
pub(super) enum Numbers<'a> {
    Same(&'a [f32]),
    Masked(Spare),
}

impl Numbers<'_> {
    pub(super) fn rows(&self, width: usize) -> Rows<'_> {
        let numbers = match self {
            Self::Same(numbers) => *numbers,
            Self::Masked(numbers) => numbers,
        };
        rows(numbers, width)
    }
}

/// `numbers` as rows of `width`.
pub(super) fn rows(numbers: &[f32], width: usize) -> Rows<'_> {
    Rows {
        numbers,
        stride: width,
        count: numbers.len() / width,
    }
}

/// One part of what goes in.
pub(super) struct Part<'a> {
    pub(super) moments: usize,
    pub(super) state: Numbers<'a>,
    /// As they are, and what dropout has left of them.
    pub(super) plain: &'a [f32],
    pub(super) statistics: Numbers<'a>,
    /// With the bytes of this part's states, and of the last layer.
    pub(super) masks: Option<(&'a Masks, &'a [u8], &'a [u8])>,
}

impl Part<'_> {
    /// `numbers[rows, wide]` times the mask of the last layer, of which `dense` columns are.
    #[inline(always)]
    pub(super) fn drop(&self, numbers: &mut [f32], wide: usize, dense: usize) {
        if let Some((masks, _, bytes)) = self.masks {
            for (numbers, bytes) in numbers.chunks_exact_mut(wide).zip(bytes.chunks_exact(dense)) {
                for (number, byte) in numbers.iter_mut().zip(bytes) {
                    *number *= Masks::factor(masks.cut, *byte);
                }
            }
        }
    }

    /// What the last layer reads.
    #[inline(always)]
    pub(super) fn deep(&self, trace: &Trace, wide: usize, dense: usize) -> Spare {
        let mut deep = Spare::new(trace.entered.len());
        for ((deep, entered), middle) in deep.iter_mut().zip(trace.entered.iter()).zip(trace.middle.iter()) {
            *deep = entered + middle;
        }
        self.drop(&mut deep, wide, dense);
        deep
    }
}
