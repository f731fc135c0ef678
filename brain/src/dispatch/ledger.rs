//! What allocation saves: what was held and used by host, day and resource, and what the highest reservation of the last
//! seven days would have held more, as somebody who sizes by hand would have.
//!
//! Sums over time of all reservations of a host together. A day is one of UTC; a brain that starts anew begins a sum of its
//! own, and the sums of a day add up.

use std::collections::BTreeMap;

use shadow::{Resource, UnixMs};

use crate::{allocate::Key, store::SavingRow};

const DAY_MS: i64 = 86_400_000;

/// The longest time that one row speaks for, in milliseconds.
const LONGEST_MS: i64 = 300_000;

/// How often what has changed is handed on, in milliseconds.
const EVERY_MS: i64 = 600_000;

/// What is held of a host's resource in a day.
type Sums = BTreeMap<(String, UnixMs, Resource), SavingRow>;

/// The sums of this day, and the highest reservations of the last.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    issuer_epoch: u64,
    sums: Sums,
    highest: BTreeMap<Key, Highest>,
    last_ms: Option<UnixMs>,
    told_ms: UnixMs,
}

/// The highest reservation of each of seven days, by the number of the day.
#[derive(Debug, Clone, Copy, Default)]
struct Highest([(i64, f64); 7]);

impl Highest {
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

impl Ledger {
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
            let highest = self.highest.entry(key.clone()).or_default().note(day, held);
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
        self.highest
            .retain(|_, highest| highest.0.iter().any(|(of, _)| (0..7).contains(&(day - of))));
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_highest_of_seven_days_would_have_held_more_was_given_back() {
        let key = Key::new("a", "web", Resource::Cpu);
        let mut ledger = Ledger::new(7);
        let mut row = |time_ms: UnixMs, held: f64, used: f64| {
            let is_acted = held < 2.0;
            ledger.row(time_ms, [(&key, Use { held, used, is_acted })].into_iter());
        };
        row(0, 4.0, 1.0);
        row(60_000, 4.0, 1.0);
        row(120_000, 1.0, 2.0);
        // A row that comes late speaks for five minutes at most; what is no number counts for nothing.
        row(3_600_000, 3.0, f64::NAN);
        row(3_660_000, 3.0, 1.0);
        ledger.changed(&key, 3_660_000);
        ledger.hurt(&key, 3_660_000);
        let sums = ledger.take(3_660_000, false);
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
        assert!(ledger.take(3_661_000, false).is_empty() && !ledger.take(3_661_000, true).is_empty());
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
