//! What is published, on its way through the broker.

use std::sync::Arc;

use bytes::Bytes;

/// How sure delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[expect(clippy::enum_variant_names, reason = "MQTT's own names")]
pub(crate) enum Qos {
    #[default]
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

impl Qos {
    /// Of the two bits of the wire; `None` of 3.
    pub(crate) const fn of(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

impl From<rumqttd::protocol::QoS> for Qos {
    fn from(qos: rumqttd::protocol::QoS) -> Self {
        Self::of(qos as u8).unwrap_or_default()
    }
}

/// A connection or a session, numbered in the order of their coming and never again. A session bears the number of the
/// connection that began it.
pub(crate) type Serial = u64;

/// The broker's own messages come from no connection.
pub(crate) const BROKER: Serial = 0;

/// One published message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Message {
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// The session that published it.
    pub(crate) source: Serial,
    /// The name of the client that published it; `None` where it has none.
    pub(crate) owner: Option<Arc<str>>,
    /// What its publisher waits for.
    pub(crate) ack: Option<Ack>,
    /// For a will: the client id of the connection that is gone.
    pub(crate) will_of: Option<Arc<str>>,
    /// Properties of MQTT 5 that are passed on as they came, encoded; the expiry is not among them.
    pub(crate) properties: Bytes,
    /// Unix time in milliseconds from which on nobody is to get it.
    pub(crate) expires_ms: Option<i64>,
}

/// A promise to a publisher: told once everyone has the message who is to get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    /// The connection it came over; another one of the same session has nothing to do with it.
    pub(crate) connection: Serial,
    pub(crate) packet_id: u16,
    /// Its client may not publish it: it goes its way for the answer alone, which so comes in its turn.
    pub(crate) denied: bool,
}

/// What surrounds a message in a queue, in bytes: itself with its counts, its place there, and what an allocator adds to each of three
/// parts.
const AROUND: usize = 256;

impl Message {
    /// Bytes that it takes in a queue: content and an estimate of what surrounds it.
    pub(crate) fn cost(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.len() + AROUND
    }

    /// Whether nobody is to get it any more.
    pub(crate) fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_message_counts_for_what_it_takes() {
        // Itself behind two counts, and the least blocks for its topic and its payload.
        let least = size_of::<Message>() + 16 + 2 * 32;
        assert!((least..2 * least).contains(&Message::default().cost()), "{least}");
    }
}
