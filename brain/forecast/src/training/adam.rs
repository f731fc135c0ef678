//! The optimiser over all weights at once: clipping, `AdamW` and the moving average of the weights in two passes over flat
//! numbers. Weight by weight through the library's tensors the same takes a dozen passes, each with memory of its own.

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};

use rayon::prelude::*;

use crate::model::{Network, extend};

/// The longest that the gradients of all weights together may be.
const LONGEST: f32 = 1.0;

/// What the moments of the gradients keep of themselves.
const BETAS: (f32, f32) = (0.9, 0.999);

/// Added to a deviation, so that a weight without gradients stays finite.
const EPSILON: f32 = 1e-8;

/// Slowest moving average of the weights.
const AVERAGE: f32 = 0.998;

/// Weights that a thread takes at once.
const CHUNK: usize = 1 << 14;

/// Decoupled weight decay on everything (Loshchilov and Hutter 2019), moments corrected for their begin at 0.
#[derive(Debug, Clone)]
pub(super) struct Adam {
    decay: f32,
    steps: i32,
    weights: Vec<f32>,
    /// Moments of the gradients.
    firsts: Vec<f32>,
    seconds: Vec<f32>,
    averages: Vec<f32>,
}

impl Adam {
    /// Before the first step.
    pub(super) fn new(weights: &[f32], decay: f64) -> Self {
        Self {
            decay: decay as f32,
            steps: 0,
            weights: weights.to_vec(),
            firsts: vec![0.0; weights.len()],
            seconds: vec![0.0; weights.len()],
            averages: weights.to_vec(),
        }
    }

    /// Moves all weights against `gradients`, which are in the same order, at a learning rate. Returns them as they are
    /// then.
    pub(super) fn step(&mut self, gradients: &[f32], rate: f64) -> &[f32] {
        self.steps += 1;
        let by = (LONGEST / (length(gradients) + 1e-6)).min(1.0);
        let (one, two) = BETAS;
        let corrected = [one, two].map(|beta| 1.0 - f64::from(beta).powi(self.steps));
        let [first_by, second_by] = corrected.map(|of| (1.0 / of) as f32);
        let (rate, kept) = (rate as f32, 1.0 - rate as f32 * self.decay);
        let steps = self.steps as f32;
        let new = 1.0 - AVERAGE.min(steps / (steps + 10.0));
        let moments = self
            .firsts
            .par_chunks_mut(CHUNK)
            .zip(self.seconds.par_chunks_mut(CHUNK));
        let weights = self
            .weights
            .par_chunks_mut(CHUNK)
            .zip(self.averages.par_chunks_mut(CHUNK));
        let chunks = weights.zip(moments).zip(gradients.par_chunks(CHUNK));
        chunks.for_each(|(((weights, averages), (firsts, seconds)), gradients)| {
            let weights = weights.iter_mut().zip(averages);
            let each = weights.zip(firsts.iter_mut().zip(seconds)).zip(gradients);
            for (((weight, average), (first, second)), gradient) in each {
                let gradient = gradient * by;
                *first = one * *first + (1.0 - one) * gradient;
                *second = two * *second + (1.0 - two) * gradient * gradient;
                let step = *first * first_by / ((*second * second_by).sqrt() + EPSILON);
                *weight = kept * *weight - rate * step;
                *average += new * (*weight - *average);
            }
        });
        &self.weights
    }

    /// The averages of all weights; `None` when one of them is not finite.
    pub(super) fn averages(self) -> Option<Vec<f32>> {
        let finite = self.averages.iter().all(|average| average.is_finite());
        finite.then_some(self.averages)
    }
}

/// Of all gradients together. Sums of a few, side by side, so that none waits for the one before.
fn length(gradients: &[f32]) -> f32 {
    const BESIDE: usize = 16;
    let of_chunk = |gradients: &[f32]| -> f64 {
        let (whole, rest) = gradients.as_chunks::<BESIDE>();
        let mut sums = [0.0; BESIDE];
        for gradients in whole {
            for (sum, gradient) in sums.iter_mut().zip(gradients) {
                *sum += f64::from(gradient * gradient);
            }
        }
        let rest: f64 = rest.iter().map(|gradient| f64::from(gradient * gradient)).sum();
        sums.iter().sum::<f64>() + rest
    };
    let chunks: Vec<f64> = gradients.par_chunks(CHUNK).map(of_chunk).collect();
    chunks.iter().sum::<f64>().sqrt() as f32
}

/// Fills `flat` with the gradients of all weights, in the order of [`Network::weights`]; 0 where there is none.
pub(super) fn read(network: &Network, gradients: &mut GradientsParams, flat: &mut Vec<f32>) {
    flat.clear();
    network.visit(&mut Reader { gradients, flat });
}

struct Reader<'a> {
    gradients: &'a mut GradientsParams,
    flat: &'a mut Vec<f32>,
}

impl ModuleVisitor for Reader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match self.gradients.remove::<D>(param.id) {
            Some(gradient) => extend(self.flat, gradient),
            None => self
                .flat
                .resize(self.flat.len() + param.val().dims().iter().product::<usize>(), 0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_steps_are_those_of_the_paper() {
        // Short gradients are not clipped: the first step has the length of the rate, less the decay.
        let mut adam = Adam::new(&[1.0, -2.0, 0.5], 0.1);
        let moved = adam.step(&[0.1, -0.2, 0.0], 0.01).to_vec();
        let expected = [1.0 * 0.999 - 0.01, -2.0 * 0.999 + 0.01, 0.5 * 0.999];
        for (moved, expected) in moved.iter().zip(expected) {
            assert!((moved - expected).abs() < 1e-6, "{moved} for {expected}");
        }
        // A second, opposite one: first moment .9 * .1 * g - .1 * g, over 1 - .81; second .001 * (1 + .999) g g over .001999.
        let before = moved[0];
        let moved = adam.step(&[-0.1, 0.2, 0.0], 0.01);
        let expected = before * 0.999 + 0.01 * (0.01 / 0.19);
        assert!((moved[0] - expected).abs() < 1e-6, "{} for {expected}", moved[0]);
    }

    #[test]
    fn long_gradients_are_cut_and_averages_follow() {
        let (mut long, mut short) = (Adam::new(&[0.0; 2], 0.0), Adam::new(&[0.0; 2], 0.0));
        for _ in 0..3 {
            let (a, b) = (long.step(&[3e3, 4e3], 1e-3), short.step(&[0.6, 0.8], 1e-3));
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-7), "{a:?} {b:?}");
        }
        let averages = long.clone().averages().unwrap();
        assert!(
            averages.iter().all(|average| (-0.003..-0.001).contains(average)),
            "{averages:?}"
        );
        long.step(&[f32::NAN, 0.0], 1e-3);
        assert!(long.averages().is_none());
    }
}
