//! Fit the network to history: sample, train, average, score on what was held out.

mod adam;
mod fit;
mod held_out;
pub(crate) mod loss;
mod plan;
#[cfg(test)]
mod tests;
#[cfg(feature = "trial")]
pub mod trial;

use std::ops::ControlFlow;

use rand::{SeedableRng, rngs::StdRng};
use shadow::{Channel, UnixMs};
use tracing::info;

use crate::{
    artifact::{Artifact, DataRange, Meta},
    config::Config,
    dataset::{Dataset, Stretch},
    error::TrainError,
    features::{self, Columns},
    marks::Marks,
    model::Network,
    scaler::Scaler,
    score::ScoreTable,
    window::Layout,
};
use fit::fit;
use held_out::{held_out, score};
use plan::Plan;

/// Threads that a training may use.
const THREADS: usize = 2;

/// Moments below which nothing is learnt.
const MIN_SAMPLES: usize = 100;

/// The stored past of one host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Its name.
    pub host: String,
    /// Time of the first row.
    pub first_ms: UnixMs,
    /// Rows on the grid, oldest first, columns in the order of [`Channel::ALL`], NaN = missing.
    pub rows: Vec<[f32; Channel::COUNT]>,
    /// How much what came after each row counts, 0 or more; rows beyond the end, or all where it is empty, count 1.
    pub weights: Vec<f32>,
}

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What it is at.
    pub part: Part,
    /// How much of that is done, of how much.
    pub done: usize,
    /// See `done`; above 0.
    pub of: usize,
    /// The loss of the newest batch, while it fits.
    pub loss: Option<f32>,
}

/// The parts of a training, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Moments are described.
    Moments,
    /// Steps of the optimiser.
    Steps,
    /// Held-out rows are forecast.
    Scores,
}

impl Part {
    /// What it counts, as a word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Moments => "moments",
            Self::Steps => "steps",
            Self::Scores => "held-out rows",
        }
    }
}

/// Is told how far a training is, several times a second, and ends it with [`ControlFlow::Break`].
pub type Watch<'a> = &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync);

/// Trains one network for all hosts.
///
/// The newest part of each history ([`crate::Training::held_out`]) is not learnt from, but scored by a replay
/// through the whole forecaster; see [`Artifact::scores`]. With a `previous` artifact of the same shape, made from a
/// comparable amount of history, training goes on from its weights with fewer and smaller steps. `watch` is told how far it
/// is and may end it, within a second or two. The number of steps and of sampled moments is bounded by the settings, and
/// the same arguments give the same weights.
///
/// # Errors
/// [`TrainError`]: wrong settings, too little history, stopped, or diverged.
pub fn train(
    histories: &[History],
    config: &Config,
    previous: Option<&Artifact>,
    watch: Watch<'_>,
) -> Result<Artifact, TrainError> {
    config.validate()?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .thread_name(|_| "forecast-train".to_owned());
    let pool = pool.build().map_err(|error| TrainError::Backend(error.to_string()))?;
    pool.install(|| train_here(histories, config, previous, watch))
}

/// How much more the network of `artifact` loses than that of `previous` on the newest rows of `histories`, from which
/// neither has learnt when `previous` is from an earlier training: 0.1 is a tenth more, below 0 it loses less. `None` where
/// they have nothing in common, or `watch` says stop.
pub fn excess(artifact: &Artifact, previous: &Artifact, histories: &[History], watch: Watch<'_>) -> Option<f64> {
    let scored = |done: usize, of: usize| watch(progress(Part::Scores, done, of));
    let before = score(previous, histories, artifact.config(), &scored)?;
    artifact.scores().excess(&before)
}

fn train_here(
    histories: &[History],
    config: &Config,
    previous: Option<&Artifact>,
    watch: Watch<'_>,
) -> Result<Artifact, TrainError> {
    let layout = Layout::new(config);
    let mut random = StdRng::seed_from_u64(config.training.seed);
    let stretches = histories
        .iter()
        .map(|history| stretch(history, config, &layout))
        .collect();
    let described = |done: usize, of: usize| watch(progress(Part::Moments, done, of));
    let dataset = Dataset::sample(&layout, stretches, config.training.max_samples, &mut random, &described);
    let mut dataset = dataset.ok_or(TrainError::Stopped { steps: 0 })?;
    if dataset.len() < MIN_SAMPLES {
        let (samples, hosts) = (dataset.len(), histories.len());
        return Err(TrainError::TooFew {
            samples,
            hosts,
            needed: MIN_SAMPLES,
        });
    }
    let warm = previous.filter(|artifact| 3 * artifact.data().rows >= rows(histories));
    let warm = warm.and_then(|artifact| artifact.warm(config));
    let scaler = warm
        .as_ref()
        .map_or_else(|| dataset.scaler(), |(scaler, _)| (*scaler).clone());
    dataset.standardise(&scaler);
    let plan = Plan::new(config, dataset.len(), warm.is_some());
    let start = warm.map(|(_, weights)| weights);
    let network = fit(&dataset, config, &plan, start, &mut random, watch)?;
    let data = data_range(histories, config, dataset.len());
    info!(
        steps = plan.steps,
        samples = data.samples,
        hosts = data.hosts,
        "network trained"
    );
    let present = dataset.present();
    drop(dataset);
    let artifact = finish(config, network, scaler, present, data, plan.steps);
    let scored = |done: usize, of: usize| watch(progress(Part::Scores, done, of));
    let scores = score(&artifact, histories, config, &scored).ok_or(TrainError::Stopped { steps: plan.steps })?;
    Ok(artifact.with_scores(scores))
}

fn progress(part: Part, done: usize, of: usize) -> Progress {
    Progress {
        part,
        done,
        of: of.max(1),
        loss: None,
    }
}

fn rows(histories: &[History]) -> usize {
    histories.iter().map(|history| history.rows.len()).sum()
}

fn stretch(history: &History, config: &Config, layout: &Layout) -> Stretch {
    let end = history.rows.len() - held_out(history.rows.len(), config);
    let mut marks = Marks::new(layout);
    marks.push(layout, history.rows.get(..end).unwrap_or_default());
    Stretch {
        columns: Columns::new(layout, &history.rows, &marks),
        end,
        first_ms: history.first_ms,
        weights: history.weights.clone(),
    }
}

fn data_range(histories: &[History], config: &Config, samples: usize) -> DataRange {
    let step_ms = i64::from(config.step_s) * 1_000;
    let last = |history: &History| history.first_ms + step_ms * (history.rows.len() as i64 - 1).max(0);
    DataRange {
        hosts: histories.len(),
        rows: rows(histories),
        samples,
        first_ms: histories.iter().map(|history| history.first_ms).min().unwrap_or(0),
        last_ms: histories.iter().map(last).max().unwrap_or(0),
    }
}

fn finish(
    config: &Config,
    network: Network,
    scaler: Scaler,
    present: Vec<bool>,
    data: DataRange,
    steps: usize,
) -> Artifact {
    let meta = Meta {
        version: String::new(),
        config: config.clone(),
        features: features::names(&Layout::new(config)),
        trained: present,
        scaler,
        data,
        steps,
        scores: ScoreTable::default(),
    };
    Artifact::new(meta, network)
}
