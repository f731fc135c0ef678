//! The brain's state and its steps. One event at a time goes in, and what is to be told comes out.
//!
//! Nothing here waits, and nothing is decided by a clock: every event carries or is given its time, maps are ordered, so
//! the same events always give the same forecasts, plans and views. (How long a tick and a training take is measured for
//! the metrics alone.) [`crate::run`] strings the steps together with the bus, the store and the page.
//!
//! ```text
//! Message -> ingest -> hot store + batch          Tick -> close rows -> forecast -> anomalies
//! (seal   -> batch to the store)                       -> training, if due
//! Flushed -> watermarks                                -> allocation, if due -> commands
//! Trained -> model adopted                             -> snapshot
//! ```

use std::{path::PathBuf, sync::Arc};

use bus::{Qos, Topics};
use bytes::Bytes;
use runtime::Metrics;
use shadow::UnixMs;
use tokio::sync::{mpsc, oneshot};
use trust::{Trust, audit::Audit};

use crate::{
    Config, Error,
    dispatch::{Dispatch, FreezeSwitch, Verdict},
    fleet::Fleet,
    foresight::Foresight,
    history::Database,
    ingest::{Ingest, Limits},
    journal::Journal,
    learning::{Learning, Trained},
    metrics::Figures,
    past::Past,
    policy::Policy,
    quality::Quality,
    snapshot::Snapshot,
    store::{Batch, FrameId, flush::Flushed, memory::HotStore, meta},
    view::Views,
    watch::{Notice, Watch},
};

mod audit;
mod buffer;
mod command;
mod consent;
mod freeze;
mod intake;
mod picture;
mod records;
mod restore;
mod round;
mod seal;
mod signers;
mod strain;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

pub(crate) use intake::At;
use signers::Signers;

/// Everything that can happen to the brain.
#[derive(Debug)]
pub(crate) enum Event {
    /// The bus is there, gone, or has a message.
    Bus(bus::Event),
    /// Time has passed; `done` is told when all that follows from it is done.
    Tick {
        /// The present.
        time_ms: UnixMs,
        /// Whoever waits.
        done: Option<oneshot::Sender<()>>,
    },
    /// The store tells.
    Flushed(Flushed),
    /// A training has ended.
    Trained(Box<Trained>),
    /// Somebody takes notice of an incident.
    Notice(Notice),
    /// Somebody freezes the cell, or lets it move.
    Freeze(FreezeSwitch),
    /// Somebody decides on a proposal.
    Verdict(Verdict),
    /// Somebody asks for the scores.
    Scores(oneshot::Sender<forecast::ScoreTable>),
}

/// A message for the bus.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Publication {
    /// Where.
    pub(crate) topic: String,
    /// What.
    pub(crate) payload: Bytes,
    /// How sure.
    pub(crate) qos: Qos,
    /// Whether the broker keeps it.
    pub(crate) retain: bool,
}

/// The brain, without its edges.
#[derive(Debug)]
pub(crate) struct Engine {
    config: Config,
    topics: Topics,
    figures: Figures,
    ingest: Ingest,
    fleet: Fleet,
    hot: Arc<HotStore>,
    past: Past,
    foresight: Foresight,
    learning: Learning,
    dispatch: Dispatch,
    decisions: consent::Decisions,
    trust: Option<Arc<Trust>>,
    signers: Signers,
    audit: audit::Book,
    journal: Journal,
    watch: Watch,
    batch: Batch,
    /// About how many bytes what agents told has, in the batch and in the one under way.
    buffered: usize,
    old_chunks: buffer::OldChunks,
    /// About how many bytes the rows and records of the batch under way have.
    under_way: usize,
    /// About how many bytes the records in the batch had when they were last counted.
    records: usize,
    /// Watermarks and commands, oldest first.
    outbox: Vec<Publication>,
    views: Views,
    quality: Quality,
    connected: bool,
    /// Messages refused.
    refused: u64,
    /// Number of the first row of the grid that is not closed.
    open: i64,
    /// Number of the first row ever.
    first_row: i64,
    now_ms: UnixMs,
    started_ms: UnixMs,
    /// Whoever waits for a tick whose training is under way.
    waiting: Vec<oneshot::Sender<()>>,
    pace: Pace,
    snapshot: Arc<Snapshot>,
}

/// Samples a second lately.
#[derive(Debug, Default)]
struct Pace {
    counted: u64,
    per_s: f64,
}

/// What an engine is made with.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) policy: Policy,
    pub(crate) metrics: Metrics,
    pub(crate) now_ms: UnixMs,
    pub(crate) models: PathBuf,
    pub(crate) trained: mpsc::Sender<Trained>,
    /// From [`crate::dispatch::next_issuer_epoch`].
    pub(crate) issuer_epoch: u64,
    /// Where the durable past is, which trainings read; without one they take what is in memory.
    pub(crate) durable: Option<Database>,
    /// Who the brain is and whom it believes.
    pub(crate) trust: Option<Arc<Trust>>,
    /// Where it is kept who has done what; benchmarks keep nothing.
    pub(crate) audit: Option<Audit>,
}

impl Engine {
    /// A brain that knows nothing yet.
    ///
    /// # Errors
    /// When the configuration is refused by the bus or the forecaster.
    pub(crate) fn new(parts: Parts) -> Result<Self, Error> {
        let Parts { config, now_ms, .. } = parts;
        let topics = Topics::new(&config.prefix, &config.cell).map_err(|error| Error::Bus(error.to_string()))?;
        let step_ms = config.grid.step_ms();
        let limits = Limits {
            max_ahead_ms: (!config.ingest.max_ahead.is_zero()).then(|| config.ingest.max_ahead.as_millis()),
            max_hosts: config.ingest.max_hosts,
        };
        let foresight = Foresight::new(config.forecaster(), config.anomaly.residuals());
        let foresight = foresight.map_err(|error| Error::Forecast(error.to_string()))?;
        let learning = Learning::new(config.forecaster(), config.forecast.train, parts.models, parts.trained);
        let hot = Arc::new(HotStore::new(config.shape()));
        let mut batch = Batch::default();
        batch.meta.insert(meta::ISSUER_EPOCH, parts.issuer_epoch.to_string());
        batch.meta.insert(meta::STEP_MS, config.grid.step_ms().to_string());
        Ok(Self {
            dispatch: Dispatch::new(parts.policy, config.allocate.timing(), parts.issuer_epoch, now_ms),
            decisions: consent::Decisions::default(),
            trust: parts.trust,
            signers: Signers::default(),
            audit: parts.audit.into(),
            figures: Figures::new(&parts.metrics),
            past: Past::new(Arc::clone(&hot), parts.durable),
            hot,
            ingest: Ingest::new(limits),
            fleet: Fleet::default(),
            journal: Journal::default(),
            watch: Watch::new(config.anomaly.budget()),
            buffered: 0,
            old_chunks: buffer::OldChunks::default(),
            under_way: 0,
            records: 0,
            outbox: Vec::new(),
            views: Views::default(),
            quality: Quality::default(),
            connected: false,
            refused: 0,
            open: now_ms.div_euclid(step_ms),
            first_row: i64::MAX,
            started_ms: now_ms,
            waiting: Vec::new(),
            pace: Pace::default(),
            snapshot: Arc::default(),
            now_ms,
            batch,
            topics,
            foresight,
            learning,
            config,
        })
    }

    /// Takes one step, at `now_ms` of the brain's clock.
    pub(crate) fn handle(&mut self, event: Event, now_ms: UnixMs, monotonic_ns: u64) {
        match event {
            Event::Bus(bus::Event::Connected) => self.connected(),
            Event::Bus(bus::Event::Disconnected { reason }) => self.disconnected(&reason),
            Event::Bus(bus::Event::Message { topic, payload, .. }) => {
                let at = At { now_ms, monotonic_ns };
                self.message(&topic, &payload, at);
            }
            Event::Tick { time_ms, done } => {
                self.tick(time_ms, monotonic_ns);
                self.waiting.extend(done);
            }
            Event::Flushed(flushed) => self.flushed(flushed, At { now_ms, monotonic_ns }),
            Event::Trained(trained) => self.trained(*trained),
            Event::Notice(told) => self.noticed(told, At { now_ms, monotonic_ns }),
            Event::Freeze(switch) => self.switched(switch, At { now_ms, monotonic_ns }),
            Event::Verdict(verdict) => self.decided(verdict, At { now_ms, monotonic_ns }),
            // Nobody waits any more when this fails.
            Event::Scores(ask) => drop(ask.send(self.foresight.scores())),
        }
    }

    /// Whoever waits for ticks that are done: all, unless a training is to be waited for.
    pub(crate) fn done(&mut self) -> Vec<oneshot::Sender<()>> {
        if self.config.forecast.wait && self.learning.is_running() {
            return Vec::new();
        }
        std::mem::take(&mut self.waiting)
    }

    fn connected(&mut self) {
        tracing::info!("connected to the broker");
        self.connected = true;
        // A broker that was restarted may have lost what it retained.
        self.views.forget();
        self.ingest.retell();
        self.outbox.push(self.status("online"));
        self.tell_watermarks();
    }

    fn disconnected(&mut self, reason: &str) {
        tracing::warn!(reason, "the broker is away");
        self.connected = false;
        self.figures.disconnects.inc();
    }

    /// What the brain tells of itself: `online` or `offline`.
    pub(crate) fn status(&self, state: &str) -> Publication {
        status(&self.topics, state, self.started_ms)
    }

    fn trained(&mut self, trained: Trained) {
        self.answer_drift();
        let Some((artifact, row)) = self.learning.finish(trained) else {
            return self.figures.trainings_failed.inc();
        };
        self.figures.trainings.inc();
        tracing::info!(
            version = row.version,
            took_ms = row.took_ms,
            note = row.note,
            "model trained"
        );
        if let Err(error) = self.foresight.adopt(&artifact) {
            return self.learning.rejected(error.to_string());
        }
        self.batch.models.push(row);
        self.remember_model();
    }

    /// While the bus is away nothing is told: a watermark is told anew at the next connection.
    fn tell_watermarks(&mut self) {
        if !self.connected {
            return;
        }
        for (stream, watermark) in self.ingest.watermarks() {
            let payload = shadow::wire::encode_watermark(&watermark);
            let agent = (&*stream.host, stream.vantage);
            // Told that it cannot be sealed is where the certificate expires; the agent keeps what it is not told of.
            let Ok(payload) = self.seal_for(trust::Kind::Watermark, agent, payload, self.now_ms) else {
                self.figures.refused.with("seal").inc();
                continue;
            };
            self.outbox.push(Publication {
                topic: self.topics.watermark(&stream.host, stream.vantage),
                payload: payload.into(),
                qos: Qos::AtLeastOnce,
                retain: true,
            });
        }
    }

    /// Stored frames without which others cannot be read.
    pub(crate) fn take_wanted(&mut self) -> Vec<FrameId> {
        self.ingest.take_wanted()
    }

    /// They could not be asked for.
    pub(crate) fn want(&mut self, frames: Vec<FrameId>) {
        self.ingest.want(frames);
    }

    /// Watermarks and commands for the bus.
    pub(crate) fn take_outbox(&mut self) -> Vec<Publication> {
        std::mem::take(&mut self.outbox)
    }

    /// The views that have changed; none while the bus is away.
    pub(crate) fn changed_views(&mut self) -> Vec<Publication> {
        if !self.connected {
            return Vec::new();
        }
        let snapshot = Arc::clone(&self.snapshot);
        let mut views = Vec::new();
        for host in &snapshot.hosts {
            let of_host = crate::view::of_host(&snapshot, host);
            views.extend(
                of_host
                    .into_iter()
                    .map(|(path, view)| (self.topics.view(&host.name, &path), view)),
            );
        }
        let of_cell = crate::view::of_cell(&snapshot);
        views.extend(of_cell.map(|(path, view)| (self.topics.brain_view(path), view)));
        let publication = |(topic, view): (String, String)| Publication {
            topic,
            payload: view.into(),
            qos: Qos::AtMostOnce,
            retain: true,
        };
        self.views.changes(views).into_iter().map(publication).collect()
    }

    /// The bus did not take a message.
    pub(crate) fn not_published(&mut self, topic: &str) {
        self.figures.publish_failures.inc();
        self.views.failed(topic);
    }

    /// Views that the bus has taken.
    pub(crate) fn published(&self, views: u64) {
        self.figures.views_published.add(views);
    }

    /// The present, as the newest tick told it.
    pub(crate) const fn now_ms(&self) -> UnixMs {
        self.now_ms
    }

    /// Frames taken in so far.
    pub(crate) fn ingested(&self) -> u64 {
        self.figures.frames.get()
    }

    /// Whether the broker is there.
    pub(crate) const fn is_connected(&self) -> bool {
        self.connected
    }

    /// The newest picture.
    pub(crate) const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The recent past of all hosts.
    pub(crate) const fn hot(&self) -> &Arc<HotStore> {
        &self.hot
    }

    /// The past of all hosts, for readers.
    pub(crate) const fn past(&self) -> &Past {
        &self.past
    }

    /// Tells a running training to end.
    pub(crate) fn stop(&self) {
        self.learning.stop();
    }
}

/// What a brain, or its last will, tells of itself.
pub(crate) fn status(topics: &Topics, state: &str, since_ms: UnixMs) -> Publication {
    let since = since_ms.div_euclid(1_000);
    let version = env!("CARGO_PKG_VERSION");
    Publication {
        topic: topics.brain_status(),
        payload: format!(r#"{{"state":"{state}","since":{since},"version":"{version}"}}"#).into(),
        qos: Qos::AtLeastOnce,
        retain: true,
    }
}
