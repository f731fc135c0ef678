//! What a client may no longer read, or does not take, when it is back.

use std::sync::Arc;

use super::{Delivery, Pending};
use crate::message::{Message, Qos};

/// What was left out.
#[derive(Debug, Default)]
pub(crate) struct Withheld {
    /// What came by shared subscriptions, for others.
    pub(crate) others: Vec<(Arc<str>, Arc<Message>)>,
    /// How many more there were.
    pub(crate) dropped: u64,
}

impl Pending {
    /// Leaves out what the client is not to have. An exchange of QoS 2 that may have begun is gone on with as if the client
    /// had the message, for it waits for the end.
    pub(crate) fn withhold(&mut self, may_have: impl Fn(&Message, Qos) -> bool) -> Withheld {
        let withheld = |delivery: &Delivery| delivery.message.as_ref().is_some_and(|m| !may_have(m, delivery.qos));
        let mut found = Withheld::default();
        for (mut delivery, sent) in self.take_all() {
            let begun = delivery.qos == Qos::ExactlyOnce && (sent || delivery.dup);
            if !withheld(&delivery) {
                let queue = if sent { &mut self.under_way } else { &mut self.waiting };
                queue.push_back(delivery);
                continue;
            }
            self.replayed -= usize::from(delivery.replayed && !sent);
            if begun {
                self.note_received(&mut delivery);
                self.under_way.push_back(delivery);
                found.dropped += 1;
                continue;
            }
            self.forget(&delivery);
            match (delivery.share, delivery.message) {
                (Some(share), Some(message)) => found.others.push((share, message)),
                _ => found.dropped += 1,
            }
        }
        found
    }
}
