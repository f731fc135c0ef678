//! What an operator may set of how exactly metrics are told.

use runtime::{Faults, Validate};
use serde::{Deserialize, Serialize};
use shadow::{Bound, Metric};

use crate::pattern::matches;

/// How exactly metrics are told, in place of what their probe says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundRule {
    /// Which: a metric's name, with `*` for any characters.
    pub metric: String,
    /// Off by at most half of this, in the metric's unit.
    pub step: Option<f64>,
    /// Off by at most this share of the value; with `floor`.
    pub ratio: Option<f64>,
    /// The value below which errors are no longer relative, in the metric's unit.
    pub floor: Option<f64>,
    /// Whether each second's maximum comes back exactly.
    pub key: Option<bool>,
    /// Whether each second's minimum comes back exactly.
    pub minimum: Option<bool>,
}

/// `metric`, told as the first of `rules` that matches its name wants it.
pub(crate) fn told_as(rules: &[BoundRule], metric: &Metric) -> Metric {
    let rule = rules.iter().find(|rule| matches(&rule.metric, &metric.name));
    let mut metric = metric.clone();
    if let Some(rule) = rule {
        metric.bound = rule.bound().unwrap_or(metric.bound);
        metric.key = rule.key.unwrap_or(metric.key);
        metric.minimum = rule.minimum.unwrap_or(metric.minimum);
    }
    metric
}

impl BoundRule {
    /// The bound; `None` where the probe's stays, or what is set makes no sense ([`Validate`]).
    fn bound(&self) -> Option<Bound> {
        let bound = match (self.step, self.ratio, self.floor) {
            (Some(step), None, None) => Bound::Absolute { step },
            (None, Some(ratio), Some(floor)) => Bound::Relative { ratio, floor },
            _ => return None,
        };
        Some(bound).filter(|bound| bound.is_valid())
    }

    fn has_numbers(&self) -> bool {
        self.step.or(self.ratio).or(self.floor).is_some()
    }
}

impl Validate for BoundRule {
    fn validate(&self, faults: &mut Faults) {
        let metric = &self.metric;
        faults.require(!metric.is_empty(), "metric", "must not be empty");
        let message = format!(
            "of {metric:?}: set either step (above 0), or ratio (above 0, below 1) and floor (above 0), or none of them"
        );
        faults.require(!self.has_numbers() || self.bound().is_some(), "bound", message);
        let empty = !self.has_numbers() && self.key.or(self.minimum).is_none();
        faults.require(!empty, "metric", format!("{metric:?} has nothing set"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<BoundRule> {
        let config: crate::Config = runtime::config::parse(text, "agent.toml").unwrap();
        config.probes.bounds
    }

    #[test]
    fn the_first_rule_that_matches_rules() {
        let rules = rules(
            "[[probes.bounds]]\nmetric = 'network.lo.*'\nkey = false\n\
             [[probes.bounds]]\nmetric = 'network.*'\nratio = 0.001\nfloor = 10.0\nminimum = true\n\
             [[probes.bounds]]\nmetric = 'cpu.*'\nstep = 0.001",
        );
        let rate = |name: &str| Metric::rate(name, "By/s", 100.0).key();
        let loopback = told_as(&rules, &rate("network.lo.rx_bytes"));
        assert!(!loopback.key);
        assert_eq!(loopback.bound, rate("x").bound);
        let finer = told_as(&rules, &rate("network.eth0.rx_bytes"));
        assert!(finer.key && finer.minimum);
        assert_eq!(
            finer.bound,
            Bound::Relative {
                ratio: 0.001,
                floor: 10.0
            }
        );
        let core = told_as(&rules, &Metric::share("cpu.0.user"));
        assert_eq!(core.bound, Bound::Absolute { step: 0.001 });
        assert_eq!(told_as(&rules, &rate("disk.sda.reads")), rate("disk.sda.reads"));
    }

    #[test]
    fn what_is_no_bound_is_told() {
        for (text, fault) in [
            ("metric = ''\nstep = 1.0", "metric: must not be empty"),
            ("metric = 'cpu.*'", "\"cpu.*\" has nothing set"),
            ("metric = 'a'\nstep = 0.0", "of \"a\": set either step"),
            ("metric = 'a'\nstep = inf", "of \"a\": set either step"),
            ("metric = 'a'\nratio = 0.1", "of \"a\": set either step"),
            ("metric = 'a'\nratio = 1.0\nfloor = 1.0", "of \"a\": set either step"),
            (
                "metric = 'a'\nstep = 1.0\nratio = 0.1\nfloor = 1.0",
                "of \"a\": set either step",
            ),
        ] {
            let text = format!("[[probes.bounds]]\n{text}");
            let error = runtime::config::parse::<crate::Config>(&text, "agent.toml").unwrap_err();
            assert!(error.to_string().contains(fault), "{text}: {error}");
        }
    }
}
