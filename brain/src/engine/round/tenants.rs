//! What runs on hosts: its forecasts, as often as anything is allocated but at least once a minute, and those that are stored.

use shadow::UnixMs;

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

    /// Hands over the newest forecasts of workloads, to be made durable.
    pub(super) fn store_of_workloads(&mut self) {
        for (host, workload, expected) in self.foresight.of_workloads() {
            let each = expected.forecasts.iter().cloned();
            let rows = each.map(|forecast| (host.clone(), workload.clone(), forecast));
            self.batch.workload_forecasts.extend(rows);
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
