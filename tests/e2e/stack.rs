//! Broker, brain and agent as processes of their own.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::harness::{PATIENCE, Process, free_port, listens, until, write};

/// A policy by which memory is lowered and raised as each forecast says.
pub(crate) const AS_EACH_FORECAST_SAYS: &str = "
[act]
\"*\" = [\"memory\"]
[budget]
host_per_minute = 1000
[safety]
settle = \"0s\"
min_history = \"0s\"
min_coverage = 0
[class.host]
floor = 0
[class.host.raise]
hysteresis = 0
[class.host.lower]
hysteresis = 0
dwell = \"0s\"
[class.host.flap]
most = 16
within = \"1s\"
";

/// Of an agent's configuration: a limit of the host's memory that a program of the site keeps in a file, so that it moves on any machine;
/// what the program is called with follows. No workload is looked for.
pub(crate) const KEPT_BY_A_PROGRAM: &str = "
[probes.workload]
parents = [\"nowhere\"]
[act]
enabled = true
dwell = \"0s\"
[[act.allow]]
workload = \"host\"
resource = \"memory\"
lever = \"exec.shape\"
[[act.exec]]
name = \"shape\"
resource = \"memory\"
";

/// Ports and folders of one test.
pub(crate) struct Stack {
    pub(crate) port: u16,
    pub(crate) page: u16,
    folder: TempDir,
}

impl Stack {
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("foreshadow-e2e-").unwrap();
        Self {
            port: free_port(),
            page: free_port(),
            folder,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The brain's data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Our broker, listening.
    pub(crate) fn broker(&self) -> Process {
        let text = format!("listen = \"127.0.0.1:{}\"\n", self.port);
        let config = write(self.path(), "broker.toml", &text);
        let broker = Process::foreshadow(&["broker", "--config", &config]);
        until("the broker listens", PATIENCE, || listens(self.port));
        broker
    }

    /// The same with its metrics on `metrics`.
    pub(crate) fn broker_with_metrics(&self, metrics: u16) -> Process {
        let text = format!(
            "listen = \"127.0.0.1:{}\"\nmetrics = \"127.0.0.1:{metrics}\"\n",
            self.port
        );
        let broker = Process::foreshadow(&["broker", "--config", &write(self.path(), "broker.toml", &text)]);
        until("the broker listens", PATIENCE, || {
            listens(self.port) && listens(metrics)
        });
        broker
    }

    /// A brain that makes everything durable at once, forecasts each second and plans every two.
    pub(crate) fn brain(&self) -> Process {
        self.brain_on(None)
    }

    /// The same with `keys` at the top of its configuration.
    pub(crate) fn brain_with(&self, keys: &str) -> Process {
        self.brain_of(keys, None)
    }

    /// The same on the database of a server, where one is named.
    pub(crate) fn brain_on(&self, database: Option<&str>) -> Process {
        self.brain_of("", database)
    }

    fn brain_of(&self, keys: &str, database: Option<&str>) -> Process {
        let database = database.map_or_else(String::new, |url| format!("database = {url:?}\n"));
        let text = format!(
            "{keys}data_dir = {:?}\n[broker]\nport = {}\n[page]\nlisten = \"127.0.0.1:{}\"\nlocal_role = \"operator\"\n\
             [grid]\nstep = \"1s\"\ngrace = \"0s\"\nlength = \"1h\"\n[store]\nflush_every = \"200ms\"\n{}[allocate]\nevery = \"2s\"\n",
            self.data(),
            self.port,
            self.page,
            database
        );
        let config = write(self.path(), "brain.toml", &text);
        let brain = Process::foreshadow(&["brain", "--config", &config]);
        until("the page listens", PATIENCE, || listens(self.page));
        brain
    }

    /// An agent of this machine that cuts a frame every 200 ms at least.
    pub(crate) fn agent(&self) -> Process {
        let text = format!(
            "host = \"web-1\"\nstate_dir = {:?}\nruntime_dir = {:?}\n[broker]\nport = {}\n[pace]\nmin = \"100ms\"\nmax = \"200ms\"\n[frame]\nspan = \"200ms\"\n",
            self.path().join("state"),
            self.path().join("run"),
            self.port
        );
        let config = write(self.path(), "agent.toml", &text);
        Process::foreshadow(&["agent", "--config", &config])
    }
}
