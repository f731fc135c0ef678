//! Shared subscriptions, `$share/GROUP/FILTER`: each message goes to one member of a group (MQTT 5, 4.8.2).
//!
//! A group is a name and a filter together. Groups stand in a tree of their own, as clients do in that of ordinary
//! subscriptions.

use std::{collections::HashMap, sync::Arc};

use crate::{
    message::Serial,
    subscriptions::{Subscriptions, Wants, valid_filter},
};

const PREFIX: &str = "$share/";

/// The filter that a shared subscription shares; `None` where `path` is no shared subscription.
pub(crate) fn shared(path: &str) -> Option<&str> {
    let (_, filter) = path.strip_prefix(PREFIX)?.split_once('/')?;
    Some(filter)
}

/// Whether `path`, which may be a shared subscription, can be subscribed to.
pub(crate) fn valid(path: &str) -> bool {
    match path.strip_prefix(PREFIX) {
        None => valid_filter(path),
        Some(rest) => rest.split_once('/').is_some_and(|(group, filter)| {
            !group.is_empty() && !group.contains(['+', '#', '\0']) && valid_filter(filter)
        }),
    }
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    /// Filters with the numbers of the groups that share them.
    tree: Subscriptions,
    numbers: HashMap<Arc<str>, Serial>,
    groups: HashMap<Serial, Group>,
    last_number: Serial,
}

/// Path and members of a group, the one whose turn it is first.
pub(crate) type Turn = (Arc<str>, Vec<(Serial, Wants)>);

/// Those who share one filter.
#[derive(Debug)]
pub(crate) struct Group {
    /// The whole subscription, with `$share`.
    pub(crate) path: Arc<str>,
    members: Vec<(Serial, Wants)>,
    next: usize,
}

impl Shares {
    /// Adds `client` to the group of `path`, which is valid. Returns whether it is new there.
    pub(crate) fn add(&mut self, path: &str, client: Serial, wants: Wants) -> bool {
        let number = self.numbers.get(path).copied().unwrap_or_else(|| self.begin(path));
        let Some(group) = self.groups.get_mut(&number) else {
            return false;
        };
        if let Some(member) = group.members.iter_mut().find(|(member, _)| *member == client) {
            member.1 = wants;
            return false;
        }
        group.members.push((client, wants));
        true
    }

    fn begin(&mut self, path: &str) -> Serial {
        self.last_number += 1;
        let number = self.last_number;
        let path: Arc<str> = path.into();
        // What a group wants is told by its members.
        self.tree
            .add(shared(&path).unwrap_or_default(), number, Wants::default());
        self.numbers.insert(path.clone(), number);
        let group = Group {
            path,
            members: Vec::new(),
            next: 0,
        };
        self.groups.insert(number, group);
        number
    }

    /// Removes `client` from the group of `path`. Returns whether it was there.
    pub(crate) fn remove(&mut self, path: &str, client: Serial) -> bool {
        let Some(&number) = self.numbers.get(path) else {
            return false;
        };
        let Some(group) = self.groups.get_mut(&number) else {
            return false;
        };
        let before = group.members.len();
        group.members.retain(|(member, _)| *member != client);
        let had = group.members.len() < before;
        if group.members.is_empty() {
            self.groups.remove(&number);
            self.numbers.remove(path);
            self.tree.remove(shared(path).unwrap_or_default(), number);
        }
        had
    }

    /// The groups that share messages of `topic`.
    pub(crate) fn matching(&self, topic: &str) -> Vec<Serial> {
        if self.groups.is_empty() {
            return Vec::new();
        }
        self.tree.matching(topic).into_keys().collect()
    }

    /// The number of the group of `path`.
    pub(crate) fn number(&self, path: &str) -> Option<Serial> {
        self.numbers.get(path).copied()
    }

    /// Path and members of a group, whose turn it is first; the turn goes on.
    pub(crate) fn turn(&mut self, number: Serial) -> Option<Turn> {
        let group = self.groups.get_mut(&number)?;
        let at = group.next % group.members.len().max(1);
        group.next = at + 1;
        let mut members = group.members.clone();
        members.rotate_left(at);
        Some((group.path.clone(), members))
    }

    /// Memberships of all groups.
    pub(crate) fn len(&self) -> usize {
        self.groups.values().map(|group| group.members.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(shares: &mut Shares, topic: &str) -> Vec<Serial> {
        let group = *shares.matching(topic).first().unwrap();
        shares
            .turn(group)
            .unwrap()
            .1
            .into_iter()
            .map(|(member, _)| member)
            .collect()
    }

    #[test]
    fn shared_subscriptions_are_told_from_others_and_checked() {
        assert_eq!(shared("$share/g/a/+"), Some("a/+"));
        assert_eq!(shared("$share/g//a"), Some("/a"));
        assert_eq!(shared("a/b"), None);
        for good in ["a", "$share/g/a", "$share/g/#", "$share/g//", "$SYS/#"] {
            assert!(valid(good), "{good}");
        }
        for bad in ["$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g/a#", ""] {
            assert!(!valid(bad), "{bad}");
        }
    }

    #[test]
    fn members_take_turns_and_an_empty_group_leaves_nothing_behind() {
        let mut shares = Shares::default();
        for client in [1, 2, 3] {
            assert!(shares.add("$share/g/a/+", client, Wants::default()));
        }
        assert!(!shares.add("$share/g/a/+", 2, Wants::default()));
        assert!(shares.add("$share/h/a/b", 1, Wants::default()));
        assert_eq!(
            (shares.len(), shares.matching("a/b").len(), shares.matching("b").len()),
            (4, 2, 0)
        );
        assert_eq!(turn(&mut shares, "a/x"), [1, 2, 3]);
        assert_eq!(turn(&mut shares, "a/x"), [2, 3, 1]);
        assert!(shares.remove("$share/g/a/+", 1));
        assert!(!shares.remove("$share/g/a/+", 1));
        assert_eq!(turn(&mut shares, "a/x"), [2, 3]);
        for (path, client) in [("$share/g/a/+", 2), ("$share/g/a/+", 3), ("$share/h/a/b", 1)] {
            assert!(shares.remove(path, client));
        }
        assert!(shares.numbers.is_empty() && shares.groups.is_empty() && shares.tree.len() == 0);
    }
}
