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
    options: Vec<String>,
}

impl Parts {
    /// `None`, with the reason printed, where they are not named.
    pub(crate) fn find() -> Option<Self> {
        let (Ok(vm), Ok(agent)) = (env::var("FORESHADOW_EDGE_VM"), env::var("FORESHADOW_EDGE_AGENT")) else {
            eprintln!("SKIPPED: FORESHADOW_EDGE_VM and FORESHADOW_EDGE_AGENT do not name a guest and an agent");
            return None;
        };
        let options = Vec::new();
        Some(Self { vm, agent, options })
    }

    /// With further options for the guest's command, which win over those that are given here.
    pub(crate) fn with(mut self, options: &[&str]) -> Self {
        self.options = options.iter().map(|option| (*option).to_owned()).collect();
        self
    }

    /// A guest in which the agent runs, reaching the stack's broker, with QEMU's monitor at `monitor`. `prepare` is a
    /// script that runs before it.
    pub(crate) fn boot(&self, stack: &Stack, bmc: &str, config: &str, prepare: &str, monitor: &Path) -> Process {
        let run = ["run", "--config", "/share/agent.toml"];
        self.boot_with(stack, bmc, config, prepare, monitor, &run)
    }

    /// As [`Parts::boot`], with other `arguments` for the agent's binary; the folder that is shared is kept.
    pub(crate) fn boot_with(
        &self,
        stack: &Stack,
        bmc: &str,
        config: &str,
        prepare: &str,
        monitor: &Path,
        arguments: &[&str],
    ) -> Process {
        let share = stack.path().join("share");
        fs::create_dir_all(&share).unwrap();
        let config = format!("host = \"edge-1\"\n[broker]\nhost = \"10.0.2.100\"\n{config}");
        write(&share, "agent.toml", &config);
        let prepare = write(stack.path(), "prepare", prepare);
        let forward = format!("1883:{}", stack.port);
        let options = [
            ["--fwd", &forward],
            ["--bmc", bmc],
            ["--share", share.to_str().unwrap()],
            ["--pre", &prepare],
            ["--monitor", monitor.to_str().unwrap()],
            ["--timeout", "400"],
        ];
        let more: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let agent = ["--", &self.agent];
        Process::start(&self.vm, &[&options.concat()[..], &more, &agent, arguments].concat())
    }
}
