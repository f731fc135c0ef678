//! One series: its experts, what each was worth lately, and the blend of them that is published.

mod horizon;
mod peaks;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use shadow::{Forecast, Peak, Resource, UnixMs};

use crate::{
    baseline::{Averages, Levels},
    score::{Board, Experts, Judged},
    spread::Spread,
    target::Target,
};
use horizon::{Horizon, Said};
use peaks::Peaks;
pub(crate) use peaks::RipePeak;

/// Errors over the scale of the whole fleet for one target and horizon, of the last value and of the average: what a
/// series starts from.
#[derive(Debug, Clone)]
pub(crate) struct FleetSpread(pub(crate) [Spread; 2]);

impl FleetSpread {
    pub(crate) fn new() -> Self {
        Self([Spread::guess(), Spread::guess()])
    }
}

/// A moment whose truths have not all come.
#[derive(Debug, Clone)]
struct Pending {
    made_ms: UnixMs,
    last: f32,
    scale: f32,
    /// Rows that were known then.
    known: usize,
    levels: Levels,
    recent: Option<[[f32; 4]; 3]>,
    said: Vec<Said>,
}

/// A target of a host with all that is known of its forecasts.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    resource: Resource,
    averages: Averages,
    horizons: Vec<Horizon>,
    pending: VecDeque<Pending>,
    peaks: Peaks,
    standing: Option<(f32, f32)>,
    /// The most that is ever forecast: a share's whole, or what was above it once.
    most: f32,
}

/// What a series has to go on at one moment, in its unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now<'a> {
    pub(crate) time_ms: UnixMs,
    /// The newest known value.
    pub(crate) last: f32,
    pub(crate) scale: f32,
    /// Rows of the last day that have a value.
    pub(crate) known: usize,
    /// The LSTM's quantiles by horizon; `None` when there is no LSTM for it.
    pub(crate) lstm: Option<&'a [[f32; 4]]>,
    /// Quantiles of the last hour, 4 hours and day.
    pub(crate) recent: Option<[[f32; 4]; 3]>,
}

/// A forecast whose truth has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ripe {
    pub(crate) truth: f32,
    pub(crate) scale: f32,
    pub(crate) experts: Experts,
    pub(crate) forecast: Forecast,
}

impl Series {
    pub(crate) fn new(target: &Target, horizons_s: &[u32], holds_s: &[u32], step_s: u32) -> Self {
        Self {
            resource: target.resource,
            averages: Averages::default(),
            horizons: horizons_s
                .iter()
                .map(|&seconds| Horizon::new(seconds, step_s))
                .collect(),
            pending: VecDeque::new(),
            peaks: Peaks::new(target.resource, holds_s),
            standing: None,
            most: match target.resource {
                Resource::Cpu | Resource::Memory => 1.0,
                Resource::Network | Resource::Disk | Resource::Power => f32::INFINITY,
            },
        }
    }

    /// Learns the baselines' errors from values that were there before the first forecast, oldest first, one a row, NaN =
    /// missing, with the scale at each row.
    pub(crate) fn learn_past(&mut self, values: &[f32], scales: &[f32]) {
        let mut past: Vec<(f32, Option<Levels>)> = Vec::with_capacity(values.len());
        for &value in values {
            self.averages.push(value);
            self.most = self.most.max(value);
            for horizon in &mut self.horizons {
                let Some(row) = past.len().checked_sub(horizon.rows) else {
                    continue;
                };
                if let (Some((last, Some(levels))), Some(scale)) = (past.get(row), scales.get(row))
                    && value.is_finite()
                    && last.is_finite()
                {
                    horizon.learn_errors(value, *last, levels, *scale);
                }
            }
            past.push((value, self.averages.levels()));
        }
    }

    /// Forecasts of when fewer than `rows` were known are judged by `scale`, which is what is known by now. Theirs was hardly
    /// more than a guess: an error over a scale that was far too small would be taken for a usual one, times what the scale
    /// really is.
    pub(crate) fn rescale(&mut self, rows: usize, scale: f32) {
        for pending in self.pending.iter_mut().filter(|pending| pending.known < rows) {
            pending.scale = scale;
        }
    }

    /// Forgets the forecasts that wait for their truth.
    pub(crate) fn rewind(&mut self) {
        self.pending.clear();
        self.peaks.rewind();
    }

    /// Takes in the values that came since, oldest first.
    pub(crate) fn push(&mut self, values: impl Iterator<Item = f32>) {
        for value in values {
            self.averages.push(value);
            self.most = self.most.max(value);
        }
    }

    /// Judges the forecasts that fell due after `since_ms` and up to `until_ms`.
    ///
    /// `truth` tells the value at a moment, if it is known; `target` is the place on the board. Returns the ripe forecasts,
    /// oldest first.
    pub(crate) fn judge(
        &mut self,
        since_ms: UnixMs,
        until_ms: UnixMs,
        truth: impl Fn(UnixMs) -> Option<f32>,
        fleet: &mut [FleetSpread],
        board: &mut Board,
        target: usize,
    ) -> Vec<Ripe> {
        let mut ripe = Vec::new();
        for pending in &self.pending {
            let each = self
                .horizons
                .iter_mut()
                .zip(&pending.said)
                .zip(fleet.iter_mut())
                .enumerate();
            for (index, ((horizon, said), fleet)) in each {
                let due_ms = horizon.due_ms(pending.made_ms);
                let due = since_ms < due_ms && due_ms <= until_ms;
                let Some(value) = due.then(|| truth(due_ms)).flatten() else {
                    continue;
                };
                let experts = Experts {
                    last: said.last,
                    blended: said.experts(pending.recent),
                };
                horizon.judge(value, pending, said, &experts.blended, fleet);
                board.add(
                    target,
                    index,
                    &Judged {
                        truth: value,
                        experts: &experts,
                        served: &said.published,
                        rung: said.rung,
                    },
                );
                let forecast = said.forecast(self.resource, pending.made_ms, horizon.seconds);
                ripe.push(Ripe {
                    truth: value,
                    scale: pending.scale,
                    experts,
                    forecast,
                });
            }
        }
        let horizons = &self.horizons;
        let open = |pending: &Pending| {
            horizons
                .iter()
                .any(|horizon| horizon.due_ms(pending.made_ms) > until_ms)
        };
        self.pending.retain(open);
        ripe
    }

    /// Judges the peaks of times that ended after `since_ms` and up to `until_ms`. `truth` tells the highest value after one
    /// moment up to another, if it is known.
    pub(crate) fn judge_peaks(
        &mut self,
        since_ms: UnixMs,
        until_ms: UnixMs,
        truth: impl Fn(UnixMs, UnixMs) -> Option<f32>,
    ) -> Vec<RipePeak> {
        self.peaks.judge(since_ms, until_ms, truth)
    }

    /// The peaks that the network's quantiles by hold make; `remember` keeps what was said once a minute.
    pub(crate) fn peaks(
        &mut self,
        (time_ms, step_ms): (UnixMs, i64),
        network: &[[f32; 6]],
        scale: f32,
        remember: bool,
    ) -> Vec<Peak> {
        self.peaks.say((time_ms, step_ms), network, scale, self.most, remember)
    }

    /// The last value and scale that a forecast was made from.
    pub(crate) const fn standing(&self) -> Option<(f32, f32)> {
        self.standing
    }

    /// Forecasts every horizon; `remember` keeps what was said, to be judged when the truths come.
    pub(crate) fn forecast(&mut self, now: &Now<'_>, fleet: &[FleetSpread], remember: bool) -> Vec<Forecast> {
        let Some(levels) = self.averages.levels() else {
            return Vec::new();
        };
        let said: Vec<Said> = self
            .horizons
            .iter()
            .zip(fleet)
            .enumerate()
            .map(|(index, (horizon, fleet))| {
                let lstm = now
                    .lstm
                    .and_then(|lstm| lstm.get(index))
                    .filter(|q| q.iter().all(|v| v.is_finite()));
                horizon.say(now, &levels, lstm.copied(), fleet, self.most)
            })
            .collect();
        let each = self.horizons.iter().zip(&said);
        let forecasts = each.map(|(horizon, said)| said.forecast(self.resource, now.time_ms, horizon.seconds));
        let forecasts = forecasts.collect();
        if remember {
            self.standing = Some((now.last, now.scale));
            self.pending.push_back(Pending {
                made_ms: now.time_ms,
                last: now.last,
                scale: now.scale,
                known: now.known,
                levels,
                recent: now.recent,
                said,
            });
        }
        forecasts
    }

    /// The network was replaced by one that may behave otherwise: what the old one showed counts half.
    pub(crate) fn doubt_lstm(&mut self) {
        self.horizons.iter_mut().for_each(Horizon::doubt_lstm);
    }
}
