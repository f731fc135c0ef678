//! The way of births and frames into a brain, for benchmarks: topic, checks, decoding, hot store and batch, as the
//! engine does it, without bus, database and page.

use std::sync::Arc;

use bytes::Bytes;
use runtime::Metrics;
use shadow::UnixMs;
use tokio::sync::mpsc;

use crate::{
    Config, Error,
    engine::{Engine, Event, Parts},
    learning::Trained,
    policy::Policy,
    snapshot::SeriesSource,
};

/// A brain without edges.
#[derive(Debug)]
pub struct Intake {
    engine: Engine,
    _trained: mpsc::Receiver<Trained>,
}

impl Intake {
    /// A brain that knows nothing yet and learns nothing, at `now_ms`.
    ///
    /// # Errors
    /// [`Error`] when the built-in configuration is refused.
    pub fn new(now_ms: UnixMs) -> Result<Self, Error> {
        let mut config = Config::default();
        config.forecast.train = false;
        let (trained, receiver) = mpsc::channel(1);
        let engine = Engine::new(Parts {
            config,
            policy: Policy::built_in(),
            metrics: Metrics::new(),
            now_ms,
            models: "/nonexistent".into(),
            trained,
            issuer_epoch: 1,
            durable: None,
            trust: None,
            audit: None,
        })?;
        Ok(Self {
            engine,
            _trained: receiver,
        })
    }

    /// Takes in one message.
    pub fn message(&mut self, topic: String, payload: Bytes, now_ms: UnixMs) {
        let message = bus::Event::Message {
            topic,
            payload,
            retained: false,
        };
        self.engine.handle(Event::Bus(message), now_ms, 0);
    }

    /// Time passes: rows that are over are closed and forecast from.
    pub fn tick(&mut self, time_ms: UnixMs) {
        self.engine.handle(Event::Tick { time_ms, done: None }, time_ms, 0);
        drop(self.engine.take_outbox());
    }

    /// The past of all hosts, for a reader in another thread.
    pub fn past(&self) -> Arc<dyn SeriesSource> {
        Arc::new(self.engine.past().clone())
    }

    /// Lets the hot store forget all hosts, so that it shows what it took.
    pub fn forget_past(&mut self) {
        let hot = self.engine.hot();
        for host in hot.names() {
            hot.forget(&host);
        }
    }

    /// Frames taken in so far.
    pub fn frames(&self) -> u64 {
        self.engine.ingested()
    }

    /// Lets go of what waits to be made durable, as if a store had taken it.
    pub fn settle(&mut self) {
        let batch = self.engine.seal();
        self.engine.committed(&batch);
        drop(self.engine.take_outbox());
    }
}
