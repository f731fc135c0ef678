//! What makes no sense in a configuration.

use runtime::{Faults, Span, Validate};
use shadow::{HOST_WORKLOAD, Resource, Vantage, check_name};

use super::{CapacityOverride, Config, OutOfBand, Pace, Probes, WorkloadRule};
use crate::{guard::Limit, probe::is_probe};

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        if let Some(host) = &self.host {
            faults.check(check_name(host), "host");
        }
        faults.check(bus::Topics::new(&self.prefix, &self.cell), "cell");
        at_least(faults, "status_every", self.status_every, Span::from_secs(1));
        faults.within("broker", |f| {
            self.broker.validate(f);
        });
        if let Some(trust) = &self.trust {
            faults.within("trust", |f| trust.validate(f));
        }
        faults.within("pace", |f| self.pace.validate(f));
        faults.within("frame", |f| {
            let span = self.frame.span;
            at_least(f, "span", span, Span::from_millis(10));
            f.require(span <= Span::from_secs(60), "span", format!("{span} is longer than 1m"));
        });
        faults.within("spool", |f| {
            let most = self.spool.max_bytes;
            f.require(most >= 64 << 10, "max_bytes", format!("{most} is less than 65536"));
            let disk = self.spool.disk_bytes;
            let enough = disk == 0 || disk >= 1 << 20;
            f.require(enough, "disk_bytes", format!("{disk} is less than 1048576, and not 0"));
        });
        for (key, folder) in [("state_dir", &self.state_dir), ("runtime_dir", &self.runtime_dir)] {
            let absolute = folder.as_ref().is_none_or(|folder| folder.is_absolute());
            faults.require(absolute, key, "must begin with /");
        }
        faults.within("probes", |f| self.probes.validate(f));
        faults.within("bmc", |f| self.bmc.validate(f));
        if self.vantage == Vantage::Oob {
            let message = "out of band a host is seen through its BMC alone";
            faults.require(self.bmc.address.is_some(), "bmc.address", message);
        }
        validate_out_of_band(self, faults);
        faults.within("capacity", |f| self.capacity.validate(f));
        validate_rules(&self.workloads, faults);
        validate_limits(&self.limits, faults);
        faults.within("act", |f| self.act.validate(f));
    }
}

impl Validate for Pace {
    fn validate(&self, faults: &mut Faults) {
        let Self {
            min,
            max,
            watch,
            budget,
            memory_budget: _,
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
        at_least(faults, "slow", self.slow, Span::from_secs(1));
        for name in self.off.iter().filter(|name| !is_probe(name)) {
            faults.add("off", format!("{name:?} is no probe"));
        }
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
        for rule in &self.bounds {
            faults.within("bounds", |f| rule.validate(f));
        }
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

fn validate_out_of_band(config: &Config, faults: &mut Faults) {
    let own = config.host.as_deref().filter(|_| config.vantage == Vantage::Oob);
    let mut known: Vec<&str> = own.into_iter().collect();
    for OutOfBand { host, bmc } in &config.out_of_band {
        faults.within("out_of_band", |faults| {
            faults.check(check_name(host), "host");
            let twice = known.contains(&host.as_str());
            faults.require(!twice, "host", format!("{host:?} is there twice"));
            let message = format!("{host:?} is seen by nothing else");
            faults.require(bmc.address.is_some(), "bmc.address", message);
            faults.within("bmc", |faults| bmc.validate(faults));
        });
        known.push(host);
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
        let power = *resource == Resource::Power && workload != HOST_WORKLOAD;
        faults.require(!power, "limits", format!("power has limits for {HOST_WORKLOAD:?} only"));
    }
}

pub(super) fn at_least(faults: &mut Faults, key: &str, span: Span, least: Span) {
    faults.require(span >= least, key, format!("{span} is shorter than {least}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../config/agent.toml");

    /// The example with every commented key switched on: lines such as `# key = value` and `# [table]`.
    fn uncommented() -> String {
        let key = |line: &str| line.starts_with('[') || line.contains(" = ");
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
        assert_eq!(config.bmc.user.as_deref(), Some("monitor"));
        assert_eq!(config.trust.map(|trust| trust.identities.len()), Some(1));
        assert_eq!(config.capacity.disk_bytes_per_s, Some(500e6));
        assert!(config.workloads.len() >= 2 && config.limits.len() == 2);
        assert_eq!(config.limits.first().and_then(|limit| limit.floor), Some(0.5));
        assert_eq!(
            config.act.allow.first().map(|rule| (rule.lever(), rule.protect)),
            Some(("cpu.max", true))
        );
    }

    #[test]
    fn all_faults_are_told_at_once() {
        check(
            "host = 'a/b'\nprefix = 'x+'\n[broker]\nport = 0\n[pace]\nmin = '9s'\nbudget = 0.0\n[frame]\nspan = '2m'\n[spool]\nmax_bytes = 5\ndisk_bytes = 6",
            &[
                "1: host: ",
                "cell: ",
                "4: broker.port: ",
                "pace.max: 5s is shorter than min, 9s",
                "7: pace.budget: ",
                "9: frame.span: ",
                "11: spool.max_bytes: ",
                "12: spool.disk_bytes: ",
            ],
        );
        check(
            "[[out_of_band]]\nhost = 'a'\n[out_of_band.bmc]\n[[out_of_band]]\nhost = 'a'\nbmc = { address = 'local' }",
            &[
                "out_of_band.bmc.address: \"a\" is seen by nothing else",
                "out_of_band.host: \"a\" is there twice",
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
    fn what_cannot_be_allowed_is_told() {
        check(
            "[act]\nroot = '../x'\n[[act.allow]]\nworkload = ''\nresource = 'cpu'\nlever = 'memory.max'",
            &[
                "act.root: ",
                "act.allow: workload must not be empty",
                "act.allow: \"memory.max\" sets no cpu; what does: cpu.max, cpu.weight, cpuset.cpus",
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
