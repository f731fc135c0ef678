//! What waits for one connection, and what of it counts.

use std::collections::VecDeque;

use rumqttd::protocol::Packet;

use super::PACKET_COST;
use crate::{pending::Pending, waiting::Account};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) packets: VecDeque<Packet>,
    pub(super) pending: Pending,
    /// Answers that wait for the journal.
    pub(super) answers: usize,
    /// Room of the writer's buffer.
    pub(super) writing: usize,
    /// Among what waits for all.
    pub(super) account: Account,
    /// The session goes on elsewhere, or is over.
    pub(super) gone: bool,
}

impl State {
    pub(super) fn packet_bytes(&self) -> usize {
        (self.packets.len() + self.answers) * PACKET_COST
    }

    pub(super) fn bytes(&self) -> usize {
        self.packet_bytes() + self.pending.bytes()
    }

    /// Whether there is room for `more`, among what waits for all and for its name; it counts from now on.
    pub(super) fn has_room(&mut self, more: usize) -> bool {
        let bytes = self.bytes() + self.writing + more;
        self.account.cover(bytes)
    }

    /// Counts what is there.
    pub(super) fn note(&mut self) {
        let bytes = self.bytes() + self.writing;
        self.account.note(bytes);
    }
}
