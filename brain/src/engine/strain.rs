//! What became of those from whom something was taken: their pressure, throttling and kills, before and after.

use shadow::{Reading, UnixMs, Vantage};

use super::Engine;
use crate::{
    allocate::Key,
    feedback::{Strain, metrics},
    store::memory::columns,
};

/// How much is looked at, before a lowering and lately, in milliseconds.
const BEFORE_MS: i64 = 120_000;
const LATELY_MS: i64 = 60_000;

/// The most that is looked at a row: frames are decoded for it. Where more is watched, each is looked at less often.
const MOST: usize = 20;

impl Engine {
    /// Looks at lowerings of the last minutes.
    pub(super) fn look_at_strain(&mut self, end_ms: UnixMs) {
        for look in self.dispatch.looks(end_ms, MOST) {
            let lately = self.strain(&look.key, (look.since_ms.max(end_ms - LATELY_MS), end_ms));
            let before = (look.since_ms - BEFORE_MS, look.since_ms);
            let before = look.needs_base.then(|| self.strain(&look.key, before));
            let hurt = self.dispatch.strained(&look.key, end_ms, (before, lately));
            if let Some(said) = hurt {
                let Key {
                    host,
                    workload,
                    resource,
                } = &look.key;
                self.figures.hurts.inc();
                tracing::warn!(host, workload, %resource, said, "a lowering hurt and is undone");
            }
        }
    }

    fn strain(&self, key: &Key, within: (UnixMs, UnixMs)) -> Strain {
        let asked = metrics(&key.workload, key.resource);
        let names: Vec<&str> = asked.iter().map(|name| name.as_deref().unwrap_or_default()).collect();
        let Some(chains) = self.hot.recent(&key.host, Vantage::Inband, within.0) else {
            return Strain::default();
        };
        let told = columns::read(&chains, &names, within);
        let mut means = told.columns.iter().map(|column| mean(column));
        let mut next = || means.next().flatten();
        let (pressure, throttled, kills, refaults) = (next(), next(), next(), next());
        let seconds = (within.1 - within.0) as f64 / 1_000.0;
        Strain {
            pressure,
            throttled,
            kills: kills.map(|per_s| per_s * seconds),
            refaults,
        }
    }
}

fn mean(column: &[Reading]) -> Option<f64> {
    let values: Vec<f64> = column.iter().filter_map(|reading| reading.value()).collect();
    let sum: f64 = values.iter().sum();
    (!values.is_empty()).then(|| sum / values.len() as f64)
}
