//! From closed rows to forecasts, and from forecasts that fell due to anomalies.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use anomaly::residual::{self, Detector, Observation, Phase};
use forecast::{Drift, Forecaster, HostWindow, Matured, ScoreTable};
use shadow::{Forecast, Resource, UnixMs};

mod workloads;

pub(crate) use workloads::{Expected, Tenants};

use self::workloads::Workloads;
use crate::{
    snapshot::{AnomalyView, DriftView},
    store::{AnomalyRow, memory::HotStore},
};

/// The most anomalies that are remembered to be shown; the store has the others.
const MAX_SHOWN: usize = 200;

/// Forecasts of all hosts, and what was unusual.
#[derive(Debug)]
pub(crate) struct Foresight {
    forecaster: Forecaster,
    anomaly: residual::Config,
    /// The horizon that values are compared at: the nearest.
    judged_s: u32,
    latest: BTreeMap<Arc<str>, Vec<Forecast>>,
    made_ms: Option<UnixMs>,
    workloads: Workloads,
    drift: Drift,
    detectors: BTreeMap<(Arc<str>, Resource), Detector>,
    /// Oldest first.
    incidents: VecDeque<Incident>,
}

/// One incident, to be shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Incident {
    /// Where.
    pub(crate) host: Arc<str>,
    /// Of what.
    pub(crate) resource: Resource,
    /// When it began.
    pub(crate) since_ms: UnixMs,
    /// What is told of it.
    pub(crate) told: AnomalyRow,
    /// Whether this is the first that is told of it.
    pub(crate) began: bool,
    /// Whether it goes on.
    pub(crate) open: bool,
}

impl Foresight {
    /// Nothing is known yet.
    ///
    /// # Errors
    /// When a setting is out of its range.
    pub(crate) fn new(config: forecast::Config, anomaly: residual::Config) -> Result<Self, forecast::ConfigError> {
        Ok(Self {
            judged_s: config.horizons_s.first().copied().unwrap_or(0),
            workloads: Workloads::new(config.clone())?,
            drift: Drift::new(&config),
            forecaster: Forecaster::new(config)?,
            anomaly,
            latest: BTreeMap::new(),
            made_ms: None,
            detectors: BTreeMap::new(),
            incidents: VecDeque::new(),
        })
    }

    /// Puts back an anomaly that was known before a restart; they come oldest first.
    pub(crate) fn restore(&mut self, host: Arc<str>, resource: Resource, since_ms: UnixMs, told: AnomalyRow) {
        let (began, open) = (false, false);
        self.show(Incident {
            host,
            resource,
            since_ms,
            told,
            began,
            open,
        });
    }

    /// Puts a trained network to work.
    ///
    /// # Errors
    /// When it was trained for another grid or other horizons.
    pub(crate) fn adopt(&mut self, artifact: &forecast::Artifact) -> Result<(), forecast::ArtifactError> {
        self.workloads.adopt(artifact)?;
        self.forecaster.adopt(artifact)
    }

    /// The clock was set back: forecasts of times that have not been are worth nothing.
    pub(crate) fn rewind(&mut self) {
        self.forecaster.rewind();
        self.workloads.rewind();
        self.drift.restart();
        self.latest.clear();
        self.made_ms = None;
    }

    /// Forgets a host.
    pub(crate) fn forget(&mut self, host: &Arc<str>) {
        self.forecaster.forget(host);
        self.workloads.forget(host);
        self.latest.remove(host);
        self.detectors.retain(|(of, _), _| of != host);
    }

    /// Takes in the rows before `end`, which ended at `time_ms`, and forecasts every host. Tells the incidents
    /// that began or changed.
    pub(crate) fn step(&mut self, time_ms: UnixMs, end: i64, hot: &HotStore) -> Vec<Incident> {
        let lookback = i64::try_from(self.forecaster.config().lookback_rows()).unwrap_or(i64::MAX);
        let forecaster = &mut self.forecaster;
        let made = hot.read_windows(end, lookback, |windows| {
            let windows: Vec<_> = windows
                .iter()
                .map(|w| HostWindow {
                    host: w.host,
                    rows: w.rows,
                })
                .collect();
            forecaster.step(time_ms, &windows)
        });
        self.made_ms = Some(time_ms);
        let mut changed = Vec::new();
        // Of a host that memory no longer knows nothing is expected.
        self.latest.clear();
        for of_host in made {
            let host: Arc<str> = of_host.host.into();
            self.drift.add(&of_host.matured);
            let judged_s = self.judged_s;
            for matured in of_host.matured.iter().filter(|matured| matured.horizon_s == judged_s) {
                changed.extend(self.judge(&host, matured));
            }
            self.latest.insert(host, of_host.forecasts);
        }
        changed
    }

    /// How far the network loses more than its own record; `None` where it has none yet.
    pub(crate) fn drift(&self) -> Option<DriftView> {
        let drifted = self.drift.farthest()?;
        let target = self.forecaster.config().targets.get(drifted.target)?;
        Some(DriftView {
            resource: target.resource,
            why: drifted.sign.as_str(),
            score: drifted.score,
            asks: drifted.asks,
        })
    }

    /// A retraining that was asked for has ended: what follows makes a record of its own.
    pub(crate) fn answered(&mut self) {
        self.drift.restart();
    }

    /// Takes in the rows before `end`, which ended at `time_ms`, and forecasts the workloads of all hosts; once a minute.
    pub(crate) fn step_workloads(&mut self, time_ms: UnixMs, end: i64, hot: &HotStore, all: &[Tenants<'_>]) {
        self.workloads.step(time_ms, end, hot, all);
    }

    /// What is expected of a workload, in cores and bytes; `None` where nothing is.
    pub(crate) fn expected(&self, host: &str, workload: &str) -> Option<&Expected> {
        self.workloads.expected(host, workload)
    }

    /// What is expected of all workloads, by host and name.
    pub(crate) fn of_workloads(&self) -> impl Iterator<Item = (&Arc<str>, &String, &Expected)> {
        self.workloads.all()
    }

    fn judge(&mut self, host: &Arc<str>, matured: &Matured) -> Option<Incident> {
        let key = (Arc::clone(host), matured.resource);
        let detector = self
            .detectors
            .entry(key)
            .or_insert_with(|| Detector::new(self.anomaly.clone()));
        let found = detector.observe(&Observation {
            time_ms: matured.made_ms.saturating_add(1_000 * i64::from(matured.horizon_s)),
            value: matured.value,
            forecast: &matured.forecast,
            scale: matured.scale,
        })?;
        let incident = Incident {
            host: Arc::clone(host),
            resource: matured.resource,
            since_ms: found.since_ms,
            told: AnomalyRow {
                until_ms: found.until_ms,
                score: found.score,
                evidence: found.evidence,
            },
            began: found.phase == Phase::Began,
            open: found.phase != Phase::Ended,
        };
        self.show(incident.clone());
        Some(incident)
    }

    fn show(&mut self, incident: Incident) {
        let same = |known: &&mut Incident| {
            known.since_ms == incident.since_ms && known.resource == incident.resource && known.host == incident.host
        };
        match self.incidents.iter_mut().rev().find(same) {
            Some(known) => *known = incident,
            None => self.incidents.push_back(incident),
        }
        if self.incidents.len() > MAX_SHOWN {
            self.incidents.pop_front();
        }
    }

    /// The newest forecasts of a host, by resource and horizon.
    pub(crate) fn latest(&self, host: &str) -> &[Forecast] {
        self.latest.get(host).map_or(&[], Vec::as_slice)
    }

    /// The newest forecasts of all hosts.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Arc<str>, &Forecast)> {
        self.latest
            .iter()
            .flat_map(|(host, forecasts)| forecasts.iter().map(move |forecast| (host, forecast)))
    }

    /// When the newest forecasts were made.
    pub(crate) const fn made_ms(&self) -> Option<UnixMs> {
        self.made_ms
    }

    /// Share of series by rung, in the order last, ewma, lstm.
    pub(crate) fn served(&self) -> [f64; 3] {
        let mut counts = [0.0; 3];
        for (_, forecast) in self.all() {
            if let Some(count) = counts.get_mut(forecast.rung.index()) {
                *count += 1.0;
            }
        }
        let sum: f64 = counts.iter().sum();
        counts.map(|count| if sum > 0.0 { count / sum } else { 0.0 })
    }

    /// Scores since the forecaster began.
    pub(crate) fn scores(&self) -> ScoreTable {
        self.forecaster.scores()
    }

    /// Anomalies, newest first, as they stand at `now_ms`.
    pub(crate) fn anomalies(&self, now_ms: UnixMs) -> Vec<AnomalyView> {
        let view = |incident: &Incident| AnomalyView {
            host: incident.host.to_string(),
            resource: incident.resource,
            since_ms: incident.since_ms,
            until_ms: if incident.open { now_ms } else { incident.told.until_ms },
            score: incident.told.score,
            evidence: incident.told.evidence.clone(),
        };
        self.incidents.iter().rev().map(view).collect()
    }
}
