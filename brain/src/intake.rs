//! The way of births and frames into a brain, for benchmarks: topic, checks, decoding, hot store and batch, as the
//! engine does it, without bus, database and page.

use std::{collections::BTreeMap, path::Path, sync::Arc};

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
    store::{Batch, Rollup, Sqlite, Store as _, StoreError, Timescale, WorkloadMinute, meta},
};

mod learnt;

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

    /// Lets the hot store forget a host, so that it shows what that took.
    pub fn forget_past(&mut self, host: &str) {
        self.engine.hot().forget(&host.into());
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

/// What an [`Intake`] took in, made durable as the brain does it.
#[derive(Debug)]
pub struct Durable(Place);

/// Where it is kept.
#[derive(Debug)]
enum Place {
    Sqlite(Box<Sqlite>),
    Timescale(Box<Timescale>),
}

impl Durable {
    /// A store in `folder`, or in a schema of its own of the TimescaleDB at `database`.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be opened.
    pub async fn open(folder: &Path, database: Option<(&str, &str)>) -> Result<Self, StoreError> {
        let Some((url, schema)) = database else {
            let store = Sqlite::open(folder).await?;
            return Ok(Self(Place::Sqlite(Box::new(store))));
        };
        let store = crate::config::Store {
            database: Some(url.to_owned()),
            schema: schema.to_owned(),
            ..crate::config::Store::default()
        };
        let options = store.timescale().ok_or_else(|| StoreError::InUse(url.to_owned()))?;
        let opened = Timescale::open(&options, &store.retention(), folder).await?;
        Ok(Self(Place::Timescale(Box::new(opened))))
    }

    /// Writes what waits in `intake`.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn write(&mut self, intake: &mut Intake) -> Result<(), StoreError> {
        let batch = intake.engine.seal();
        self.batch(&batch).await?;
        intake.engine.committed(&batch);
        drop(intake.engine.take_outbox());
        Ok(())
    }

    /// Writes a row of the grid of each of `hosts` that begins at `begin_ms`, every value its own, and of their minutes, one in six.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn write_row(&mut self, hosts: &[Arc<str>], begin_ms: UnixMs) -> Result<(), StoreError> {
        let row = |(number, host): (usize, &Arc<str>)| {
            let figure = |of: u16| {
                std::array::from_fn(|channel| {
                    let turn = (number as f32).mul_add(0.37, begin_ms as f32 / 3.6e6 + channel as f32);
                    f32::from(of).mul_add(0.01, turn.sin().abs())
                })
            };
            let rollup = Rollup {
                step_ms: 10_000,
                coverage: 1.0,
                mean: figure(1),
                max: figure(3),
                min: figure(0),
                last: figure(1),
                p95: figure(2),
            };
            ((Arc::clone(host), begin_ms), rollup)
        };
        let rows: BTreeMap<_, _> = hosts.iter().enumerate().map(row).collect();
        let batch = Batch {
            hosts: hosts.iter().map(|host| (Arc::clone(host), begin_ms + 10_000)).collect(),
            rollups: rows.clone(),
            minutes: if begin_ms % 60_000 == 0 { rows } else { BTreeMap::new() },
            meta: [(meta::CLOSED_MS, (begin_ms + 10_000).to_string())].into(),
            ..Batch::default()
        };
        self.batch(&batch).await
    }

    /// Writes a minute of each of `workloads` of each of `hosts` that begins at `begin_ms`: cores and bytes.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn write_workloads(
        &mut self,
        hosts: &[Arc<str>],
        workloads: &[String],
        begin_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let of_host = |(number, host): (usize, &Arc<str>)| {
            let turn = (number as f32).mul_add(0.37, begin_ms as f32 / 3.6e6).sin().abs();
            let minute = WorkloadMinute {
                coverage: 1.0,
                uses: [8.0 * turn, 1e9 * turn],
            };
            let key = |workload: &String| ((Arc::clone(host), workload.clone(), begin_ms), minute);
            workloads.iter().map(key).collect::<Vec<_>>()
        };
        let batch = Batch {
            workloads: hosts.iter().enumerate().flat_map(of_host).collect(),
            ..Batch::default()
        };
        self.batch(&batch).await
    }

    async fn batch(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match &mut self.0 {
            Place::Sqlite(store) => store.write(batch).await,
            Place::Timescale(store) => store.write(batch).await,
        }
    }

    /// Closes it.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be closed.
    pub async fn close(self) -> Result<(), StoreError> {
        match self.0 {
            Place::Sqlite(store) => store.close().await,
            Place::Timescale(store) => store.close().await,
        }
    }
}
