//! `status/<vantage>`: whether an agent lives and what it costs, as flat JSON with bare numbers.

use std::fmt::Write;

use rustix::time::{ClockId, clock_gettime};
use shadow::UnixMs;

use crate::publish::outbox::Outbox;

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

/// The JSON, at most about 250 bytes.
pub(crate) fn status(state: State, time_ms: UnixMs, outbox: &Outbox, cost: Cost) -> String {
    let word = match state {
        State::Online => "online",
        State::Offline => r#"offline","reason":"stopped"#,
    };
    let counters = outbox.counters;
    let numbers = [
        ("samples", counters.samples),
        ("frames", counters.frames),
        ("bytes", counters.bytes),
        ("spooled", outbox.spooled() as u64),
        ("dropped", counters.dropped),
        ("resent", counters.resent),
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

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}
