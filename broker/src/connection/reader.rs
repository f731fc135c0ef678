//! What a client sends, and what is done about it.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use rumqttd::protocol::{DisconnectReasonCode, Packet, PingResp, PubRecReason, Subscribe};
use tokio::{
    io::{AsyncReadExt, ReadHalf},
    time::{error::Elapsed, timeout},
};

use super::end::End;
use crate::{
    message::{Ack, Message, Qos},
    outbox::{Close, Outbox},
    packet::{self, Publish, Received, Version},
    pending::Taken,
    router::Gone,
    session::Seat,
    shared::Shared,
    subscriptions::valid_topic,
    sys::add,
    transport::Transport,
};

/// Room that a read is given.
const READ_CHUNK: usize = 16 * 1024;

/// Reads what a client sends and does what it asks for.
pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) seat: Seat,
    pub(super) version: Version,
    /// The longest silence; `None` for any.
    pub(super) silence: Option<Duration>,
    /// What has come and is not handled.
    pub(super) buffer: BytesMut,
}

impl Reader {
    /// Reads until the connection is to end.
    pub(super) async fn receive(mut self, stream: &mut ReadHalf<Transport>) -> End {
        loop {
            match self.handle_all().await {
                Ok(()) => (),
                Err(end) => return end,
            }
            self.buffer.reserve(READ_CHUNK);
            match within(self.silence, stream.read_buf(&mut self.buffer)).await {
                Ok(Ok(0)) => return End::Lost("closed by the client".to_owned()),
                Ok(Ok(n)) => add(&self.shared.counters.bytes_received, n as u64),
                Ok(Err(error)) => return End::Lost(error.to_string()),
                Err(_) => {
                    return End::Broken(DisconnectReasonCode::KeepAliveTimeout, "silent for too long".to_owned());
                }
            }
        }
    }

    async fn handle_all(&mut self) -> Result<(), End> {
        while let Some(received) = packet::read(self.version, &mut self.buffer, self.shared.limits.max_packet_bytes)? {
            add(&self.shared.counters.packets_received, 1);
            match received {
                Received::Publish(publish) => self.publish(publish).await?,
                Received::Other(packet) => match *packet {
                    Packet::Subscribe(subscribe, _) => self.subscribe(subscribe).await?,
                    packet => self.handle(packet)?,
                },
            }
        }
        Ok(())
    }

    /// What was acknowledged to anybody before is found among the retained messages.
    async fn subscribe(&self, Subscribe { pkid, filters }: Subscribe) -> Result<(), Gone> {
        self.shared.router.settled().await?;
        self.shared.exchange().subscribe(self.seat, pkid, filters);
        Ok(())
    }

    /// It is acknowledged by the exchange, when everyone has it who is to get it. QoS 2 is taken once.
    async fn publish(&mut self, publish: Publish) -> Result<(), End> {
        if !valid_topic(&publish.topic) {
            let why = format!("cannot publish to {:?}", publish.topic);
            return Err(End::Broken(DisconnectReasonCode::TopicNameInvalid, why));
        }
        add(&self.shared.counters.published, 1);
        let id = publish.packet_id;
        let taken = if publish.qos == Qos::ExactlyOnce {
            let taken = self.outbox.take_in(id);
            taken.ok_or(End::Closed(Close::TakenOver))?
        } else {
            Taken::First
        };
        match taken {
            Taken::First => self.shared.router.send(self.message(publish)).await?,
            Taken::Again => {
                // It may still be on its way through the router.
                self.shared.router.settled().await?;
                self.shared.exchange().answer_again(self.seat, id);
            }
            Taken::TooMany => {
                let why = "too many QoS 2 messages under way".to_owned();
                return Err(End::Broken(DisconnectReasonCode::ReceiveMaximumExceeded, why));
            }
        }
        Ok(())
    }

    fn message(&self, publish: Publish) -> Message {
        let Publish { properties, .. } = publish;
        let now_ms = || self.shared.clock.now_ms();
        Message {
            topic: publish.topic.into(),
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            source: self.seat.session,
            ack: (publish.qos > Qos::AtMostOnce).then_some(Ack {
                connection: self.seat.connection,
                packet_id: publish.packet_id,
            }),
            will_of: None,
            properties: properties.passed,
            expires_ms: properties.expiry_s.map(|s| now_ms() + i64::from(s) * 1_000),
        }
    }

    fn handle(&mut self, packet: Packet) -> Result<(), End> {
        match packet {
            Packet::PubAck(ack, _) => self.outbox.acknowledged(ack.pkid),
            Packet::PingReq(_) => self.outbox.push_packet(Packet::PingResp(PingResp)),
            Packet::Unsubscribe(unsubscribe, _) if !unsubscribe.filters.is_empty() => {
                self.shared
                    .exchange()
                    .unsubscribe(self.seat, unsubscribe.pkid, &unsubscribe.filters);
            }
            Packet::PubRec(rec, _) => match rec.reason {
                PubRecReason::Success | PubRecReason::NoMatchingSubscribers => self.outbox.received(rec.pkid),
                // The client does not want it, and that is all (MQTT 5, 4.3.3).
                _ => self.outbox.acknowledged(rec.pkid),
            },
            Packet::PubComp(complete, _) => self.outbox.acknowledged(complete.pkid),
            Packet::PubRel(release, _) => self.outbox.let_go(&self.shared.journal, release.pkid),
            Packet::Disconnect(disconnect, properties) => {
                if let Some(expiry_s) = properties.and_then(|p| p.session_expiry_interval) {
                    self.shared.exchange().set_expiry(self.seat, expiry_s);
                }
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

/// `future`, or an error once `limit` has passed.
async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    match limit {
        Some(limit) => timeout(limit, future).await,
        None => Ok(future.await),
    }
}
