//! The fleet as a Sparkplug B edge node, read by a host application that has Tahu's schema.

use std::{path::Path, process::Command};

use crate::{
    harness::{Process, step_aside},
    stack::Stack,
};

/// What a brain is configured with besides.
const SPARKPLUG: &str = "sparkplug = true\n";

#[test]
fn a_host_application_follows_births_data_and_deaths() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = folder.join("target/interop/venv/bin/python");
    if !python.exists() {
        let python = python.display();
        return step_aside(&format!("{python} is not there: run broker/tests/interop/install"));
    }
    let stack = Stack::new();
    let _broker = stack.broker();
    let mut command = Command::new(python);
    command.arg(folder.join("tests/e2e/sparkplug_host.py"));
    command.args([&stack.port.to_string(), "main", "foreshadow", "web-1"]);
    let mut host = Process::spawn("a host application", &mut command);
    host.expect_text("listening");

    let brain = stack.brain_with(SPARKPLUG);
    host.expect_text("born 1");
    let agent = stack.agent();
    // It asks for everything anew as soon as it knows the device.
    host.expect_text("reborn 2");
    host.expect_text("device web-1 born 2");
    host.expect_text("data 2");
    assert!(agent.stop().0.success());
    host.expect_text("device web-1 dead");

    // The broker tells the death of a brain that is gone without a word, and the next brain begins anew.
    brain.kill();
    host.expect_text("dead 2");
    let brain = stack.brain_with(SPARKPLUG);
    host.expect_text("born 3");
    assert!(brain.stop().0.success());
    host.expect_text("dead 3");
    assert!(host.runs());
}
