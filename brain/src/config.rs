//! What a person can set: `config/brain.toml` shows every key with its default.

use std::path::PathBuf;

use anomaly::residual;
pub use bus::Broker;
use runtime::{Faults, Span, Validate};
use serde::{Deserialize, Serialize};
use shadow::check_name;

use crate::watch::Budget;

mod hot;
mod page;
mod store;

pub use hot::Hot;
pub use page::{Page, ProxyLogin, Tls};
pub use store::Store;

/// The brain of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The cell that this brain rules: a topic level.
    pub cell: String,
    /// First level of all topics.
    pub prefix: String,
    /// Where the database, the models and the lock live. Made when it is not there.
    pub data_dir: PathBuf,
    /// Whether the fleet is told as a Sparkplug B edge node too, with a device a host: `spBv1.0/<cell>/...`.
    pub sparkplug: bool,
    /// How often it tells what has changed.
    pub sparkplug_every: Span,
    /// What moves the brain: not in the file, a lab sets it.
    #[serde(skip)]
    pub ticks: Ticks,
    /// How the broker is reached, and as whom.
    pub broker: Broker,
    /// Who this brain is and whom it believes. Without it commands have no seal, and whatever says that it comes from an
    /// agent is believed: for one machine, over loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<trust::Config>,
    /// Where the page listens, and who may do what there.
    pub page: Page,
    /// What is taken in.
    pub ingest: Ingest,
    /// The grid that readings are averaged onto.
    pub grid: Grid,
    /// What is kept in memory besides.
    pub hot: Hot,
    /// What is kept on disk, and for how long.
    pub store: Store,
    /// What is forecast, and when it is learnt.
    pub forecast: Forecast,
    /// When an unusual value is one.
    pub anomaly: Anomaly,
    /// Who is told of incidents.
    pub alerts: alerts::Config,
    /// When allocations are planned.
    pub allocate: Allocate,
}

/// What moves the brain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ticks {
    /// One tick each second of the system's clock.
    #[default]
    EverySecond,
    /// [`Handle::tick`](crate::Handle::tick) only: a lab's virtual time.
    Manual,
}

/// What is taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ingest {
    /// A sample this far ahead of the brain's clock is refused; `0s` refuses none (a lab's virtual time).
    pub max_ahead: Span,
    /// A host whose clock is off by more is told as an event; 0 tells of none.
    pub max_skew: Span,
    /// A host whose newest sample is older is called stale, and nothing of it is lowered.
    pub stale_after: Span,
    /// Further hosts are refused.
    pub max_hosts: usize,
    /// A host of which nothing has come for so long is forgotten, but for what the store keeps of it.
    pub forget_after: Span,
}

/// The grid that readings are averaged onto.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grid {
    /// Width of a row; also how often forecasts are made.
    pub step: Span,
    /// How much is kept in memory, and read back at a restart: what a forecast looks at, and `forecast.warm_up`.
    pub length: Span,
    /// How long after its end a row is closed, so that samples under way are in it.
    pub grace: Span,
}

/// What is forecast, and when it is learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Forecast {
    /// How far ahead, each a whole number of grid steps.
    pub horizons: Vec<Span>,
    /// How much of the newest past the network reads in sequence, 8 to 3,600 rows; without it an hour, or three on a grid of
    /// five minutes and more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// After a restart this much of the stored past is stepped through again, so that scores and
    /// calibration do not begin anew.
    pub warm_up: Span,
    /// How much of the past a training is given, as far as `store.keep_rollup_10s` has kept it.
    pub history: Span,
    /// Whether an LSTM is trained at all; without it the ladder ends at the EWMA.
    pub train: bool,
    /// A tick waits for the training that it started: the same result at any speed (a lab).
    pub wait: bool,
    /// How the network is trained.
    pub training: forecast::Training,
}

/// When an unusual value is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Anomaly {
    /// False alarms that are accepted of one host in a week, above 0.
    pub false_alarms_per_week: f64,
    /// An incident ends when nothing unusual has come for this long.
    pub quiet: Span,
}

/// When allocations are planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Allocate {
    /// How often.
    pub every: Span,
    /// How long a command holds.
    pub ttl: Span,
    /// The policy file; without one the built-in policy rules.
    pub policy: Option<PathBuf>,
    /// The brain starts frozen: nothing is changed until somebody lets it.
    pub frozen: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cell: "main".into(),
            prefix: "foreshadow".into(),
            data_dir: "data/brain".into(),
            sparkplug: false,
            sparkplug_every: Span::from_secs(1),
            ticks: Ticks::default(),
            broker: Broker::default(),
            trust: None,
            page: Page::default(),
            ingest: Ingest::default(),
            grid: Grid::default(),
            hot: Hot::default(),
            store: Store::default(),
            forecast: Forecast::default(),
            anomaly: Anomaly::default(),
            alerts: alerts::Config::default(),
            allocate: Allocate::default(),
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            max_ahead: Span::from_secs(300),
            max_skew: Span::from_secs(10),
            stale_after: Span::from_secs(20),
            max_hosts: 2_000,
            forget_after: Span::from_secs(30 * DAY_S),
        }
    }
}

impl Default for Grid {
    fn default() -> Self {
        Self {
            step: Span::from_secs(10),
            length: Span::from_secs(6 * 3_600),
            grace: Span::from_secs(2),
        }
    }
}

const DAY_S: u64 = 86_400;

impl Default for Forecast {
    fn default() -> Self {
        Self {
            horizons: [300, 600, 900].map(Span::from_secs).to_vec(),
            window: None,
            warm_up: Span::from_secs(7_200),
            history: Span::from_secs(3 * DAY_S),
            train: true,
            wait: false,
            training: forecast::Training::default(),
        }
    }
}

impl Default for Anomaly {
    fn default() -> Self {
        Self {
            false_alarms_per_week: 1.0,
            quiet: Span::from_secs(900),
        }
    }
}

impl Anomaly {
    /// As the detectors of readings take it: a fifth of the host's budget is theirs, and each resource has one.
    pub(crate) fn residuals(&self) -> residual::Config {
        residual::Config {
            false_alarms_per_week: 0.2 * self.false_alarms_per_week / shadow::Resource::ALL.len() as f64,
            quiet_ms: self.quiet.as_millis().unsigned_abs(),
        }
    }

    /// As the watch takes it.
    pub(crate) fn budget(&self) -> Budget {
        Budget {
            a_week: self.false_alarms_per_week,
            quiet_ms: self.quiet.as_millis(),
        }
    }
}

impl Default for Allocate {
    fn default() -> Self {
        Self {
            every: Span::from_secs(60),
            ttl: Span::from_secs(300),
            policy: None,
            frozen: false,
        }
    }
}

impl Allocate {
    /// As the loop takes it.
    pub(crate) fn timing(&self) -> crate::dispatch::Timing {
        crate::dispatch::Timing {
            every_ms: self.every.as_millis(),
            ttl_ms: self.ttl.as_millis().unsigned_abs(),
        }
    }
}

/// The longest ring of the grid, in rows: a week at 10 s.
const MAX_ROWS: i64 = 60_480;

impl Validate for Config {
    fn validate(&self, faults: &mut Faults) {
        faults.check(check_name(&self.cell), "cell");
        faults.check(bus::Topics::new(&self.prefix, "main"), "prefix");
        let data_dir = !self.data_dir.as_os_str().is_empty();
        faults.require(data_dir, "data_dir", "must name a folder");
        between(faults, "sparkplug_every", self.sparkplug_every, 1, 60);
        faults.within("broker", |faults| {
            self.broker.validate(faults);
        });
        if let Some(trust) = &self.trust {
            faults.within("trust", |faults| trust.validate(faults));
        }
        faults.within("page", |faults| self.page.validate(faults));
        faults.within("ingest", |faults| self.ingest.validate(faults));
        faults.within("grid", |faults| self.grid.validate(faults));
        faults.within("hot", |faults| self.hot.validate(faults));
        faults.within("store", |faults| self.store.validate(faults));
        faults.within("forecast", |faults| self.validate_forecast(faults));
        faults.within("anomaly", |faults| {
            let rate = self.anomaly.false_alarms_per_week;
            let sound = rate > 0.0 && rate <= 1_000.0;
            faults.require(sound, "false_alarms_per_week", "must be above 0 and at most 1000");
            between(faults, "quiet", self.anomaly.quiet, 1, DAY_S);
        });
        faults.within("alerts", |faults| self.alerts.validate(faults));
        faults.within("allocate", |faults| {
            let Allocate { every, ttl, .. } = self.allocate;
            between(faults, "every", every, 1, 3_600);
            faults.require(ttl >= every, "ttl", "must not be shorter than allocate.every");
            between(faults, "ttl", ttl, 1, DAY_S);
        });
    }
}

impl Ingest {
    fn validate(&self, faults: &mut Faults) {
        between(faults, "stale_after", self.stale_after, 1, DAY_S);
        faults.require(self.max_hosts > 0, "max_hosts", "must be at least 1");
        between(faults, "forget_after", self.forget_after, 60, 3_650 * DAY_S);
    }
}

impl Grid {
    fn validate(&self, faults: &mut Faults) {
        between(faults, "step", self.step, 1, 3_600);
        between(faults, "grace", self.grace, 0, 60);
        let whole = self.step.as_millis() % 1_000 == 0;
        faults.require(whole, "step", "must be a whole number of seconds");
        let rows = self.length.as_millis() / self.step.as_millis().max(1);
        let sound = (1..=MAX_ROWS).contains(&rows);
        faults.require(
            sound,
            "length",
            format!("must hold 1 to {MAX_ROWS} steps; it holds {rows}"),
        );
    }

    /// Width of a row in milliseconds, at least 1.
    pub(crate) fn step_ms(&self) -> i64 {
        self.step.as_millis().max(1)
    }
}

impl Config {
    fn validate_forecast(&self, faults: &mut Faults) {
        between(faults, "warm_up", self.forecast.warm_up, 0, DAY_S);
        between(faults, "history", self.forecast.history, 3_600, 366 * DAY_S);
        if let Err(error) = self.forecaster().validate() {
            for fault in error.faults {
                faults.add("", fault);
            }
        }
    }

    /// How far back every forecast can look, after a restart as well, which begins `forecast.warm_up` ago; at least half of
    /// what is held, at most a week, which is the longest of what is looked at.
    fn looked_back(&self) -> Span {
        let (held, warm_up) = (self.grid.length.as_secs(), self.forecast.warm_up.as_secs());
        let looked = held.saturating_sub(warm_up).max(held / 2).min(7 * DAY_S);
        Span::from_secs(looked.max(8 * self.grid.step.as_secs()))
    }

    /// What the forecaster is asked for.
    pub(crate) fn forecaster(&self) -> forecast::Config {
        let seconds = |span: &Span| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
        forecast::Config {
            step_s: seconds(&self.grid.step),
            horizons_s: self.forecast.horizons.iter().map(seconds).collect(),
            window_s: self.forecast.window.as_ref().map(seconds),
            lookback_s: Some(seconds(&self.looked_back())),
            training: self.forecast.training.clone(),
            ..forecast::Config::for_step(seconds(&self.grid.step))
        }
    }
}

fn between(faults: &mut Faults, key: &str, span: Span, least_s: u64, most_s: u64) {
    let (least, most) = (Span::from_secs(least_s), Span::from_secs(most_s));
    let sound = span >= least && span <= most;
    faults.require(sound, key, format!("must be {least} to {most}; it is {span}"));
}

#[cfg(test)]
mod tests;
