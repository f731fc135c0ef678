//! A session: what a client has subscribed to and still has to get. It may outlast its connection.

use std::{collections::HashMap, sync::Arc};

use crate::{
    access::Known,
    message::{Message, Qos, Serial},
    outbox::{Outbox, Pushed},
    pending::{How, NoRoom, Pending},
    shares::shared,
    subscriptions::{Wants, cost},
};

const NS_PER_S: u64 = 1_000_000_000;

/// The longest topic filter, in bytes; and what all those of one client may take.
const MAX_FILTER: usize = 1_024;
const MAX_FILTERS_COST: usize = 512 * 1024;

/// Shared subscriptions of one client: a message comes by each of them.
const MAX_GROUPS: usize = 10;

/// What is to be published when a client is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Will {
    pub(crate) message: Message,
    /// Seconds to wait, for the client may come back to its session before.
    pub(crate) delay_s: u32,
    /// Seconds that the message is good for, from when it is published.
    pub(crate) expiry_s: Option<u32>,
}

impl Will {
    /// The message, published now.
    pub(crate) fn publish(self, of: Arc<str>, now_ms: i64) -> Message {
        Message {
            will_of: Some(of),
            expires_ms: self.expiry_s.map(|expiry_s| now_ms + i64::from(expiry_s) * 1_000),
            ..self.message
        }
    }
}

/// A connection's place in its session, which another connection may take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) session: Serial,
    pub(crate) connection: Serial,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: Arc<str>,
    /// What it has subscribed to, shared subscriptions included.
    pub(crate) filters: HashMap<String, Wants>,
    /// What these take.
    pub(crate) filters_cost: usize,
    /// How many of them are shared.
    pub(crate) groups: usize,
    /// Who its client is, where it lasts and has come in since the start.
    pub(crate) known: Option<Arc<Known>>,
    /// Whether it was begun to outlast its connection.
    pub(crate) lasts: bool,
    /// Seconds that it outlasts its connection; 0: it ends with it.
    pub(crate) expiry_s: u32,
    pub(crate) place: Place,
}

/// Where a session's client is.
#[derive(Debug)]
pub(crate) enum Place {
    Here {
        connection: Serial,
        outbox: Arc<Outbox>,
        will: Option<Will>,
    },
    Away {
        // Boxed, for most sessions have their client.
        pending: Box<Pending>,
        /// Monotonic times.
        ends_ns: u64,
        will: Option<Box<(u64, Will)>>,
    },
}

/// The monotonic time `seconds` after `now_ns`.
pub(crate) fn after(now_ns: u64, seconds: u32) -> u64 {
    now_ns.saturating_add(u64::from(seconds) * NS_PER_S)
}

/// What a session holds besides messages and filters, in bytes.
pub(crate) fn own_cost(will: Option<&Will>, known: Option<&Known>) -> usize {
    will.map_or(0, |will| will.message.cost()) + known.map_or(0, Known::cost)
}

impl Session {
    /// Whether the client may subscribe to `path`, of at most `most` filters, while the sessions of its name may hold `room` bytes
    /// more.
    pub(crate) fn has_room(&self, path: &str, most: usize, room: usize) -> bool {
        let cost = cost(path);
        let fits = || {
            self.filters.len() < most
                && cost <= room
                && self.filters_cost + cost <= MAX_FILTERS_COST
                && (self.groups < MAX_GROUPS || shared(path).is_none())
        };
        path.len() <= MAX_FILTER && (self.filters.contains_key(path) || fits())
    }

    /// What it holds besides messages, in bytes: filters, its will, and who its client is.
    pub(crate) fn cost(&self) -> usize {
        let will = match &self.place {
            Place::Here { will, .. } => will.as_ref(),
            Place::Away { will, .. } => will.as_ref().map(|will| &will.1),
        };
        self.filters_cost + own_cost(will, self.known.as_deref())
    }

    /// Adds a filter. Returns whether the client had it before.
    pub(crate) fn add_filter(&mut self, path: &str, wants: Wants) -> bool {
        let known = self.filters.insert(path.to_owned(), wants).is_some();
        if !known {
            self.filters_cost += cost(path);
            self.groups += usize::from(shared(path).is_some());
        }
        known
    }

    /// Removes a filter. Returns whether the client had it.
    pub(crate) fn remove_filter(&mut self, path: &str) -> bool {
        let known = self.filters.remove(path).is_some();
        if known {
            self.filters_cost -= cost(path);
            self.groups -= usize::from(shared(path).is_some());
        }
        known
    }

    /// The outbox of the connection that the client has now.
    pub(crate) fn outbox(&self) -> Option<&Arc<Outbox>> {
        match &self.place {
            Place::Here { outbox, .. } => Some(outbox),
            Place::Away { .. } => None,
        }
    }

    /// The same, as long as it is that of `connection`.
    pub(crate) fn outbox_of(&self, connection: Serial) -> Option<&Arc<Outbox>> {
        match &self.place {
            Place::Here {
                connection: current,
                outbox,
                ..
            } if *current == connection => Some(outbox),
            _ => None,
        }
    }

    /// Bytes that wait for the client.
    pub(crate) fn waiting(&self) -> usize {
        match &self.place {
            Place::Here { outbox, .. } => outbox.waiting(),
            Place::Away { pending, .. } => pending.bytes(),
        }
    }

    /// Adds a message. A client that is away gets those of QoS 1 and 2 when it is back; `None` when it will not.
    pub(crate) fn push(&mut self, message: &Arc<Message>, how: How, max_bytes: usize) -> Option<Pushed> {
        match &mut self.place {
            Place::Here { outbox, .. } => Some(outbox.push(message, how)),
            Place::Away { .. } if how.qos.min(message.qos) == Qos::AtMostOnce => None,
            Place::Away { pending, .. } => Some(match pending.offer(message, how, max_bytes) {
                Ok(()) => Pushed::Queued,
                Err(NoRoom) => Pushed::Overflow,
            }),
        }
    }

    /// Does something with what is pending, wherever that is.
    pub(crate) fn with<T>(&mut self, act: impl FnOnce(&mut Pending) -> T) -> T {
        match &mut self.place {
            Place::Here { outbox, .. } => outbox.with(act),
            Place::Away { pending, .. } => act(pending),
        }
    }
}
