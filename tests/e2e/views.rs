//! The tree that people see in MQTT Explorer and `mosquitto_sub`.

use std::process::Command;

use crate::{
    harness::{PATIENCE, have, until},
    observer::Observer,
    stack::Stack,
};

/// The longest payload that MQTT Explorer shows well.
const MAX_VIEW: usize = 200;

#[test]
fn views_are_small_flat_json() {
    let stack = Stack::new();
    let _broker = stack.broker();
    let _brain = stack.brain();
    let observer = Observer::new(stack.port);
    let _agent = stack.agent();
    for ending in [
        "view/status",
        "view/cpu",
        "view/allocation",
        "view/forecast/memory/15m",
        "view/models",
        "view/fleet",
    ] {
        observer.expect(ending);
    }
    for (topic, payloads) in observer.seen(|topic| topic.contains("/view/") || topic.ends_with("/status")) {
        for payload in payloads {
            assert!(payload.len() <= MAX_VIEW, "{topic} has {} bytes", payload.len());
            let view: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            let fields = view
                .as_object()
                .unwrap_or_else(|| panic!("{topic} is no object: {view}"));
            assert!(
                fields.values().all(|value| !value.is_object() && !value.is_array()),
                "{topic}: {view}"
            );
        }
    }
}

#[test]
fn mosquitto_sub_sees_the_retained_tree() {
    if !have("mosquitto_sub") {
        return;
    }
    let stack = Stack::new();
    let _broker = stack.broker();
    let _brain = stack.brain();
    let observer = Observer::new(stack.port);
    let _agent = stack.agent();
    observer.expect("view/forecast/cpu/5m");
    let port = stack.port.to_string();
    let tree = || {
        let arguments = [
            "-p",
            &port,
            "-v",
            "-t",
            "foreshadow/#",
            "-t",
            "$SYS/#",
            "-T",
            "foreshadow/+/+/bin/#",
            "-W",
            "2",
        ];
        let output = Command::new("mosquitto_sub").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    until("status, views and broker figures are retained", PATIENCE, || {
        let tree = tree();
        let expected = [
            "main/web-1/status/inband {",
            "main/web-1/view/memory {",
            "view/forecast/cpu/5m {",
            "$SYS/broker/",
        ];
        expected.iter().all(|part| tree.contains(part))
    });
}
