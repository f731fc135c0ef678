//! What a client sends, and what is done about it.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use rumqttd::protocol::{DisconnectReasonCode, Packet, PingResp, PubRecReason, Subscribe, Unsubscribe};
use runtime::LogLimit;
use tokio::{
    io::{AsyncReadExt, ReadHalf},
    time::sleep,
};

use super::{end::End, patience::Patience};
use crate::{
    Refusal,
    access::{Badge, Pace},
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
    waiting::Account,
};

static REFUSED: LogLimit = LogLimit::new(Duration::from_secs(1));

/// Room that a read is given: little for a client that says little, for there are many of those; more for one that
/// fills it.
const LEAST_ROOM: usize = 1024;
const MOST_ROOM: usize = 16 * 1024;

/// Messages of one client that are passed on together at most.
const MAX_BATCH: usize = 100;

/// Reads what a client sends and does what it asks for.
pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) seat: Seat,
    pub(super) version: Version,
    /// The longest silence; `None` for any.
    pub(super) silence: Option<Duration>,
    /// Who it is, and what it may do.
    pub(super) badge: Arc<Badge>,
    /// How fast it may publish, with all others of its name.
    pub(super) pace: Pace,
    /// What has come and is not handled.
    pub(super) buffer: BytesMut,
    /// The most room that the buffer has had: as much of it may still be there.
    pub(super) held: usize,
    /// What that is among what waits for all.
    pub(super) account: Account,
}

/// What has come together.
#[derive(Default)]
struct Batch {
    messages: Vec<Message>,
    /// Messages that the client says it has.
    acknowledged: Vec<u16>,
}

impl Reader {
    /// Reads until the connection is to end.
    pub(super) async fn receive(mut self, stream: &mut ReadHalf<Transport>) -> End {
        let mut room = LEAST_ROOM;
        let mut patience = Patience::new(self.silence);
        loop {
            match self.handle_all().await {
                Ok(packets) => patience.packets(packets),
                Err(end) => return end,
            }
            if !self.make(room) {
                let why = "packets that are not complete take as much as they may, of all or of its name".to_owned();
                return End::Broken(DisconnectReasonCode::QuotaExceeded, why);
            }
            match patience.hold(stream.read_buf(&mut self.buffer)).await {
                Ok(Ok(0)) => return End::Lost("closed by the client".to_owned()),
                Ok(Ok(n)) => {
                    add(&self.shared.counters.bytes_received, n as u64);
                    patience.bytes(n);
                    room = next_room(room, n);
                }
                Ok(Err(error)) => return End::Lost(error.to_string()),
                Err(_) => {
                    let why = "silent for too long, or too slow with a packet".to_owned();
                    return End::Broken(DisconnectReasonCode::KeepAliveTimeout, why);
                }
            }
        }
    }

    /// Makes room for a read, if there is any among what waits for all. A buffer that has become large is given back once
    /// little lies in it.
    fn make(&mut self, room: usize) -> bool {
        if self.held > 2 * room && self.buffer.len() <= self.held / 4 {
            let mut small = BytesMut::with_capacity(self.buffer.len() + room);
            small.extend_from_slice(&self.buffer);
            (self.buffer, self.held) = (small, 0);
        }
        self.buffer.reserve(room);
        self.held = self.held.max(self.buffer.capacity());
        self.account.cover(self.held)
    }

    /// Returns how many packets there were.
    async fn handle_all(&mut self) -> Result<usize, End> {
        let mut batch = Batch::default();
        let handled = self.handle_packets(&mut batch).await;
        // What came before a fault counts.
        self.pass_on(&mut batch).await?;
        handled
    }

    async fn handle_packets(&mut self, batch: &mut Batch) -> Result<usize, End> {
        let mut packets = 0;
        while let Some(received) = packet::read(self.version, &mut self.buffer, self.shared.limits.max_packet_bytes)? {
            add(&self.shared.counters.packets_received, 1);
            packets += 1;
            match received {
                Received::Publish(publish) => self.publish(publish, batch).await?,
                Received::Other(packet) => match *packet {
                    Packet::PubAck(ack, _) => batch.acknowledged.push(ack.pkid),
                    packet => {
                        self.pass_on(batch).await?;
                        self.control(packet).await?;
                    }
                },
            }
            if batch.messages.len() >= MAX_BATCH {
                self.pass_on(batch).await?;
            }
        }
        Ok(packets)
    }

    async fn control(&mut self, packet: Packet) -> Result<(), End> {
        if !matches!(packet, Packet::PingReq(_) | Packet::Disconnect(..)) {
            // What is answered when the journal has it waits while that lags, as messages do.
            self.shared.journal.room().await;
        }
        match packet {
            Packet::Subscribe(subscribe, _) => self.subscribe(subscribe).await,
            Packet::Unsubscribe(unsubscribe, _) if !unsubscribe.filters.is_empty() => {
                self.unsubscribe(unsubscribe).await
            }
            packet => self.handle(packet),
        }
    }

    async fn pass_on(&mut self, batch: &mut Batch) -> Result<(), Gone> {
        match self.shared.router.send_all(&mut batch.messages).await {
            Ok(()) => (),
            // The broker stops. What is not acknowledged the client sends again, to the next one.
            Err(Gone) if self.shared.stop.is_triggered() => {
                let taken = |message: &Message| message.qos == Qos::ExactlyOnce;
                for ack in batch.messages.drain(..).filter(taken).filter_map(|message| message.ack) {
                    self.outbox.with(|pending| pending.release(ack.packet_id));
                }
            }
            Err(gone) => return Err(gone),
        }
        self.outbox.acknowledged(batch.acknowledged.drain(..));
        Ok(())
    }

    /// What was acknowledged to anybody before is found among the retained messages.
    async fn subscribe(&mut self, Subscribe { pkid, filters }: Subscribe) -> Result<(), End> {
        self.wait_for(filters.iter().map(|filter| &*filter.path)).await?;
        self.shared.router.settled().await?;
        let refused = self.shared.exchange().subscribe(self.seat, pkid, filters);
        for filter in refused {
            self.note_refusal(Refusal::Subscribe, &filter);
        }
        Ok(())
    }

    async fn unsubscribe(&mut self, Unsubscribe { pkid, filters }: Unsubscribe) -> Result<(), End> {
        self.wait_for(filters.iter().map(|filter| &**filter)).await?;
        self.shared.exchange().unsubscribe(self.seat, pkid, &filters);
        Ok(())
    }

    /// Each filter costs what a message does, and may have retained messages replayed: who asks faster than it may publish
    /// waits, too.
    async fn wait_for<'a>(&mut self, filters: impl ExactSizeIterator<Item = &'a str>) -> Result<(), End> {
        if filters.len() > self.shared.limits.max_subscriptions {
            let why = format!("{} filters in one packet", filters.len());
            return Err(End::Broken(DisconnectReasonCode::QuotaExceeded, why));
        }
        let now_ns = self.shared.counters.now_ns();
        if let Some(wait) = filters.filter_map(|filter| self.pace.take(filter.len(), now_ns)).max() {
            add(&self.shared.counters.delayed, 1);
            sleep(wait).await;
        }
        Ok(())
    }

    /// Takes a message in. It is acknowledged by the exchange, when everyone has it who is to get it. QoS 2 is taken once.
    async fn publish(&mut self, publish: Publish, batch: &mut Batch) -> Result<(), End> {
        if !valid_topic(&publish.topic) {
            let why = format!("cannot publish to {:?}", publish.topic);
            return Err(End::Broken(DisconnectReasonCode::TopicNameInvalid, why));
        }
        if let Some(wait) = self.pace.take(publish.payload.len(), self.shared.counters.now_ns()) {
            add(&self.shared.counters.delayed, 1);
            // What came before does not wait.
            self.pass_on(batch).await?;
            sleep(wait).await;
        }
        if !self.badge.permit.may_write(&publish.topic) {
            batch.messages.extend(self.refuse(publish));
            return Ok(());
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
            Taken::First => batch.messages.push(self.message(publish)),
            Taken::Again => {
                // It may still be on its way through the router.
                self.pass_on(batch).await?;
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

    /// Drops a message that its client may not publish. What is left of it goes its way for the answer alone.
    fn refuse(&self, publish: Publish) -> Option<Message> {
        self.note_refusal(Refusal::Publish, &publish.topic);
        let Message {
            topic,
            qos,
            source,
            ack,
            ..
        } = self.message(publish);
        Some(Message {
            topic,
            qos,
            source,
            ack: Some(Ack { denied: true, ..ack? }),
            ..Message::default()
        })
    }

    fn note_refusal(&self, why: Refusal, topic: &str) {
        self.shared.gate.refused.count(why);
        self.shared.exchange().note_refusal(self.seat);
        if let Some(suppressed) = REFUSED.pass(self.shared.counters.now_ns()) {
            let (name, topic): (_, String) = (self.badge.name(), topic.chars().take(200).collect());
            tracing::warn!(
                serial = self.seat.connection,
                name,
                why = why.as_str(),
                topic,
                suppressed,
                "not allowed"
            );
        }
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
                denied: false,
            }),
            owner: self.badge.known.name.clone(),
            will_of: None,
            properties: properties.passed,
            expires_ms: properties.expiry_s.map(|s| now_ms() + i64::from(s) * 1_000),
        }
    }

    fn handle(&mut self, packet: Packet) -> Result<(), End> {
        match packet {
            Packet::PingReq(_) => self.outbox.push_packet(Packet::PingResp(PingResp)),
            Packet::PubRec(rec, _) => match rec.reason {
                PubRecReason::Success | PubRecReason::NoMatchingSubscribers => self.outbox.received(rec.pkid),
                // The client does not want it, and that is all (MQTT 5, 4.3.3).
                _ => self.outbox.acknowledged([rec.pkid]),
            },
            Packet::PubComp(complete, _) => self.outbox.acknowledged([complete.pkid]),
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

/// Room for the next read, after one of `n` bytes into `room`.
fn next_room(room: usize, n: usize) -> usize {
    match n {
        n if n >= room => (room * 2).min(MOST_ROOM),
        n if n < room / 4 => (room / 2).max(LEAST_ROOM),
        _ => room,
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
