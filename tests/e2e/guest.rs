//! A Linux guest with one static binary in it: the agent.
//!
//! Wants `FORESHADOW_EDGE_VM` (a command that boots a guest with one static binary: QEMU's q35, KCS, cgroup v2) and
//! `FORESHADOW_EDGE_AGENT` (the agent, built with `-C target-feature=+crt-static`).

use std::{env, fs, path::Path};

use crate::{
    harness::{Process, write},
    stack::Stack,
};

/// What a guest is made of.
pub(crate) struct Parts {
    vm: String,
    agent: String,
}

impl Parts {
    /// `None`, with the reason printed, where they are not named.
    pub(crate) fn find() -> Option<Self> {
        let (Ok(vm), Ok(agent)) = (env::var("FORESHADOW_EDGE_VM"), env::var("FORESHADOW_EDGE_AGENT")) else {
            eprintln!("SKIPPED: FORESHADOW_EDGE_VM and FORESHADOW_EDGE_AGENT do not name a guest and an agent");
            return None;
        };
        Some(Self { vm, agent })
    }

    /// A guest in which the agent runs, reaching the stack's broker, with QEMU's monitor at `monitor`. `prepare` is a
    /// script that runs before it.
    pub(crate) fn boot(&self, stack: &Stack, bmc: &str, config: &str, prepare: &str, monitor: &Path) -> Process {
        let share = stack.path().join("share");
        fs::create_dir(&share).unwrap();
        let config = format!("host = \"edge-1\"\n[broker]\nhost = \"10.0.2.100\"\n{config}");
        write(&share, "agent.toml", &config);
        let prepare = write(stack.path(), "prepare", prepare);
        let forward = format!("1883:{}", stack.port);
        let arguments = [
            ["--fwd", &forward],
            ["--bmc", bmc],
            ["--share", share.to_str().unwrap()],
            ["--pre", &prepare],
            ["--monitor", monitor.to_str().unwrap()],
            ["--timeout", "400"],
            ["--", &self.agent],
            ["run", "--config"],
        ];
        Process::start(&self.vm, &[&arguments.concat()[..], &["/share/agent.toml"]].concat())
    }
}
