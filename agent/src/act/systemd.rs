//! Limits of units, where systemd is the first process: it writes the files of their cgroups itself, and anew whenever it
//! sees fit, so it is asked.
//!
//! | lever | property | unit of a target |
//! |---|---|---|
//! | `systemd.cpu` | `CPUQuota` | cores |
//! | `systemd.weight` | `CPUWeight`, 100 a core | cores |
//! | `systemd.memory` | `MemoryHigh` | bytes |
//! | `systemd.tasks` | `TasksMax` | tasks |
//!
//! `systemctl set-property --runtime` is `SetUnitProperties` of its D-Bus interface, over a socket of systemd's own that needs
//! no bus; a D-Bus client in the agent would be larger than all its levers.

use std::{path::Path, process::Command, time::Duration};

use super::{
    Ask, Lever, LeverError, Quantity, Turn, Watched,
    beneath::Beneath,
    cgroup::{is_within, memory::bounded},
    exec::output,
};
use crate::probe::{Place, workload::Hierarchy};

const PROGRAMS: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];
const DEADLINE: Duration = Duration::from_secs(10);
/// No limit, and a weight that is not set.
const NONE: &str = "none";
/// What may be asked for at all.
const KINDS: [&str; 3] = [".service", ".scope", ".slice"];

/// One property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Property {
    Cpu,
    Weight,
    Memory,
    Tasks,
}

const ALL: [Property; 4] = [Property::Cpu, Property::Weight, Property::Memory, Property::Tasks];

impl Property {
    const fn lever(self) -> &'static str {
        match self {
            Self::Cpu => "systemd.cpu",
            Self::Weight => "systemd.weight",
            Self::Memory => "systemd.memory",
            Self::Tasks => "systemd.tasks",
        }
    }

    /// What it is called to be set, and to be shown.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Cpu => ("CPUQuota", "CPUQuotaPerSecUSec"),
            Self::Weight => ("CPUWeight", "CPUWeight"),
            Self::Memory => ("MemoryHigh", "MemoryHigh"),
            Self::Tasks => ("TasksMax", "TasksMax"),
        }
    }

    /// The text of what is shown.
    fn text(self, shown: &str) -> Option<String> {
        if matches!(shown, "infinity" | "[not set]") {
            return Some(NONE.to_owned());
        }
        match self {
            Self::Cpu => seconds(shown).map(|seconds| format!("{:.2}%", 100.0 * seconds)),
            _ => shown.parse::<u64>().ok().map(|number| number.to_string()),
        }
    }

    /// What is assigned for a text.
    fn assigned(self, text: &str) -> &str {
        match (self, text) {
            (Self::Cpu | Self::Weight, NONE) => "",
            (Self::Memory | Self::Tasks, NONE) => "infinity",
            (_, text) => text,
        }
    }
}

/// `1min 30.5s` and `200ms` in seconds.
fn seconds(span: &str) -> Option<f64> {
    let part = |part: &str| {
        let digits = part.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let by = match part.get(digits.len()..)? {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3_600.0,
            _ => return None,
        };
        digits.parse::<f64>().ok().map(|value| value * by)
    };
    span.split(' ').map(part).sum()
}

/// One property of the units of workloads.
struct Unit {
    property: Property,
    argv: Vec<String>,
    place: Place,
    delegated: String,
}

/// The levers where systemd is the first process of this machine.
pub(crate) fn levers(place: &Place, delegated: &str) -> Vec<Box<dyn Lever>> {
    let is_first = place.root == Path::new("/") && Path::new("/run/systemd/system").is_dir();
    let program = PROGRAMS.into_iter().find(|program| Path::new(program).exists());
    let Some(program) = program.filter(|_| is_first) else {
        return Vec::new();
    };
    let lever = |property| Box::new(Unit::new(property, vec![program.to_owned()], place, delegated)) as Box<dyn Lever>;
    ALL.map(lever).into()
}

impl Unit {
    fn new(property: Property, argv: Vec<String>, place: &Place, delegated: &str) -> Self {
        Self {
            property,
            argv,
            place: place.clone(),
            delegated: delegated.trim_matches('/').to_owned(),
        }
    }

    fn run(&self, arguments: &[&str]) -> Result<String, LeverError> {
        let (program, front) = self.argv.split_first().ok_or(LeverError::Gone)?;
        let mut command = Command::new(program);
        command.args(front).args(arguments).env_clear();
        let failed = |why| LeverError::Failed(format!("systemctl {}: {why}", arguments.join(" ")));
        output(command, DEADLINE).map_err(failed)
    }

    fn files(&self) -> Beneath {
        Beneath::new(self.place.path("sys/fs/cgroup"))
    }

    /// The unit of a folder that is delegated.
    fn unit<'a>(&self, path: &'a str) -> Result<&'a str, LeverError> {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_unit = KINDS.iter().any(|kind| name.ends_with(kind)) && !name.starts_with('-');
        let failed = |why: String| Err(LeverError::Failed(why));
        if !is_unit {
            return failed(format!("{name:?} is no unit of systemd"));
        }
        if !is_within(path, &self.delegated) {
            return failed(format!(
                "its cgroup {path} is not below the delegated {}",
                self.delegated
            ));
        }
        Ok(name)
    }

    /// The folder of a workload below the root of the hierarchy.
    fn path(&self, workload: &str) -> Result<String, String> {
        let hierarchy = Hierarchy::find(&self.place).map_err(|fault| fault.to_string())?;
        let all = hierarchy.workloads(&self.place);
        let found = all.into_iter().find(|known| known.name == workload);
        let dir = found
            .and_then(|found| found.cpu.or(found.memory))
            .ok_or("it has no cgroup here")?;
        let below = dir
            .strip_prefix(self.place.path("sys/fs/cgroup"))
            .ok()
            .and_then(Path::to_str);
        below
            .map(str::to_owned)
            .ok_or_else(|| "its cgroup has no name that can be written".to_owned())
    }

    fn number(&self, path: &str, file: &str) -> Result<f64, String> {
        let text = self
            .files()
            .read(&format!("{path}/{file}"))
            .map_err(|fault| fault.to_string())?;
        text.parse().map_err(|_| format!("{file} is {text:?}"))
    }
}

impl Lever for Unit {
    fn name(&self) -> &'static str {
        self.property.lever()
    }

    fn quantity(&self) -> Quantity {
        match self.property {
            Property::Cpu | Property::Weight => Quantity::Cpu,
            Property::Memory => Quantity::Memory,
            Property::Tasks => Quantity::Tasks,
        }
    }

    fn aim(&mut self, ask: Ask<'_>) -> Result<Vec<Turn>, String> {
        let path = self.path(ask.workload)?;
        self.unit(&path).map_err(|fault| fault.to_string())?;
        let (text, note) = match self.property {
            Property::Cpu => {
                let percent = (100.0 * ask.amount).max(1.0);
                let note = if percent > 100.0 * ask.amount {
                    "raised to a hundredth of a core"
                } else {
                    ""
                };
                (format!("{percent:.2}%"), note)
            }
            Property::Weight => (format!("{:.0}", (100.0 * ask.amount).clamp(1.0, 10_000.0)), ""),
            Property::Memory => {
                let (bytes, note) = bounded(ask.amount, self.number(&path, "memory.current")?);
                (format!("{bytes:.0}"), note)
            }
            Property::Tasks => {
                let least = self.number(&path, "pids.current")? + 1.0;
                let note = if least > ask.amount {
                    "raised to one more than there are"
                } else {
                    ""
                };
                (format!("{:.0}", ask.amount.ceil().max(least)), note)
            }
        };
        Ok(vec![Turn {
            subject: path,
            text,
            note: note.to_owned(),
        }])
    }

    fn read(&mut self, subject: &str) -> Result<String, LeverError> {
        let unit = self.unit(subject)?;
        let (_, shown) = self.property.names();
        let told = self.run(&["show", "--property", "LoadState", "--property", shown, "--", unit])?;
        if told.lines().any(|line| line == "LoadState=not-found") {
            return Err(LeverError::Gone);
        }
        let value = told
            .lines()
            .find_map(|line| line.strip_prefix(shown)?.strip_prefix('='));
        let text = value.and_then(|value| self.property.text(value));
        text.ok_or_else(|| LeverError::Failed(format!("{shown} of {unit} is {value:?}")))
    }

    fn write(&mut self, subject: &str, text: &str) -> Result<(), LeverError> {
        let unit = self.unit(subject)?;
        let (name, _) = self.property.names();
        let assignment = format!("{name}={}", self.property.assigned(text));
        self.run(&["set-property", "--runtime", "--", unit, &assignment])
            .map(drop)
    }

    fn amount(&mut self, _subject: &str, text: &str) -> Option<f64> {
        let number = text.trim_end_matches('%').parse::<f64>().ok()?;
        Some(match self.property {
            Property::Cpu | Property::Weight => number / 100.0,
            Property::Memory | Property::Tasks => number,
        })
    }

    /// Memory is told in whole pages.
    fn is_same(&self, one: &str, other: &str) -> bool {
        let numbers = [one, other].map(|text| text.trim_end_matches('%').parse::<f64>());
        match (self.property, numbers) {
            (Property::Cpu, [Ok(one), Ok(other)]) => (one - other).abs() < 0.02,
            (Property::Memory, [Ok(one), Ok(other)]) => (one - other).abs() < 4_096.0,
            _ => one == other,
        }
    }

    fn may_restore(&mut self, subject: &str, text: &str) -> Result<(), String> {
        let before = self.amount(subject, text).filter(|_| self.property == Property::Memory);
        let Some(before) = before else { return Ok(()) };
        let (least, _) = bounded(0.0, self.number(subject, "memory.current")?);
        if before < least {
            return Err(format!("its use has grown to above what {text} leaves room for"));
        }
        Ok(())
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn watched(&self, subject: &str) -> Option<Watched> {
        self.unit(subject).ok()?;
        Some(Watched {
            root: self.place.path("sys/fs/cgroup"),
            folder: subject.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
