//! What a client sends, and what is done about it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::BytesMut;
use rumqttd::protocol::{
    DisconnectReasonCode, Packet, PingResp, PubAck, PubAckReason, PubComp, PubCompReason, PubRec, PubRecReason,
    Subscribe,
};
use runtime::LogLimit;
use tokio::{
    io::{AsyncReadExt, ReadHalf},
    time::{error::Elapsed, sleep, timeout},
};

use super::end::End;
use crate::{
    Refusal,
    access::{Badge, Rate},
    message::{Message, Qos, Serial},
    outbox::Outbox,
    packet::{self, Publish, Received, Version},
    router::Gone,
    shared::Shared,
    subscriptions::valid_topic,
    sys::add,
    transport::Transport,
};

static REFUSED: LogLimit = LogLimit::new(Duration::from_secs(1));

/// Room that a read is given: little for a client that says little, for there are many of those; more for one that
/// fills it.
const LEAST_ROOM: usize = 1024;
const MOST_ROOM: usize = 16 * 1024;

/// Messages of one client that are passed on together at most.
const MAX_BATCH: usize = 100;

/// QoS 2 messages that a client may have under way to the broker.
const MAX_RECEIVED_TWICE: usize = 1_000;

/// Reads what a client sends and does what it asks for.
pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) serial: Serial,
    pub(super) version: Version,
    /// The longest silence; `None` for any.
    pub(super) silence: Option<Duration>,
    /// Who it is, and what it may do.
    pub(super) badge: Arc<Badge>,
    /// How fast it may publish.
    pub(super) rate: Rate,
    /// What has come and is not handled.
    pub(super) buffer: BytesMut,
    /// QoS 2 messages that the client may send a second time (4.3.3).
    pub(super) received_twice: HashSet<u16>,
}

/// What has come together.
#[derive(Default)]
struct Batch {
    messages: Vec<Message>,
    /// What the publisher is told once the messages lie in the router's log.
    answers: Vec<Packet>,
    /// Messages that the client says it has.
    acknowledged: Vec<u16>,
}

impl Reader {
    /// Reads until the connection is to end.
    pub(super) async fn receive(mut self, stream: &mut ReadHalf<Transport>) -> End {
        let mut room = LEAST_ROOM;
        loop {
            match self.handle_all().await {
                Ok(()) => (),
                Err(end) => return end,
            }
            self.make(room);
            match within(self.silence, stream.read_buf(&mut self.buffer)).await {
                Ok(Ok(0)) => return End::Lost("closed by the client".to_owned()),
                Ok(Ok(n)) => {
                    add(&self.shared.counters.bytes_received, n as u64);
                    room = next_room(room, n);
                }
                Ok(Err(error)) => return End::Lost(error.to_string()),
                Err(_) => {
                    return End::Broken(DisconnectReasonCode::KeepAliveTimeout, "silent for too long".to_owned());
                }
            }
        }
    }

    /// Makes room for a read. A buffer that has become large is given back once nothing lies in it.
    fn make(&mut self, room: usize) {
        if self.buffer.is_empty() && self.buffer.capacity() > 2 * room {
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(room);
    }

    async fn handle_all(&mut self) -> Result<(), End> {
        let mut batch = Batch::default();
        let handled = self.handle_packets(&mut batch).await;
        // What came before a fault counts.
        self.pass_on(&mut batch).await?;
        handled
    }

    async fn handle_packets(&mut self, batch: &mut Batch) -> Result<(), End> {
        while let Some(received) = packet::read(self.version, &mut self.buffer, self.shared.limits.max_packet_bytes)? {
            add(&self.shared.counters.packets_received, 1);
            match received {
                Received::Publish(publish) => self.publish(publish, batch).await?,
                Received::Other(packet) => match *packet {
                    Packet::PubAck(ack, _) => batch.acknowledged.push(ack.pkid),
                    packet => {
                        self.pass_on(batch).await?;
                        match packet {
                            Packet::Subscribe(subscribe, _) => self.subscribe(subscribe).await?,
                            packet => self.handle(packet)?,
                        }
                    }
                },
            }
            if batch.answers.len().max(batch.messages.len()) >= MAX_BATCH {
                self.pass_on(batch).await?;
            }
        }
        Ok(())
    }

    /// Acknowledged is what lies in the router's log.
    async fn pass_on(&mut self, batch: &mut Batch) -> Result<(), Gone> {
        match self.shared.router.send_all(&mut batch.messages).await {
            Ok(()) => self.outbox.push_packets(batch.answers.drain(..)),
            // The broker stops. What is not acknowledged the client sends again, to the next one.
            Err(Gone) if self.shared.stop.is_triggered() => {
                batch.messages.clear();
                for answer in batch.answers.drain(..) {
                    if let Packet::PubRec(received, _) = answer {
                        self.received_twice.remove(&received.pkid);
                    }
                }
            }
            Err(gone) => return Err(gone),
        }
        self.outbox.acknowledged(batch.acknowledged.drain(..));
        Ok(())
    }

    /// What was acknowledged to anybody before is found among the retained messages.
    async fn subscribe(&self, Subscribe { pkid, filters }: Subscribe) -> Result<(), Gone> {
        self.shared.router.settled().await?;
        let denied = filters
            .iter()
            .filter(|filter| !self.badge.permit.may_subscribe(&filter.path));
        for filter in denied {
            self.note_refusal(Refusal::Subscribe, &filter.path);
        }
        self.shared.exchange().subscribe(self.serial, pkid, filters);
        Ok(())
    }

    /// Takes a message in. QoS 2 is taken once and delivered at QoS 1.
    async fn publish(&mut self, publish: Publish, batch: &mut Batch) -> Result<(), End> {
        if !valid_topic(&publish.topic) {
            let why = format!("cannot publish to {:?}", publish.topic);
            return Err(End::Broken(DisconnectReasonCode::TopicNameInvalid, why));
        }
        if let Some(wait) = self.rate.take(publish.payload.len(), self.shared.counters.now_ns()) {
            add(&self.shared.counters.delayed, 1);
            // What came before does not wait.
            self.pass_on(batch).await?;
            sleep(wait).await;
        }
        if !self.badge.permit.may_write(&publish.topic) {
            batch.answers.extend(self.refuse(&publish));
            return Ok(());
        }
        add(&self.shared.counters.published, 1);
        let (qos, id) = (publish.qos, publish.packet_id);
        let first = qos < 2 || self.received_twice.insert(id);
        if self.received_twice.len() > MAX_RECEIVED_TWICE {
            let why = "too many QoS 2 messages under way".to_owned();
            return Err(End::Broken(DisconnectReasonCode::ReceiveMaximumExceeded, why));
        }
        if first {
            batch.messages.push(self.message(publish));
        }
        match qos {
            0 => (),
            1 => batch.answers.push(Packet::PubAck(
                PubAck {
                    pkid: id,
                    reason: PubAckReason::Success,
                },
                None,
            )),
            _ => batch.answers.push(Packet::PubRec(
                PubRec {
                    pkid: id,
                    reason: PubRecReason::Success,
                },
                None,
            )),
        }
        Ok(())
    }

    /// Drops a message that its client may not publish, and returns the answer. In version 5 that says so; 3.1.1 has none that does, so
    /// that the message is taken as if it had been (mosquitto does the same): to end the connection would have it sent again for ever.
    fn refuse(&self, publish: &Publish) -> Option<Packet> {
        self.note_refusal(Refusal::Publish, &publish.topic);
        let pkid = publish.packet_id;
        let told = self.version == Version::V5;
        match publish.qos {
            0 => None,
            1 => {
                let reason = if told {
                    PubAckReason::NotAuthorized
                } else {
                    PubAckReason::Success
                };
                Some(Packet::PubAck(PubAck { pkid, reason }, None))
            }
            _ => {
                let reason = if told {
                    PubRecReason::NotAuthorized
                } else {
                    PubRecReason::Success
                };
                Some(Packet::PubRec(PubRec { pkid, reason }, None))
            }
        }
    }

    fn note_refusal(&self, why: Refusal, topic: &str) {
        self.shared.gate.refused.count(why);
        if let Some(suppressed) = REFUSED.pass(self.shared.counters.now_ns()) {
            let (name, topic): (_, String) = (self.badge.name.as_deref(), topic.chars().take(200).collect());
            tracing::warn!(
                serial = self.serial,
                name,
                why = why.as_str(),
                topic,
                suppressed,
                "not allowed"
            );
        }
    }

    fn message(&self, publish: Publish) -> Message {
        Message {
            topic: publish.topic.into(),
            payload: publish.payload,
            qos: if publish.qos == 0 {
                Qos::AtMostOnce
            } else {
                Qos::AtLeastOnce
            },
            retain: publish.retain,
            source: self.serial,
            will_of: None,
        }
    }

    fn handle(&mut self, packet: Packet) -> Result<(), End> {
        match packet {
            Packet::PingReq(_) => self.outbox.push_packet(Packet::PingResp(PingResp)),
            Packet::Unsubscribe(unsubscribe, _) if !unsubscribe.filters.is_empty() => {
                self.shared
                    .exchange()
                    .unsubscribe(self.serial, unsubscribe.pkid, &unsubscribe.filters);
            }
            Packet::PubRel(release, _) => {
                let known = self.received_twice.remove(&release.pkid);
                let reason = if known {
                    PubCompReason::Success
                } else {
                    PubCompReason::PacketIdentifierNotFound
                };
                self.outbox.push_packet(Packet::PubComp(
                    PubComp {
                        pkid: release.pkid,
                        reason,
                    },
                    None,
                ));
            }
            Packet::Disconnect(disconnect, _) => {
                let with_will = disconnect.reason_code == DisconnectReasonCode::DisconnectWithWillMessage;
                return Err(if with_will { End::WithWill } else { End::Said });
            }
            // CONNECT twice, a packet that only a broker sends, or one that asks for nothing.
            _ => {
                let why = "packet out of place".to_owned();
                return Err(End::Broken(DisconnectReasonCode::ProtocolError, why));
            }
        }
        Ok(())
    }
}

/// Room for the next read, after one of `n` bytes into `room`.
fn next_room(room: usize, n: usize) -> usize {
    match n {
        n if n >= room => (room * 2).min(MOST_ROOM),
        n if n < room / 4 => (room / 2).max(LEAST_ROOM),
        _ => room,
    }
}

/// `future`, or an error once `limit` has passed.
async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    match limit {
        Some(limit) => timeout(limit, future).await,
        None => Ok(future.await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_follows_what_is_said() {
        let grown = (0..10).fold(LEAST_ROOM, |room, _| next_room(room, room));
        assert_eq!(grown, MOST_ROOM);
        assert_eq!(next_room(grown, grown / 2), grown);
        assert_eq!((0..10).fold(grown, |room, _| next_room(room, 2)), LEAST_ROOM);
    }
}
