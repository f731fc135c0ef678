//! Acting: on which hosts which resources are really changed. Nothing is, unless the policy says so.

use shadow::Resource;
use toml::Value;

use super::section::{Faults, Section};

/// Which hosts' which resources commands really change; of all others they only recommend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acting {
    /// Names of hosts with `*` for any characters, each with what is acted on there.
    rules: Vec<(String, Vec<Resource>)>,
}

impl Acting {
    /// Whether `resource` of `host` is really changed: any rule that matches says so.
    pub fn is_on(&self, host: &str, resource: Resource) -> bool {
        let mut of_host = self.rules.iter().filter(|(pattern, _)| matches(pattern, host));
        of_host.any(|(_, resources)| resources.contains(&resource))
    }

    /// Whether anything is acted on anywhere.
    pub fn is_any(&self) -> bool {
        self.rules.iter().any(|(_, resources)| !resources.is_empty())
    }

    /// The rules: pattern of hosts, and what is acted on there.
    pub fn rules(&self) -> &[(String, Vec<Resource>)] {
        &self.rules
    }
}

/// `[act]`: a pattern of hosts is the key, a list of resources the value.
pub(super) fn read(mut section: Section, faults: &mut Faults) -> Acting {
    let patterns: Vec<String> = section.table.keys().cloned().collect();
    let rules = patterns.into_iter().map(|pattern| {
        let resources = section.read(&pattern, Vec::new(), faults, resources);
        (pattern, resources)
    });
    Acting { rules: rules.collect() }
}

fn resources(value: &Value) -> Result<Vec<Resource>, String> {
    let expected = || format!("is {value}; a list such as [\"cpu\", \"memory\"] is expected");
    let list = value.as_array().ok_or_else(expected)?;
    let each = list.iter().map(|name| {
        let known = name.as_str().and_then(|name| name.parse().ok());
        known.ok_or_else(|| format!("has {name}; cpu, memory, network, disk or power is expected"))
    });
    each.collect()
}

/// Whether `name` is what `pattern` describes: `*` stands for any characters.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(head) else {
        return false;
    };
    // The parts between stars take as little as they can, so each is looked for once; the last must be the end.
    let mut rest = rest;
    let mut parts = tail.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn stars_stand_for_any_characters() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        };
        for (pattern, name) in [
            ("web", "web"),
            ("*", ""),
            ("*", "anything"),
            ("web*", "web-1"),
            ("*.rack", "a.rack"),
            ("a*b*c", "aXbYbZc"),
            ("**", "x"),
            ("ä*", "äß"),
            ("a*a", "aa"),
        ] {
            check(pattern, name, true);
        }
        for (pattern, name) in [
            ("web", "web1"),
            ("web*", "we"),
            ("a*b", "abc"),
            ("", "x"),
            ("a*a", "a"),
            ("*ab*b", "ab"),
        ] {
            check(pattern, name, false);
        }
    }

    #[test]
    fn nothing_is_acted_on_unless_a_rule_says_so() {
        let acts = |text: &str, host: &str, resource| Policy::parse(text).unwrap().act.is_on(host, resource);
        assert!(!Policy::built_in().act.is_any());
        assert!(!acts("[act]\n\"edge-*\" = []", "edge-1", Resource::Cpu));
        let text = "[act]\n\"edge-*\" = [\"cpu\"]\n\"edge-1\" = [\"power\"]";
        assert!(acts(text, "edge-1", Resource::Cpu) && acts(text, "edge-1", Resource::Power));
        assert!(acts(text, "edge-2", Resource::Cpu) && !acts(text, "edge-2", Resource::Power));
        assert!(!acts(text, "edge-1", Resource::Memory) && !acts(text, "web", Resource::Cpu));
    }
}
