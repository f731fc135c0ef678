//! The real brain of a cell that looks seconds ahead where others look minutes, and its policy.

use crate::{
    harness::{PATIENCE, Process, listens, until, write},
    stack::Stack,
};

/// What the brain is to do.
pub(super) struct Brain<'a> {
    /// Strategies of what is critical and of what may wait, as the policy names them.
    pub(super) strategies: [&'a str; 2],
    /// Whether it trains a network.
    pub(super) train: bool,
    /// Whether nothing is changed until somebody says so.
    pub(super) frozen: bool,
    /// The least coverage on whose word anything is limited. What a workload does first, misses weigh for 300 rows, which are
    /// minutes here: who tests no forecast asks for none.
    pub(super) min_coverage: f64,
    /// The folder of its data below that of the stack.
    pub(super) data: &'a str,
}

impl Brain<'_> {
    /// Starts it. It forecasts each second, 10, 20 and 30 s ahead, plans each two seconds, and its leases last 20 s.
    pub(super) fn start(&self, stack: &Stack) -> Process {
        let policy = write(stack.path(), &format!("{}.policy.toml", self.data), &self.policy());
        let config = format!(
            "data_dir = {:?}\n[broker]\nport = {}\n[page]\nlisten = \"127.0.0.1:{}\"\nlocal_role = \"operator\"\n\
             [grid]\nstep = \"1s\"\ngrace = \"1s\"\nlength = \"1h\"\n[store]\nflush_every = \"500ms\"\n\
             [forecast]\nhorizons = [\"10s\", \"20s\", \"30s\"]\nwindow = \"2m\"\nwarm_up = \"0s\"\nhistory = \"1h\"\n\
             train = {}\ntraining = {{ min_rows = 1000, passes = 60, max_steps = 1000 }}\n\
             [allocate]\nevery = \"2s\"\nttl = \"20s\"\npolicy = {policy:?}\nfrozen = {}\n",
            stack.path().join(self.data),
            stack.port,
            stack.page,
            self.train,
            self.frozen,
        );
        let config = write(stack.path(), &format!("{}.brain.toml", self.data), &config);
        let brain = Process::foreshadow(&["brain", "--config", &config]);
        until("the page listens", PATIENCE, || listens(stack.page));
        brain
    }

    fn policy(&self) -> String {
        let [critical, batch] = self.strategies;
        let min_coverage = self.min_coverage;
        format!(
            "[act]\n\"edge-*\" = [\"cpu\"]\n[budget]\nhost_per_minute = 600\ncell_per_minute = 600\n\
             [safety]\nstale_after = \"10s\"\nsettle = \"5s\"\nmin_history = \"30s\"\nmin_coverage = {min_coverage}\n\
             [class.default.flap]\nmost = 1000\nwithin = \"1m\"\n\
             [class.critical]\nstrategies = {critical}\nhorizon = \"30s\"\nmargin = 0.15\nfloor = 0.05\n\
             [class.critical.lower]\ndwell = \"6s\"\nslew = 0.5\n\
             [class.batch]\nstrategies = {batch}\nhorizon = \"30s\"\nmargin = 0.5\nfloor = 0.05\n\
             [class.batch.lower]\ndwell = \"6s\"\nslew = 0.5\n"
        )
    }
}

/// Looks ahead.
pub(super) const FORECASTS: [&str; 2] = ["[\"preemptive\", \"dynamic\", \"priority\"]", "[\"dynamic\"]"];
/// Reserves for what is used now.
pub(super) const REACTS: [&str; 2] = ["[\"priority\"]", "[]"];

/// The agent: limits of processors, of which those of `web` are raised under pressure.
pub(super) const AGENT: &str = r#"
[frame]
span = "250ms"
[pace]
min = "250ms"
max = "500ms"
[probes]
refresh = "2s"
off = ["network", "disk", "pressure", "load", "paging", "numa", "power", "pci", "edac", "thermal", "msr", "bmc"]
[[workloads]]
name = "web"
criticality = 90
class = "critical"
[[workloads]]
name = "batch"
criticality = 10
class = "batch"
[[limits]]
workload = "web"
resource = "cpu"
floor = 0.05
ceiling = 1.0
[act]
dwell = "1s"
[[act.allow]]
workload = "web"
resource = "cpu"
protect = true
[[act.allow]]
workload = "batch"
resource = "cpu"
"#;
