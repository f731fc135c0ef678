//! How many sessions there may be, and what they may hold: all together, and those of one name.

use super::{Arrival, Exchange};
use crate::{message::Serial, pending::Keep, session::own_cost};

impl Exchange {
    /// Whether a client may come in that had the session `former`, if any, and goes on with it or not: one more session may
    /// last, and there is room for its will and for who it is.
    pub(super) fn may_come(&self, arrival: &Arrival, former: Option<Serial>, goes_on: bool) -> bool {
        let former = former.and_then(|number| self.sessions.get(&number));
        let kept = former.filter(|_| goes_on);
        let lasts = kept.map_or(arrival.expiry_s > 0, |session| session.lasts);
        if kept.is_none() && lasts && !self.has_room(&arrival.id) {
            return false;
        }
        // What the former one holds is free then, but for the filters of one that goes on.
        let stays = kept.map_or(0, |session| session.filters_cost);
        let free = former.map_or(0, |session| session.cost() - stays);
        let own = own_cost(arrival.will.as_ref(), arrival.known.as_deref().filter(|_| lasts));
        own <= free + self.owners.room(&arrival.id, &self.limits)
    }

    /// Whether one more session may last, of the name in its id.
    pub(super) fn has_room(&self, id: &str) -> bool {
        self.lasting < self.limits.max_sessions && self.owners.sessions(id) < self.limits.max_sessions_per_name
    }

    /// Begins a session that lasts.
    pub(super) fn keep(&mut self, session: Serial, id: &str) -> Keep {
        self.lasting += 1;
        let own = self.owners.begin(id);
        let own = own.map(|own| (own, self.limits.max_stored_bytes_per_name));
        let all = (self.stored.clone(), self.limits.max_stored_bytes);
        Keep {
            session,
            journal: self.journal.clone(),
            stored: [all].into_iter().chain(own).collect(),
        }
    }
}
