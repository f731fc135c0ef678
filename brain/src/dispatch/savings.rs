//! What allocation saves: what was held and used by host, day and resource, and what the highest reservation of the last
//! seven days would have held more, as somebody who sizes by hand would have.
//!
//! Sums over time of all reservations of a host together. A day is one of UTC; a brain that starts anew begins a sum of its
//! own, and the sums of a day add up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shadow::{Resource, UnixMs};

use crate::{
    allocate::{Key, pairs},
    store::SavingRow,
};

const DAY_MS: i64 = 86_400_000;

/// The longest time that one row speaks for, in milliseconds.
const LONGEST_MS: i64 = 300_000;

/// How often what has changed is handed on, in milliseconds.
const EVERY_MS: i64 = 600_000;

/// What is held of a host's resource in a day.
type Sums = BTreeMap<(String, UnixMs, Resource), SavingRow>;

/// The sums of this day, and the highest reservations of the last.
#[derive(Debug, Default)]
pub(super) struct Savings {
    issuer_epoch: u64,
    sums: Sums,
    highs: Highs,
    last_ms: Option<UnixMs>,
    told_ms: UnixMs,
}

/// The highest reservations, which outlive a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Highs {
    #[serde(with = "pairs")]
    of: BTreeMap<Key, Highest>,
}

/// The highest reservation of each of seven days, by the number of the day.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Highest([(i64, f64); 7]);

impl Highest {
    /// Whether any of it is of the seven days up to `day`.
    fn is_of(&self, day: i64) -> bool {
        self.0.iter().any(|(of, _)| (0..7).contains(&(day - of)))
    }

    fn note(&mut self, day: i64, held: f64) -> f64 {
        if let Some(slot) = usize::try_from(day.rem_euclid(7))
            .ok()
            .and_then(|at| self.0.get_mut(at))
        {
            *slot = if slot.0 == day {
                (day, slot.1.max(held))
            } else {
                (day, held)
            };
        }
        let lately = self.0.iter().filter(|(of, _)| (0..7).contains(&(day - of)));
        lately.fold(0.0, |most, (_, held)| held.max(most))
    }
}

/// What one reservation holds and what of it is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) held: f64,
    pub(super) used: f64,
    pub(super) is_acted: bool,
}

impl Savings {
    pub(super) fn new(issuer_epoch: u64) -> Self {
        Self {
            issuer_epoch,
            ..Self::default()
        }
    }

    /// A row of the grid is over at `time_ms`: what each reservation held and used in it.
    pub(super) fn row<'k>(&mut self, time_ms: UnixMs, uses: impl Iterator<Item = (&'k Key, Use)>) {
        let last_ms = self.last_ms.replace(time_ms).unwrap_or(time_ms);
        let seconds = time_ms.saturating_sub(last_ms).clamp(0, LONGEST_MS) as f64 / 1_000.0;
        let day = time_ms.div_euclid(DAY_MS);
        for (key, Use { held, used, is_acted }) in uses {
            if !(held.is_finite() && used.is_finite() && held >= 0.0 && used >= 0.0) {
                continue;
            }
            let highest = self.highs.of.entry(key.clone()).or_default().note(day, held);
            let sum = self.sum(key, time_ms);
            sum.held += held * seconds;
            sum.used += used * seconds;
            sum.given_back += (highest - held) * seconds;
            sum.watched_s += seconds;
            sum.over_s += if used > held { seconds } else { 0.0 };
            sum.acted_s += if is_acted { seconds } else { 0.0 };
        }
    }

    /// A reservation of `key` was changed.
    pub(super) fn changed(&mut self, key: &Key, time_ms: UnixMs) {
        self.sum(key, time_ms).changes += 1;
    }

    /// A lowering of `key` hurt.
    pub(super) fn hurt(&mut self, key: &Key, time_ms: UnixMs) {
        self.sum(key, time_ms).hurts += 1;
    }

    fn sum(&mut self, key: &Key, time_ms: UnixMs) -> &mut SavingRow {
        let day_ms = time_ms.div_euclid(DAY_MS) * DAY_MS;
        let issuer_epoch = self.issuer_epoch;
        let of = (key.host.clone(), day_ms, key.resource);
        self.sums.entry(of).or_insert_with(|| SavingRow {
            issuer_epoch,
            ..SavingRow::default()
        })
    }

    /// The sums so far, every ten minutes; `now` at once. Days that are over are forgotten then.
    pub(super) fn take(&mut self, time_ms: UnixMs, now: bool) -> Sums {
        if !now && (0..EVERY_MS).contains(&time_ms.saturating_sub(self.told_ms)) {
            return Sums::new();
        }
        self.told_ms = time_ms;
        let told = self.sums.clone();
        let day_ms = time_ms.div_euclid(DAY_MS) * DAY_MS;
        self.sums.retain(|(_, of_ms, _), _| *of_ms >= day_ms);
        let day = time_ms.div_euclid(DAY_MS);
        self.highs.of.retain(|_, highest| highest.is_of(day));
        told
    }

    /// The highest reservations of the last seven days.
    pub(super) const fn highs(&self) -> &Highs {
        &self.highs
    }

    /// Goes on with those of before a restart at `time_ms`. What is no amount, or of no day of the last seven, is left out.
    pub(super) fn restore(&mut self, mut highs: Highs, time_ms: UnixMs) {
        let day = time_ms.div_euclid(DAY_MS);
        let is_amount = |(_, held): &(i64, f64)| held.is_finite() && *held >= 0.0;
        highs
            .of
            .retain(|_, highest| highest.0.iter().all(is_amount) && highest.is_of(day));
        self.highs = highs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_highest_of_seven_days_would_have_held_more_was_given_back() {
        let key = Key::new("a", "web", Resource::Cpu);
        let mut savings = Savings::new(7);
        let mut row = |time_ms: UnixMs, held: f64, used: f64| {
            let is_acted = held < 2.0;
            savings.row(time_ms, [(&key, Use { held, used, is_acted })].into_iter());
        };
        row(0, 4.0, 1.0);
        row(60_000, 4.0, 1.0);
        row(120_000, 1.0, 2.0);
        // A row that comes late speaks for five minutes at most; what is no number counts for nothing.
        row(3_600_000, 3.0, f64::NAN);
        row(3_660_000, 3.0, 1.0);
        savings.changed(&key, 3_660_000);
        savings.hurt(&key, 3_660_000);
        let sums = savings.take(3_660_000, false);
        assert_eq!(
            sums[&("a".to_owned(), 0, Resource::Cpu)],
            SavingRow {
                issuer_epoch: 7,
                held: 60.0 * (4.0 + 1.0 + 3.0),
                used: 60.0 * (1.0 + 2.0 + 1.0),
                given_back: 60.0 * (3.0 + 1.0),
                watched_s: 180.0,
                over_s: 60.0,
                acted_s: 60.0,
                changes: 1,
                hurts: 1,
            }
        );
        assert!(savings.take(3_661_000, false).is_empty() && !savings.take(3_661_000, true).is_empty());
    }

    #[test]
    fn a_restart_knows_what_was_held_before() {
        let key = |name: &str| Key::new("a", name, Resource::Cpu);
        let of_now = |held: f64| Use {
            held,
            used: 0.5,
            is_acted: false,
        };
        let mut before = Savings::new(7);
        let day_ms = 20_000 * DAY_MS;
        before.row(day_ms, [(&key("web"), of_now(4.0))].into_iter());
        let mut told = serde_json::to_value(before.highs()).unwrap();
        let restored = |told: &serde_json::Value, time_ms: UnixMs| {
            let mut savings = Savings::new(8);
            savings.restore(serde_json::from_value(told.clone()).unwrap(), time_ms);
            savings.row(time_ms, [(&key("web"), of_now(1.0))].into_iter());
            savings.row(time_ms + 60_000, [(&key("web"), of_now(1.0))].into_iter());
            savings
                .take(time_ms, true)
                .values()
                .map(|sum| sum.given_back)
                .sum::<f64>()
        };
        assert_eq!(restored(&told, day_ms + 2 * DAY_MS), 60.0 * 3.0);
        assert_eq!(restored(&told, day_ms + 7 * DAY_MS), 0.0, "a week ago");
        assert_eq!(restored(&told, day_ms - DAY_MS), 0.0, "of a clock that was wrong");
        let broken = told.to_string().replace("4.0", "-4.0");
        told = serde_json::from_str(&broken).unwrap();
        assert_eq!(restored(&told, day_ms), 0.0, "no amount");
    }

    #[test]
    fn seven_days_later_the_highest_is_another() {
        let mut highest = Highest::default();
        assert_eq!(highest.note(20_000, 4.0), 4.0);
        assert_eq!(highest.note(20_006, 2.0), 4.0);
        assert_eq!(highest.note(20_007, 1.0), 2.0);
        assert_eq!(highest.note(20_030, 1.0), 1.0);
    }
}
