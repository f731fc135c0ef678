//! Several experts' quantiles become one: who was right lately weighs more.

use shadow::{QUANTILES, Shares};

/// The experts, in the order of [`Shares::to_array`].
pub(crate) const EXPERTS: usize = 5;

/// How much each expert counts before anything is known: the network eight times as much as the others.
const PRIOR: [f32; EXPERTS] = [8.0, 1.0, 1.0, 1.0, 1.0];

/// Share of a loss that is left after one more truth: some 200 rows decide.
const KEEP: f32 = 0.995;

/// What of the weight is shared out evenly, so that no expert is ever out of the game.
const EVEN: f32 = 1e-3;

/// What each expert says: quantiles at [`QUANTILES`], or nothing.
pub(crate) type Said = [Option<[f32; 4]>; EXPERTS];

/// Weights that follow forgetting losses, one set a quantile, of one series and horizon.
///
/// An exponentially weighted forecaster (Vovk 1990; Cesa-Bianchi and Lugosi 2006) on pinball losses over the scale, with
/// forgetting and a fixed share (Herbster and Warmuth 1998).
#[derive(Debug, Clone, Default)]
pub(crate) struct Blend {
    /// By quantile, then by expert.
    losses: [[f32; EXPERTS]; 4],
}

impl Blend {
    /// The experts' quantiles, weighed, and what each counted on average. `None` when nobody says anything.
    pub(crate) fn mix(&self, said: &Said) -> Option<([f32; 4], Shares)> {
        let present = said.map(|quantiles| quantiles.is_some());
        if !present.contains(&true) {
            return None;
        }
        let (mut mixed, mut counted) = ([0.0; 4], [0.0_f32; EXPERTS]);
        for (rank, (slot, losses)) in mixed.iter_mut().zip(&self.losses).enumerate() {
            let weights = weights(losses, present);
            for ((quantiles, weight), counted) in said.iter().zip(weights).zip(&mut counted) {
                let value = quantiles.and_then(|quantiles| quantiles.get(rank).copied());
                *slot += weight * value.unwrap_or(0.0);
                *counted += weight / 4.0;
            }
        }
        Some((mixed, Shares::from_array(counted.map(f64::from))))
    }

    /// Learns from the truth that came for what was said. Who said nothing counts as the others did together.
    pub(crate) fn learn(&mut self, truth: f32, said: &Said, scale: f32) {
        let present = said.map(|quantiles| quantiles.is_some());
        for (rank, (losses, tau)) in self.losses.iter_mut().zip(QUANTILES).enumerate() {
            let weights = weights(losses, present);
            let loss = |quantiles: &Option<[f32; 4]>| {
                let error = (truth - quantiles.as_ref()?.get(rank)?) / scale;
                Some((tau as f32 * error).max((tau as f32 - 1.0) * error))
            };
            let each = said.each_ref().map(loss);
            let together: f32 = each
                .iter()
                .zip(weights)
                .map(|(loss, weight)| weight * loss.unwrap_or(0.0))
                .sum();
            for (sum, loss) in losses.iter_mut().zip(each) {
                *sum = KEEP * *sum + loss.unwrap_or(together);
            }
        }
    }

    /// The network was replaced by one that may behave otherwise: what the old one showed counts half.
    pub(crate) fn doubt_network(&mut self) {
        for losses in &mut self.losses {
            let mut others = [true; EXPERTS];
            others[0] = false;
            let weights = weights(losses, others);
            let together: f32 = losses.iter().zip(weights).map(|(loss, weight)| weight * loss).sum();
            losses[0] = 0.5 * (losses[0] + together);
        }
    }
}

/// Weights of those who are present; they add up to 1.
fn weights(losses: &[f32; EXPERTS], present: [bool; EXPERTS]) -> [f32; EXPERTS] {
    let counted = losses.iter().zip(present).filter(|(_, present)| *present);
    let least = counted.map(|(loss, _)| *loss).fold(f32::INFINITY, f32::min);
    let mut weights = [0.0; EXPERTS];
    for ((weight, prior), (loss, present)) in weights.iter_mut().zip(PRIOR).zip(losses.iter().zip(present)) {
        *weight = if present { prior * (least - loss).exp() } else { 0.0 };
    }
    let sum: f32 = weights.iter().sum();
    let even = EVEN / present.iter().filter(|present| **present).count().max(1) as f32;
    for (weight, present) in weights.iter_mut().zip(present) {
        *weight = if present {
            (1.0 - EVEN) * *weight / sum + even
        } else {
            0.0
        };
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(network: Option<f32>, average: f32, others: f32) -> Said {
        let [average, others] = [average, others].map(|value| Some([value; 4]));
        [network.map(|value| [value; 4]), average, others, others, others]
    }

    #[test]
    fn who_is_right_takes_over_and_the_network_has_the_first_word() {
        let mut blend = Blend::default();
        let (first, shares) = blend.mix(&said(Some(1.0), 0.0, 0.0)).unwrap();
        assert!(
            (first[0] - 8.0 / 12.0).abs() < 1e-3 && (shares.lstm - 8.0 / 12.0).abs() < 1e-3,
            "{shares:?}"
        );
        for _ in 0..200 {
            blend.learn(0.0, &said(Some(1.0), 0.0, 3.0), 1.0);
        }
        let (later, shares) = blend.mix(&said(Some(1.0), 0.0, 3.0)).unwrap();
        // The p99 loses little by being too high.
        assert!(
            shares.ewma > 0.75 && later[0] < 0.01 && later[3] > 0.1,
            "{shares:?} {later:?}"
        );
        let sum: f64 = shares.to_array().iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        for _ in 0..400 {
            blend.learn(1.0, &said(Some(1.0), 0.0, 3.0), 1.0);
        }
        assert!(blend.mix(&said(Some(1.0), 0.0, 3.0)).unwrap().1.lstm > 0.9);
    }

    #[test]
    fn who_was_away_comes_back_with_about_its_first_share() {
        let mut blend = Blend::default();
        for _ in 0..1_000 {
            blend.learn(0.0, &said(None, 0.1, 0.1), 1.0);
        }
        let shares = blend.mix(&said(Some(0.0), 0.0, 0.0)).unwrap().1;
        assert!((shares.lstm - 8.0 / 12.0).abs() < 0.05, "{shares:?}");
        let without = blend.mix(&said(None, 1.0, 1.0)).unwrap();
        assert!((without.0[0] - 1.0).abs() < 1e-5 && without.1.lstm == 0.0);
        assert!(blend.mix(&[None; EXPERTS]).is_none());
    }

    #[test]
    fn a_new_network_is_doubted_half() {
        let mut blend = Blend::default();
        for _ in 0..300 {
            blend.learn(0.0, &said(Some(0.4), 0.1, 0.1), 1.0);
        }
        let before = blend.mix(&said(Some(0.0), 0.0, 0.0)).unwrap().1.lstm;
        blend.doubt_network();
        let after = blend.mix(&said(Some(0.0), 0.0, 0.0)).unwrap().1.lstm;
        assert!(before < 0.2 && after > 1.4 * before, "{before} {after}");
    }
}
