//! A guest of one processor with two workloads, `web` and `batch`, under a real brain.

use std::{fs, path::PathBuf, thread, time::Duration};

use serde_json::Value;

use super::cell::AGENT;
use crate::{
    guest::Parts,
    harness::{Process, get, listens, until, write},
    stack::Stack,
};

/// Two workloads that do nothing yet, an agent that is started again whenever it dies, and a way to say more.
const PREPARE: &str = r#"
mkdir -p /sys/fs/cgroup/web /sys/fs/cgroup/batch
(while :; do FORESHADOW_LOG=info STATE_DIRECTORY=/share/state /edge/bin run --act --config /share/agent.toml >> /share/agent.log 2>&1 & echo $! > /tmp/agent; wait $!; sleep 1; done) &
(while :; do
  [ -e /share/say ] && mv /share/say /tmp/say && sh /tmp/say
  usleep 200000
done) &
"#;

pub(super) struct Edge {
    pub(super) share: PathBuf,
    pub(super) guest: Process,
    page: u16,
}

impl Edge {
    /// Boots it; `prepare` is a script that runs there as well.
    pub(super) fn boot(parts: &Parts, stack: &Stack, prepare: &str) -> Self {
        let share = stack.path().join("share");
        let monitor = stack.path().join("monitor");
        let rest = ["record", "--for", "2h", "--every", "30s", "--output", "/tmp/trace.csv"];
        let prepare = format!("{PREPARE}{prepare}");
        let guest = parts.boot_with(stack, "none", AGENT, &prepare, &monitor, &rest);
        let page = stack.page;
        let mut edge = Self { share, guest, page };
        edge.wait("the host is known", Duration::from_secs(300), |edge| {
            edge.host()["workloads"].as_array().is_some_and(|all| all.len() == 2)
        });
        edge
    }

    /// Has the guest run a script.
    pub(super) fn say(&mut self, script: &str) {
        write(&self.share, "say.new", script);
        fs::rename(self.share.join("say.new"), self.share.join("say")).unwrap();
        self.wait("the script is taken", Duration::from_secs(60), |edge| {
            !edge.share.join("say").exists()
        });
    }

    /// Something that takes all the time it gets, in a workload.
    pub(super) fn spin(&mut self, workload: &str) {
        self.say(&format!(
            "sh -c 'echo 0 > /sys/fs/cgroup/{workload}/cgroup.procs; while :; do :; done' &\n"
        ));
    }

    pub(super) fn wait(&mut self, what: &str, patience: Duration, mut condition: impl FnMut(&Self) -> bool) {
        until(what, patience, || {
            assert!(self.guest.runs(), "the guest has ended: {}", self.guest.printed());
            thread::sleep(Duration::from_millis(200));
            condition(self)
        });
    }

    /// What the page tells of the guest.
    pub(super) fn host(&self) -> Value {
        let told: Value = serde_json::from_str(&get(self.page, "/api/v1/hosts/edge-1")).unwrap_or(Value::Null);
        told["host"].clone()
    }

    /// What the page tells of the network.
    pub(super) fn model(&self) -> Value {
        let fleet: Value = serde_json::from_str(&get(self.page, "/api/v1/fleet")).unwrap_or(Value::Null);
        fleet["model"].clone()
    }
}

/// What the guest's agent and the brain knew of it when a test failed.
impl Drop for Edge {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let log = fs::read_to_string(self.share.join("agent.log")).unwrap_or_default();
        eprintln!("--- the agent in the guest\n{log}");
        if listens(self.page) {
            eprintln!("--- the host as the page tells it\n{}", self.host());
        }
    }
}
