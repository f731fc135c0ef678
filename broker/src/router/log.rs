//! What is under way in the router, on our side.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;

use crate::message::Message;

/// The messages that went in and have not come out, in order. Bounded by the router's budget.
#[derive(Debug, Default)]
pub(super) struct Log {
    under_way: Mutex<VecDeque<Message>>,
    restarts: AtomicU64,
}

impl Log {
    pub(super) fn push(&self, message: Message) {
        self.lock().push_back(message);
    }

    /// The oldest message, which has come out with `payload`; `None` if that is not the oldest one's: then nothing is
    /// taken. Compared by where its bytes lie, which the router passes on as they are; an empty one lies nowhere.
    pub(super) fn pop(&self, payload: &Bytes) -> Option<Message> {
        let place = |bytes: &Bytes| (bytes.len(), (!bytes.is_empty()).then_some(bytes.as_ptr()));
        self.lock()
            .pop_front_if(|oldest| place(&oldest.payload) == place(payload))
    }

    /// Whether something is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Counts a restart; what the next router gets again.
    pub(super) fn restarted(&self) -> Vec<Message> {
        self.restarts.fetch_add(1, Relaxed);
        self.lock().iter().cloned().collect()
    }

    pub(super) fn restarts(&self) -> u64 {
        self.restarts.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
