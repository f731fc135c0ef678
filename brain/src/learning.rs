//! Training, in a thread of its own: when it is due, what it is given, and what becomes of its result.
//!
//! A training that fails or panics is told and costs nothing else: the ladder goes on without it, and the next
//! one is tried when there is more history. A network that is worse on the newest rows than the one in service does not
//! take its place.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use forecast::{Artifact, History, ScoreTable};
use serde::{Deserialize, Serialize};
use shadow::UnixMs;
use tokio::sync::mpsc;

use self::job::{Job, Running};
use crate::{
    snapshot::{DriftView, ModelView, ProgressView},
    store::ModelRow,
};

mod job;

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

    /// Scores of the network in service on rows that it was not trained on.
    pub(crate) fn held_out(&self) -> Option<&ScoreTable> {
        self.previous.as_deref().map(Artifact::scores)
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
