//! What the page asks for each second: parts of a snapshot, borrowed, small enough for a large fleet.

use std::collections::BTreeMap;

use serde::Serialize;
use shadow::{Resource, UnixMs};

use crate::{
    dispatch::Freeze,
    snapshot::{
        AnomalyView, CommandView, EventView, HostView, IncidentView, ModelView, PoolView, ResourceView, Snapshot,
        Totals,
    },
};

/// How many of the newest commands, events and anomalies of the whole cell go along.
const NEWEST: usize = 50;

/// The cell at a glance.
#[derive(Debug, Serialize)]
pub(super) struct Fleet<'a> {
    time_ms: UnixMs,
    cell: &'a str,
    mode: &'a str,
    freeze: Option<&'a Freeze>,
    /// What the cell as a whole has, where it has limits.
    pool: Vec<&'a PoolView>,
    hosts: Vec<HostLine<'a>>,
    model: &'a ModelView,
    totals: &'a Totals,
    commands: &'a [CommandView],
    anomalies: &'a [AnomalyView],
    incidents: &'a [IncidentView],
    events: &'a [EventView],
    unmet: &'a [String],
}

/// One host in a line.
#[derive(Debug, Serialize)]
struct HostLine<'a> {
    name: &'a str,
    state: &'a str,
    last_sample_ms: UnixMs,
    /// Anomalies that go on now.
    anomalies: usize,
    resources: Vec<Gauge>,
}

/// One resource in a bar.
#[derive(Debug, Serialize)]
struct Gauge {
    resource: Resource,
    unit: &'static str,
    value: Option<f64>,
    capacity: Option<f64>,
    /// The p95 at the farthest horizon; absent without a forecast.
    p95: Option<f64>,
    /// How far ahead that is.
    horizon_s: Option<u32>,
}

impl<'a> Fleet<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut ongoing = BTreeMap::<&str, usize>::new();
        for anomaly in snapshot.anomalies.iter().filter(|a| a.until_ms >= snapshot.time_ms) {
            *ongoing.entry(&anomaly.host).or_default() += 1;
        }
        let line = |host: &'a HostView| HostLine {
            name: &host.name,
            state: &host.state,
            last_sample_ms: host.last_sample_ms,
            anomalies: ongoing.get(host.name.as_str()).copied().unwrap_or(0),
            resources: host.resources.iter().map(Gauge::of).collect(),
        };
        Self {
            time_ms: snapshot.time_ms,
            cell: &snapshot.cell,
            mode: &snapshot.mode,
            freeze: snapshot.freeze.as_ref(),
            pool: snapshot.pool.iter().filter(|pool| pool.host.is_none()).collect(),
            hosts: snapshot.hosts.iter().map(line).collect(),
            model: &snapshot.model,
            totals: &snapshot.totals,
            commands: newest(&snapshot.commands),
            anomalies: newest(&snapshot.anomalies),
            incidents: newest(&snapshot.incidents),
            events: newest(&snapshot.events),
            unmet: newest(&snapshot.unmet),
        }
    }
}

impl Gauge {
    fn of(view: &ResourceView) -> Self {
        let farthest = view.forecasts.iter().max_by_key(|forecast| forecast.horizon_s);
        Self {
            resource: view.resource,
            unit: view.unit,
            value: view.value,
            capacity: view.capacity,
            p95: farthest.map(|forecast| forecast.quantiles.p95),
            horizon_s: farthest.map(|forecast| forecast.horizon_s),
        }
    }
}

fn newest<T>(items: &[T]) -> &[T] {
    items.get(..NEWEST).unwrap_or(items)
}

/// One host with its pool, commands, events and anomalies.
#[derive(Debug, Serialize)]
pub(super) struct HostDetail<'a> {
    time_ms: UnixMs,
    host: &'a HostView,
    pool: Vec<&'a PoolView>,
    commands: Vec<&'a CommandView>,
    anomalies: Vec<&'a AnomalyView>,
    incidents: Vec<&'a IncidentView>,
    events: Vec<&'a EventView>,
}

impl<'a> HostDetail<'a> {
    /// `None` when the host was never seen.
    pub(super) fn of(snapshot: &'a Snapshot, name: &str) -> Option<Self> {
        let host = snapshot.hosts.iter().find(|host| host.name == name)?;
        Some(Self {
            time_ms: snapshot.time_ms,
            host,
            pool: snapshot
                .pool
                .iter()
                .filter(|pool| pool.host.as_deref() == Some(name))
                .collect(),
            commands: snapshot
                .commands
                .iter()
                .filter(|c| c.command.host == name)
                .take(NEWEST)
                .collect(),
            anomalies: snapshot
                .anomalies
                .iter()
                .filter(|a| a.host == name)
                .take(NEWEST)
                .collect(),
            incidents: snapshot
                .incidents
                .iter()
                .filter(|incident| incident.host == name)
                .take(NEWEST)
                .collect(),
            events: snapshot
                .events
                .iter()
                .filter(|event| event.host == name)
                .take(NEWEST)
                .collect(),
        })
    }
}
