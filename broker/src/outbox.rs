//! What one client still has to get: filled by the exchange and the client's reader, emptied by its writer.
//!
//! Bounded in bytes. Past the bound a QoS 0 message is dropped for this client; a QoS 1 message closes the
//! outbox, so that the client comes back and knows that it missed something. Retained messages at a
//! subscription are exempt: their number is bounded by the store, and they are shared, not copied.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::BytesMut;
use rumqttd::protocol::{DisconnectReasonCode, Packet};
use tokio::{
    sync::{Notify, watch},
    task::yield_now,
};

use crate::{
    access::Permit,
    message::{Message, Qos},
    packet::{self, Version},
};

/// How much is encoded before it is written.
const CHUNK: usize = 64 * 1024;

/// An estimate of what a packet other than PUBLISH takes.
const PACKET_COST: usize = 400;

/// What a client can take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    pub(crate) version: Version,
    /// Bytes that may wait.
    pub(crate) max_bytes: usize,
    /// QoS 1 messages under way at once.
    pub(crate) window: usize,
    /// Largest packet that the client takes (MQTT 5).
    pub(crate) max_packet: usize,
}

/// Why the broker ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// A newer connection has the same client id.
    TakenOver,
    /// It does not read fast enough.
    TooSlow,
    /// The broker stops.
    Stopping,
    /// It may no longer do what it could.
    Unwelcome,
}

impl Close {
    /// For a client that speaks MQTT 5.
    pub(crate) const fn code(self) -> DisconnectReasonCode {
        match self {
            Self::TakenOver => DisconnectReasonCode::SessionTakenOver,
            Self::TooSlow => DisconnectReasonCode::QuotaExceeded,
            Self::Stopping => DisconnectReasonCode::ServerShuttingDown,
            Self::Unwelcome => DisconnectReasonCode::NotAuthorized,
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits.
    Queued,
    /// It waits, and must not be dropped, while half of what may wait does: publishers are to be slowed down.
    Behind,
    /// It was dropped for this client.
    Dropped,
    /// The client may not read it.
    Withheld,
    /// It did not fit and must not be dropped: the outbox is closed.
    Overflow,
}

/// What the writer is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Write the buffer: so many packets, so many of them PUBLISH.
    Write { packets: u64, publishes: u64 },
    /// End the connection.
    End(Close),
}

#[derive(Debug)]
pub(crate) struct Outbox {
    capacity: Capacity,
    /// What may be delivered.
    permit: Arc<Permit>,
    state: Mutex<State>,
    /// Why the connection is to end.
    closed: watch::Sender<Option<Close>>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Item>,
    bytes: usize,
    unacked: HashSet<u16>,
    last_id: u16,
}

#[derive(Debug)]
enum Item {
    Packet(Box<Packet>),
    Publish {
        message: Arc<Message>,
        qos: Qos,
        retain: bool,
    },
}

impl Outbox {
    pub(crate) fn new(capacity: Capacity, permit: Arc<Permit>) -> Self {
        Self {
            capacity,
            permit,
            state: Mutex::default(),
            closed: watch::Sender::new(None),
            wake: Notify::new(),
        }
    }

    /// What its client may do.
    pub(crate) fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Adds a message.
    pub(crate) fn push(&self, message: &Arc<Message>, qos: Qos, retain: bool) -> Pushed {
        if !self.permit.may_read(&message.topic) {
            return Pushed::Withheld;
        }
        if message.cost() > self.capacity.max_packet {
            return Pushed::Dropped;
        }
        let mut state = self.lock();
        if state.bytes + message.cost() > self.capacity.max_bytes {
            if qos == Qos::AtMostOnce || self.closed.borrow().is_some() {
                return Pushed::Dropped;
            }
            drop(state);
            self.close(Close::TooSlow);
            return Pushed::Overflow;
        }
        self.queue(&mut state, message, qos, retain);
        let sure = qos.min(message.qos) == Qos::AtLeastOnce;
        if sure && state.bytes > self.capacity.max_bytes / 2 {
            return Pushed::Behind;
        }
        Pushed::Queued
    }

    /// Adds a retained message at a subscription, whatever waits already.
    pub(crate) fn push_retained(&self, message: &Arc<Message>, qos: Qos) {
        if message.cost() <= self.capacity.max_packet && self.permit.may_read(&message.topic) {
            self.queue(&mut self.lock(), message, qos, true);
        }
    }

    /// Adds any other packet.
    pub(crate) fn push_packet(&self, packet: Packet) {
        self.push_packets([packet]);
    }

    /// Adds other packets together. Also these are bounded: who sends requests and reads no answer is too slow.
    pub(crate) fn push_packets(&self, packets: impl IntoIterator<Item = Packet>) {
        let mut packets = packets.into_iter().peekable();
        if packets.peek().is_none() {
            return;
        }
        let mut state = self.lock();
        for packet in packets {
            if state.bytes + PACKET_COST > self.capacity.max_bytes {
                drop(state);
                self.close(Close::TooSlow);
                return;
            }
            state.bytes += PACKET_COST;
            state.queue.push_back(Item::Packet(Box::new(packet)));
        }
        self.wake.notify_one();
    }

    /// Takes note that the client has QoS 1 messages. An id that is not under way is ignored.
    pub(crate) fn acknowledged(&self, packet_ids: impl IntoIterator<Item = u16>) {
        let mut packet_ids = packet_ids.into_iter().peekable();
        if packet_ids.peek().is_none() {
            return;
        }
        let mut state = self.lock();
        let known = packet_ids.filter(|id| state.unacked.remove(id));
        if known.count() > 0 {
            self.wake.notify_one();
        }
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().bytes
    }

    /// Ends the connection; only the first reason counts.
    pub(crate) fn close(&self, reason: Close) {
        self.closed
            .send_if_modified(|closed| closed.replace(closed.unwrap_or(reason)).is_none());
        self.wake.notify_one();
    }

    /// Waits until the connection is to end at once, also while the client does not read.
    pub(crate) async fn ended(&self) -> Close {
        let mut closed = self.closed.subscribe();
        let at_once = |closed: &Option<Close>| closed.is_some_and(|reason| reason != Close::Stopping);
        match closed.wait_for(at_once).await {
            Ok(reason) => reason.unwrap_or(Close::Stopping),
            // The sender is a part of this outbox.
            Err(_gone) => Close::Stopping,
        }
    }

    /// Waits until there is something to do, and fills `buffer` with about [`CHUNK`] bytes to write.
    pub(crate) async fn next(&self, buffer: &mut BytesMut) -> Next {
        loop {
            if let Some(next) = self.take(buffer) {
                return next;
            }
            self.wake.notified().await;
            // Whoever else is due goes first, and may have more to write.
            yield_now().await;
        }
    }

    fn take(&self, buffer: &mut BytesMut) -> Option<Next> {
        let closed = *self.closed.borrow();
        // A broker that stops still says what it has to say; other ends are ends.
        if let Some(reason) = closed.filter(|reason| *reason != Close::Stopping) {
            return Some(Next::End(reason));
        }
        let mut state = self.lock();
        let (mut packets, mut publishes) = (0, 0);
        while buffer.len() < CHUNK {
            match state.queue.pop_front() {
                Some(Item::Packet(packet)) => {
                    state.bytes -= PACKET_COST;
                    if let Err(error) = packet::write(self.capacity.version, *packet, buffer) {
                        tracing::error!(%error, "packet could not be written");
                    }
                }
                Some(Item::Publish { message, qos, retain }) => {
                    let Some(id) = state.packet_id(qos, self.capacity.window) else {
                        state.queue.push_front(Item::Publish { message, qos, retain });
                        break;
                    };
                    state.bytes -= message.cost();
                    packet::write_publish(self.capacity.version, &message, (qos, id), retain, buffer);
                    publishes += 1;
                }
                None => break,
            }
            packets += 1;
        }
        if packets > 0 {
            return Some(Next::Write { packets, publishes });
        }
        // What is on its way has arrived when it is acknowledged, and makes room for what waits.
        let said = state.queue.is_empty() && state.unacked.is_empty();
        closed.filter(|_| said).map(Next::End)
    }

    fn queue(&self, state: &mut State, message: &Arc<Message>, qos: Qos, retain: bool) {
        state.bytes += message.cost();
        state.queue.push_back(Item::Publish {
            message: message.clone(),
            qos: qos.min(message.qos),
            retain,
        });
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An id for the next PUBLISH: 0 with QoS 0, `None` while as many are under way as may be.
    fn packet_id(&mut self, qos: Qos, window: usize) -> Option<u16> {
        if qos == Qos::AtMostOnce {
            return Some(0);
        }
        if self.unacked.len() >= window {
            return None;
        }
        // The window is smaller than the number of ids, so one is free.
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.unacked.insert(self.last_id) {
                return Some(self.last_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rumqttd::protocol::PingResp;

    use super::*;
    use crate::packet::{Received, read_any};

    const CAPACITY: Capacity = Capacity {
        version: Version::V4,
        max_bytes: 1_000,
        window: 2,
        max_packet: 500,
    };

    fn message(size: usize, qos: Qos) -> Arc<Message> {
        Arc::new(Message {
            topic: "t".into(),
            payload: vec![1; size].into(),
            qos,
            retain: false,
            source: 1,
            will_of: None,
        })
    }

    /// What is written next: PUBLISH as QoS and packet id, other packets as `None`.
    fn written(outbox: &Outbox) -> Vec<Option<(u8, u16)>> {
        let mut buffer = BytesMut::new();
        outbox.take(&mut buffer);
        std::iter::from_fn(|| read_any(Version::V4, &mut buffer, 10_000).unwrap())
            .map(|received| match received {
                Received::Publish(publish) => Some((publish.qos, publish.packet_id)),
                Received::Other(_) => None,
            })
            .collect()
    }

    #[test]
    fn order_is_kept_and_the_window_holds_back() {
        let outbox = Outbox::new(CAPACITY, Arc::new(Permit::Everything));
        let (unsure, sure) = (message(1, Qos::AtMostOnce), message(1, Qos::AtLeastOnce));
        for message in [&sure, &unsure, &sure, &sure, &unsure] {
            assert_eq!(outbox.push(message, Qos::AtLeastOnce, false), Pushed::Queued);
        }
        outbox.push_packet(Packet::PingResp(PingResp));
        assert_eq!(written(&outbox), [Some((1, 1)), Some((0, 0)), Some((1, 2))]);
        assert_eq!(written(&outbox), []);
        outbox.acknowledged([9]);
        assert_eq!(written(&outbox), []);
        outbox.acknowledged([2]);
        assert_eq!(written(&outbox), [Some((1, 3)), Some((0, 0)), None]);
    }

    #[test]
    fn packet_ids_that_are_under_way_are_not_given_again() {
        let mut state = State {
            last_id: u16::MAX - 1,
            ..State::default()
        };
        state.unacked.insert(1);
        let ids: Vec<_> = (0..3).filter_map(|_| state.packet_id(Qos::AtLeastOnce, 10)).collect();
        assert_eq!(ids, [u16::MAX, 2, 3]);
    }

    #[test]
    fn past_the_bound_messages_are_dropped_or_end_the_connection() {
        let outbox = Outbox::new(CAPACITY, Arc::new(Permit::Everything));
        let (unsure, sure) = (message(400, Qos::AtMostOnce), message(400, Qos::AtLeastOnce));
        assert_eq!(outbox.push(&sure, Qos::AtLeastOnce, false), Pushed::Queued);
        assert_eq!(outbox.push(&sure, Qos::AtLeastOnce, false), Pushed::Behind);
        assert_eq!(outbox.push(&unsure, Qos::AtMostOnce, false), Pushed::Dropped);
        outbox.push_retained(&sure, Qos::AtMostOnce);
        assert_eq!(
            outbox.push(&message(600, Qos::AtLeastOnce), Qos::AtLeastOnce, false),
            Pushed::Dropped
        );
        assert_eq!(outbox.push(&sure, Qos::AtLeastOnce, false), Pushed::Overflow);
        assert_eq!(outbox.take(&mut BytesMut::new()), Some(Next::End(Close::TooSlow)));
    }

    #[test]
    fn unread_answers_end_the_connection() {
        let outbox = Outbox::new(CAPACITY, Arc::new(Permit::Everything));
        for _ in 0..=CAPACITY.max_bytes / PACKET_COST {
            outbox.push_packet(Packet::PingResp(PingResp));
        }
        assert_eq!(outbox.take(&mut BytesMut::new()), Some(Next::End(Close::TooSlow)));
    }

    #[test]
    fn a_broker_that_stops_sends_what_waits() {
        let outbox = Outbox::new(CAPACITY, Arc::new(Permit::Everything));
        outbox.push(&message(1, Qos::AtMostOnce), Qos::AtMostOnce, false);
        outbox.close(Close::Stopping);
        outbox.close(Close::TooSlow);
        assert_eq!(
            outbox.take(&mut BytesMut::new()),
            Some(Next::Write {
                packets: 1,
                publishes: 1
            })
        );
        assert_eq!(outbox.take(&mut BytesMut::new()), Some(Next::End(Close::Stopping)));
    }
}
