//! What is forecast: a resource of a host, told by all of its channels or by one of them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use shadow::{Channel, Resource};

/// One series of every host that is forecast: the sum of some channels of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What it is part of.
    pub resource: Resource,
    /// The channels that are summed, at least one, in the order of [`Channel::ALL`].
    pub channels: Vec<Channel>,
}

impl Target {
    /// The whole resource.
    pub fn whole(resource: Resource) -> Self {
        Self {
            resource,
            channels: resource.channels().to_vec(),
        }
    }

    /// One channel of its resource.
    pub fn channel(channel: Channel) -> Self {
        Self {
            resource: channel.resource(),
            channels: vec![channel],
        }
    }

    /// The column of a trace where it is one channel, else the resource's name.
    pub fn name(&self) -> &'static str {
        match self.channels.as_slice() {
            [channel] => channel.column(),
            _ => self.resource.as_str(),
        }
    }

    /// Whether its channels are some of its resource's, each once.
    pub(crate) fn is_sound(&self) -> bool {
        let of_resource = |channel: &Channel| channel.resource() == self.resource;
        let rising = self.channels.is_sorted_by(|a, b| a.index() < b.index());
        !self.channels.is_empty() && rising && self.channels.iter().all(of_resource)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = String;

    /// A column of a trace (`net_rx`) or a resource (`network`).
    fn from_str(text: &str) -> Result<Self, String> {
        let channel = Channel::ALL.into_iter().find(|channel| channel.column() == text);
        if let Some(channel) = channel {
            return Ok(Self::channel(channel));
        }
        let columns = Channel::ALL.map(Channel::column).join(", ");
        let resource = text.parse::<Resource>();
        resource
            .map(Self::whole)
            .map_err(|fault| format!("{fault}, and no channel ({columns})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_columns_or_resources() {
        let check = |name: &str, resource: Resource, channels: usize| {
            let target: Target = name.parse().unwrap();
            assert_eq!(
                (target.resource, target.channels.len(), target.is_sound()),
                (resource, channels, true),
                "{name}"
            );
        };
        check("cpu", Resource::Cpu, 1);
        check("mem", Resource::Memory, 1);
        check("memory", Resource::Memory, 1);
        check("net_rx", Resource::Network, 1);
        check("network", Resource::Network, 2);
        assert_eq!(Target::whole(Resource::Memory).name(), "mem");
        assert_eq!(Target::whole(Resource::Disk).to_string(), "disk");
        assert!("gpu".parse::<Target>().unwrap_err().contains("net_rx"));
        let mixed = Target {
            resource: Resource::Cpu,
            channels: vec![Channel::Memory],
        };
        assert!(!mixed.is_sound());
    }
}
