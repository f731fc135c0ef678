//! Weights, scaler, configuration and scores of a trained network in one versioned file.
//!
//! Its first line is everything but the weights, as JSON, with their length and checksum; behind it come the weights, in Burn's
//! burnpack format.

mod file;
#[cfg(test)]
mod tests;

use std::{fs, path::Path};

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
use file::{at, broken, checksum, read_bounded, write_whole};

/// The format that this version writes and reads.
const FORMAT: u32 = 3;

/// Longest file that is read.
const LIMIT: u64 = 256 << 20;

/// Longest first line that is read.
const HEADER_LIMIT: usize = 4 << 20;

/// A trained network with all that is needed to use it and to judge it.
#[derive(Debug, Clone)]
pub struct Artifact {
    meta: Meta,
    network: Network,
}

/// The first line.
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

    /// Writes it to `path`, whose folder is made when it does not exist. A crash leaves the whole file or none, or what was there
    /// before.
    ///
    /// # Errors
    /// [`ArtifactError::Io`] with the path.
    pub fn save(&self, path: &Path) -> Result<(), ArtifactError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|source| at(folder, source))?;
        }
        let record = self.network.clone().into_record().into_bytes();
        let weights = record.map_err(|error| broken(path, error.to_string()))?;
        let header = Header {
            format: FORMAT,
            weights_bytes: weights.len() as u64,
            weights_checksum: checksum(weights.iter().copied()),
            model: self.meta.clone(),
        };
        let mut bytes = serde_json::to_vec(&header).map_err(|error| broken(path, error.to_string()))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&weights);
        write_whole(path, &bytes)
    }

    /// Reads the artifact at `path` and checks all of it.
    ///
    /// # Errors
    /// [`ArtifactError`]: not readable, of another format, truncated or changed, or with other features than this version
    /// computes.
    pub fn load(path: &Path) -> Result<Self, ArtifactError> {
        let bytes = read_bounded(path, LIMIT)?;
        let end = bytes.iter().take(HEADER_LIMIT).position(|byte| *byte == b'\n');
        let parts = end.and_then(|end| Some((bytes.get(..end)?, bytes.get(end + 1..)?)));
        let (text, weights) = parts.ok_or_else(|| broken(path, "it has no header".to_owned()))?;
        let Header {
            weights_bytes,
            weights_checksum,
            model,
            ..
        } = header(path, text)?;
        let sizes = model.sizes(path)?;
        if weights.len() as u64 != weights_bytes || checksum(weights.iter().copied()) != weights_checksum {
            let reason = format!("{} bytes of weights that do not match their checksum", weights.len());
            return Err(broken(path, reason));
        }
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(weights.to_vec()));
        let blank = Network::new(sizes, &mut StdRng::seed_from_u64(0), &Device::flex());
        let network = record.and_then(|record| blank.try_load_record(record));
        let network = network.map_err(|error| broken(path, error.to_string()))?;
        if network.weights().iter().any(|weight| !weight.is_finite()) {
            return Err(broken(path, "a weight is not finite".to_owned()));
        }
        Ok(Self { meta: model, network })
    }

    /// A predictor for a forecaster with `config`.
    ///
    /// # Errors
    /// [`ArtifactError::Foreign`] when grid, window, horizons or targets differ.
    pub(crate) fn predictor(&self, config: &Config) -> Result<Predictor, ArtifactError> {
        let named = Path::new(&self.meta.version);
        if Layout::new(config) != Layout::new(&self.meta.config) {
            let reason = format!(
                "trained for rows of {} s and horizons {:?} s, wanted are {} s and {:?} s, or other targets or windows",
                self.meta.config.step_s, self.meta.config.horizons_s, config.step_s, config.horizons_s
            );
            return Err(ArtifactError::Foreign {
                path: named.to_owned(),
                reason,
            });
        }
        let sizes = self.meta.sizes(named)?;
        Ok(Predictor {
            network: Packed::new(&self.network).ok_or_else(|| ArtifactError::Foreign {
                path: named.to_owned(),
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

/// The first line of the file at `path`, of this format and with settings in their ranges.
fn header(path: &Path, text: &[u8]) -> Result<Header, ArtifactError> {
    let fault = |error: serde_json::Error| broken(path, error.to_string());
    let Format { format } = serde_json::from_slice(text).map_err(fault)?;
    if format < FORMAT {
        return Err(broken(path, format!("format {format} is of an older version")));
    }
    if format > FORMAT {
        return Err(ArtifactError::Newer {
            path: path.to_owned(),
            found: format,
            known: FORMAT,
        });
    }
    let header: Header = serde_json::from_slice(text).map_err(fault)?;
    let checked = header.model.config.validate();
    checked.map_err(|error| broken(path, error.to_string()))?;
    Ok(header)
}

impl Meta {
    /// The sizes of the network, when the features are those that this version computes.
    fn sizes(&self, path: &Path) -> Result<Sizes, ArtifactError> {
        let foreign = |reason: &str| ArtifactError::Foreign {
            path: path.to_owned(),
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
