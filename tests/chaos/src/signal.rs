//! What the agents measure: a function of host, metric and time, so that whoever knows these can check a value.

use shadow::{Bound, Catalogue, Channel, Metric, Reading, UnixMs, metric::channel_metric, rate::per_second};

/// The time that rates are over, in microseconds.
pub(crate) const GAP_US: u32 = 200_000;
/// Metrics beside the channels.
const OTHERS: usize = 23;

/// What every host tells: all channels, and some of each kind beside them.
pub(crate) fn catalogue() -> Catalogue {
    let channels = Channel::ALL.into_iter().map(channel_metric);
    let others = (0..OTHERS).map(|n| {
        let name = format!("other.{n}");
        match n % 4 {
            0 => Metric::share(name),
            1 => Metric::rate(name, "1/s", 1.0),
            2 => Metric::new(name, "1", Bound::Absolute { step: 1.0 }),
            _ => Metric::new(name, "By", Bound::Absolute { step: 1e6 }),
        }
    });
    Catalogue::new(channels.chain(others).collect())
}

/// All readings of a host at a moment. Some are missing now and then.
pub(crate) fn row(host: usize, time_ms: UnixMs, metrics: usize) -> Vec<Reading> {
    (0..metrics).map(|metric| reading(host, metric, time_ms)).collect()
}

fn reading(host: usize, metric: usize, time_ms: UnixMs) -> Reading {
    let noise = noise(host, metric, time_ms);
    if noise.is_multiple_of(211) {
        return Reading::STALE;
    }
    let seconds = time_ms as f64 / 1e3;
    // Each metric has a pace of its own; most of the time it hardly moves.
    let phase = host as f64 * 1.7 + metric as f64 * 0.9;
    let wave = (seconds / (20.0 + metric as f64) + phase).sin();
    let level = 0.5
        + 0.3 * wave
        + if noise.is_multiple_of(16) {
            (noise >> 8) as f64 / f64::from(1 << 25)
        } else {
            0.0
        };
    Reading::new(match metric {
        0 | 1 => (level * 1e6).round() * 1e-6,
        2 | 3 => per_second((level * 1e5).round(), 1.0, GAP_US),
        4 | 5 => per_second((level * 300.0).round(), 512.0, GAP_US),
        6 => (level * 200e3).round() * 1e-3,
        _ => match (metric - 7) % 4 {
            0 => level,
            1 => level * 5e4,
            2 => (level * 12.0).round(),
            _ => level * 8e9,
        },
    })
}

/// 32 bits that look random (`SplitMix64`'s finaliser).
fn noise(host: usize, metric: usize, time_ms: UnixMs) -> u64 {
    let mut x = (host as u64) << 48 ^ (metric as u64) << 40 ^ time_ms.unsigned_abs();
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ x >> 31) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_same_each_time_and_differ_between_hosts() {
        let metrics = catalogue().len();
        let rows = |host| -> Vec<Vec<Reading>> { (0..500).map(|i| row(host, i * 200, metrics)).collect() };
        assert_eq!(rows(3), rows(3));
        assert_ne!(rows(3), rows(4));
        let missing = rows(3)
            .concat()
            .iter()
            .filter(|reading| reading.missing().is_some())
            .count();
        assert!((10..300).contains(&missing), "{missing}");
        assert!(
            rows(3)
                .concat()
                .iter()
                .all(|reading| reading.value().is_none_or(|value| value >= 0.0))
        );
    }
}
