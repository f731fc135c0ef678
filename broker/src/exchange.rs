//! Who gets what: clients, their subscriptions and wills, and the retained messages.
//!
//! Plain state without a task or a socket. Its owner calls it under one lock, so a subscription, the
//! retained messages that it is answered with and the next message come in this order and without a gap.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use rumqttd::protocol::{
    Filter, Packet, QoS, RetainForwardRule, SubAck, SubscribeReasonCode, UnsubAck, UnsubAckReason,
};
use runtime::LogLimit;

use crate::{
    Limits,
    access::Permit,
    message::{Message, Qos, Serial},
    outbox::{Close, Outbox, Pushed},
    retained::Retained,
    slow::Slow,
    subscriptions::{Subscriptions, Wants, valid_filter},
};

static RETAINED_FULL: LogLimit = LogLimit::new(Duration::from_mins(1));

/// All that the broker knows of its clients.
#[derive(Debug)]
pub(crate) struct Exchange {
    clients: HashMap<Serial, Client>,
    by_id: HashMap<Arc<str>, Serial>,
    subscriptions: Subscriptions,
    retained: Retained,
    slow: Slow,
    max_subscriptions: usize,
    last_serial: Serial,
}

#[derive(Debug)]
struct Client {
    id: Arc<str>,
    outbox: Arc<Outbox>,
    will: Option<Message>,
    filters: HashSet<String>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// With a DISCONNECT: its will is forgotten.
    Said,
    /// In any other way.
    Missing,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Dispatched {
    /// Clients that will get it.
    pub(crate) queued: u64,
    /// Clients that should have got it and will not.
    pub(crate) dropped: u64,
    /// Whether a client that must not miss it is far behind.
    pub(crate) behind: bool,
}

impl Exchange {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            clients: HashMap::new(),
            by_id: HashMap::new(),
            subscriptions: Subscriptions::default(),
            retained: Retained::new(limits.max_retained, limits.max_retained_bytes),
            slow: Slow::default(),
            max_subscriptions: limits.max_subscriptions,
            last_serial: 0,
        }
    }

    /// A number for the next connection, from 1.
    pub(crate) fn next_serial(&mut self) -> Serial {
        self.last_serial += 1;
        self.last_serial
    }

    /// Adds a client. A connection with the same id is ended (3.1.4); its will is not published, for
    /// whoever is back is not gone.
    pub(crate) fn connect(&mut self, serial: Serial, id: &str, will: Option<Message>, outbox: Arc<Outbox>) {
        if let Some(&former) = self.by_id.get(id) {
            if let Some(client) = self.clients.get(&former) {
                client.outbox.close(Close::TakenOver);
            }
            self.disconnect(former, Farewell::Said);
        }
        let id: Arc<str> = id.into();
        self.by_id.insert(id.clone(), serial);
        let client = Client {
            id,
            outbox,
            will,
            filters: HashSet::new(),
        };
        self.clients.insert(serial, client);
    }

    /// Removes a client. Returns the will that is now to be published.
    pub(crate) fn disconnect(&mut self, serial: Serial, farewell: Farewell) -> Option<Message> {
        let client = self.clients.remove(&serial)?;
        for filter in &client.filters {
            self.subscriptions.remove(filter, serial);
        }
        if self.by_id.get(&client.id) == Some(&serial) {
            self.by_id.remove(&client.id);
        }
        let mut will = client.will.filter(|_| farewell == Farewell::Missing)?;
        will.will_of = Some(client.id);
        Some(will)
    }

    /// Subscribes, answers, and sends what is retained.
    pub(crate) fn subscribe(&mut self, serial: Serial, packet_id: u16, filters: Vec<Filter>) {
        let Some(client) = self.clients.get_mut(&serial) else {
            return;
        };
        let mut granted = Vec::new();
        let mut codes = Vec::with_capacity(filters.len());
        for filter in filters {
            let known = client.filters.contains(&filter.path);
            let room = known || client.filters.len() < self.max_subscriptions;
            let code = grant(&filter, room, client.outbox.permit());
            codes.push(code);
            if matches!(code, SubscribeReasonCode::QoS0 | SubscribeReasonCode::QoS1) {
                client.filters.insert(filter.path.clone());
                self.subscriptions.add(&filter.path, serial, wants(&filter));
                granted.push((filter, known));
            }
        }
        let return_codes = codes;
        client.outbox.push_packet(Packet::SubAck(
            SubAck {
                pkid: packet_id,
                return_codes,
            },
            None,
        ));
        for (filter, known) in granted {
            let wanted = match filter.retain_forward_rule {
                RetainForwardRule::OnEverySubscribe => true,
                RetainForwardRule::OnNewSubscribe => !known,
                RetainForwardRule::Never => false,
            };
            if wanted {
                let qos = wants(&filter).qos;
                self.retained
                    .matching(&filter.path)
                    .for_each(|m| client.outbox.push_retained(m, qos));
            }
        }
    }

    /// Unsubscribes and answers.
    pub(crate) fn unsubscribe(&mut self, serial: Serial, packet_id: u16, filters: &[String]) {
        let Some(client) = self.clients.get_mut(&serial) else {
            return;
        };
        let mut remove = |filter: &String| {
            let had = client.filters.remove(filter) && self.subscriptions.remove(filter, serial);
            if had {
                UnsubAckReason::Success
            } else {
                UnsubAckReason::NoSubscriptionExisted
            }
        };
        let reasons = filters.iter().map(&mut remove).collect();
        client.outbox.push_packet(Packet::UnsubAck(
            UnsubAck {
                pkid: packet_id,
                reasons,
            },
            None,
        ));
    }

    /// Hands a message to everyone who wants it, and remembers it if it is to be retained.
    pub(crate) fn dispatch(&mut self, message: Message, now_ns: u64) -> Dispatched {
        let mut done = Dispatched::default();
        // A will that comes out of the log after its client is back tells of a connection nobody cares for.
        if message.will_of.as_ref().is_some_and(|id| self.by_id.contains_key(id)) {
            return done;
        }
        let message = Arc::new(message);
        if message.retain
            && self.retained.set(&message).is_err()
            && let Some(suppressed) = RETAINED_FULL.pass(now_ns)
        {
            tracing::warn!(topic = ?message.topic, suppressed, "store of retained messages is full: not retained");
        }
        for (serial, wants) in self.subscriptions.matching(&message.topic) {
            let Some(client) = self.clients.get(&serial) else {
                continue;
            };
            if wants.no_local && serial == message.source {
                continue;
            }
            match client
                .outbox
                .push(&message, wants.qos, wants.keep_retain && message.retain)
            {
                Pushed::Queued => done.queued += 1,
                Pushed::Withheld => (),
                Pushed::Behind => {
                    done.queued += 1;
                    done.behind = true;
                }
                Pushed::Dropped => {
                    done.dropped += 1;
                    self.slow.note(&client.id, false);
                }
                Pushed::Overflow => {
                    done.dropped += 1;
                    self.slow.note(&client.id, true);
                    tracing::warn!(client = ?client.id, "client does not keep up: its connection is ended");
                }
            }
        }
        done
    }

    /// Ends all connections.
    pub(crate) fn close_all(&self, reason: Close) {
        self.clients.values().for_each(|client| client.outbox.close(reason));
    }

    /// Clients that are connected.
    pub(crate) fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Clients that do not keep up.
    pub(crate) fn slow(&self) -> &Slow {
        &self.slow
    }

    /// The `n` clients for which most bytes wait, and how many; those for which none wait are left out.
    pub(crate) fn waiting(&self, n: usize) -> Vec<(Arc<str>, usize)> {
        let waiting = self
            .clients
            .values()
            .map(|client| (client.id.clone(), client.outbox.waiting()));
        let mut waiting: Vec<_> = waiting.filter(|(_, bytes)| *bytes > 0).collect();
        waiting.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        waiting.truncate(n);
        waiting
    }

    /// Subscriptions of all clients.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// Retained messages, and their bytes.
    pub(crate) fn retained(&self) -> (usize, usize) {
        (self.retained.len(), self.retained.bytes())
    }
}

fn grant(filter: &Filter, room: bool, permit: &Permit) -> SubscribeReasonCode {
    if !valid_filter(&filter.path) {
        SubscribeReasonCode::TopicFilterInvalid
    } else if !permit.may_subscribe(&filter.path) {
        SubscribeReasonCode::NotAuthorized
    } else if filter.path.starts_with("$share/") {
        SubscribeReasonCode::SharedSubscriptionsNotSupported
    } else if !room {
        SubscribeReasonCode::QuotaExceeded
    } else if filter.qos == QoS::AtMostOnce {
        SubscribeReasonCode::QoS0
    } else {
        SubscribeReasonCode::QoS1
    }
}

fn wants(filter: &Filter) -> Wants {
    Wants {
        qos: if filter.qos == QoS::AtMostOnce {
            Qos::AtMostOnce
        } else {
            Qos::AtLeastOnce
        },
        no_local: filter.nolocal,
        keep_retain: filter.preserve_retain,
    }
}

#[cfg(test)]
mod tests;
