//! Training, in a thread of its own: when it is due, what it is given, and what becomes of its result.
//!
//! A training that fails or panics is told and costs nothing else: the ladder goes on without it, and the next
//! one is tried when there is more history. A network that is worse on the newest rows than the one in service does not
//! take its place.

use std::{
    fs, io,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use forecast::{Artifact, History, Progress, TrainError};
use serde::{Deserialize, Serialize};
use shadow::UnixMs;
use tokio::sync::mpsc;

use crate::{
    snapshot::{DriftView, ModelView, ProgressView},
    store::ModelRow,
};

/// Artifacts that are kept in the data folder.
const KEPT: usize = 5;
/// How much more a new network may lose on the newest rows than the one in service.
const WORSE: f64 = 0.1;
/// How much further behind the training thread stands than the others, in the scheduler's eyes.
const NICE: i32 = 10;

/// What is known of the model in service, stored beside the data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Served {
    /// Its version, and the name of its folder; empty before the first.
    pub(crate) version: String,
    /// When it was trained.
    pub(crate) trained_ms: UnixMs,
    /// Rows of history that there were then.
    pub(crate) rows: usize,
}

/// Decides when to train, and runs it.
#[derive(Debug)]
pub(crate) struct Learning {
    config: forecast::Config,
    enabled: bool,
    folder: PathBuf,
    tell: mpsc::Sender<Trained>,
    running: Option<Arc<Running>>,
    served: Served,
    previous: Option<Arc<Artifact>>,
    /// Rows that there were at the last try, successful or not.
    rows_at_last: Option<usize>,
    /// What the newest training was asked for, before its time.
    asked: Option<String>,
    rows: usize,
    state: State,
    note: String,
}

/// What a training under way and the engine tell each other.
#[derive(Debug, Default)]
struct Running {
    stop: AtomicBool,
    progress: Mutex<Option<Progress>>,
}

impl Running {
    fn watch(&self, progress: Progress) -> ControlFlow<()> {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        if self.stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// How far it is; `None` while it reads the past.
    fn told(&self) -> Option<ProgressView> {
        let progress = *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.map(|Progress { part, done, of, loss }| ProgressView {
            part: part.as_str(),
            done: done as u64,
            of: of as u64,
            loss,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Training,
    Serving,
    Failed,
}

/// What a training thread tells at its end.
#[derive(Debug)]
pub(crate) struct Trained {
    result: Result<(Arc<Artifact>, Option<String>), Failure>,
    served: Served,
    took_ms: u64,
}

#[derive(Debug)]
enum Failure {
    /// More history may help.
    TooFew(String),
    /// The one in service is better.
    Worse(String),
    Failed(String),
}

impl Learning {
    /// Nothing was trained yet. Artifacts go below `folder`; the end of a training is told to `tell`.
    pub(crate) fn new(config: forecast::Config, enabled: bool, folder: PathBuf, tell: mpsc::Sender<Trained>) -> Self {
        Self {
            config,
            enabled,
            folder,
            tell,
            running: None,
            served: Served::default(),
            previous: None,
            rows_at_last: None,
            asked: None,
            rows: 0,
            state: State::Waiting,
            note: String::new(),
        }
    }

    /// Loads the artifact that was in service before a restart. One that cannot be read is told, and does not
    /// keep the brain from going on.
    pub(crate) fn restore(&mut self, served: Served) -> Option<Arc<Artifact>> {
        match Artifact::load(&self.folder.join(&served.version)) {
            Ok(artifact) => {
                let artifact = Arc::new(artifact);
                tracing::info!(version = served.version, "model loaded");
                self.rows_at_last = Some(served.rows);
                self.previous = Some(Arc::clone(&artifact));
                self.served = served;
                self.state = State::Serving;
                Some(artifact)
            }
            Err(error) => {
                tracing::warn!(%error, "the stored model is left out; forecasts go on without it until the next training");
                self.state = State::Failed;
                self.note = error.to_string();
                None
            }
        }
    }

    /// The forecaster would not have the artifact.
    pub(crate) fn rejected(&mut self, reason: String) {
        tracing::warn!(
            reason,
            "the model is left out; forecasts go on without it until the next training"
        );
        self.previous = None;
        self.rows_at_last = None;
        self.state = State::Failed;
        self.note = reason;
    }

    /// Whether a training should begin, with `rows` rows since the first one ever: when its time has come, or when the
    /// network has drifted and there is an hour more than at the last.
    pub(crate) fn is_due(&mut self, rows: usize, drift: Option<&DriftView>) -> bool {
        self.rows = rows;
        if !self.enabled || self.running.is_some() {
            return false;
        }
        let hour = (3_600 / self.config.step_s.max(1)) as usize;
        let soon = self.rows_at_last.is_some_and(|last| rows >= last.saturating_add(hour));
        let drift = drift.filter(|drift| drift.asks && soon && self.previous.is_some());
        self.asked = drift.map(|drift| format!("of {} {}", drift.resource, drift.why));
        self.asked.is_some() || rows >= self.config.next_training(self.rows_at_last)
    }

    /// What the newest training was asked for, when it came before its time.
    pub(crate) fn asked(&self) -> Option<&str> {
        self.asked.as_deref()
    }

    /// Whether one is under way.
    pub(crate) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Begins a training on what `histories` reads, in the training's thread.
    pub(crate) fn start(
        &mut self,
        now_ms: UnixMs,
        histories: impl FnOnce(&AtomicBool) -> Vec<History> + Send + 'static,
    ) {
        let running = Arc::new(Running::default());
        let job = Job {
            config: self.config.clone(),
            histories: Some(Box::new(histories)),
            previous: self.previous.clone(),
            folder: self.folder.clone(),
            serving: self.served.version.clone(),
            served: Served {
                version: String::new(),
                trained_ms: now_ms,
                rows: self.rows,
            },
            running: Arc::clone(&running),
        };
        let tell = self.tell.clone();
        let spawned = thread::Builder::new().name("training".into()).spawn(move || {
            // The engine waits for this, or is gone.
            drop(tell.blocking_send(job.run()));
        });
        self.rows_at_last = Some(self.rows);
        match spawned {
            Ok(_) => {
                self.state = State::Training;
                self.running = Some(running);
            }
            Err(error) => {
                self.state = State::Failed;
                self.note = format!("no training thread: {error}");
            }
        }
    }

    /// Takes in the end of a training: the artifact to be served and its row for the store.
    pub(crate) fn finish(&mut self, trained: Trained) -> Option<(Arc<Artifact>, ModelRow)> {
        self.running = None;
        let back = if self.previous.is_some() {
            State::Serving
        } else {
            State::Waiting
        };
        match trained.result {
            Ok((artifact, unsaved)) => {
                self.previous = Some(Arc::clone(&artifact));
                self.served = trained.served;
                self.state = State::Serving;
                self.note = unsaved.unwrap_or_else(|| summary(&artifact));
                let row = ModelRow {
                    version: self.served.version.clone(),
                    trained_ms: self.served.trained_ms,
                    rows: self.served.rows as u64,
                    took_ms: trained.took_ms,
                    note: self.note.clone(),
                };
                Some((artifact, row))
            }
            Err(Failure::TooFew(reason)) => {
                self.state = back;
                self.note = reason;
                None
            }
            Err(Failure::Worse(reason)) => {
                tracing::warn!(reason, "the model in service is kept");
                self.state = back;
                self.note = reason;
                None
            }
            Err(Failure::Failed(reason)) => {
                tracing::error!(reason, "training failed; forecasts go on with what there is");
                self.state = State::Failed;
                self.note = reason;
                None
            }
        }
    }

    /// Tells a running training to end.
    pub(crate) fn stop(&self) {
        if let Some(running) = &self.running {
            running.stop.store(true, Ordering::Relaxed);
        }
    }

    /// The model in service.
    pub(crate) const fn served(&self) -> &Served {
        &self.served
    }

    /// What the page shows, the shares of the rungs apart.
    pub(crate) fn view(&self) -> ModelView {
        let state = match self.state {
            State::Waiting => "waiting",
            State::Training => "training",
            State::Serving => "serving",
            State::Failed => "failed",
        };
        let progress = self.running.as_ref().and_then(|running| running.told());
        let note = match (&self.running, &progress) {
            (None, _) => self.note.clone(),
            (Some(_), None) => "reading the past".to_owned(),
            (Some(_), Some(ProgressView { part, done, of, .. })) => format!("training: {done} of {of} {part}"),
        };
        ModelView {
            state: state.to_owned(),
            version: self.served.version.clone(),
            trained_ms: self.served.trained_ms,
            rows: self.rows as u64,
            rows_needed: self.config.rows_needed() as u64,
            served: [0.0; 3],
            note,
            progress,
            drift: None,
        }
    }
}

/// Reads the past that is to be learnt, unless it is told to stop.
type Read = Box<dyn FnOnce(&AtomicBool) -> Vec<History> + Send>;

/// One training.
struct Job {
    config: forecast::Config,
    histories: Option<Read>,
    previous: Option<Arc<Artifact>>,
    folder: PathBuf,
    /// The version in service, until this training has ended.
    serving: String,
    served: Served,
    running: Arc<Running>,
}

impl Job {
    fn run(mut self) -> Trained {
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "training runs at usual priority");
        }
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| self.train())).unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(Failure::Failed(format!("training panicked: {said}")))
        });
        Trained {
            result,
            served: self.served,
            took_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn train(&mut self) -> Result<(Arc<Artifact>, Option<String>), Failure> {
        let read = self.histories.take();
        let histories = read.map(|read| read(&self.running.stop)).unwrap_or_default();
        tracing::info!(hosts = histories.len(), "the past is read");
        let trained = forecast::train(&histories, &self.config, self.previous.as_deref(), &|progress| {
            self.running.watch(progress)
        });
        let artifact = trained.map_err(|error| match error {
            TrainError::TooFew { .. } | TrainError::Stopped { .. } => Failure::TooFew(error.to_string()),
            other => Failure::Failed(other.to_string()),
        })?;
        if let Some(previous) = &self.previous {
            let watch = |progress| self.running.watch(progress);
            let excess = forecast::excess(&artifact, previous, &histories, &watch);
            if let Some(excess) = excess.filter(|excess| *excess > WORSE) {
                let more = 100.0 * excess;
                let reason = format!("a new model loses {more:.0} % more on the newest rows; the one in service stays");
                return Err(Failure::Worse(reason));
            }
        }
        self.served.version = format!("{}-{}", self.served.trained_ms.div_euclid(1_000), artifact.version());
        // One that cannot be saved serves until the next start.
        let saved = artifact
            .save(&self.folder.join(&self.served.version))
            .map_err(|error| error.to_string());
        let unsaved = saved
            .and_then(|()| {
                let needed = [self.served.version.as_str(), &self.serving];
                remove_old(&self.folder, &needed).map_err(|error| error.to_string())
            })
            .err();
        Ok((Arc::new(artifact), unsaved))
    }
}

/// Removes all but the newest artifacts, and those that are needed: after a clock was set back, the newest are not the
/// last.
fn remove_old(folder: &Path, needed: &[&str]) -> io::Result<()> {
    let mut versions = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let made = name
            .to_str()
            .filter(|name| !needed.contains(name))
            .and_then(|name| name.split_once('-')?.0.parse::<i64>().ok());
        versions.extend(made.map(|made| (made, folder.join(&name))));
    }
    versions.sort();
    let old = versions.len().saturating_sub(KEPT - needed.len().min(KEPT));
    versions
        .iter()
        .take(old)
        .try_for_each(|(_, path)| fs::remove_dir_all(path))
}

/// The scores on held-out rows, in a line.
fn summary(artifact: &Artifact) -> String {
    let row = |row: &forecast::ScoreRow| {
        let compared = row.with_lstm?;
        let rival = compared.last.pinball.min(compared.ewma.pinball);
        let gain = 100.0 * (1.0 - compared.lstm?.pinball / rival);
        gain.is_finite()
            .then(|| format!("{} {}: {gain:+.0} %", row.target, crate::view::horizon(row.horizon_s)))
    };
    let rows: Vec<String> = artifact.scores().rows.iter().filter_map(row).collect();
    format!(
        "loss saved on held-out rows against the better baseline: {}",
        rows.join(", ")
    )
}

#[cfg(test)]
mod tests;
