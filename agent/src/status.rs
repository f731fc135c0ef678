//! `status/<vantage>`: whether an agent lives and what it costs, as flat JSON with bare numbers.

use std::fmt::Write;

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
