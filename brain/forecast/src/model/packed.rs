//! The network as it is served on the processor: weights laid out once, and no graph.

use rayon::prelude::*;

use super::{Network, Sizes};
use crate::{
    head::kernel::{Head, Ins},
    lstm::kernel::{self, Isa, Lstm, Sequences, Sizes as Width},
    rise::rise,
};

/// A network whose weights are laid out for this machine.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    isa: Isa,
    lstms: Vec<Lstm>,
    head: Head,
    sizes: Sizes,
}

/// What the network says of B moments: rising quantiles of (value - newest) / scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    /// `[B, R, Z, 4]`
    pub(crate) values: Vec<f32>,
    /// `[B, R, P, 6]`
    pub(crate) peaks: Vec<f32>,
}

impl Packed {
    /// `None` when a size is 0.
    pub(crate) fn new(network: &Network) -> Option<Self> {
        let (isa, sizes) = (Isa::best(), network.sizes.clone());
        let weights = network.weights();
        let mut rest = weights.as_slice();
        let mut lstms = Vec::new();
        for &(_, input) in &sizes.looks {
            let hidden = sizes.hidden;
            let own = rest.split_off(..4 * hidden * (input + hidden + 2))?;
            lstms.push(Lstm::new(own, Width { input, hidden }, isa)?);
        }
        Some(Self {
            isa,
            lstms,
            head: Head::new(&network.flat_head(), sizes.head(), isa)?,
            sizes,
        })
    }

    /// `sequences`: by look, `[B, T, I]`; `statistics`: `[B, R, F]`, standardised. `None` when there are not as many numbers as
    /// there have to be.
    ///
    /// A thread takes a part of the moments through everything, so threads meet once.
    pub(crate) fn infer(&self, moments: usize, sequences: &[Vec<f32>], statistics: &[f32]) -> Option<Said> {
        let Sizes {
            targets,
            features,
            horizons,
            holds,
            ref looks,
            ..
        } = self.sizes;
        let rows = moments * targets;
        let of_look =
            |(numbers, &(inputs, width)): (&Vec<f32>, &(usize, usize))| numbers.len() == moments * inputs * width;
        let whole = moments > 0 && sequences.len() == looks.len() && sequences.iter().zip(looks).all(of_look);
        if !whole || statistics.len() != rows * features {
            return None;
        }
        let mut said = Said {
            values: vec![0.0; rows * 4 * horizons],
            peaks: vec![0.0; rows * 6 * holds],
        };
        let each = kernel::part(moments);
        let outs = said.values.par_chunks_mut(each * targets * 4 * horizons);
        let outs = outs.zip(said.peaks.par_chunks_mut(each * targets * 6 * holds));
        let parts = outs.zip(statistics.par_chunks(each * targets * features)).enumerate();
        let done: Option<Vec<()>> = parts
            .map(|(part, ((values, peaks), statistics))| {
                let moments = each.min(moments - part * each);
                let state = self.states(part * each, moments, sequences)?;
                let ins = Ins {
                    state: &state,
                    statistics,
                    masks: None,
                };
                let steps = self.head.infer(ins)?;
                rise(self.isa, &steps, (4 * horizons, 6 * holds), values, peaks);
                Some(())
            })
            .collect();
        done.map(|_| said)
    }

    /// All LSTMs' last states of some moments, side by side.
    fn states(&self, first: usize, moments: usize, sequences: &[Vec<f32>]) -> Option<Vec<f32>> {
        let (states, hidden) = (self.sizes.states(), self.sizes.hidden);
        let mut state = vec![0.0; moments * states];
        if !self.sizes.sequence {
            return Some(state);
        }
        let each = self.lstms.iter().zip(&self.sizes.looks).zip(sequences).enumerate();
        for (look, ((lstm, &(inputs, width)), numbers)) in each {
            let own = numbers.get(first * inputs * width..(first + moments) * inputs * width)?;
            let last = lstm.infer_part(Sequences::new(own, [moments, inputs, width])?);
            let slots = state.chunks_mut(states).zip(last.chunks(hidden));
            slots.for_each(|(slot, last)| {
                let slot = slot.iter_mut().skip(look * hidden);
                slot.zip(last).for_each(|(slot, last)| *slot = *last);
            });
        }
        Some(state)
    }
}
