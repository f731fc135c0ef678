//! What a client may no longer read when it is back.

use std::sync::Arc;

use super::{Delivery, Pending};
use crate::message::{Message, Qos};

impl Pending {
    /// Leaves out what the client may no longer read. Of that, what came by shared subscriptions is returned, for others;
    /// an exchange of QoS 2 that may have begun is gone on with as if the client had the message, for it waits for the end.
    pub(crate) fn withhold(&mut self, may_read: impl Fn(&str) -> bool) -> Vec<(Arc<str>, Arc<Message>)> {
        let withheld = |delivery: &Delivery| delivery.message.as_ref().is_some_and(|m| !may_read(&m.topic));
        let mut others = Vec::new();
        for (mut delivery, sent) in self.take_all() {
            let begun = delivery.qos == Qos::ExactlyOnce && (sent || delivery.dup);
            if !withheld(&delivery) {
                let queue = if sent { &mut self.under_way } else { &mut self.waiting };
                queue.push_back(delivery);
            } else if begun {
                self.replayed -= usize::from(delivery.replayed && !sent);
                self.note_received(&mut delivery);
                self.under_way.push_back(delivery);
            } else {
                self.replayed -= usize::from(delivery.replayed && !sent);
                self.forget(&delivery);
                if let (Some(share), Some(message)) = (delivery.share, delivery.message) {
                    others.push((share, message));
                }
            }
        }
        others
    }
}
