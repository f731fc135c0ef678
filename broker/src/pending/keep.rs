//! What lasting sessions keep, counted: all together, and those of one name.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use crate::{
    durable::{Change, Journal, Step},
    message::Serial,
};

/// Messages and bytes that sessions that last keep together.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) messages: AtomicU64,
    pub(crate) bytes: AtomicUsize,
}

/// What makes a session last.
#[derive(Debug, Clone)]
pub(crate) struct Keep {
    pub(crate) session: Serial,
    pub(crate) journal: Journal,
    /// What sessions keep together, and how many bytes that may be: all of them, and those of the client's name.
    pub(crate) stored: Vec<(Arc<Stored>, usize)>,
}

impl Keep {
    /// Whether there is room for so many bytes more.
    pub(super) fn has_room(&self, cost: usize) -> bool {
        let mut stored = self.stored.iter();
        stored.all(|(stored, most)| stored.bytes.load(Relaxed) + cost <= *most)
    }

    pub(super) fn count(&self, cost: usize) {
        for (stored, _) in &self.stored {
            stored.messages.fetch_add(1, Relaxed);
            stored.bytes.fetch_add(cost, Relaxed);
        }
    }

    pub(super) fn uncount(&self, cost: usize) {
        for (stored, _) in &self.stored {
            stored.messages.fetch_sub(1, Relaxed);
            stored.bytes.fetch_sub(cost, Relaxed);
        }
    }

    pub(super) fn pass(&self, packet_id: u16, step: Step) {
        let session = self.session;
        self.journal.append(Change::Passed {
            session,
            packet_id,
            step,
        });
    }
}
