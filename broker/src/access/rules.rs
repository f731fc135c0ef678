//! What one client may send and get, decided topic by topic: a walk along its levels, without an allocation.
//!
//! What no rule allows is refused, and what one denies is refused whatever others allow. Topics that begin with `$`
//! belong to the broker: nobody publishes there.

use trust::Access;

/// What a rule does with the topics of its filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// They may be read, written, or both.
    Allow(Access),
    /// They may be neither.
    Deny,
}

/// The rules of one client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// There are none: everything but the broker's own tree.
    Everything,
    /// These.
    Rules(Rules),
}

/// Filters by what they do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// They are those of an agent: it has no use for shared subscriptions, by which one message would come as often as it has
    /// groups, nor for many connections.
    of_agent: bool,
    read: Filters,
    write: Filters,
    deny: Filters,
}

/// Filters as a tree with one level a node.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filters {
    /// By level, sorted. The level `+` is `any`.
    children: Vec<(Box<str>, Self)>,
    any: Option<Box<Self>>,
    /// A filter ends here.
    here: bool,
    /// One ends with `#` below here, and so also here.
    below: bool,
}

impl Permit {
    /// Whether a message may be published to `topic`.
    pub(crate) fn may_write(&self, topic: &str) -> bool {
        !topic.starts_with('$')
            && match self {
                Self::Everything => true,
                Self::Rules(rules) => rules.write.match_topic(topic) && !rules.deny.match_topic(topic),
            }
    }

    /// Whether a message of `topic` may be delivered.
    pub(crate) fn may_read(&self, topic: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Rules(rules) => rules.read.match_topic(topic) && !rules.deny.match_topic(topic),
        }
    }

    /// Whether it is that of an agent.
    pub(crate) const fn is_of_agent(&self) -> bool {
        matches!(self, Self::Rules(Rules { of_agent: true, .. }))
    }

    /// Whether there may be anything to deliver for `filter`. What else it matches is left out at delivery.
    pub(crate) fn may_subscribe(&self, filter: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Rules(rules) if rules.of_agent && of_group(filter) != filter => false,
            Self::Rules(rules) => {
                let filter = of_group(filter);
                rules.read.overlap(Some(filter), true) && !rules.deny.cover(Some(filter), true)
            }
        }
    }
}

/// The filter of a shared subscription, `$share/GROUP/FILTER` (MQTT 5, 4.8.2), or the filter itself.
fn of_group(filter: &str) -> &str {
    let shared = filter.strip_prefix("$share/");
    shared
        .and_then(|rest| rest.split_once('/'))
        .map_or(filter, |(_, filter)| filter)
}

impl Rules {
    /// None yet, of an agent or not.
    pub(crate) fn of(of_agent: bool) -> Self {
        Self {
            of_agent,
            ..Self::default()
        }
    }

    /// Adds a rule. `filter` is valid.
    pub(crate) fn add(&mut self, effect: Effect, filter: &str) {
        match effect {
            Effect::Deny => self.deny.add(filter),
            Effect::Allow(access) => {
                if access.reads() {
                    self.read.add(filter);
                }
                if access.writes() {
                    self.write.add(filter);
                }
            }
        }
    }
}

/// The first level, and what follows. By bytes: levels are short, and this is done for each of each delivery.
fn split(filter: &str) -> (&str, Option<&str>) {
    let end = filter.bytes().position(|byte| byte == b'/');
    let halves = end.and_then(|end| Some((filter.get(..end)?, filter.get(end + 1..)?)));
    halves.map_or((filter, None), |(level, rest)| (level, Some(rest)))
}

impl Filters {
    fn add(&mut self, filter: &str) {
        let mut node = self;
        for level in filter.split('/') {
            match level {
                "#" => {
                    node.below = true;
                    return;
                }
                "+" => node = node.any.get_or_insert_default(),
                level => {
                    let at = match node.position(level) {
                        Ok(at) => at,
                        Err(at) => {
                            node.children.insert(at, (level.into(), Self::default()));
                            at
                        }
                    };
                    // `at` is where it is, or was just put.
                    let Some((_, child)) = node.children.get_mut(at) else {
                        return;
                    };
                    node = child;
                }
            }
        }
        node.here = true;
    }

    fn position(&self, level: &str) -> Result<usize, usize> {
        self.children.binary_search_by(|(name, _)| (**name).cmp(level))
    }

    fn child(&self, level: &str) -> Option<&Self> {
        let at = self.position(level).ok()?;
        self.children.get(at).map(|(_, child)| child)
    }

    fn match_topic(&self, topic: &str) -> bool {
        // Mostly nothing is denied.
        if self.children.is_empty() && self.any.is_none() && !self.below {
            return false;
        }
        // Wildcards at the first level do not match the broker's own topics (MQTT 3.1.1, 4.7.2).
        self.matches(Some(topic), topic.starts_with('$'))
    }

    fn matches(&self, rest: Option<&str>, hidden: bool) -> bool {
        if self.below && !hidden {
            return true;
        }
        let Some(rest) = rest else { return self.here };
        let (level, rest) = split(rest);
        self.child(level).is_some_and(|child| child.matches(rest, false))
            || !hidden && self.any.as_ref().is_some_and(|any| any.matches(rest, false))
    }

    /// Whether there is a topic that one of these filters matches as well as `filter`. `first`: at its first level.
    fn overlap(&self, filter: Option<&str>, first: bool) -> bool {
        let Some(filter) = filter else {
            return self.here || self.below;
        };
        let (level, rest) = split(filter);
        let hidden = first && level.starts_with('$');
        if self.below && !hidden {
            return true;
        }
        let open = |name: &str| !(first && name.starts_with('$'));
        let any = self.any.as_deref().filter(|_| !hidden);
        match level {
            // Every node leads to the end of some filter.
            "#" => self.here || any.is_some() || self.children.iter().any(|(name, _)| open(name)),
            "+" => {
                let named = self
                    .children
                    .iter()
                    .filter(|(name, _)| open(name))
                    .map(|(_, child)| child);
                named.chain(any).any(|node| node.overlap(rest, false))
            }
            level => self
                .child(level)
                .into_iter()
                .chain(any)
                .any(|node| node.overlap(rest, false)),
        }
    }

    /// Whether one of these filters matches every topic that `filter` matches.
    fn cover(&self, filter: Option<&str>, first: bool) -> bool {
        let hidden = first && filter.is_some_and(|filter| filter.starts_with('$'));
        if self.below && !hidden {
            return true;
        }
        let Some(filter) = filter else { return self.here };
        let (level, rest) = split(filter);
        let any = self.any.as_deref().filter(|_| !hidden && level != "#");
        let named = self.child(level).filter(|_| level != "#" && level != "+");
        named.into_iter().chain(any).any(|node| node.cover(rest, false))
    }
}

#[cfg(test)]
mod tests;
