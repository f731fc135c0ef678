//! Publish and receive: reconnects, resubscribes, bounded queues.
//!
//! Two queues, both bounded in messages:
//! - outgoing: [`Client::publish`] waits for room at most [`Config::publish_timeout`], [`Client::try_publish`]
//!   not at all. While the broker is away, messages wait in it.
//! - incoming: when the receiver of [`Event`]s lags, the connection is no longer read, TCP holds the sender
//!   back, and nothing is dropped here. Outgoing messages then wait too. So the task that receives events
//!   had better use `try_publish`, or else pay with a timeout when both queues are full.
//!
//! "Published" means queued. What must not be lost is kept by its owner until it is known to have arrived.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rumqttc::{AsyncClient, ClientError, LastWill, MqttOptions, QoS};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
    time::timeout,
};

use crate::{
    Backoff, Broker, BusError,
    connection::{Connection, Phase},
    topics::check_publishable,
};

/// Room for fixed header, topic and packet id on top of the payload.
const HEADER_ROOM: usize = 65_536 + 16;

/// How long a goodbye may take once the queues are empty.
const GOODBYE: Duration = Duration::from_millis(500);

/// QoS 1 messages under way at once.
pub(crate) const INFLIGHT: u16 = 200;

/// How sure delivery is while a connection lives. QoS 2 is not used: every message here may come twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qos {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
}

impl From<Qos> for QoS {
    fn from(qos: Qos) -> Self {
        match qos {
            Qos::AtMostOnce => Self::AtMostOnce,
            Qos::AtLeastOnce => Self::AtLeastOnce,
        }
    }
}

/// What the broker tells the others when this client is gone without a word. Sent at QoS 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// Whether it stays there.
    pub retain: bool,
}

/// How to reach the broker, and as whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the broker is reached, and as whom.
    pub broker: Broker,
    /// Unique at the broker: a second client with the same id ends the first one's connection.
    pub client_id: String,
    /// Longest silence; whole seconds, at least 1 s.
    pub keep_alive: Duration,
    /// Largest payload in bytes, both ways.
    pub max_packet: usize,
    /// What the broker tells when this client is gone.
    pub will: Option<Will>,
    /// What is subscribed to at each connection.
    pub subscriptions: Vec<(String, Qos)>,
    /// Outgoing messages that may wait, at least 1.
    pub queue: usize,
    /// Incoming events that may wait, at least 1.
    pub events: usize,
    /// How long [`Client::publish`] waits for room.
    pub publish_timeout: Duration,
    /// How long to wait between attempts to connect.
    pub backoff: Backoff,
}

impl Config {
    /// As [`Config::at`], in the clear and with no name to log in by.
    pub fn new(host: impl Into<String>, port: u16, client_id: impl Into<String>) -> Self {
        Self::at(Broker::new(host, port), client_id)
    }

    /// Keep-alive 10 s, payloads up to 4 MiB, 1,024 messages in each queue, 10 s to publish; no will, no
    /// subscription.
    pub fn at(broker: Broker, client_id: impl Into<String>) -> Self {
        Self {
            broker,
            client_id: client_id.into(),
            keep_alive: Duration::from_secs(10),
            max_packet: 4 * 1024 * 1024,
            will: None,
            subscriptions: Vec::new(),
            queue: 1_024,
            events: 1_024,
            publish_timeout: Duration::from_secs(10),
            backoff: Backoff::default(),
        }
    }
}

/// What happens on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The broker has taken this client and its subscriptions. Retained messages may come before it.
    Connected,
    /// The connection is gone, or could not be made; attempts go on. Told once until the next `Connected`.
    Disconnected {
        /// In words.
        reason: String,
    },
    /// A message came.
    Message {
        /// Its topic.
        topic: String,
        /// Its content.
        payload: Bytes,
        /// Whether the broker had kept it: it may be old.
        retained: bool,
    },
}

/// Publishes. Cheap to clone; all clones share one connection.
#[derive(Debug, Clone)]
pub struct Client {
    requests: AsyncClient,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Messages that were taken and are not yet known to be written (QoS 0) or acknowledged (QoS 1).
    outstanding: watch::Sender<usize>,
    phase: watch::Sender<Phase>,
    task: AbortHandle,
    max_packet: usize,
    publish_timeout: Duration,
}

/// Connects in a task of its own, and again whenever the connection is gone, until
/// [`Client::disconnect`] or until the receiver is dropped (which looks to the broker like a crash).
///
/// Must be called within a tokio runtime.
pub fn connect(config: Config) -> (Client, mpsc::Receiver<Event>) {
    let (requests, mut eventloop) = AsyncClient::new(options(&config), config.queue.max(1));
    let mut network = eventloop.network_options();
    network.set_tcp_nodelay(true);
    eventloop.set_network_options(network);

    let (events, receiver) = mpsc::channel(config.events.max(1));
    let outstanding = watch::Sender::new(0);
    let phase = watch::Sender::new(Phase::Open);
    let (max_packet, publish_timeout) = (config.max_packet, config.publish_timeout);
    let connection = Connection {
        eventloop,
        events,
        outstanding: outstanding.clone(),
        phase: phase.clone(),
        config,
        held: std::collections::VecDeque::new(),
        since: None,
        prepared: false,
        told_down: false,
    };
    let task = tokio::spawn(connection.run()).abort_handle();
    let shared = Shared {
        outstanding,
        phase,
        task,
        max_packet,
        publish_timeout,
    };
    let client = Client {
        requests,
        shared: Arc::new(shared),
    };
    (client, receiver)
}

impl Client {
    /// Queues a message; waits at most [`Config::publish_timeout`] for room.
    ///
    /// # Errors
    /// [`BusError`]: a topic that cannot be published to, a payload that is too large, a queue that stays
    /// full, or a client that is closed.
    pub async fn publish(
        &self,
        topic: impl Into<String>,
        payload: impl Into<Bytes>,
        qos: Qos,
        retain: bool,
    ) -> Result<(), BusError> {
        let (topic, payload) = (topic.into(), payload.into());
        self.check(&topic, &payload)?;
        let taken = Taken::new(&self.shared.outstanding);
        let send = self.requests.publish_bytes(topic.clone(), qos.into(), retain, payload);
        match timeout(self.shared.publish_timeout, send).await {
            Ok(Ok(())) => taken.keep(),
            Ok(Err(_)) => return Err(BusError::Closed),
            Err(_) => {
                return Err(BusError::Timeout {
                    topic,
                    waited: self.shared.publish_timeout,
                });
            }
        }
        Ok(())
    }

    /// Queues a message if there is room now.
    ///
    /// # Errors
    /// As [`Client::publish`], with [`BusError::Full`] when there is no room.
    pub fn try_publish(
        &self,
        topic: impl Into<String>,
        payload: impl Into<Bytes>,
        qos: Qos,
        retain: bool,
    ) -> Result<(), BusError> {
        let (topic, payload) = (topic.into(), payload.into());
        self.check(&topic, &payload)?;
        let taken = Taken::new(&self.shared.outstanding);
        match self.requests.try_publish(topic.clone(), qos.into(), retain, payload) {
            Ok(()) => taken.keep(),
            Err(ClientError::TryRequest(_)) => return Err(BusError::Full { topic }),
            Err(ClientError::Request(_)) => return Err(BusError::Closed),
        }
        Ok(())
    }

    /// Messages that were taken and are not yet known to be written (QoS 0) or acknowledged (QoS 1).
    pub fn outstanding(&self) -> usize {
        *self.shared.outstanding.borrow()
    }

    /// Waits at most `deadline` until every message is out, then says goodbye, so that no will is sent.
    /// Returns whether all were out. Messages that come meanwhile are dropped, later ones are refused.
    pub async fn disconnect(&self, deadline: Duration) -> bool {
        let shared = &self.shared;
        shared.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            if open {
                *phase = Phase::Closing;
            }
            open
        });
        let mut outstanding = shared.outstanding.subscribe();
        let mut phase = shared.phase.subscribe();
        let flushed = async {
            tokio::select! {
                _ = outstanding.wait_for(|n| *n == 0) => true,
                _ = phase.wait_for(|phase| *phase == Phase::Ended) => false,
            }
        };
        let flushed = timeout(deadline, flushed).await.unwrap_or(false);
        let goodbye = async {
            // Where the connection has ended by itself, there is nobody to say it to.
            if self.requests.disconnect().await.is_ok() {
                shared
                    .phase
                    .subscribe()
                    .wait_for(|phase| *phase == Phase::Ended)
                    .await
                    .is_ok()
            } else {
                false
            }
        };
        let said = timeout(GOODBYE, goodbye).await.unwrap_or(false);
        shared.task.abort();
        flushed && said
    }

    fn check(&self, topic: &str, payload: &Bytes) -> Result<(), BusError> {
        check_publishable(topic)?;
        if *self.shared.phase.borrow() != Phase::Open {
            return Err(BusError::Closed);
        }
        let (size, limit) = (payload.len(), self.shared.max_packet);
        if size > limit {
            let topic = topic.to_owned();
            return Err(BusError::TooLarge { topic, size, limit });
        }
        Ok(())
    }
}

/// Counts a message before it is queued, for the connection may be done with it at once; takes the count
/// back unless it was queued.
struct Taken<'a>(&'a watch::Sender<usize>);

impl<'a> Taken<'a> {
    fn new(outstanding: &'a watch::Sender<usize>) -> Self {
        outstanding.send_modify(|n| *n += 1);
        Self(outstanding)
    }

    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}

fn options(config: &Config) -> MqttOptions {
    let Broker { host, port, tls, .. } = &config.broker;
    // An address of IPv6 needs brackets, for rumqttc joins host and port with a colon. With TLS it must have none, for
    // there rumqttc reads it as an address first.
    let host = match host.parse::<std::net::Ipv6Addr>() {
        Ok(address) if tls.is_none() => format!("[{address}]"),
        _ => host.clone(),
    };
    let mut options = MqttOptions::new(&config.client_id, host, *port);
    let packet = config.max_packet.saturating_add(HEADER_ROOM);
    options
        .set_clean_session(true)
        .set_keep_alive(config.keep_alive.max(Duration::from_secs(1)))
        .set_max_packet_size(packet, packet)
        .set_inflight(INFLIGHT);
    if let Some(will) = &config.will {
        let payload = will.payload.to_vec();
        options.set_last_will(LastWill::new(&will.topic, payload, QoS::AtLeastOnce, will.retain));
    }
    options
}
