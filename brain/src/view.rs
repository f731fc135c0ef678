//! Views: what people see in MQTT Explorer or `mosquitto_sub`. Retained flat JSON of at most [`MAX_BYTES`],
//! with stable keys and bare numbers, so that every number can be plotted.

use std::{collections::BTreeMap, time::Duration};

use runtime::Span;
use shadow::{Forecast, Resource, UnixMs};

use crate::{
    allocate::proposals::{Fate, Proposal},
    snapshot::{AnomalyView, HostView, PoolView, ResourceView, Snapshot},
};

mod flat;

use flat::Flat;

/// The longest view, in bytes: a line on a screen, and well within what MQTT Explorer keeps.
pub(crate) const MAX_BYTES: usize = 200;

/// What was published last by topic, so that only changes are published.
#[derive(Debug, Default)]
pub(crate) struct Views {
    published: BTreeMap<String, String>,
}

impl Views {
    /// The views of `views` that differ from what was published, which they now count as.
    pub(crate) fn changes(&mut self, views: Vec<(String, String)>) -> Vec<(String, String)> {
        let published = &mut self.published;
        let mut changes = views;
        changes.retain(|(topic, view)| published.get(topic) != Some(view));
        for (topic, view) in &changes {
            published.insert(topic.clone(), view.clone());
        }
        changes
    }

    /// A view could not be published; it is told again.
    pub(crate) fn failed(&mut self, topic: &str) {
        self.published.remove(topic);
    }

    /// Forgets the views whose topics begin with `prefix`, and tells these topics.
    pub(crate) fn remove(&mut self, prefix: &str) -> Vec<String> {
        let old = self.published.range(prefix.to_owned()..).map(|(topic, _)| topic);
        let old: Vec<String> = old.take_while(|topic| topic.starts_with(prefix)).cloned().collect();
        for topic in &old {
            self.published.remove(topic);
        }
        old
    }

    /// The broker may have lost what it retained: everything is told again.
    pub(crate) fn forget(&mut self) {
        self.published.clear();
    }
}

/// The views of one host: path below `view/`, and JSON.
pub(crate) fn of_host(snapshot: &Snapshot, host: &HostView) -> Vec<(String, String)> {
    let mut views = vec![("status".to_owned(), status(host))];
    for resource in &host.resources {
        views.push((resource.resource.to_string(), value(resource)));
        for forecast in &resource.forecasts {
            let path = format!("forecast/{}/{}", resource.resource, horizon(forecast.horizon_s));
            views.push((path, quantiles(forecast)));
        }
    }
    views.push(("anomaly".to_owned(), anomaly(snapshot, &host.name)));
    views.push(("incident".to_owned(), incident(snapshot, &host.name)));
    views.push(("allocation".to_owned(), allocation(snapshot, &host.name)));
    views.extend(event(snapshot, &host.name).map(|view| ("event".to_owned(), view)));
    views
}

/// The views of the cell: path below `_brain/view/`, and JSON.
pub(crate) fn of_cell(snapshot: &Snapshot) -> [(&'static str, String); 4] {
    [
        ("fleet", fleet(snapshot)),
        ("pool", pool(&snapshot.pool)),
        ("plan", plan(snapshot)),
        ("models", models(snapshot)),
    ]
}

/// `5m`, `15m`, `1h30m`.
pub(crate) fn horizon(horizon_s: u32) -> String {
    let span = Span(Duration::from_secs(u64::from(horizon_s)));
    span.to_string().replace(' ', "")
}

fn seconds(time_ms: UnixMs) -> f64 {
    time_ms as f64 / 1_000.0
}

fn status(host: &HostView) -> String {
    Flat::new()
        .text("state", &host.state)
        .number("sample_time", seconds(host.last_sample_ms).floor())
        .number("interval_s", host.interval_ms as f64 / 1_000.0)
        .number("workloads", host.workloads.len() as f64)
        .maybe("clock_s", host.clock_offset_ms.map(|ms| (ms as f64 / 1_000.0).round()))
        .text("agent", &host.agent_version)
        .finish()
}

fn value(resource: &ResourceView) -> String {
    let Some(now) = resource.value else {
        return Flat::new().text("absent", &resource.absent).finish();
    };
    let flat = Flat::new()
        .number("value", now)
        .text("unit", resource.unit)
        .maybe("capacity", resource.capacity);
    match resource.forecasts.last() {
        Some(far) => flat
            .number("horizon_s", f64::from(far.horizon_s))
            .number("p50", far.quantiles.p50)
            .number("p95", far.quantiles.p95)
            .text("rung", far.rung.as_str())
            .finish(),
        None => flat.finish(),
    }
}

fn quantiles(forecast: &Forecast) -> String {
    Flat::new()
        .number("p50", forecast.quantiles.p50)
        .number("p90", forecast.quantiles.p90)
        .number("p95", forecast.quantiles.p95)
        .number("p99", forecast.quantiles.p99)
        .number("made", seconds(forecast.made_ms).floor())
        .text("rung", forecast.rung.as_str())
        .maybe("skill", forecast.skill)
        .maybe("coverage", forecast.coverage)
        .number("lstm", forecast.shares.lstm)
        .finish()
}

fn anomaly(snapshot: &Snapshot, host: &str) -> String {
    let goes_on = |a: &&AnomalyView| a.host == host && a.until_ms >= snapshot.time_ms;
    let active: Vec<&AnomalyView> = snapshot.anomalies.iter().filter(goes_on).collect();
    let flat = Flat::new().number("active", active.len() as f64);
    match active.iter().max_by(|a, b| a.score.total_cmp(&b.score)) {
        Some(worst) => flat
            .text("resource", worst.resource.as_str())
            .number("score", worst.score)
            .number("since", seconds(worst.since_ms).floor())
            .text("evidence", &worst.evidence)
            .finish(),
        None => flat.finish(),
    }
}

/// The incident that goes on, by its likely cause; `severity` is `none` without one.
fn incident(snapshot: &Snapshot, host: &str) -> String {
    let mut incidents = snapshot.incidents.iter();
    match incidents.find(|incident| incident.goes_on && incident.host == host) {
        Some(incident) => Flat::new()
            .text("severity", incident.severity)
            .number("since", seconds(incident.since_ms).floor())
            .number("score", incident.score)
            .number("signals", incident.signals.len() as f64)
            .text("acknowledged", incident.acknowledged_by.as_deref().unwrap_or(""))
            .text("cause", &incident.cause)
            .finish(),
        None => Flat::new().text("severity", "none").finish(),
    }
}

/// The newest event; nothing before the first.
fn event(snapshot: &Snapshot, host: &str) -> Option<String> {
    let newest = snapshot.events.iter().find(|event| event.host == host)?;
    let flat = Flat::new()
        .number("time", seconds(newest.time_ms).floor())
        .text("severity", newest.severity)
        .text("source", &newest.source)
        .text("kind", &newest.kind)
        .text("subject", &newest.subject)
        .text("text", &newest.text);
    Some(flat.finish())
}

fn allocation(snapshot: &Snapshot, host: &str) -> String {
    let mut flat = Flat::new();
    for (resource, reserved, free) in [
        (Resource::Cpu, "cpu_reserved", "cpu_free"),
        (Resource::Memory, "memory_reserved", "memory_free"),
    ] {
        let mut pool = snapshot.pool.iter();
        if let Some(account) =
            pool.find(|account| account.host.as_deref() == Some(host) && account.resource == resource)
        {
            flat = flat.number(reserved, account.reserved).number(free, account.free);
        }
    }
    let mut commands = snapshot.commands.iter();
    match commands.find(|view| view.command.host == host) {
        Some(last) => flat
            .text("command", &last.command.id)
            .number("changes", last.command.changes.len() as f64)
            .text(
                "outcome",
                last.outcome
                    .as_ref()
                    .map_or("waiting", |outcome| outcome.state.as_str()),
            )
            .finish(),
        None => flat.finish(),
    }
}

fn fleet(snapshot: &Snapshot) -> String {
    let count = |state: &str| snapshot.hosts.iter().filter(|host| host.state == state).count() as f64;
    let goes_on = snapshot.anomalies.iter().filter(|a| a.until_ms >= snapshot.time_ms);
    Flat::new()
        .number("hosts", snapshot.hosts.len() as f64)
        .number("online", count("online"))
        .number("stale", count("stale"))
        .number("offline", count("offline"))
        .number("samples_per_s", snapshot.totals.samples_per_s)
        .number("missing", snapshot.totals.missing as f64)
        .number("refused", snapshot.totals.refused as f64)
        .number("anomalies", goes_on.count() as f64)
        .finish()
}

fn pool(accounts: &[PoolView]) -> String {
    let mut flat = Flat::new();
    for (resource, capacity, reserved) in [
        (Resource::Cpu, "cpu_capacity", "cpu_reserved"),
        (Resource::Memory, "memory_capacity", "memory_reserved"),
        (Resource::Power, "power_capacity", "power_reserved"),
    ] {
        let hosts = || accounts.iter().filter(|account| account.host.is_some());
        let of = || hosts().filter(|account| account.resource == resource);
        // A resource of which nobody knows the capacity is left out: that is not a pool of 0.
        if of().next().is_some() {
            flat = flat.number(capacity, of().map(|account| account.capacity).sum());
            flat = flat.number(reserved, of().map(|account| account.reserved).sum());
        }
    }
    let hosts = accounts.iter().filter(|account| account.host.is_some());
    let queued: u32 = hosts.map(|account| account.queued).sum();
    flat.number("queued", f64::from(queued)).finish()
}

/// What the plan may do, what waits for somebody's word, and what could be taken back.
fn plan(snapshot: &Snapshot) -> String {
    let mut flat = Flat::new()
        .text("mode", &snapshot.mode)
        .number("unmet", snapshot.unmet.len() as f64);
    let open = |proposal: &&Proposal| proposal.fate == Fate::Open;
    flat = flat.number("proposals", snapshot.proposals.iter().filter(open).count() as f64);
    for (resource, reclaimable) in [
        (Resource::Cpu, "cpu_reclaimable"),
        (Resource::Memory, "memory_reclaimable"),
    ] {
        let hosts = snapshot.pool.iter().filter(|account| account.host.is_some());
        let of = hosts.filter(|account| account.resource == resource);
        flat = flat.number(reclaimable, of.map(|account| account.reclaimable).sum());
    }
    let mut cell = snapshot.pool.iter().filter(|account| account.host.is_none());
    let power = cell.find(|account| account.resource == Resource::Power);
    flat = flat.maybe("cell_power_free", power.map(|account| account.free));
    match &snapshot.freeze {
        Some(freeze) => flat
            .number("frozen", seconds(freeze.since_ms).floor())
            .text("by", &freeze.by)
            .text("reason", &freeze.reason)
            .finish(),
        None => flat.finish(),
    }
}

fn models(snapshot: &Snapshot) -> String {
    let model = &snapshot.model;
    let [last, ewma, lstm] = model.served;
    Flat::new()
        .text("state", &model.state)
        .text("version", &model.version)
        .number("trained", seconds(model.trained_ms).floor())
        .number("rows", model.rows as f64)
        .number("rows_needed", model.rows_needed as f64)
        .number("last", last)
        .number("ewma", ewma)
        .number("lstm", lstm)
        .finish()
}

#[cfg(test)]
mod tests;
