//! The lab stack's Prometheus, as it is configured: it takes the rules, watches real parts, answers every panel, and minds who is gone;
//! and each alert comes when it should and not otherwise, by rule tests that are tried themselves.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::{
    dashboards::{alerts, expressions},
    harness::{PATIENCE, Process, free_port, have, until, write},
    stack::Stack,
};

/// The configuration of the lab stack, with this test's ports, and a second where it says five or fifteen.
fn configuration(stack: &Stack, broker: u16) -> String {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
    let mut text = fs::read_to_string(deploy.join("prometheus.yml")).unwrap();
    for (there, here) in [
        ("brain:8420", format!("127.0.0.1:{}", stack.page)),
        ("broker:9464", format!("127.0.0.1:{broker}")),
        ("/etc/prometheus", deploy.display().to_string()),
        ("scrape_interval: 5s", "scrape_interval: 1s".to_owned()),
        ("evaluation_interval: 15s", "evaluation_interval: 1s".to_owned()),
    ] {
        assert!(text.contains(there), "prometheus.yml has no {there} any more");
        text = text.replace(there, &here);
    }
    write(stack.path(), "prometheus.yml", &text)
}

/// Whether the rules hold their tests, and what `promtool` says.
fn rules_hold(rules: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/alerts_test.yml");
    fs::copy(tests, folder.path().join("alerts_test.yml")).unwrap();
    write(folder.path(), "alerts.yml", rules);
    let mut command = Command::new("promtool");
    let told = command
        .args(["test", "rules", "alerts_test.yml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = [told.stdout, told.stderr].concat();
    (told.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// The rules with each one's line of that key replaced, or left out where `instead` is empty.
fn changed(rules: &str, key: &str, instead: &str) -> String {
    let is_meant = |line: &str| line.trim_start().starts_with(key);
    let lines = rules.split_inclusive('\n');
    lines.map(|line| if is_meant(line) { instead } else { line }).collect()
}

#[test]
fn each_alert_comes_in_time_and_only_then_and_a_change_of_any_rule_is_noticed() {
    if !have("promtool") {
        return;
    }
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus");
    let rules = fs::read_to_string(deploy.join("alerts.yml")).unwrap();
    let (hold, said) = rules_hold(&rules);
    assert!(hold, "{said}");

    let each: Vec<_> = rules.split("- alert: ").skip(1).collect();
    assert_eq!(each.len(), alerts(), "{rules}");
    // What never comes, always comes, comes at once or with other words falls through, of every alert.
    for (key, instead) in [
        ("expr:", "        expr: vector(0) > 1\n"),
        ("expr:", "        expr: vector(1)\n"),
        ("for:", ""),
        ("labels:", "        labels: { severity: other }\n"),
        ("summary:", "          summary: others\n"),
        ("action:", "          action: others\n"),
    ] {
        let (hold, said) = rules_hold(&changed(&rules, key, instead));
        assert!(!hold, "{key} {instead:?} is not noticed");
        for rule in each.iter().filter(|rule| rule.contains(&format!(" {key} "))) {
            let alert = rule.lines().next().unwrap();
            assert!(
                said.contains(&format!("alertname: {alert},")),
                "no rule test minds {alert} with {key} {instead:?}: {said}"
            );
        }
    }
}

/// What its API answers; nothing while it starts.
fn ask(port: u16, path: &str, query: &str) -> Option<Value> {
    let told = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--get"])
        .arg(format!("http://127.0.0.1:{port}/api/v1/{path}"))
        .args(["--data-urlencode", &format!("query={query}")])
        .output();
    serde_json::from_slice(&told.unwrap().stdout).ok()
}

/// How many series an expression gives.
///
/// # Panics
/// When it is none that Prometheus understands.
fn series(port: u16, query: &str) -> usize {
    let Some(told) = ask(port, "query", query) else {
        return 0;
    };
    assert_eq!(told["status"], "success", "{query}: {told}");
    told["data"]["result"].as_array().unwrap().len()
}

#[test]
fn prometheus_takes_the_rules_and_answers_every_panel_and_minds_a_part_that_is_gone() {
    if !["prometheus", "curl"].into_iter().all(have) {
        return;
    }
    let stack = Stack::new();
    let [metrics, port] = [(); 2].map(|()| free_port());
    let broker = stack.broker_with_metrics(metrics);
    let _brain = stack.brain();
    let _agent = stack.agent();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", configuration(&stack, metrics)))
        .arg(format!("--storage.tsdb.path={}", stack.path().join("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let _prometheus = Process::spawn("prometheus", &mut command);

    until("it watches brain and broker", PATIENCE, || {
        series(port, "up{job=~\"foreshadow-.*\"} == 1") == 2
    });
    let expressions = expressions();
    assert!(expressions.len() > 20, "{expressions:?}");
    for (panel, expression) in &expressions {
        // Refusals are told from the first of a reason on, and none need come here.
        let is_rare = expression.contains("foreshadow_brain_refused_total");
        until(&format!("{panel} has a line of {expression}"), PATIENCE, || {
            series(port, expression) > 0 || is_rare
        });
    }

    let evaluated = || {
        let told = ask(port, "rules", "").unwrap_or_default();
        let groups = told["data"]["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        rules
            .map(|rule| (rule["health"].clone(), rule["lastError"].clone(), rule["name"].clone()))
            .collect::<Vec<_>>()
    };
    let named = alerts();
    until("each rule was evaluated", PATIENCE, || {
        let told = evaluated();
        let bad = told.iter().find(|(health, ..)| health == "err");
        assert!(bad.is_none(), "{bad:?}");
        told.len() == named && told.iter().all(|(health, ..)| health == "ok")
    });
    let down = "ALERTS{alertname=\"ForeshadowPartDown\",job=\"foreshadow-broker\"}";
    assert_eq!(series(port, down), 0, "all is well");
    broker.kill();
    until("a broker that is gone is minded", PATIENCE, || series(port, down) == 1);
}
