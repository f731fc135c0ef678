//! rumqttd's router as the one ordered log between publishers and subscribers.
//!
//! Every message enters the router through one link and leaves it through the same link; who gets it is
//! decided behind it, in `exchange`. Of the router this uses the bounded commit log and its thread. Its own
//! subscriptions, retained messages and wills stay unused, because (rumqttd 0.20.0, each reproduced):
//! - it keeps one log a filter and one cache entry a topic for ever: here are one filter and one topic;
//! - a subscriber that lags behind its log loses the oldest messages without a sign: here a publisher waits
//!   once [`BUDGET`] bytes are under way, which is less than the log holds, so the log never overruns;
//! - it replays at most 200 retained topics, gives a taken-over connection's number to the next one, and
//!   panics on some packets of clients: here it sees no packet of a client.
//!
//! Topic and flags travel beside the payload as properties, which the router passes on untouched.
//!
//! The router's thread cannot be told to end: it is parked until the process ends. When it panics, the next
//! call here fails, and the broker ends with an error.

use std::{mem, sync::Arc};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rumqttd::{
    Notification, RouterConfig,
    local::{LinkBuilder, LinkRx, LinkTx},
    protocol::{Packet, Publish, PublishProperties},
};
use tokio::sync::{Mutex, Semaphore, watch};

use crate::{
    BrokerError,
    message::{Ack, Message, Qos},
};

/// Bytes that may be under way in the router.
const BUDGET: u32 = 4 * 1024 * 1024;

/// What a message counts for at least, so that no more are under way than the router's queue of 1,000
/// events takes: to fill that would block a thread of ours.
const MIN_COST: u32 = BUDGET / 900;

/// The log: eight segments of 1 MiB. It keeps the newest messages until they are overwritten, read or not.
const SEGMENT_BYTES: usize = 1024 * 1024;
const SEGMENTS: usize = 8;

/// The one topic and filter that the router sees.
const TOPIC: &str = "m";

/// Flags, above the two bits of the QoS.
const RETAIN: u8 = 4;
const WILL: u8 = 8;

/// In place of the time of a message that does not expire.
const NEVER: i64 = i64::MAX;

/// The way in.
pub(crate) struct Router {
    link: Mutex<Incoming>,
    budget: Arc<Semaphore>,
    /// Messages that came out and were handed on.
    done: watch::Receiver<u64>,
}

struct Incoming {
    link: LinkTx,
    /// Messages that went in.
    sent: u64,
}

/// The way out.
pub(crate) struct Returning {
    link: LinkRx,
    budget: Arc<Semaphore>,
    /// The last message has come out and may not be handed on yet.
    holds: bool,
    done: watch::Sender<u64>,
}

/// The router's thread has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// Starts a router in a thread of its own.
pub(crate) fn start() -> Result<(Router, Returning), BrokerError> {
    let config = RouterConfig {
        max_connections: 1,
        max_outgoing_packet_count: 150,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    };
    let sender = rumqttd::Router::new(0, config).spawn();
    let failed = |error: rumqttd::local::LinkError| BrokerError::Router(error.to_string());
    let (mut incoming, outgoing, _connack) = LinkBuilder::new("exchange", sender).build().map_err(failed)?;
    incoming.subscribe(TOPIC).map_err(failed)?;

    let budget = Arc::new(Semaphore::new(BUDGET as usize));
    let done = watch::Sender::new(0);
    let router = Router {
        link: Mutex::new(Incoming {
            link: incoming,
            sent: 0,
        }),
        budget: budget.clone(),
        done: done.subscribe(),
    };
    let returning = Returning {
        link: outgoing,
        budget,
        holds: false,
        done,
    };
    Ok((router, returning))
}

impl Router {
    /// Appends `message` to the log; waits while too much is under way.
    pub(crate) async fn send(&self, message: Message) -> Result<(), Gone> {
        let permits = self.budget.acquire_many(cost(&message)).await.map_err(|_closed| Gone)?;
        // Given back by `Returning`, when the message has come out.
        permits.forget();
        let mut incoming = self.link.lock().await;
        incoming.sent += 1;
        let sent = incoming.link.send(wrap(message)).await;
        sent.map(|_waiting| ()).map_err(|_closed| Gone)
    }

    /// Waits until every message that was sent before has been handed on. Whoever subscribes then finds in
    /// the retained messages all that were acknowledged before.
    pub(crate) async fn settled(&self) -> Result<(), Gone> {
        let sent = self.link.lock().await.sent;
        let mut done = self.done.clone();
        done.wait_for(|done| *done >= sent)
            .await
            .map(|_done| ())
            .map_err(|_closed| Gone)
    }

    /// Makes the router's thread panic, as a fault in it would.
    #[cfg(test)]
    pub(crate) async fn sabotage(&self) {
        use rumqttd::protocol::{Disconnect, DisconnectReasonCode};
        let reason_code = DisconnectReasonCode::NormalDisconnection;
        let link = &mut self.link.lock().await.link;
        link.send(Packet::Disconnect(Disconnect { reason_code }, None))
            .await
            .unwrap();
        link.shadow("x").unwrap();
    }
}

impl Returning {
    /// The next message of the log. The one before counts as handed on.
    pub(crate) async fn next(&mut self) -> Result<Message, Gone> {
        if mem::take(&mut self.holds) {
            self.done.send_modify(|done| *done += 1);
        }
        loop {
            let notification = match self.link.next().await {
                Ok(Some(notification)) => notification,
                Ok(None) => continue,
                Err(_closed) => return Err(Gone),
            };
            match notification {
                Notification::Forward(forward) => {
                    let message = unwrap(forward.publish, forward.properties.unwrap_or_default());
                    self.budget.add_permits(cost(&message) as usize);
                    self.holds = true;
                    return Ok(message);
                }
                // The router has filled the link and waits until it is told to go on.
                Notification::Unschedule => self.link.wake().await.map_err(|_closed| Gone)?,
                _ => (),
            }
        }
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        // Nothing comes out any more: nobody shall wait to put something in.
        self.budget.close();
    }
}

fn cost(message: &Message) -> u32 {
    u32::try_from(message.cost()).map_or(BUDGET, |cost| cost.clamp(MIN_COST, BUDGET))
}

/// Flags, source, the publisher's connection and packet id (0: it waits for nothing), expiry, then the will's client id
/// and the properties, each with its length, and the topic.
fn wrap(message: Message) -> Packet {
    let will_of = message.will_of.as_deref().unwrap_or_default();
    let variable = will_of.len() + message.properties.len() + message.topic.len();
    let mut header = BytesMut::with_capacity(1 + 8 + 8 + 2 + 8 + 4 + 4 + variable);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    header.put_u8(message.qos as u8 | flag(message.retain, RETAIN) | flag(message.will_of.is_some(), WILL));
    header.put_u64(message.source);
    let ack = message.ack.unwrap_or(Ack {
        connection: 0,
        packet_id: 0,
    });
    header.put_u64(ack.connection);
    header.put_u16(ack.packet_id);
    header.put_i64(message.expires_ms.unwrap_or(NEVER));
    for part in [will_of.as_bytes(), &message.properties] {
        // Both are shorter than a packet.
        header.put_u32(u32::try_from(part.len()).unwrap_or(u32::MAX));
        header.put_slice(part);
    }
    header.put_slice(message.topic.as_bytes());
    let properties = PublishProperties {
        correlation_data: Some(header.freeze()),
        ..PublishProperties::default()
    };
    let publish = Publish::new(Bytes::from_static(TOPIC.as_bytes()), message.payload, false);
    Packet::Publish(publish, Some(properties))
}

/// The reverse of [`wrap`]. What it reads was written there, so nothing is refused here.
fn unwrap(publish: Publish, properties: PublishProperties) -> Message {
    let mut header = properties.correlation_data.unwrap_or_default();
    let flags = header.try_get_u8().unwrap_or_default();
    let source = header.try_get_u64().unwrap_or_default();
    let connection = header.try_get_u64().unwrap_or_default();
    let packet_id = header.try_get_u16().unwrap_or_default();
    let expires_ms = header.try_get_i64().unwrap_or(NEVER);
    let mut part = || {
        let length = header.try_get_u32().unwrap_or_default() as usize;
        header.split_to(length.min(header.len()))
    };
    let (id, properties) = (part(), part());
    let text = |bytes: &Bytes| Arc::from(std::str::from_utf8(bytes).unwrap_or_default());
    Message {
        topic: text(&header),
        payload: publish.payload,
        qos: Qos::of(flags & 0b11).unwrap_or_default(),
        retain: flags & RETAIN != 0,
        source,
        ack: (packet_id > 0).then_some(Ack { connection, packet_id }),
        will_of: (flags & WILL != 0).then(|| text(&id)),
        properties,
        expires_ms: (expires_ms != NEVER).then_some(expires_ms),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn message(topic: &str, payload: usize, will_of: Option<&str>) -> Message {
        Message {
            topic: topic.into(),
            payload: vec![7; payload].into(),
            qos: [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][payload % 3],
            retain: payload.is_multiple_of(3),
            source: payload as u64,
            ack: (payload > 0).then_some(Ack {
                connection: 3,
                packet_id: 9,
            }),
            will_of: will_of.map(Arc::from),
            properties: vec![5; payload % 7].into(),
            expires_ms: payload.is_multiple_of(2).then_some(17),
        }
    }

    #[test]
    fn what_is_wrapped_is_unwrapped() {
        for (topic, payload, will_of) in [("a/b", 0, None), ("ä", 1, Some("id/+#$")), ("$SYS/x", 6, Some(""))] {
            let before = message(topic, payload, will_of);
            let Packet::Publish(publish, Some(properties)) = wrap(before.clone()) else {
                panic!("no PUBLISH")
            };
            assert_eq!(unwrap(publish, properties), before);
        }
    }

    /// Far more than the log holds, from many tasks, read slowly at first: nothing lost, order kept.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_log_never_overruns() {
        const PUBLISHERS: usize = 8;
        const EACH: u32 = 1_000;
        let (router, mut returning) = start().unwrap();
        let router = Arc::new(router);
        for source in 0..PUBLISHERS as u64 {
            let router = router.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    let mut payload = vec![0; 4_096];
                    payload[..4].copy_from_slice(&n.to_be_bytes());
                    let message = Message {
                        source,
                        payload: payload.into(),
                        ..message("t", 0, None)
                    };
                    router.send(message).await.unwrap();
                }
            });
        }
        while router.budget.available_permits() > MIN_COST as usize {
            tokio::task::yield_now().await;
        }
        let mut next = HashMap::new();
        for _ in 0..PUBLISHERS * EACH as usize {
            let message = returning.next().await.unwrap();
            let expected = next.entry(message.source).or_default();
            assert_eq!(message.payload[..4], u32::to_be_bytes(*expected));
            *expected += 1;
        }
        assert_eq!(router.budget.available_permits(), BUDGET as usize);
    }

    #[tokio::test]
    async fn settled_is_what_was_handed_on() {
        let (router, mut returning) = start().unwrap();
        router.settled().await.unwrap();
        router.send(message("t", 1, None)).await.unwrap();
        returning.next().await.unwrap();
        let settled = tokio::select! {
            biased;
            settled = router.settled() => settled.is_ok(),
            () = tokio::task::yield_now() => false,
        };
        assert!(!settled, "the message is still in our hands");
        let (settled, ()) = tokio::join!(router.settled(), async {
            tokio::select! {
                biased;
                _ = returning.next() => panic!("there is no second message"),
                () = tokio::task::yield_now() => (),
            }
        });
        settled.unwrap();
        drop(returning);
        router.send(message("t", 1, None)).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_message_larger_than_the_budget_passes_alone() {
        let (router, mut returning) = start().unwrap();
        let large = message("t", BUDGET as usize + 10, None);
        router.send(large.clone()).await.unwrap();
        assert!(returning.next().await.unwrap() == large);
    }

    #[tokio::test]
    async fn the_end_of_its_thread_is_noticed_on_both_sides() {
        let (router, mut returning) = start().unwrap();
        router.sabotage().await;
        assert_eq!(returning.next().await, Err(Gone));
        drop(returning);
        assert_eq!(router.send(message("t", 1, None)).await, Err(Gone));
    }
}
