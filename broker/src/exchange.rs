//! Who gets what: sessions with their clients, subscriptions and wills, and the retained messages.
//!
//! Plain state without a task or a socket. Its owner calls it under one lock, so a subscription, the
//! retained messages that it is answered with and the next message come in this order and without a gap.
//!
//! | module | what it does |
//! |---|---|
//! | `arrive` | a client comes in, to the session that it has or to a new one |
//! | `deliver` | a message to everyone who wants it |
//! | `room` | how many sessions there may be, and what they may hold |
//! | `subscribe` | subscriptions, and what is retained for them |
//! | `survive` | what time ends, and what survives a restart |

mod arrive;
mod deliver;
mod room;
mod subscribe;
mod survive;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use rumqttd::protocol::Packet;
use runtime::Clock;

pub(crate) use self::deliver::Dispatched;
use crate::{
    Limits,
    access::Known,
    durable::{Change, Journal},
    message::{Message, Serial},
    outbox::{Close, Outbox},
    owners::Owners,
    pending::Stored,
    retained::Retained,
    session::{Place, Seat, Session, Will, after},
    shares::{Shares, shared},
    slow::Slow,
    subscriptions::{Subscriptions, Wants},
};

/// All that the broker knows of its clients.
#[derive(Debug)]
pub(crate) struct Exchange {
    sessions: HashMap<Serial, Session>,
    by_id: HashMap<Arc<str>, Serial>,
    subscriptions: Subscriptions,
    shares: Shares,
    retained: Retained,
    slow: Slow,
    journal: Journal,
    stored: Arc<Stored>,
    owners: Owners,
    limits: Limits,
    clock: Clock,
    last_serial: Serial,
    connected: usize,
    /// Sessions that outlast their connections.
    lasting: usize,
    expired: u64,
    discarded: u64,
    /// Messages that clients did not take when they came back, and those that members of a group have left and nobody can take.
    dropped: u64,
    /// Wills of sessions that have ended.
    due: Vec<Message>,
    /// What members of shared subscriptions have left undone.
    undone: VecDeque<(Arc<str>, Arc<Message>)>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// With a DISCONNECT: its will is forgotten.
    Said,
    /// In any other way.
    Missing,
}

/// A client that comes in.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) connection: Serial,
    pub(crate) id: Arc<str>,
    /// Whether a session that it has is to be forgotten.
    pub(crate) clean: bool,
    /// Seconds that the session is to outlast the connection.
    pub(crate) expiry_s: u32,
    pub(crate) will: Option<Will>,
    pub(crate) outbox: Arc<Outbox>,
    /// Who it is.
    pub(crate) known: Option<Arc<Known>>,
    /// The answer; whether there is a session is filled in.
    pub(crate) connack: Packet,
}

/// There are as many lasting sessions as there may be, or sessions hold as much as they may, all together or of the client's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionsFull;

/// Figures of the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Census {
    /// Clients that are connected, and sessions that wait for theirs.
    pub(crate) connected: u64,
    pub(crate) away: u64,
    /// Sessions that were over before their clients came back: by age, and because they kept too much.
    pub(crate) expired: u64,
    pub(crate) discarded: u64,
    /// Messages that clients did not take when they came back, or that nobody of a group can take any more.
    pub(crate) dropped: u64,
    pub(crate) subscriptions: u64,
    pub(crate) shared: u64,
    /// What sessions hold besides messages.
    pub(crate) session_bytes: u64,
    pub(crate) retained: u64,
    pub(crate) retained_bytes: u64,
    /// What lasting sessions keep.
    pub(crate) stored: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) journal_bytes: u64,
    pub(crate) journal_faults: u64,
}

impl Exchange {
    pub(crate) fn new(limits: &Limits, journal: Journal, clock: Clock) -> Self {
        Self {
            sessions: HashMap::new(),
            by_id: HashMap::new(),
            subscriptions: Subscriptions::default(),
            shares: Shares::default(),
            retained: Retained::new(limits.max_retained, limits.max_retained_bytes)
                .each(limits.max_retained_per_name, limits.max_retained_bytes_per_name),
            slow: Slow::default(),
            journal,
            stored: Arc::default(),
            owners: Owners::default(),
            limits: limits.clone(),
            clock,
            last_serial: 0,
            connected: 0,
            lasting: 0,
            expired: 0,
            discarded: 0,
            dropped: 0,
            due: Vec::new(),
            undone: VecDeque::new(),
        }
    }

    /// A number for the next connection, from 1.
    pub(crate) fn next_serial(&mut self) -> Serial {
        self.last_serial += 1;
        self.last_serial
    }

    /// Ends a connection, and its session unless that lasts. Returns the will that is now to be published.
    pub(crate) fn disconnect(&mut self, seat: Seat, farewell: Farewell) -> Option<Message> {
        let (now_ns, now_ms) = (self.clock.monotonic_ns(), self.clock.now_ms());
        let session = self.sessions.get_mut(&seat.session)?;
        let outbox = session.outbox_of(seat.connection)?.clone();
        let held = session.cost();
        let Place::Here { will, .. } = &mut session.place else {
            return None;
        };
        let will = will.take();
        let without = session.cost();
        self.owners.hold(&session.id, held, without);
        let will = will.filter(|_| farewell == Farewell::Missing);
        let id = session.id.clone();
        if session.expiry_s == 0 {
            self.end(seat.session);
            self.hand_on_alone();
            return will.map(|will| will.publish(id, now_ms));
        }
        let mut pending = outbox.leave();
        pending.leave();
        let (now, later): (Option<Will>, _) = match will {
            Some(will) if will.delay_s > 0 => (None, Some(Box::new((after(now_ns, will.delay_s), will)))),
            will => (will, None),
        };
        session.place = Place::Away {
            pending: Box::new(pending),
            ends_ns: after(now_ns, session.expiry_s),
            will: later,
        };
        self.owners.hold(&id, without, session.cost());
        self.connected -= 1;
        self.journal.append(Change::Left {
            session: seat.session,
            at_ms: now_ms,
        });
        now.map(|will| will.publish(id, now_ms))
    }

    /// How long a session is to outlast its connection, told anew (MQTT 5, 3.14.2.2.2). One that was not to cannot begin
    /// to.
    pub(crate) fn set_expiry(&mut self, seat: Seat, expiry_s: u32) {
        let expiry_s = self.limits.session_expiry_s(expiry_s);
        let Some(session) = self.sessions.get_mut(&seat.session) else {
            return;
        };
        if session.expiry_s > 0 && session.outbox_of(seat.connection).is_some() {
            session.expiry_s = expiry_s;
            self.journal.append(Change::Session {
                session: seat.session,
                id: session.id.clone(),
                expiry_s,
            });
        }
    }

    /// Ends all connections.
    pub(crate) fn close_all(&self, reason: Close) {
        let outboxes = self.sessions.values().filter_map(Session::outbox);
        outboxes.for_each(|outbox| outbox.close(reason));
    }

    /// Clients that are connected.
    pub(crate) fn clients(&self) -> usize {
        self.connected
    }

    /// All figures.
    pub(crate) fn census(&self) -> Census {
        let (journal_bytes, journal_faults) = self.journal.figures();
        Census {
            connected: self.connected as u64,
            away: (self.sessions.len() - self.connected) as u64,
            expired: self.expired,
            discarded: self.discarded,
            dropped: self.dropped,
            subscriptions: (self.subscriptions.len() + self.shares.len()) as u64,
            shared: self.shares.len() as u64,
            session_bytes: self.owners.held() as u64,
            retained: self.retained.len() as u64,
            retained_bytes: self.retained.bytes() as u64,
            stored: self.stored.messages.load(Relaxed),
            stored_bytes: self.stored.bytes.load(Relaxed) as u64,
            journal_bytes,
            journal_faults,
        }
    }

    /// A client was not allowed to publish or to subscribe.
    pub(crate) fn note_refusal(&mut self, seat: Seat) {
        if let Some(session) = self.sessions.get(&seat.session) {
            self.slow.of(&session.id).refused += 1;
        }
    }

    /// Clients that do not keep up, or try what they may not.
    pub(crate) fn slow(&self) -> &Slow {
        &self.slow
    }

    /// The `n` clients for which most bytes wait, and how many; those for which none wait are left out.
    pub(crate) fn waiting(&self, n: usize) -> Vec<(Arc<str>, usize)> {
        let sessions = self.sessions.values();
        let waiting = sessions.map(|session| (session.id.clone(), session.waiting()));
        let mut waiting: Vec<_> = waiting.filter(|(_, bytes)| *bytes > 0).collect();
        waiting.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        waiting.truncate(n);
        waiting
    }

    /// Ends a session whose client wants it forgotten, and so its will.
    fn forget(&mut self, number: Serial) {
        if let Some(outbox) = self.sessions.get(&number).and_then(Session::outbox) {
            outbox.close(Close::TakenOver);
        }
        self.end(number);
    }

    /// Ends a session. Its will, if one waited for that, is returned. What it shared and has not done is to be handed on.
    fn end(&mut self, number: Serial) -> Option<Message> {
        let session = self.sessions.remove(&number)?;
        self.owners.hold(&session.id, session.cost(), 0);
        if self.by_id.get(&session.id) == Some(&number) {
            self.by_id.remove(&session.id);
        }
        for filter in session.filters.keys() {
            self.unlist(filter, number);
        }
        if session.lasts {
            self.lasting -= 1;
            self.owners.end(&session.id);
            self.journal.append(Change::Ended { session: number });
        }
        let (pending, will) = match session.place {
            Place::Here { outbox, .. } => {
                self.connected -= 1;
                (outbox.leave(), None)
            }
            Place::Away { pending, will, .. } => (*pending, will),
        };
        self.undone.extend(pending.end());
        will.map(|will| will.1.publish(session.id, self.clock.now_ms()))
    }

    fn list(&mut self, path: &str, number: Serial, wants: Wants) {
        match shared(path) {
            Some(_) => self.shares.add(path, number, wants),
            None => self.subscriptions.add(path, number, wants),
        };
    }

    fn unlist(&mut self, path: &str, number: Serial) -> bool {
        match shared(path) {
            Some(_) => self.shares.remove(path, number),
            None => self.subscriptions.remove(path, number),
        }
    }

    /// The same where nothing is dispatched: what nobody can take is counted here.
    fn hand_on_alone(&mut self) {
        self.dropped += self.hand_on().dropped;
    }

    /// Hands what members of shared subscriptions have left undone to others.
    fn hand_on(&mut self) -> Dispatched {
        let mut done = Dispatched::default();
        while let Some((path, message)) = self.undone.pop_front() {
            match self.shares.number(&path) {
                Some(group) => self.hand(group, &message, &mut done),
                // Nobody shares it any more.
                None => done.dropped += 1,
            }
        }
        done
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
