//! The task that polls rumqttc: one connection after the other.
//!
//! rumqttc keeps what was not acknowledged in `eventloop.pending`, but a broker without the session (ours
//! always starts a clean one) makes it clear that queue, and when many go out again at once, their packet
//! ids collide and overwrite each other. So they are held here and handed back one at a time.

use std::{collections::VecDeque, mem};

use rumqttc::{
    Event as Polled, EventLoop, Outgoing, Packet, QoS, Request, Subscribe, SubscribeFilter, SubscribeReasonCode,
    TlsConfiguration, Transport,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use crate::{
    CredentialError,
    client::{Config, Event, INFLIGHT},
};

/// Where a client stands between its making and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It takes messages.
    Open,
    /// It takes no more and sends what it has.
    Closing,
    /// Its task has ended.
    Ended,
}

/// One client's side of its connections.
pub(crate) struct Connection {
    pub(crate) eventloop: EventLoop,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) outstanding: watch::Sender<usize>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) config: Config,
    /// Publishes of earlier connections, oldest first, to be sent before newer ones.
    pub(crate) held: VecDeque<Request>,
    /// When the present connection began.
    pub(crate) since: Option<Instant>,
    /// Whether the next attempt has what it needs from files.
    pub(crate) prepared: bool,
    /// Whether the owner knows that the connection is down.
    pub(crate) told_down: bool,
}

/// Whether the task goes on.
type Go = std::ops::ControlFlow<()>;

impl Connection {
    /// Polls until the client is disconnected or its events are no longer wanted.
    pub(crate) async fn run(mut self) {
        loop {
            if let Err(error) = self.prepare() {
                if self.lost(&error).await.is_break() {
                    break;
                }
                continue;
            }
            self.hand_back();
            let polled = tokio::select! {
                () = self.events.closed() => break,
                polled = self.eventloop.poll() => polled,
            };
            let go = match polled {
                Ok(Polled::Incoming(packet)) => self.incoming(packet).await,
                Ok(Polled::Outgoing(Outgoing::Disconnect)) => Go::Break(()),
                Ok(Polled::Outgoing(outgoing)) => {
                    self.outgoing(&outgoing);
                    Go::Continue(())
                }
                Err(error) => self.lost(&error).await,
            };
            if go.is_break() {
                break;
            }
        }
        self.phase.send_replace(Phase::Ended);
    }

    /// Reads certificates and passwords before an attempt to connect: they may have been renewed.
    fn prepare(&mut self) -> Result<(), CredentialError> {
        if self.prepared {
            return Ok(());
        }
        let broker = &self.config.broker;
        let options = &mut self.eventloop.mqtt_options;
        if let Some((user, password)) = broker.login()? {
            options.set_credentials(user, password);
        }
        if let Some(tls) = &broker.tls {
            let client = tls.client(&broker.host)?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(client)));
        }
        self.prepared = true;
        Ok(())
    }

    async fn incoming(&mut self, packet: Packet) -> Go {
        match packet {
            Packet::ConnAck(_) => {
                self.since = Some(Instant::now());
                match self.subscription() {
                    Some(subscribe) => self.eventloop.pending.push_front(Request::Subscribe(subscribe)),
                    None => return self.up().await,
                }
            }
            Packet::SubAck(ack) => {
                let granted = ack.return_codes.iter().zip(&self.config.subscriptions);
                for (code, (filter, _)) in granted {
                    if *code == SubscribeReasonCode::Failure {
                        tracing::error!(filter, "broker refused the subscription; its messages will not come");
                    }
                }
                return self.up().await;
            }
            Packet::Publish(publish) => {
                return self
                    .tell(Event::Message {
                        topic: publish.topic,
                        payload: publish.payload,
                        retained: publish.retain,
                    })
                    .await;
            }
            Packet::PubAck(_) => self.done(),
            _ => (),
        }
        Go::Continue(())
    }

    fn outgoing(&self, outgoing: &Outgoing) {
        // Packet id 0: QoS 0, which nobody acknowledges.
        if *outgoing == Outgoing::Publish(0) {
            self.done();
        }
    }

    async fn up(&mut self) -> Go {
        tracing::info!(
            host = self.config.broker.host,
            port = self.config.broker.port,
            "connected to the broker"
        );
        self.told_down = false;
        self.tell(Event::Connected).await
    }

    async fn lost(&mut self, error: &impl ToString) -> Go {
        self.hold_back();
        self.prepared = false;
        if let Some(since) = self.since.take() {
            self.config.backoff.ended(since.elapsed());
        }
        if !mem::replace(&mut self.told_down, true) {
            let reason = error.to_string();
            tracing::warn!(
                host = self.config.broker.host,
                port = self.config.broker.port,
                reason,
                "no connection to the broker"
            );
            if self.tell(Event::Disconnected { reason }).await.is_break() {
                return Go::Break(());
            }
        }
        let mut phase = self.phase.subscribe();
        tokio::select! {
            () = sleep(self.config.backoff.wait()) => Go::Continue(()),
            _ = phase.wait_for(|phase| *phase != Phase::Open) => Go::Break(()),
            () = self.events.closed() => Go::Break(()),
        }
    }

    /// Takes over what the last connection owes. Bounded by the length of the queue: past it the oldest go,
    /// those of QoS 0 first.
    fn hold_back(&mut self) {
        let collided = self.eventloop.state.collision.take().map(Request::Publish);
        let owed = mem::take(&mut self.eventloop.pending).into_iter().chain(collided);
        let publishes = owed.filter_map(|request| match request {
            Request::Publish(mut publish) => {
                // A packet id belongs to its connection.
                publish.pkid = 0;
                Some(Request::Publish(publish))
            }
            _ => None,
        });
        let newer = mem::take(&mut self.held);
        self.held = publishes.chain(newer).collect();

        let excess = self
            .held
            .len()
            .saturating_sub(self.config.queue.max(usize::from(INFLIGHT)));
        for _ in 0..excess {
            let cheap = self
                .held
                .iter()
                .position(|r| matches!(r, Request::Publish(p) if p.qos == QoS::AtMostOnce));
            if self.held.remove(cheap.unwrap_or(0)).is_some() {
                self.done();
            }
        }
        if excess > 0 {
            tracing::warn!(
                messages = excess,
                "dropped the oldest messages that waited for the broker"
            );
        }
    }

    /// Gives one held publish back to rumqttc when it can take it: never more than it may have under way.
    fn hand_back(&mut self) {
        let state = &self.eventloop.state;
        let room = self.since.is_some()
            && self.eventloop.pending.is_empty()
            && state.collision.is_none()
            && state.inflight() < INFLIGHT;
        if room {
            self.eventloop.pending.extend(self.held.pop_front());
        }
    }

    fn subscription(&self) -> Option<Subscribe> {
        let filters = self.config.subscriptions.iter();
        let filters: Vec<_> = filters
            .map(|(filter, qos)| SubscribeFilter::new(filter.clone(), (*qos).into()))
            .collect();
        (!filters.is_empty()).then(|| Subscribe::new_many(filters))
    }

    /// One message less outstanding.
    fn done(&self) {
        self.outstanding.send_modify(|n| *n = n.saturating_sub(1));
    }

    /// Hands an event over and waits for room, for as long as the client is open. One that is closing sends
    /// what it has, and its owner may no longer listen.
    async fn tell(&mut self, event: Event) -> Go {
        let mut phase = self.phase.subscribe();
        tokio::select! {
            biased;
            sent = self.events.send(event) => if sent.is_ok() { Go::Continue(()) } else { Go::Break(()) },
            _ = phase.wait_for(|phase| *phase != Phase::Open) => Go::Continue(()),
        }
    }
}
