//! Series of one host after another, and what the hosts share.

use shadow::{Forecast, Resource, UnixMs};

use super::Matured;
use crate::{
    config::Config,
    features::Moment,
    inference::Predicted,
    ladder::{FleetSpread, Now, Series},
    score::Board,
    window::{Layout, RESOURCES, ResourceRow},
};

/// One host.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Time of the newest row taken in.
    seen_ms: Option<UnixMs>,
    /// By resource; `None` until it was measured.
    pub(super) series: [Option<Series>; RESOURCES],
}

impl Host {
    pub(super) fn rewind(&mut self) {
        self.seen_ms = None;
        self.series.iter_mut().flatten().for_each(Series::rewind);
    }
}

/// What all hosts share.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) layout: Layout,
    horizons_s: Vec<u32>,
    /// Errors by resource, then by horizon.
    spreads: Vec<Vec<FleetSpread>>,
    /// Typical scale over reference by resource, for hosts of which little is known.
    typical: [f32; RESOURCES],
    pub(super) board: Board,
}

/// One host at one step.
pub(super) struct Seen<'a> {
    pub(super) time_ms: UnixMs,
    pub(super) rows: &'a [ResourceRow],
    pub(super) moment: &'a Moment,
    pub(super) predicted: Option<&'a Predicted>,
}

/// What is assumed of a fleet's scale over its reference before any was seen.
const TYPICAL_SCALE: f32 = 0.05;

/// Known rows from which on a series' own scale is trusted alone.
const OWN_SCALE_ROWS: f32 = 60.0;

impl Fleet {
    pub(super) fn new(config: &Config) -> Self {
        let spreads = Resource::ALL.map(|_| config.horizons_s.iter().map(|_| FleetSpread::new()).collect());
        Self {
            layout: Layout::new(config),
            horizons_s: config.horizons_s.clone(),
            spreads: spreads.to_vec(),
            typical: [TYPICAL_SCALE; RESOURCES],
            board: Board::new(&config.horizons_s),
        }
    }

    /// Judges, learns and forecasts all resources of one host.
    pub(super) fn step(&mut self, host: &mut Host, seen: &Seen<'_>) -> (Vec<Forecast>, Vec<Matured>) {
        let (mut forecasts, mut matured) = (Vec::new(), Vec::new());
        let news = host.seen_ms.is_none_or(|seen_ms| seen_ms < seen.time_ms);
        for resource in Resource::ALL {
            let Some(slot) = host.series.get_mut(resource.index()) else {
                continue;
            };
            let Some(series) = self.series(slot, resource, seen) else {
                continue;
            };
            if news && let Some(since_ms) = host.seen_ms {
                matured.extend(self.learn(series, resource, since_ms, seen));
            }
            forecasts.extend(self.forecast(series, resource, seen, news));
        }
        if news {
            host.seen_ms = Some(seen.time_ms);
        }
        (forecasts, matured)
    }

    /// The series of a resource, begun with the window's rows when it is met first; `None` while it was never
    /// measured.
    fn series<'a>(&self, slot: &'a mut Option<Series>, resource: Resource, seen: &Seen<'_>) -> Option<&'a mut Series> {
        if slot.is_none() {
            let (_, scale) = self.standing(resource, seen.moment)?;
            let values: Vec<f32> = seen.rows.iter().map(|row| value(row, resource)).collect();
            let mut series = Series::new(resource, &self.horizons_s, self.layout.step_s);
            series.learn_past(&values, scale);
            *slot = Some(series);
        }
        slot.as_mut()
    }

    fn learn(&mut self, series: &mut Series, resource: Resource, since_ms: UnixMs, seen: &Seen<'_>) -> Vec<Matured> {
        let step_ms = i64::from(self.layout.step_s) * 1_000;
        let fresh = (seen.time_ms.saturating_sub(since_ms) / step_ms).clamp(0, seen.rows.len() as i64) as usize;
        let truth = |due_ms: UnixMs| {
            let back = usize::try_from((seen.time_ms.saturating_sub(due_ms) + step_ms / 2) / step_ms).ok()?;
            let row = seen
                .rows
                .len()
                .checked_sub(back + 1)
                .and_then(|row| seen.rows.get(row))?;
            Some(value(row, resource)).filter(|value| value.is_finite())
        };
        let Some(fleet) = self.spreads.get_mut(resource.index()) else {
            return Vec::new();
        };
        let ripe = series.judge(since_ms, seen.time_ms, truth, fleet, &mut self.board);
        let newest = seen.rows.iter().skip(seen.rows.len() - fresh);
        series.push(newest.map(|row| value(row, resource)));
        let matured = ripe.into_iter().map(|ripe| Matured {
            resource,
            horizon_s: ripe.forecast.horizon_s,
            made_ms: ripe.forecast.made_ms,
            value: f64::from(ripe.truth),
            scale: f64::from(ripe.scale),
            forecast: ripe.forecast,
        });
        matured.collect()
    }

    fn forecast(&mut self, series: &mut Series, resource: Resource, seen: &Seen<'_>, news: bool) -> Vec<Forecast> {
        let index = resource.index();
        // A series that has been silent for the whole window keeps its last level.
        let standing = self.standing(resource, seen.moment).or_else(|| series.standing());
        let (Some((last, scale)), Some(fleet)) = (standing, self.spreads.get(index)) else {
            return Vec::new();
        };
        let lstm = seen.predicted.and_then(|predicted| predicted.of(resource));
        let forecasts = series.forecast(
            &Now {
                time_ms: seen.time_ms,
                last,
                scale,
                lstm,
            },
            fleet,
            news,
        );
        let typical = self.typical.get_mut(index).filter(|_| news);
        if let (Some(typical), Some(reference)) = (typical, seen.moment.reference.get(index)) {
            *typical += 0.001 * (scale / reference - *typical);
        }
        forecasts
    }

    /// The newest known value and the scale of a resource; `None` when the window has no value of it. While few
    /// rows are known, the scale leans on the fleet's.
    fn standing(&self, resource: Resource, moment: &Moment) -> Option<(f32, f32)> {
        let index = resource.index();
        let (last, scale) = (*moment.last.get(index)?, *moment.scale.get(index)?);
        let (known, reference) = (*moment.known.get(index)? as f32, *moment.reference.get(index)?);
        let lent = OWN_SCALE_ROWS / 4.0 * (1.0 - known / OWN_SCALE_ROWS).max(0.0);
        let typical = *self.typical.get(index)? * reference;
        let blended = ((known * scale * scale + lent * typical * typical) / (known + lent)).sqrt();
        last.is_finite().then_some((last, blended))
    }
}

/// One resource of a row.
fn value(row: &ResourceRow, resource: Resource) -> f32 {
    row.get(resource.index()).copied().unwrap_or(f32::NAN)
}
