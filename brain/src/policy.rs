//! The policy file: what each class of workload is promised, and how fast promises may move.
//!
//! A policy is TOML, as `config/policy.toml` shows; that file is also the built-in policy. A class takes
//! what it does not say from `[class.default]`, and that takes what it does not say from the built-in one.
//! All faults of a file are told at once, each with its key path; a file with a fault is refused as a whole.

use std::{collections::BTreeMap, fmt};

use shadow::Resource;
use thiserror::Error;

mod read;

/// The text of the built-in policy, commented.
pub const BUILT_IN: &str = include_str!("../../config/policy.toml");

/// The class of workloads whose own class the policy does not know.
pub const DEFAULT_CLASS: &str = "default";

/// The class that rules a host's network, disk and power.
pub const HOST_CLASS: &str = "host";

/// What rules allocation in a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How many changes may be made.
    pub budget: BudgetPolicy,
    /// When nothing may be lowered.
    pub safety: Safety,
    /// What all hosts together may hold.
    pub cell: CellLimits,
    classes: BTreeMap<String, Class>,
    fallback: Class,
}

/// The most changes of reservations in any minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetPolicy {
    /// On one host, 1 or more.
    pub host_per_minute: u32,
    /// In the whole cell, 1 or more.
    pub cell_per_minute: u32,
}

/// When nothing may be lowered, and when nothing may be changed at all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Safety {
    /// Nothing is lowered while a host's newest sample is older, in milliseconds.
    pub stale_after_ms: u64,
    /// Nothing is changed while a host's newest sample is older, in milliseconds.
    pub silent_after_ms: u64,
    /// Nothing is lowered until the brain has run this long, in milliseconds.
    pub settle_ms: u64,
    /// Nothing is lowered on a host with a shorter history, in milliseconds.
    pub min_history_ms: u64,
    /// Nothing is lowered while the coverage of the p95 is less, 0 to 1.
    pub min_coverage: f64,
}

/// What all hosts of a cell together may hold; `None` is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CellLimits {
    /// Bytes a second over the cell's uplink.
    pub network_bytes_per_s: Option<f64>,
    /// Watts of the cell's feed.
    pub power_w: Option<f64>,
}

impl CellLimits {
    /// The limit of `resource`, in its unit of allocation.
    pub const fn of(&self, resource: Resource) -> Option<f64> {
        match resource {
            Resource::Network => self.network_bytes_per_s,
            Resource::Power => self.power_w,
            Resource::Cpu | Resource::Memory | Resource::Disk => None,
        }
    }
}

/// One way of deciding; a class mixes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// Reserve for the highest forecast up to the horizon, while the forecast is confident.
    Preemptive,
    /// Reserve for the nearest forecast, as it comes.
    Dynamic,
    /// Under contention take from workloads of less criticality.
    Priority,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 3] = [Self::Preemptive, Self::Dynamic, Self::Priority];

    /// The name in policies and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preemptive => "preemptive",
            Self::Dynamic => "dynamic",
            Self::Priority => "priority",
        }
    }
}

/// A number for each resource.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PerResource([f64; 5]);

impl PerResource {
    /// The same number for all.
    pub const fn all(value: f64) -> Self {
        Self([value; 5])
    }

    /// The number of `resource`.
    pub const fn of(self, resource: Resource) -> f64 {
        let [cpu, memory, network, disk, power] = self.0;
        match resource {
            Resource::Cpu => cpu,
            Resource::Memory => memory,
            Resource::Network => network,
            Resource::Disk => disk,
            Resource::Power => power,
        }
    }

    /// These numbers with the one of `resource` replaced.
    #[must_use]
    pub fn with(mut self, resource: Resource, value: f64) -> Self {
        if let Some(slot) = self.0.get_mut(resource.index()) {
            *slot = value;
        }
        self
    }
}

/// What a class of workloads is promised. Shares are of the host's capacity.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// How it decides, each at most once.
    pub strategies: Vec<Strategy>,
    /// The quantile that is reserved for: one of [`shadow::QUANTILES`].
    pub quantile: f64,
    /// How far ahead is looked, in seconds.
    pub horizon_s: u32,
    /// What goes on top of the forecast, as a share of it, 0 to 10.
    pub margin: PerResource,
    /// Never less than this share, 0 to 1.
    pub floor: PerResource,
    /// Never more than this share, floor to 1.
    pub ceiling: PerResource,
    /// How reservations rise.
    pub raise: Raise,
    /// How they fall.
    pub lower: Lower,
    /// When a forecast is trusted.
    pub confident: Confident,
}

/// How reservations rise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Raise {
    /// Less than this share of the host missing changes nothing, 0 to 1.
    pub hysteresis: PerResource,
    /// The most in one change, as a share of the host, above 0 to 1.
    pub slew: PerResource,
}

/// How reservations fall.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lower {
    /// Less than this share of the host spare changes nothing, 0 to 1.
    pub hysteresis: PerResource,
    /// The most in one change, as a share of the reservation itself, above 0 to 1.
    pub slew: PerResource,
    /// How long a reservation stands before it falls, in milliseconds.
    pub dwell_ms: u64,
}

/// When a forecast is trusted enough to act before the need.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confident {
    /// The p95 lies at most this share of the host above the median, 0 to 1.
    pub width: f64,
    /// Its skill is more than this, below 1.
    pub skill: f64,
}

impl Class {
    /// Whether it uses `strategy`.
    pub fn uses(&self, strategy: Strategy) -> bool {
        self.strategies.contains(&strategy)
    }
}

impl Default for Class {
    fn default() -> Self {
        Self {
            strategies: Strategy::ALL.to_vec(),
            quantile: 0.95,
            horizon_s: 900,
            margin: PerResource::all(0.1),
            floor: PerResource::all(0.01),
            ceiling: PerResource::all(1.0),
            raise: Raise {
                hysteresis: PerResource::all(0.005),
                slew: PerResource::all(1.0),
            },
            lower: Lower {
                hysteresis: PerResource::all(0.05),
                slew: PerResource::all(0.25),
                dwell_ms: 600_000,
            },
            confident: Confident {
                width: 0.25,
                skill: 0.0,
            },
        }
    }
}

impl Default for Policy {
    /// The built-in policy without its further classes.
    fn default() -> Self {
        Self {
            budget: BudgetPolicy {
                host_per_minute: 12,
                cell_per_minute: 600,
            },
            safety: Safety {
                stale_after_ms: 60_000,
                silent_after_ms: 600_000,
                settle_ms: 600_000,
                min_history_ms: 1_800_000,
                min_coverage: 0.85,
            },
            cell: CellLimits::default(),
            classes: BTreeMap::new(),
            fallback: Class::default(),
        }
    }
}

impl Policy {
    /// The policy of `config/policy.toml` as it was built in.
    pub fn built_in() -> Self {
        // A test holds that the file is good, so the fallback is never taken.
        Self::parse(BUILT_IN).unwrap_or_default()
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`] with every fault: not TOML, unknown keys, wrong types, values out of range.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        read::policy(text)
    }

    /// The class called `name`, or else the default one, with the name under which it was found.
    pub fn class(&self, name: &str) -> (&str, &Class) {
        match self.classes.get_key_value(name) {
            Some((name, class)) => (name, class),
            None => (DEFAULT_CLASS, &self.fallback),
        }
    }

    /// The names of all classes, the default one included.
    pub fn class_names(&self) -> impl Iterator<Item = &str> {
        let own = self.classes.keys().map(String::as_str);
        std::iter::once(DEFAULT_CLASS).chain(own)
    }
}

/// One fault of a policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `class.web.lower.dwell`; empty for the file as a whole.
    pub path: String,
    /// What is wrong and what is allowed.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "{}: {}", self.path, self.what)
        }
    }
}

/// Why a policy file is refused: all its faults.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the policy has {} fault(s):\n{}", faults.len(), lines(faults))]
pub struct PolicyError {
    /// One or more, in the order of the keys.
    pub faults: Vec<Fault>,
}

fn lines(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().map(|fault| format!("  {fault}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        match Policy::parse(text) {
            Ok(_) => Vec::new(),
            Err(error) => error.faults.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn the_built_in_file_says_what_is_built_in() {
        let policy = Policy::parse(BUILT_IN).unwrap();
        let base = Policy::default();
        assert_eq!(policy.class(DEFAULT_CLASS).1, &Class::default());
        assert_eq!(
            (policy.budget, policy.safety, policy.cell),
            (base.budget, base.safety, base.cell)
        );
        assert_eq!(Policy::parse("").unwrap(), base);
        let names: Vec<&str> = policy.class_names().collect();
        assert_eq!(names, ["default", "batch", "critical", HOST_CLASS]);
    }

    #[test]
    fn classes_inherit_key_by_key() {
        let policy = Policy::parse(
            r#"
            [class.default]
            margin = { memory = 0.3 }
            lower = { dwell = "1h" }
            [class.web]
            quantile = 0.99
            margin = { cpu = 0.5 }
            lower = { slew = { disk = 1 } }
            "#,
        )
        .unwrap();
        let (name, web) = policy.class("web");
        assert_eq!((name, web.quantile, web.lower.dwell_ms), ("web", 0.99, 3_600_000));
        assert_eq!(
            web.margin,
            PerResource::all(0.1)
                .with(Resource::Memory, 0.3)
                .with(Resource::Cpu, 0.5)
        );
        assert_eq!(web.lower.slew, PerResource::all(0.25).with(Resource::Disk, 1.0));
        let (name, other) = policy.class("nowhere named");
        assert_eq!((name, other.margin.of(Resource::Memory)), (DEFAULT_CLASS, 0.3));
    }

    #[test]
    fn all_faults_are_told_at_once_with_their_paths() {
        let found = faults(
            r#"
            bugdet = 1
            [budget]
            host_per_minute = 0
            [safety]
            stale_after = "5m"
            silent_after = "1m"
            settle = 5
            [cell]
            power_w = -1
            [class.web]
            quantile = 0.97
            margin = nan
            floor = { cpu = 0.9, gpu = 1 }
            ceiling = 0.5
            strategies = ["dynamic", "psychic"]
            horizon = "0s"
            [class.web.lower]
            dwell = "soon"
            "#,
        );
        let paths: Vec<&str> = found.iter().filter_map(|fault| fault.split(':').next()).collect();
        let expected = [
            "budget.host_per_minute",
            "safety.settle",
            "safety.silent_after",
            "cell.power_w",
            "class.web.strategies",
            "class.web.quantile",
            "class.web.horizon",
            "class.web.margin",
            "class.web.floor.gpu",
            "class.web.lower.dwell",
            "class.web.floor",
            "bugdet",
        ];
        assert_eq!(paths, expected, "{found:#?}");
    }

    #[test]
    fn each_fault_names_its_key() {
        let check = |text: &str, path: &str| {
            let found = faults(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with(path), "{found:?} should start with {path}");
        };
        check("bugdet = 1", "bugdet: is not known");
        check("budget = 1", "budget: is a number; a table");
        check("[budget]\nhost_per_minute = 0", "budget.host_per_minute:");
        check("[budget]\nhost_per_minute = 1.5", "budget.host_per_minute:");
        check("[safety]\nsettle = 5", "safety.settle:");
        check("[safety]\nsettle = \"99 years\"", "safety.settle:");
        check("[safety]\nsilent_after = \"1s\"", "safety.silent_after: is shorter");
        check("[cell]\npower_w = -1", "cell.power_w:");
        check("[class.web]\nquantile = 0.97", "class.web.quantile:");
        check("[class.web]\nmargin = nan", "class.web.margin:");
        check("[class.web]\nmargin = { cpu = true }", "class.web.margin.cpu:");
        check(
            "[class.web]\nfloor = { gpu = 0.1 }",
            "class.web.floor.gpu: is not known",
        );
        check(
            "[class.web]\nfloor = { disk = 0.9 }\nceiling = 0.5",
            "class.web.floor: 0.9 of disk",
        );
        check("[class.web]\nstrategies = [\"psychic\"]", "class.web.strategies:");
        check("[class.web]\nstrategies = \"dynamic\"", "class.web.strategies:");
        check("[class.web]\nhorizon = \"0s\"", "class.web.horizon:");
        check("[class.web.lower]\nslew = 0", "class.web.lower.slew:");
        check("[class]\nbatch = 3", "class.batch: is a number");
        check("[class", "TOML parse error");
        assert_eq!(
            faults("a = 1\n[budget]\nb = 2\n[class.web]\nmargin = -1\nquantile = 2").len(),
            4
        );
    }

    #[test]
    fn a_file_that_is_too_large_is_not_parsed() {
        let text = "#".repeat((1 << 20) + 1);
        assert!(faults(&text)[0].contains("at most 1048576"));
    }
}
