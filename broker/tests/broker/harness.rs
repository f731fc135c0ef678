//! A broker on a free port, and a client that keeps what it gets.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use broker::{Config, Figures, Handle, Limits};
use rumqttc::{AsyncClient, Event, Incoming, LastWill, MqttOptions, Outgoing, QoS};
use runtime::{Shutdown, Span};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Longer than anything takes here, even on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A test steps aside and says why; where everything must be there (`FORESHADOW_ALL`, which `.ci/run` sets) it fails instead.
pub(crate) fn step_aside(why: &str) {
    assert!(
        std::env::var_os("FORESHADOW_ALL").is_none(),
        "it cannot be tested here: {why}"
    );
    println!("SKIPPED: {why}");
}

pub(crate) struct Broker {
    pub(crate) handle: Handle,
    pub(crate) shutdown: Shutdown,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            sys_interval: Span::from_secs(1),
            limits,
            ..Config::default()
        };
        Self::listen(config).await
    }

    pub(crate) async fn listen(config: Config) -> Self {
        let shutdown = Shutdown::new();
        let handle = broker::start(config, shutdown.clone()).await.unwrap();
        Self { handle, shutdown }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.handle.addr()
    }

    /// Waits until its figures are so.
    ///
    /// # Panics
    /// When they are not in time, naming `what`.
    pub(crate) async fn until(&self, what: &str, so: impl Fn(&Figures) -> bool) {
        let before = Instant::now();
        while !so(&self.handle.figures()) {
            let figures = self.handle.figures();
            assert!(before.elapsed() < PATIENCE, "not in time: {what}; {figures:?}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Stops it and tells how long that took.
    pub(crate) async fn stop(mut self) -> Duration {
        let before = Instant::now();
        self.shutdown.trigger("test");
        timeout(PATIENCE, self.handle.ended()).await.unwrap().unwrap();
        before.elapsed()
    }

    pub(crate) async fn client(&self, id: &str) -> Client {
        Client::connect(self.options(id)).await
    }

    pub(crate) fn options(&self, id: &str) -> MqttOptions {
        let mut options = MqttOptions::new(id, self.addr().ip().to_string(), self.addr().port());
        options.set_max_packet_size(6_000_000, 6_000_000).set_inflight(100);
        options
    }

    pub(crate) fn options_with_will(&self, id: &str, topic: &str) -> MqttOptions {
        let mut options = self.options(id);
        options.set_last_will(LastWill::new(topic, "gone", QoS::AtLeastOnce, true));
        options
    }
}

/// A rumqttc client that does not come back when its connection ends.
pub(crate) struct Client {
    pub(crate) requests: AsyncClient,
    events: mpsc::UnboundedReceiver<Event>,
    task: JoinHandle<()>,
}

impl Client {
    pub(crate) async fn connect(options: MqttOptions) -> Self {
        let mut client = Self::begin(options);
        client
            .until(|event| matches!(event, Event::Incoming(Incoming::ConnAck(_))))
            .await;
        client
    }

    pub(crate) fn begin(options: MqttOptions) -> Self {
        let (requests, mut eventloop) = AsyncClient::new(options, 100);
        let (sender, events) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok(event) = eventloop.poll().await {
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        Self { requests, events, task }
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.requests.subscribe(filter, qos).await.unwrap();
        self.until(|event| matches!(event, Event::Incoming(Incoming::SubAck(_))))
            .await;
    }

    pub(crate) async fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>, qos: QoS, retain: bool) {
        self.requests.publish(topic, qos, retain, payload).await.unwrap();
    }

    /// Publishes at QoS 1 and waits until the broker has it.
    pub(crate) async fn publish_surely(&mut self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) {
        self.publish(topic, payload, QoS::AtLeastOnce, retain).await;
        self.until(|event| matches!(event, Event::Incoming(Incoming::PubAck(_))))
            .await;
    }

    /// The next message: topic, payload, retained, QoS.
    pub(crate) async fn message(&mut self) -> (String, String, bool, QoS) {
        let is_message = |event: &Event| matches!(event, Event::Incoming(Incoming::Publish(_)));
        let Event::Incoming(Incoming::Publish(p)) = self.until(is_message).await else {
            unreachable!()
        };
        let payload = String::from_utf8_lossy(&p.payload).into_owned();
        (p.topic, payload, p.retain, p.qos)
    }

    pub(crate) async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = timeout(PATIENCE, self.events.recv())
                .await
                .expect("nothing came in time");
            match event.expect("connection has ended") {
                event if wanted(&event) => return event,
                _ => (),
            }
        }
    }

    /// Says goodbye.
    pub(crate) async fn disconnect(mut self) {
        self.requests.disconnect().await.unwrap();
        self.until(|event| matches!(event, Event::Outgoing(Outgoing::Disconnect)))
            .await;
    }

    /// Closes the socket without a word.
    pub(crate) async fn drop_connection(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    /// Waits until the broker ends the connection.
    pub(crate) async fn ended(mut self) {
        let all = async { while self.events.recv().await.is_some() {} };
        timeout(PATIENCE, all).await.expect("connection goes on");
    }
}

/// Sends `bytes` and returns what is answered until the broker closes the connection.
pub(crate) async fn exchange_raw(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("connection goes on");
    // A reset is an end too: the broker had not read everything.
    drop(read);
    answer
}

/// A CONNECT of protocol level `level` and name `id`.
pub(crate) fn connect_packet(level: u8, id: &str, keep_alive_s: u8) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, 2, 0, keep_alive_s];
    body.extend((level == 5).then_some(0));
    body.extend([0, id.len().to_le_bytes()[0]]);
    body.extend(id.as_bytes());
    [vec![0x10, body.len().to_le_bytes()[0]], body].concat()
}
