//! One training, in its thread.

use std::{
    fs, io,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use forecast::{Artifact, History, Progress, TrainError};

use super::{Failure, Served, Trained};
use crate::snapshot::ProgressView;

/// Artifacts that are kept in the data folder.
const KEPT: usize = 5;
/// How much more a new network may lose on the newest rows than the one in service.
const WORSE: f64 = 0.1;
/// How much further behind the training thread stands than the others, in the scheduler's eyes.
const NICE: i32 = 10;

/// What a training under way and the engine tell each other.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) stop: AtomicBool,
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
    pub(super) fn told(&self) -> Option<ProgressView> {
        let progress = *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.map(|Progress { part, done, of, loss }| ProgressView {
            part: part.as_str(),
            done: done as u64,
            of: of as u64,
            loss,
        })
    }
}

/// Reads the past that is to be learnt, unless it is told to stop.
pub(super) type Read = Box<dyn FnOnce(&AtomicBool) -> Vec<History> + Send>;

/// One training.
pub(super) struct Job {
    pub(super) config: forecast::Config,
    pub(super) histories: Option<Read>,
    pub(super) previous: Option<Arc<Artifact>>,
    pub(super) folder: PathBuf,
    /// The version in service, until this training has ended.
    pub(super) serving: String,
    pub(super) served: Served,
    pub(super) running: Arc<Running>,
}

impl Job {
    pub(super) fn run(mut self) -> Trained {
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
pub(super) fn remove_old(folder: &Path, needed: &[&str]) -> io::Result<()> {
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
        // Until format 3 an artifact was a folder.
        .try_for_each(|(_, path)| {
            if path.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            }
        })
}
