//! What a workload, or a host as a whole, will need at each horizon.
//!
//! A workload is sized by its own forecasts, where it has any ([`needs_of_workload`]). Else by those of its host: its need is
//! its present use times the growth of its host:
//! `use x forecast quantile / present value of the host`. The growth is bounded to [`GROWTH`], is taken against at
//! least [`QUIET`] of the host (a host that idles would else make any growth infinite), and a workload never needs
//! more than the forecast says of its whole host.

use shadow::{Forecast, QUANTILES, Quantiles, Resource, Rung, UnixMs};

use super::HostInput;

/// The least and the most that a workload's use is expected to change by within a horizon.
const GROWTH: (f64, f64) = (0.2, 10.0);

/// Below this share of the host, its growth is taken against this share.
const QUIET: f64 = 0.02;

/// What is expected to be needed at one horizon, in cores, bytes, bytes/s or watts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Need {
    /// How far ahead.
    pub(super) horizon_s: u32,
    /// Which step of the ladder says so.
    pub(super) rung: Rung,
    /// Its skill against the last value.
    pub(super) skill: Option<f64>,
    /// The coverage of its p95.
    pub(super) coverage: Option<f64>,
    /// How far the host's p95 lies above its median, as a share of the host.
    pub(super) width: f64,
    amounts: Quantiles,
}

impl Need {
    /// The amount at the largest quantile that is told and not above `quantile` (the median at least).
    pub(super) fn at(&self, quantile: f64) -> f64 {
        let mut told = QUANTILES.into_iter().zip(self.amounts.to_array());
        let below = told.rfind(|(q, _)| *q <= quantile + 1e-9);
        below.map_or(self.amounts.p50, |(_, amount)| amount)
    }
}

/// What is asked of [`needs`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// Of which host.
    pub(super) host: &'a HostInput,
    /// Of which resource.
    pub(super) resource: Resource,
    /// What the host has of it, above 0.
    pub(super) capacity: f64,
    /// What the workload uses now; `None` asks for the host as a whole.
    pub(super) used: Option<f64>,
    /// Forecasts that were made before are too old.
    pub(super) not_before_ms: UnixMs,
}

/// The needs at each horizon that is forecast, nearest first. Forecasts with a value that is not a number are left
/// out; of several for one horizon the newest counts.
pub(super) fn needs(question: &Question<'_>) -> Vec<Need> {
    let forecasts = sound(question, &question.host.forecasts);
    let needs = forecasts.into_iter().map(|forecast| need(question, forecast));
    // A share that is finite may be too much to be counted in bytes.
    needs.filter(|need| need.amounts.p99.is_finite()).collect()
}

/// The same of a workload with forecasts of its own, in cores or bytes: they say it better than the growth of its host. What
/// has none grows as its host does.
pub(super) fn needs_of_workload(question: &Question<'_>, own: &[Forecast]) -> Vec<Need> {
    let own = sound(question, own);
    if own.is_empty() {
        return needs(question);
    }
    let need = |forecast: &Forecast| {
        let amounts = forecast
            .quantiles
            .to_array()
            .map(|amount| amount.min(question.capacity));
        let [median, _, p95, _] = amounts;
        Need {
            horizon_s: forecast.horizon_s,
            rung: forecast.rung,
            skill: forecast.skill,
            coverage: forecast.coverage,
            width: (p95 - median) / question.capacity,
            amounts: Quantiles::from_array(amounts),
        }
    };
    own.into_iter().map(need).collect()
}

/// Forecasts of the resource that are numbers and not too old, one a horizon, nearest first.
fn sound<'a>(question: &Question<'_>, forecasts: &'a [Forecast]) -> Vec<&'a Forecast> {
    let mut forecasts: Vec<&Forecast> = forecasts
        .iter()
        .filter(|forecast| forecast.resource == question.resource && forecast.made_ms >= question.not_before_ms)
        .filter(|forecast| forecast.quantiles.to_array().iter().all(|q| q.is_finite() && *q >= 0.0))
        .collect();
    forecasts.sort_by(|a, b| {
        let order = a.horizon_s.cmp(&b.horizon_s).then(b.made_ms.cmp(&a.made_ms));
        order.then_with(|| rank(b).cmp(&rank(a)))
    });
    forecasts.dedup_by_key(|forecast| forecast.horizon_s);
    forecasts
}

/// Makes the choice between two forecasts of one moment independent of their order.
fn rank(forecast: &Forecast) -> ([u64; 4], Rung, [Option<u64>; 2]) {
    // The bits of numbers that are not negative rise with them.
    let bits = forecast.quantiles.to_array().map(f64::to_bits);
    let quality = [forecast.skill, forecast.coverage].map(|q| q.map(f64::to_bits));
    (bits, forecast.rung, quality)
}

fn need(question: &Question<'_>, forecast: &Forecast) -> Need {
    let capacity = question.capacity;
    let to_amount = to_amount(question.resource, capacity);
    let present = present(question.host, question.resource).map(|value| value * to_amount);
    let told = forecast.quantiles.to_array().map(|value| value * to_amount);
    let amounts = told.map(|whole| part(question, whole, present));
    let [median, _, p95, _] = told;
    Need {
        horizon_s: forecast.horizon_s,
        rung: forecast.rung,
        skill: forecast.skill,
        coverage: forecast.coverage,
        width: (p95 - median) / capacity,
        amounts: Quantiles::from_array(amounts),
    }
}

/// What is the asker's part of an amount that is expected of the whole host.
fn part(question: &Question<'_>, whole: f64, present: Option<f64>) -> f64 {
    match question.used {
        Some(used) => (used * growth(whole, present, question.capacity)).min(whole),
        None => whole,
    }
}

/// What a limit of the whole host, a share of its capacity, is for the asker.
pub(super) fn of_limit(question: &Question<'_>, limit: f64) -> f64 {
    let to_amount = to_amount(question.resource, question.capacity);
    let present = present(question.host, question.resource).map(|value| value * to_amount);
    part(question, limit * question.capacity, present)
}

/// What a value of `resource` is multiplied with to be an amount: shares are of the capacity.
pub(super) const fn to_amount(resource: Resource, capacity: f64) -> f64 {
    match resource {
        Resource::Cpu | Resource::Memory => capacity,
        Resource::Network | Resource::Disk | Resource::Power => 1.0,
    }
}

/// The newest value of `resource`, where it is a number.
pub(super) fn present(host: &HostInput, resource: Resource) -> Option<f64> {
    let value = host.present.get(resource.index()).copied().flatten();
    value.filter(|value| value.is_finite() && *value >= 0.0)
}

fn growth(whole: f64, present: Option<f64>, capacity: f64) -> f64 {
    let (least, most) = GROWTH;
    present.map_or(1.0, |present| {
        let base = present.max(QUIET * capacity);
        (1.0 + (whole - present) / base).clamp(least, most)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(horizon_s: u32, p50: f64, p95: f64) -> Forecast {
        Forecast {
            resource: Resource::Cpu,
            made_ms: 0,
            horizon_s,
            quantiles: Quantiles::from_array([p50, p50, p95, p95]),
            rung: Rung::Ewma,
            shares: shadow::Shares::default(),
            skill: None,
            coverage: None,
        }
    }

    #[test]
    fn a_workload_grows_as_its_host_does() {
        let check = |present: Option<f64>, p95: f64, used: Option<f64>, expected: f64| {
            let host = HostInput {
                present: [present, None, None, None, None],
                forecasts: vec![forecast(300, 0.0, p95)],
                ..HostInput::default()
            };
            let question = Question {
                host: &host,
                resource: Resource::Cpu,
                capacity: 4.0,
                used,
                not_before_ms: 0,
            };
            let need = needs(&question).remove(0).at(0.95);
            assert!((need - expected).abs() < 1e-12, "{present:?} {p95} {used:?}: {need}");
        };
        check(Some(0.25), 0.5, Some(0.4), 0.8);
        check(Some(0.5), 0.25, Some(0.4), 0.2);
        check(Some(0.25), 0.5, None, 2.0);
        // Not measured: the use stays. Never more than the host as a whole. Falls by at most four fifths.
        check(None, 0.5, Some(0.4), 0.4);
        check(Some(0.1), 0.5, Some(1.9), 2.0);
        check(Some(0.9), 0.09, Some(0.5), 0.1);
        // An idle host: growth is taken against a fiftieth of it, and is at most tenfold.
        check(Some(0.0), 0.02, Some(0.01), 0.02);
        check(Some(0.0), 1.0, Some(0.01), 0.1);
    }

    #[test]
    fn a_workload_with_forecasts_of_its_own_does_not_grow_as_its_host_does() {
        let host = HostInput {
            present: [Some(0.5), None, None, None, None],
            forecasts: vec![forecast(300, 0.5, 0.5)],
            ..HostInput::default()
        };
        let question = Question {
            host: &host,
            resource: Resource::Cpu,
            capacity: 4.0,
            used: Some(0.5),
            not_before_ms: 0,
        };
        let at = |own: &[Forecast]| needs_of_workload(&question, own).remove(0).at(0.95);
        assert_eq!(at(&[forecast(300, 1.0, 3.0)]), 3.0, "in cores");
        assert_eq!(at(&[forecast(300, 1.0, 9.0)]), 4.0, "no more than there is");
        assert_eq!(at(&[]), 0.5, "its host stands still");
        let old = Forecast {
            made_ms: -1,
            ..forecast(300, 1.0, 3.0)
        };
        let of_memory = Forecast {
            resource: Resource::Memory,
            ..forecast(300, 1e9, 2e9)
        };
        assert_eq!(at(&[old, of_memory]), 0.5);
    }

    #[test]
    fn broken_and_old_forecasts_are_left_out_and_the_newest_counts() {
        let mut newer = forecast(300, 0.1, 0.3);
        newer.made_ms = 5;
        let host = HostInput {
            forecasts: vec![
                forecast(300, 0.1, 0.2),
                newer,
                forecast(600, f64::NAN, f64::NAN),
                forecast(900, f64::INFINITY, f64::INFINITY),
                forecast(1500, 1e300, f64::MAX),
                Forecast {
                    made_ms: -1,
                    ..forecast(1200, 0.1, 0.2)
                },
            ],
            ..HostInput::default()
        };
        let mut question = Question {
            host: &host,
            resource: Resource::Cpu,
            capacity: 4.0,
            used: None,
            not_before_ms: 0,
        };
        // `from_array` turns a NaN into a zero: it is taken for what it says.
        let found: Vec<(u32, f64)> = needs(&question).iter().map(|n| (n.horizon_s, n.at(0.95))).collect();
        assert_eq!(found, [(300, 1.2), (600, 0.0)]);
        question.resource = Resource::Disk;
        assert_eq!(needs(&question), []);
    }
}
