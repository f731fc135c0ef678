//! A broker in a process of its own, and the brain's side of the bus.

use std::{
    collections::{BTreeMap, VecDeque},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use bus::{Client, Event, Qos, Topics};
use bytes::Bytes;
use shadow::Vantage;
use tokio::{sync::mpsc, time::timeout};

use super::HOST;
use crate::ports::free_port;

/// How long any message may take, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(20);

static BRAINS: AtomicU32 = AtomicU32::new(0);

pub(crate) fn topics() -> Topics {
    Topics::new("foreshadow", "test").unwrap()
}

/// A running broker; `None`, with the reason printed, where there is none to run.
pub(crate) fn broker() -> Option<Mosquitto> {
    let found = [
        "/usr/sbin/mosquitto",
        "/usr/local/sbin/mosquitto",
        "/opt/homebrew/sbin/mosquitto",
    ];
    let Some(program) = found.into_iter().find(|path| std::path::Path::new(path).exists()) else {
        eprintln!("stepped aside: mosquitto is not installed");
        return None;
    };
    let mut broker = Mosquitto {
        program,
        port: free_port(),
        child: None,
    };
    broker.restart();
    Some(broker)
}

pub(crate) struct Mosquitto {
    program: &'static str,
    port: u16,
    child: Option<Child>,
}

impl Mosquitto {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Without a configuration, mosquitto listens on loopback only and lets everyone in.
    pub(crate) fn restart(&mut self) {
        let mut command = Command::new(self.program);
        command.args(["-p", &self.port.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begin.elapsed() < PATIENCE, "mosquitto does not listen");
            thread::yield_now();
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a brain hears and says, by kind of topic.
pub(crate) struct Brain {
    client: Client,
    events: mpsc::Receiver<Event>,
    heard: BTreeMap<String, VecDeque<Bytes>>,
}

impl Brain {
    pub(crate) async fn connect(broker: &Mosquitto) -> Self {
        let id = format!("brain-{}", BRAINS.fetch_add(1, Ordering::Relaxed));
        let mut config = bus::Config::new("127.0.0.1", broker.port(), id);
        let topics = topics();
        let filters = [
            topics.births(),
            topics.deltas(),
            topics.events(),
            topics.outcomes(),
            topics.statuses(),
        ];
        config.subscriptions = filters.map(|filter| (filter, Qos::AtLeastOnce)).into();
        config.backoff = bus::Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
        let (client, events) = bus::connect(config);
        let heard = BTreeMap::new();
        let mut brain = Self { client, events, heard };
        brain.connected().await;
        brain
    }

    pub(crate) async fn connected(&mut self) {
        while !matches!(self.next().await, Event::Connected) {}
    }

    pub(crate) async fn lost(&mut self) {
        while !matches!(self.next().await, Event::Disconnected { .. }) {}
    }

    /// The next message of a kind (`birth`, `delta`, `outcome`, `status`), in the order in which they came.
    pub(crate) async fn expect(&mut self, kind: &str) -> Bytes {
        loop {
            if let Some(payload) = self.heard.get_mut(kind).and_then(VecDeque::pop_front) {
                return payload;
            }
            self.next().await;
        }
    }

    /// Whether a message of this kind has come that was not asked for yet.
    pub(crate) fn has(&self, kind: &str) -> bool {
        self.heard.get(kind).is_some_and(|heard| !heard.is_empty())
    }

    pub(crate) async fn say(&self, kind: &str, payload: Vec<u8>) {
        let topic = match kind {
            "command" => topics().command(HOST, Vantage::Inband),
            "watermark" => topics().watermark(HOST, Vantage::Inband),
            other => panic!("a brain does not say {other}"),
        };
        self.client
            .publish(topic, payload, Qos::AtLeastOnce, false)
            .await
            .unwrap();
    }

    async fn next(&mut self) -> Event {
        let event = timeout(PATIENCE, self.events.recv())
            .await
            .expect("nothing came")
            .expect("bus closed");
        if let Event::Message { topic, payload, .. } = &event {
            let kind = topic
                .split('/')
                .find(|level| matches!(*level, "birth" | "delta" | "event" | "outcome" | "status"));
            let kind = kind.unwrap_or_else(|| panic!("unexpected {topic}"));
            self.heard
                .entry(kind.to_owned())
                .or_default()
                .push_back(payload.clone());
        }
        event
    }
}
