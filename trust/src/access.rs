//! Who may send and get what: the rules of the roles, in the terms of `docs/topics.md`. Pure.
//!
//! The broker holds to them, and access lists for other brokers are written from them. What no rule allows is refused.

use crate::name::{Name, Role, Stream};

/// The `HOST` level of what belongs to the brain, and any host: a filter may stand here.
const ANY: &str = "+";

/// What an agent tells, below `PREFIX/CELL/HOST/bin/VANTAGE/`.
const FROM_AGENT: [&str; 5] = ["birth", "delta", "event", "hole", "outcome"];

/// What an agent is told, there.
const TO_AGENT: [&str; 2] = ["watermark", "command"];

/// What may be done with the topics of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Subscribe.
    Read,
    /// Publish.
    Write,
    /// Both.
    ReadWrite,
}

impl Access {
    /// The word in an access list.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadWrite => "readwrite",
        }
    }

    /// Whether what is subscribed to may be delivered.
    pub const fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    /// Whether it may be published to.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }
}

/// One thing that is allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// What may be done.
    pub access: Access,
    /// With the topics that this filter matches, as MQTT has filters.
    pub filter: String,
}

/// What whoever is known by `names` may do under `prefix`: in each cell that a name tells of; a viewer in every cell of
/// the broker. A name counts only with its role: hosts with the role of an agent, a cell with the role of a brain.
pub fn rules_of(names: &[Name], prefix: &str) -> Vec<Rule> {
    let mut all = Vec::new();
    for role in names.iter().filter_map(Name::role) {
        for name in names {
            match (role, name) {
                (Role::Agent, Name::Stream(stream)) => all.extend(agent(prefix, stream)),
                (Role::Brain, Name::Brain(cell)) => all.extend(brain(prefix, cell)),
                _ => (),
            }
        }
        if role == Role::Viewer {
            all.extend(viewer(prefix, ANY));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// What an agent may do for one of its hosts: publish what is told of it, and get what is meant for it.
pub fn agent(prefix: &str, stream: &Stream) -> Vec<Rule> {
    let Stream { cell, host, vantage } = stream;
    let binary = |access, kind| rule(access, format!("{prefix}/{cell}/{host}/bin/{vantage}/{kind}"));
    let tells = FROM_AGENT.map(|kind| binary(Access::Write, kind));
    let is_told = TO_AGENT.map(|kind| binary(Access::Read, kind));
    let status = rule(Access::Write, format!("{prefix}/{cell}/{host}/status/{vantage}"));
    tells.into_iter().chain([status]).chain(is_told).collect()
}

/// What the brain of `cell` may do: it alone publishes commands, watermarks, views and its own status.
pub fn brain(prefix: &str, cell: &str) -> Vec<Rule> {
    let root = format!("{prefix}/{cell}");
    let binary = |access, kind| rule(access, format!("{root}/+/bin/+/{kind}"));
    let is_told = FROM_AGENT.map(|kind| binary(Access::Read, kind));
    let tells = TO_AGENT.map(|kind| binary(Access::Write, kind));
    let others = [
        rule(Access::Read, format!("{root}/+/status/+")),
        rule(Access::Write, format!("{root}/+/view/#")),
        rule(Access::Write, format!("{root}/_brain/status")),
        rule(Access::Write, format!("spBv1.0/{cell}/+/{}/#", edge_node(prefix))),
        rule(Access::Read, format!("spBv1.0/{cell}/NCMD/{}", edge_node(prefix))),
    ];
    is_told.into_iter().chain(tells).chain(others).collect()
}

/// What a viewer of `cell` (`+` for every one) may do: look at all that is meant for people, and at the broker's figures.
pub fn viewer(prefix: &str, cell: &str) -> Vec<Rule> {
    let read = |filter| rule(Access::Read, filter);
    vec![
        read(format!("{prefix}/{cell}/+/status/#")),
        read(format!("{prefix}/{cell}/+/view/#")),
        read(format!("spBv1.0/{cell}/+/{}/#", edge_node(prefix))),
        read("$SYS/#".to_owned()),
    ]
}

/// What the brain of each cell is called as an edge node of Sparkplug: one topic level.
pub fn edge_node(prefix: &str) -> String {
    prefix.replace('/', "-")
}

const fn rule(access: Access, filter: String) -> Rule {
    Rule { access, filter }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Name> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn told(uris: &[&str]) -> Vec<String> {
        let rules = rules_of(&names(uris), "p");
        rules
            .iter()
            .map(|rule| format!("{} {}", rule.access.as_str(), rule.filter))
            .collect()
    }

    #[test]
    fn an_agent_speaks_for_its_own_hosts_alone() {
        let rules = told(&["foreshadow:role/agent", "foreshadow:lab/a/inband"]);
        assert_eq!(
            rules,
            [
                "read p/lab/a/bin/inband/command",
                "read p/lab/a/bin/inband/watermark",
                "write p/lab/a/bin/inband/birth",
                "write p/lab/a/bin/inband/delta",
                "write p/lab/a/bin/inband/event",
                "write p/lab/a/bin/inband/hole",
                "write p/lab/a/bin/inband/outcome",
                "write p/lab/a/status/inband",
            ]
        );
        let two = told(&["foreshadow:role/agent", "foreshadow:lab/a/oob", "foreshadow:x/b/oob"]);
        assert_eq!(two.len(), 16);
        assert!(
            two.iter()
                .all(|rule| rule.contains("p/lab/a/") || rule.contains("p/x/b/"))
        );
    }

    #[test]
    fn a_name_counts_only_with_its_role() {
        for powerless in [
            &["foreshadow:role/agent", "foreshadow:lab/_brain"][..],
            &["foreshadow:role/brain", "foreshadow:lab/a/inband"],
            &["foreshadow:role/brain"],
            &[
                "foreshadow:role/broker",
                "foreshadow:lab/_brain",
                "foreshadow:lab/a/oob",
            ],
            &["foreshadow:lab/a/inband"],
            &[],
        ] {
            assert_eq!(told(powerless), [""; 0], "{powerless:?}");
        }
    }

    #[test]
    fn a_brain_has_its_cell_and_a_viewer_looks_on() {
        assert_eq!(
            told(&["foreshadow:role/brain", "foreshadow:lab/_brain"]),
            [
                "read p/lab/+/bin/+/birth",
                "read p/lab/+/bin/+/delta",
                "read p/lab/+/bin/+/event",
                "read p/lab/+/bin/+/hole",
                "read p/lab/+/bin/+/outcome",
                "read p/lab/+/status/+",
                "read spBv1.0/lab/NCMD/p",
                "write p/lab/+/bin/+/command",
                "write p/lab/+/bin/+/watermark",
                "write p/lab/+/view/#",
                "write p/lab/_brain/status",
                "write spBv1.0/lab/+/p/#",
            ]
        );
        assert_eq!(
            told(&["foreshadow:role/viewer"]),
            [
                "read $SYS/#",
                "read p/+/+/status/#",
                "read p/+/+/view/#",
                "read spBv1.0/+/+/p/#"
            ]
        );
    }
}
