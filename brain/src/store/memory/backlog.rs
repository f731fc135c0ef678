//! What comes too late for the rows of a host, such as what an agent has kept through days without a link: minutes as it
//! comes, oldest first. The store joins them with what it has of them; memory forgets them when no more comes.

use std::collections::BTreeMap;

use shadow::UnixMs;

use super::{
    Channels, Use,
    series::{MAX_WORKLOADS, MinuteRow, told, told_uses},
};
use crate::{
    grid::{Grid, Lengths},
    store::{Rollup, WorkloadMinute},
};

/// What comes out of order by more than so many minutes is told by itself: agents of a host that send again from different
/// times are no trouble, for what each is filling is collected.
const MINUTES: usize = 30;
/// After so many closings without a sample no more is expected.
const IDLE: u32 = 30;

/// Minutes of one host and of its workloads.
#[derive(Debug)]
pub(super) struct Backlog {
    minute_ms: i64,
    /// One past the newest minute of which anything has come.
    end: i64,
    host: MinuteRow,
    workloads: BTreeMap<String, Grid<2, 0>>,
    /// Closings since the last sample.
    idle: u32,
}

/// Minutes that changed: of the host, and of its workloads.
pub(super) type Minutes = (Vec<(UnixMs, Rollup)>, Vec<(String, UnixMs, WorkloadMinute)>);

impl Backlog {
    pub(super) fn new(minute_ms: i64) -> Self {
        Self {
            minute_ms,
            end: 0,
            host: MinuteRow::of_any_age(minute_ms, lengths()),
            workloads: BTreeMap::new(),
            idle: 0,
        }
    }

    /// Adds a sample taken at a time that tells of so many milliseconds before it.
    pub(super) fn add(&mut self, (time_ms, span_ms): (UnixMs, i64), values: &Channels) {
        self.expect(time_ms);
        self.host.add(time_ms, span_ms, values, self.end);
    }

    /// Adds a sample of a workload.
    pub(super) fn add_workload(&mut self, name: &str, (time_ms, span_ms): (UnixMs, i64), used: &Use) {
        self.expect(time_ms);
        if !self.workloads.contains_key(name) {
            if self.workloads.len() >= MAX_WORKLOADS {
                return;
            }
            self.workloads
                .insert(name.to_owned(), Grid::of_any_age(self.minute_ms, lengths()));
        }
        if let Some(workload) = self.workloads.get_mut(name) {
            workload.add(time_ms, span_ms, used, self.end);
        }
    }

    fn expect(&mut self, time_ms: UnixMs) {
        self.idle = 0;
        let minute = time_ms.saturating_sub(1).div_euclid(self.minute_ms);
        self.end = self.end.max(minute.saturating_add(1));
    }

    /// Tells the minutes that changed since the last call, as far as they are known.
    pub(super) fn close(&mut self) -> Minutes {
        self.idle = self.idle.saturating_add(1);
        let mut uses = Vec::new();
        for (name, workload) in &mut self.workloads {
            let changed = workload.close(self.end).into_iter().map(told_uses);
            uses.extend(changed.map(|(begin_ms, minute)| (name.clone(), begin_ms, minute)));
        }
        (told(self.host.close(self.end), self.minute_ms), uses)
    }

    /// Whether no more is expected.
    pub(super) const fn is_over(&self) -> bool {
        self.idle > IDLE
    }
}

const fn lengths() -> Lengths {
    Lengths {
        means: MINUTES,
        details: MINUTES,
    }
}
