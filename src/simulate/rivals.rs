//! Limits as other systems set them, each over its settings; and our forecasts as they come.
//!
//! VPA and Autopilot as their sources and papers tell (docs/decisions/0017-limits.md names them). All of them know every row
//! before a decision; the static peak and the residual quantiles those before the scored part.

use limits::{Needs, QUANTILES};

use super::{
    histogram::{DailyPeaks, Histogram, PERCENTILES},
    past::{Host, Past, running_max},
};

/// Is given a policy's name, its setting, and limits by host and row.
pub(super) type Take<'a> = &'a mut dyn FnMut(&str, &str, &[Vec<f64>]);

/// A setting's name and its limit at each decision.
type Settings = Vec<(String, Vec<f64>)>;

/// How a policy sets limits.
type Policy = fn(&Ground<'_>) -> Settings;

/// What every policy knows of one host.
struct Ground<'a> {
    host: &'a Host,
    values: &'a [f64],
    rows: usize,
    rows_an_hour: usize,
    is_memory: bool,
    /// Rows of decisions.
    at: Vec<usize>,
}

/// Hands the limits of every policy at every setting to `take`.
pub(super) fn run(past: &Past, needs: &[Vec<Needs>], target: usize, take: Take<'_>) {
    let memory = past
        .targets
        .get(target)
        .is_some_and(|target| target.resource == shadow::Resource::Memory);
    let rows_an_hour = (3_600 / past.step_s) as usize;
    let grounds: Vec<Ground<'_>> = past
        .hosts
        .iter()
        .map(|host| Ground {
            host,
            values: host.values.get(target).map_or(&[], Vec::as_slice),
            rows: past.rows,
            rows_an_hour,
            is_memory: memory,
            at: host.decisions(past.rows).collect(),
        })
        .collect();
    let policies: [(&str, Policy); 7] = [
        ("static peak", static_peak),
        ("vpa", vpa),
        ("autopilot window", autopilot),
        ("moving max", moving_max),
        ("persistence + margin", persistence),
        ("persistence + residuals", residuals),
        ("oracle", oracle),
    ];
    for (name, policy) in policies {
        let by_host: Vec<Settings> = grounds.iter().map(policy).collect();
        hand_over(&grounds, name, by_host, take);
    }
    let quantiles = grounds
        .iter()
        .zip(needs)
        .map(|(ground, needs)| as_it_comes(ground, needs));
    hand_over(&grounds, "our quantile", quantiles.collect(), take);
}

fn hand_over(grounds: &[Ground<'_>], policy: &str, mut by_host: Vec<Settings>, take: Take<'_>) {
    while by_host.iter().all(|settings| !settings.is_empty()) {
        let (mut name, mut limits) = (String::new(), Vec::new());
        for (ground, settings) in grounds.iter().zip(&mut by_host) {
            let (setting, at_decisions) = settings.remove(0);
            name = setting;
            let behind = ground.values.len() - ground.host.first - 1;
            let held = at_decisions
                .iter()
                .flat_map(|limit| std::iter::repeat_n(*limit, ground.rows));
            limits.push(held.take(behind).collect());
        }
        take(policy, &name, &limits);
    }
}

impl Ground<'_> {
    fn scored(&self) -> usize {
        self.host.scored
    }

    fn pick(&self, values: &[f64], of: impl Fn(f64) -> f64) -> Vec<f64> {
        self.at
            .iter()
            .map(|row| of(values.get(*row).copied().unwrap_or(1.0)))
            .collect()
    }

    fn before_scored(&self) -> &[f64] {
        self.values.get(..self.scored()).unwrap_or(self.values)
    }
}

fn static_peak(ground: &Ground<'_>) -> Settings {
    let peak = ground.before_scored().iter().copied().fold(0.0, f64::max);
    let setting = |times: f64| (format!("x{times}"), vec![peak * times; ground.at.len()]);
    [0.7, 0.8, 0.9, 1.0, 1.15].map(setting).to_vec()
}

/// Percentiles after each of the rows where an interval ends, up to the last decision.
fn walked<H>(
    ground: &Ground<'_>,
    mut of: H,
    add: impl Fn(&mut H, f64),
    tell: impl Fn(&H) -> [f64; PERCENTILES.len()],
) -> Vec<[f64; PERCENTILES.len()]> {
    let mut found = Vec::with_capacity(ground.values.len() / ground.rows);
    for (row, value) in ground.values.iter().enumerate() {
        add(&mut of, *value);
        if (row + 1).is_multiple_of(ground.rows) {
            found.push(tell(&of));
        }
    }
    found
}

/// What is told at decisions, of what was told after each interval.
fn at_decisions<'t, T>(ground: &'t Ground<'_>, told: &'t [T]) -> impl Iterator<Item = &'t T> {
    ground.at.iter().filter_map(|row| told.get(row / ground.rows))
}

fn vpa_told(ground: &Ground<'_>) -> Vec<[f64; PERCENTILES.len()]> {
    let day = 24 * ground.rows_an_hour;
    if ground.is_memory {
        walked(ground, DailyPeaks::new(day), DailyPeaks::add, DailyPeaks::percentiles)
    } else {
        let histogram = Histogram::new(day as f64, false);
        walked(ground, histogram, Histogram::add, Histogram::percentiles)
    }
}

/// The recommender's target at some percentiles and margins, followed at once; and VPA as it comes, whose updater acts only
/// outside of the bounds, or after half a day on a change of a tenth.
fn vpa(ground: &Ground<'_>) -> Settings {
    let told = vpa_told(ground);
    let mut settings = vec![("default".to_owned(), vpa_default(ground, &told))];
    for (place, percentile) in PERCENTILES.into_iter().enumerate().skip(1) {
        for margin in [1.0, 1.15, 1.5, 2.0] {
            let limit = |told: &[f64; PERCENTILES.len()]| told.get(place).copied().unwrap_or(1.0) * margin;
            let limits = at_decisions(ground, &told).map(limit).collect();
            settings.push((format!("p{} x{margin}", percentile * 100.0), limits));
        }
    }
    settings
}

/// Target p90, lower bound p50, upper bound p95, each x 1.15, wider while data are young.
fn vpa_default(ground: &Ground<'_>, told: &[[f64; PERCENTILES.len()]]) -> Vec<f64> {
    const MARGIN: f64 = 1.15;
    let (mut limits, mut limit, mut since) = (Vec::new(), 0.0_f64, 0);
    for (row, percentiles) in ground.at.iter().zip(at_decisions(ground, told)) {
        let [median, target, high, ..] = percentiles.map(|percentile| percentile * MARGIN);
        let days = (*row as f64 / (24 * ground.rows_an_hour) as f64).max(1e-3);
        let (lower, upper) = (median * (1.0 + 0.001 / days).powi(-2), high * (1.0 + 1.0 / days));
        let old = row - since >= 12 * ground.rows_an_hour && (target - limit).abs() > 0.1 * limit;
        if limits.is_empty() || limit < lower || limit > upper || old {
            (limit, since) = (target, *row);
        }
        limits.push(limit);
    }
    limits
}

/// The load-adjusted percentile of a window that decays, with a margin; then the most of the last hour.
fn autopilot(ground: &Ground<'_>) -> Settings {
    let half_life_h = if ground.is_memory { 48 } else { 12 };
    let histogram = Histogram::new((half_life_h * ground.rows_an_hour) as f64, true);
    let told = walked(ground, histogram, Histogram::add, Histogram::percentiles);
    let mut settings = Vec::new();
    for (place, percentile) in PERCENTILES.into_iter().enumerate() {
        let of: Vec<f64> = told
            .iter()
            .map(|told| told.get(place).copied().unwrap_or(1.0))
            .collect();
        let highest = running_max(&of, ground.rows_an_hour / ground.rows);
        for margin in [1.0, 1.15, 1.3] {
            let limits = at_decisions(ground, &highest).map(|high| high * margin).collect();
            settings.push((format!("S{} x{margin}", percentile * 100.0), limits));
        }
    }
    settings
}

fn moving_max(ground: &Ground<'_>) -> Settings {
    let mut settings = Vec::new();
    for hours in [1, 3, 12, 24] {
        let highest = running_max(ground.values, hours * ground.rows_an_hour);
        for times in [1.0, 1.1, 1.15, 1.3] {
            settings.push((
                format!("{hours} h x{times}"),
                ground.pick(&highest, |high| high * times),
            ));
        }
    }
    settings
}

fn persistence(ground: &Ground<'_>) -> Settings {
    let last = running_max(ground.values, ground.rows);
    let times =
        [1.1, 1.15, 1.3, 1.5, 2.0, 3.0].map(|times| (format!("x{times}"), ground.pick(&last, |last| last * times)));
    let plus =
        [0.01, 0.02, 0.05, 0.1, 0.2, 0.3].map(|plus| (format!("+{plus}"), ground.pick(&last, |last| last + plus)));
    times.into_iter().chain(plus).collect()
}

/// The last peak and a quantile of how much higher the next one was.
fn residuals(ground: &Ground<'_>) -> Settings {
    let last = running_max(ground.before_scored(), ground.rows);
    let from = ground.scored() / 4;
    let pairs = last
        .iter()
        .skip(from)
        .zip(last.iter().skip(from + ground.rows))
        .step_by(ground.rows);
    let mut rises: Vec<f64> = pairs.map(|(before, next)| next - before).collect();
    rises.sort_unstable_by(f64::total_cmp);
    let last = running_max(ground.values, ground.rows);
    let setting = |quantile: f64| {
        let rise = interpolated(&rises, quantile);
        (format!("p{}", quantile * 100.0), ground.pick(&last, |last| last + rise))
    };
    [0.9, 0.95, 0.98, 0.99, 0.995, 0.998].map(setting).to_vec()
}

fn interpolated(sorted: &[f64], quantile: f64) -> f64 {
    let place = quantile * sorted.len().saturating_sub(1) as f64;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(0.0);
    at(place.floor()) + (at(place.ceil()) - at(place.floor())) * place.fract()
}

/// The next interval's peak, which nobody can know.
fn oracle(ground: &Ground<'_>) -> Settings {
    let next = |row: &usize| {
        let next = ground.values.iter().skip(row + 1).take(ground.rows);
        next.copied().fold(0.0, f64::max)
    };
    vec![("next peak".to_owned(), ground.at.iter().map(next).collect())]
}

/// The forecast of the next interval's peak at each quantile and multiple, without any rule.
fn as_it_comes(ground: &Ground<'_>, needs: &[Needs]) -> Settings {
    let mut settings = Vec::new();
    for (place, quantile) in QUANTILES.into_iter().enumerate() {
        for times in [1.0, 1.1, 1.3] {
            let limit = |needs: &Needs| {
                let [next, ..] = needs.peaks;
                next.get(place).copied().unwrap_or(1.0) * times
            };
            let limits = needs.iter().take(ground.at.len()).map(limit).collect();
            settings.push((format!("p{} x{times}", quantile * 100.0), limits));
        }
    }
    settings
}
