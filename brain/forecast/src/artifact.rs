//! Weights, scaler, configuration and scores of a trained network in one versioned folder.
//!
//! | file | what it holds |
//! |---|---|
//! | `weights.bpk` | the network's weights, in Burn's burnpack format |
//! | `model.json` | everything else, with the length and checksum of the weights; written last, so a folder with it is whole |

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};

use burn::{
    module::Module,
    store::ModuleRecord,
    tensor::{Bytes, Device},
};
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use shadow::{Resource, UnixMs};

use crate::{
    config::Config,
    error::ArtifactError,
    features,
    inference::Predictor,
    model::{Network, Sizes},
    scaler::Scaler,
    score::ScoreTable,
    window::{Layout, RESOURCES},
};

/// Newest format that this version writes and reads.
const FORMAT: u32 = 1;

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
    pub(crate) resources: Vec<Resource>,
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

    /// Resources that it forecasts.
    pub fn resources(&self) -> &[Resource] {
        &self.meta.resources
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
    /// [`ArtifactError::Foreign`] when grid, window or horizons differ.
    pub(crate) fn predictor(&self, config: &Config) -> Result<Predictor, ArtifactError> {
        let folder = Path::new(&self.meta.version);
        if Layout::new(config) != Layout::new(&self.meta.config) {
            let reason = format!(
                "trained for rows of {} s and horizons {:?} s, wanted are {} s and {:?} s, or another window",
                self.meta.config.step_s, self.meta.config.horizons_s, config.step_s, config.horizons_s
            );
            return Err(ArtifactError::Foreign {
                path: folder.to_owned(),
                reason,
            });
        }
        let sizes = self.meta.sizes(folder)?;
        let trained = Resource::ALL.map(|resource| self.meta.resources.contains(&resource));
        Ok(Predictor {
            network: self.network.clone(),
            scaler: self.meta.scaler.clone(),
            sizes,
            trained,
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
        if !self.scaler.fits(RESOURCES * names.len()) {
            return Err(foreign("its scaler does not match its features"));
        }
        Ok(sizes(&self.config))
    }
}

/// The sizes of a network for these settings.
pub(crate) fn sizes(config: &Config) -> Sizes {
    let layout = Layout::new(config);
    Sizes {
        resources: RESOURCES,
        horizons: layout.horizons.len(),
        features: features::count(&layout),
        inputs: layout.inputs,
        input_width: Layout::input_width(),
        hidden: config.training.hidden,
        dense: config.training.dense,
    }
}

/// FNV-1a, 64 bits, as hexadecimal digits: guards against accidents, not against intent.
fn checksum(bytes: impl Iterator<Item = u8>) -> String {
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Writes beside `path`, syncs, and moves it there, so that it is never half written.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let beside = path.with_extension("partial");
    let written = fs::File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|source| at(path, source))
}

fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, ArtifactError> {
    let file = fs::File::open(path).map_err(|source| at(path, source))?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| at(path, source))?;
    if bytes.len() as u64 > limit {
        return Err(broken(path, format!("longer than {limit} bytes")));
    }
    Ok(bytes)
}

fn at(path: &Path, source: io::Error) -> ArtifactError {
    ArtifactError::Io {
        path: path.to_owned(),
        source,
    }
}

fn broken(path: &Path, reason: String) -> ArtifactError {
    ArtifactError::Broken {
        path: path.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        features::describe,
        synthetic::{artifact, cycle, quick},
        window::resources,
    };

    #[test]
    fn what_is_saved_is_loaded_and_forecasts_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (saved, path) = (artifact(), folder.path().join("models/1"));
        saved.save(&path).unwrap();
        let loaded = Artifact::load(&path).unwrap();
        assert_eq!((loaded.version(), loaded.data()), (saved.version(), saved.data()));
        assert!(loaded.meta.scaler == saved.meta.scaler && loaded.config() == saved.config());
        assert_eq!(loaded.scores().rows.len(), saved.scores().rows.len());
        let rows: Vec<_> = cycle("c", 90, 7).rows.iter().map(resources).collect();
        let moment = describe(&Layout::new(&quick()), &rows);
        let forecast = |artifact: &Artifact| {
            let predicted = artifact
                .predictor(&quick())
                .unwrap()
                .predict(std::slice::from_ref(&moment));
            predicted[0].of(Resource::Cpu).unwrap().to_vec()
        };
        assert_eq!(forecast(&saved), forecast(&loaded));
        saved.save(&path).unwrap();
        Artifact::load(&path).unwrap();
    }

    #[test]
    fn damage_is_refused_with_the_file_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        artifact().save(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join(META_FILE)).unwrap();
        let weights = fs::read(folder.path().join(WEIGHTS_FILE)).unwrap();
        let mut flipped = weights.clone();
        flipped[weights.len() / 2] ^= 1;
        let check = |meta: Option<&str>, weights: Option<&[u8]>, expected: &str| {
            let damaged = tempfile::tempdir().unwrap();
            meta.inspect(|meta| fs::write(damaged.path().join(META_FILE), meta).unwrap());
            weights.inspect(|weights| fs::write(damaged.path().join(WEIGHTS_FILE), weights).unwrap());
            let told = Artifact::load(damaged.path()).unwrap_err().to_string();
            assert!(told.contains(expected), "{expected:?} is not in {told:?}");
        };
        check(None, Some(&weights), "model.json");
        check(Some(&text), None, "weights.bpk");
        check(Some(&text), Some(&flipped), "checksum");
        check(Some(&text), Some(&weights[..weights.len() - 9]), "checksum");
        check(Some(&text[..text.len() / 2]), Some(&weights), "model.json");
        check(Some("[]"), Some(&weights), "model.json");
        check(
            Some(&text.replace("\"format\": 1", "\"format\": 99")),
            Some(&weights),
            "update foreshadow",
        );
        check(
            Some(&text.replace("\"lag1\"", "\"lag0\"")),
            Some(&weights),
            "other features",
        );
        check(
            Some(&text.replace("\"hidden\": 8", "\"hidden\": 9")),
            Some(&weights),
            "weights.bpk",
        );
        check(
            Some(&text.replace("\"step_s\": 60", "\"step_s\": 0")),
            Some(&weights),
            "step_s = 0",
        );
        check(Some(&text.replace("\"steps\"", "\"stops\"")), Some(&weights), "stops");
    }

    #[test]
    fn a_forecaster_on_another_grid_does_not_take_it() {
        let foreign = artifact().predictor(&Config::for_step(10)).unwrap_err();
        assert!(foreign.to_string().contains("60 s"), "{foreign}");
    }
}
