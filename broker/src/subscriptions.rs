//! Topic filters, and which of them a topic matches: a tree with one level a node.
//!
//! MQTT 3.1.1, section 4.7: `+` stands for one level, `#` for all that remain and also for none; a filter
//! that begins with either does not match a topic that begins with `$`.

use std::collections::{BTreeMap, HashMap};

use crate::message::{Qos, Serial};

/// The most levels of a topic or filter: more is a mistake, and the tree is walked recursively.
const MAX_LEVELS: usize = 128;

/// How a client wants the messages of one filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wants {
    /// The highest QoS.
    pub(crate) qos: Qos,
    /// Not what it has published itself (MQTT 5).
    pub(crate) no_local: bool,
    /// With the retain flag that they were published with (MQTT 5).
    pub(crate) keep_retain: bool,
}

impl Wants {
    /// What satisfies both, where two filters of one client match the same topic.
    fn and(self, other: Self) -> Self {
        Self {
            qos: self.qos.max(other.qos),
            no_local: self.no_local && other.no_local,
            keep_retain: self.keep_retain || other.keep_retain,
        }
    }
}

/// All subscriptions of all clients.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    root: Node,
    count: usize,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    /// Those whose filter ends here.
    here: HashMap<Serial, Wants>,
    /// Those whose filter ends with `#` below here.
    below: HashMap<Serial, Wants>,
}

/// Whether `topic` can be published to.
pub(crate) fn valid_topic(topic: &str) -> bool {
    !topic.is_empty() && !topic.contains(['+', '#', '\0']) && levels(topic) <= MAX_LEVELS
}

/// Whether `filter` can be subscribed to.
pub(crate) fn valid_filter(filter: &str) -> bool {
    let well_formed = |(at, level): (usize, &str)| match level {
        "+" => true,
        "#" => at + 1 == levels(filter),
        _ => !level.contains(['+', '#', '\0']),
    };
    !filter.is_empty() && levels(filter) <= MAX_LEVELS && filter.split('/').enumerate().all(well_formed)
}

/// Whether `filter`, which is valid, matches `topic`.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => (),
            (level, Some(found)) if level == found => (),
            _ => return false,
        }
    }
    topic.next().is_none()
}

/// What a level takes that no other filter has, in bytes: a table with room for a few nodes.
const LEVEL: usize = 512;

/// What a subscription takes: its bytes, and an estimate of the nodes that it may need.
pub(crate) fn cost(filter: &str) -> usize {
    filter.len() + LEVEL * levels(filter)
}

fn levels(topic: &str) -> usize {
    topic.split('/').count()
}

impl Subscriptions {
    /// Adds `filter`, which is valid, for `client`. Returns whether the client did not have it before.
    pub(crate) fn add(&mut self, filter: &str, client: Serial, wants: Wants) -> bool {
        let (path, all) = path(filter);
        let node = path.fold(&mut self.root, |node, level| {
            node.children.entry(level.into()).or_default()
        });
        let new = node.ends(all).insert(client, wants).is_none();
        self.count += usize::from(new);
        new
    }

    /// Removes `filter` of `client`. Returns whether the client had it.
    pub(crate) fn remove(&mut self, filter: &str, client: Serial) -> bool {
        let (path, all) = path(filter);
        let levels: Vec<_> = path.collect();
        let had = self.root.remove(&levels, all, client);
        self.count -= usize::from(had);
        had
    }

    /// Who gets messages of `topic`, each client once, in the order of their coming.
    pub(crate) fn matching(&self, topic: &str) -> BTreeMap<Serial, Wants> {
        let levels: Vec<_> = topic.split('/').collect();
        let mut found = BTreeMap::new();
        self.root.collect(&levels, topic.starts_with('$'), &mut found);
        found
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

/// The levels of `filter` and whether it goes on with `#`.
fn path(filter: &str) -> (impl Iterator<Item = &str>, bool) {
    let all = filter == "#" || filter.ends_with("/#");
    let depth = levels(filter) - usize::from(all);
    (filter.split('/').take(depth), all)
}

impl Node {
    fn ends(&mut self, all: bool) -> &mut HashMap<Serial, Wants> {
        if all { &mut self.below } else { &mut self.here }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.here.is_empty() && self.below.is_empty()
    }

    /// Removes, and prunes nodes that nobody needs any more.
    fn remove(&mut self, levels: &[&str], all: bool, client: Serial) -> bool {
        let Some((first, rest)) = levels.split_first() else {
            return self.ends(all).remove(&client).is_some();
        };
        let Some(child) = self.children.get_mut(*first) else {
            return false;
        };
        let had = child.remove(rest, all, client);
        if child.is_empty() {
            self.children.remove(*first);
        }
        had
    }

    /// `hidden`: the first level begins with `$`, which wildcards do not match.
    fn collect(&self, levels: &[&str], hidden: bool, found: &mut BTreeMap<Serial, Wants>) {
        if !hidden {
            merge(&self.below, found);
        }
        let Some((first, rest)) = levels.split_first() else {
            merge(&self.here, found);
            return;
        };
        if let Some(child) = self.children.get(*first) {
            child.collect(rest, false, found);
        }
        if let Some(any) = self.children.get("+").filter(|_| !hidden) {
            any.collect(rest, false, found);
        }
    }
}

fn merge(from: &HashMap<Serial, Wants>, found: &mut BTreeMap<Serial, Wants>) {
    for (&client, &wants) in from {
        found.entry(client).and_modify(|w| *w = w.and(wants)).or_insert(wants);
    }
}

#[cfg(test)]
mod tests;
