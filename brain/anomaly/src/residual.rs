//! Anomalies: values that leave their calibrated forecast further than this series' forecasts usually err.
//!
//! A detector watches one horizon of one resource of one host (the nearest horizon tells soonest) and is given each
//! value that came with the forecast that had been made of it:
//!
//! 1. **Residual.** The distance of the value from the median, over the distance of the p99 from the median (or the
//!    series' usual spread, or the least that matters, where those are larger): 1 is the edge of the forecast.
//!    Above and below are told apart, for they err differently.
//! 2. **Rarity.** How often does this series see such a residual? Peaks over a threshold: the largest residual of
//!    each ten minutes goes into a Pareto [`tail`], and the score is -log10 of the chance that ten minutes reach it.
//!    So what is chosen is how often a false alarm may come, not a threshold; a series that errs wildly must err
//!    more wildly still to alarm. While fewer than two hours are known nothing alarms.
//! 3. **Incident.** What belongs together is told once ([`incident`]): when it begins, when it becomes ten times
//!    rarer, when it is over.
//!
//! A forecast adapts within its horizon, so a lasting change is one incident and then the new normal.

use serde::{Deserialize, Serialize};
use shadow::{Forecast, Resource, UnixMs};

use self::{incident::Incident, tail::Tail};

mod incident;
mod tail;

/// How readily alarms are raised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// False alarms that are accepted of one detector in a week, 0.001 to 1000.
    pub false_alarms_per_week: f64,
    /// An incident is over when nothing unusual was seen for this long, in milliseconds.
    pub quiet_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            false_alarms_per_week: 0.5,
            quiet_ms: 900_000,
        }
    }
}

impl Config {
    /// The score at which an alarm is raised, so that noise raises as many as were chosen: half of them on each side.
    pub fn bar(&self) -> f64 {
        let a_week = self.false_alarms_per_week.clamp(0.001, 1000.0);
        (2.0 * tail::BLOCKS_A_WEEK / a_week).log10()
    }
}

/// A value that came, with the forecast that had been made of its moment.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// When it came.
    pub time_ms: UnixMs,
    /// What came, in the resource's unit.
    pub value: f64,
    /// What was expected.
    pub forecast: &'a Forecast,
    /// The series' usual spread when the forecast was made, in the resource's unit.
    pub scale: f64,
}

/// What an incident does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It began: an alarm.
    Began,
    /// It is at least ten times rarer than what was told of it: another alarm.
    Escalated,
    /// It goes on as it was told.
    Continues,
    /// It is over.
    Ended,
}

impl Phase {
    /// Whether somebody should be told.
    pub const fn is_alarm(self) -> bool {
        matches!(self, Self::Began | Self::Escalated)
    }
}

/// An incident of one resource of one host, as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// What it does.
    pub phase: Phase,
    /// When it began.
    pub since_ms: UnixMs,
    /// The last moment at which something unusual was seen.
    pub until_ms: UnixMs,
    /// The rarest that was seen in it: -log10 of the chance that ten minutes reach it. A tail is not
    /// believed further than four powers of ten beyond the time that was watched.
    pub score: f64,
    /// What was seen at its rarest and what had been expected, in words.
    pub evidence: String,
}

/// Watches one horizon of one resource of one host. About 1 KB, and can be stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    config: Config,
    above: Tail,
    below: Tail,
    incident: Option<Incident>,
}

impl Detector {
    /// A detector that has seen nothing.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            above: Tail::default(),
            below: Tail::default(),
            incident: None,
        }
    }

    /// Takes in the next value, and tells what it means for the incident that it belongs to; `None` without one.
    ///
    /// A value, forecast or scale that is not a number tells nothing.
    pub fn observe(&mut self, observation: &Observation<'_>) -> Option<Anomaly> {
        let score = self.score(observation).unwrap_or(0.0);
        self.track(observation, score)
    }

    fn score(&mut self, observation: &Observation<'_>) -> Option<f64> {
        let residual = residual(observation)?;
        let bar = self.config.bar();
        let (own, other) = if residual >= 0.0 {
            (&mut self.above, &mut self.below)
        } else {
            (&mut self.below, &mut self.above)
        };
        other.add(observation.time_ms, 0.0, bar);
        let rarity = own.add(observation.time_ms, residual.abs(), bar);
        // Inside the forecast nothing is unusual, however seldom the series leaves it.
        (residual.abs() > 1.0).then_some(rarity)
    }

    fn track(&mut self, observation: &Observation<'_>, score: f64) -> Option<Anomaly> {
        let now_ms = observation.time_ms;
        let (bar, quiet_ms) = (self.config.bar(), self.config.quiet_ms);
        match &mut self.incident {
            Some(incident) => {
                let told = incident.update(now_ms, score, bar, quiet_ms, || evidence(observation, score));
                if told.phase == Phase::Ended {
                    self.incident = None;
                }
                Some(told)
            }
            None if score >= bar => {
                let incident = Incident::new(now_ms, score, evidence(observation, score));
                let told = incident.tell(Phase::Began);
                self.incident = Some(incident);
                Some(told)
            }
            None => None,
        }
    }
}

/// How far the value is off, in units of the forecast's own width; negative below the median.
fn residual(observation: &Observation<'_>) -> Option<f64> {
    let Observation {
        value, forecast, scale, ..
    } = *observation;
    let median = forecast.quantiles.p50;
    let width = forecast.quantiles.p99 - median;
    let least = least(forecast.resource).max(0.001 * median.abs());
    let residual = (value - median) / width.max(scale).max(least);
    (residual.is_finite() && width.is_finite() && scale.is_finite()).then_some(residual)
}

/// A difference that never matters to anybody, in the resource's unit.
const fn least(resource: Resource) -> f64 {
    match resource {
        Resource::Cpu => 0.02,
        Resource::Memory => 0.01,
        Resource::Network => 100e3,
        Resource::Disk => 1e6,
        Resource::Power => 1.0,
    }
}

/// `cpu 0.93, expected 0.31 (p99 0.44) 5 min before; seen once in 12000 spans of ten minutes`.
fn evidence(observation: &Observation<'_>, score: f64) -> String {
    let Forecast {
        resource,
        quantiles,
        horizon_s,
        ..
    } = observation.forecast;
    let [value, median, p99] = [observation.value, quantiles.p50, quantiles.p99].map(|value| amount(*resource, value));
    let minutes = f64::from(*horizon_s) / 60.0;
    let (_, times) = [(3.0, 10.0), (6.0, 1e3), (9.0, 1e6)]
        .into_iter()
        .find(|(below, _)| score < *below)
        .unwrap_or((12.0, 1e9));
    let rarity = (10_f64.powf(score) / times).round() * times;
    format!(
        "{resource} {value}, expected {median} (p99 {p99}) {minutes} min before; 1 in {rarity} spans of ten minutes"
    )
}

fn amount(resource: Resource, value: f64) -> String {
    match resource {
        Resource::Cpu | Resource::Memory => format!("{value:.2}"),
        Resource::Network | Resource::Disk => format!("{:.2} MB/s", value / 1e6),
        Resource::Power => format!("{value:.0} W"),
    }
}

#[cfg(test)]
mod tests;
