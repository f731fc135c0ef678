//! Walk-forward forecasts of the peak: the network learns from what is before the first limit, and anew as time goes on, from
//! all that was until then. What it says of a moment it says from that moment's row and those before it.

use std::{ops::Range, time::Instant};

use forecast::{Artifact, Config, Forecaster, History, HostForecasts, HostWindow, TrainError, train};
use limits::{HOLDS_MIN, Needs, QUANTILES};
use runtime::{bar::Bar, output::print_line};

use super::{
    SimulateArgs,
    past::{self, Past, running_max},
};
use crate::backtest::{
    bar,
    data::{Data, Host},
};

/// Most moments that are learnt from: 300 MB of features.
const MAX_SAMPLES: usize = 200_000;

/// Peaks of one moment, by hold, then by quantile, in the trace's unit.
pub(super) type Peaks = [[f32; QUANTILES.len()]; HOLDS_MIN.len()];

/// What was said of every host at every moment of decision.
pub(super) struct Said {
    /// By host, then by target, then by decision; `None` where no network has told.
    peaks: Vec<Vec<Vec<Option<Peaks>>>>,
}

impl Said {
    /// Nothing is said yet.
    pub(super) fn new(past: &Past) -> Self {
        let of_host = |host: &past::Host| vec![vec![None; host.decisions(past.rows).count()]; past.targets.len()];
        Self {
            peaks: past.hosts.iter().map(of_host).collect(),
        }
    }

    /// Where the peaks of a host's target at a row are kept; `None` where nothing is decided.
    pub(super) fn slot(&mut self, past: &Past, host: usize, target: usize, row: usize) -> Option<&mut Option<Peaks>> {
        let behind = row.checked_sub(past.hosts.get(host)?.first)?;
        let slots = self.peaks.get_mut(host)?.get_mut(target)?;
        slots
            .get_mut(behind / past.rows)
            .filter(|_| behind.is_multiple_of(past.rows))
    }

    /// The peaks of a host's target, by decision.
    pub(super) fn peaks(&self, host: usize, target: usize) -> &[Option<Peaks>] {
        self.peaks
            .get(host)
            .and_then(|targets| targets.get(target))
            .map_or(&[], Vec::as_slice)
    }

    /// What a host's target needs in its unit, by decision: the peaks, or the last one for all of them where none are told.
    pub(super) fn needs(&self, past: &Past, host: usize, target: usize) -> Vec<Needs> {
        let Some(of) = past.hosts.get(host) else {
            return Vec::new();
        };
        let (values, unit) = (of.values.get(target), of.units.get(target).copied().unwrap_or(1.0));
        let last = running_max(values.map_or(&[], Vec::as_slice), past.rows);
        let decisions = of.decisions(past.rows).zip(self.peaks(host, target));
        let needs = decisions.map(|(row, peaks)| {
            let last = last.get(row).copied().unwrap_or(0.0);
            let told = peaks.map(|peaks| peaks.map(|quantiles| quantiles.map(|value| f64::from(value) / unit)));
            Needs {
                peaks: told.unwrap_or([[last; QUANTILES.len()]; HOLDS_MIN.len()]),
                last,
            }
        });
        needs.collect()
    }
}

/// Trains and steps through the past.
pub(super) fn walk(arguments: &SimulateArgs, past: &Past) -> anyhow::Result<Said> {
    let config = config(arguments, past)?;
    let mut forecaster = Forecaster::new(config.clone())?;
    let mut said = Said::new(past);
    let mut take = |host: usize, made: &HostForecasts| {
        for (place, target) in past.targets.iter().enumerate() {
            let of_target = made.peaks.iter().filter(|peak| peak.resource == target.resource);
            let peaks: Vec<&shadow::Peak> = of_target.collect();
            let row = peaks.first().and_then(|peak| row_of(past, peak.made_ms));
            if let Some(slot) = row.and_then(|row| said.slot(past, host, place, row)) {
                *slot = by_hold(&peaks);
            }
        }
    };
    let end = past.hosts.iter().map(|host| host.len).max().unwrap_or(0);
    let begin = past.data.hosts.iter().map(|host| host.split).min().unwrap_or(0);
    let every = ((arguments.retrain * end as f64) as usize).max(past.rows);
    let mut previous: Option<Artifact> = None;
    let started = Instant::now();
    for from in (begin..end).step_by(every) {
        if !arguments.without_lstm {
            let artifact = learn(&past.data, &config, from, previous.as_ref())?;
            forecaster.adopt(&artifact)?;
            print_line(&format!(
                "network  {} of {} steps from {} moments before row {from}, after {:.0} s",
                artifact.version(),
                artifact.steps(),
                artifact.data().samples,
                started.elapsed().as_secs_f64()
            ))?;
            previous = Some(artifact);
        }
        step(&past.data, &mut forecaster, from..end.min(from + every), &mut take);
    }
    print_line(&format!(
        "replay   {} rows, after {:.0} s",
        end - begin,
        started.elapsed().as_secs_f64()
    ))?;
    Ok(said)
}

/// Trains on what all hosts have behind them at `row`, and goes on from `previous`, as a brain does.
fn learn(data: &Data, config: &Config, row: usize, previous: Option<&Artifact>) -> Result<Artifact, TrainError> {
    let history = |host: &Host| History {
        host: host.name.clone(),
        first_ms: 0,
        rows: host.rows.get(..row).unwrap_or(&host.rows).to_vec(),
        weights: Vec::new(),
    };
    let histories: Vec<History> = data.hosts.iter().map(history).collect();
    let bar = Bar::new();
    train(&histories, config, previous, &|progress| bar::train(&bar, progress))
}

/// Steps through `rows` behind each host's first part.
fn step(data: &Data, forecaster: &mut Forecaster, rows: Range<usize>, take: &mut impl FnMut(usize, &HostForecasts)) {
    let (begin, all, bar) = (rows.start, rows.len(), Bar::new());
    for row in rows {
        bar.tell(row + 1 - begin, all, "rows");
        let there = |(_, host): &(usize, &Host)| (host.split..host.rows.len()).contains(&row);
        let hosts: Vec<(usize, &Host)> = data.hosts.iter().enumerate().filter(there).collect();
        let windows = hosts.iter().map(|(_, host)| HostWindow {
            host: &host.name,
            rows: host.until(row),
        });
        // Every host begins at 0.
        let time_ms = row as i64 * i64::from(data.step_s) * 1_000;
        let made = forecaster.step(time_ms, &windows.collect::<Vec<_>>());
        for ((host, _), made) in hosts.iter().zip(&made) {
            take(*host, made);
        }
    }
}

fn config(arguments: &SimulateArgs, past: &Past) -> anyhow::Result<Config> {
    let mut config = Config::for_step(past.step_s);
    config.holds_s = HOLDS_MIN.map(|minutes| 60 * minutes).to_vec();
    config.channels.clone_from(&past.data.channels);
    config.targets.clone_from(&past.targets);
    config.normalised = past.data.normalised;
    config.training.seed = arguments.seed;
    config.training.held_out = 0.0;
    config.training.max_samples = MAX_SAMPLES;
    config.training.max_steps = arguments.steps.unwrap_or(100_000);
    config.validate()?;
    Ok(config)
}

fn row_of(past: &Past, made_ms: i64) -> Option<usize> {
    usize::try_from(made_ms / 1_000 / i64::from(past.step_s)).ok()
}

fn by_hold(peaks: &[&shadow::Peak]) -> Option<Peaks> {
    let mut found: Peaks = [[0.0; QUANTILES.len()]; HOLDS_MIN.len()];
    for (minutes, slot) in HOLDS_MIN.into_iter().zip(&mut found) {
        let peak = peaks.iter().find(|peak| peak.hold_s == 60 * minutes)?;
        *slot = peak.quantiles.map(|value| value as f32);
    }
    Some(found)
}
