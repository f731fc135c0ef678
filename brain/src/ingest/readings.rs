//! A decoded frame to what the hot store keeps: channels and the uses of workloads.

use shadow::{Birth, Block, Channel, Resource, UnixMs, birth::workload_metric};

use crate::store::memory::{Channels, Readings, Use};

/// The time that a first sample tells of, when nothing says better.
const USUAL_SPAN_MS: i64 = 1_000;

/// Where an epoch has what the hot store keeps, and when its last sample was.
#[derive(Debug)]
pub(super) struct Columns {
    channels: [Option<usize>; Channel::COUNT],
    workloads: Vec<(String, [Option<usize>; 2])>,
    /// Sequence of the newest frame, and when its last sample was taken.
    newest: Option<(u64, UnixMs)>,
    span_ms: i64,
}

impl Columns {
    pub(super) fn new(birth: &Birth) -> Self {
        let column = |workload: &str, resource| birth.catalogue.column(&workload_metric(workload, resource));
        let workload = |workload: &shadow::Workload| {
            let name = workload.name.clone();
            let columns = [Resource::Cpu, Resource::Memory].map(|resource| column(&name, resource));
            (name, columns)
        };
        Self {
            channels: birth.catalogue.channel_columns(),
            workloads: birth.workloads.iter().map(workload).collect(),
            newest: None,
            span_ms: USUAL_SPAN_MS,
        }
    }

    /// The readings of the frame with this sequence.
    pub(super) fn read(&mut self, sequence: u64, block: &Block) -> Readings {
        let rows = 0..block.len();
        let value = |column: Option<usize>, row: usize| {
            let reading = column.and_then(|c| block.columns.get(c)).and_then(|c| c.get(row));
            reading.map_or(f64::NAN, |reading| reading.or_nan())
        };
        let channels = |row| -> Channels { self.channels.map(|column| value(column, row)) };
        let uses = |columns: [Option<usize>; 2]| -> Vec<Use> {
            let row = |row| columns.map(|column| value(column, row));
            rows.clone().map(row).collect()
        };
        Readings {
            channels: rows.clone().map(channels).collect(),
            workloads: self
                .workloads
                .iter()
                .map(|(name, columns)| (name.clone(), uses(*columns)))
                .collect(),
            times: self.spans(sequence, &block.times_ms),
        }
    }

    /// An event has this sequence: it tells of no time.
    pub(super) fn skip(&mut self, sequence: u64) {
        if let Some((newest, _)) = &mut self.newest
            && newest.checked_add(1) == Some(sequence)
        {
            *newest = sequence;
        }
    }

    /// Each sample tells of the time since the one before it. Before the first of a frame that is the last of
    /// the frame before; where that one is missing, came before or is still to come, the usual distance serves: what a
    /// missing frame tells of is left to it.
    fn spans(&mut self, sequence: u64, times_ms: &[UnixMs]) -> Vec<(UnixMs, i64)> {
        let follows = |&(newest, _): &(u64, UnixMs)| newest.checked_add(1) == Some(sequence);
        let mut before = self.newest.filter(follows).map(|(_, time_ms)| time_ms);
        let first_step = times_ms.first().zip(times_ms.get(1)).map(|(a, b)| b - a);
        let mut spans = Vec::with_capacity(times_ms.len());
        for &time_ms in times_ms {
            let span_ms = match before.map(|before| time_ms.saturating_sub(before)) {
                Some(span_ms) if span_ms > 0 => span_ms,
                _ => first_step.filter(|&step| step > 0).unwrap_or(self.span_ms),
            };
            spans.push((time_ms, span_ms));
            before = Some(time_ms);
        }
        if let Some(&(last_ms, span_ms)) = spans.last() {
            self.newest = self.newest.max(Some((sequence, last_ms)));
            self.span_ms = span_ms.clamp(1, 60_000);
        }
        spans
    }
}
