//! What time ends, and what survives a restart.

use std::{mem, sync::Arc};

use super::Exchange;
use crate::{
    access::Known,
    durable::{Change, Journal, Restored},
    message::{Message, Serial},
    outbox::Close,
    pending::Pending,
    session::{Place, Session, after, own_cost},
    shares::shared,
    subscriptions::cost,
};

impl Exchange {
    /// Ends sessions that have lasted long enough. Returns the wills that are now to be published.
    pub(crate) fn tick(&mut self) -> Vec<Message> {
        let (now_ns, now_ms) = (self.clock.monotonic_ns(), self.clock.now_ms());
        let mut due = mem::take(&mut self.due);
        let mut over = Vec::new();
        for (&number, session) in &mut self.sessions {
            let Place::Away { ends_ns, will, .. } = &mut session.place else {
                continue;
            };
            if *ends_ns <= now_ns {
                over.push(number);
            }
            if let Some(will) = will.take_if(|will| will.0 <= now_ns) {
                let held = own_cost(Some(&will.1), None);
                self.owners.hold(&session.id, held, 0);
                due.push(will.1.publish(session.id.clone(), now_ms));
            }
        }
        for number in over {
            self.expired += 1;
            due.extend(self.end(number));
        }
        self.hand_on_alone();
        due
    }

    /// The lasting sessions of those who have come in since the start, and who they are.
    pub(crate) fn known(&self) -> Vec<(Serial, Arc<Known>)> {
        let sessions = self.sessions.iter();
        sessions
            .filter_map(|(number, session)| Some((*number, session.known.clone()?)))
            .collect()
    }

    /// Ends the session of `known`, who may not come in any more, unless another has come to it meanwhile. Its will is
    /// forgotten.
    pub(crate) fn banish(&mut self, number: Serial, known: &Arc<Known>) -> bool {
        let session = self.sessions.get_mut(&number);
        let own = |session: &&mut Session| session.known.as_ref().is_some_and(|now| Arc::ptr_eq(now, known));
        let Some(session) = session.filter(own) else {
            return false;
        };
        if let Place::Here { outbox, .. } = &session.place {
            session.expiry_s = 0;
            outbox.close(Close::Unwelcome);
            self.journal.append(Change::Ended { session: number });
        } else {
            self.end(number);
            self.hand_on_alone();
        }
        true
    }

    /// Forgets retained messages that have expired.
    pub(crate) fn expire_retained(&mut self) {
        self.retained.expire(self.clock.now_ms());
    }

    /// Takes over what survived a restart, and tells the journal all of it.
    pub(crate) fn restore(&mut self, restored: Restored) {
        for message in restored.retained.into_values() {
            if self.retained.set(&message).is_err() {
                tracing::warn!(topic = ?message.topic, "more is retained on disk than the limits allow: dropped");
            }
        }
        let (now_ns, now_ms) = (self.clock.monotonic_ns(), self.clock.now_ms());
        for (number, saved) in restored.sessions {
            self.last_serial = self.last_serial.max(number);
            let mut pending = Pending::restored(self.keep(number, &saved.id), saved.waiting, saved.taken);
            for (path, (wants, replay)) in &saved.filters {
                self.list(path, number, *wants);
                if *replay {
                    pending.begin_replay(self.retained.replay(path), wants.qos);
                }
            }
            let away_ms = saved.left_ms.map_or(0, |left_ms| now_ms.saturating_sub(left_ms).max(0));
            let away_s = u32::try_from(away_ms / 1_000).unwrap_or(u32::MAX);
            let session = Session {
                id: saved.id.clone(),
                filters_cost: saved.filters.keys().map(|path| cost(path)).sum(),
                groups: saved.filters.keys().filter(|path| shared(path).is_some()).count(),
                filters: saved
                    .filters
                    .into_iter()
                    .map(|(path, (wants, _))| (path, wants))
                    .collect(),
                // Of who was away over a restart only the name is known.
                known: None,
                lasts: true,
                expiry_s: saved.expiry_s,
                place: Place::Away {
                    pending: Box::new(pending),
                    ends_ns: after(now_ns, saved.expiry_s.saturating_sub(away_s)),
                    will: None,
                },
            };
            self.owners.hold(&session.id, 0, session.cost());
            self.by_id.insert(saved.id, number);
            self.sessions.insert(number, session);
        }
        self.tell_all();
    }

    /// Tells the journal all that holds.
    pub(crate) fn tell_all(&mut self) {
        let journal = self.journal.clone();
        let together = journal.together();
        journal.append(Change::Begin);
        let lasting = self
            .retained
            .all()
            .filter(|message| !message.topic.starts_with("$SYS/"));
        lasting.for_each(|message| journal.append(Change::Retained(message.clone())));
        let (now_ns, now_ms) = (self.clock.monotonic_ns(), self.clock.now_ms());
        for (&number, session) in &mut self.sessions {
            if session.lasts {
                tell_session(number, session, &journal, (now_ns, now_ms));
            }
        }
        journal.append(Change::Complete);
        drop(together);
    }
}

fn tell_session(number: Serial, session: &mut Session, journal: &Journal, (now_ns, now_ms): (u64, i64)) {
    journal.append(Change::Session {
        session: number,
        id: session.id.clone(),
        expiry_s: session.expiry_s,
    });
    let filters: Vec<_> = session
        .filters
        .iter()
        .map(|(path, wants)| (path.clone(), *wants))
        .collect();
    let whole_ns = after(0, session.expiry_s);
    let away_ns = match &session.place {
        Place::Away { ends_ns, .. } => Some(whole_ns.saturating_sub(ends_ns.saturating_sub(now_ns))),
        Place::Here { .. } => None,
    };
    session.with(|pending| {
        for (path, wants) in filters {
            let replay = pending.replays(&path);
            journal.append(Change::Subscribed {
                session: number,
                path,
                wants,
                replay,
            });
        }
        pending.tell_all();
    });
    if let Some(away_ns) = away_ns {
        journal.append(Change::Left {
            session: number,
            at_ms: now_ms - i64::try_from(away_ns / 1_000_000).unwrap_or(0),
        });
    }
}
