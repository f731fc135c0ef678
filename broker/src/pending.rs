//! What a session still has to deliver, and what it has under way in both directions. Outlives connections.
//!
//! A session that lasts keeps each message of QoS 1 and 2 until its client has it, under the packet id that the message
//! got as it came: so it bears the same id after any reconnect and restart. Any other session keeps what it needs to
//! go on with its connection.

mod keep;
mod replays;
mod taken;
mod withheld;

pub(crate) use self::{
    keep::{Keep, Stored},
    withheld::Withheld,
};

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    mem,
    sync::Arc,
};

use crate::{
    durable::{Change, Saved, Step},
    message::{Message, Qos},
    packet::Head,
    retained::Replay,
};

/// QoS 2 messages that a client may have under way to the broker.
pub(crate) const MAX_TAKEN: usize = 1_000;

/// How a message is to be delivered.
#[derive(Debug, Clone, Default)]
pub(crate) struct How {
    /// At most.
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// The shared subscription that it comes by.
    pub(crate) share: Option<Arc<str>>,
    /// A retained message at a subscription: exempt from bounds, for replays have their own.
    pub(crate) replayed: bool,
}

/// A message on its way to the client.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Delivery {
    /// `None` once it will not be sent again.
    message: Option<Arc<Message>>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// 0 while it has none.
    pub(crate) packet_id: u16,
    pub(crate) dup: bool,
    /// The client has it, and waits for a PUBREL or answers one.
    received: bool,
    replayed: bool,
    share: Option<Arc<str>>,
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// A packet id of the client's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    First,
    Again,
    TooMany,
}

#[derive(Debug, Default)]
pub(crate) struct Pending {
    keep: Option<Keep>,
    waiting: VecDeque<Delivery>,
    under_way: VecDeque<Delivery>,
    ids: HashSet<u16>,
    last_id: u16,
    bytes: usize,
    /// QoS 2 messages that the client may send a second time (4.3.3).
    taken: HashSet<u16>,
    /// What is retained and still to be sent, by filter.
    replays: BTreeMap<Arc<str>, (Replay, Qos)>,
    /// Replayed messages that wait.
    replayed: usize,
}

impl Delivery {
    /// As the journal has it.
    fn saved(&self) -> Saved {
        Saved {
            packet_id: self.packet_id,
            qos: self.qos,
            retain: self.retain,
            share: self.share.clone(),
            message: self.message.clone().unwrap_or_default(),
        }
    }
}

impl Pending {
    /// Of a session that lasts.
    pub(crate) fn lasting(keep: Keep) -> Self {
        Self {
            keep: Some(keep),
            ..Self::default()
        }
    }

    /// Of a session that has survived a restart. Its client may have had any of it.
    pub(crate) fn restored(keep: Keep, waiting: VecDeque<(Saved, bool)>, taken: HashSet<u16>) -> Self {
        let mut pending = Self::lasting(keep);
        pending.taken = taken;
        for (saved, received) in waiting {
            pending.ids.insert(saved.packet_id);
            pending.last_id = saved.packet_id;
            let delivery = Delivery {
                message: (!received).then_some(saved.message),
                qos: saved.qos,
                retain: saved.retain,
                packet_id: saved.packet_id,
                dup: true,
                received,
                replayed: false,
                share: saved.share,
            };
            pending.count(&delivery);
            if received {
                pending.under_way.push_back(delivery);
            } else {
                pending.waiting.push_back(delivery);
            }
        }
        pending
    }

    /// Bytes that wait, or are kept until they are acknowledged.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a message can go out at once.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether nothing waits, and all that was sent has arrived.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// Whether this outlives its connection.
    pub(crate) fn lasts(&self) -> bool {
        self.keep.is_some()
    }

    /// Adds a message. A session that lasts tells the journal.
    pub(crate) fn offer(&mut self, message: &Arc<Message>, how: How, max_bytes: usize) -> Result<(), NoRoom> {
        let qos = how.qos.min(message.qos);
        let kept = self.keep.as_ref().filter(|_| qos > Qos::AtMostOnce);
        let full = |keep: &Keep| !keep.has_room(message.cost());
        if !how.replayed && (self.bytes + message.cost() > max_bytes || kept.is_some_and(full)) {
            return Err(NoRoom);
        }
        let packet_id = if kept.is_some() {
            self.new_id().ok_or(NoRoom)?
        } else {
            0
        };
        let delivery = Delivery {
            message: Some(message.clone()),
            qos,
            retain: how.retain,
            packet_id,
            dup: false,
            received: false,
            replayed: how.replayed,
            share: how.share,
        };
        self.count(&delivery);
        self.replayed += usize::from(how.replayed);
        if let Some(keep) = self.keep.as_ref().filter(|_| packet_id > 0) {
            keep.journal.append(Change::Queued {
                session: keep.session,
                delivery: delivery.saved(),
            });
        }
        self.waiting.push_back(delivery);
        Ok(())
    }

    /// The next message to be sent, while fewer than `window` of QoS 1 and 2 are under way. What has expired is left out,
    /// and counted in `expired`.
    pub(crate) fn next(
        &mut self,
        window: usize,
        now_ms: impl Fn() -> i64,
        expired: &mut u64,
    ) -> Option<(Arc<Message>, Head)> {
        loop {
            let front = self.waiting.front()?;
            if front.qos > Qos::AtMostOnce && self.under_way.len() >= window {
                return None;
            }
            let mut delivery = self.waiting.pop_front()?;
            self.replayed -= usize::from(delivery.replayed);
            // What the client may have had of QoS 2 is sent all the same: it waits for the end of that exchange.
            let must = delivery.dup && delivery.qos == Qos::ExactlyOnce;
            let good = |message: &Arc<Message>| message.expires_ms.is_none() || must || !message.is_expired(now_ms());
            let message = delivery.message.clone().filter(good);
            let Some(message) = message else {
                *expired += 1;
                self.forget(&delivery);
                continue;
            };
            if delivery.qos == Qos::AtMostOnce {
                self.uncount(&delivery);
            } else {
                if delivery.packet_id == 0 {
                    // The window is smaller than the number of ids, so one is free.
                    delivery.packet_id = self.new_id()?;
                }
                if !self.keeps(&delivery) {
                    self.uncount(&delivery);
                    delivery.message = None;
                }
            }
            let head = Head {
                qos: delivery.qos,
                packet_id: delivery.packet_id,
                retain: delivery.retain,
                dup: delivery.dup,
                expiry_s: message.expires_ms.map(|at| seconds(at - now_ms())),
            };
            if delivery.qos > Qos::AtMostOnce {
                self.under_way.push_back(delivery);
            }
            return Some((message, head));
        }
    }

    /// The client has the QoS 1 message of `packet_id`, or refuses it. Returns whether it was under way.
    pub(crate) fn acknowledged(&mut self, packet_id: u16) -> bool {
        let Some(at) = self.at(packet_id) else { return false };
        let Some(delivery) = self.under_way.remove(at) else {
            return false;
        };
        self.forget(&delivery);
        true
    }

    /// The client has the QoS 2 message of `packet_id` and waits for a PUBREL.
    pub(crate) fn received(&mut self, packet_id: u16) {
        let Some(at) = self.at(packet_id) else { return };
        let Some(mut delivery) = self.under_way.remove(at) else {
            return;
        };
        self.note_received(&mut delivery);
        self.under_way.insert(at, delivery);
    }

    fn note_received(&mut self, delivery: &mut Delivery) {
        if delivery.qos == Qos::ExactlyOnce && !mem::replace(&mut delivery.received, true) {
            self.uncount(delivery);
            delivery.message = None;
            if let Some(keep) = &self.keep {
                keep.pass(delivery.packet_id, Step::Received);
            }
        }
    }

    /// A client that is back gets again, in order, what it may not have; returns the ids that it is to be sent a PUBREL
    /// for.
    pub(crate) fn resume(&mut self) -> Vec<u16> {
        let (received, sent): (VecDeque<_>, VecDeque<_>) = mem::take(&mut self.under_way)
            .into_iter()
            .partition(|delivery| delivery.received);
        let ids = received.iter().map(|delivery| delivery.packet_id).collect();
        self.under_way = received;
        for mut delivery in sent.into_iter().rev() {
            delivery.dup = true;
            self.replayed += usize::from(delivery.replayed);
            self.waiting.push_front(delivery);
        }
        ids
    }

    /// All deliveries, and whether they are under way.
    fn take_all(&mut self) -> Vec<(Delivery, bool)> {
        let sent = mem::take(&mut self.under_way)
            .into_iter()
            .map(|delivery| (delivery, true));
        let waiting = mem::take(&mut self.waiting).into_iter();
        sent.chain(waiting.map(|delivery| (delivery, false))).collect()
    }

    /// Gives up what ends with a connection.
    pub(crate) fn leave(&mut self) {
        let (kept, gone): (VecDeque<_>, VecDeque<_>) = mem::take(&mut self.waiting)
            .into_iter()
            .partition(|delivery| delivery.qos > Qos::AtMostOnce);
        self.waiting = kept;
        for delivery in gone {
            self.replayed -= usize::from(delivery.replayed);
            self.uncount(&delivery);
        }
    }

    /// Ends the session: what came by shared subscriptions is for others now, as long as no client may have it at QoS 2.
    pub(crate) fn end(mut self) -> Vec<(Arc<str>, Arc<Message>)> {
        let mut others = Vec::new();
        for (delivery, sent) in self.take_all() {
            self.uncount(&delivery);
            let owned = delivery.qos == Qos::ExactlyOnce && (sent || delivery.dup);
            if let (Some(share), Some(message), false) = (delivery.share, delivery.message, owned) {
                others.push((share, message));
            }
        }
        others
    }

    /// Tells the journal all that a session keeps.
    pub(crate) fn tell_all(&self) {
        let Some(keep) = &self.keep else { return };
        let session = keep.session;
        for delivery in self.under_way.iter().chain(&self.waiting) {
            if delivery.packet_id == 0 {
                continue;
            }
            let saved = delivery.saved();
            keep.journal.append(Change::Queued {
                session,
                delivery: saved,
            });
            if delivery.received {
                keep.pass(delivery.packet_id, Step::Received);
            }
        }
        for &packet_id in &self.taken {
            keep.pass(packet_id, Step::Taken);
        }
    }

    fn at(&self, packet_id: u16) -> Option<usize> {
        self.under_way
            .iter()
            .position(|delivery| delivery.packet_id == packet_id)
    }

    /// A packet id that is not in use.
    fn new_id(&mut self) -> Option<u16> {
        if self.ids.len() == usize::from(u16::MAX) {
            return None;
        }
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if self.ids.insert(self.last_id) {
                return Some(self.last_id);
            }
        }
    }

    /// Whether a message stays until it is acknowledged: to be sent again, or to be handed to another.
    fn keeps(&self, delivery: &Delivery) -> bool {
        self.keep.is_some() || delivery.share.is_some()
    }

    /// Its packet id is free again.
    fn forget(&mut self, delivery: &Delivery) {
        self.uncount(delivery);
        if delivery.packet_id > 0 {
            self.ids.remove(&delivery.packet_id);
            if let Some(keep) = &self.keep {
                keep.pass(delivery.packet_id, Step::Done);
            }
        }
    }

    fn count(&mut self, delivery: &Delivery) {
        let Some(message) = &delivery.message else { return };
        self.bytes += message.cost();
        if let Some(keep) = self.keep.as_ref().filter(|_| delivery.qos > Qos::AtMostOnce) {
            keep.count(message.cost());
        }
    }

    fn uncount(&mut self, delivery: &Delivery) {
        let Some(message) = &delivery.message else { return };
        self.bytes -= message.cost();
        if let Some(keep) = self.keep.as_ref().filter(|_| delivery.qos > Qos::AtMostOnce) {
            keep.uncount(message.cost());
        }
    }
}

/// Whole seconds, the last one begun counted.
fn seconds(ms: i64) -> u32 {
    u32::try_from((ms + 999) / 1_000).unwrap_or(1).max(1)
}
