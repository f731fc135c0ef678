//! The highest values that are expected: those that rules make needs of, and what a rule makes of a workload's own.

use limits::{Decision, HOLDS_MIN, Needs, QUANTILES};
use shadow::{Peak, Resource, UnixMs};

use super::need::Question;

/// Peaks that were made longer ago than an interval are of another one, in milliseconds.
const FRESH_MS: i64 = 300_000;

/// Peaks by hold, then by quantile.
pub(crate) type Peaks = [[f64; QUANTILES.len()]; HOLDS_MIN.len()];

/// The newest peaks of `resource` of every hold, made within the last interval before `now_ms`, in their own unit; `None` where
/// one is missing.
pub(crate) fn fresh(peaks: &[Peak], resource: Resource, now_ms: UnixMs) -> Option<Peaks> {
    let of = |peak: &&Peak| peak.resource == resource && peak.made_ms > now_ms - FRESH_MS;
    let mut found: Peaks = [[0.0; QUANTILES.len()]; HOLDS_MIN.len()];
    for (minutes, slot) in HOLDS_MIN.into_iter().zip(&mut found) {
        let of_hold = peaks.iter().filter(of).filter(|peak| peak.hold_s == 60 * minutes);
        let of_hold = of_hold.max_by(|one, other| {
            let levels = |peak: &Peak| peak.quantiles.map(f64::to_bits);
            (one.made_ms, levels(one)).cmp(&(other.made_ms, levels(other)))
        })?;
        *slot = of_hold.quantiles;
    }
    Some(found)
}

/// What the rule that its host's books have chosen makes of a workload's own peaks, in cores or bytes, in proportion where the
/// host's limit is the mean of several rules, and at most all of that limit: what is forecast of a workload may be more than
/// what is of its host. `None` where these are not known. How long the rule holds a need is left to the dwell of the plan: the
/// workload has no books.
pub(super) fn of_workload(question: &Question<'_>, own: &[Peak], decision: &Decision, now_ms: UnixMs) -> Option<f64> {
    let peaks = fresh(own, question.resource, now_ms)?;
    let last = question.used?;
    let needs = Some(Needs { peaks, last }).filter(Needs::are_sound)?;
    let chosen = &decision.chosen;
    let of_mean = if chosen.limit > 0.0 {
        decision.limit / chosen.limit
    } else {
        1.0
    };
    let amount = of_mean * chosen.rule.amount(&needs, chosen.limit);
    Some(amount.min(decision.limit * question.capacity))
}

#[cfg(test)]
mod tests {
    use super::{super::HostInput, *};

    #[test]
    fn a_rule_is_asked_of_fresh_peaks_of_every_hold() {
        let peak = |minutes: u32, made_ms: UnixMs| Peak {
            resource: Resource::Cpu,
            made_ms,
            hold_s: 60 * minutes,
            quantiles: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6].map(|share| share * f64::from(minutes)),
        };
        let all = HOLDS_MIN.map(|minutes| peak(minutes, 1_000_000));
        assert_eq!(fresh(&all, Resource::Cpu, 1_200_000).unwrap()[2][5], 36.0);
        assert_eq!(fresh(&all, Resource::Memory, 1_200_000), None);
        assert_eq!(fresh(&all, Resource::Cpu, 1_300_000), None, "too old");
        assert_eq!(fresh(&all[..2], Resource::Cpu, 1_200_000), None, "a hold is missing");
        let newer = Peak {
            quantiles: [7.0; 6],
            ..peak(5, 1_100_000)
        };
        for both in [[all[0].clone(), newer.clone()], [newer, all[0].clone()]] {
            let peaks = [&both[..], &all[1..]].concat();
            assert_eq!(fresh(&peaks, Resource::Cpu, 1_200_000).unwrap()[0], [7.0; 6]);
        }
        let host = HostInput::default();
        let question = |used| Question {
            host: &host,
            resource: Resource::Cpu,
            capacity: 4.0,
            used,
            not_before_ms: 0,
        };
        let decision = crate::allocate::scenarios::decided(0.5);
        let rule = decision.chosen.rule;
        assert_eq!(
            rule.to_string(),
            "peak over 5 min at p80, held 30 min, lowered by 4 % or more"
        );
        let amount = |used| of_workload(&question(used), &all, &decision, 1_200_000);
        assert_eq!(amount(Some(0.5)), Some(1.0), "0.2 x 5 cores");
        assert_eq!(amount(None), None, "a host as a whole has its limit");
        assert_eq!(amount(Some(f64::NAN)), None);
        let of = |decision| of_workload(&question(Some(0.5)), &all, &decision, 1_200_000);
        let mean = Decision {
            averaged: 7,
            limit: 0.4,
            ..decision
        };
        assert_eq!(of(mean), Some(0.8), "in proportion to the mean");
        let tight = crate::allocate::scenarios::decided(0.125);
        assert_eq!(of(tight), Some(0.5), "all that its host is limited to");
    }
}
