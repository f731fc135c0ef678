//! What commands may change on this host. Nothing, unless it is said here.

use runtime::{Faults, Span, Validate};
use serde::{Deserialize, Serialize};

use crate::{act::Quantity, pattern::matches};

/// Levers by what they set; the first of each is the one that is used where none is named.
const LEVERS: &[(Quantity, &[&str])] = &[
    (Quantity::Cpu, &["cpu.max", "cpu.weight", "cpuset.cpus"]),
    (Quantity::Memory, &["memory.high", "memory.max"]),
    (Quantity::Disk, &["io.max"]),
    (Quantity::Tasks, &["pids.max"]),
];

/// Whether and how commands are obeyed that are no dry runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Act {
    /// Without it (or `--act`), every command that is no dry run is refused.
    pub enabled: bool,
    /// The cgroup below which workloads may be changed, below the root of the hierarchy; empty is all.
    pub root: String,
    /// How long a limit stays before it is lowered again.
    pub dwell: Span,
    /// Block devices, by name, whose bandwidth is limited; empty chooses whole disks.
    pub disks: Vec<String>,
    /// What may be changed: the first rule for workload and quantity decides.
    pub allow: Vec<Allow>,
}

/// Something that may be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Of which workloads: a name, with `*` for any characters; `host` for the host as a whole.
    pub workload: String,
    /// What of them.
    pub resource: Quantity,
    /// With which lever; the first of its kind where none is named.
    #[serde(default)]
    pub lever: Option<String>,
    /// Whether pressure raises it up to the local ceiling, and takes back what hurts, though the command names no ceiling.
    #[serde(default)]
    pub protect: bool,
}

impl Allow {
    /// The lever's name.
    pub fn lever(&self) -> &str {
        let first = || levers(self.resource).first().copied().unwrap_or_default();
        self.lever.as_deref().unwrap_or_else(first)
    }
}

/// All levers that set `quantity`.
fn levers(quantity: Quantity) -> &'static [&'static str] {
    let of = LEVERS.iter().find(|(of, _)| *of == quantity);
    of.map_or(&[], |(_, levers)| levers)
}

impl Default for Act {
    fn default() -> Self {
        Self {
            enabled: false,
            root: String::new(),
            dwell: Span::from_secs(10),
            disks: Vec::new(),
            allow: Vec::new(),
        }
    }
}

impl Act {
    /// The rule for `quantity` of `workload`.
    pub(crate) fn rule(&self, workload: &str, quantity: Quantity) -> Option<&Allow> {
        let mut rules = self.allow.iter().filter(|rule| rule.resource == quantity);
        rules.find(|rule| matches(&rule.workload, workload))
    }
}

impl Validate for Act {
    fn validate(&self, faults: &mut Faults) {
        let relative = !self.root.starts_with('/') && self.root.split('/').all(|part| !matches!(part, "." | ".."));
        faults.require(
            relative,
            "root",
            "it starts below the root of the hierarchy, without '/' in front and without '..'",
        );
        let named = self.disks.iter().all(|name| !name.is_empty() && !name.contains('/'));
        faults.require(named, "disks", "names must not be empty or hold a '/'");
        for rule in &self.allow {
            faults.require(!rule.workload.is_empty(), "allow", "workload must not be empty");
            let known = levers(rule.resource);
            let word = rule.resource.as_str();
            if known.is_empty() {
                faults.add("allow", format!("there is no lever for {word}"));
            } else if !known.contains(&rule.lever()) {
                let message = format!("{:?} sets no {word}; what does: {}", rule.lever(), known.join(", "));
                faults.add("allow", message);
            }
        }
    }
}
