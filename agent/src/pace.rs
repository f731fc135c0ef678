//! When to take the next sample. Pure.
//!
//! Full rate while anything moves: dropping samples under load loses the peaks and saves nothing, for a
//! sample costs some hundred microseconds. At rest the distance doubles, step by step, so that a host that
//! has just become quiet is still watched closely; one busy look brings the full rate back at once.

use std::time::Duration;

use crate::config;

/// A host whose CPU is busier is never at rest.
const BUSY: f64 = 0.10;

/// A change of the CPU's share that counts as movement. One tick of the kernel's accounting, 5 points of
/// two cores at 100 ms, does not.
const CPU_STEP: f64 = 0.06;

/// A change of the memory's share that counts as movement: it moves slowly.
const MEMORY_STEP: f64 = 0.002;

/// Share of time that something waited, above which a host is under pressure.
const PRESSURE: f64 = 0.02;

/// Bytes a second, of network or disk, below which traffic counts as none.
const TRAFFIC: f64 = 256.0 * 1024.0;

/// Quiet samples in a row after which the distance doubles.
const QUIET_SAMPLES: u32 = 10;

/// What tells whether a host moves; `None` where it is not known, which never counts as movement.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Vitals {
    /// Busy share of all cores.
    pub cpu: Option<f64>,
    /// Share of memory that is not available.
    pub memory: Option<f64>,
    /// The largest share of time that tasks waited for CPU, memory or disk.
    pub pressure: Option<f64>,
    /// Bytes a second received and sent.
    pub network: Option<f64>,
    /// Bytes a second read and written.
    pub disk: Option<f64>,
}

/// The present distance of samples.
#[derive(Debug, Clone)]
pub struct Pace {
    min: Duration,
    max: Duration,
    budget: f64,
    interval: Duration,
    quiet: u32,
    last: Vitals,
    /// What a sample costs, as a moving average.
    cost: Duration,
}

impl Pace {
    /// Begins at full rate.
    pub fn new(config: &config::Pace) -> Self {
        Self {
            min: config.min.duration(),
            max: config.max.duration(),
            budget: config.budget,
            interval: config.min.duration(),
            quiet: 0,
            last: Vitals::default(),
            cost: Duration::ZERO,
        }
    }

    /// Takes note of a sample and of the time that taking it took; returns when to take the next one, from
    /// the begin of this one.
    pub fn next(&mut self, vitals: Vitals, cost: Duration) -> Duration {
        self.cost = (self.cost * 15 + cost) / 16;
        let moved = vitals.is_busy() || vitals.moved_since(&self.last);
        self.last = vitals;
        self.quiet = if moved { 0 } else { self.quiet + 1 };
        if moved {
            self.interval = self.min;
        } else if self.quiet >= QUIET_SAMPLES {
            self.quiet = 0;
            self.interval = (self.interval * 2).min(self.max);
        }
        self.interval()
    }

    /// The distance of samples as it is now.
    pub fn interval(&self) -> Duration {
        self.interval.max(self.affordable())
    }

    /// Whether samples are rarer than wanted because they would cost too much.
    pub fn is_over_budget(&self) -> bool {
        self.affordable() > self.min
    }

    /// A look between two samples showed that the host is awake: full rate at once.
    pub fn wake(&mut self) {
        self.quiet = 0;
        self.interval = self.min;
    }

    fn affordable(&self) -> Duration {
        self.cost.div_f64(self.budget).min(self.max)
    }
}

impl Vitals {
    /// Whether the host is at work, however steadily.
    pub fn is_busy(&self) -> bool {
        let above = |value: Option<f64>, limit| value.is_some_and(|v| v >= limit);
        above(self.cpu, BUSY)
            || above(self.pressure, PRESSURE)
            || above(self.network, TRAFFIC)
            || above(self.disk, TRAFFIC)
    }

    /// Whether it is not as it was.
    fn moved_since(&self, last: &Self) -> bool {
        let moved =
            |now: Option<f64>, then: Option<f64>, step| now.zip(then).is_some_and(|(a, b)| (a - b).abs() >= step);
        moved(self.cpu, last.cpu, CPU_STEP) || moved(self.memory, last.memory, MEMORY_STEP)
    }
}
