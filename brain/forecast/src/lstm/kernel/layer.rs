//! A layer's weights in the order in which the kernel reads them.

use super::{isa::Isa, lanes::Quad, spare::Spare};

/// Weights for the way there. G groups of L units; quads hold the four gates of a group's units.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    lanes: usize,
    pub(super) input: usize,
    /// Numbers of a row that this layer reads: `input`, and zeros where it is a layer's padded state.
    pub(super) wide: usize,
    pub(super) hidden: usize,
    /// G x L
    pub(super) padded: usize,
    /// `[G, wide, 4, L]`
    pub(super) of_input: Spare,
    /// `[G, padded, 4, L]`
    pub(super) of_state: Spare,
    /// `[G, 4, L]`, both biases together.
    pub(super) bias: Spare,
}

/// Weights for the way back, in tiles of 4 L columns: `[tile, 4 padded, 4, L]`; rows are gates in the order of a quad.
#[derive(Debug, Clone)]
pub(super) struct Back {
    pub(super) to_input: Spare,
    pub(super) to_state: Spare,
}

/// One layer's weights as `PyTorch` has them.
struct Weights<'a> {
    of_input: &'a [f32],
    of_state: &'a [f32],
    biases: [&'a [f32]; 2],
}

impl<'a> Weights<'a> {
    /// Takes them from the front of `rest`; `None` when it is too short.
    fn take(rest: &mut &'a [f32], input: usize, hidden: usize) -> Option<Self> {
        let mut take = |count: usize| rest.split_off(..4 * hidden * count);
        Some(Self {
            of_input: take(input)?,
            of_state: take(hidden)?,
            biases: [take(1)?, take(1)?],
        })
    }
}

impl Layer {
    /// Takes a layer's weights from the front of `rest`; `None` when it is too short.
    ///
    /// `width`: of the input, and with the zeros behind it.
    pub(super) fn new(rest: &mut &[f32], width: (usize, usize), hidden: usize, isa: Isa) -> Option<Self> {
        let (input, wide) = width;
        let weights = Weights::take(rest, input, hidden)?;
        let lanes = isa.lanes();
        let [first, second] = weights.biases;
        let bias: Vec<f32> = first.iter().zip(second).map(|(first, second)| first + second).collect();
        let mut layer = Self {
            lanes,
            input,
            wide,
            hidden,
            padded: hidden.next_multiple_of(lanes),
            of_input: Spare::default(),
            of_state: Spare::default(),
            bias: Spare::default(),
        };
        layer.of_input = layer.grouped(weights.of_input, input, wide);
        layer.of_state = layer.grouped(weights.of_state, hidden, layer.padded);
        layer.bias = layer.grouped(&bias, 1, 1);
        Some(layer)
    }

    /// The same layer's weights for the way back, from the front of `rest`.
    pub(super) fn back(&self, rest: &mut &[f32]) -> Option<Back> {
        let weights = Weights::take(rest, self.input, self.hidden)?;
        Some(Back {
            to_input: self.tiled(weights.of_input, self.input),
            to_state: self.tiled(weights.of_state, self.hidden),
        })
    }

    pub(super) fn groups(&self) -> usize {
        self.padded / self.lanes
    }

    /// `width` columns filled up to whole tiles.
    pub(super) fn tiled_width(&self, width: usize) -> usize {
        width.next_multiple_of(4 * self.lanes)
    }

    /// Of group `group`: quads of the input, quads of the state, bias.
    #[inline(always)]
    pub(super) fn group<const L: usize>(&self, group: usize) -> (&[Quad<L>], &[Quad<L>], Quad<L>) {
        let of_input = super::lanes::quads(&self.of_input);
        let of_state = super::lanes::quads(&self.of_state);
        (
            &of_input[group * self.wide..][..self.wide],
            &of_state[group * self.padded..][..self.padded],
            super::lanes::quads(&self.bias)[group],
        )
    }

    /// `[4 hidden, width]` as `[G, wide, 4, L]`.
    fn grouped(&self, matrix: &[f32], width: usize, wide: usize) -> Spare {
        let mut grouped = Spare::zeros(4 * self.padded * wide);
        self.each(matrix, width, |group, place, row| {
            let column = grouped[4 * self.lanes * group * wide + place..].iter_mut();
            for (to, from) in column.step_by(4 * self.lanes).zip(row) {
                *to = *from;
            }
        });
        grouped
    }

    /// `[4 hidden, width]` as `[tile, 4 padded, 4 L]`.
    fn tiled(&self, matrix: &[f32], width: usize) -> Spare {
        let quad = 4 * self.lanes;
        let mut tiled = Spare::zeros(4 * self.padded * self.tiled_width(width));
        self.each(matrix, width, |group, place, row| {
            let tiles = tiled[quad * (quad * group + place)..].chunks_mut(quad * 4 * self.padded);
            for (to, from) in tiles.zip(row.chunks(quad)) {
                to[..from.len()].copy_from_slice(from);
            }
        });
        tiled
    }

    /// Gradients `[G, high, 4, L]` to the end of `flat`, as `[4 hidden, width]`.
    pub(super) fn ungroup(&self, gradients: &[f32], width: usize, flat: &mut Vec<f32>) {
        let high = gradients.len() / (4 * self.padded);
        for row in 0..4 * self.hidden {
            let (group, place) = self.place(row);
            let column = gradients[4 * self.lanes * group * high + place..].iter();
            flat.extend(column.step_by(4 * self.lanes).take(width));
        }
    }

    /// Calls `take` with each row of a matrix `[4 hidden, width]`, its group, and its place in the group's quads.
    fn each(&self, matrix: &[f32], width: usize, mut take: impl FnMut(usize, usize, &[f32])) {
        for (row, numbers) in matrix.chunks_exact(width).enumerate() {
            let (group, place) = self.place(row);
            take(group, place, numbers);
        }
    }

    /// Group, and place in its quads, of a row of a matrix.
    fn place(&self, row: usize) -> (usize, usize) {
        let (gate, unit) = (row / self.hidden, row % self.hidden);
        (unit / self.lanes, gate * self.lanes + unit % self.lanes)
    }
}
