//! What changes by somebody's word are tried on: a broker, an agent and a brain that proposes.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use shadow::wire;
use tempfile::TempDir;

use crate::{
    harness::{PATIENCE, Process, free_port, listens, until, write},
    observer::Observer,
    stack::{AS_EACH_FORECAST_SAYS, KEPT_BY_A_PROGRAM},
};

/// Each change is proposed.
const BY_WORD: &str = "
[proposals]
open_for = \"10m\"
declined_for = \"0s\"
[class.default]
mode = \"recommend\"
";

/// What stands there before anybody limits it.
pub(super) const BEFORE: &str = "64000000000";

/// What a brain of such changes is configured with, and how it is asked.
pub(crate) struct Cell {
    pub(super) page: String,
    pub(super) data: String,
    /// Its configuration.
    pub(crate) brain: String,
}

impl Cell {
    pub(super) fn new(path: &Path, port: u16, keys: &str) -> Self {
        let page = format!("127.0.0.1:{}", free_port());
        let data = path.join("data").display().to_string();
        let policy = write(path, "policy.toml", &format!("{AS_EACH_FORECAST_SAYS}{BY_WORD}"));
        let brain = write(
            path,
            "brain.toml",
            &format!(
                "data_dir = {data:?}\n[broker]\nport = {port}\n[page]\nlisten = {page:?}\nlocal_role = \"operator\"\n[grid]\nstep = \"1s\"\ngrace = \"0s\"\n\
                 length = \"1h\"\n[store]\nflush_every = \"200ms\"\n{keys}train = false\n\
                 [allocate]\nevery = \"2s\"\npolicy = {policy:?}\n",
            ),
        );
        Self { page, data, brain }
    }

    pub(crate) fn start(&self) -> Process {
        Process::foreshadow(&["brain", "--config", &self.brain])
    }

    pub(super) fn run(&self, arguments: &[&str], place: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
        command.args(arguments).args(place).stdin(Stdio::null());
        command.output().unwrap()
    }

    pub(super) fn ask(&self, arguments: &[&str]) -> Output {
        self.run(arguments, &["--page", &self.page])
    }

    /// What is proposed, the newest first; with `all` what was, too. Nothing while no brain answers.
    pub(super) fn proposals(&self, all: bool) -> Vec<Value> {
        let wide: &[&str] = if all {
            &["proposals", "--json", "--all"]
        } else {
            &["proposals", "--json"]
        };
        let told = self.ask(wide);
        serde_json::from_slice(&told.stdout).unwrap_or_default()
    }

    pub(super) fn known(&self, id: &str) -> Option<Value> {
        self.proposals(true).into_iter().find(|known| known["id"] == id)
    }

    pub(super) fn explained(&self, id: &str) -> String {
        let told = self.run(&["explain", id], &["--data-dir", &self.data]);
        String::from_utf8(told.stdout).unwrap()
    }

    /// Decides on what is proposed at the moment; what lapses meanwhile leads to the next.
    pub(crate) fn decide(&self, word: &str, more: &[&str]) -> Value {
        let mut decided = Value::Null;
        until(&format!("something is proposed, to {word} it"), 3 * PATIENCE, || {
            let open = self.proposals(false);
            let Some(id) = open.first().and_then(|known| known["id"].as_str()) else {
                return false;
            };
            let told = self.ask(&[&[word, id, "--json"], more].concat());
            decided = serde_json::from_slice(&told.stdout).unwrap_or_default();
            let said = String::from_utf8_lossy(&told.stderr);
            let may_fail = ["lapsed", "cannot be made now"].iter().any(|why| said.contains(why));
            assert!(told.status.success() || may_fail, "{word} {id}: {said}");
            told.status.success()
        });
        decided
    }
}

/// A broker that is listened to, an agent that limits the memory of its host by a program, and where the brain is to be.
pub(crate) struct Stage {
    pub(crate) cell: Cell,
    pub(super) limit: PathBuf,
    pub(super) observer: Observer,
    pub(super) seen: usize,
    _parts: [Process; 2],
    _folder: TempDir,
}

impl Stage {
    /// With forecasts of the next seconds, and so changes that often.
    pub(super) fn new() -> Self {
        Self::with("[forecast]\nhorizons = [\"3s\", \"5s\", \"10s\"]\n")
    }

    /// With `keys` of the brain's store, and then of its forecasts.
    pub(crate) fn with(keys: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let port = free_port();
        let limit = path.join("limit");
        fs::write(&limit, BEFORE).unwrap();
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = set ]; then echo \"$2\" > {0}; else cat {0}; fi\n",
            limit.display()
        );
        let tool = write(path, "shape", &text);
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        let config = write(path, "broker.toml", &format!("listen = \"127.0.0.1:{port}\"\n"));
        let broker = Process::foreshadow(&["broker", "--config", &config]);
        until("the broker listens", PATIENCE, || listens(port));
        let text = format!(
            "host = \"web-1\"\nstate_dir = {:?}\nruntime_dir = {:?}\n[broker]\nport = {port}\n[pace]\nmin = \"100ms\"\nmax = \"200ms\"\n\
             [frame]\nspan = \"200ms\"\n{KEPT_BY_A_PROGRAM}get = [{tool:?}, \"get\"]\nset = [{tool:?}, \"set\", \"{{value}}\"]\nscale = 1.0\n\
             deadline = \"5s\"\noutlives_reboot = true\n",
            path.join("state"),
            path.join("run"),
        );
        let config = write(path, "agent.toml", &text);
        let agent = Process::foreshadow(&["agent", "--config", &config]);
        Self {
            cell: Cell::new(path, port, keys),
            limit,
            observer: Observer::new(port),
            seen: 0,
            _parts: [agent, broker],
            _folder: folder,
        }
    }

    /// What was commanded since this was asked last, to be carried out.
    pub(super) fn told(&mut self) -> Vec<shadow::Command> {
        let payloads = self.observer.newer("web-1/bin/inband/command", &mut self.seen);
        let all = payloads.iter().map(|payload| wire::decode_command(payload).unwrap());
        all.filter(|command| !command.dry_run).collect()
    }

    /// What stands there.
    pub(super) fn limit(&self) -> String {
        fs::read_to_string(&self.limit).unwrap()
    }
}
