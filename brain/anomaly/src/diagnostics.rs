//! What registers, logs and sensors of a host tell: is it grave, or does it come more often than it used to?

use std::collections::{BTreeMap, VecDeque};

use shadow::{Event, Severity, UnixMs};

/// Events of one kind within this are counted together.
const WINDOW_MS: i64 = 3_600_000;
/// What is known of a host beforehand: one event of a kind in a week.
const PRIOR_HOURS: f64 = 168.0;
/// Half of what was counted is forgotten in four weeks, so that a host may change its habits.
const HALF_LIFE_HOURS: f64 = 672.0;
/// The most kinds that are counted, and the most events of one within the window.
const MAX_KINDS: usize = 64;
const MAX_RECENT: usize = 1_000;
/// The score of what is broken.
const GRAVE: f64 = 9.0;

/// What is one event and lasts: it is as good as a reading that stays.
const LASTING: [&str; 3] = ["link_degraded", "device_gone", "threshold_crossed"];
/// The score of such an event when it is the first in a month.
const LASTING_SCORE: f64 = 4.0;

/// How often each kind of event comes on one host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diagnostics {
    since_ms: Option<UnixMs>,
    kinds: BTreeMap<(String, String), Rate>,
}

/// How often one kind of event comes.
#[derive(Debug, Clone, Default, PartialEq)]
struct Rate {
    /// Events before the window, faded, and when they were faded last.
    past: f64,
    faded_ms: UnixMs,
    /// Times within the window, oldest first.
    recent: VecDeque<UnixMs>,
}

impl Diagnostics {
    /// Takes in an event, and tells how unusual it is: -log10 of the chance that so many of its kind come within an hour,
    /// by how many came before; 9 where something is broken, 0 for what is only worth knowing. The second is how many of
    /// its kind came within the hour.
    ///
    /// Events come in about the order of their times; one that is an hour late tells nothing of a rate.
    pub fn add(&mut self, event: &Event) -> (f64, usize) {
        let now_ms = event.time_ms;
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        let finding = &event.finding;
        if finding.severity == Severity::Info {
            return (0.0, 0);
        }
        let key = (finding.source.clone(), finding.kind.clone());
        if !self.kinds.contains_key(&key) && self.kinds.len() >= MAX_KINDS {
            return (self.least(event), 1);
        }
        let rate = self.kinds.entry(key).or_default();
        rate.add(now_ms);
        let watched = faded_hours(hours(now_ms.saturating_sub(since_ms)));
        let expected = (rate.past + 1.0) / (watched + PRIOR_HOURS);
        let count = rate.recent.len();
        (rareness(count, expected).max(self.least(event)), count)
    }

    /// The score of an event by itself.
    fn least(&self, event: &Event) -> f64 {
        let finding = &event.finding;
        if finding.severity == Severity::Critical {
            return GRAVE;
        }
        let key = (finding.source.clone(), finding.kind.clone());
        let is_first = self.kinds.get(&key).is_none_or(|rate| rate.past < 0.5);
        if is_first && LASTING.contains(&&*finding.kind) {
            LASTING_SCORE
        } else {
            0.0
        }
    }
}

impl Rate {
    fn add(&mut self, now_ms: UnixMs) {
        let faded = 0.5_f64.powf(hours(now_ms.saturating_sub(self.faded_ms)) / HALF_LIFE_HOURS);
        self.past *= faded;
        self.faded_ms = self.faded_ms.max(now_ms);
        while self
            .recent
            .pop_front_if(|time_ms| now_ms.saturating_sub(*time_ms) >= WINDOW_MS)
            .is_some()
        {
            self.past += 1.0;
        }
        if self.recent.len() >= MAX_RECENT {
            self.recent.pop_front();
            self.past += 1.0;
        }
        self.recent.push_back(now_ms);
    }
}

/// What is left of so many hours when they are forgotten as events are.
fn faded_hours(hours: f64) -> f64 {
    HALF_LIFE_HOURS / std::f64::consts::LN_2 * (1.0 - 0.5_f64.powf(hours / HALF_LIFE_HOURS))
}

fn hours(ms: i64) -> f64 {
    ms.max(0) as f64 / WINDOW_MS as f64
}

/// -log10 of the chance that at least `count` come where `expected` do: the first term of Poisson's tail, and what the
/// others add to it at most. 0 where so many are usual.
fn rareness(count: usize, expected: f64) -> f64 {
    let next = expected / (count + 1) as f64;
    if next >= 1.0 {
        return 0.0;
    }
    let factorial: f64 = (1..=count).map(|factor| (factor as f64).ln()).sum();
    let log = count as f64 * expected.ln() - expected - factorial - (1.0 - next).ln();
    (-log / std::f64::consts::LN_10).max(0.0)
}

#[cfg(test)]
mod tests {
    use shadow::Finding;

    use super::*;

    const HOUR_MS: i64 = WINDOW_MS;

    fn event(time_ms: UnixMs, kind: &str, severity: Severity) -> Event {
        Event {
            epoch: 1,
            sequence: 0,
            time_ms,
            finding: Finding {
                source: "edac".into(),
                subject: "mc0".into(),
                kind: kind.into(),
                severity,
                text: "corrected error".into(),
                details: Vec::new(),
            },
        }
    }

    #[test]
    fn a_tail_of_poisson_is_told_as_it_is() {
        // At least 3 where 1 is expected: 8.03 %; at least 1 where 0.01 are: 0.995 %.
        for (count, expected, chance) in [(3, 1.0, 0.0803), (1, 0.01, 0.00995), (10, 2.0, 4.65e-5)] {
            let score = rareness(count, expected);
            assert!(
                (score + f64::log10(chance)).abs() < 0.03,
                "{count} of {expected}: {score}"
            );
        }
        assert_eq!(rareness(5, 50.0), 0.0);
    }

    #[test]
    fn what_is_broken_is_told_at_once_and_what_is_worth_knowing_never() {
        let mut host = Diagnostics::default();
        assert_eq!(host.add(&event(0, "uncorrected_error", Severity::Critical)).0, 9.0);
        for minute in 0..60 {
            assert_eq!(host.add(&event(minute * 60_000, "sel_cleared", Severity::Info)).0, 0.0);
        }
    }

    #[test]
    fn corrected_errors_tell_by_their_rate() {
        let mut host = Diagnostics::default();
        let mut add = |time_ms| host.add(&event(time_ms, "corrected_error", Severity::Warning)).0;
        // The first by itself is nothing, a burst is.
        assert!(add(0) < 3.0);
        let burst: Vec<f64> = (1..5).map(|minute| add(minute * 60_000)).collect();
        assert!(burst[0] > 3.0 && burst.is_sorted(), "{burst:?}");
        // A host that tells one each ten minutes for weeks does so: no more than noise.
        let usual = (6..6 * 24 * 21).fold(0.0, |_, tenth| add(tenth * 600_000));
        assert!(usual < 1.0, "{usual}");
        let later: Vec<f64> = (0..40).map(|second| add(21 * 24 * HOUR_MS + second * 1_000)).collect();
        assert!(later[39] > 6.0, "{later:?}");
    }

    #[test]
    fn a_link_that_falls_back_is_told_once() {
        let mut host = Diagnostics::default();
        let mut add = |hour: i64| host.add(&event(hour * HOUR_MS, "link_degraded", Severity::Warning)).0;
        assert_eq!(add(0), 4.0);
        assert!((1..40).map(|day| add(24 * day)).all(|score| score < 3.0));
    }

    #[test]
    fn kinds_are_bounded_and_times_may_be_anything() {
        let mut host = Diagnostics::default();
        for kind in 0..1_000 {
            let (score, _) = host.add(&event(kind, &kind.to_string(), Severity::Warning));
            assert!(score.is_finite());
        }
        assert_eq!(host.kinds.len(), MAX_KINDS);
        for time_ms in [i64::MAX, i64::MIN, 0, i64::MAX] {
            assert!(host.add(&event(time_ms, "1", Severity::Warning)).0.is_finite());
        }
    }
}
