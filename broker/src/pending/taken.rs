//! QoS 2 messages of the client: each is taken once (4.3.3).

use super::{MAX_TAKEN, Pending, Taken};
use crate::durable::Step;

impl Pending {
    /// Takes note of a QoS 2 message of the client's.
    pub(crate) fn take(&mut self, packet_id: u16) -> Taken {
        if self.taken.contains(&packet_id) {
            return Taken::Again;
        }
        if self.taken.len() >= MAX_TAKEN {
            return Taken::TooMany;
        }
        self.taken.insert(packet_id);
        Taken::First
    }

    /// Makes what [`Self::take`] has noted survive, together with what became of the message.
    pub(crate) fn tell_taken(&self, packet_id: u16) {
        if let Some(keep) = self.keep.as_ref().filter(|_| self.taken.contains(&packet_id)) {
            keep.pass(packet_id, Step::Taken);
        }
    }

    /// The client will not send its message `packet_id` again; returns whether it had sent it.
    pub(crate) fn release(&mut self, packet_id: u16) -> bool {
        let known = self.taken.remove(&packet_id);
        if let Some(keep) = self.keep.as_ref().filter(|_| known) {
            keep.pass(packet_id, Step::Released);
        }
        known
    }
}
