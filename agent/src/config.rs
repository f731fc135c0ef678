//! What an operator may set: `config/agent.toml`, with every key and its default.

use runtime::{Faults, Validate};
use serde::Deserialize;

/// The agent's configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What probes look at.
    pub probes: ProbesConfig,
}

/// What probes look at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbesConfig {
    /// Of the network.
    pub network: NetworkConfig,
    /// Of disks.
    pub disk: DiskConfig,
}

/// What the network probe looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Names of interfaces; empty chooses those with a device behind them.
    pub interfaces: Vec<String>,
}

/// What the disk probe looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskConfig {
    /// Names of block devices; empty chooses whole disks.
    pub devices: Vec<String>,
}

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        faults.within("probes", |faults| self.probes.validate(faults));
    }
}

impl Validate for ProbesConfig {
    fn validate(&self, faults: &mut Faults) {
        let named = |names: &[String]| names.iter().all(|name| !name.is_empty() && !name.contains('/'));
        let message = "names must not be empty or hold a '/'";
        faults.within("network", |f| {
            f.require(named(&self.network.interfaces), "interfaces", message)
        });
        faults.within("disk", |f| f.require(named(&self.disk.devices), "devices", message));
    }
}
