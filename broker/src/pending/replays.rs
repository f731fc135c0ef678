//! What is retained and still to be sent: replays of subscriptions, one after the other.

use super::Pending;
use crate::{message::Qos, retained::Replay};

impl Pending {
    /// Adds what is retained and matches a new subscription.
    pub(crate) fn begin_replay(&mut self, replay: Replay, qos: Qos) {
        self.replays.insert(replay.filter.clone(), (replay, qos));
    }

    /// Whether it is time for more of what is retained.
    pub(crate) fn wants_replay(&self) -> bool {
        self.replayed == 0 && !self.replays.is_empty()
    }

    /// The replay that goes on, when it is time for more. Its owner gives it back with [`Self::begin_replay`] unless it is
    /// over.
    pub(crate) fn take_replay(&mut self) -> Option<(Replay, Qos)> {
        if self.replayed > 0 {
            return None;
        }
        self.replays.pop_first().map(|(_, replay)| replay)
    }

    /// Does something with each replay that is not over.
    pub(crate) fn prolong_replays(&mut self, act: impl Fn(&mut Replay)) {
        self.replays.values_mut().for_each(|(replay, _)| act(replay));
    }

    /// A subscription is gone, and what of it has not been replayed.
    pub(crate) fn end_replay(&mut self, filter: &str) {
        self.replays.remove(filter);
    }

    /// Whether what `filter` matches is still being replayed.
    pub(crate) fn replays(&self, filter: &str) -> bool {
        self.replays.contains_key(filter)
    }
}
