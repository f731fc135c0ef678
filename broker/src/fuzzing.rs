//! Doors for the fuzz targets: what they call lies inside.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::{
    access::{Permit, acl::Acl, rules::Rules},
    message::{Message, Qos},
    packet::{self, Head, Publish, Received, Version},
    subscriptions::{valid_filter, valid_topic},
};

/// The largest packet that is taken here, in bytes.
const MAX_PACKET: usize = 64 * 1024;

/// Reads what a client sends as a connection does: its CONNECT tells the version, and packets follow until one is broken or
/// not complete.
///
/// # Panics
/// When a packet is taken in part, or a message is not read again as what it was.
pub fn packets(bytes: &[u8]) -> Option<()> {
    let version = packet::version(bytes, MAX_PACKET).ok()??.ok()?;
    let mut buffer = BytesMut::from(bytes);
    loop {
        let before = buffer.len();
        let received = packet::read(version, &mut buffer, MAX_PACKET).ok()?;
        let Some(received) = received else {
            assert_eq!(buffer.len(), before, "what is not complete stays");
            return Some(());
        };
        assert!(buffer.len() < before, "what was read is gone");
        if let Received::Publish(publish) = received {
            again(version, &publish);
        }
    }
}

/// A message that was read is written, and read as the same.
fn again(version: Version, publish: &Publish) {
    if !valid_topic(&publish.topic) {
        return;
    }
    let message = Message {
        topic: Arc::from(publish.topic.as_str()),
        payload: Bytes::clone(&publish.payload),
        qos: Qos::AtLeastOnce,
        retain: publish.retain,
        source: 1,
        ..Message::default()
    };
    let head = Head {
        qos: Qos::AtLeastOnce,
        packet_id: 7,
        retain: publish.retain,
        ..Head::default()
    };
    let mut buffer = BytesMut::new();
    packet::write_publish(version, &message, head, &mut buffer);
    let read = packet::read(version, &mut buffer, 2 * MAX_PACKET);
    let same = matches!(&read, Ok(Some(Received::Publish(found)))
        if found.topic == publish.topic && found.payload == publish.payload && found.retain == publish.retain);
    assert!(same && buffer.is_empty(), "{read:?}");
}

/// Reads a list of rules and decides by it. The first lines are a name, a client id, a topic and a filter.
///
/// # Panics
/// When a decision is at odds with another.
pub fn acl(text: &str) -> Option<()> {
    let mut lines = text.splitn(5, '\n');
    let (name, client_id, topic, filter) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
    let acl = Acl::parse(lines.next()?).ok()?;
    let mut rules = Rules::default();
    acl.rules_of(Some(name).filter(|name| !name.is_empty()), client_id, &mut rules);
    let permit = Permit::Rules(rules);
    assert!(!permit.may_write("$SYS/broker/version"));
    if valid_topic(topic) {
        let read = permit.may_read(topic);
        assert!(!read || permit.may_subscribe(topic), "{topic} may be read");
        if valid_filter(filter) && crate::subscriptions::matches(filter, topic) {
            assert!(!read || permit.may_subscribe(filter), "{topic} may be read by {filter}");
        }
    }
    Some(())
}
