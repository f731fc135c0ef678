//! Hosts made up for tests.

use std::ops::ControlFlow;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{Artifact, Config, History, train};

/// A host at 60 s rows whose jobs come every 20 minutes and last 7: cpu and disk follow them, memory drifts,
/// network is noise, power is not measured.
pub(crate) fn cycle(host: &str, count: usize, seed: u64) -> History {
    let mut random = StdRng::seed_from_u64(seed);
    let shift = seed as usize * 5;
    let rows = (0..count).map(|row| {
        let mut noise = |size: f32| size * (random.random::<f32>() - 0.5);
        let busy = if (row + shift) % 20 < 7 { 0.8 } else { 0.1 };
        let memory = 0.4 + row as f32 / 50_000.0 + noise(0.01);
        [
            busy + noise(0.05),
            memory,
            1e6 + noise(1e6),
            2e5,
            0.0,
            busy * 5e7,
            f32::NAN,
        ]
    });
    History {
        host: host.to_owned(),
        first_ms: 0,
        rows: rows.collect(),
        weights: Vec::new(),
    }
}

/// Settings for [`cycle`] that train in about a second.
pub(crate) fn quick() -> Config {
    let mut config = Config::for_step(60);
    config.horizons_s = vec![300, 600];
    config.training.hidden = 8;
    config.training.dense = 32;
    config.training.batch = 64;
    config.training.max_steps = 200;
    config.training.passes = 50;
    config.training.learning_rate = 1e-2;
    config
}

/// A network for [`cycle`]s.
pub(crate) fn artifact() -> Artifact {
    let histories = [cycle("a", 700, 1), cycle("b", 500, 2)];
    train(&histories, &quick(), None, &|_| ControlFlow::Continue(())).unwrap()
}
