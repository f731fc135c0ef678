//! Moments that were not foreseen: minutes in which a reservation was too small, or a lowering hurt. What leads up to them
//! counts more in the next training.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shadow::UnixMs;

const MINUTE_MS: i64 = 60_000;

/// The most minutes of one host, and how long they are remembered.
const MOST: usize = 1_000;
const REMEMBERED_MS: i64 = 7 * 24 * 3_600_000;

/// How long before such a moment a forecast should have told of it.
const AHEAD_MS: i64 = 900_000;

/// What counts how much: what leads up to such a moment, against 1.
const COUNTS: f32 = 3.0;

/// Minutes by host, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Moments(BTreeMap<String, Vec<UnixMs>>);

impl Moments {
    /// Something was too small on `host` at `time_ms`.
    pub(super) fn note(&mut self, host: &str, time_ms: UnixMs) {
        let minute_ms = time_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let known = match self.0.get_mut(host) {
            Some(known) => known,
            None => self.0.entry(host.to_owned()).or_default(),
        };
        if known.last().is_none_or(|last| *last < minute_ms) {
            known.push(minute_ms);
            let over = known.len().saturating_sub(MOST);
            known.drain(..over);
        }
    }

    /// Forgets what is long past, and hosts of which nothing is left.
    pub(super) fn forget_old(&mut self, now_ms: UnixMs) {
        self.0.retain(|_, known| {
            known.retain(|minute_ms| (-REMEMBERED_MS..REMEMBERED_MS).contains(&now_ms.saturating_sub(*minute_ms)));
            !known.is_empty()
        });
    }

    /// How much what came after each of `rows` rows of `host` counts in a training, the first of which begins at
    /// `first_ms`; nothing where all count the same.
    pub(crate) fn weights(&self, host: &str, (first_ms, step_ms, rows): (UnixMs, i64, usize)) -> Vec<f32> {
        let Some(known) = self.0.get(host) else {
            return Vec::new();
        };
        let mut weights = vec![1.0; rows];
        for minute_ms in known {
            let at =
                |time_ms: i64| usize::try_from((time_ms - first_ms).div_euclid(step_ms.max(1)).max(0)).unwrap_or(0);
            let leads = at(minute_ms - AHEAD_MS)..at(*minute_ms).min(rows);
            weights.get_mut(leads).unwrap_or_default().fill(COUNTS);
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_up_to_a_moment_counts_more() {
        let mut moments = Moments::default();
        for second in 0..90 {
            moments.note("a", 3_600_000 + 1_000 * second);
        }
        assert_eq!(moments.0["a"], [3_600_000, 3_660_000], "once a minute");
        let weights = moments.weights("a", (0, 60_000, 120));
        let heavy: Vec<usize> = (0..120).filter(|row| weights[*row] > 1.0).collect();
        assert_eq!(heavy, (45..61).collect::<Vec<_>>());
        assert_eq!(moments.weights("b", (0, 60_000, 120)), [0.0; 0]);
        // Whatever lies outside counts for nothing.
        assert_eq!(moments.weights("a", (7_200_000, 60_000, 3)), [1.0; 3]);
        assert_eq!(moments.weights("a", (3_600_000 - 60_000, 60_000, 2)), [COUNTS, COUNTS]);
    }

    #[test]
    fn they_are_bounded() {
        let mut moments = Moments::default();
        for minute in 0..5_000 {
            moments.note("a", minute * MINUTE_MS);
        }
        assert_eq!(moments.0["a"].len(), MOST);
        moments.forget_old(20 * REMEMBERED_MS);
        assert!(moments.0.is_empty());
    }
}
