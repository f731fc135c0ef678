//! What an operator may set: `config/agent.toml` shows every key with its default.

use runtime::{Faults, Span, Validate};
use serde::{Deserialize, Serialize};
use shadow::{Capacity, Resource, Vantage, check_name};

use crate::guard::Limit;

/// The agent of one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The host spoken for: a topic level. Without it, the machine's own name.
    pub host: Option<String>,
    /// From where the host is seen.
    pub vantage: Vantage,
    /// The cell that the host belongs to.
    pub cell: String,
    /// First level of all topics.
    pub prefix: String,
    /// How often the agent tells of itself.
    pub status_every: Span,
    /// Where the broker listens.
    pub broker: Broker,
    /// How often samples are taken.
    pub pace: Pace,
    /// How samples are put together.
    pub frame: Frame,
    /// What is kept until it is durable.
    pub spool: Spool,
    /// What probes look at.
    pub probes: Probes,
    /// What the host could give at most, where that cannot be found out.
    pub capacity: CapacityOverride,
    /// What workloads are worth: the first that matches rules.
    pub workloads: Vec<WorkloadRule>,
    /// Floors and ceilings that no command gets past.
    pub limits: Vec<Limit>,
}

/// Where the broker listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// How often samples are taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// Distance of samples while anything moves.
    pub min: Span,
    /// Distance of samples at rest.
    pub max: Span,
    /// How often a resting host is looked at in between, to see whether it woke up.
    pub watch: Span,
    /// Share of one core that sampling may cost; when it would cost more, samples get rarer.
    pub budget: f64,
}

/// How samples are put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Frame {
    /// The time that one frame spans. Samples that are further apart are sent one by one.
    pub span: Span,
}

/// What is kept until it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Bytes of memory; past them the oldest frames go.
    pub max_bytes: usize,
}

/// What probes look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Probes {
    /// How often is looked for what came and went: interfaces, disks, workloads, and probes that failed.
    pub refresh: Span,
    /// Of the network.
    pub network: Network,
    /// Of disks.
    pub disk: Disk,
    /// Of workloads.
    pub workload: WorkloadProbe,
}

/// What the network probe looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Names of interfaces; empty chooses those with a device behind them.
    pub interfaces: Vec<String>,
}

/// What the disk probe looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disk {
    /// Names of block devices; empty chooses whole disks.
    pub devices: Vec<String>,
}

/// What the workload probe looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkloadProbe {
    /// Cgroups whose children are workloads, below the root of the hierarchy; `""` is the root itself.
    pub parents: Vec<String>,
    /// The most workloads; further ones, by name, are left out.
    pub max: usize,
}

/// What a workload is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadRule {
    /// Which: a name, with `*` for any characters.
    pub name: String,
    /// 0 (may be stopped) to 100 (the host is pointless without it).
    #[serde(default = "default_criticality")]
    pub criticality: u8,
    /// The policy class that rules it.
    #[serde(default = "default_class")]
    pub class: String,
}

/// What the host could give at most, where the agent cannot find it out or is wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CapacityOverride {
    /// Cores.
    pub cpu_cores: Option<f64>,
    /// Bytes of memory.
    pub memory_bytes: Option<f64>,
    /// Bytes a second, both directions together.
    pub network_bytes_per_s: Option<f64>,
    /// Bytes a second, reads and writes together.
    pub disk_bytes_per_s: Option<f64>,
    /// Watts.
    pub power_w: Option<f64>,
}

/// The criticality of a workload that no rule names: in the middle.
pub const fn default_criticality() -> u8 {
    50
}

/// The class of a workload that no rule names.
pub fn default_class() -> String {
    "default".to_owned()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: None,
            vantage: Vantage::Inband,
            cell: "default".to_owned(),
            prefix: "foreshadow".to_owned(),
            status_every: Span::from_secs(10),
            broker: Broker::default(),
            pace: Pace::default(),
            frame: Frame::default(),
            spool: Spool::default(),
            probes: Probes::default(),
            capacity: CapacityOverride::default(),
            workloads: Vec::new(),
            limits: Vec::new(),
        }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 1883,
        }
    }
}

impl Default for Pace {
    /// A full-rate sample costs some hundred microseconds: 2 % of a core leaves room for slow kernels.
    fn default() -> Self {
        Self {
            min: Span::from_millis(100),
            max: Span::from_secs(5),
            watch: Span::from_millis(500),
            budget: 0.02,
        }
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            span: Span::from_secs(1),
        }
    }
}

impl Default for Spool {
    /// Some ten hours of frames at full rate.
    fn default() -> Self {
        Self { max_bytes: 16 << 20 }
    }
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            refresh: Span::from_secs(10),
            network: Network::default(),
            disk: Disk::default(),
            workload: WorkloadProbe::default(),
        }
    }
}

impl Default for WorkloadProbe {
    fn default() -> Self {
        Self {
            parents: vec![String::new()],
            max: 200,
        }
    }
}

impl CapacityOverride {
    /// `found`, with what is set here in its place.
    #[must_use]
    pub fn over(&self, found: Capacity) -> Capacity {
        Capacity {
            cpu_cores: self.cpu_cores.or(found.cpu_cores),
            memory_bytes: self.memory_bytes.or(found.memory_bytes),
            network_bytes_per_s: self.network_bytes_per_s.or(found.network_bytes_per_s),
            disk_bytes_per_s: self.disk_bytes_per_s.or(found.disk_bytes_per_s),
            power_w: self.power_w.or(found.power_w),
        }
    }
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        if let Some(host) = &self.host {
            faults.check(check_name(host), "host");
        }
        faults.check(bus::Topics::new(&self.prefix, &self.cell), "cell");
        at_least(faults, "status_every", self.status_every, Span::from_secs(1));
        faults.within("broker", |f| {
            f.require(!self.broker.host.is_empty(), "host", "must name the broker's host");
            f.require(self.broker.port != 0, "port", "must not be 0");
        });
        faults.within("pace", |f| self.pace.validate(f));
        faults.within("frame", |f| {
            let span = self.frame.span;
            at_least(f, "span", span, Span::from_millis(10));
            f.require(span <= Span::from_secs(60), "span", format!("{span} is longer than 1m"));
        });
        faults.within("spool", |f| {
            let most = self.spool.max_bytes;
            f.require(most >= 64 << 10, "max_bytes", format!("{most} is less than 65536"));
        });
        faults.within("probes", |f| self.probes.validate(f));
        faults.within("capacity", |f| self.capacity.validate(f));
        validate_rules(&self.workloads, faults);
        validate_limits(&self.limits, faults);
    }
}

impl Validate for Pace {
    fn validate(&self, faults: &mut Faults) {
        let Self {
            min,
            max,
            watch,
            budget,
        } = *self;
        at_least(faults, "min", min, Span::from_millis(10));
        at_least(faults, "watch", watch, Span::from_millis(50));
        faults.require(min <= max, "max", format!("{max} is shorter than min, {min}"));
        faults.require(max <= Span::from_secs(30), "max", format!("{max} is longer than 30s"));
        let share = budget > 0.0 && budget <= 1.0;
        faults.require(share, "budget", format!("{budget} is not above 0 and at most 1"));
    }
}

impl Validate for Probes {
    fn validate(&self, faults: &mut Faults) {
        at_least(faults, "refresh", self.refresh, Span::from_secs(1));
        let named = |names: &[String]| names.iter().all(|name| !name.is_empty() && !name.contains('/'));
        let message = "names must not be empty or hold a '/'";
        faults.within("network", |f| {
            f.require(named(&self.network.interfaces), "interfaces", message);
        });
        faults.within("disk", |f| f.require(named(&self.disk.devices), "devices", message));
        faults.within("workload", |f| {
            let relative = |p: &String| !p.starts_with('/') && p.split('/').all(|part| part != "..");
            let message = "paths start below the root of the hierarchy, without '/' in front and without '..'";
            f.require(self.workload.parents.iter().all(relative), "parents", message);
            let max = self.workload.max;
            f.require(max <= 1_000, "max", format!("{max} is more than 1000"));
        });
    }
}

impl Validate for CapacityOverride {
    fn validate(&self, faults: &mut Faults) {
        let values = [
            ("cpu_cores", self.cpu_cores),
            ("memory_bytes", self.memory_bytes),
            ("network_bytes_per_s", self.network_bytes_per_s),
            ("disk_bytes_per_s", self.disk_bytes_per_s),
            ("power_w", self.power_w),
        ];
        for (key, value) in values {
            let positive = value.is_none_or(|v| v.is_finite() && v > 0.0);
            faults.require(positive, key, "must be a number above 0");
        }
    }
}

fn validate_rules(rules: &[WorkloadRule], faults: &mut Faults) {
    for rule in rules {
        let WorkloadRule {
            name,
            criticality,
            class,
        } = rule;
        faults.require(!name.is_empty(), "workloads", "name must not be empty");
        let range = format!("criticality {criticality} of {name:?} is more than 100");
        faults.require(*criticality <= 100, "workloads", range);
        if let Err(fault) = check_name(class) {
            faults.add("workloads", format!("class of {name:?}: {fault}"));
        }
    }
}

fn validate_limits(limits: &[Limit], faults: &mut Faults) {
    for limit in limits {
        let Limit {
            workload,
            resource,
            floor,
            ceiling,
        } = limit;
        let of = format!("of {resource} for {workload:?}");
        for (what, value) in [("floor", floor), ("ceiling", ceiling)] {
            let sensible = value.is_none_or(|v| v.is_finite() && v >= 0.0);
            faults.require(
                sensible,
                "limits",
                format!("{what} {of} must be a number of at least 0"),
            );
        }
        let crossed = floor.zip(*ceiling).is_some_and(|(floor, ceiling)| floor > ceiling);
        faults.require(!crossed, "limits", format!("floor {of} is above its ceiling"));
        let power = *resource == Resource::Power && workload != crate::guard::HOST_WORKLOAD;
        faults.require(
            !power,
            "limits",
            format!("power has limits for {:?} only", crate::guard::HOST_WORKLOAD),
        );
    }
}

fn at_least(faults: &mut Faults, key: &str, span: Span, least: Span) {
    faults.require(span >= least, key, format!("{span} is shorter than {least}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../config/agent.toml");

    /// The example with every commented key switched on: lines such as `# key = value` and `# [[table]]`.
    fn uncommented() -> String {
        let key = |line: &str| line.starts_with("[[") || line.contains(" = ");
        let lines = EXAMPLE
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|rest| key(rest)).unwrap_or(line));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn check(text: &str, expected: &[&str]) {
        let fault = runtime::config::parse::<Config>(text, "agent.toml")
            .unwrap_err()
            .to_string();
        for part in expected {
            assert!(fault.contains(part), "{fault:?} lacks {part:?}");
        }
        assert_eq!(fault.lines().count(), expected.len(), "{fault}");
    }

    #[test]
    fn the_example_shows_the_defaults() {
        let config: Config = runtime::config::parse(EXAMPLE, "config/agent.toml").unwrap();
        assert_eq!(config, Config::default());
    }

    #[test]
    fn every_key_of_the_example_works() {
        let config: Config = runtime::config::parse(&uncommented(), "config/agent.toml").unwrap();
        assert_eq!(config.host.as_deref(), Some("web-1"));
        assert_eq!(config.capacity.disk_bytes_per_s, Some(500e6));
        assert!(config.workloads.len() >= 2 && config.limits.len() == 2);
        assert_eq!(config.limits.first().and_then(|limit| limit.floor), Some(0.5));
    }

    #[test]
    fn all_faults_are_told_at_once() {
        check(
            "host = 'a/b'\nprefix = 'x+'\n[broker]\nport = 0\n[pace]\nmin = '9s'\nbudget = 0.0\n[frame]\nspan = '2m'\n[spool]\nmax_bytes = 5",
            &[
                "1: host: ",
                "cell: ",
                "4: broker.port: ",
                "pace.max: 5s is shorter than min, 9s",
                "7: pace.budget: ",
                "9: frame.span: ",
                "11: spool.max_bytes: ",
            ],
        );
        check(
            "[probes.workload]\nparents = ['../x']\n[[workloads]]\nname = ''\ncriticality = 101\n[[limits]]\nworkload = 'web'\nresource = 'cpu'\nfloor = 2.0\nceiling = 1.0",
            &[
                "probes.workload.parents: ",
                "workloads: name",
                "workloads: criticality 101",
                "limits: floor of cpu for \"web\" is above its ceiling",
            ],
        );
    }

    #[test]
    fn unknown_keys_are_refused() {
        check(
            "[probes.network]\ninterface = 'eth0'",
            &["2: probes.network.interface: unknown field `interface`"],
        );
        check(
            "[[limits]]\nworkload = 'web'\nresource = 'gpu'",
            &["unknown variant `gpu`"],
        );
    }
}
