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

#[cfg(test)]
mod tests {
    use shadow::Rung;

    use super::*;
    use crate::synthetic::{artifact, cycle, quick};

    type Row = [f32; Channel::COUNT];

    /// Steps through `rows`; returns what each step gave.
    fn run(forecaster: &mut Forecaster, rows: &[Row], from: usize) -> Vec<HostForecasts> {
        let steps = (from..rows.len()).map(|row| {
            let window = HostWindow {
                host: "a",
                rows: &rows[..=row],
            };
            forecaster.step(row as i64 * 60_000, &[window]).remove(0)
        });
        steps.collect()
    }

    fn sound(forecast: &Forecast) -> bool {
        let quantiles = forecast.quantiles.to_array();
        quantiles.is_sorted() && quantiles.iter().all(|value| value.is_finite() && *value >= 0.0)
    }

    #[test]
    fn the_first_row_has_an_answer_and_absent_resources_have_none() {
        let mut forecaster = Forecaster::new(quick()).unwrap();
        let made = run(&mut forecaster, &cycle("a", 1, 1).rows, 0);
        let of: Vec<Resource> = made[0].forecasts.iter().map(|forecast| forecast.resource).collect();
        let [cpu, memory, network, disk] = [Resource::Cpu, Resource::Memory, Resource::Network, Resource::Disk];
        assert_eq!(of, [cpu, cpu, memory, memory, network, network, disk, disk]);
        assert!(
            made[0]
                .forecasts
                .iter()
                .all(|forecast| sound(forecast) && forecast.rung == Rung::Last)
        );
        let spread = made[0].forecasts[0].quantiles;
        assert!(
            spread.p95 - spread.p50 > 0.02,
            "the fleet's spread, not the lone row's: {spread:?}"
        );
    }

    #[test]
    fn truths_mature_after_their_horizon_with_what_was_published() {
        let mut forecaster = Forecaster::new(quick()).unwrap();
        let rows = cycle("a", 30, 1).rows;
        let made = run(&mut forecaster, &rows, 10);
        assert!(made[4].matured.is_empty());
        let ripe = &made[5].matured[0];
        assert_eq!(
            (ripe.resource, ripe.horizon_s, ripe.made_ms),
            (Resource::Cpu, 300, 600_000)
        );
        assert_eq!(ripe.value, f64::from(rows[15][0]));
        assert_eq!(ripe.forecast, made[0].forecasts[0]);
        assert!(ripe.scale > 0.0);
        let both = made[12]
            .matured
            .iter()
            .filter(|ripe| ripe.resource == Resource::Cpu)
            .count();
        assert_eq!(both, 2, "one of each horizon");
    }

    #[test]
    fn skipped_and_repeated_steps_are_no_trouble() {
        let mut forecaster = Forecaster::new(quick()).unwrap();
        let rows = cycle("a", 150, 1).rows;
        run(&mut forecaster, &rows[..100], 0);
        let step = |forecaster: &mut Forecaster, row: usize| {
            let window = HostWindow {
                host: "a",
                rows: &rows[..=row],
            };
            forecaster.step(row as i64 * 60_000, &[window]).remove(0)
        };
        let after = step(&mut forecaster, 106);
        let due: Vec<i64> = after
            .matured
            .iter()
            .filter(|m| m.resource == Resource::Cpu)
            .map(|m| m.made_ms)
            .collect();
        assert_eq!(due.len(), 5 + 7, "5 min: rows 95 to 99; 10 min: rows 90 to 96: {due:?}");
        assert!(after.matured.iter().all(|ripe| {
            let row = (ripe.made_ms / 60_000) as usize + ripe.horizon_s as usize / 60;
            ripe.resource != Resource::Cpu || ripe.value == f64::from(rows[row][0])
        }));
        let again = step(&mut forecaster, 106);
        assert!(again.matured.is_empty() && again.forecasts == after.forecasts);
        let back = step(&mut forecaster, 90);
        assert!(back.matured.is_empty() && back.forecasts.iter().all(sound));
        assert_eq!(step(&mut forecaster, 107).matured.len() % 4, 0);
    }

    #[test]
    fn gaps_never_poison_and_silence_keeps_the_last_level() {
        let mut forecaster = Forecaster::new(quick()).unwrap();
        forecaster.adopt(&artifact()).unwrap();
        let mut rows = cycle("a", 400, 1).rows;
        for (row, values) in rows.iter_mut().enumerate() {
            if row % 3 == 0 || (100..200).contains(&row) {
                values[row % 6] = f32::NAN;
                values[0] = f32::INFINITY;
            }
        }
        for made in run(&mut forecaster, &rows, 1) {
            assert!(made.forecasts.iter().all(sound), "{made:?}");
        }
        assert!(
            forecaster
                .scores()
                .rows
                .iter()
                .all(|row| row.all.served.pinball.is_finite())
        );
        let silent = vec![[f32::NAN; 7]; 2_000];
        let window = HostWindow {
            host: "a",
            rows: &silent,
        };
        let made = forecaster.step(3_000 * 60_000, &[window]).remove(0);
        assert_eq!(made.forecasts.len(), 8);
        assert!(made.forecasts.iter().all(sound));
    }

    #[test]
    fn the_network_serves_once_it_has_won_and_the_same_steps_give_the_same() {
        let artifact = artifact();
        let rows = cycle("a", 1_000, 4).rows;
        let once = || {
            let mut forecaster = Forecaster::new(quick()).unwrap();
            forecaster.adopt(&artifact).unwrap();
            (run(&mut forecaster, &rows, 300), forecaster.scores())
        };
        let (made, scores) = once();
        assert_eq!(once(), (made.clone(), scores.clone()));
        assert_ne!(made[10].forecasts[0].rung, Rung::Lstm, "no evidence yet");
        let newest = &made.last().unwrap().forecasts[0];
        assert!(newest.rung == Rung::Lstm && newest.skill.unwrap() > 0.3, "{newest:?}");
        let cpu = &scores.rows[0];
        assert!(
            cpu.served_share[2] > 0.8 && (cpu.coverage_p95 - 0.95).abs() < 0.04,
            "{cpu:?}"
        );
        let fair = cpu.with_lstm.unwrap();
        assert!(fair.served.pinball < 0.6 * fair.last.pinball, "{fair:?}");
    }
}
