//! The newest rows of each history are not learnt from, but forecast: what a network is worth on them.

use std::ops::ControlFlow;

use super::History;
use crate::{
    artifact::Artifact,
    config::Config,
    forecaster::{Forecaster, HostWindow},
    score::ScoreTable,
};

/// Longest part of the held-out rows that is scored, and most hosts in it.
const SCORED_ROWS: usize = 1_000;
const SCORED_HOSTS: usize = 8;

/// Rows at the end of a history that are not learnt from: enough to score the farthest horizon, or none at all.
pub(super) fn held_out(rows: usize, config: &Config) -> usize {
    if config.training.held_out <= 0.0 {
        return 0;
    }
    let share = (rows as f64 * config.training.held_out) as usize;
    share.max(config.farthest_rows() + 30).min(rows / 2)
}

/// Replays the held-out rows of some hosts through a forecaster with the new network. `watch` is told how many of how many
/// rows are done; `None` when it says stop.
pub(super) fn score(
    artifact: &Artifact,
    histories: &[History],
    config: &Config,
    watch: &dyn Fn(usize, usize) -> ControlFlow<()>,
) -> Option<ScoreTable> {
    let forecaster = Forecaster::new(config.clone()).ok();
    let adopted = forecaster.and_then(|mut forecaster| forecaster.adopt(artifact).ok().map(|()| forecaster));
    // Both hold for what was trained with these settings.
    let Some(mut forecaster) = adopted else {
        return Some(ScoreTable::default());
    };
    let every = histories.len().div_ceil(SCORED_HOSTS).max(1);
    let scored: Vec<&History> = histories.iter().step_by(every).collect();
    let held = |history: &History| held_out(history.rows.len(), config).min(SCORED_ROWS);
    let longest = scored.iter().map(|history| held(history)).max().unwrap_or(0);
    for back in (0..longest).rev() {
        if watch(longest - back, longest).is_break() {
            return None;
        }
        let begun = scored.iter().filter(|history| back < held(history));
        let windows = begun.map(|history| {
            let end = history.rows.len() - back;
            let from = end.saturating_sub(config.lookback_rows());
            HostWindow {
                host: &history.host,
                rows: history.rows.get(from..end).unwrap_or_default(),
            }
        });
        let time_ms = -(back as i64) * i64::from(config.step_s) * 1_000;
        forecaster.step(time_ms, &windows.collect::<Vec<_>>());
    }
    Some(forecaster.scores())
}
