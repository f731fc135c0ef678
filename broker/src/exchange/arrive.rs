//! A client comes in, to the session that it has or to a new one.

use rumqttd::protocol::Packet;

use super::{Arrival, Exchange, SessionsFull};
use crate::{
    durable::Change,
    outbox::Close,
    pending::Pending,
    session::{Place, Seat, Session},
};

impl Exchange {
    /// Brings a client in, to the session that it has or to a new one. A connection with the same id is ended (3.1.4);
    /// its will is not published, for whoever is back is not gone.
    pub(crate) fn connect(&mut self, arrival: Arrival) -> Result<Seat, SessionsFull> {
        let connection = arrival.connection;
        let former = self.by_id.get(&arrival.id).copied();
        let kept = former.filter(|number| !arrival.clean && self.sessions.get(number).is_some_and(|s| s.expiry_s > 0));
        if !self.may_come(&arrival, former, kept.is_some()) {
            return Err(SessionsFull);
        }
        let mut connack = arrival.connack;
        if let Packet::ConnAck(answer, _) = &mut connack {
            answer.session_present = kept.is_some();
        }
        let number = match (kept, former) {
            (Some(number), _) => number,
            (None, Some(former)) => {
                self.forget(former);
                connection
            }
            (None, None) => connection,
        };
        let former = self.sessions.remove(&number);
        let held = former.as_ref().map_or(0, Session::cost);
        let (pending, (filters, filters_cost, groups), lasts) = match former {
            Some(session) => {
                let pending = self.take_over(session.place);
                let filters = (session.filters, session.filters_cost, session.groups);
                (pending, filters, session.lasts)
            }
            None if arrival.expiry_s > 0 => (
                Pending::lasting(self.keep(number, &arrival.id)),
                Default::default(),
                true,
            ),
            None => (Pending::default(), Default::default(), false),
        };
        if lasts {
            self.journal.append(Change::Session {
                session: number,
                id: arrival.id.clone(),
                expiry_s: arrival.expiry_s,
            });
        }
        let withheld = arrival.outbox.resume(connack, pending);
        self.undone.extend(withheld.others);
        if withheld.dropped > 0 {
            self.slow.of(&arrival.id).dropped += withheld.dropped;
            self.dropped += withheld.dropped;
        }
        self.by_id.insert(arrival.id.clone(), number);
        self.connected += 1;
        let place = Place::Here {
            connection,
            outbox: arrival.outbox,
            will: arrival.will,
        };
        let session = Session {
            id: arrival.id,
            filters,
            filters_cost,
            groups,
            known: arrival.known.filter(|_| lasts),
            lasts,
            expiry_s: arrival.expiry_s,
            place,
        };
        self.owners.hold(&session.id, held, session.cost());
        self.sessions.insert(number, session);
        self.hand_on_alone();
        Ok(Seat {
            session: number,
            connection,
        })
    }

    /// What waits for a session that goes on with another connection; the one that it has ends.
    fn take_over(&mut self, place: Place) -> Pending {
        let mut pending = match place {
            Place::Away { pending, .. } => *pending,
            Place::Here { outbox, .. } => {
                self.connected -= 1;
                outbox.close(Close::TakenOver);
                let mut pending = outbox.leave();
                pending.leave();
                pending
            }
        };
        pending.prolong_replays(|replay| self.retained.prolong(replay));
        pending
    }
}
