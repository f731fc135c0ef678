//! The last message of each topic that wants to be remembered.

use std::{
    collections::BTreeMap,
    ops::Bound::{Included, Unbounded},
    sync::Arc,
};

use crate::{message::Message, subscriptions::matches};

/// Retained messages by topic, bounded in number and bytes, in memory.
#[derive(Debug)]
pub(crate) struct Retained {
    messages: BTreeMap<Arc<str>, Arc<Message>>,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
}

/// The store is full: the message was not retained. An older one of its topic is gone, for it would be wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Retained {
    pub(crate) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self {
            messages: BTreeMap::new(),
            bytes: 0,
            max_messages,
            max_bytes,
        }
    }

    /// Takes the place of the topic's message; an empty payload clears it (3.3.1.3).
    pub(crate) fn set(&mut self, message: &Arc<Message>) -> Result<(), Full> {
        if let Some(old) = self.messages.remove(&message.topic) {
            self.bytes -= old.cost();
        }
        if message.payload.is_empty() {
            return Ok(());
        }
        let bytes = self.bytes + message.cost();
        if self.messages.len() >= self.max_messages || bytes > self.max_bytes {
            return Err(Full);
        }
        self.bytes = bytes;
        self.messages.insert(message.topic.clone(), message.clone());
        Ok(())
    }

    /// The messages of all topics that `filter` matches, by topic.
    pub(crate) fn matching<'a>(&'a self, filter: &'a str) -> impl Iterator<Item = &'a Arc<Message>> {
        // Up to its first wildcard a filter is a prefix of what it matches; `a/#` matches `a` too.
        let prefix = filter.split(['+', '#']).next().unwrap_or_default();
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let from = self.messages.range::<str, _>((Included(prefix), Unbounded));
        let alike = from.take_while(move |(topic, _)| topic.starts_with(prefix));
        alike
            .filter(move |(topic, _)| matches(filter, topic))
            .map(|(_, message)| message)
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
    use crate::message::Qos;

    fn message(topic: &str, payload: &'static str) -> Arc<Message> {
        Arc::new(Message {
            topic: topic.into(),
            payload: Bytes::from_static(payload.as_bytes()),
            qos: Qos::AtMostOnce,
            retain: true,
            source: 1,
            will_of: None,
        })
    }

    fn topics(retained: &Retained, filter: &str) -> Vec<String> {
        retained.matching(filter).map(|m| m.topic.to_string()).collect()
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
        assert!(retained.matching("a/b").all(|m| m.payload == "new"));

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
}
