//! Fit the network to history: sample, train, average, score on what was held out.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::{
    grad_clipping::GradientClippingConfig,
    module::Module,
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Tensor, TensorData},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use shadow::{Channel, Resource, UnixMs};
use tracing::{debug, info};

use crate::{
    artifact::{Artifact, DataRange, Meta, sizes},
    config::Config,
    dataset::{Batch, Dataset, Shuffle, Stretch},
    error::TrainError,
    features,
    forecaster::{Forecaster, HostWindow},
    model::{Masks, Network, Sizes},
    scaler::Scaler,
    score::ScoreTable,
    window::{Layout, RESOURCES, resources},
};

/// Threads that a training may use.
const THREADS: usize = 2;

/// Moments below which nothing is learnt.
const MIN_SAMPLES: usize = 100;

/// Fewest steps, so that the schedule has room even when there are few moments.
const MIN_STEPS: usize = 150;

/// Steps over which the learning rate rises at the start.
const WARM_UP: f64 = 50.0;

/// Slowest moving average of the weights.
const AVERAGE: f32 = 0.99;

/// Longest part of the held-out rows that is scored, and most hosts in it.
const SCORED_ROWS: usize = 1_000;
const SCORED_HOSTS: usize = 8;

/// The stored past of one host.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Its name.
    pub host: String,
    /// Time of the first row.
    pub first_ms: UnixMs,
    /// Rows on the grid, oldest first, columns in the order of [`Channel::ALL`], NaN = missing.
    pub rows: Vec<[f32; Channel::COUNT]>,
}

/// Trains one network for all hosts.
///
/// The newest part of each history ([`crate::Training::held_out`]) is not learnt from, but scored by a replay
/// through the whole ladder; see [`Artifact::scores`]. With a `previous` artifact of the same shape, made from a
/// comparable amount of history, training goes on from its weights with fewer and smaller steps. `stop` ends it
/// early, within a step. The number of steps and of sampled moments is bounded by the settings, and the same
/// arguments give the same weights.
///
/// # Errors
/// [`TrainError`]: wrong settings, too little history, stopped, or diverged.
pub fn train(
    histories: &[History],
    config: &Config,
    previous: Option<&Artifact>,
    stop: &AtomicBool,
) -> Result<Artifact, TrainError> {
    config.validate()?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .thread_name(|_| "forecast-train".to_owned());
    let pool = pool.build().map_err(|error| TrainError::Backend(error.to_string()))?;
    pool.install(|| train_here(histories, config, previous, stop))
}

fn train_here(
    histories: &[History],
    config: &Config,
    previous: Option<&Artifact>,
    stop: &AtomicBool,
) -> Result<Artifact, TrainError> {
    let layout = Layout::new(config);
    let mut random = StdRng::seed_from_u64(config.training.seed);
    let stretches: Vec<Stretch> = histories.iter().map(|history| stretch(history, config)).collect();
    let mut dataset = Dataset::sample(&layout, &stretches, config.training.max_samples, &mut random);
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
    let network = fit(
        &dataset,
        config,
        &plan,
        warm.map(|(_, weights)| weights),
        &mut random,
        stop,
    )?;
    let data = data_range(histories, config, dataset.len());
    info!(
        steps = plan.steps,
        samples = data.samples,
        hosts = data.hosts,
        "network trained"
    );
    let present = dataset.present();
    let artifact = finish(config, network, scaler, present, data, plan.steps);
    let scores = score(&artifact, histories, config);
    Ok(artifact.with_scores(scores))
}

/// How long and how fast.
#[derive(Debug, Clone, Copy)]
struct Plan {
    steps: usize,
    rate: f64,
}

impl Plan {
    fn new(config: &Config, samples: usize, warm: bool) -> Self {
        let training = &config.training;
        let wanted = (training.passes * samples / training.batch).clamp(MIN_STEPS, training.max_steps.max(MIN_STEPS));
        let steps = wanted.min(training.max_steps);
        if warm {
            Self {
                steps: steps.div_ceil(2),
                rate: training.learning_rate / 3.0,
            }
        } else {
            Self {
                steps,
                rate: training.learning_rate,
            }
        }
    }

    /// A rise, then half a cosine down to a hundredth.
    fn rate_at(&self, step: usize) -> f64 {
        let (at, steps) = (step as f64, self.steps as f64);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * at / steps).cos());
        self.rate * (at / WARM_UP).min(1.0) * (0.01 + 0.99 * cosine)
    }
}

fn rows(histories: &[History]) -> usize {
    histories.iter().map(|history| history.rows.len()).sum()
}

/// Rows at the end of a history that are not learnt from: enough to score the farthest horizon.
fn held_out(rows: usize, config: &Config) -> usize {
    let share = (rows as f64 * config.training.held_out) as usize;
    share.max(config.farthest_rows() + 30).min(rows / 2)
}

fn stretch(history: &History, config: &Config) -> Stretch {
    let end = history.rows.len() - held_out(history.rows.len(), config);
    Stretch {
        rows: history.rows.iter().map(resources).collect(),
        end,
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

fn fit(
    dataset: &Dataset,
    config: &Config,
    plan: &Plan,
    start: Option<Vec<f32>>,
    random: &mut StdRng,
    stop: &AtomicBool,
) -> Result<Network, TrainError> {
    let device = Device::flex().autodiff();
    let sizes = sizes(config);
    let mut network = Network::new(sizes, random, &device);
    if let Some(weights) = start {
        network = network.with_weights(&weights);
    }
    let optimiser = AdamWConfig::new()
        .with_weight_decay(config.training.weight_decay as f32)
        .with_epsilon(1e-8)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)));
    let mut optimiser = optimiser.init();
    let mut average = network.weights();
    let mut order = Shuffle::new(dataset.len());
    for step in 1..=plan.steps {
        if stop.load(Ordering::Relaxed) {
            return Err(TrainError::Stopped { steps: step - 1 });
        }
        let batch = dataset.batch(order.next(config.training.batch, random));
        let masks = Masks::draw(&sizes, batch.moments, config.training.dropout, random, &device);
        let loss = batch_loss(&network, batch, &sizes, masks.as_ref(), &device);
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimiser.step(plan.rate_at(step), network, gradients);
        let keep = AVERAGE.min(step as f32 / (step as f32 + 10.0));
        for (average, weight) in average.iter_mut().zip(network.weights()) {
            *average += (1.0 - keep) * (weight - *average);
        }
        if step % 50 == 0 || step == plan.steps {
            let loss = loss.into_scalar::<f32>();
            debug!(step, loss, "training");
            if !loss.is_finite() {
                return Err(TrainError::Diverged { step, loss });
            }
        }
    }
    Ok(network.with_weights(&average).valid())
}

fn batch_loss(network: &Network, batch: Batch, sizes: &Sizes, masks: Option<&Masks>, device: &Device) -> Tensor<1> {
    let total = batch.weights.iter().sum::<f32>().max(f32::MIN_POSITIVE);
    let outputs = batch.truths.len();
    let column = |values: Vec<f32>| -> Tensor<2> { Tensor::from_data(TensorData::new(values, [outputs, 1]), device) };
    let (truths, weights) = (column(batch.truths), column(batch.weights));
    let inputs = sizes.inputs(batch.moments, batch.sequences, batch.statistics, device);
    Network::loss(network.forward(&inputs, masks), truths, weights, total)
}

impl Masks {
    /// Draws what is dropped; the share is rounded to 1/256. `None` when nothing is.
    fn draw(sizes: &Sizes, moments: usize, share: f64, random: &mut StdRng, device: &Device) -> Option<Self> {
        let cut = (share * 256.0).round().clamp(0.0, 255.0);
        if cut < 1.0 {
            return None;
        }
        let kept = (256.0 / (256.0 - cut)) as f32;
        let mut mask = |rows: usize, width: usize| -> Tensor<2> {
            let mut bytes = vec![0_u8; rows * width];
            random.fill_bytes(&mut bytes);
            let values: Vec<f32> = bytes
                .iter()
                .map(|&byte| if f64::from(byte) < cut { 0.0 } else { kept })
                .collect();
            Tensor::from_data(TensorData::new(values, [rows, width]), device)
        };
        let rows = moments * sizes.resources;
        Some(Self {
            state: mask(moments, sizes.hidden),
            statistics: mask(rows, sizes.features),
            dense: mask(rows, sizes.dense),
        })
    }
}

fn finish(
    config: &Config,
    network: Network,
    scaler: Scaler,
    present: [bool; RESOURCES],
    data: DataRange,
    steps: usize,
) -> Artifact {
    let trained = Resource::ALL.into_iter().zip(present).filter(|(_, present)| *present);
    let meta = Meta {
        version: String::new(),
        config: config.clone(),
        features: features::names(&Layout::new(config)),
        resources: trained.map(|(resource, _)| resource).collect(),
        scaler,
        data,
        steps,
        scores: ScoreTable::default(),
    };
    Artifact::new(meta, network)
}

/// Replays the held-out rows of some hosts through a ladder with the new network.
fn score(artifact: &Artifact, histories: &[History], config: &Config) -> ScoreTable {
    let Ok(mut forecaster) = Forecaster::new(config.clone()) else {
        return ScoreTable::default();
    };
    if forecaster.adopt(artifact).is_err() {
        return ScoreTable::default();
    }
    let every = histories.len().div_ceil(SCORED_HOSTS).max(1);
    let scored: Vec<&History> = histories.iter().step_by(every).collect();
    let held = |history: &History| held_out(history.rows.len(), config).min(SCORED_ROWS);
    let longest = scored.iter().map(|history| held(history)).max().unwrap_or(0);
    for back in (0..longest).rev() {
        let begun = scored.iter().filter(|history| back < held(history));
        let windows = begun.map(|history| {
            let end = history.rows.len() - back;
            let from = end.saturating_sub(config.lookback_rows());
            HostWindow {
                host: &history.host,
                rows: history.rows.get(from..end).unwrap_or_default(),
            }
        });
        let time_ms = -(back as i64) * i64::from(config.step_s) * 1_000;
        forecaster.step(time_ms, &windows.collect::<Vec<_>>());
    }
    forecaster.scores()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{cycle, quick};

    fn histories() -> [History; 2] {
        [cycle("a", 700, 1), cycle("b", 500, 2)]
    }

    fn trained(config: &Config, previous: Option<&Artifact>) -> Artifact {
        train(&histories(), config, previous, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn a_cycle_is_learnt_and_beats_the_baselines_on_held_out_rows() {
        let artifact = trained(&quick(), None);
        for row in &artifact.scores().rows {
            let scores = row.with_lstm.unwrap();
            let (lstm, last, ewma) = (scores.lstm.unwrap(), scores.last, scores.ewma);
            if matches!(row.resource, Resource::Cpu | Resource::Disk) {
                assert!(lstm.pinball < 0.5 * last.pinball.min(ewma.pinball), "{row:?}");
                assert!(lstm.mae < 0.5 * last.mae.min(ewma.mae), "{row:?}");
            }
        }
        let forecast = [Resource::Cpu, Resource::Memory, Resource::Network, Resource::Disk];
        assert_eq!(artifact.resources(), forecast, "power was never measured");
    }

    #[test]
    fn the_same_seed_gives_the_same_weights_whatever_the_threads() {
        let mut config = quick();
        config.training.max_steps = 20;
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| train_here(&histories(), &config, None, &AtomicBool::new(false)))
                .unwrap()
        };
        let (one, two) = (on(1), on(2));
        assert_eq!((one.version(), one.scores()), (two.version(), two.scores()));
        config.training.seed = 2;
        assert_ne!(trained(&config, None).version(), one.version());
    }

    #[test]
    fn a_warm_start_needs_half_the_steps_and_is_not_worse() {
        let mut config = quick();
        let first = trained(&config, None);
        config.training.seed = 3;
        let second = trained(&config, Some(&first));
        assert_eq!(second.steps(), first.steps() / 2);
        let pinball = |artifact: &Artifact| artifact.scores().rows[0].with_lstm.unwrap().lstm.unwrap().pinball;
        assert!(
            pinball(&second) < 1.1 * pinball(&first),
            "{} {}",
            pinball(&second),
            pinball(&first)
        );
        config.training.hidden = 9;
        assert_eq!(
            trained(&config, Some(&first)).steps(),
            first.steps(),
            "another shape starts anew"
        );
    }

    #[test]
    fn too_little_history_and_a_stop_are_told() {
        let go = AtomicBool::new(false);
        let few = train(&[cycle("a", 150, 1)], &quick(), None, &go).unwrap_err();
        assert!(
            matches!(few, TrainError::TooFew { samples: 70, .. }) && few.is_transient(),
            "{few}"
        );
        assert!(matches!(
            train(&[], &quick(), None, &go),
            Err(TrainError::TooFew { samples: 0, .. })
        ));
        let stopped = train(&histories(), &quick(), None, &AtomicBool::new(true)).unwrap_err();
        assert!(matches!(stopped, TrainError::Stopped { steps: 0 }), "{stopped}");
        let wrong = Config { step_s: 0, ..quick() };
        assert!(matches!(
            train(&histories(), &wrong, None, &go),
            Err(TrainError::Config(_))
        ));
    }

    #[test]
    fn gaps_do_not_poison_the_weights() {
        let mut histories = histories();
        for (row, values) in histories[0].rows.iter_mut().enumerate() {
            if row % 5 == 0 {
                *values = [f32::NAN; 7];
            }
        }
        let artifact = train(&histories, &quick(), None, &AtomicBool::new(false)).unwrap();
        let scores = artifact.scores().rows[0].with_lstm.unwrap();
        assert!(scores.lstm.unwrap().pinball < scores.last.pinball, "{scores:?}");
    }
}
