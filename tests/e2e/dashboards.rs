//! The dashboards and alerts of the lab stack, against what the database and the metrics really have.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

use crate::{
    harness::{PATIENCE, free_port, get, until},
    stack::Stack,
};

pub(crate) fn deploy() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// File and content of each.
pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let files = fs::read_dir(deploy().join("grafana/dashboards")).unwrap();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_slice(&fs::read(&path).unwrap()).unwrap())
    };
    files.map(|file| read(file.unwrap().path())).collect()
}

/// What is asked of Prometheus: which panel, and in which words.
pub(crate) fn expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            let asked = panel["targets"].as_array().unwrap().iter();
            let asked = asked.filter_map(|target| target["expr"].as_str());
            found.extend(asked.map(|text| (format!("{file}: {}", panel["title"]), text.to_owned())));
        }
    }
    found
}

/// How many alert rules there are.
pub(crate) fn alerts() -> usize {
    let text = fs::read_to_string(deploy().join("prometheus/alerts.yml")).unwrap();
    text.lines()
        .filter(|line| line.trim_start().starts_with("- alert:"))
        .count()
}

/// The metrics that a text of PromQL names.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("foreshadow_br")).collect()
}

#[test]
fn every_metric_that_is_watched_is_told() {
    let rules = fs::read_to_string(deploy().join("prometheus/alerts.yml")).unwrap();
    let mut watched = metrics(&rules);
    let dashboards = dashboards();
    let panels = dashboards
        .iter()
        .flat_map(|(_, dashboard)| dashboard["panels"].as_array().unwrap());
    for target in panels.flat_map(|panel| panel["targets"].as_array().unwrap()) {
        watched.extend(target["expr"].as_str().map(metrics).unwrap_or_default());
    }
    assert!(watched.len() > 25, "{watched:?}");

    let stack = Stack::new();
    let port = free_port();
    let _broker = stack.broker_with_metrics(port);
    let _brain = stack.brain();
    let _agent = stack.agent();
    let told = || get(stack.page, "/metrics") + &get(port, "/metrics");
    for name in watched {
        let family = name.strip_suffix("_total").unwrap_or(name);
        let kind = if family == name { "gauge" } else { "counter" };
        let lines = [name, family].map(|name| format!("# TYPE {name} {kind}\n"));
        // What has labels is told from its first value on.
        until(&format!("{name} is told as a {kind}"), PATIENCE, || {
            let told = told();
            lines.iter().any(|line| told.contains(line))
        });
    }
}
