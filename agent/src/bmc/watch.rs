//! What is known of a BMC: written by the worker's thread, taken over by probes.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, mpsc},
    thread,
    time::{Duration, Instant},
};

use shadow::{Bound, Finding, Metric, Reading, SourceState};

use super::{
    BmcError,
    session::Address,
    timing::{CommandTime, Times},
    worker::Worker,
};

/// The most findings that wait for a probe to take them.
const MAX_FINDINGS: usize = 256;

/// Which BMC, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// The distance of scans.
    pub interval: Duration,
    /// How long a reply is waited for.
    pub deadline: Duration,
    /// Where is kept how far its event log was told; without it, what is written while no agent runs is not told.
    pub cursor: Option<PathBuf>,
}

/// A BMC that is being asked by a thread of its own, until the last copy of this is dropped.
#[derive(Clone)]
pub struct Watch {
    address: Arc<str>,
    state: Arc<Mutex<State>>,
    times: Times,
    /// The worker ends when this does.
    _end: mpsc::Sender<()>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.address).finish()
    }
}

impl Watch {
    /// Begins to ask. Returns at once: the first answers come within seconds, of a slow BMC within minutes.
    pub fn start(settings: Settings) -> Self {
        let (end, ended) = mpsc::channel();
        let watch = Self {
            address: settings.address.to_string().into(),
            state: Arc::default(),
            times: Times::default(),
            _end: end,
        };
        let worker = Worker::new(settings, watch.state.clone(), watch.times.clone(), ended);
        let spawned = thread::Builder::new()
            .name("bmc".to_owned())
            .spawn(move || worker.run());
        if let Err(fault) = spawned {
            watch.lock().fault = Some(BmcError::Open {
                what: format!("no thread to ask it from: {fault}"),
                state: SourceState::Failed,
            });
        }
        watch
    }

    /// Where the BMC is, for people.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The number of the layout, and what [`Watch::take`] reads. The layout changes with the BMC's sensors.
    ///
    /// # Errors
    /// Why there is none yet.
    pub fn metrics(&self) -> Result<(u64, Vec<Metric>), BmcError> {
        let state = self.lock();
        if state.layout > 0 {
            return Ok((state.layout, state.metrics.clone()));
        }
        let asked = BmcError::Open {
            what: "has not answered yet".to_owned(),
            state: SourceState::Failed,
        };
        Err(state.fault.clone().unwrap_or(asked))
    }

    /// The number of the layout now; 0 before the first answers.
    pub fn layout(&self) -> u64 {
        self.lock().layout
    }

    /// Takes over what is new since `seen`, which moves on; everything else is [`Reading::STALE`]. Does not wait:
    /// while the worker writes, all is stale once.
    pub fn take(&self, seen: &mut u64, out: &mut [Reading]) {
        out.fill(Reading::STALE);
        let Some(state) = self.try_lock() else { return };
        for (place, slot) in out.iter_mut().zip(&state.values) {
            if slot.at > *seen {
                *place = slot.reading;
            }
        }
        if let (Some(place), Some(scanned)) = (out.get_mut(Column::Age.index()), state.scanned) {
            *place = Reading::new(scanned.elapsed().as_secs_f64());
        }
        *seen = state.now;
    }

    /// What each command has taken so far.
    pub fn command_times(&self) -> Vec<CommandTime> {
        self.times.told()
    }

    /// Whether a scan has come to its end, or the last one failed.
    pub fn has_looked(&self) -> bool {
        let state = self.lock();
        state.scanned.is_some() || state.fault.is_some()
    }

    /// Whether it measures power (DCMI).
    pub fn has_power(&self) -> bool {
        self.lock().has_power
    }

    /// Watts of the whole machine (DCMI), if they are newer than `seen`, which moves on.
    pub fn power(&self, seen: &mut u64) -> Option<Reading> {
        let state = self.try_lock()?;
        let new = state.power.at > *seen;
        *seen = state.power.at.max(*seen);
        new.then_some(state.power.reading)
    }

    /// What the BMC is; `None` before its first answers.
    pub fn inventory(&self) -> Option<shadow::Bmc> {
        self.lock().inventory.clone()
    }

    /// How many sensors it names that other controllers have. They would have to be asked through a bridge, and are not.
    pub fn bridged(&self) -> usize {
        self.lock().bridged
    }

    /// Takes what it has found.
    pub fn take_findings(&self) -> Vec<Finding> {
        self.try_lock()
            .map(|mut state| std::mem::take(&mut state.findings))
            .unwrap_or_default()
    }

    /// One that no worker writes to, of a BMC that measures power.
    #[cfg(test)]
    pub(crate) fn idle() -> Self {
        let watch = Self {
            address: "bmc".into(),
            state: Arc::default(),
            times: Times::default(),
            _end: mpsc::channel().0,
        };
        watch.tell_power(0.0);
        watch
    }

    #[cfg(test)]
    pub(crate) fn tell_power(&self, watts: f64) {
        self.lock().put_power(Reading::new(watts));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(state)) => Some(state.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// One reading, and when it came: a number that rises with each.
#[derive(Debug, Clone, Copy)]
struct Slot {
    reading: Reading,
    at: u64,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            reading: Reading::STALE,
            at: 0,
        }
    }
}

/// Columns that every BMC has; its sensors follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Seconds since the last scan ended.
    Age,
    /// Seconds that the last scan took.
    Scan,
    /// Sensors that are left alone because they do not answer.
    Resting,
    /// 1 while the machine's power is on.
    On,
    /// Watts that the BMC keeps the machine below; absent without a limit.
    Limit,
    /// A sensor.
    Sensor(usize),
}

/// Names that no sensor may take.
pub(super) const TAKEN: [&str; 6] = ["age", "scan_time", "resting", "on", "power_limit", "power"];

impl Column {
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Age => 0,
            Self::Scan => 1,
            Self::Resting => 2,
            Self::On => 3,
            Self::Limit => 4,
            Self::Sensor(i) => 5 + i,
        }
    }

    fn fixed() -> Vec<Metric> {
        let metric = |name: &str, unit, step| Metric::new(format!("bmc.{name}"), unit, Bound::Absolute { step });
        vec![
            metric("age", "s", 0.5),
            metric("scan_time", "s", 0.1),
            metric("resting", "{sensor}", 1.0),
            metric("on", "1", 1.0),
            metric("power_limit", "W", 1.0),
        ]
    }
}

/// What is known.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Why the last turn failed.
    pub(super) fault: Option<BmcError>,
    pub(super) inventory: Option<shadow::Bmc>,
    /// Sensors of other controllers: they are not asked.
    pub(super) bridged: usize,
    layout: u64,
    metrics: Vec<Metric>,
    values: Vec<Slot>,
    /// Whether it has ever measured power.
    has_power: bool,
    power: Slot,
    scanned: Option<Instant>,
    findings: Vec<Finding>,
    /// Rises with each reading.
    now: u64,
}

impl State {
    /// Begins a new layout, of `sensors` behind the columns that every BMC has, unless it is the same.
    pub(super) fn lay_out(&mut self, sensors: Vec<Metric>) {
        let metrics = [Column::fixed(), sensors].concat();
        if metrics == self.metrics {
            return;
        }
        self.metrics = metrics;
        self.values = vec![Slot::default(); self.metrics.len()];
        self.layout += 1;
    }

    pub(super) const fn has_layout(&self) -> bool {
        self.layout > 0
    }

    pub(super) fn put(&mut self, column: Column, reading: Reading) {
        self.now += 1;
        if let Some(slot) = self.values.get_mut(column.index()) {
            *slot = Slot { reading, at: self.now };
        }
    }

    pub(super) fn put_power(&mut self, reading: Reading) {
        self.now += 1;
        self.power = Slot { reading, at: self.now };
        self.has_power |= reading.value().is_some();
    }

    /// After a scan that took `time`.
    pub(super) fn scanned(&mut self, time: Duration, resting: usize) {
        self.put(Column::Scan, Reading::new(time.as_secs_f64()));
        self.put(Column::Resting, Reading::new(resting as f64));
        self.scanned = Some(Instant::now());
    }

    /// Findings past the most that may wait are left out.
    pub(super) fn tell(&mut self, findings: impl IntoIterator<Item = Finding>) {
        let room = MAX_FINDINGS.saturating_sub(self.findings.len());
        self.findings.extend(findings.into_iter().take(room));
    }

    #[cfg(test)]
    pub(super) const fn has_power(&self) -> bool {
        self.has_power
    }

    /// What `column` holds, which is stale from then on.
    #[cfg(test)]
    pub(super) fn take_value(&mut self, column: Column) -> Reading {
        self.values
            .get_mut(column.index())
            .map_or(Reading::STALE, |slot| std::mem::take(slot).reading)
    }

    #[cfg(test)]
    pub(super) const fn findings_mut(&mut self) -> &mut Vec<Finding> {
        &mut self.findings
    }
}
