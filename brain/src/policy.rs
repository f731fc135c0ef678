//! The policy file: what each class of workload is promised, and how fast promises may move.
//!
//! A policy is TOML, as `config/policy.toml` shows; that file is also the built-in policy. A class takes
//! what it does not say from `[class.default]`, and that takes what it does not say from the built-in one.
//! All faults of a file are told at once, each with its key path; a file with a fault is refused as a whole.

use std::{collections::BTreeMap, fmt};

use limits::Settings;
use shadow::{Resource, UnixMs};
use thiserror::Error;

pub(crate) mod act;
mod mode;
mod read;
mod section;
mod spare;
mod window;
mod words;

pub use self::{
    act::Acting,
    mode::{Mode, ProposalRules},
    spare::{Spare, Wake},
    window::{Effect, When, Window},
};

/// The text of the built-in policy, commented.
pub const BUILT_IN: &str = include_str!("../../config/policy.toml");

/// The class of workloads whose own class the policy does not know.
pub const DEFAULT_CLASS: &str = "default";

/// The class that rules a host's network, disk and power.
pub const HOST_CLASS: &str = "host";

/// What rules allocation in a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// What is really changed; all else is recommended only.
    pub act: Acting,
    /// How many changes may be made.
    pub budget: BudgetPolicy,
    /// When nothing may be lowered.
    pub safety: Safety,
    /// What all hosts together may hold.
    pub cell: CellLimits,
    /// How long proposals stand.
    pub proposals: ProposalRules,
    /// What limits are held to that the books of rules decide.
    pub limits: Settings,
    /// How requests wait.
    pub queue: Queue,
    /// When less is changed.
    pub windows: Vec<Window>,
    /// Hosts that can be woken, in the order in which they are.
    pub spares: Vec<Spare>,
    /// When they are woken.
    pub wake: Wake,
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

/// How requests wait for what the pool lacks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Queue {
    /// Points of criticality that a request gains in an hour of waiting, 0 to 100. They move it forward in the line and
    /// let it take nothing from others.
    pub ageing_per_hour: f64,
    /// The most that it gains, 0 to 100.
    pub ageing_most: f64,
}

/// How often a reservation may go to and fro.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flap {
    /// Falls after a rise within `within_ms`; each doubles the dwell, and after so many nothing is lowered. 1 to 16.
    pub most: u32,
    /// How long a fall counts, in milliseconds.
    pub within_ms: u64,
}

impl Flap {
    /// What is remembered at most.
    pub const MOST: u32 = 16;
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
    /// Whose word its changes wait for, where the policy acts.
    pub mode: Mode,
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
    /// How often they may go to and fro.
    pub flap: Flap,
    /// How long a request may wait for the pool before it is told as overdue, in milliseconds.
    pub deadline_ms: u64,
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
            mode: Mode::Act,
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
            flap: Flap {
                most: 6,
                within_ms: 21_600_000,
            },
            deadline_ms: 900_000,
        }
    }
}

impl Default for Policy {
    /// The built-in policy without its further classes.
    fn default() -> Self {
        Self {
            act: Acting::default(),
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
            proposals: ProposalRules::default(),
            limits: Settings::default(),
            queue: Queue {
                ageing_per_hour: 10.0,
                ageing_most: 20.0,
            },
            windows: Vec::new(),
            spares: Vec::new(),
            wake: Wake::default(),
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

    /// Whether `resource` of workloads of `class` on `host` is changed by somebody's word alone: the policy acts there, and
    /// the class only recommends.
    pub fn asks(&self, host: &str, resource: Resource, class: &Class) -> bool {
        class.mode == Mode::Recommend && self.act.is_on(host, resource)
    }

    /// Whether anything is changed by somebody's word alone.
    pub fn asks_any(&self) -> bool {
        self.act.is_any() && self.each_class().any(|class| class.mode == Mode::Recommend)
    }

    /// Whether everything is changed by somebody's word alone.
    pub fn asks_always(&self) -> bool {
        self.each_class().all(|class| class.mode == Mode::Recommend)
    }

    fn each_class(&self) -> impl Iterator<Item = &Class> {
        self.classes.values().chain([&self.fallback])
    }

    /// What holds back changes of workloads of `class` on `host` at `now_ms`, the strictest; `None` outside all windows.
    pub fn window(&self, now_ms: UnixMs, host: &str, class: &str) -> Option<&Window> {
        let now = self.windows.iter().filter(|window| window.when.holds(now_ms));
        now.filter(|window| window.covers(host, class))
            .max_by_key(|window| window.effect)
    }

    /// What the policy says, in words: a line a rule and a class.
    pub fn words(&self) -> String {
        words::of(self)
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
mod tests;
