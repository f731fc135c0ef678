//! Subscriptions, and what is retained for them.

use rumqttd::protocol::{
    Filter, Packet, QoS, RetainForwardRule, SubAck, SubscribeReasonCode, UnsubAck, UnsubAckReason,
};

use super::Exchange;
use crate::{
    access::Permit,
    durable::Change,
    message::Qos,
    outbox::Pushed,
    pending::How,
    session::Seat,
    shares::{shared, valid},
    subscriptions::Wants,
};

/// Messages and about as many bytes that one step of a replay takes: then live messages have their turn.
const REPLAY: (usize, usize) = (100, 64 * 1024);

impl Exchange {
    /// Subscribes, answers, and begins to send what is retained. Returns the filters that are refused.
    pub(crate) fn subscribe(&mut self, seat: Seat, packet_id: u16, filters: Vec<Filter>) -> Vec<String> {
        let Some(session) = self.sessions.get_mut(&seat.session) else {
            return Vec::new();
        };
        let Some(outbox) = session.outbox_of(seat.connection).cloned() else {
            return Vec::new();
        };
        let lasts = session.lasts;
        let (mut granted, mut refused) = (Vec::new(), Vec::new());
        let mut return_codes = Vec::with_capacity(filters.len());
        let before = session.cost();
        let most = self.owners.room(&session.id, &self.limits);
        for filter in filters {
            let room = most.saturating_sub(session.cost() - before);
            let room = session.has_room(&filter.path, self.limits.max_subscriptions, room);
            let code = grant(&filter, room, outbox.permit());
            return_codes.push(code);
            if matches!(
                code,
                SubscribeReasonCode::QoS0 | SubscribeReasonCode::QoS1 | SubscribeReasonCode::QoS2
            ) {
                let known = session.add_filter(&filter.path, wants(&filter));
                granted.push((filter, known));
            } else {
                refused.push(filter.path);
            }
        }
        self.owners.hold(&session.id, before, session.cost());
        let ack = SubAck {
            pkid: packet_id,
            return_codes,
        };
        let journal = self.journal.clone();
        let together = journal.together();
        for (filter, known) in granted {
            let wants = wants(&filter);
            self.list(&filter.path, seat.session, wants);
            let replay = shared(&filter.path).is_none()
                && match filter.retain_forward_rule {
                    RetainForwardRule::OnEverySubscribe => true,
                    RetainForwardRule::OnNewSubscribe => !known,
                    RetainForwardRule::Never => false,
                };
            if replay {
                let replay = self.retained.replay(&filter.path);
                outbox.with(|pending| pending.begin_replay(replay, wants.qos));
            }
            if lasts {
                self.journal.append(Change::Subscribed {
                    session: seat.session,
                    path: filter.path,
                    wants,
                    replay,
                });
            }
        }
        outbox.answer(&journal, Packet::SubAck(ack, None), lasts);
        drop(together);
        // One step; its writer asks for more.
        self.replay(seat);
        refused
    }

    /// Sends more of what is retained to a client that has subscribed to it.
    pub(crate) fn replay(&mut self, seat: Seat) {
        let Some(session) = self.sessions.get(&seat.session) else {
            return;
        };
        let (Some(outbox), lasts) = (session.outbox_of(seat.connection).cloned(), session.lasts) else {
            return;
        };
        let Some((mut replay, qos)) = outbox.take_replay() else {
            return;
        };
        let (messages, done) = self.retained.next(&mut replay, REPLAY, self.clock.now_ms());
        for message in messages {
            let how = How {
                qos,
                retain: true,
                replayed: true,
                ..How::default()
            };
            if outbox.push(&message, how) == Pushed::Overflow {
                self.overflow(seat.session);
                return;
            }
        }
        if !done {
            outbox.with(|pending| pending.begin_replay(replay, qos));
        } else if lasts {
            self.journal.append(Change::Replayed {
                session: seat.session,
                path: replay.filter.to_string(),
            });
        }
    }

    /// Unsubscribes and answers.
    pub(crate) fn unsubscribe(&mut self, seat: Seat, packet_id: u16, filters: &[String]) {
        let Some(session) = self.sessions.get_mut(&seat.session) else {
            return;
        };
        let (Some(outbox), lasts) = (session.outbox_of(seat.connection).cloned(), session.lasts) else {
            return;
        };
        let before = session.cost();
        let known: Vec<bool> = filters.iter().map(|filter| session.remove_filter(filter)).collect();
        self.owners.hold(&session.id, before, session.cost());
        let mut reasons = Vec::with_capacity(filters.len());
        for (path, known) in filters.iter().zip(known) {
            if known {
                self.unlist(path, seat.session);
                outbox.with(|pending| pending.end_replay(path));
                if lasts {
                    self.journal.append(Change::Unsubscribed {
                        session: seat.session,
                        path: path.clone(),
                    });
                }
            }
            reasons.push(if known {
                UnsubAckReason::Success
            } else {
                UnsubAckReason::NoSubscriptionExisted
            });
        }
        let ack = UnsubAck {
            pkid: packet_id,
            reasons,
        };
        outbox.answer(&self.journal, Packet::UnsubAck(ack, None), lasts);
    }
}

fn grant(filter: &Filter, room: bool, permit: &Permit) -> SubscribeReasonCode {
    // Of a shared subscription nobody can say what is his own (MQTT 5, 3.8.3.1).
    if !valid(&filter.path) || filter.nolocal && shared(&filter.path).is_some() {
        return SubscribeReasonCode::TopicFilterInvalid;
    }
    if !permit.may_subscribe(&filter.path) {
        return SubscribeReasonCode::NotAuthorized;
    }
    if !room {
        return SubscribeReasonCode::QuotaExceeded;
    }
    match filter.qos {
        QoS::AtMostOnce => SubscribeReasonCode::QoS0,
        QoS::AtLeastOnce => SubscribeReasonCode::QoS1,
        QoS::ExactlyOnce => SubscribeReasonCode::QoS2,
    }
}

fn wants(filter: &Filter) -> Wants {
    Wants {
        qos: Qos::from(filter.qos),
        no_local: filter.nolocal,
        keep_retain: filter.preserve_retain,
    }
}
