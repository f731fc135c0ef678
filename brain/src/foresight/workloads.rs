//! Forecasts of what runs on hosts: each workload is a series of its own to the one model of the cell.
//!
//! A workload is given to the forecaster as a host whose cpu and memory are its own, as shares of what its host has, and
//! whose network, disk and power are its host's: what it reads beside them. They are forecast as often as anything is
//! allocated, once a minute at least and as a rule, which costs a sixth of what hosts cost on a grid of 10 s.

use std::{collections::BTreeMap, sync::Arc};

use forecast::{Forecaster, HostForecasts, HostWindow};
use shadow::{Capacity, Channel, Forecast, Peak, Quantiles, Resource, UnixMs};

use crate::store::memory::HotStore;

/// The most workloads of one host that are forecast, and of all hosts together: their rows are looked at for two seconds
/// a minute then.
const MOST: (usize, usize) = (32, 10_000);

/// Workloads whose rows are held at a time, besides their hosts'.
const AT_A_TIME: usize = 256;

/// What is known of a workload of which nothing has come for so long is forgotten.
const SILENT_MS: i64 = 3_600_000;

/// What is forecast of a workload.
const RESOURCES: [Resource; 2] = [Resource::Cpu, Resource::Memory];

/// The workloads of one host, as allocation counts them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tenants<'a> {
    /// Their host.
    pub(crate) host: &'a Arc<str>,
    /// What it has: a workload's use is a share of it. Without it nothing is forecast.
    pub(crate) capacity: Capacity,
    /// Their names, what is forecast first in front.
    pub(crate) names: Vec<&'a str>,
}

/// What is expected of one workload.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Expected {
    /// In cores and bytes, by resource and horizon.
    pub(crate) forecasts: Vec<Forecast>,
    /// The highest use within a time, likewise; none where no network knows.
    pub(crate) peaks: Vec<Peak>,
}

/// Forecasts of all workloads.
#[derive(Debug)]
pub(super) struct Workloads {
    forecaster: Forecaster,
    latest: BTreeMap<Arc<str>, BTreeMap<String, Expected>>,
    /// When each was seen last, by the name that the forecaster has for it.
    seen_ms: BTreeMap<String, UnixMs>,
}

impl Workloads {
    pub(super) fn new(config: forecast::Config) -> Result<Self, forecast::ConfigError> {
        Ok(Self {
            forecaster: Forecaster::of_parts(config, &RESOURCES)?,
            latest: BTreeMap::new(),
            seen_ms: BTreeMap::new(),
        })
    }

    pub(super) fn adopt(&mut self, artifact: &forecast::Artifact) -> Result<(), forecast::ArtifactError> {
        self.forecaster.adopt(artifact)
    }

    pub(super) fn rewind(&mut self) {
        self.forecaster.rewind();
        self.latest.clear();
        self.seen_ms.values_mut().for_each(|seen_ms| *seen_ms = UnixMs::MIN);
    }

    pub(super) fn forget(&mut self, host: &str) {
        self.latest.remove(host);
        let of_host = |name: &str| name.split_once('/').is_some_and(|(of, _)| of == host);
        let forecaster = &mut self.forecaster;
        self.seen_ms.retain(|name, _| {
            let kept = !of_host(name);
            if !kept {
                forecaster.forget(name);
            }
            kept
        });
    }

    /// Takes in the rows before `end`, which ended at `time_ms`, and forecasts the workloads of all hosts, as many as are
    /// looked at.
    pub(super) fn step(&mut self, time_ms: UnixMs, end: i64, hot: &HotStore, all: &[Tenants<'_>]) {
        // Of what memory no longer knows nothing is expected.
        self.latest.clear();
        let rows = i64::try_from(self.forecaster.config().lookback_rows()).unwrap_or(i64::MAX);
        let each = most_of_a_host(all.len());
        let mut waiting = Vec::new();
        for tenants in all {
            let names = tenants.names.get(..each).unwrap_or(&tenants.names);
            let of_host = hot.workload_rows(tenants.host, names, end, rows).into_iter();
            waiting.extend(of_host.map(|(name, rows)| Waiting::new(tenants, name, rows)));
            if waiting.len() >= AT_A_TIME {
                self.forecast(time_ms, &std::mem::take(&mut waiting));
            }
        }
        self.forecast(time_ms, &waiting);
        self.forget_silent(time_ms);
    }

    fn forecast(&mut self, time_ms: UnixMs, waiting: &[Waiting<'_>]) {
        let windows: Vec<_> = waiting
            .iter()
            .map(|of| HostWindow {
                host: &of.key,
                rows: &of.rows,
            })
            .collect();
        let made = self.forecaster.step(time_ms, &windows);
        for (of, made) in waiting.iter().zip(made) {
            self.seen_ms.insert(of.key.clone(), time_ms);
            let of_host = self.latest.entry(Arc::clone(of.host)).or_default();
            of_host.insert(of.name.to_owned(), expected(made, of.capacity));
        }
    }

    fn forget_silent(&mut self, time_ms: UnixMs) {
        let forecaster = &mut self.forecaster;
        self.seen_ms.retain(|name, seen_ms| {
            let kept = time_ms.saturating_sub(*seen_ms) <= SILENT_MS;
            if !kept {
                forecaster.forget(name);
            }
            kept
        });
    }

    /// What is expected of a workload; `None` where nothing is.
    pub(super) fn expected(&self, host: &str, workload: &str) -> Option<&Expected> {
        self.latest.get(host)?.get(workload)
    }

    /// All that is expected, by host and workload.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<str>, &String, &Expected)> {
        self.latest.iter().flat_map(|(host, of_host)| {
            of_host
                .iter()
                .map(move |(workload, expected)| (host, workload, expected))
        })
    }
}

/// A workload whose rows are read.
struct Waiting<'a> {
    host: &'a Arc<str>,
    name: &'a str,
    capacity: Capacity,
    /// What the forecaster calls it: hosts have no slash in their names.
    key: String,
    rows: Vec<[f32; Channel::COUNT]>,
}

impl<'a> Waiting<'a> {
    #[expect(clippy::cast_possible_truncation, reason = "rows are of single precision")]
    fn new(tenants: &Tenants<'a>, name: &'a str, mut rows: Vec<[f32; Channel::COUNT]>) -> Self {
        for resource in RESOURCES {
            let by = 1.0 / amount(tenants.capacity, resource);
            for row in &mut rows {
                if let Some(value) = row.get_mut(resource.index()) {
                    *value = (f64::from(*value) * by) as f32;
                }
            }
        }
        Self {
            host: tenants.host,
            name,
            capacity: tenants.capacity,
            key: format!("{}/{name}", tenants.host),
            rows,
        }
    }
}

/// How many workloads of each of so many hosts are forecast.
fn most_of_a_host(hosts: usize) -> usize {
    (MOST.1 / hosts.max(1)).clamp(1, MOST.0)
}

/// What a share of 1 is; NaN where it is not known, so that nothing is forecast.
fn amount(capacity: Capacity, resource: Resource) -> f64 {
    capacity.of(resource).filter(|amount| *amount > 0.0).unwrap_or(f64::NAN)
}

/// From shares of a host to cores and bytes.
fn expected(made: HostForecasts, capacity: Capacity) -> Expected {
    let known = |resource: Resource| Some(amount(capacity, resource)).filter(|amount| amount.is_finite());
    let forecast = |forecast: Forecast| {
        let by = known(forecast.resource)?;
        Some(Forecast {
            quantiles: Quantiles::from_array(forecast.quantiles.to_array().map(|share| share * by)),
            ..forecast
        })
    };
    let peak = |peak: Peak| {
        let by = known(peak.resource)?;
        Some(Peak {
            quantiles: peak.quantiles.map(|share| share * by),
            ..peak
        })
    };
    Expected {
        forecasts: made.forecasts.into_iter().filter_map(forecast).collect(),
        peaks: made.peaks.into_iter().filter_map(peak).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::{Readings, Shape, recent::Bounds};

    const STEP_MS: i64 = 10_000;

    fn store() -> HotStore {
        HotStore::new(Shape {
            step_ms: STEP_MS,
            rows: 2_160,
            minutes: 60,
            recent: Bounds { span_ms: 0, bytes: 0 },
        })
    }

    /// Row `row` of a host of 4 cores that rests, on which `web` and `batch` take turns.
    fn add(hot: &HotStore, host: &Arc<str>, row: i64) {
        let turn = row.div_euclid(60).rem_euclid(2) as f64;
        let mut channels = [f64::NAN; 7];
        (channels[0], channels[2]) = (0.5, 1e6);
        let readings = Readings {
            times: vec![((row + 1) * STEP_MS, STEP_MS)],
            channels: vec![channels],
            workloads: vec![
                ("web".into(), vec![[2.0 * turn, 1e9]]),
                ("batch".into(), vec![[2.0 - 2.0 * turn, 2e9]]),
            ],
        };
        hot.add(host, &readings, UnixMs::MIN, row);
        hot.close(row + 1);
    }

    fn tenants<'a>(host: &'a Arc<str>, names: &[&'a str]) -> Tenants<'a> {
        Tenants {
            host,
            capacity: Capacity {
                cpu_cores: Some(4.0),
                memory_bytes: Some(8e9),
                ..Capacity::default()
            },
            names: names.to_vec(),
        }
    }

    fn workloads() -> Workloads {
        Workloads::new(forecast::Config {
            lookback_s: Some(4 * 3_600),
            ..forecast::Config::for_step(10)
        })
        .unwrap()
    }

    #[test]
    fn each_is_forecast_by_its_own_past_in_cores_and_bytes() {
        let (hot, host, mut workloads) = (store(), Arc::from("a"), workloads());
        for row in 0..1_800 {
            add(&hot, &host, row);
            if row % 6 == 5 {
                let all = [tenants(&host, &["web", "batch", "gone"])];
                workloads.step((row + 1) * STEP_MS, row + 1, &hot, &all);
            }
        }
        let of = |name: &str| {
            let expected = workloads.expected("a", name).unwrap();
            let of = |resource: Resource, horizon_s: u32| {
                let found = expected.forecasts.iter();
                let found = found.filter(|forecast| (forecast.resource, forecast.horizon_s) == (resource, horizon_s));
                found.map(|forecast| forecast.quantiles).next().unwrap()
            };
            assert_eq!(expected.forecasts.len(), 6, "cpu and memory, three horizons each");
            (of(Resource::Cpu, 300), of(Resource::Memory, 900))
        };
        let ((web, web_memory), (batch, batch_memory)) = (of("web"), of("batch"));
        // The host has stood at two cores all the time; each of them goes up to two and down to none.
        assert!(web.p95 > 1.7 && batch.p95 > 1.7, "{web:?} {batch:?}");
        assert!(web.p99 <= 4.0);
        let close = |quantile: f64, bytes: f64| assert!((quantile / bytes - 1.0).abs() < 0.05, "{quantile}");
        close(web_memory.p50, 1e9);
        close(batch_memory.p50, 2e9);
        assert_eq!(workloads.expected("a", "gone"), None);
        assert_eq!(workloads.all().count(), 2);
        // Calibrated on its own: the judged truths tell of coverage.
        let told = &workloads.expected("a", "web").unwrap().forecasts[0];
        assert!(told.coverage.unwrap() > 0.85 && told.skill.is_some(), "{told:?}");
    }

    #[test]
    fn what_is_silent_is_forgotten_and_without_a_capacity_nothing_is_said() {
        let (hot, host, mut workloads) = (store(), Arc::from("a"), workloads());
        (0..60).for_each(|row| add(&hot, &host, row));
        workloads.step(60 * STEP_MS, 60, &hot, &[tenants(&host, &["web", "batch"])]);
        assert_eq!(workloads.seen_ms.len(), 2);
        let later_ms = 60 * STEP_MS + 2 * SILENT_MS;
        workloads.step(later_ms, 60, &hot, &[tenants(&host, &["web"])]);
        assert_eq!(workloads.seen_ms.keys().collect::<Vec<_>>(), ["a/web"]);
        let mut bare = tenants(&host, &["web"]);
        bare.capacity.cpu_cores = None;
        workloads.step(later_ms + 60_000, 60, &hot, &[bare]);
        let told = &workloads.expected("a", "web").unwrap().forecasts;
        assert!(
            told.len() == 3 && told.iter().all(|forecast| forecast.resource == Resource::Memory),
            "{told:?}"
        );
        workloads.forget("a");
        assert!(workloads.seen_ms.is_empty() && workloads.latest.is_empty());
    }

    #[test]
    fn hosts_share_what_is_looked_at() {
        assert_eq!([1, 300, 500, 5_000, 20_000].map(most_of_a_host), [32, 32, 20, 2, 1]);
    }
}
