//! What one connection still has to say: filled by the exchange and the client's reader, emptied by its writer.
//!
//! Messages stand in [`Pending`], which outlives the connection where the session does; other packets go before them,
//! for a client that waits for an answer may leave messages unacknowledged until it has it. Bounded in bytes: past the
//! bound a QoS 0 message is dropped for this client, and one of QoS 1 or 2 is told to the exchange, which ends the
//! session: the client comes back and knows that it missed something.

mod close;
mod state;

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::BytesMut;
use rumqttd::protocol::{Packet, PubComp, PubCompReason, PubRel, PubRelReason};
use runtime::Clock;
use tokio::{
    sync::{Notify, watch},
    task::yield_now,
};

pub(crate) use self::close::Close;
use self::state::State;
use crate::{
    access::Permit,
    durable::Journal,
    message::{Message, Qos},
    packet::{self, Head, Version},
    pending::{How, NoRoom, Pending, Taken, Withheld},
    retained::Replay,
    waiting::Account,
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
    /// QoS 1 and 2 messages under way at once.
    pub(crate) window: usize,
    /// Largest packet that the client takes (MQTT 5).
    pub(crate) max_packet: usize,
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
    /// It did not fit and must not be dropped.
    Overflow,
}

/// What the writer is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Write the buffer: so many packets, so many of them PUBLISH; so many more have expired.
    Write { packets: u64, publishes: u64, expired: u64 },
    /// Ask the exchange for more of what is retained.
    Replay,
    /// End the connection.
    End(Close),
}

#[derive(Debug)]
pub(crate) struct Outbox {
    capacity: Capacity,
    /// What may be delivered.
    permit: Arc<Permit>,
    clock: Clock,
    state: Mutex<State>,
    /// Why the connection is to end.
    closed: watch::Sender<Option<Close>>,
    wake: Notify,
}

impl Outbox {
    pub(crate) fn new(capacity: Capacity, permit: Arc<Permit>, clock: Clock, account: Account) -> Self {
        let state = State {
            account,
            ..State::default()
        };
        Self {
            capacity,
            permit,
            clock,
            state: Mutex::new(state),
            closed: watch::Sender::new(None),
            wake: Notify::new(),
        }
    }

    /// What its client may do.
    pub(crate) fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Which MQTT its client speaks.
    pub(crate) fn version(&self) -> Version {
        self.capacity.version
    }

    /// Begins or goes on with a session. Its first packet is the answer to the CONNECT. What the client may no longer read or
    /// does not take is left out; of that, what came by shared subscriptions is returned, for others, and how many it does
    /// not take.
    pub(crate) fn resume(&self, connack: Packet, mut pending: Pending) -> Withheld {
        let mut state = self.lock();
        state.packets.push_front(connack);
        let denied = pending.withhold(|message, _| self.permit.may_read(&message.topic));
        let mut withheld = pending.withhold(|message, qos| self.takes(message, qos));
        withheld.others.extend(denied.others);
        let releases = pending.resume().into_iter().map(release);
        state.packets.extend(releases);
        state.pending = pending;
        state.note();
        self.wake.notify_one();
        withheld
    }

    /// Whether the client takes packets as large as this message's. One that it does not is as good as had (MQTT 5,
    /// 3.1.2.11.4).
    fn takes(&self, message: &Message, qos: Qos) -> bool {
        let head = Head {
            qos,
            expiry_s: message.expires_ms.map(|_| 0),
            ..Head::default()
        };
        packet::publish_len(self.capacity.version, message, head) <= self.capacity.max_packet
    }

    /// Takes the session out: nothing more is sent or noted here.
    pub(crate) fn leave(&self) -> Pending {
        let mut state = self.lock();
        state.gone = true;
        let pending = mem::take(&mut state.pending);
        state.note();
        pending
    }

    /// Adds a message.
    pub(crate) fn push(&self, message: &Arc<Message>, how: How) -> Pushed {
        if !self.permit.may_read(&message.topic) {
            return Pushed::Withheld;
        }
        let qos = how.qos.min(message.qos);
        if !self.takes(message, qos) {
            return Pushed::Dropped;
        }
        let mut state = self.lock();
        if state.gone {
            return Pushed::Dropped;
        }
        let live = !how.replayed;
        let room = if live && !state.has_room(message.cost()) {
            0
        } else {
            self.capacity.max_bytes.saturating_sub(state.packet_bytes())
        };
        let pushed = match state.pending.offer(message, how, room) {
            Ok(()) if live && qos > Qos::AtMostOnce && state.bytes() > self.capacity.max_bytes / 2 => Pushed::Behind,
            Ok(()) => Pushed::Queued,
            Err(NoRoom) if qos == Qos::AtMostOnce => Pushed::Dropped,
            // A session that ends with its connection misses nothing more than that.
            Err(NoRoom) if self.closed.borrow().is_some() && !state.pending.lasts() => Pushed::Dropped,
            Err(NoRoom) => Pushed::Overflow,
        };
        self.wake.notify_one();
        pushed
    }

    /// Whether a message could be sent at once.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        !state.gone && state.pending.is_idle() && self.closed.borrow().is_none()
    }

    /// Adds any other packet.
    pub(crate) fn push_packet(&self, packet: Packet) {
        let mut state = self.lock();
        if state.bytes() + PACKET_COST > self.capacity.max_bytes || !state.has_room(PACKET_COST) {
            drop(state);
            self.close(Close::TooSlow);
            return;
        }
        state.packets.push_back(packet);
        self.wake.notify_one();
    }

    /// Adds an answer once what it speaks of is in the journal; all answers keep their order.
    pub(crate) fn answer(self: &Arc<Self>, journal: &Journal, packet: Packet, wait: bool) {
        let mut state = self.lock();
        if journal.is_on() && (wait || state.answers > 0) {
            if state.bytes() + PACKET_COST > self.capacity.max_bytes || !state.has_room(PACKET_COST) {
                drop(state);
                self.close(Close::TooSlow);
                return;
            }
            state.answers += 1;
            drop(state);
            journal.answer(self, packet);
        } else {
            drop(state);
            self.push_packet(packet);
        }
    }

    /// Adds an answer that has waited for the journal.
    pub(crate) fn push_answer(&self, packet: Packet) {
        self.lock().answers -= 1;
        self.push_packet(packet);
    }

    /// Takes note that the client has QoS 1 messages, or has ended the exchange of some of QoS 2. An id that is not under
    /// way is ignored.
    pub(crate) fn acknowledged(&self, packet_ids: impl IntoIterator<Item = u16>) {
        let mut packet_ids = packet_ids.into_iter().peekable();
        if packet_ids.peek().is_none() {
            return;
        }
        let mut state = self.lock();
        let known = packet_ids.filter(|id| state.pending.acknowledged(*id)).count();
        if known > 0 {
            self.wake.notify_one();
        }
    }

    /// Takes note that the client has a QoS 2 message, and lets go of it.
    pub(crate) fn received(&self, packet_id: u16) {
        self.lock().pending.received(packet_id);
        self.push_packet(release(packet_id));
    }

    /// Takes note of a QoS 2 message of the client's; `None` when the session goes on elsewhere.
    pub(crate) fn take_in(&self, packet_id: u16) -> Option<Taken> {
        let mut state = self.lock();
        (!state.gone).then(|| state.pending.take(packet_id))
    }

    /// Makes a QoS 2 message of the client's survive.
    pub(crate) fn tell_taken(&self, packet_id: u16) {
        self.lock().pending.tell_taken(packet_id);
    }

    /// Ends the exchange of a QoS 2 message of the client's, once that survives.
    pub(crate) fn let_go(self: &Arc<Self>, journal: &Journal, packet_id: u16) {
        let (known, lasts) = {
            let mut state = self.lock();
            (state.pending.release(packet_id), state.pending.lasts())
        };
        let reason = if known {
            PubCompReason::Success
        } else {
            PubCompReason::PacketIdentifierNotFound
        };
        let complete = PubComp {
            pkid: packet_id,
            reason,
        };
        self.answer(journal, Packet::PubComp(complete, None), lasts);
    }

    /// Does something with what the session has pending.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Pending) -> T) -> T {
        let done = act(&mut self.lock().pending);
        self.wake.notify_one();
        done
    }

    /// The replay that goes on, when it is time for more.
    pub(crate) fn take_replay(&self) -> Option<(Replay, Qos)> {
        self.lock().pending.take_replay()
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().bytes()
    }

    /// Ends the connection; only the first reason counts.
    pub(crate) fn close(&self, reason: Close) {
        self.closed
            .send_if_modified(|closed| closed.replace(closed.unwrap_or(reason)).is_none());
        self.wake.notify_one();
    }

    /// Whether its connection has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.lock().gone
    }

    /// Whether its connection is to end.
    #[cfg(test)]
    pub(crate) fn is_ending(&self) -> bool {
        self.closed.borrow().is_some()
    }

    /// Whether its client was sent away because it no longer belongs.
    pub(crate) fn is_unwelcome(&self) -> bool {
        *self.closed.borrow() == Some(Close::Unwelcome)
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
        let next = self.fill(&mut state, closed, buffer);
        state.writing = buffer.capacity();
        state.note();
        next
    }

    fn fill(&self, state: &mut State, closed: Option<Close>, buffer: &mut BytesMut) -> Option<Next> {
        if state.pending.wants_replay() && closed.is_none() {
            return Some(Next::Replay);
        }
        let (mut packets, mut publishes, mut expired) = (0, 0, 0);
        while buffer.len() < CHUNK {
            if let Some(packet) = state.packets.pop_front() {
                if let Err(error) = packet::write(self.capacity.version, packet, buffer) {
                    tracing::error!(%error, "packet could not be written");
                }
            } else {
                let now_ms = || self.clock.now_ms();
                let next = state.pending.next(self.capacity.window, now_ms, &mut expired);
                let Some((message, head)) = next else { break };
                packet::write_publish(self.capacity.version, &message, head, buffer);
                publishes += 1;
            }
            packets += 1;
        }
        if packets > 0 || expired > 0 {
            return Some(Next::Write {
                packets,
                publishes,
                expired,
            });
        }
        // What is on its way has arrived when it is acknowledged, and makes room for what waits.
        let said = state.answers == 0 && state.pending.is_done();
        closed.filter(|_| said).map(Next::End)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn release(packet_id: u16) -> Packet {
    Packet::PubRel(
        PubRel {
            pkid: packet_id,
            reason: PubRelReason::Success,
        },
        None,
    )
}

#[cfg(test)]
mod tests {
    use rumqttd::protocol::PingResp;

    use super::*;
    use crate::{
        durable::Change,
        packet::{Received, read_any},
        waiting::Waiting,
    };

    const CAPACITY: Capacity = Capacity {
        version: Version::V4,
        max_bytes: 1_400,
        window: 2,
        max_packet: 500,
    };
    const SURELY: How = How {
        qos: Qos::ExactlyOnce,
        retain: false,
        share: None,
        replayed: false,
    };

    fn outbox() -> Outbox {
        with(Account::default())
    }

    fn with(account: Account) -> Outbox {
        Outbox::new(CAPACITY, Arc::new(Permit::Everything), Clock::manual(0), account)
    }

    fn message(size: usize, qos: Qos) -> Arc<Message> {
        Arc::new(Message {
            topic: "t".into(),
            payload: vec![1; size].into(),
            qos,
            ..Message::default()
        })
    }

    /// What is written next: PUBLISH as QoS and packet id, other packets as `None`.
    fn written(outbox: &Outbox) -> Vec<Option<(Qos, u16)>> {
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
    fn order_is_kept_and_the_window_holds_back_messages_alone() {
        let capacity = Capacity {
            max_bytes: 10_000,
            ..CAPACITY
        };
        let everything = Arc::new(Permit::Everything);
        let outbox = Outbox::new(capacity, everything, Clock::manual(0), Account::default());
        let (unsure, sure) = (message(1, Qos::AtMostOnce), message(1, Qos::AtLeastOnce));
        for message in [&sure, &unsure, &sure, &sure, &unsure] {
            assert_eq!(outbox.push(message, SURELY), Pushed::Queued);
        }
        let first = Qos::AtLeastOnce;
        assert_eq!(
            written(&outbox),
            [Some((first, 1)), Some((Qos::AtMostOnce, 0)), Some((first, 2))]
        );
        assert_eq!(written(&outbox), []);
        outbox.acknowledged([9]);
        assert_eq!(written(&outbox), []);
        outbox.push_packet(Packet::PingResp(PingResp));
        assert_eq!(written(&outbox), [None]);
        outbox.acknowledged([2]);
        assert_eq!(written(&outbox), [Some((first, 3)), Some((Qos::AtMostOnce, 0))]);
    }

    #[test]
    fn qos_2_takes_two_steps_and_its_place_until_the_second() {
        let outbox = outbox();
        let twice = message(1, Qos::ExactlyOnce);
        for _ in 0..3 {
            outbox.push(&twice, SURELY);
        }
        let second = Qos::ExactlyOnce;
        assert_eq!(written(&outbox), [Some((second, 1)), Some((second, 2))]);
        outbox.received(1);
        assert_eq!(written(&outbox), [None], "a PUBREL and no more");
        outbox.acknowledged([1]);
        assert_eq!(written(&outbox), [Some((second, 3))]);
    }

    #[test]
    fn past_the_bound_messages_are_dropped_or_told() {
        let outbox = outbox();
        let (unsure, sure) = (message(400, Qos::AtMostOnce), message(400, Qos::AtLeastOnce));
        assert_eq!(outbox.push(&sure, SURELY), Pushed::Queued);
        assert_eq!(outbox.push(&sure, SURELY), Pushed::Behind);
        assert_eq!(outbox.push(&unsure, SURELY), Pushed::Dropped);
        let replayed = How {
            replayed: true,
            ..SURELY
        };
        assert_eq!(
            outbox.push(&unsure, replayed),
            Pushed::Queued,
            "replays have their own bound"
        );
        assert_eq!(outbox.push(&message(600, Qos::AtLeastOnce), SURELY), Pushed::Dropped);
        assert_eq!(outbox.push(&sure, SURELY), Pushed::Overflow);
        outbox.close(Close::TooSlow);
        assert_eq!(outbox.take(&mut BytesMut::new()), Some(Next::End(Close::TooSlow)));
    }

    #[test]
    fn what_waits_for_all_of_one_name_is_bounded() {
        let limits = crate::Limits {
            max_waiting_bytes_per_name: 400_000,
            ..crate::Limits::default()
        };
        let waiting = Waiting::new(&limits);
        let capacity = Capacity {
            max_bytes: 1_000_000,
            max_packet: 1_000_000,
            ..CAPACITY
        };
        let of = |name| {
            Outbox::new(
                capacity,
                Arc::new(Permit::Everything),
                Clock::manual(0),
                waiting.of(Some(name)),
            )
        };
        let (one, two, other) = (of("a"), of("a"), of("b"));
        let (unsure, sure) = (message(100_000, Qos::AtMostOnce), message(100_000, Qos::AtLeastOnce));
        for outbox in [&one, &two] {
            assert_eq!(outbox.push(&sure, SURELY), Pushed::Queued);
            assert_eq!(outbox.push(&unsure, SURELY), Pushed::Queued);
        }
        assert_eq!(one.push(&unsure, SURELY), Pushed::Dropped);
        assert_eq!(two.push(&sure, SURELY), Pushed::Overflow);
        assert_eq!(other.push(&sure, SURELY), Pushed::Queued, "of another name");
        // What is written has not left yet: it waits in the writer's buffer.
        let mut buffer = BytesMut::new();
        assert!(matches!(one.take(&mut buffer), Some(Next::Write { .. })));
        assert!(buffer.len() > 100_000);
        assert_eq!(one.push(&unsure, SURELY), Pushed::Dropped);
        // Once it has, and all of it, there is room.
        for _ in 0..2 {
            buffer = BytesMut::new();
            one.take(&mut buffer);
        }
        assert_eq!(two.push(&sure, SURELY), Pushed::Queued);
        drop((one, two, other));
        assert_eq!(waiting.bytes(), 0);
    }

    #[test]
    fn unread_answers_end_the_connection() {
        let outbox = outbox();
        for _ in 0..=CAPACITY.max_bytes / PACKET_COST {
            outbox.push_packet(Packet::PingResp(PingResp));
        }
        assert_eq!(outbox.take(&mut BytesMut::new()), Some(Next::End(Close::TooSlow)));
    }

    #[test]
    fn answers_that_wait_for_a_disk_that_hangs_count_and_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(folder.path(), crate::Fsync::Always).unwrap();
        // While this is held nothing is written.
        let hangs = journal.together();
        journal.append(Change::Begin);
        journal.append(Change::Complete);
        let outbox = Arc::new(outbox());
        for packet_id in 0..10 {
            // PUBREL of messages that it has not sent.
            outbox.let_go(&journal, packet_id);
            outbox.answer(&journal, Packet::PingResp(PingResp), true);
        }
        assert!(outbox.waiting() <= CAPACITY.max_bytes, "{}", outbox.waiting());
        assert_eq!(outbox.take(&mut BytesMut::new()), Some(Next::End(Close::TooSlow)));
        drop(hangs);
        journal.close();
        assert_eq!(outbox.lock().answers, 0);
    }

    #[test]
    fn a_client_takes_packets_up_to_its_size_to_the_byte() {
        for (version, size) in [(Version::V4, 495 - 5), (Version::V5, 495 - 6)] {
            let outbox = Outbox::new(
                Capacity { version, ..CAPACITY },
                Arc::new(Permit::Everything),
                Clock::manual(0),
                Account::default(),
            );
            let fits = message(size + 1 + 1, Qos::AtLeastOnce);
            assert_eq!(
                outbox.push(&message(size + 3, Qos::AtLeastOnce), SURELY),
                Pushed::Dropped
            );
            assert_ne!(outbox.push(&fits, SURELY), Pushed::Dropped);
            let mut buffer = BytesMut::new();
            outbox.take(&mut buffer);
            assert_eq!(buffer.len(), CAPACITY.max_packet);
        }
    }

    #[test]
    fn a_broker_that_stops_sends_what_waits() {
        let outbox = outbox();
        outbox.push(&message(1, Qos::AtMostOnce), SURELY);
        outbox.close(Close::Stopping);
        outbox.close(Close::TooSlow);
        let write = Next::Write {
            packets: 1,
            publishes: 1,
            expired: 0,
        };
        assert_eq!(outbox.take(&mut BytesMut::new()), Some(write));
        assert_eq!(outbox.take(&mut BytesMut::new()), Some(Next::End(Close::Stopping)));
    }

    #[test]
    fn what_has_expired_is_not_sent_and_counted() {
        let outbox = outbox();
        let mut short = Message::clone(&message(1, Qos::AtLeastOnce));
        short.expires_ms = Some(1_000);
        outbox.push(&Arc::new(short), SURELY);
        outbox.clock.set(1_000);
        let write = Next::Write {
            packets: 0,
            publishes: 0,
            expired: 1,
        };
        assert_eq!(outbox.take(&mut BytesMut::new()), Some(write));
    }
}
