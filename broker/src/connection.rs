//! One client: its reader and its writer.
//!
//! They run side by side, so that a client that does not read cannot keep the broker from reading what it
//! sends, and the other way round: its answers wait in its outbox.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use bytes::BytesMut;
use rumqttd::protocol::{
    Disconnect, DisconnectReasonCode, Packet, PingResp, PubAck, PubAckReason, PubComp, PubCompReason, PubRec,
    PubRecReason, Subscribe,
};
use runtime::Shutdown;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{error::Elapsed, timeout},
};

use crate::{
    Figures, Limits,
    exchange::{Exchange, Farewell},
    handshake::{self, Hello},
    message::{Message, Qos, Serial},
    outbox::{Close, Next, Outbox},
    packet::{self, PacketError, Publish, Received, Version},
    router::{Gone, Router},
    subscriptions::valid_topic,
    sys::{Counters, add},
};

/// Room that a read is given.
const READ_CHUNK: usize = 16 * 1024;

/// A write buffer that has grown beyond this is given back.
const KEEP_BUFFER: usize = 256 * 1024;

/// How long a goodbye to a client of version 5 may take.
const GOODBYE: Duration = Duration::from_millis(200);

/// QoS 2 messages that a client may have under way to the broker.
const MAX_RECEIVED_TWICE: usize = 1_000;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) router: Router,
    pub(crate) counters: Counters,
    /// Given before connections are ended: then no will is published, for nobody is left to read it.
    pub(crate) stop: Shutdown,
    exchange: Mutex<Exchange>,
}

impl Shared {
    pub(crate) fn new(limits: Limits, router: Router, stop: Shutdown) -> Self {
        Self {
            exchange: Mutex::new(Exchange::new(&limits)),
            limits,
            router,
            counters: Counters::new(),
            stop,
        }
    }

    /// The exchange, for a moment: never across an `await`.
    pub(crate) fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All figures now.
    pub(crate) fn figures(&self) -> Figures {
        let exchange = self.exchange();
        Figures {
            clients: exchange.clients() as u64,
            retained: exchange.retained().0 as u64,
            subscriptions: exchange.subscriptions() as u64,
            ..self.counters.figures()
        }
    }
}

/// Why a connection ended.
#[derive(Debug)]
enum End {
    /// The client said goodbye.
    Said,
    /// The client said goodbye and wants its will published (MQTT 5).
    WithWill,
    /// The broker ends it.
    Closed(Close),
    /// The client is gone.
    Lost(String),
    /// The client broke a rule.
    Broken(DisconnectReasonCode, String),
    /// The router is gone, and with it the broker.
    Router,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said => f.write_str("said goodbye"),
            Self::WithWill => f.write_str("said goodbye and left its will"),
            Self::Closed(close) => write!(f, "ended by the broker: {close:?}"),
            Self::Lost(why) => write!(f, "lost: {why}"),
            Self::Broken(_, why) => write!(f, "broke a rule: {why}"),
            Self::Router => f.write_str("router is gone"),
        }
    }
}

impl From<PacketError> for End {
    fn from(error: PacketError) -> Self {
        let code = match error {
            PacketError::TooLarge(_) => DisconnectReasonCode::PacketTooLarge,
            PacketError::Malformed(_) => DisconnectReasonCode::MalformedPacket,
        };
        Self::Broken(code, error.to_string())
    }
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Router
    }
}

impl End {
    /// What a client of version 5 is told.
    const fn code(&self) -> Option<DisconnectReasonCode> {
        match self {
            Self::Closed(close) => Some(close.code()),
            Self::Broken(code, _) => Some(*code),
            Self::Said | Self::WithWill | Self::Lost(_) | Self::Router => None,
        }
    }
}

/// Serves one connection until its end.
pub(crate) async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let serial = shared.exchange().next_serial();
    let received = tokio::select! {
        received = handshake::receive(&mut stream, serial, &shared.limits) => received,
        () = shared.stop.wait() => return,
    };
    let hello = match received {
        Ok(hello) => hello,
        Err(why) => {
            tracing::debug!(serial, %why, "connection refused");
            return;
        }
    };
    tracing::debug!(serial, client = ?hello.id, version = ?hello.capacity.version, "client connected");
    let (mut presence, client) = Presence::enter(shared, serial, hello);
    let version = client.version;
    let (mut read, mut write) = stream.into_split();
    let end = tokio::select! {
        end = client.receive(&mut read) => end,
        end = send(&mut write, &presence.outbox, &presence.shared) => end,
        reason = presence.outbox.ended() => End::Closed(reason),
    };
    tracing::debug!(serial, %end, "client left");
    if matches!(end, End::Said) {
        presence.farewell = Farewell::Said;
    }
    if let (Version::V5, Some(code)) = (version, end.code()) {
        goodbye(&mut write, code).await;
    }
    presence.leave().await;
}

/// A client's place in the exchange; given up whatever happens, also by a panic.
struct Presence {
    shared: Arc<Shared>,
    serial: Serial,
    outbox: Arc<Outbox>,
    farewell: Farewell,
}

impl Presence {
    fn enter(shared: Arc<Shared>, serial: Serial, hello: Hello) -> (Self, Reader) {
        let outbox = Arc::new(Outbox::new(hello.capacity));
        // The answer waits before anything else can.
        outbox.push_packet(hello.connack);
        let clients = {
            let mut exchange = shared.exchange();
            exchange.connect(serial, &hello.id, hello.will, outbox.clone());
            if shared.stop.is_triggered() {
                outbox.close(Close::Stopping);
            }
            exchange.clients() as u64
        };
        shared.counters.clients_max.fetch_max(clients, Ordering::Relaxed);
        let reader = Reader {
            shared: shared.clone(),
            outbox: outbox.clone(),
            serial,
            version: hello.capacity.version,
            silence: hello.silence,
            buffer: hello.rest,
            received_twice: HashSet::new(),
        };
        let presence = Self {
            shared,
            serial,
            outbox,
            farewell: Farewell::Missing,
        };
        (presence, reader)
    }

    fn take_will(&self) -> Option<Message> {
        let will = self.shared.exchange().disconnect(self.serial, self.farewell);
        will.filter(|_| !self.shared.stop.is_triggered())
    }

    async fn leave(self) {
        if let Some(will) = self.take_will() {
            // Where the router is gone, the broker ends and nobody waits for the will.
            if let Err(Gone) = self.shared.router.send(will).await {
                tracing::debug!(serial = self.serial, "will is lost with the router");
            }
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(will) = self.take_will() {
            let shared = self.shared.clone();
            tokio::spawn(async move { shared.router.send(will).await });
        }
    }
}

/// Reads what a client sends and does what it asks for.
struct Reader {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    serial: Serial,
    version: Version,
    silence: Option<Duration>,
    buffer: BytesMut,
    /// QoS 2 messages that the client may send a second time (4.3.3).
    received_twice: HashSet<u16>,
}

impl Reader {
    async fn receive(mut self, stream: &mut OwnedReadHalf) -> End {
        loop {
            match self.handle_all().await {
                Ok(()) => (),
                Err(end) => return end,
            }
            self.buffer.reserve(READ_CHUNK);
            match within(self.silence, stream.read_buf(&mut self.buffer)).await {
                Ok(Ok(0)) => return End::Lost("closed by the client".to_owned()),
                Ok(Ok(n)) => add(&self.shared.counters.bytes_received, n as u64),
                Ok(Err(error)) => return End::Lost(error.to_string()),
                Err(_) => {
                    return End::Broken(DisconnectReasonCode::KeepAliveTimeout, "silent for too long".to_owned());
                }
            }
        }
    }

    async fn handle_all(&mut self) -> Result<(), End> {
        while let Some(received) = packet::read(self.version, &mut self.buffer, self.shared.limits.max_packet_bytes)? {
            add(&self.shared.counters.packets_received, 1);
            match received {
                Received::Publish(publish) => self.publish(publish).await?,
                Received::Other(packet) => match *packet {
                    Packet::Subscribe(subscribe, _) => self.subscribe(subscribe).await?,
                    packet => self.handle(packet)?,
                },
            }
        }
        Ok(())
    }

    /// What was acknowledged to anybody before is found among the retained messages.
    async fn subscribe(&self, Subscribe { pkid, filters }: Subscribe) -> Result<(), Gone> {
        self.shared.router.settled().await?;
        self.shared.exchange().subscribe(self.serial, pkid, filters);
        Ok(())
    }

    /// Acknowledged is what lies in the router's log. QoS 2 is taken once and delivered at QoS 1.
    async fn publish(&mut self, publish: Publish) -> Result<(), End> {
        if !valid_topic(&publish.topic) {
            let why = format!("cannot publish to {:?}", publish.topic);
            return Err(End::Broken(DisconnectReasonCode::TopicNameInvalid, why));
        }
        add(&self.shared.counters.published, 1);
        let (qos, id) = (publish.qos, publish.packet_id);
        let first = qos < 2 || self.received_twice.insert(id);
        if self.received_twice.len() > MAX_RECEIVED_TWICE {
            let why = "too many QoS 2 messages under way".to_owned();
            return Err(End::Broken(DisconnectReasonCode::ReceiveMaximumExceeded, why));
        }
        // The broker's own tree is written by the broker; there is no answer that says so in 3.1.1.
        if first && !publish.topic.starts_with('$') {
            self.shared.router.send(self.message(publish)).await?;
        }
        match qos {
            0 => (),
            1 => self.outbox.push_packet(Packet::PubAck(
                PubAck {
                    pkid: id,
                    reason: PubAckReason::Success,
                },
                None,
            )),
            _ => self.outbox.push_packet(Packet::PubRec(
                PubRec {
                    pkid: id,
                    reason: PubRecReason::Success,
                },
                None,
            )),
        }
        Ok(())
    }

    fn message(&self, publish: Publish) -> Message {
        Message {
            topic: publish.topic.into(),
            payload: publish.payload,
            qos: if publish.qos == 0 {
                Qos::AtMostOnce
            } else {
                Qos::AtLeastOnce
            },
            retain: publish.retain,
            source: self.serial,
            will_of: None,
        }
    }

    fn handle(&mut self, packet: Packet) -> Result<(), End> {
        match packet {
            Packet::PubAck(ack, _) => self.outbox.acknowledged(ack.pkid),
            Packet::PingReq(_) => self.outbox.push_packet(Packet::PingResp(PingResp)),
            Packet::Unsubscribe(unsubscribe, _) if !unsubscribe.filters.is_empty() => {
                self.shared
                    .exchange()
                    .unsubscribe(self.serial, unsubscribe.pkid, &unsubscribe.filters);
            }
            Packet::PubRel(release, _) => {
                let known = self.received_twice.remove(&release.pkid);
                let reason = if known {
                    PubCompReason::Success
                } else {
                    PubCompReason::PacketIdentifierNotFound
                };
                self.outbox.push_packet(Packet::PubComp(
                    PubComp {
                        pkid: release.pkid,
                        reason,
                    },
                    None,
                ));
            }
            Packet::Disconnect(disconnect, _) => {
                let with_will = disconnect.reason_code == DisconnectReasonCode::DisconnectWithWillMessage;
                return Err(if with_will { End::WithWill } else { End::Said });
            }
            // CONNECT twice, a packet that only a broker sends, or one that asks for nothing.
            _ => {
                let why = "packet out of place".to_owned();
                return Err(End::Broken(DisconnectReasonCode::ProtocolError, why));
            }
        }
        Ok(())
    }
}

/// Writes what waits for a client.
async fn send(stream: &mut OwnedWriteHalf, outbox: &Outbox, shared: &Shared) -> End {
    let mut buffer = BytesMut::new();
    loop {
        let (packets, publishes) = match outbox.next(&mut buffer).await {
            Next::Write { packets, publishes } => (packets, publishes),
            Next::End(reason) => return End::Closed(reason),
        };
        match timeout(shared.limits.write_timeout.duration(), stream.write_all(&buffer)).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => return End::Lost(error.to_string()),
            Err(_) => return End::Closed(Close::TooSlow),
        }
        add(&shared.counters.packets_sent, packets);
        add(&shared.counters.delivered, publishes);
        add(&shared.counters.bytes_sent, buffer.len() as u64);
        if buffer.capacity() > KEEP_BUFFER {
            buffer = BytesMut::new();
        }
        buffer.clear();
    }
}

/// `future`, or an error once `limit` has passed.
async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    match limit {
        Some(limit) => timeout(limit, future).await,
        None => Ok(future.await),
    }
}

/// Tells a client of version 5 why its connection ends, if it still listens.
async fn goodbye(stream: &mut OwnedWriteHalf, reason_code: DisconnectReasonCode) {
    let mut buffer = BytesMut::new();
    let packet = Packet::Disconnect(Disconnect { reason_code }, None);
    if packet::write(Version::V5, packet, &mut buffer).is_ok() {
        let written = timeout(GOODBYE, stream.write_all(&buffer)).await;
        tracing::trace!(?written, "goodbye");
    }
}
