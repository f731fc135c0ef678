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
//! The log is kept on our side too, until a message has come out and was handed on ([`Log`]): what was acknowledged
//! does not hang on the router's thread. When that panics, or nothing comes out any more, another is started in its
//! place and gets what is under way again, in order; connections, subscriptions and retained messages notice nothing. A
//! router that fails too often ([`MAX_RESTARTS`]) ends the broker with an error. The thread of one that is stuck cannot
//! be ended: it stays until the process ends.

mod log;

use std::{future::ready, mem, sync::Arc, time::Duration};

use bytes::Bytes;
use rumqttd::{
    Notification, RouterConfig,
    local::{LinkBuilder, LinkError, LinkRx, LinkTx},
    protocol::{Packet, Publish},
};
use tokio::{
    sync::{Mutex, Semaphore, watch},
    time::{Instant, Interval, MissedTickBehavior, interval},
};

use self::log::Log;
use crate::{BrokerError, message::Message};

/// Bytes that may be under way in the router.
const BUDGET: u32 = 4 * 1024 * 1024;

/// What a message counts for at least, so that no more are under way than the router's queue of 1,000
/// events takes: to fill that would block a thread of ours.
const MIN_COST: u32 = BUDGET / 900;

/// What goes in together at most, unless it is one message: others shall have their turn.
const BATCH: u32 = BUDGET / 16;

/// Messages that come out together at most.
const MAX_BATCH: usize = 200;

/// The log: eight segments of 1 MiB. It keeps the newest messages until they are overwritten, read or not.
const SEGMENT_BYTES: usize = 1024 * 1024;
const SEGMENTS: usize = 8;

/// The one topic and filter that the router sees.
const TOPIC: &str = "m";

/// A router that lets nothing out for this long, though something is under way, is stuck. It passes a message on within
/// a millisecond.
const STUCK: Duration = Duration::from_secs(10);

/// How often a router may fail within [`RESTARTS_WITHIN`] until the broker ends with an error.
const MAX_RESTARTS: usize = 3;
const RESTARTS_WITHIN: Duration = Duration::from_mins(10);

/// The way in.
pub(crate) struct Router {
    link: Arc<Mutex<Incoming>>,
    budget: Arc<Semaphore>,
    log: Arc<Log>,
    /// Messages that came out and were handed on.
    done: watch::Receiver<u64>,
}

struct Incoming {
    link: LinkTx,
    /// Messages that went in.
    sent: u64,
    /// Nothing goes in any more.
    closed: bool,
}

/// The way out.
pub(crate) struct Returning {
    outgoing: LinkRx,
    link: Arc<Mutex<Incoming>>,
    budget: Arc<Semaphore>,
    log: Arc<Log>,
    /// So many messages have come out last and may not be handed on yet.
    holds: u64,
    done: watch::Sender<u64>,
    /// When routers failed, the newest last.
    failures: Vec<Instant>,
    watch: Interval,
    /// How many had been handed on when the watch looked last; `None` when nothing was under way.
    seen: Option<u64>,
}

/// The router is gone, or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// Starts a router in a thread of its own.
pub(crate) fn start() -> Result<(Router, Returning), BrokerError> {
    let (incoming, outgoing) = spawn()?;
    let budget = Arc::new(Semaphore::new(BUDGET as usize));
    let done = watch::Sender::new(0);
    let log = Arc::new(Log::default());
    let link = Arc::new(Mutex::new(Incoming {
        link: incoming,
        sent: 0,
        closed: false,
    }));
    let router = Router {
        link: link.clone(),
        budget: budget.clone(),
        log: log.clone(),
        done: done.subscribe(),
    };
    let mut watch = interval(STUCK);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let returning = Returning {
        outgoing,
        link,
        budget,
        log,
        holds: 0,
        done,
        failures: Vec::new(),
        watch,
        seen: None,
    };
    Ok((router, returning))
}

/// A router's thread and both ends of the one link to it.
fn spawn() -> Result<(LinkTx, LinkRx), BrokerError> {
    let config = RouterConfig {
        max_connections: 1,
        max_outgoing_packet_count: 150,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    };
    let sender = rumqttd::Router::new(0, config).spawn();
    let failed = |error: LinkError| BrokerError::Router(error.to_string());
    let (mut incoming, outgoing, _connack) = LinkBuilder::new("exchange", sender).build().map_err(failed)?;
    incoming.subscribe(TOPIC).map_err(failed)?;
    Ok((incoming, outgoing))
}

impl Router {
    /// Appends `message` to the log; waits while too much is under way.
    pub(crate) async fn send(&self, message: Message) -> Result<(), Gone> {
        self.send_all(&mut vec![message]).await
    }

    /// Appends all of `messages` to the log, in order, and empties them; waits while too much is under way. The router
    /// is woken once for many.
    pub(crate) async fn send_all(&self, messages: &mut Vec<Message>) -> Result<(), Gone> {
        while !messages.is_empty() {
            let (count, cost) = batch(messages);
            let permits = self.budget.acquire_many(cost).await.map_err(|_closed| Gone)?;
            let mut incoming = self.link.lock().await;
            if incoming.closed {
                return Err(Gone);
            }
            // Given back by `Returning`, when the messages have come out.
            permits.forget();
            incoming.sent += count as u64;
            let mut packets: Vec<Packet> = messages.iter().take(count).map(packet).collect();
            let last = packets.pop();
            messages.drain(..count).for_each(|message| self.log.push(message));
            incoming.link.buffer().extend(packets);
            if let Some(last) = last
                && incoming.link.send(last).await.is_err()
            {
                // Whoever waits for what comes out notices as well, and sends it to the next router.
                tracing::debug!("messages wait for the next router");
            }
        }
        Ok(())
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

    /// Takes nothing in any more, and waits until all that went in has been handed on.
    pub(crate) async fn close(&self) -> Result<(), Gone> {
        self.link.lock().await.closed = true;
        self.settled().await
    }

    /// How often a router was started in the place of one that had failed.
    pub(crate) fn restarts(&self) -> u64 {
        self.log.restarts()
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
    /// Waits for the next messages of the log, and adds all that are there to `messages`. Those before count as handed
    /// on.
    ///
    /// # Errors
    /// Routers have failed too often, or cannot be started.
    pub(crate) async fn next(&mut self, messages: &mut Vec<Message>) -> Result<(), BrokerError> {
        let handed_on = mem::take(&mut self.holds);
        if handed_on > 0 {
            self.done.send_modify(|done| *done += handed_on);
        }
        while messages.is_empty() {
            let told = self.notification().await;
            self.take(told, messages).await?;
        }
        while messages.len() < MAX_BATCH {
            let told = tokio::select! {
                biased;
                told = self.notification() => told,
                () = ready(()) => break,
            };
            self.take(told, messages).await?;
        }
        Ok(())
    }

    /// Adds a message that has come out to `messages`, or does what the router needs.
    async fn take(
        &mut self,
        told: Result<Notification, &'static str>,
        messages: &mut Vec<Message>,
    ) -> Result<(), BrokerError> {
        match told {
            Ok(Notification::Forward(forward)) => {
                let Some(message) = self.log.pop(&forward.publish.payload) else {
                    return self.restart("its log is not ours").await;
                };
                self.budget.add_permits(cost(&message) as usize);
                self.holds += 1;
                messages.push(message);
            }
            // The router has filled the link and waits until it is told to go on.
            Ok(Notification::Unschedule) => {
                if self.outgoing.wake().await.is_err() {
                    self.restart("its thread has ended").await?;
                }
            }
            Ok(_) => (),
            Err(why) => self.restart(why).await?,
        }
        Ok(())
    }

    /// What the router tells next, or how it has failed.
    async fn notification(&mut self) -> Result<Notification, &'static str> {
        loop {
            tokio::select! {
                biased;
                told = self.outgoing.next() => match told {
                    Ok(Some(notification)) => return Ok(notification),
                    Ok(None) => (),
                    Err(_closed) => return Err("its thread has ended"),
                },
                _ = self.watch.tick() => {
                    let now = (!self.log.is_empty()).then(|| *self.done.borrow());
                    let before = mem::replace(&mut self.seen, now);
                    if now.is_some() && before == now {
                        return Err("nothing comes out of it");
                    }
                }
            }
        }
    }

    /// Starts a router in the place of one that has failed, and gives it what is under way.
    async fn restart(&mut self, why: &str) -> Result<(), BrokerError> {
        let now = Instant::now();
        self.failures.retain(|at| now.duration_since(*at) < RESTARTS_WITHIN);
        self.failures.push(now);
        if self.failures.len() > MAX_RESTARTS {
            return Err(BrokerError::Router(format!(
                "{why}, the {}. time within {} minutes",
                self.failures.len(),
                RESTARTS_WITHIN.as_secs() / 60
            )));
        }
        // Nothing goes in meanwhile.
        let mut incoming = self.link.lock().await;
        let (link, outgoing) = spawn()?;
        incoming.link = link;
        self.outgoing = outgoing;
        let again = self.log.restarted();
        for message in &again {
            if incoming.link.send(packet(message)).await.is_err() {
                // The next look at what comes out tells so.
                break;
            }
        }
        tracing::error!(
            why,
            sent_again = again.len(),
            "the router has failed; another is in its place, nothing is lost"
        );
        Ok(())
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

/// How many of the first messages go in together, and what they count for.
fn batch(messages: &[Message]) -> (usize, u32) {
    let (mut count, mut total) = (0, 0);
    for message in messages {
        let cost = cost(message);
        if count > 0 && total + cost > BATCH {
            break;
        }
        (count, total) = (count + 1, total + cost);
    }
    (count, total)
}

/// What the router sees of a message: its payload. All else stays in our log.
fn packet(message: &Message) -> Packet {
    let publish = Publish::new(Bytes::from_static(TOPIC.as_bytes()), message.payload.clone(), false);
    Packet::Publish(publish, None)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, VecDeque};

    use super::*;
    use crate::message::{Ack, Qos};

    fn message(topic: &str, payload: usize, will_of: Option<&str>) -> Message {
        Message {
            owner: None,
            topic: topic.into(),
            payload: vec![7; payload].into(),
            qos: [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][payload % 3],
            retain: payload.is_multiple_of(3),
            source: payload as u64,
            ack: (payload > 0).then_some(Ack {
                connection: 3,
                packet_id: 9,
                denied: false,
            }),
            will_of: will_of.map(Arc::from),
            properties: vec![5; payload % 7].into(),
            expires_ms: payload.is_multiple_of(2).then_some(17),
        }
    }

    /// One message; nothing else has come out with it.
    async fn one(returning: &mut Returning) -> Message {
        let mut messages = Vec::new();
        returning.next(&mut messages).await.unwrap();
        assert_eq!(messages.len(), 1);
        messages.remove(0)
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
                let mut batch = Vec::new();
                for n in 0..EACH {
                    let mut payload = vec![0; 4_096];
                    payload[..4].copy_from_slice(&n.to_be_bytes());
                    batch.push(Message {
                        source,
                        payload: payload.into(),
                        ..message("t", 0, None)
                    });
                    // Batches of many sizes, up to more than goes in at once.
                    if u64::from(n) % 100 >= source * 10 {
                        router.send_all(&mut batch).await.unwrap();
                    }
                }
                router.send_all(&mut batch).await.unwrap();
            });
        }
        while router.budget.available_permits() > MIN_COST as usize {
            tokio::task::yield_now().await;
        }
        let mut next = HashMap::new();
        let mut come = VecDeque::new();
        for _ in 0..PUBLISHERS * EACH as usize {
            if come.is_empty() {
                let mut messages = Vec::new();
                returning.next(&mut messages).await.unwrap();
                come.extend(messages);
            }
            let message: Message = come.pop_front().unwrap();
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
        one(&mut returning).await;
        let settled = tokio::select! {
            biased;
            settled = router.settled() => settled.is_ok(),
            () = tokio::task::yield_now() => false,
        };
        assert!(!settled, "the message is still in our hands");
        let (settled, ()) = tokio::join!(router.settled(), async {
            tokio::select! {
                biased;
                _ = one(&mut returning) => panic!("there is no second message"),
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
        assert!(one(&mut returning).await == large);
    }

    #[tokio::test]
    async fn what_is_under_way_when_it_fails_comes_out_of_the_next_one_once_and_in_order() {
        let (router, mut returning) = start().unwrap();
        let mut come = Vec::new();
        for n in 1..=10 {
            router.send(message("t", n, None)).await.unwrap();
        }
        returning.next(&mut come).await.unwrap();
        router.sabotage().await;
        // A failure that is not noticed yet takes in as well.
        for n in 11..=20 {
            router.send(message("t", n, None)).await.unwrap();
        }
        while come.len() < 20 {
            let mut messages = Vec::new();
            returning.next(&mut messages).await.unwrap();
            come.extend(messages);
        }
        for (n, come) in (1..).zip(come) {
            assert_eq!(come, message("t", n, None), "{n}");
        }
        let (settled, ()) = tokio::join!(router.close(), async {
            tokio::select! {
                biased;
                _ = one(&mut returning) => panic!("there is no other message"),
                () = tokio::task::yield_now() => (),
            }
        });
        settled.unwrap();
        assert_eq!(router.restarts(), 1);
        assert_eq!(router.budget.available_permits(), BUDGET as usize);
        assert_eq!(router.send(message("t", 1, None)).await, Err(Gone), "closed");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_lets_nothing_out_is_replaced() {
        let (router, mut returning) = start().unwrap();
        // The link leads nowhere, as if the router's thread were stuck.
        let (nowhere, _stuck) = spawn().unwrap();
        router.link.lock().await.link = nowhere;
        router.send(message("t", 1, None)).await.unwrap();
        let before = Instant::now();
        let why = loop {
            if let Err(why) = returning.notification().await {
                break why;
            }
        };
        assert_eq!(why, "nothing comes out of it");
        assert!(before.elapsed() >= STUCK && before.elapsed() <= 2 * STUCK);
        // The next one is a thread, for which time does not stand still.
        tokio::time::resume();
        returning.restart("test").await.unwrap();
        assert_eq!(one(&mut returning).await, message("t", 1, None));
        assert_eq!(router.restarts(), 1);
    }
}
