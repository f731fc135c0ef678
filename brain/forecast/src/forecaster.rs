//! All hosts, step by step: judge what was said, take in what came, say what comes.

use std::collections::BTreeMap;

use shadow::{Channel, Forecast, Resource, UnixMs};

use crate::{
    artifact::Artifact,
    config::Config,
    error::{ArtifactError, ConfigError},
    features::{Moment, describe},
    inference::{Predicted, Predictor},
    ladder::{FleetSpread, Now, Series},
    score::{Board, ScoreTable},
    window::{Layout, RESOURCES, ResourceRow, resources},
};

/// The newest rows of one host.
#[derive(Debug, Clone, Copy)]
pub struct HostWindow<'a> {
    /// Its name.
    pub host: &'a str,
    /// Rows on the grid, oldest first, columns in the order of [`Channel::ALL`], NaN = missing. The last row is
    /// the one of the step's time. [`Config::lookback_rows`] are made use of; fewer are fine.
    pub rows: &'a [[f32; Channel::COUNT]],
}

/// What is expected of one host, and which earlier forecasts have met their truth.
#[derive(Debug, Clone, PartialEq)]
pub struct HostForecasts {
    /// Its name.
    pub host: String,
    /// By resource, then by horizon, nearest first. Resources without any value in the window are left out.
    pub forecasts: Vec<Forecast>,
    /// Forecasts that fell due at this step, by resource, then by the time they were made.
    pub matured: Vec<Matured>,
}

/// A published forecast and the value that came.
#[derive(Debug, Clone, PartialEq)]
pub struct Matured {
    /// Of what.
    pub resource: Resource,
    /// How far ahead it was made, in seconds.
    pub horizon_s: u32,
    /// When it was made; the value came `horizon_s` later.
    pub made_ms: UnixMs,
    /// The value that came, in the resource's unit.
    pub value: f64,
    /// What had been published.
    pub forecast: Forecast,
    /// The series' recent spread when it was made, in the resource's unit, above 0: residuals divided by it
    /// compare between series.
    pub scale: f64,
}

/// One host.
#[derive(Debug, Default)]
struct Host {
    /// Time of the newest row taken in.
    seen_ms: Option<UnixMs>,
    /// By resource; `None` until it was measured.
    series: [Option<Series>; RESOURCES],
}

/// What all hosts share.
#[derive(Debug)]
struct Fleet {
    layout: Layout,
    horizons_s: Vec<u32>,
    /// Errors by resource, then by horizon.
    spreads: Vec<Vec<FleetSpread>>,
    /// Typical scale over reference by resource, for hosts of which little is known.
    typical: [f32; RESOURCES],
    board: Board,
}

/// Forecasts of a fleet, by the ladder.
#[derive(Debug)]
pub struct Forecaster {
    config: Config,
    predictor: Option<Predictor>,
    hosts: BTreeMap<String, Host>,
    fleet: Fleet,
}

/// One host at one step.
struct Seen<'a> {
    time_ms: UnixMs,
    rows: &'a [ResourceRow],
    moment: &'a Moment,
    predicted: Option<&'a Predicted>,
}

/// What is assumed of a fleet's scale over its reference before any was seen.
const TYPICAL_SCALE: f32 = 0.05;

/// Known rows from which on a series' own scale is trusted alone.
const OWN_SCALE_ROWS: f32 = 60.0;

impl Forecaster {
    /// A forecaster that knows nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`] when a setting is out of its range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let spreads = Resource::ALL.map(|_| config.horizons_s.iter().map(|_| FleetSpread::new()).collect());
        let fleet = Fleet {
            layout: Layout::new(&config),
            horizons_s: config.horizons_s.clone(),
            spreads: spreads.to_vec(),
            typical: [TYPICAL_SCALE; RESOURCES],
            board: Board::new(&config.horizons_s),
        };
        Ok(Self {
            config,
            predictor: None,
            hosts: BTreeMap::new(),
            fleet,
        })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Puts a trained network on the top rung. It serves a series once it has shown there that it wins; after a
    /// retraining its predecessor's record counts half.
    ///
    /// # Errors
    /// [`ArtifactError::Foreign`] when it was trained for another grid, window or horizons.
    pub fn adopt(&mut self, artifact: &Artifact) -> Result<(), ArtifactError> {
        self.predictor = Some(artifact.predictor(&self.config)?);
        for series in self
            .hosts
            .values_mut()
            .flat_map(|host| host.series.iter_mut().flatten())
        {
            series.doubt_lstm();
        }
        Ok(())
    }

    /// Drops what is known of a host.
    pub fn forget(&mut self, host: &str) {
        self.hosts.remove(host);
    }

    /// Scores since the forecaster began.
    pub fn scores(&self) -> ScoreTable {
        self.fleet.board.table()
    }

    /// Judges earlier forecasts by the rows that came, and forecasts every host at `time_ms`, the time of the
    /// newest row. It should rise by the grid's step from call to call; gaps are allowed, and at a repeated or
    /// earlier time nothing is judged or learnt.
    ///
    /// Returns one entry a window, in their order. The cost is one pass over the rows and, when a network is
    /// adopted, one forward pass for all hosts together.
    pub fn step(&mut self, time_ms: UnixMs, windows: &[HostWindow<'_>]) -> Vec<HostForecasts> {
        let lookback = self.fleet.layout.lookback;
        let newest = |rows: &[[f32; Channel::COUNT]]| -> Vec<ResourceRow> {
            rows.iter()
                .skip(rows.len().saturating_sub(lookback))
                .map(resources)
                .collect()
        };
        let rows: Vec<Vec<ResourceRow>> = windows.iter().map(|window| newest(window.rows)).collect();
        let moments: Vec<Moment> = rows.iter().map(|rows| describe(&self.fleet.layout, rows)).collect();
        let predicted = self
            .predictor
            .as_ref()
            .map(|predictor| predictor.predict(&moments))
            .unwrap_or_default();
        let mut made = Vec::with_capacity(windows.len());
        for (index, (window, (rows, moment))) in windows.iter().zip(rows.iter().zip(&moments)).enumerate() {
            let seen = Seen {
                time_ms,
                rows,
                moment,
                predicted: predicted.get(index),
            };
            let host = self.hosts.entry(window.host.to_owned()).or_default();
            let (forecasts, matured) = self.fleet.step(host, &seen);
            made.push(HostForecasts {
                host: window.host.to_owned(),
                forecasts,
                matured,
            });
        }
        made
    }
}

impl Fleet {
    fn step(&mut self, host: &mut Host, seen: &Seen<'_>) -> (Vec<Forecast>, Vec<Matured>) {
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
            let mut series = Series::new(resource, &self.horizons_s);
            series.learn_past(&values, scale, i64::from(self.layout.step_s) * 1_000);
            *slot = Some(series);
        }
        slot.as_mut()
    }

    fn learn(&mut self, series: &mut Series, resource: Resource, since_ms: UnixMs, seen: &Seen<'_>) -> Vec<Matured> {
        let step_ms = i64::from(self.layout.step_s) * 1_000;
        let fresh = ((seen.time_ms - since_ms) / step_ms).clamp(0, seen.rows.len() as i64) as usize;
        let truth = |due_ms: UnixMs| {
            let back = usize::try_from((seen.time_ms - due_ms + step_ms / 2) / step_ms).ok()?;
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
        if let (Some(typical), Some(reference)) = (self.typical.get_mut(index), seen.moment.reference.get(index)) {
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
