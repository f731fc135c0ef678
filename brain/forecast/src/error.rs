//! What can go wrong.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Settings outside their ranges.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("forecast settings: {}", faults.join("; "))]
pub struct ConfigError {
    /// Every fault, with its key, value and range.
    pub faults: Vec<String>,
}

/// Why there is no new artifact.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Too little history to learn from: wait for more.
    #[error("{samples} usable moments in {hosts} histories, at least {needed} are needed: wait for more history")]
    TooFew {
        /// Moments with a past and a known future.
        samples: usize,
        /// Histories given.
        hosts: usize,
        /// Moments that a training needs.
        needed: usize,
    },
    /// It was asked to stop.
    #[error("stopped after {steps} steps")]
    Stopped {
        /// Steps done.
        steps: usize,
    },
    /// The loss is no number any more.
    #[error("training diverged at step {step}: loss {loss}; lower training.learning_rate")]
    Diverged {
        /// At which step.
        step: usize,
        /// The loss there.
        loss: f32,
    },
    /// The learning library failed.
    #[error("training: {0}")]
    Backend(String),
}

impl TrainError {
    /// Whether a later try with more history may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::TooFew { .. } | Self::Stopped { .. })
    }
}

/// Why an artifact cannot be saved or loaded.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// The file system said no.
    #[error("model artifact {}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder's format is of a newer version.
    #[error("model artifact {}: format {found}, this version reads up to {known}: update foreshadow or train anew", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// The content is truncated, changed or not ours.
    #[error("model artifact {}: {reason}; train anew", path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It was made for another grid, other horizons or features.
    #[error("model artifact {}: {reason}; train anew or restore the settings", path.display())]
    Foreign {
        /// Where it is.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
}
