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

/// How many times rarer samples are at least while the agent takes too much memory.
const HEAVY: u32 = 10;

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
    memory_budget: u64,
    /// Whether the agent takes more memory than it may.
    heavy: bool,
    interval: Duration,
    quiet: u32,
    last: Vitals,
    /// What a sample costs, as a moving average, and the least distance that the budget allows at that.
    cost: Duration,
    affordable: Duration,
}

impl Pace {
    /// Begins at full rate.
    pub fn new(config: &config::Pace) -> Self {
        Self {
            min: config.min.duration(),
            max: config.max.duration(),
            budget: config.budget,
            memory_budget: config.memory_budget,
            heavy: false,
            interval: config.min.duration(),
            quiet: 0,
            last: Vitals::default(),
            cost: Duration::ZERO,
            affordable: Duration::ZERO,
        }
    }

    /// Takes note of a sample and of the time that taking it took; returns when to take the next one, from
    /// the begin of this one.
    pub fn next(&mut self, vitals: Vitals, cost: Duration) -> Duration {
        self.cost = (self.cost * 15 + cost) / 16;
        self.affordable = self.least();
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

    /// Takes note of the memory that the agent takes, in bytes: mostly of frames that wait for a broker that is away,
    /// which come more slowly when samples do. It is over until it is well below.
    pub fn memory(&mut self, bytes: u64) {
        let limit = if self.heavy {
            self.memory_budget / 10 * 9
        } else {
            self.memory_budget
        };
        self.heavy = self.memory_budget > 0 && bytes > limit;
    }

    /// The distance of samples as it is now.
    pub fn interval(&self) -> Duration {
        let light = if self.heavy { self.min * HEAVY } else { Duration::ZERO };
        self.interval.max(self.affordable).max(light.min(self.max))
    }

    /// Whether the next sample is due as soon as any.
    pub fn is_full(&self) -> bool {
        self.interval() <= self.min
    }

    /// Whether samples are rarer than wanted because they would cost too much.
    pub fn is_over_budget(&self) -> bool {
        self.heavy || self.affordable > self.min
    }

    /// A look between two samples showed that the host is awake: full rate at once.
    pub fn wake(&mut self) {
        self.quiet = 0;
        self.interval = self.min;
    }

    fn least(&self) -> Duration {
        Duration::try_from_secs_f64(self.cost.as_secs_f64() / self.budget).map_or(self.max, |least| least.min(self.max))
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

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Duration = Duration::from_micros(200);

    fn pace() -> Pace {
        Pace::new(&config::Pace::default())
    }

    fn vitals(cpu: f64) -> Vitals {
        Vitals {
            cpu: Some(cpu),
            memory: Some(0.5),
            pressure: Some(0.0),
            network: Some(1_000.0),
            disk: Some(0.0),
        }
    }

    #[test]
    fn too_much_memory_makes_samples_rare() {
        let mut pace = pace();
        assert_eq!(millis(&mut pace, vitals(0.9)), 100);
        pace.memory(17_000_000);
        assert_eq!(millis(&mut pace, vitals(0.9)), 1_000);
        assert!(pace.is_over_budget());
        pace.memory(15_900_000);
        assert!(pace.is_over_budget(), "not yet well below");
        pace.memory(14_000_000);
        assert_eq!(millis(&mut pace, vitals(0.9)), 100);
        let mut unbound = Pace::new(&config::Pace {
            memory_budget: 0,
            ..config::Pace::default()
        });
        unbound.memory(u64::MAX);
        assert!(!unbound.is_over_budget());
    }

    fn millis(pace: &mut Pace, vitals: Vitals) -> u128 {
        pace.next(vitals, CHEAP).as_millis()
    }

    /// A pace that has come to rest, and how long that took.
    fn at_rest() -> (Pace, Duration) {
        let mut pace = pace();
        let mut spent = Duration::ZERO;
        while pace.interval() < Duration::from_secs(5) {
            spent += pace.next(vitals(0.01), CHEAP);
        }
        (pace, spent)
    }

    #[test]
    fn a_quiet_host_comes_to_rest_step_by_step() {
        let (mut pace, spent) = at_rest();
        assert!((40..90).contains(&spent.as_secs()), "{spent:?}");
        assert_eq!(millis(&mut pace, vitals(0.01)), 5_000);
    }

    #[test]
    fn any_movement_brings_full_rate_with_the_next_sample() {
        let quiet = vitals(0.01);
        for moved in [
            vitals(0.5),
            vitals(0.08),
            Vitals {
                memory: Some(0.51),
                ..quiet
            },
            Vitals {
                pressure: Some(0.05),
                ..quiet
            },
            Vitals {
                network: Some(1e6),
                ..quiet
            },
            Vitals {
                disk: Some(1e6),
                ..quiet
            },
        ] {
            let (mut pace, _) = at_rest();
            assert_eq!(millis(&mut pace, moved), 100, "{moved:?}");
        }
        let (mut pace, _) = at_rest();
        pace.wake();
        assert_eq!(pace.interval().as_millis(), 100);
    }

    #[test]
    fn steady_load_stays_at_full_rate() {
        let mut pace = pace();
        assert!((0..1_000).all(|_| millis(&mut pace, vitals(0.4)) == 100));
    }

    #[test]
    fn what_is_not_known_is_no_movement() {
        let mut pace = pace();
        let last = (0..200).map(|_| millis(&mut pace, Vitals::default())).last();
        assert_eq!(last, Some(5_000));
        assert_eq!(millis(&mut pace, vitals(0.05)), 5_000);
    }

    #[test]
    fn samples_that_cost_too_much_get_rarer() {
        let mut pace = pace();
        assert!(!pace.is_over_budget());
        // 10 ms a sample at 1 % of a core: one a second.
        let last = (0..200)
            .map(|_| pace.next(vitals(0.9), Duration::from_millis(10)))
            .last();
        assert_eq!(last.map(|interval| interval.as_millis() / 10), Some(99));
        assert!(pace.is_over_budget());
        let last = (0..200).map(|_| pace.next(vitals(0.9), Duration::from_secs(9))).last();
        assert_eq!(last, Some(Duration::from_secs(5)), "never rarer than at rest");
        let last = (0..400).map(|_| pace.next(vitals(0.9), CHEAP)).last();
        assert_eq!((last, pace.is_over_budget()), (Some(Duration::from_millis(100)), false));
    }
}
