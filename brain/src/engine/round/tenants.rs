//! What runs on hosts: its forecasts, as often as anything is allocated but at least once a minute, and those that are stored.

use std::sync::Arc;

use shadow::{Forecast, UnixMs};

use super::{super::Engine, MINUTE_MS};
use crate::{fleet::Fleet, foresight::Tenants};

impl Engine {
    /// If a minute is over at `end_ms`, or a row that is longer, or the time between two plans where that is shorter, the
    /// workloads of all hosts are forecast.
    pub(in crate::engine) fn workloads(&mut self, end_ms: UnixMs) {
        let step_ms = self.config.grid.step_ms();
        let every_ms = self.config.allocate.every.as_millis().min(MINUTE_MS);
        if end_ms.rem_euclid(every_ms.max(step_ms)) < step_ms {
            let all = tenants(&self.fleet);
            self.foresight
                .step_workloads(end_ms, end_ms.div_euclid(step_ms), &self.hot, &all);
        }
    }

    /// Hands over the newest forecasts, to be made durable. While there is no room for them they are used and not stored,
    /// which is counted.
    pub(super) fn store_forecasts(&mut self) {
        let of_host = |(host, forecast): (&Arc<str>, &Forecast)| (host.clone(), forecast.clone());
        let hosts = self.foresight.all().map(of_host);
        let workloads = self.foresight.of_workloads().flat_map(|(host, workload, expected)| {
            let each = expected.forecasts.iter().cloned();
            each.map(move |forecast| (host.clone(), workload.clone(), forecast))
        });
        if self.has_room() {
            self.batch.forecasts.extend(hosts);
            self.batch.workload_forecasts.extend(workloads);
            return;
        }
        for (kind, count) in [("forecasts", hosts.count()), ("workload_forecasts", workloads.count())] {
            self.figures.records_dropped.with(kind).add(count as u64);
        }
    }
}

/// The workloads of all hosts that have any, the most critical in front.
fn tenants(fleet: &Fleet) -> Vec<Tenants<'_>> {
    let of_host = |(host, known)| {
        let known: &crate::fleet::Host = known;
        let mut all: Vec<_> = known.workloads().iter().collect();
        all.sort_by(|a, b| b.criticality.cmp(&a.criticality).then_with(|| a.name.cmp(&b.name)));
        Tenants {
            host,
            capacity: known.capacity(),
            names: all.into_iter().map(|workload| workload.name.as_str()).collect(),
        }
    };
    fleet
        .hosts()
        .map(of_host)
        .filter(|tenants| !tenants.names.is_empty())
        .collect()
}
