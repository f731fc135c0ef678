//! A cell with an authority: broker, brain and agents with certificates, over TLS.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    database::number,
    harness::{PATIENCE, Process, listens, until, write},
    stack::Stack,
};

/// Runs `foreshadow pki` on the authority in `folder`, to its end.
///
/// # Panics
/// When it fails.
pub(crate) fn pki(folder: &Path, arguments: &[&str]) -> String {
    let output = command(folder, arguments).output().unwrap();
    let (told, faults) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "pki {arguments:?}: {told}{faults}");
    told.into_owned()
}

/// As [`pki`], where it must fail; gives what it says.
pub(crate) fn pki_fails(folder: &Path, arguments: &[&str]) -> String {
    let output = command(folder, arguments).output().unwrap();
    assert!(!output.status.success(), "pki {arguments:?} has not failed");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshadow"));
    command.arg("pki").args(arguments).arg("--dir").arg(folder);
    command
}

/// A policy that promises nearly all of a host.
const GENEROUS: &str = "[class.default]\nfloor = 0.99\n";

/// One that takes so little of it back in each round that a lever, which takes nothing that is used, has no objection.
const TAKING_BACK: &str = "[budget]\nhost_per_minute = 6000\ncell_per_minute = 6000\n\
    [safety]\nsettle = \"0s\"\nmin_history = \"0s\"\n[class.default]\nstrategies = [\"priority\"]\nfloor = 0.0\n\
    [class.default.lower]\nhysteresis = 0.0\nslew = 0.001\ndwell = \"0s\"\n";

/// Ports, folders and an authority of one test. The parts use the authority's folders themselves, so that whatever it
/// renews is there at once.
pub(crate) struct Fleet {
    pub(crate) stack: Stack,
}

impl Fleet {
    /// An authority that has issued for the broker, the brain and `hosts`.
    pub(crate) fn new(hosts: &[&str]) -> Self {
        let fleet = Self { stack: Stack::new() };
        fleet.pki(&["init"]);
        fleet.pki(&["broker", "--address", "127.0.0.1"]);
        fleet.pki(&["brain"]);
        for host in hosts {
            fleet.pki(&["host", host]);
        }
        fleet
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.stack.path().join("pki")
    }

    pub(crate) fn pki(&self, arguments: &[&str]) -> String {
        pki(&self.folder(), arguments)
    }

    /// The file `name` of a part.
    pub(crate) fn file(&self, part: &str, name: &str) -> String {
        let path = self.folder().join("issued").join(part).join(name);
        path.to_str().unwrap().to_owned()
    }

    /// The configuration of a part, as `pki config` tells it.
    fn config(&self, part: &str) -> String {
        self.pki(&["config", part, "--port", &self.stack.port.to_string()])
    }

    /// Our broker, which wants a certificate of everybody.
    pub(crate) fn broker(&self) -> Process {
        let data = self.stack.path().join("data/broker");
        let config = self.config("broker").replace("data/broker", data.to_str().unwrap());
        let config = write(self.stack.path(), "broker.toml", &config);
        let broker = Process::foreshadow(&["broker", "--config", &config]);
        until("the broker listens", PATIENCE, || listens(self.stack.port));
        broker
    }

    /// A brain that makes everything durable at once, plans each second, and whose commands hold for three.
    pub(crate) fn brain(&self) -> Process {
        self.brain_with("")
    }

    /// A brain that commands in each round, for it takes back bit by bit what one before it has promised, and what was
    /// `obeyed` then.
    pub(crate) fn restless_brain(&self, obeyed: impl Fn() -> bool) -> Process {
        let with = |policy| {
            let policy = write(self.stack.path(), "policy.toml", policy);
            self.brain_with(&format!("policy = {policy:?}\n"))
        };
        let generous = with(GENEROUS);
        let hosts = "SELECT count(*) - (SELECT count(DISTINCT host) FROM commands) FROM hosts";
        let promised = || self.count("SELECT count(*) FROM commands") > 0 && self.count(hosts) == 0;
        until("each host is promised something", PATIENCE, promised);
        until("what was promised first is obeyed", PATIENCE, obeyed);
        assert!(generous.stop().0.success());
        with(TAKING_BACK)
    }

    fn brain_with(&self, allocate: &str) -> Process {
        let text = format!(
            "{}\n[page]\nlisten = \"127.0.0.1:{}\"\n[grid]\nstep = \"1s\"\ngrace = \"0s\"\nlength = \"1h\"\n\
             [store]\nflush_every = \"200ms\"\n[allocate]\nevery = \"1s\"\nttl = \"3s\"\n{allocate}",
            self.config("brain")
                .replace("data/brain", self.stack.data().to_str().unwrap()),
            self.stack.page
        );
        let config = write(self.stack.path(), "brain.toml", &text);
        let brain = Process::foreshadow(&["brain", "--config", &config]);
        until("the page listens", PATIENCE, || listens(self.stack.page));
        brain
    }

    /// An agent of this machine under the name `host`. It has no workloads: what there is to take back of a machine's memory
    /// does not run out when others of its workloads grow.
    pub(crate) fn agent(&self, host: &str) -> Process {
        let state = self.stack.path().join(host);
        fs::create_dir_all(&state).unwrap();
        let text = format!(
            "state_dir = {state:?}\nstatus_every = \"1s\"\n{}\n[pace]\nmin = \"100ms\"\nmax = \"200ms\"\n[frame]\nspan = \"200ms\"\n\
             [probes.workload]\nparents = []\n",
            self.config(host)
        );
        write(self.stack.path(), &format!("{host}.toml"), &text);
        self.agent_again(host)
    }

    /// The same agent once more, with the configuration that it had.
    pub(crate) fn agent_again(&self, host: &str) -> Process {
        let config = self.stack.path().join(format!("{host}.toml"));
        Process::foreshadow(&["agent", "--config", config.to_str().unwrap()])
    }

    /// Waits until more than `more_than` rows are in what `query` counts.
    pub(crate) fn durable(&self, what: &str, query: &'static str, more_than: i64) {
        until(what, PATIENCE, || self.count(query) > more_than);
    }

    /// What `query` counts in the brain's database; 0 before there is one.
    pub(crate) fn count(&self, query: &'static str) -> i64 {
        let data = self.stack.data();
        if data.join("brain.db").exists() {
            number(&data, query)
        } else {
            0
        }
    }
}
