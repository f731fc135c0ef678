//! All hosts, step by step: judge what was said, take in what came, say what comes.

mod fleet;
mod host;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rayon::prelude::*;
use shadow::{Channel, Forecast, Peak, Resource, UnixMs};

use crate::{
    artifact::Artifact,
    config::Config,
    error::{ArtifactError, ConfigError},
    inference::Predictor,
    score::{Experts, ScoreTable},
};
use fleet::Fleet;
use host::Host;
pub(crate) use host::Seen;

/// Fewest hosts that are worth another thread.
const HOSTS_A_TASK: usize = 2;

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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostForecasts {
    /// Its name.
    pub host: String,
    /// By target, then by horizon, nearest first. Targets without any value in the window are left out.
    pub forecasts: Vec<Forecast>,
    /// The highest values that are expected, by target, then by hold, shortest first; none where no network knows.
    pub peaks: Vec<Peak>,
    /// Forecasts that fell due at this step, by target, then by the time they were made.
    pub matured: Vec<Matured>,
    /// Peaks whose time ended at this step; of those said within a minute, one.
    pub matured_peaks: Vec<MaturedPeak>,
}

/// A published peak and the highest value that came.
#[derive(Debug, Clone, PartialEq)]
pub struct MaturedPeak {
    /// Of which of [`Config::targets`].
    pub target: usize,
    /// How long the time was, in seconds.
    pub hold_s: u32,
    /// When it was said; the time began behind this moment.
    pub made_ms: UnixMs,
    /// The highest value that came, in the resource's unit.
    pub value: f64,
    /// What had been published, at [`shadow::PEAK_QUANTILES`].
    pub quantiles: [f64; 6],
}

/// A published forecast and the value that came.
#[derive(Debug, Clone, PartialEq)]
pub struct Matured {
    /// Of which of [`Config::targets`].
    pub target: usize,
    /// What that is part of.
    pub resource: Resource,
    /// How far ahead it was made, in seconds.
    pub horizon_s: u32,
    /// When it was made; the value came `horizon_s` later.
    pub made_ms: UnixMs,
    /// The value that came, in the resource's unit.
    pub value: f64,
    /// What had been published.
    pub forecast: Forecast,
    /// What it was made of.
    pub experts: Experts,
    /// The series' recent spread when it was made, in the resource's unit, above 0: residuals divided by it
    /// compare between series. Where it was a guess then, as in a series' first minutes, it is what is known now.
    pub scale: f64,
}

/// Forecasts of a fleet.
#[derive(Debug)]
pub struct Forecaster {
    config: Config,
    predictor: Option<Predictor>,
    hosts: BTreeMap<String, Host>,
    fleet: Fleet,
}

impl Forecaster {
    /// A forecaster that knows nothing yet.
    ///
    /// # Errors
    /// [`ConfigError`] when a setting is out of its range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Self::with(config, &Resource::ALL, fleet::HOST_SCALE)
    }

    /// Like [`Forecaster::new`], for parts of hosts of which only targets of these resources are forecast. Their other
    /// channels are read all the same: what runs on a host has its own use of few resources, and the host's of the others
    /// beside it. Before it is known, the use of a part is believed to change less than that of a whole host.
    ///
    /// # Errors
    /// [`ConfigError`] when a setting is out of its range.
    pub fn of_parts(config: Config, resources: &[Resource]) -> Result<Self, ConfigError> {
        Self::with(config, resources, fleet::PART_SCALE)
    }

    fn with(config: Config, resources: &[Resource], scale: f32) -> Result<Self, ConfigError> {
        config.validate()?;
        let fleet = Fleet::new(&config, resources, scale);
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

    /// Takes a trained network among the experts. It counts most from the start; after a retraining its predecessor's
    /// record counts half.
    ///
    /// # Errors
    /// [`ArtifactError::Foreign`] when it was trained for another grid, window, horizons or targets.
    pub fn adopt(&mut self, artifact: &Artifact) -> Result<(), ArtifactError> {
        let predictor = artifact.predictor(&self.config)?;
        if self.predictor.replace(predictor).is_some() {
            let series = self
                .hosts
                .values_mut()
                .flat_map(|host| host.series.iter_mut().flatten());
            series.for_each(crate::ladder::Series::doubt_lstm);
        }
        Ok(())
    }

    /// Time was set back: what was forecast is judged no more, and time may be anything in the next step. What was learnt
    /// stays.
    pub fn rewind(&mut self) {
        for host in self.hosts.values_mut() {
            host.rewind();
        }
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
    /// Returns one entry a window, in their order; each host is to come once. The cost is one pass over the rows and, when
    /// a network is adopted, one forward pass for all hosts together, both on the threads of the pool that it is called in.
    pub fn step(&mut self, time_ms: UnixMs, windows: &[HostWindow<'_>]) -> Vec<HostForecasts> {
        let layout = &self.fleet.layout;
        let known = |window: &HostWindow<'_>| self.hosts.remove(window.host).unwrap_or_else(|| Host::new(layout));
        let mut hosts: Vec<Host> = windows.iter().map(known).collect();
        let looks = hosts.par_iter_mut().zip(windows).with_min_len(HOSTS_A_TASK);
        let seen: Vec<Seen<'_>> = looks
            .map(|(host, window)| {
                let rows = window.rows;
                let rows = rows.get(rows.len().saturating_sub(layout.lookback)..).unwrap_or(rows);
                host.look(layout, time_ms, rows)
            })
            .collect();
        let predicted = self
            .predictor
            .as_ref()
            .map(|predictor| predictor.predict(&seen))
            .unwrap_or_default();
        let mut made = Vec::with_capacity(windows.len());
        for (index, ((window, mut host), seen)) in windows.iter().zip(hosts).zip(&seen).enumerate() {
            let of_host = self.fleet.step(&mut host, seen, predicted.get(index));
            self.hosts.insert(window.host.to_owned(), host);
            made.push(HostForecasts {
                host: window.host.to_owned(),
                ..of_host
            });
        }
        made
    }
}
