//! The network as it is served on the processor: weights laid out once, and no graph.

use super::{Network, Sizes};
use crate::{
    head::kernel::{Head, Ins},
    lstm::kernel::{Isa, Lstm, Sequences, Sizes as Width},
};

/// A network whose weights are laid out for this machine.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
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
            lstms,
            head: Head::new(&network.flat_head(), sizes.head(), isa)?,
            sizes,
        })
    }

    /// `sequences`: by look, `[B, T, I]`; `statistics`: `[B, R, F]`, standardised. `None` when there are not as many numbers as
    /// there have to be.
    pub(crate) fn infer(&self, moments: usize, sequences: &[Vec<f32>], statistics: &[f32]) -> Option<Said> {
        let (states, hidden) = (self.sizes.states(), self.sizes.hidden);
        let mut state = vec![0.0; moments * states];
        if self.sizes.sequence {
            let each = self.lstms.iter().zip(&self.sizes.looks).zip(sequences).enumerate();
            for (look, ((lstm, &(inputs, width)), numbers)) in each {
                let last = lstm.infer(Sequences::new(numbers, [moments, inputs, width])?);
                let slots = state.chunks_mut(states).zip(last.chunks(hidden));
                slots.for_each(|(slot, last)| {
                    let slot = slot.iter_mut().skip(look * hidden);
                    slot.zip(last).for_each(|(slot, last)| *slot = *last);
                });
            }
        }
        let ins = Ins {
            state: &state,
            statistics,
            masks: None,
        };
        let steps = self.head.infer(ins)?;
        let (of_values, both) = (4 * self.sizes.horizons, 4 * self.sizes.horizons + 6 * self.sizes.holds);
        let rows = steps.len() / both.max(1);
        let mut said = Said {
            values: Vec::with_capacity(rows * of_values),
            peaks: Vec::with_capacity(rows * (both - of_values)),
        };
        for row in steps.chunks_exact(both.max(1)) {
            let (values, peaks) = row.split_at(of_values);
            rise(values, 4, &mut said.values);
            rise(peaks, 6, &mut said.peaks);
        }
        Some(said)
    }
}

/// Steps to quantiles: the first as it is, the others upwards from it.
fn rise(steps: &[f32], quantiles: usize, out: &mut Vec<f32>) {
    for steps in steps.chunks_exact(quantiles) {
        let mut value = 0.0;
        for (at, step) in steps.iter().enumerate() {
            value = if at == 0 { *step } else { value + softplus(*step) };
            out.push(value);
        }
    }
}

/// ln(1 + e^x)
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
