//! Values, capacities and moments of decision of a recorded past.

use anyhow::{Context, ensure};
use forecast::Target;
use shadow::{Channel, UnixMs};

use super::SimulateArgs;
use crate::{
    backtest::data::{self, Data},
    trace::Trace,
};

/// How long a limit holds, in seconds.
const INTERVAL_S: u32 = 300;

/// What is behind a host's first limit at least, in seconds: what a forecast looks back on and the longest peak, and an hour to
/// learn from.
const BEHIND_S: usize = 6 * 3_600;

/// Shares of a byte rate are of this quantile of what is before the first limit.
const HIGH: f64 = 0.999;

/// A past on a grid, with all that limits are made of.
pub(super) struct Past {
    pub(super) step_s: u32,
    /// Rows that one limit holds for.
    pub(super) rows: usize,
    pub(super) targets: Vec<Target>,
    pub(super) hosts: Vec<Host>,
    /// For the forecaster.
    pub(super) data: Data,
    /// Hosts without limits, and why.
    pub(super) left_out: Vec<String>,
}

/// The past of one host.
pub(super) struct Host {
    pub(super) name: String,
    pub(super) start_ms: UnixMs,
    /// By target: each row's value over its unit.
    pub(super) values: Vec<Vec<f64>>,
    /// By target: what 1 is in the trace's unit.
    pub(super) units: Vec<f64>,
    /// The first row of the scored part.
    pub(super) scored: usize,
    /// The row of the first decision; the others follow [`Past::rows`] apart.
    pub(super) first: usize,
    pub(super) len: usize,
}

impl Host {
    /// The rows of decisions: each is the last that is known, and the limit is for those behind it.
    pub(super) fn decisions(&self, rows: usize) -> impl Iterator<Item = usize> {
        (self.first..self.len - 1).step_by(rows)
    }
}

impl Past {
    /// Hosts that are too young, or do not tell a target, are left out.
    ///
    /// # Errors
    /// When the grid does not fit into five minutes, a target is told by none, or every host is left out.
    pub(super) fn new(traces: &[Trace], step_s: u32, arguments: &SimulateArgs) -> anyhow::Result<Self> {
        ensure!(
            INTERVAL_S.is_multiple_of(step_s),
            "rows of {step_s} s: limits hold for five minutes, which is no whole number of them: --step 1m, or another that divides five minutes"
        );
        let mut data = data::gather(traces, step_s, arguments.from, arguments.source.rates)?;
        let targets = targets(&data, &arguments.resources)?;
        let rows = (INTERVAL_S / step_s) as usize;
        let host = |trace: &Trace| host(trace, &data, rows, &targets, arguments);
        let (mut hosts, mut left_out) = (Vec::new(), Vec::new());
        for trace in traces {
            match host(trace) {
                Ok(host) => hosts.push(host),
                Err(why) => left_out.push(why.to_string()),
            }
        }
        ensure!(!hosts.is_empty(), "{}", left_out.join("; "));
        data.hosts
            .retain(|learnt| hosts.iter().any(|host| host.name == learnt.name));
        Ok(Self {
            step_s,
            rows,
            targets,
            hosts,
            data,
            left_out,
        })
    }
}

fn targets(data: &Data, asked: &[Target]) -> anyhow::Result<Vec<Target>> {
    let there = |target: &Target| target.channels.iter().all(|channel| data.channels.contains(channel));
    let targets: Vec<Target> = if asked.is_empty() {
        let all = shadow::Resource::ALL.map(Target::whole).into_iter();
        all.filter(there).collect()
    } else {
        asked.to_vec()
    };
    ensure!(
        !targets.is_empty(),
        "no host tells a whole resource: name one that is told with --resources"
    );
    for (place, target) in targets.iter().enumerate() {
        ensure!(there(target), "--resources: no host tells {target}; take it out");
        let doubled = targets
            .iter()
            .skip(place + 1)
            .any(|other| other.resource == target.resource);
        ensure!(
            !doubled,
            "--resources: {} is named twice; take one out",
            target.resource.as_str()
        );
    }
    Ok(targets)
}

fn host(trace: &Trace, data: &Data, rows: usize, targets: &[Target], arguments: &SimulateArgs) -> anyhow::Result<Host> {
    let grid = data::grid(trace, data.step_s)?;
    let len = grid.len();
    let scored = (arguments.scored_from * len as f64) as usize / rows * rows;
    let begin = (arguments.from * len as f64) as usize;
    // The last known row of an interval: (row + 1) is a multiple.
    let first = (begin + 1).div_ceil(rows) * rows - 1;
    ensure!(
        first < scored && scored + rows < len && first * data.step_s as usize >= BEHIND_S,
        "{}: {len} rows are too few, for six hours are to be behind the first limit; a later --from leaves more, or take a longer trace",
        trace.host
    );
    let (mut values, mut units) = (Vec::new(), Vec::new());
    for target in targets {
        let sum = |row: &[f64; Channel::COUNT]| {
            let known = target.channels.iter().filter_map(|channel| row.get(channel.index()));
            known.sum::<f64>()
        };
        let told: Vec<f64> = grid.iter().map(sum).collect();
        ensure!(
            told.iter().all(|value| value.is_finite()),
            "{}: it does not tell {target}; --resources names what is looked at",
            trace.host
        );
        let share = data.normalised || target.resource.unit() == "1";
        let unit = if share {
            1.0
        } else {
            high(told.get(..first).unwrap_or(&told))
        };
        values.push(told.iter().map(|value| value / unit).collect());
        units.push(unit);
    }
    Ok(Host {
        name: trace.host.clone(),
        start_ms: trace.times_ms.first().copied().context("a trace without a row")?,
        values,
        units,
        scored,
        first,
        len,
    })
}

/// The value that most of `values` are below; 1 where that is 0.
fn high(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = (HIGH * sorted.len().saturating_sub(1) as f64) as usize;
    sorted.get(place).copied().filter(|high| *high > 0.0).unwrap_or(1.0)
}

/// The highest of `values` within the last `rows` up to each row.
pub(super) fn running_max(values: &[f64], rows: usize) -> Vec<f64> {
    let mut found = Vec::with_capacity(values.len());
    let mut falling: std::collections::VecDeque<(usize, f64)> = std::collections::VecDeque::new();
    for (row, value) in values.iter().enumerate() {
        while falling.back().is_some_and(|(_, other)| other <= value) {
            falling.pop_back();
        }
        falling.push_back((row, *value));
        while falling.front().is_some_and(|(other, _)| other + rows <= row) {
            falling.pop_front();
        }
        found.push(falling.front().map_or(*value, |(_, high)| *high));
    }
    found
}
