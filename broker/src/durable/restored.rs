//! What holds after a journal's changes, one after the other. Pure.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::record::{Change, Saved, Step};
use crate::{
    message::{Message, Serial},
    subscriptions::Wants,
};

/// What survived a restart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Restored {
    pub(crate) retained: HashMap<Arc<str>, Arc<Message>>,
    pub(crate) sessions: BTreeMap<Serial, Session>,
}

/// A session that survived.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: Arc<str>,
    pub(crate) expiry_s: u32,
    /// When its connection ended; `None` where it had one to the last.
    pub(crate) left_ms: Option<i64>,
    /// Its subscriptions, and whether what is retained is still to be sent.
    pub(crate) filters: BTreeMap<String, (Wants, bool)>,
    /// What waits, oldest first, and whether the client has it and waits for a PUBREL.
    pub(crate) waiting: VecDeque<(Saved, bool)>,
    pub(crate) taken: HashSet<u16>,
}

impl Restored {
    /// Applies the next change. One of a session that is not known is of no account.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Begin => *self = Self::default(),
            Change::Complete => {}
            Change::Retained(message) if message.payload.is_empty() => drop(self.retained.remove(&message.topic)),
            Change::Retained(message) => drop(self.retained.insert(message.topic.clone(), message)),
            Change::Session { session, id, expiry_s } => {
                let session = self.sessions.entry(session).or_default();
                session.id = id;
                session.expiry_s = expiry_s;
                session.left_ms = None;
            }
            Change::Ended { session } => drop(self.sessions.remove(&session)),
            Change::Left { session, .. }
            | Change::Subscribed { session, .. }
            | Change::Unsubscribed { session, .. }
            | Change::Replayed { session, .. }
            | Change::Queued { session, .. }
            | Change::Passed { session, .. } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.apply(change);
                }
            }
        }
    }
}

impl Session {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Left { at_ms, .. } => self.left_ms = Some(at_ms),
            Change::Subscribed {
                path, wants, replay, ..
            } => drop(self.filters.insert(path, (wants, replay))),
            Change::Unsubscribed { path, .. } => drop(self.filters.remove(&path)),
            Change::Replayed { path, .. } => {
                if let Some((_, replay)) = self.filters.get_mut(&path) {
                    *replay = false;
                }
            }
            Change::Queued { delivery, .. } => self.waiting.push_back((delivery, false)),
            Change::Passed { packet_id, step, .. } => self.pass(packet_id, step),
            _ => {}
        }
    }

    fn pass(&mut self, packet_id: u16, step: Step) {
        let at = || self.waiting.iter().position(|(saved, _)| saved.packet_id == packet_id);
        match step {
            Step::Done => {
                if let Some(at) = at() {
                    self.waiting.remove(at);
                }
            }
            Step::Received => {
                if let Some((_, received)) = at().and_then(|at| self.waiting.get_mut(at)) {
                    *received = true;
                }
            }
            Step::Taken => drop(self.taken.insert(packet_id)),
            Step::Released => drop(self.taken.remove(&packet_id)),
        }
    }
}
