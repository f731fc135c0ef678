//! Where each weight lies among all of them.

use super::super::Shape;
use crate::lstm::kernel::spare::Spare;

/// Where each weight lies among all of them.
pub(super) struct Weights<'a> {
    pub(super) of_state: &'a [f32],
    pub(super) of_statistics: &'a [f32],
    pub(super) of_target: &'a [f32],
    pub(super) middle: &'a [f32],
    pub(super) middle_bias: &'a [f32],
    pub(super) out: &'a [f32],
    pub(super) out_bias: &'a [f32],
    pub(super) straight: &'a [f32],
    pub(super) peaks: &'a [f32],
    pub(super) peaks_bias: &'a [f32],
    pub(super) peaks_straight: &'a [f32],
}

impl<'a> Weights<'a> {
    /// `None` when there are more or fewer.
    pub(super) fn new(mut rest: &'a [f32], shape: &Shape) -> Option<Self> {
        let Shape {
            targets,
            states,
            features,
            dense,
            values,
            peaks,
        } = *shape;
        let mut take = |count: usize| rest.split_off(..count);
        let weights = Self {
            of_state: take(states * targets * dense)?,
            of_statistics: take(features * dense)?,
            of_target: take(targets * dense)?,
            middle: take(dense * dense)?,
            middle_bias: take(dense)?,
            out: take(dense * values)?,
            out_bias: take(values)?,
            straight: take(features * values)?,
            peaks: take(dense * peaks)?,
            peaks_bias: take(peaks)?,
            peaks_straight: take(features * peaks)?,
        };
        rest.is_empty().then_some(weights)
    }
}

/// `numbers` in pieces of `from`, each filled up to `to`.
pub(super) fn padded(numbers: &[f32], from: usize, to: usize) -> Spare {
    let mut padded = Spare::zeros(numbers.len() / from * to);
    for (to, from) in padded.chunks_mut(to).zip(numbers.chunks(from)) {
        to[..from.len()].copy_from_slice(from);
    }
    padded
}

/// Rows of two matrices side by side.
pub(super) fn beside(first: &[f32], width: usize, second: &[f32], other: usize) -> Vec<f32> {
    let rows = first.chunks_exact(width).zip(second.chunks_exact(other));
    rows.flat_map(|(first, second)| first.iter().chain(second))
        .copied()
        .collect()
}
