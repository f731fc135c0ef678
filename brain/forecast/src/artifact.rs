//! Weights, scaler, configuration and scores of a trained network in one versioned folder.
//!
//! | file | what it holds |
//! |---|---|
//! | `weights.bpk` | the network's weights, in Burn's burnpack format |
//! | `model.json` | everything else, with the length and checksum of the weights; written last, so a folder with it is whole |

mod folder;
#[cfg(test)]
mod tests;

use std::{fs, io, path::Path};

use burn::{
    module::Module,
    store::ModuleRecord,
    tensor::{Bytes, Device},
};
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use shadow::UnixMs;

use crate::{
    config::Config,
    error::ArtifactError,
    features,
    inference::Predictor,
    model::{Network, Packed, Sizes},
    scaler::Scaler,
    score::ScoreTable,
    target::Target,
    window::Layout,
};
use folder::{at, broken, checksum, read_bounded, write_whole};

/// The format that this version writes and reads.
const FORMAT: u32 = 3;

/// Largest `model.json` that is read.
const META_LIMIT: u64 = 4 << 20;

/// Largest `weights.bpk` that is read.
const WEIGHTS_LIMIT: u64 = 256 << 20;

const META_FILE: &str = "model.json";
const WEIGHTS_FILE: &str = "weights.bpk";

/// A trained network with all that is needed to use it and to judge it.
#[derive(Debug, Clone)]
pub struct Artifact {
    meta: Meta,
    network: Network,
}

/// What `model.json` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    weights_bytes: u64,
    weights_checksum: String,
    model: Meta,
}

/// The one field that every format has.
#[derive(Debug, Deserialize)]
struct Format {
    format: u32,
}

/// All but the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    pub(crate) version: String,
    pub(crate) config: Config,
    pub(crate) features: Vec<String>,
    /// Whether each target was in the history.
    pub(crate) trained: Vec<bool>,
    pub(crate) scaler: Scaler,
    pub(crate) data: DataRange,
    pub(crate) steps: usize,
    pub(crate) scores: ScoreTable,
}

/// The history that a network was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRange {
    /// Hosts in it.
    pub hosts: usize,
    /// Rows of all hosts together.
    pub rows: usize,
    /// Moments that were sampled for training.
    pub samples: usize,
    /// Oldest row.
    pub first_ms: UnixMs,
    /// Newest row, held-out ones included.
    pub last_ms: UnixMs,
}

impl Artifact {
    pub(crate) fn new(mut meta: Meta, network: Network) -> Self {
        let weights = network.weights();
        meta.version = checksum(weights.iter().flat_map(|weight| weight.to_le_bytes()));
        Self { meta, network }
    }

    pub(crate) fn with_scores(mut self, scores: ScoreTable) -> Self {
        self.meta.scores = scores;
        self
    }

    /// Names the weights: equal for equal training.
    pub fn version(&self) -> &str {
        &self.meta.version
    }

    /// The settings that it was trained with.
    pub fn config(&self) -> &Config {
        &self.meta.config
    }

    /// The history that it was trained on.
    pub fn data(&self) -> &DataRange {
        &self.meta.data
    }

    /// Targets that it forecasts.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let trained = self.meta.config.targets.iter().zip(&self.meta.trained);
        trained.filter(|(_, trained)| **trained).map(|(target, _)| target)
    }

    /// Steps of the optimiser that made it.
    pub fn steps(&self) -> usize {
        self.meta.steps
    }

    /// How it did, beside the baselines, on the newest rows, which were held out from its training.
    pub fn scores(&self) -> &ScoreTable {
        &self.meta.scores
    }

    /// Writes it into `folder`, which is made when it does not exist. A crash leaves either a whole artifact or
    /// one that [`Artifact::load`] refuses.
    ///
    /// # Errors
    /// [`ArtifactError::Io`] with the path.
    pub fn save(&self, folder: &Path) -> Result<(), ArtifactError> {
        fs::create_dir_all(folder).map_err(|source| at(folder, source))?;
        let meta_path = folder.join(META_FILE);
        match fs::remove_file(&meta_path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(at(&meta_path, source)),
            _ => {}
        }
        let record = self.network.clone().into_record().into_bytes();
        let weights = record.map_err(|error| broken(folder, error.to_string()))?;
        write_whole(&folder.join(WEIGHTS_FILE), &weights)?;
        let header = Header {
            format: FORMAT,
            weights_bytes: weights.len() as u64,
            weights_checksum: checksum(weights.iter().copied()),
            model: self.meta.clone(),
        };
        let text = serde_json::to_vec_pretty(&header).map_err(|error| broken(&meta_path, error.to_string()))?;
        write_whole(&meta_path, &text)
    }

    /// Reads the artifact in `folder` and checks all of it.
    ///
    /// # Errors
    /// [`ArtifactError`]: not readable, of a newer format, truncated or changed, or with other features than
    /// this version computes.
    pub fn load(folder: &Path) -> Result<Self, ArtifactError> {
        let meta_path = folder.join(META_FILE);
        let text = read_bounded(&meta_path, META_LIMIT)?;
        let Format { format } = serde_json::from_slice(&text).map_err(|error| broken(&meta_path, error.to_string()))?;
        if format < FORMAT {
            return Err(broken(&meta_path, format!("format {format} is of an older version")));
        }
        if format > FORMAT {
            return Err(ArtifactError::Newer {
                path: meta_path,
                found: format,
                known: FORMAT,
            });
        }
        let header: Header = serde_json::from_slice(&text).map_err(|error| broken(&meta_path, error.to_string()))?;
        header
            .model
            .config
            .validate()
            .map_err(|error| broken(&meta_path, error.to_string()))?;
        let sizes = header.model.sizes(folder)?;
        let weights_path = folder.join(WEIGHTS_FILE);
        let weights = read_bounded(&weights_path, WEIGHTS_LIMIT)?;
        if weights.len() as u64 != header.weights_bytes || checksum(weights.iter().copied()) != header.weights_checksum
        {
            let reason = format!("{} bytes that do not match the checksum in {META_FILE}", weights.len());
            return Err(broken(&weights_path, reason));
        }
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(weights));
        let blank = Network::new(sizes, &mut StdRng::seed_from_u64(0), &Device::flex());
        let network = record.and_then(|record| blank.try_load_record(record));
        let network = network.map_err(|error| broken(&weights_path, error.to_string()))?;
        if network.weights().iter().any(|weight| !weight.is_finite()) {
            return Err(broken(&weights_path, "a weight is not finite".to_owned()));
        }
        Ok(Self {
            meta: header.model,
            network,
        })
    }

    /// A predictor for a forecaster with `config`.
    ///
    /// # Errors
    /// [`ArtifactError::Foreign`] when grid, window, horizons or targets differ.
    pub(crate) fn predictor(&self, config: &Config) -> Result<Predictor, ArtifactError> {
        let folder = Path::new(&self.meta.version);
        if Layout::new(config) != Layout::new(&self.meta.config) {
            let reason = format!(
                "trained for rows of {} s and horizons {:?} s, wanted are {} s and {:?} s, or other targets or windows",
                self.meta.config.step_s, self.meta.config.horizons_s, config.step_s, config.horizons_s
            );
            return Err(ArtifactError::Foreign {
                path: folder.to_owned(),
                reason,
            });
        }
        let sizes = self.meta.sizes(folder)?;
        Ok(Predictor {
            network: Packed::new(&self.network).ok_or_else(|| ArtifactError::Foreign {
                path: folder.to_owned(),
                reason: "a size of its network is 0".to_owned(),
            })?,
            scaler: self.meta.scaler.clone(),
            sizes,
            trained: self.meta.trained.clone(),
        })
    }

    /// Scaler and weights to go on from, when they fit `config`.
    pub(crate) fn warm(&self, config: &Config) -> Option<(&Scaler, Vec<f32>)> {
        let same = Layout::new(config) == Layout::new(&self.meta.config)
            && sizes(config) == sizes(&self.meta.config)
            && self.meta.features == features::names(&Layout::new(config));
        same.then(|| (&self.meta.scaler, self.network.weights()))
    }
}

impl Meta {
    /// The sizes of the network, when the features are those that this version computes.
    fn sizes(&self, folder: &Path) -> Result<Sizes, ArtifactError> {
        let foreign = |reason: &str| ArtifactError::Foreign {
            path: folder.to_owned(),
            reason: reason.to_owned(),
        };
        let names = features::names(&Layout::new(&self.config));
        if names != self.features {
            return Err(foreign("it was trained on other features than this version computes"));
        }
        let targets = self.config.targets.len();
        if !self.scaler.fits(targets * names.len()) || self.trained.len() != targets {
            return Err(foreign("its scaler does not match its features"));
        }
        Ok(sizes(&self.config))
    }
}

/// The sizes of a network for these settings.
pub(crate) fn sizes(config: &Config) -> Sizes {
    let layout = Layout::new(config);
    Sizes {
        targets: layout.targets.len(),
        horizons: layout.horizons.len(),
        holds: layout.holds.len(),
        features: features::count(&layout),
        looks: layout
            .looks
            .iter()
            .map(|look| (look.ends.len(), look.width(layout.channels)))
            .collect(),
        hidden: config.training.hidden,
        dense: config.training.dense,
        sequence: config.training.sequence,
    }
}
