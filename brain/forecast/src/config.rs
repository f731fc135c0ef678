//! What is forecast, from which rows, and how the network is trained.

use serde::{Deserialize, Serialize};
use shadow::{Channel, Resource};

use crate::{error::ConfigError, target::Target};

/// Longest look back in rows: a week of minutes, so that the cost of a forecast does not depend on the grid.
const LOOKBACK_ROWS: usize = 7 * 1_440 + 1;

/// The longest of the statistics' windows and cycles.
const WEEK_S: u32 = 7 * 86_400;

/// The forecaster's settings. [`Default`] is for a grid of 10 s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Seconds between two rows, 1 to 3600.
    pub step_s: u32,
    /// How far ahead, in seconds, rising; each a multiple of `step_s`, one to eight of them.
    pub horizons_s: Vec<u32>,
    /// Over how long peaks are forecast, in seconds, rising; each a multiple of `step_s`, one to eight of them.
    pub holds_s: Vec<u32>,
    /// Seconds that the first LSTM reads; `None` chooses by the grid: one hour below 300 s, three hours from there on.
    pub window_s: Option<u32>,
    /// Seconds that a forecast looks back; `None`: a week, or 10,081 rows of a grid finer than a minute. Training
    /// looks no further than this either.
    pub lookback_s: Option<u32>,
    /// The channels that the network reads, in the order of [`Channel::ALL`].
    pub channels: Vec<Channel>,
    /// What is forecast, one to eight series.
    pub targets: Vec<Target>,
    /// Rates are shares already: 1 is the most that there can be of them.
    pub normalised: bool,
    /// How the network is trained.
    pub training: Training,
}

/// How the network is trained. The number of steps is bounded, so that training ends in time on any history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// Rows of the longest history that a first training needs.
    pub min_rows: usize,
    /// How often a sampled moment is shown, until `max_steps` is reached.
    pub passes: usize,
    /// Most steps of the optimiser, 1 to 100,000.
    pub max_steps: usize,
    /// Most moments of history that are sampled for training; about 2 KB each.
    pub max_samples: usize,
    /// Moments a step, 8 to 4096.
    pub batch: usize,
    /// Width of each LSTM's state, 4 to 512.
    pub hidden: usize,
    /// Width of the layers above it, 4 to 1024.
    pub dense: usize,
    /// Highest learning rate of the schedule.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Whether the network has LSTMs beside the statistics; without them one sees what they are worth.
    pub sequence: bool,
    /// Share of activations that is dropped in training, 0 to 0.9; of states, and of what LSTMs read, it is more.
    pub dropout: f64,
    /// Share of each history, at its end, that is kept from training and scored, 0.05 to 0.5; 0 scores nothing.
    pub held_out: f64,
    /// Seed of weights, order and dropout.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self::for_step(10)
    }
}

impl Default for Training {
    fn default() -> Self {
        Self {
            min_rows: 360,
            passes: 7,
            max_steps: 2_400,
            max_samples: 60_000,
            batch: 512,
            hidden: 64,
            dense: 256,
            learning_rate: 3e-3,
            weight_decay: 0.1,
            sequence: true,
            dropout: 0.1,
            held_out: 0.1,
            seed: 1,
        }
    }
}

impl Config {
    /// Forecasts 5, 10 and 15 min ahead (or one to three steps, on a coarser grid) from rows `step_s` apart.
    pub fn for_step(step_s: u32) -> Self {
        let unit = step_s.clamp(1, 3_600);
        let horizons_s = [300, 600, 900].map(|seconds: u32| seconds.div_ceil(unit) * unit);
        let horizons_s = if unit > 300 {
            [unit, 2 * unit, 3 * unit]
        } else {
            horizons_s
        };
        let holds_s = if unit > 300 {
            [unit, 3 * unit, 12 * unit]
        } else {
            [300, 900, 3_600].map(|seconds: u32| seconds.div_ceil(unit) * unit)
        };
        Self {
            step_s,
            horizons_s: horizons_s.to_vec(),
            holds_s: holds_s.to_vec(),
            window_s: None,
            lookback_s: None,
            channels: Channel::ALL.to_vec(),
            targets: Resource::ALL.map(Target::whole).to_vec(),
            normalised: false,
            training: Training::default(),
        }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults at once.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut faults = self.training.faults();
        let mut check = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        let step = self.step_s;
        check(
            (1..=3_600).contains(&step),
            format!("step_s = {step}: must be 1 to 3600"),
        );
        for (name, spans, most) in [
            ("horizons_s", &self.horizons_s, 1_024),
            ("holds_s", &self.holds_s, 3_600),
        ] {
            let count = spans.len();
            check(
                (1..=8).contains(&count),
                format!("{name} has {count} entries: must be 1 to 8"),
            );
            check(spans.is_sorted_by(|a, b| a < b), format!("{name}: must rise"));
            for &span in spans {
                let whole = span > 0 && span.checked_rem(step) == Some(0);
                check(whole, format!("{name}: {span} is not a multiple of step_s = {step}"));
                let rows = span / step.max(1);
                check(
                    rows <= most,
                    format!("{name}: {span} is {rows} rows ahead: must be at most {most}"),
                );
            }
        }
        let spans = [
            ("window_s", self.window_s, 3_600),
            ("lookback_s", self.lookback_s, LOOKBACK_ROWS),
        ];
        for (name, span, most) in spans {
            let rows = span.map_or(8, |span| span / step.max(1)) as usize;
            check(
                (8..=most).contains(&rows),
                format!("{name} is {rows} rows: must be 8 to {most}"),
            );
        }
        let channels = &self.channels;
        check(
            !channels.is_empty() && channels.is_sorted_by(|a, b| a.index() < b.index()),
            "channels: must be some of all, each once, in their order".to_owned(),
        );
        let count = self.targets.len();
        check(
            (1..=8).contains(&count),
            format!("targets has {count} entries: must be 1 to 8"),
        );
        for target in &self.targets {
            let read = target.channels.iter().all(|channel| channels.contains(channel));
            check(
                target.is_sound() && read,
                format!(
                    "targets: {target} must be made of channels of {} that are read",
                    target.resource
                ),
            );
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(ConfigError { faults })
        }
    }

    /// Rows of each host that a forecast makes use of, the newest first to be kept: callers hand over as many
    /// of them as they have.
    pub fn lookback_rows(&self) -> usize {
        let looked = rows(self.lookback_s.unwrap_or(WEEK_S), self.step_s) + 1;
        looked.min(LOOKBACK_ROWS).max(self.window_rows())
    }

    /// Rows that the LSTM reads.
    pub fn window_rows(&self) -> usize {
        match self.window_s {
            Some(window_s) => rows(window_s, self.step_s),
            None if self.step_s < 300 => rows(3_600, self.step_s),
            None => rows(10_800, self.step_s).max(12),
        }
    }

    /// Each horizon in rows.
    pub(crate) fn horizon_rows(&self) -> Vec<usize> {
        self.horizons_s
            .iter()
            .map(|&horizon| rows(horizon, self.step_s))
            .collect()
    }

    /// The farthest horizon in rows.
    pub(crate) fn farthest_rows(&self) -> usize {
        self.horizon_rows().into_iter().max().unwrap_or(1)
    }

    /// Whether `rows` of the longest history are enough for a first training.
    pub fn enough(&self, rows: usize) -> bool {
        rows >= self.rows_needed()
    }

    /// Rows of the longest history that a first training needs.
    pub fn rows_needed(&self) -> usize {
        self.training.min_rows.max(3 * self.farthest_rows() + 60)
    }

    /// How many rows the longest history should have for the next training, when it had `rows_at_last` at the
    /// last one (`None`: there was none): half as many again while history is short, later a day more. Rows
    /// are counted since the first one, whatever the store has dropped since.
    pub fn next_training(&self, rows_at_last: Option<usize>) -> usize {
        let day = rows(86_400, self.step_s);
        match rows_at_last {
            None => self.rows_needed(),
            Some(last) => self.rows_needed().max(last + (last / 2).clamp(1, day)),
        }
    }
}

impl Training {
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut whole = |name: &str, value: usize, low: usize, high: usize| {
            if !(low..=high).contains(&value) {
                faults.push(format!("training.{name} = {value}: must be {low} to {high}"));
            }
        };
        whole("min_rows", self.min_rows, 60, 10_000_000);
        whole("passes", self.passes, 1, 1_000);
        whole("max_steps", self.max_steps, 1, 100_000);
        whole("max_samples", self.max_samples, 100, 1_000_000);
        whole("batch", self.batch, 8, 4_096);
        whole("hidden", self.hidden, 4, 512);
        whole("dense", self.dense, 4, 1_024);
        let mut real = |name: &str, value: f64, low: f64, high: f64| {
            if !(low..=high).contains(&value) {
                faults.push(format!("training.{name} = {value}: must be {low} to {high}"));
            }
        };
        real("learning_rate", self.learning_rate, 1e-6, 1.0);
        real("weight_decay", self.weight_decay, 0.0, 1.0);
        real("dropout", self.dropout, 0.0, 0.9);
        if self.held_out != 0.0 {
            real("held_out", self.held_out, 0.05, 0.5);
        }
        faults
    }
}

/// `seconds` in rows of `step_s`, at least one.
pub(crate) fn rows(seconds: u32, step_s: u32) -> usize {
    (seconds / step_s.max(1)).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_scale_the_window() {
        for (step_s, window, lookback) in [
            (2, 1_800, 10_081),
            (10, 360, 10_081),
            (60, 60, 10_081),
            (300, 36, 2_017),
        ] {
            let config = Config::for_step(step_s);
            config.validate().unwrap();
            assert_eq!(
                (config.window_rows(), config.lookback_rows()),
                (window, lookback),
                "step {step_s}"
            );
        }
        assert_eq!(Config::for_step(600).horizons_s, [600, 1_200, 1_800]);
        Config::for_step(600).validate().unwrap();
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let mut config = Config {
            step_s: 7,
            ..Config::default()
        };
        config.training.dropout = f64::NAN;
        config.training.batch = 1;
        let told = config.validate().unwrap_err().to_string();
        for part in [
            "300 is not a multiple",
            "600 is not",
            "900 is not",
            "training.dropout = NaN",
            "training.batch = 1",
        ] {
            assert!(told.contains(part), "{part:?} is not in {told:?}");
        }
        assert!(
            Config {
                step_s: 0,
                ..Config::default()
            }
            .validate()
            .is_err()
        );
        assert!(
            Config {
                horizons_s: vec![],
                ..Config::default()
            }
            .validate()
            .is_err()
        );
        assert!(
            Config {
                horizons_s: vec![600, 300],
                ..Config::default()
            }
            .validate()
            .is_err()
        );
    }

    #[test]
    fn trainings_grow_rarer_then_daily() {
        let config = Config::default();
        assert!(!config.enough(359) && config.enough(360));
        assert_eq!(config.next_training(None), 360);
        assert_eq!(config.next_training(Some(1_000)), 1_500);
        assert_eq!(config.next_training(Some(100_000)), 108_640);
    }
}
