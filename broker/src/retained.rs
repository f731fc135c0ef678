//! The last message of each topic that wants to be remembered.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound::{Excluded, Included, Unbounded},
    sync::Arc,
};

use crate::{message::Message, subscriptions::matches};

/// Topics that one look into the store goes over, so that its lock is held for a moment only.
const SCAN: usize = 1_000;

/// Retained messages by topic, bounded in number and bytes.
#[derive(Debug)]
pub(crate) struct Retained {
    messages: BTreeMap<Arc<str>, Kept>,
    /// How often a message was set, ever.
    changes: u64,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
    /// Messages and bytes of each name that has any, and the most of both.
    owners: HashMap<Arc<str>, (usize, usize)>,
    max_of_each: (usize, usize),
}

#[derive(Debug)]
struct Kept {
    message: Arc<Message>,
    /// The change that set it.
    change: u64,
}

/// A replay of what is retained, as far as it has come. It needs no copy of the messages: what is set after it began is
/// not replayed, for whoever subscribed gets that as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replay {
    pub(crate) filter: Arc<str>,
    /// The last change that it shows.
    until: u64,
    /// The last topic that it has gone over.
    after: Option<Arc<str>>,
}

/// The store is full, or as much of it as the publisher's name may have: the message was not retained. An older one of its topic is gone, for it would be wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Retained {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            messages: BTreeMap::new(),
            changes: 0,
            bytes: 0,
            max_messages,
            max_bytes,
            owners: HashMap::new(),
            max_of_each: (usize::MAX, usize::MAX),
        }
    }

    /// The same, with bounds for each name; who has none is bounded with all alone.
    pub(crate) fn each(mut self, max_messages: usize, max_bytes: usize) -> Self {
        self.max_of_each = (max_messages, max_bytes);
        self
    }

    /// Takes the place of the topic's message; an empty payload clears it (3.3.1.3).
    pub(crate) fn set(&mut self, message: &Arc<Message>) -> Result<(), Full> {
        self.remove(&message.topic);
        if message.payload.is_empty() {
            return Ok(());
        }
        let bytes = self.bytes + message.cost();
        if self.messages.len() >= self.max_messages || bytes > self.max_bytes {
            return Err(Full);
        }
        if let Some(owner) = &message.owner {
            let (messages, bytes) = self.owners.get(owner).copied().unwrap_or_default();
            let own = (messages + 1, bytes + message.cost());
            if own.0 > self.max_of_each.0 || own.1 > self.max_of_each.1 {
                return Err(Full);
            }
            self.owners.insert(owner.clone(), own);
        }
        self.bytes = bytes;
        self.changes += 1;
        let kept = Kept {
            message: message.clone(),
            change: self.changes,
        };
        self.messages.insert(message.topic.clone(), kept);
        Ok(())
    }

    /// Begins to replay what `filter` matches now.
    pub(crate) fn replay(&self, filter: &str) -> Replay {
        Replay {
            filter: filter.into(),
            until: self.changes,
            after: None,
        }
    }

    /// Lets a replay that has rested show what was set meanwhile, as far as it has not come by there.
    pub(crate) fn prolong(&self, replay: &mut Replay) {
        replay.until = self.changes;
    }

    /// Goes on with a replay: its next messages by topic, at most `messages` of them and about as many `bytes`. Returns
    /// whether that was all. What has expired is not among them.
    pub(crate) fn next(
        &self,
        replay: &mut Replay,
        (messages, mut bytes): (usize, usize),
        now_ms: i64,
    ) -> (Vec<Arc<Message>>, bool) {
        // Up to its first wildcard a filter is a prefix of what it matches; `a/#` matches `a` too.
        let prefix = replay.filter.split(['+', '#']).next().unwrap_or_default();
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let from = replay.after.as_deref().map_or(Included(prefix), Excluded);
        let mut from = self.messages.range::<str, _>((from, Unbounded));
        let mut found = Vec::new();
        for _ in 0..SCAN {
            let Some((topic, kept)) = from.next().filter(|(topic, _)| topic.starts_with(prefix)) else {
                return (found, true);
            };
            replay.after = Some(topic.clone());
            let shown = kept.change <= replay.until && matches(&replay.filter, topic);
            if shown && !kept.message.is_expired(now_ms) {
                bytes = bytes.saturating_sub(kept.message.cost());
                found.push(kept.message.clone());
                if found.len() >= messages || bytes == 0 {
                    break;
                }
            }
        }
        (found, false)
    }

    /// Forgets what has expired.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        let expired = self.messages.values().filter(|kept| kept.message.is_expired(now_ms));
        let topics: Vec<_> = expired.map(|kept| kept.message.topic.clone()).collect();
        for topic in &topics {
            self.remove(topic);
        }
    }

    fn remove(&mut self, topic: &str) {
        let Some(Kept { message, .. }) = self.messages.remove(topic) else {
            return;
        };
        self.bytes -= message.cost();
        let Some(owner) = &message.owner else { return };
        if let Some(own) = self.owners.get_mut(owner) {
            *own = (own.0 - 1, own.1 - message.cost());
            if own.0 == 0 {
                self.owners.remove(owner);
            }
        }
    }

    /// All of them, by topic.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.messages.values().map(|kept| &kept.message)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// What they take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(topic: &str, payload: &'static str) -> Arc<Message> {
        Arc::new(Message {
            topic: topic.into(),
            payload: Bytes::from_static(payload.as_bytes()),
            retain: true,
            ..Message::default()
        })
    }

    /// All that a replay shows, `each` messages at a time.
    fn replayed(retained: &Retained, filter: &str, each: usize) -> Vec<Arc<Message>> {
        let mut replay = retained.replay(filter);
        let mut found = Vec::new();
        loop {
            let (next, done) = retained.next(&mut replay, (each, 1 << 20), 0);
            assert!(next.len() <= each);
            found.extend(next);
            if done {
                return found;
            }
        }
    }

    fn topics(retained: &Retained, filter: &str) -> Vec<String> {
        let found = replayed(retained, filter, 100);
        assert_eq!(found, replayed(retained, filter, 1), "in whatever steps");
        found.iter().map(|m| m.topic.to_string()).collect()
    }

    #[test]
    fn the_last_message_of_each_topic_is_found() {
        let mut retained = Retained::new(100, 10_000);
        for topic in ["a", "a/b", "a/c/d", "ab", "b/b", "$SYS/x"] {
            retained.set(&message(topic, "old")).unwrap();
            retained.set(&message(topic, "new")).unwrap();
        }
        assert_eq!(topics(&retained, "a/#"), ["a", "a/b", "a/c/d"]);
        assert_eq!(topics(&retained, "+/b"), ["a/b", "b/b"]);
        assert_eq!(topics(&retained, "#"), ["a", "a/b", "a/c/d", "ab", "b/b"]);
        assert_eq!(topics(&retained, "$SYS/#"), ["$SYS/x"]);
        assert_eq!(topics(&retained, "a/b"), ["a/b"]);
        assert!(replayed(&retained, "a/b", 9).iter().all(|m| m.payload == "new"));

        retained.set(&message("a/b", "")).unwrap();
        assert_eq!(topics(&retained, "a/b"), [""; 0]);
        assert_eq!(retained.len(), 5);
    }

    #[test]
    fn a_full_store_keeps_what_it_has_and_nothing_wrong() {
        let mut retained = Retained::new(2, 10_000);
        retained.set(&message("a", "1")).unwrap();
        retained.set(&message("b", "1")).unwrap();
        assert_eq!(retained.set(&message("c", "1")), Err(Full));
        assert_eq!(retained.set(&message("a", "2")), Ok(()));
        assert_eq!(topics(&retained, "#"), ["a", "b"]);

        let mut retained = Retained::new(10, message("a", "1").cost());
        retained.set(&message("a", "1")).unwrap();
        assert_eq!(retained.set(&message("a", "22")), Err(Full));
        assert_eq!((retained.len(), retained.bytes()), (0, 0));
    }

    #[test]
    fn one_name_takes_its_part_and_no_more() {
        let of = |owner: &str, topic: &str| {
            Arc::new(Message {
                owner: Some(owner.into()),
                ..Message::clone(&message(topic, "1"))
            })
        };
        let mut retained = Retained::new(100, 10_000).each(2, 10_000);
        for topic in ["a", "b", "a"] {
            assert_eq!(retained.set(&of("eve", topic)), Ok(()));
        }
        assert_eq!(retained.set(&of("eve", "c")), Err(Full));
        assert_eq!(retained.set(&of("ann", "c")), Ok(()));
        // Whoever sets a topic has it now.
        assert_eq!(retained.set(&of("ann", "a")), Ok(()));
        assert_eq!(retained.set(&of("ann", "d")), Err(Full));
        assert_eq!(retained.set(&of("eve", "d")), Ok(()));
        assert_eq!(retained.set(&message("e", "1")), Ok(()), "nobody's");
        for topic in ["a", "b", "c", "d", "e"] {
            retained.set(&message(topic, "")).unwrap();
        }
        assert_eq!((retained.len(), retained.bytes(), retained.owners.len()), (0, 0, 0));
        let mut retained = Retained::new(100, 10_000).each(100, 2 * message("a", "1").cost());
        let set = ["a", "b", "c"].map(|topic| retained.set(&of("eve", topic)));
        assert_eq!(set, [Ok(()), Ok(()), Err(Full)]);
    }

    #[test]
    fn what_is_set_while_a_replay_goes_on_is_not_replayed() {
        let mut retained = Retained::new(100, 10_000);
        for topic in ["a", "b", "c", "d"] {
            retained.set(&message(topic, "old")).unwrap();
        }
        let mut replay = retained.replay("#");
        let (first, done) = retained.next(&mut replay, (1, 1 << 20), 0);
        assert!(!done && &*first[0].topic == "a");
        for (topic, payload) in [("a", "new"), ("b", "new"), ("c", ""), ("e", "new")] {
            retained.set(&message(topic, payload)).unwrap();
        }
        let (rest, done) = retained.next(&mut replay, (100, 1 << 20), 0);
        assert!(done);
        assert_eq!(rest.iter().map(|m| &*m.topic).collect::<Vec<_>>(), ["d"]);
    }

    #[test]
    fn a_look_is_bounded_in_messages_bytes_and_topics() {
        let mut retained = Retained::new(10_000, 10_000_000);
        for n in 0..3_000 {
            retained.set(&message(&format!("t/{n:04}"), "x")).unwrap();
        }
        let mut replay = retained.replay("t/+");
        assert_eq!(retained.next(&mut replay, (10, 1 << 20), 0).0.len(), 10);
        let three = 2 * message("t/0000", "x").cost() + 1;
        assert_eq!(retained.next(&mut replay, (100, three), 0).0.len(), 3);
        let mut rare = retained.replay("+/2500");
        assert_eq!(retained.next(&mut rare, (10, 1 << 20), 0), (vec![], false));
        assert_eq!(replayed(&retained, "+/2500", 10).len(), 1);
    }

    #[test]
    fn what_has_expired_is_not_shown_and_forgotten() {
        let mut retained = Retained::new(10, 10_000);
        let short = Message {
            expires_ms: Some(1_000),
            ..Message::clone(&message("a", "x"))
        };
        retained.set(&Arc::new(short)).unwrap();
        retained.set(&message("b", "x")).unwrap();
        let shown = |now_ms| retained.next(&mut retained.replay("#"), (10, 1_000), now_ms).0.len();
        assert_eq!((shown(999), shown(1_000)), (2, 1));
        retained.expire(1_000);
        assert_eq!((retained.len(), retained.bytes()), (1, message("b", "x").cost()));
    }
}
