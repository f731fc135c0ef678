//! Other people's clients, each with the same scenario in its own language: QoS 0, 1 and 2, wildcards, overlapping
//! filters, 1 MiB, retained messages, a will, a lasting session, a takeover. `tests/interop/install` puts them in place.

use std::{path::PathBuf, process::Stdio};

use broker::{Config, WebSocket};
use tokio::{process::Command, time::timeout};

use crate::harness::{Broker, PATIENCE, step_aside};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/interop")
}

fn scenario(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/interop")
        .join(name)
}

/// Runs a scenario for both versions, each with a broker of its own; says so where the client is not there. `scheme` says
/// whether it comes over TCP or WebSocket.
async fn check(needs: PathBuf, scheme: &str, command: impl Fn() -> Command) {
    if !needs.exists() {
        let needs = needs.display();
        return step_aside(&format!("{needs} is not there: run broker/tests/interop/install"));
    }
    for version in ["4", "5"] {
        let local = "127.0.0.1:0".parse().unwrap();
        let broker = Broker::listen(Config {
            listen: local,
            websocket: Some(WebSocket {
                listen: local,
                ..WebSocket::default()
            }),
            ..Config::default()
        })
        .await;
        let addr = if scheme == "ws" {
            broker.handle.websocket().unwrap()
        } else {
            broker.addr()
        };
        let mut command = command();
        command.args([&addr.port().to_string(), version, scheme]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(2 * PATIENCE, command.output()).await;
        let output = output.expect("the scenario does not end").unwrap();
        assert!(output.status.success(), "version {version}: {output:?}");
        broker.stop().await;
    }
}

#[tokio::test]
async fn paho_in_python() {
    let python = folder().join("venv/bin/python");
    check(python.clone(), "mqtt", || {
        let mut command = Command::new(&python);
        command.arg(scenario("paho_scenario.py"));
        command
    })
    .await;
}

#[tokio::test]
async fn mqtt_js() {
    mqtt_js_over("mqtt").await;
}

#[tokio::test]
async fn mqtt_js_over_websocket() {
    mqtt_js_over("ws").await;
}

async fn mqtt_js_over(scheme: &str) {
    let package = folder().join("npm/node_modules/mqtt");
    check(package.clone(), scheme, || {
        let mut command = Command::new("node");
        command.arg(scenario("mqttjs_scenario.js")).arg(&package);
        command
    })
    .await;
}
