//! What a real brain has limited comes back, whoever is killed.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::{
    cell::{Brain, FORECASTS},
    edge::Edge,
};
use crate::{guest::Parts, stack::Stack};

/// Writes down the limits of both workloads.
const WATCH: &str = r#"
(cd /sys/fs/cgroup; while :; do
  read -r web < web/cpu.max; read -r batch < batch/cpu.max
  echo "web $web batch $batch" > /share/limits.new; mv /share/limits.new /share/limits
  usleep 200000
done) &
"#;
/// No limit stands.
const FREE: &str = "web max 100000 batch max 100000";
/// A boot, a plan, or the end of a lease of 20 s, on a busy machine.
const STEP: Duration = Duration::from_secs(120);

fn limits(edge: &Edge) -> String {
    let text = fs::read_to_string(edge.share.join("limits")).unwrap_or_default();
    text.trim().to_owned()
}

/// Waits until the brain limits what may wait, and tells how far.
fn limited(edge: &mut Edge) {
    edge.wait("the brain limits batch", STEP, |edge| {
        let limits = limits(edge);
        limits
            .split_once("batch ")
            .is_some_and(|(_, batch)| !batch.starts_with("max"))
    });
    eprintln!("limited: {}", limits(edge));
}

fn free(edge: &mut Edge, what: &str) {
    let start = Instant::now();
    edge.wait("no limit stands", STEP, |edge| limits(edge) == FREE);
    eprintln!("{what}: no limit stands after {:?}, leases of 20 s", start.elapsed());
}

fn restored(edge: &Edge) -> usize {
    let log = fs::read_to_string(edge.share.join("agent.log")).unwrap_or_default();
    log.matches("limit_restored").count()
}

#[test]
fn what_a_real_brain_has_limited_comes_back_whoever_is_killed() {
    let Some(parts) = Parts::find() else { return };
    let parts = parts.with(&["--cpus", "1", "--timeout", "900"]);
    let stack = Stack::new();
    let broker = stack.broker();
    let cell = Brain {
        strategies: FORECASTS,
        train: false,
        frozen: false,
        min_coverage: 0.0,
        data: "brain",
    };
    let brain = cell.start(&stack);
    let mut edge = Edge::boot(&parts, &stack, WATCH);
    edge.wait("nothing is limited yet", STEP, |edge| !limits(edge).is_empty());
    edge.spin("web");
    edge.spin("batch");
    limited(&mut edge);
    brain.kill();
    free(&mut edge, "the brain is killed");
    // Another begins an epoch of its own, and is obeyed.
    let brain = cell.start(&stack);
    limited(&mut edge);
    broker.kill();
    free(&mut edge, "the broker is killed");
    let broker = stack.broker();
    limited(&mut edge);
    let before = restored(&edge);
    edge.say("kill -9 $(cat /tmp/agent)\n");
    edge.wait("its next start puts back", STEP, |edge| restored(edge) > before);
    limited(&mut edge);
    brain.stop();
    free(&mut edge, "the brain has stopped");
    drop(broker);
}
