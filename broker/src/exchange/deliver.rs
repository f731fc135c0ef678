//! A message to everyone who wants it.

use std::{sync::Arc, time::Duration};

use rumqttd::protocol::{Packet, PubAck, PubAckReason, PubRec, PubRecReason};
use runtime::LogLimit;

use super::Exchange;
use crate::{
    durable::Change,
    message::{Ack, BROKER, Message, Qos, Serial},
    outbox::{Close, Pushed},
    packet::Version,
    pending::How,
    session::{Place, Seat},
};

static RETAINED_FULL: LogLimit = LogLimit::new(Duration::from_mins(1));

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Dispatched {
    /// Clients that will get it.
    pub(crate) queued: u64,
    /// Clients that should have got it and will not.
    pub(crate) dropped: u64,
    /// Messages that were to be retained and are not.
    pub(crate) unretained: u64,
    /// Whether a client that must not miss it is far behind.
    pub(crate) behind: bool,
}

/// Which member of a group is to take a message, best first.
const CHOICES: [Choice; 3] = [Choice::Idle, Choice::Here, Choice::Away];

#[derive(Debug, Clone, Copy)]
enum Choice {
    /// One that can take it at once.
    Idle,
    /// One that is connected and has room.
    Here,
    /// One that will be back.
    Away,
}

impl Exchange {
    /// Hands a message to everyone who wants it, remembers it if it is to be retained, and tells its publisher.
    pub(crate) fn dispatch(&mut self, message: Message) -> Dispatched {
        let mut done = Dispatched::default();
        // A will that comes out of the log after its client is back tells of a connection nobody cares for.
        if message.will_of.as_ref().is_some_and(|id| self.is_here(id)) {
            return done;
        }
        if let Some(ack) = message.ack.filter(|ack| ack.denied) {
            self.answer(message.source, ack, message.qos, false);
            return done;
        }
        let journal = self.journal.clone();
        let together = journal.together();
        let message = Arc::new(message);
        let mut survives = message.retain && self.retain(&message, &mut done);
        let mut over = Vec::new();
        for (number, wants) in self.subscriptions.matching(&message.topic) {
            let Some(session) = self.sessions.get_mut(&number) else {
                continue;
            };
            if wants.no_local && number == message.source {
                continue;
            }
            survives |= session.lasts;
            let how = How {
                qos: wants.qos,
                retain: wants.keep_retain && message.retain,
                ..How::default()
            };
            match session.push(&message, how, self.limits.max_queue_bytes) {
                Some(Pushed::Queued) => done.queued += 1,
                Some(Pushed::Behind) => {
                    done.queued += 1;
                    done.behind = true;
                    self.slow.of(&session.id).slowed += 1;
                }
                Some(Pushed::Dropped) => {
                    done.dropped += 1;
                    self.slow.of(&session.id).dropped += 1;
                }
                Some(Pushed::Overflow) => over.push(number),
                Some(Pushed::Withheld) | None => (),
            }
        }
        for group in self.shares.matching(&message.topic) {
            survives = true;
            self.hand(group, &message, &mut done);
        }
        for number in over {
            done.dropped += 1;
            self.overflow(number);
        }
        let handed_on = self.hand_on();
        done.dropped += handed_on.dropped;
        done.behind |= handed_on.behind;
        if let Some(ack) = message.ack {
            self.answer(message.source, ack, message.qos, survives);
        }
        drop(together);
        done
    }

    /// Sends the answer to a message again that has been handed on before.
    pub(crate) fn answer_again(&self, seat: Seat, packet_id: u16) {
        let ack = Ack {
            connection: seat.connection,
            packet_id,
            denied: false,
        };
        self.answer(seat.session, ack, Qos::ExactlyOnce, true);
    }

    /// Tells a publisher that everyone has its message who is to get it, after that is on disk where anything is; or, in
    /// version 5, that it may not publish it. 3.1.1 has no answer that says so, and the message is taken as if it had been
    /// (mosquitto does the same): to end the connection would have it sent again for ever.
    fn answer(&self, session: Serial, ack: Ack, qos: Qos, survives: bool) {
        let Some(session) = self.sessions.get(&session) else {
            return;
        };
        let Some(outbox) = session.outbox_of(ack.connection) else {
            return;
        };
        let pkid = ack.packet_id;
        let told = ack.denied && outbox.version() == Version::V5;
        let (packet, wait) = if qos == Qos::ExactlyOnce {
            outbox.tell_taken(pkid);
            let reason = if told {
                PubRecReason::NotAuthorized
            } else {
                PubRecReason::Success
            };
            (Packet::PubRec(PubRec { pkid, reason }, None), survives || session.lasts)
        } else {
            let reason = if told {
                PubAckReason::NotAuthorized
            } else {
                PubAckReason::Success
            };
            (Packet::PubAck(PubAck { pkid, reason }, None), survives)
        };
        outbox.answer(&self.journal, packet, wait);
    }

    /// Whether the client `id` is connected.
    fn is_here(&self, id: &str) -> bool {
        let session = self.by_id.get(id).and_then(|number| self.sessions.get(number));
        session.is_some_and(|session| session.outbox().is_some())
    }

    /// Remembers a message, or forgets that of its topic. Returns whether that is to survive.
    fn retain(&mut self, message: &Arc<Message>, done: &mut Dispatched) -> bool {
        let mut kept = message.clone();
        if self.retained.set(message).is_err() {
            done.unretained += 1;
            if let Some(suppressed) = RETAINED_FULL.pass(self.clock.monotonic_ns()) {
                tracing::warn!(topic = ?message.topic, suppressed, "store of retained messages is full: not retained");
            }
            kept = Arc::new(Message {
                topic: message.topic.clone(),
                ..Message::default()
            });
        }
        // What the broker tells of itself is told anew after a start.
        let survives = message.source != BROKER;
        if survives {
            self.journal.append(Change::Retained(kept));
        }
        survives
    }

    /// Hands a message to one member of a group.
    pub(super) fn hand(&mut self, group: Serial, message: &Arc<Message>, done: &mut Dispatched) {
        let Some((path, members)) = self.shares.turn(group) else {
            return;
        };
        let mut wanted = false;
        let mut withheld = Vec::new();
        for choice in CHOICES {
            for (number, wants) in &members {
                let Some(session) = self.sessions.get_mut(number) else {
                    continue;
                };
                let suits = match (choice, &session.place) {
                    (Choice::Idle, Place::Here { outbox, .. }) => outbox.is_idle(),
                    (Choice::Here, Place::Here { .. }) | (Choice::Away, Place::Away { .. }) => true,
                    _ => false,
                };
                if !suits {
                    continue;
                }
                let how = How {
                    qos: wants.qos,
                    retain: wants.keep_retain && message.retain,
                    share: Some(path.clone()),
                    replayed: false,
                };
                let pushed = session.push(message, how, self.limits.max_queue_bytes);
                match pushed {
                    Some(Pushed::Queued | Pushed::Behind) => {
                        done.queued += 1;
                        if pushed == Some(Pushed::Behind) {
                            done.behind = true;
                            self.slow.of(&session.id).slowed += 1;
                        }
                        return;
                    }
                    Some(Pushed::Withheld) => withheld.push(*number),
                    Some(Pushed::Dropped | Pushed::Overflow) => wanted = true,
                    None => (),
                }
            }
        }
        done.dropped += u64::from(wanted);
        // Nobody has room: whoever's turn it was is the one that is to know.
        let mut turn = members.iter().filter(|(number, _)| !withheld.contains(number));
        let Some((number, wants)) = turn.next().filter(|_| wanted) else {
            return;
        };
        if wants.qos.min(message.qos) > Qos::AtMostOnce {
            self.overflow(*number);
        } else if let Some(session) = self.sessions.get(number) {
            self.slow.of(&session.id).dropped += 1;
        }
    }

    /// A session cannot take what it must not miss: it ends, so that its client finds no session and knows.
    pub(super) fn overflow(&mut self, number: Serial) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        let missed = self.slow.of(&session.id);
        missed.dropped += 1;
        if session.lasts && session.expiry_s == 0 {
            // It ends with its connection, which has been told so.
            return;
        }
        missed.ended += 1;
        self.discarded += u64::from(session.expiry_s > 0);
        match &session.place {
            Place::Here { outbox, .. } => {
                tracing::warn!(client = ?session.id, "client does not keep up: its connection is ended");
                session.expiry_s = 0;
                if session.lasts {
                    // What it misses stands in no journal: it is over whatever comes.
                    self.journal.append(Change::Ended { session: number });
                }
                outbox.close(Close::TooSlow);
            }
            Place::Away { .. } => {
                tracing::warn!(client = ?session.id, "client stays away and too much waits for it: its session ends");
                let will = self.end(number);
                self.due.extend(will);
            }
        }
    }
}
