//! What is published, on its way through the broker.

use std::sync::Arc;

use bytes::Bytes;

/// How sure delivery is. Messages of QoS 2 are delivered at QoS 1, as their subscribers were granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Qos {
    AtMostOnce,
    AtLeastOnce,
}

/// A connection, numbered in the order of their coming and never again.
pub(crate) type Serial = u64;

/// The broker's own messages come from no connection.
pub(crate) const BROKER: Serial = 0;

/// One published message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// Who published it.
    pub(crate) source: Serial,
    /// For a will: the client id of the connection that is gone.
    pub(crate) will_of: Option<Arc<str>>,
}

impl Message {
    /// Bytes that it takes in a queue: content and an estimate of what surrounds it.
    pub(crate) fn cost(&self) -> usize {
        self.topic.len() + self.payload.len() + 64
    }
}
