//! What commands may change on this host. Nothing, unless it is said here.

use runtime::{Faults, Span, Validate};
use serde::{Deserialize, Serialize};

use crate::{act::Quantity, pattern::matches};

/// Levers by what they set; the first of each is the one that is used where none is named.
const LEVERS: &[(Quantity, &[&str])] = &[
    (
        Quantity::Cpu,
        &[
            "cpu.max",
            "cpu.weight",
            "cpuset.cpus",
            "resctrl",
            "systemd.cpu",
            "systemd.weight",
        ],
    ),
    (Quantity::Memory, &["memory.high", "memory.max", "systemd.memory"]),
    (Quantity::Network, &["tc"]),
    (Quantity::Disk, &["io.max"]),
    (Quantity::Tasks, &["pids.max", "systemd.tasks"]),
    (Quantity::Power, &["dcmi", "rapl"]),
    (Quantity::Chassis, &["chassis"]),
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
    /// Network devices, by name, whose sending is limited for the host as a whole; empty chooses those that are read.
    pub devices: Vec<String>,
    /// Classes of network devices that carry a workload.
    pub class: Vec<TrafficClass>,
    /// What may be changed: the first rule for workload and quantity decides.
    pub allow: Vec<Allow>,
    /// Programs of the site that change something; a rule names one as `exec.NAME`.
    pub exec: Vec<Exec>,
}

/// A class of the `htb` discipline through which a workload sends, as the site has set it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficClass {
    /// Whose.
    pub workload: String,
    /// On which network device.
    pub device: String,
    /// Its number, such as `1:10`.
    pub class: String,
}

impl TrafficClass {
    fn is_sound(&self) -> bool {
        let digits = |part: &str| !part.is_empty() && part.len() <= 4 && part.chars().all(|c| c.is_ascii_hexdigit());
        let number = self.class.split_once(':');
        number.is_some_and(|(major, minor)| digits(major) && digits(minor)) && is_device(&self.device)
    }
}

/// Whether `name` may be that of a network device.
fn is_device(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    (1..16).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('-')
}

/// A pair of programs that read and set a value. Arguments hold `{workload}` and `{value}`; no shell reads them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// Behind `exec.`.
    pub name: String,
    /// What it sets.
    pub resource: Quantity,
    /// Prints the present value, without a space in it.
    pub get: Vec<String>,
    /// Sets `{value}`: a whole number, or what `get` has printed before.
    pub set: Vec<String>,
    /// What a target is multiplied by: 1000 for thousandths of a core.
    #[serde(default = "one")]
    pub scale: f64,
    /// How long each may take.
    #[serde(default = "five_seconds")]
    pub deadline: Span,
    /// Whether what it sets is still there after a start of the machine.
    #[serde(default)]
    pub outlives_reboot: bool,
}

const fn one() -> f64 {
    1.0
}

const fn five_seconds() -> Span {
    Span::from_secs(5)
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
            devices: Vec::new(),
            class: Vec::new(),
            allow: Vec::new(),
            exec: Vec::new(),
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
        let devices = self.devices.iter().all(|name| is_device(name));
        faults.require(
            devices,
            "devices",
            "names of network devices have 1 to 15 letters, digits, '.', '_', '-' or '@'",
        );
        for class in &self.class {
            let message = format!(
                "{:?} of {:?} is no class, such as \"1:10\" of \"eth0\"",
                class.class, class.device
            );
            faults.require(class.is_sound() && !class.workload.is_empty(), "class", message);
        }
        for rule in &self.allow {
            faults.require(!rule.workload.is_empty(), "allow", "workload must not be empty");
            let named = rule.lever().strip_prefix("exec.");
            if let Some(name) = named {
                let sets = |exec: &Exec| exec.name == name && exec.resource == rule.resource;
                let message = format!("there is no [[act.exec]] {name:?} that sets {}", rule.resource.as_str());
                faults.require(self.exec.iter().any(sets), "allow", message);
                continue;
            }
            let known = levers(rule.resource);
            let word = rule.resource.as_str();
            if known.is_empty() {
                faults.add("allow", format!("there is no lever for {word}"));
            } else if !known.contains(&rule.lever()) {
                let message = format!("{:?} sets no {word}; what does: {}", rule.lever(), known.join(", "));
                faults.add("allow", message);
            }
        }
        for exec in &self.exec {
            let name = &exec.name;
            faults.check(shadow::check_name(name), "exec");
            let absolute = |words: &[String]| words.first().is_some_and(|program| program.starts_with('/'));
            let both = absolute(&exec.get) && absolute(&exec.set);
            faults.require(
                both,
                "exec",
                format!("{name:?}: get and set begin with the path of a program"),
            );
            let set = exec.set.iter().skip(1).any(|word| word.contains("{value}"));
            faults.require(set, "exec", format!("{name:?}: set does not say {{value}}"));
            let scale = exec.scale.is_finite() && exec.scale > 0.0;
            faults.require(scale, "exec", format!("{name:?}: scale must be a number above 0"));
            let most = Span::from_secs(60);
            faults.require(
                exec.deadline <= most,
                "exec",
                format!("{name:?}: deadline is longer than {most}"),
            );
            let reserve = !matches!(exec.resource, Quantity::Chassis);
            faults.require(
                reserve,
                "exec",
                format!("{name:?}: a host is switched on by its BMC alone"),
            );
        }
    }
}
