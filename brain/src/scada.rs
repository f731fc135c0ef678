//! The newest snapshot as a Sparkplug B edge node ([`sparkplug`]) has it: a device a host that is not offline.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use runtime::Shutdown;
use sparkplug::{Device, Metric, Picture, Source, Value, node::Name};
use tokio::sync::watch;

use crate::{
    Config,
    snapshot::{HostView, ResourceView, Snapshot, WorkloadView},
    view::horizon,
};

/// The newest snapshot.
struct Shown(watch::Receiver<Arc<Snapshot>>);

impl Source for Shown {
    fn picture(&self) -> Picture {
        let snapshot = Arc::clone(&self.0.borrow());
        picture(&snapshot)
    }
}

/// Tells what `snapshot` shows, in a task of its own, until `shutdown`.
pub(crate) fn start(config: &Config, snapshot: &watch::Receiver<Arc<Snapshot>>, shutdown: &Shutdown) {
    if !config.sparkplug {
        return;
    }
    let name = name(config);
    let edge = sparkplug::Config {
        broker: config.broker.clone(),
        client_id: format!("{}-{}-sparkplug", name.node, name.group),
        name,
        every: config.sparkplug_every.duration(),
    };
    drop(sparkplug::start(edge, Arc::new(Shown(snapshot.clone())), shutdown));
}

fn name(config: &Config) -> Name {
    Name {
        group: config.cell.clone(),
        node: trust::access::edge_node(&config.prefix),
    }
}

fn picture(snapshot: &Snapshot) -> Picture {
    let mut incidents: BTreeMap<&str, u32> = BTreeMap::new();
    for incident in snapshot.incidents.iter().filter(|incident| incident.goes_on) {
        *incidents.entry(&incident.host).or_default() += 1;
    }
    let living = snapshot.hosts.iter().filter(|host| host.state != "offline");
    let devices: Vec<Device> = living
        .map(|host| device(host, incidents.get(&*host.name).copied().unwrap_or(0)))
        .collect();
    Picture {
        time_ms: snapshot.time_ms,
        metrics: vec![
            text("mode", &snapshot.mode),
            number("hosts", "", Some(devices.len() as f64)),
            number("incidents", "", Some(incidents.values().sum::<u32>().into())),
        ],
        devices,
    }
}

fn device(host: &HostView, incidents: u32) -> Device {
    let mut metrics = vec![
        text("state", &host.state),
        number("incidents", "", Some(incidents.into())),
    ];
    host.resources.iter().for_each(|it| resource(it, &mut metrics));
    host.workloads.iter().for_each(|it| workload(it, &mut metrics));
    Device {
        name: host.name.clone(),
        metrics,
    }
}

fn resource(view: &ResourceView, metrics: &mut Vec<Metric>) {
    let name = |what: &str| format!("{}/{what}", view.resource);
    metrics.push(number(name("now"), view.unit, view.value));
    metrics.push(number(name("capacity"), view.unit, view.capacity));
    metrics.push(number(name("peak"), view.unit, view.peak()));
    for forecast in &view.forecasts {
        let ahead = horizon(forecast.horizon_s);
        let told = [("p50", forecast.quantiles.p50), ("p95", forecast.quantiles.p95)];
        metrics
            .extend(told.map(|(quantile, value)| number(name(&format!("{ahead}/{quantile}")), view.unit, Some(value))));
    }
}

fn workload(view: &WorkloadView, metrics: &mut Vec<Metric>) {
    let name = |what: &str| format!("workloads/{}/{what}", view.name);
    metrics.extend([
        number(name("cpu/now"), "cores", view.cpu_cores),
        number(name("cpu/reserved"), "cores", view.cpu_reserved),
        number(name("memory/now"), "B", view.memory_bytes),
        number(name("memory/reserved"), "B", view.memory_reserved),
    ]);
}

fn number(name: impl Into<Cow<'static, str>>, unit: &'static str, value: Option<f64>) -> Metric {
    Metric {
        name: name.into(),
        unit,
        value: Value::Number(value),
    }
}

fn text(name: &'static str, text: &str) -> Metric {
    Metric {
        name: name.into(),
        unit: "",
        value: Value::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use shadow::Resource;

    use super::*;

    /// What a broker that knows roles lets a brain do is what it does.
    #[test]
    fn a_brain_may_be_an_edge_node() {
        let config = Config {
            cell: "lab".to_owned(),
            prefix: "site/foreshadow".to_owned(),
            ..Config::default()
        };
        let name = name(&config);
        let rules = trust::access::brain(&config.prefix, &config.cell);
        let has = |access, filter: &str| rules.iter().any(|rule| rule.access == access && rule.filter == filter);
        assert!(has(trust::Access::Read, &name.commands()));
        assert!(has(trust::Access::Write, "spBv1.0/lab/+/site-foreshadow/#"));
        assert_eq!(name.death(0).topic, "spBv1.0/lab/NDEATH/site-foreshadow");
    }

    #[test]
    fn a_host_that_is_offline_is_no_device() {
        let host = |name: &str, state: &str| HostView {
            name: name.to_owned(),
            state: state.to_owned(),
            resources: vec![ResourceView {
                resource: Resource::Power,
                unit: "W",
                value: Some(90.0),
                absent: String::new(),
                capacity: None,
                forecasts: Vec::new(),
                peaks: Vec::new(),
            }],
            ..HostView::default()
        };
        let snapshot = Snapshot {
            mode: "acting".to_owned(),
            hosts: vec![host("a", "online"), host("b", "offline"), host("c", "stale")],
            ..Snapshot::default()
        };
        let picture = picture(&snapshot);
        let names: Vec<&str> = picture.devices.iter().map(|device| &*device.name).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(picture.metrics[1], number("hosts", "", Some(2.0)));
        assert!(
            picture.devices[0]
                .metrics
                .contains(&number("power/now", "W", Some(90.0)))
        );
    }
}
