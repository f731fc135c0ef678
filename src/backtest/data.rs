//! A recorded past on one grid, from traces or from what a brain has kept.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use brain::history::{Column, Database, History, Moment, Resolution};
use clap::{ArgGroup, Args};
use runtime::{Clock, Span, process::Usage};
use shadow::{Channel, UnixMs};

use crate::{
    lab::{self, Rates},
    query::place,
    trace::{self, Trace},
};

/// Where a past is read from, and what it is put on.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("source").required(true).args(["traces", "from_store"])))]
pub(crate) struct Source {
    /// Folder of trace CSVs, one a host (docs/traces.md)
    #[arg(long, value_name = "DIR")]
    pub(crate) traces: Option<PathBuf>,
    /// The rows that a brain has kept: its data folder, or postgres://USER@HOST:PORT/DATABASE
    #[arg(long, value_name = "PLACE")]
    from_store: Option<String>,
    /// File whose first line is the password of the database
    #[arg(long, value_name = "FILE", requires = "from_store")]
    password_file: Option<PathBuf>,
    /// From when on stored rows are read
    #[arg(long, value_name = "TIME", default_value = "30d", requires = "from_store")]
    since: Moment,
    /// Grid that the past is put on [default: that of most rows]
    #[arg(long, value_name = "SPAN")]
    step: Option<Span>,
    /// What byte rates are
    #[arg(long, value_enum, default_value_t = Rates::Auto)]
    pub(crate) rates: Rates,
}

/// Rows that are read from a database at a time.
const PAGE: usize = 50_000;

/// Steps that a grid is taken to have, in seconds.
const STEPS: [u32; 8] = [1, 2, 5, 10, 30, 60, 300, 600];

/// The most rows a host may have on the grid: a year of seconds.
const MAX_ROWS: usize = 32_000_000;

/// One moment, in the order of [`Channel::ALL`]; NaN where a channel is not told at all.
pub(crate) type Row = [f32; Channel::COUNT];

/// The past of all hosts.
pub(crate) struct Data {
    pub(crate) step_s: u32,
    /// By name.
    pub(crate) hosts: Vec<Host>,
    /// Those that any host tells.
    pub(crate) channels: Vec<Channel>,
    /// Whether rates are shares.
    pub(crate) normalised: bool,
}

/// The past of one host.
pub(crate) struct Host {
    pub(crate) name: String,
    /// When its first row was.
    pub(crate) start_ms: UnixMs,
    /// Without gaps: a missing value is the one before it.
    pub(crate) rows: Vec<Row>,
    /// The first row that is not learnt from.
    pub(crate) split: usize,
}

impl Host {
    /// What is known at `row`: it and all before it.
    pub(crate) fn until(&self, row: usize) -> &[Row] {
        self.rows.get(..=row).unwrap_or(&self.rows)
    }
}

/// Reads what is named, and tells the step of its grid in seconds.
pub(crate) async fn load(source: &Source) -> anyhow::Result<(Vec<Trace>, u32)> {
    let traces = match (&source.traces, &source.from_store) {
        (Some(folder), _) => trace::read_folder(folder)?,
        (None, Some(store)) => stored(store, source).await?,
        (None, None) => bail!(Usage("no past is named: --traces DIR or --from-store PLACE".to_owned())),
    };
    let step_s = match source.step {
        Some(step) => u32::try_from(step.as_secs()).unwrap_or(0),
        None => usual_step(&traces),
    };
    ensure!(
        (1..=3_600).contains(&step_s),
        Usage("--step: must be 1s to 1h".to_owned())
    );
    Ok((traces, step_s))
}

/// Puts traces on a grid.
pub(crate) fn gather(traces: &[Trace], step_s: u32, learnt: f64, rates: Rates) -> anyhow::Result<Data> {
    let normalised = lab::is_normalised(rates, traces);
    let mut hosts = Vec::new();
    for trace in traces {
        let rows = grid(trace, step_s)?.into_iter();
        let rows: Vec<Row> = rows.map(|row| row.map(|value| value as f32)).collect();
        hosts.push(Host {
            name: trace.host.clone(),
            start_ms: trace.times_ms.first().copied().unwrap_or(0),
            split: (learnt * rows.len() as f64) as usize,
            rows,
        });
    }
    let told = |channel: &Channel| traces.iter().any(|trace| trace.channels.contains(channel));
    Ok(Data {
        step_s,
        hosts,
        channels: Channel::ALL.into_iter().filter(told).collect(),
        normalised,
    })
}

/// The usual step that is closest to the median of the traces' own.
fn usual_step(traces: &[Trace]) -> u32 {
    let mut steps: Vec<i64> = traces.iter().map(Trace::step_ms).collect();
    steps.sort_unstable();
    let own = steps.get(steps.len() / 2).copied().unwrap_or(60_000);
    let off = |step_s: &u32| (1_000 * i64::from(*step_s) - own).abs();
    STEPS.into_iter().min_by_key(off).unwrap_or(60)
}

/// The last known value of each step; what is missing is the value before it, and 0 before the first.
pub(crate) fn grid(trace: &Trace, step_s: u32) -> anyhow::Result<Vec<[f64; Channel::COUNT]>> {
    let first_ms = trace.times_ms.first().copied().unwrap_or(0);
    let place = |time_ms: UnixMs| ((time_ms - first_ms) as f64 / (1e3 * f64::from(step_s))).round_ties_even() as usize;
    let count = trace.times_ms.last().map_or(0, |last_ms| place(*last_ms) + 1);
    ensure!(
        count <= MAX_ROWS,
        "{}: {count} rows of {step_s} s are too many; a wider --step has fewer",
        trace.host
    );
    let mut rows = vec![[f64::NAN; Channel::COUNT]; count];
    for (time_ms, values) in trace.times_ms.iter().zip(&trace.rows) {
        let Some(row) = rows.get_mut(place(*time_ms)) else {
            continue;
        };
        for (slot, value) in row.iter_mut().zip(values).filter(|(_, value)| value.is_finite()) {
            *slot = *value;
        }
    }
    let mut before = [f64::NAN; Channel::COUNT];
    for (channel, before) in Channel::ALL.iter().zip(&mut before) {
        if trace.channels.contains(channel) {
            *before = 0.0;
        }
    }
    for row in &mut rows {
        for (value, before) in row.iter_mut().zip(&mut before) {
            if value.is_finite() {
                *before = *value;
            } else {
                *value = *before;
            }
        }
    }
    Ok(rows)
}

/// The means that a brain has kept, as if they were traces.
async fn stored(store: &str, source: &Source) -> anyhow::Result<Vec<Trace>> {
    let database = if store.contains("://") {
        place::server(store.to_owned(), source.password_file.clone(), None)?
    } else {
        Database::of(&brain::Config {
            data_dir: PathBuf::from(store),
            ..brain::Config::default()
        })
    };
    let resolution = match source.step {
        Some(step) if step.as_secs() < 60 => Resolution::TenSeconds,
        _ => Resolution::Minute,
    };
    let mut history = History::open(&database).await?;
    let now_ms = Clock::system().now_ms();
    let within = source.since.at(now_ms)..now_ms;
    let columns = Column::means(None);
    let mut traces = Vec::new();
    for host in history.hosts().await?.rows {
        let mut trace = Trace {
            host: host.host,
            channels: Vec::new(),
            unknown: Vec::new(),
            times_ms: Vec::new(),
            rows: Vec::new(),
        };
        let mut from = within.start;
        loop {
            let span = from..within.end;
            let rows = history.page(&trace.host, &columns, &span, (resolution, PAGE)).await?;
            let Some(last_ms) = rows.begin_ms.last() else { break };
            from = last_ms + 1;
            for (at, begin_ms) in rows.begin_ms.iter().enumerate() {
                let mut row = [f64::NAN; Channel::COUNT];
                for (column, values) in rows.columns.iter().zip(&rows.values) {
                    if let (Some(slot), Some(value)) = (row.get_mut(column.channel.index()), values.get(at)) {
                        *slot = f64::from(*value);
                    }
                }
                trace.times_ms.push(*begin_ms);
                trace.rows.push(row);
            }
        }
        trace.channels = trace::told(&trace.rows);
        if trace.rows.len() > 1 {
            traces.push(trace);
        }
    }
    history.close().await?;
    ensure!(
        !traces.is_empty(),
        "{}: no rows are kept of that time; name another with --since and --until",
        Path::new(store).display()
    );
    Ok(traces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(times_ms: Vec<UnixMs>, cpu: &[f64]) -> Trace {
        let row = |cpu: &f64| {
            let mut row = [f64::NAN; Channel::COUNT];
            row[0] = *cpu;
            row
        };
        Trace {
            host: "a".to_owned(),
            channels: vec![Channel::Cpu, Channel::Memory],
            unknown: Vec::new(),
            times_ms,
            rows: cpu.iter().map(row).collect(),
        }
    }

    #[test]
    fn the_last_of_a_step_counts_and_gaps_take_what_was_before() {
        let trace = trace(vec![5_000, 64_000, 66_000, 245_000], &[0.1, 0.2, 0.3, 0.4]);
        assert_eq!(usual_step(std::slice::from_ref(&trace)), 60);
        let rows = grid(&trace, 60).unwrap();
        let cpu: Vec<f64> = rows.iter().map(|row| row[0]).collect();
        assert_eq!(cpu, [0.1, 0.3, 0.3, 0.3, 0.4]);
        assert!(
            rows[3][1] == 0.0 && rows[3][6].is_nan(),
            "memory is told but never known, power is not told"
        );
        let data = gather(&[trace], 60, 0.7, Rates::Auto).unwrap();
        assert_eq!((data.hosts[0].split, data.hosts[0].until(2).len()), (3, 3));
        assert_eq!(data.channels, [Channel::Cpu, Channel::Memory]);
    }
}
