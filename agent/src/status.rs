//! `status/<vantage>`: whether an agent lives and what it costs, as flat JSON with bare numbers.

use std::{fmt::Write, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use shadow::UnixMs;

use crate::publish::outbox::Outbox;

/// The time between two looks at what samples cost.
const LOOK_NS: u64 = 1_000_000_000;

/// Whether the agent lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Online,
    Offline,
}

/// What an agent costs its host, and how well it keeps up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// The present distance of samples, in milliseconds.
    pub interval_ms: u64,
    /// The longest that a sample came late since the last report, in milliseconds.
    pub lag_ms: u64,
    /// Cores used by the process since the last report.
    pub cpu: f64,
    /// Bytes of the process in memory.
    pub rss_bytes: u64,
}

/// The JSON: some 250 bytes, strings without anything to escape.
pub(crate) fn status(state: State, time_ms: UnixMs, outbox: &Outbox, cost: Cost) -> String {
    let word = match state {
        State::Online => "online",
        State::Offline => r#"offline","reason":"stopped"#,
    };
    let counters = outbox.counters;
    let numbers = [
        ("samples", counters.samples),
        ("frames", counters.frames),
        ("events", counters.events),
        ("bytes", counters.bytes),
        ("spooled", outbox.spooled() as u64),
        ("spooled_bytes", outbox.spooled_bytes() as u64),
        ("disk_bytes", outbox.disk_bytes()),
        ("spool_faults", outbox.failing() as u64),
        ("dropped", counters.dropped),
        ("resent", counters.resent),
        ("commands_refused", counters.commands_refused),
        ("interval_ms", cost.interval_ms),
        ("lag_ms", cost.lag_ms),
        ("rss_bytes", cost.rss_bytes),
    ];
    let mut json = format!(r#"{{"state":"{word}","time_ms":{time_ms},"cpu":{:.4}"#, cost.cpu);
    for (key, value) in numbers {
        // Writing to a string cannot fail.
        write!(json, r#","{key}":{value}"#).ok();
    }
    json.push('}');
    json
}

/// Measures what this process costs: CPU time by its clock, memory by `/proc/self/status`.
///
/// Where other parts of foreshadow live in the same process, they are part of it.
#[derive(Debug)]
pub(crate) struct Meter {
    last: Option<(u64, u64)>,
}

impl Meter {
    pub(crate) const fn new() -> Self {
        Self { last: None }
    }

    /// Cores used since the last call, 0 at first, and bytes in memory, 0 where that is not told.
    pub(crate) fn read(&mut self, now_ns: u64) -> (f64, u64) {
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        let spent_ns = spent.tv_sec.unsigned_abs() * 1_000_000_000 + spent.tv_nsec.unsigned_abs();
        let last = self.last.replace((spent_ns, now_ns));
        let cores = last
            .filter(|&(_, then_ns)| now_ns > then_ns)
            .map_or(0.0, |(before_ns, then_ns)| {
                spent_ns.saturating_sub(before_ns) as f64 / (now_ns - then_ns) as f64
            });
        (cores, resident_bytes().unwrap_or(0))
    }
}

/// Measures what a sample costs: CPU time of the thread that takes it. Not the time that passes: a host under load, where a
/// sample waits for a core, is to be seen closest.
///
/// Other than all other clocks, that of a thread is a call into the kernel. So it is looked at once a second.
#[derive(Debug, Default)]
pub(crate) struct SampleMeter {
    spent: Duration,
    looked_ns: u64,
    /// Since it was looked at.
    samples: u32,
    cost: Duration,
}

impl SampleMeter {
    /// Behind each sample: what one cost on average before the last look.
    pub(crate) fn next(&mut self, now_ns: u64) -> Duration {
        self.samples += 1;
        if now_ns.saturating_sub(self.looked_ns) >= LOOK_NS {
            self.looked_ns = now_ns;
            let now = clock_gettime(ClockId::ThreadCPUTime);
            let now = Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0));
            let spent = now.saturating_sub(std::mem::replace(&mut self.spent, now));
            self.cost = spent / std::mem::take(&mut self.samples);
        }
        self.cost
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Bounds;

    #[test]
    fn the_status_is_flat_json_with_bare_numbers() {
        let cost = Cost {
            interval_ms: 100,
            lag_ms: 2,
            cpu: 0.001_25,
            rss_bytes: 4096,
        };
        let outbox = Outbox::new(Bounds {
            memory: 1_000,
            disk: 0,
            mirrored: false,
        });
        assert_eq!(
            status(State::Online, 1_700_000_000_000, &outbox, cost),
            r#"{"state":"online","time_ms":1700000000000,"cpu":0.0013,"samples":0,"frames":0,"events":0,"bytes":0,"spooled":0,"spooled_bytes":0,"disk_bytes":0,"spool_faults":0,"dropped":0,"resent":0,"commands_refused":0,"interval_ms":100,"lag_ms":2,"rss_bytes":4096}"#
        );
        let offline = status(State::Offline, 5, &outbox, Cost::default());
        assert!(
            offline.starts_with(r#"{"state":"offline","reason":"stopped","time_ms":5,"#),
            "{offline}"
        );
    }

    #[test]
    fn this_process_costs_something() {
        let mut meter = Meter::new();
        assert_eq!(meter.read(1_000).0, 0.0);
        let spin: u64 = (0..2_000_000_u64).fold(0, |sum, n| sum ^ n.wrapping_mul(sum | 3));
        let (cores, rss_bytes) = meter.read(2_000 + spin % 2);
        assert!(cores > 0.0);
        assert!(rss_bytes > 100_000, "{rss_bytes}");
    }

    #[test]
    fn what_a_sample_costs_is_looked_at_once_a_second() {
        let mut meter = SampleMeter::default();
        assert_eq!(meter.next(LOOK_NS - 1), Duration::ZERO);
        let spin: u64 = (0..2_000_000_u64).fold(0, |sum, n| sum ^ n.wrapping_mul(sum | 3));
        let cost = meter.next(LOOK_NS + spin % 2);
        assert!(cost > Duration::ZERO);
        assert_eq!(meter.next(LOOK_NS + 100), cost);
        assert!(meter.next(3 * LOOK_NS) < cost, "two samples, and hardly any work");
    }
}
