//! Series of one host after another, and what the hosts share.

use shadow::{Forecast, Peak, Resource, UnixMs};

use super::{
    HostForecasts, Matured, MaturedPeak,
    host::{Host, Seen, fresh},
};
use crate::{
    config::Config,
    features::Standing,
    inference::Predicted,
    ladder::{FleetSpread, Now, Series},
    score::Board,
    target::Target,
    window::Layout,
};

/// What all hosts share.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) layout: Layout,
    horizons_s: Vec<u32>,
    holds_s: Vec<u32>,
    targets: Vec<Target>,
    /// By target: whether it is forecast.
    wanted: Vec<bool>,
    /// Errors by target, then by horizon.
    spreads: Vec<Vec<FleetSpread>>,
    /// Typical scale over the mark by target, for hosts of which little is known.
    typical: Vec<f32>,
    pub(super) board: Board,
}

/// What is assumed of a fleet's scale over its mark before any was seen.
pub(super) const HOST_SCALE: f32 = 0.05;

/// The same of parts of hosts, over the mark of the host: most have next to nothing of it, and what each is believed to
/// need at first adds up.
pub(super) const PART_SCALE: f32 = 0.005;

/// Known rows from which on a series' own scale is trusted alone.
const OWN_SCALE_ROWS: usize = 60;

impl Fleet {
    /// Targets of `resources` are forecast, others only read. Their `scale` over the mark is what is assumed at first.
    pub(super) fn new(config: &Config, resources: &[Resource], scale: f32) -> Self {
        let spreads = |_: &Target| config.horizons_s.iter().map(|_| FleetSpread::new()).collect();
        Self {
            layout: Layout::new(config),
            horizons_s: config.horizons_s.clone(),
            holds_s: config.holds_s.clone(),
            wanted: config
                .targets
                .iter()
                .map(|target| resources.contains(&target.resource))
                .collect(),
            targets: config.targets.clone(),
            spreads: config.targets.iter().map(spreads).collect(),
            typical: vec![scale; config.targets.len()],
            board: Board::new(&config.targets, &config.horizons_s),
        }
    }

    /// Judges, learns and forecasts all targets of one host. The name is left to the caller.
    pub(super) fn step(&mut self, host: &mut Host, seen: &Seen<'_>, predicted: Option<&Predicted>) -> HostForecasts {
        let mut made = HostForecasts::default();
        for (target, slot) in host.series.iter_mut().enumerate() {
            if self.wanted.get(target) != Some(&true) {
                continue;
            }
            if slot.is_none() {
                *slot = self.begin(target, seen);
            } else if let (Some(series), Some(since_ms)) = (slot.as_mut(), seen.since_ms) {
                made.matured.extend(self.learn(series, target, since_ms, seen));
                made.matured_peaks
                    .extend(self.learn_peaks(series, target, since_ms, seen));
            }
            if let Some(series) = slot {
                made.forecasts.extend(self.forecast(series, target, seen, predicted));
                made.peaks.extend(self.peaks(series, target, seen, predicted));
            }
        }
        made
    }

    /// The series of a target that is met first, begun with the window's rows; `None` while it was never measured.
    fn begin(&self, target: usize, seen: &Seen<'_>) -> Option<Series> {
        let (now, typical) = seen.moment.targets.get(target).zip(self.typical.get(target))?;
        let (_, scale) = standing(now, *typical)?;
        let of = self.targets.get(target)?;
        let mut series = Series::new(of, &self.horizons_s, &self.holds_s, self.layout.step_s);
        let (values, mut scales) = seen.past(&self.layout, of, now.mark);
        settle(&values, &mut scales, scale);
        series.learn_past(&values, &scales);
        Some(series)
    }

    fn learn(&mut self, series: &mut Series, target: usize, since_ms: UnixMs, seen: &Seen<'_>) -> Vec<Matured> {
        let (Some(of), Some(spreads)) = (self.targets.get(target), self.spreads.get_mut(target)) else {
            return Vec::new();
        };
        let layout = &self.layout;
        let truth = |due_ms: UnixMs| seen.value_at(layout, of, due_ms);
        let now = seen.moment.targets.get(target).zip(self.typical.get(target));
        if let Some((_, scale)) = now.and_then(|(now, typical)| standing(now, *typical)) {
            series.rescale(OWN_SCALE_ROWS, scale);
        }
        let ripe = series.judge(since_ms, seen.time_ms, truth, spreads, &mut self.board, target);
        let fresh = fresh(layout, since_ms, seen.time_ms, seen.rows.len());
        series.push(seen.values(of).skip(seen.rows.len() - fresh));
        let matured = ripe.into_iter().map(|ripe| Matured {
            target,
            resource: of.resource,
            horizon_s: ripe.forecast.horizon_s,
            made_ms: ripe.forecast.made_ms,
            value: f64::from(ripe.truth),
            scale: f64::from(ripe.scale),
            forecast: ripe.forecast,
            experts: ripe.experts,
        });
        matured.collect()
    }

    fn learn_peaks(&self, series: &mut Series, target: usize, since_ms: UnixMs, seen: &Seen<'_>) -> Vec<MaturedPeak> {
        let Some(of) = self.targets.get(target) else {
            return Vec::new();
        };
        let truth = |from_ms: UnixMs, to_ms: UnixMs| seen.highest(&self.layout, of, from_ms, to_ms);
        let ripe = series.judge_peaks(since_ms, seen.time_ms, truth).into_iter();
        let matured = ripe.map(|ripe| MaturedPeak {
            target,
            hold_s: ripe.hold_s,
            made_ms: ripe.made_ms,
            value: f64::from(ripe.truth),
            quantiles: ripe.quantiles.map(f64::from),
        });
        matured.collect()
    }

    fn peaks(&self, series: &mut Series, target: usize, seen: &Seen<'_>, predicted: Option<&Predicted>) -> Vec<Peak> {
        let network = predicted.and_then(|predicted| predicted.peaks_of(target));
        let (Some(network), Some(of)) = (network, seen.moment.targets.get(target)) else {
            return Vec::new();
        };
        if !network.iter().flatten().all(|value| value.is_finite()) {
            return Vec::new();
        }
        let step_ms = i64::from(self.layout.step_s) * 1_000;
        series.peaks((seen.time_ms, step_ms), network, of.scale * of.mark, seen.news)
    }

    fn forecast(
        &mut self,
        series: &mut Series,
        target: usize,
        seen: &Seen<'_>,
        predicted: Option<&Predicted>,
    ) -> Vec<Forecast> {
        let (Some(of), Some(typical)) = (seen.moment.targets.get(target), self.typical.get_mut(target)) else {
            return Vec::new();
        };
        // A series that has been silent for the whole window keeps its last level.
        let standing = standing(of, *typical).or_else(|| series.standing());
        let (Some((last, scale)), Some(fleet)) = (standing, self.spreads.get(target)) else {
            return Vec::new();
        };
        if seen.news {
            *typical += 0.001 * (scale / of.mark - *typical);
        }
        let now = Now {
            time_ms: seen.time_ms,
            last,
            scale,
            known: of.known,
            lstm: predicted.and_then(|predicted| predicted.of(target)),
            recent: seen.recent.get(target).copied().flatten(),
        };
        series.forecast(&now, fleet, seen.news)
    }
}

/// The newest known value and the scale in the target's unit; `None` when the window has no value. While few rows are
/// known, the scale leans on the fleet's.
fn standing(of: &Standing, typical: f32) -> Option<(f32, f32)> {
    let (known, own) = (of.known as f32, OWN_SCALE_ROWS as f32);
    let lent = own / 4.0 * (1.0 - known / own).max(0.0);
    let blended = ((known * of.scale * of.scale + lent * typical * typical) / (known + lent)).sqrt();
    of.last.is_finite().then_some((of.last * of.mark, blended * of.mark))
}

/// Of the rows before a series' own scale is trusted, the scale is what is known of it at their end, or `now` where they are
/// all there is, as [`Series::rescale`] has it of forecasts that were made.
fn settle(values: &[f32], scales: &mut [f32], now: f32) {
    let known = values.iter().enumerate().filter(|(_, value)| value.is_finite());
    let (young, scale) = match known.map(|(row, _)| row).nth(OWN_SCALE_ROWS) {
        Some(row) => (row, scales.get(row).copied().unwrap_or(now)),
        None => (scales.len(), now),
    };
    scales.iter_mut().take(young).for_each(|slot| *slot = scale);
}
