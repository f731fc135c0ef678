//! A copy of what memory holds in a RAM-backed folder: a process that is killed loses nothing that it had cut, and no
//! flash is worn.
//!
//! It is written behind each frame, on the way of the sample, for a file in RAM does not block: some microseconds. It
//! is read at the next start alone.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
};

use bytes::Bytes;

use super::{Spool, folder::Folder, record::Record};

/// Small, for a segment stays until all that is in it is durable or on disk.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 10;

/// The copy.
#[derive(Debug)]
pub(crate) struct Mirror {
    folder: Folder,
    max_bytes: u64,
    bytes: u64,
    /// Oldest first.
    segments: VecDeque<Segment>,
    births: BTreeSet<u64>,
}

#[derive(Debug)]
struct Segment {
    id: u64,
    bytes: u64,
    /// By epoch, from the first sequence up to and without the last.
    span: BTreeMap<u64, (u64, u64)>,
}

impl Mirror {
    /// Nothing is in `folder` yet. Past `max_bytes` the oldest go.
    pub(crate) fn new(folder: Folder, max_bytes: u64) -> Self {
        Self {
            folder,
            max_bytes,
            bytes: 0,
            segments: VecDeque::new(),
            births: BTreeSet::new(),
        }
    }

    /// Takes over a segment of the process before.
    pub(crate) fn recover(&mut self, segment: u64, bytes: u64, records: &[Record]) {
        self.note(segment, bytes, records);
    }

    /// Takes over a birth of the process before.
    pub(crate) fn recover_birth(&mut self, epoch: u64) {
        self.births.insert(epoch);
    }

    /// Copies `records`, which `spool` has just taken. Past the bound the oldest segments go, and what `spool` alone still
    /// has of them is written anew first: it is less than half of the bound, for there it counts twice.
    ///
    /// # Errors
    /// What the system says; memory has them all the same, and nothing has gone that was there.
    pub(crate) fn save(&mut self, records: &[Record], spool: &Spool) -> io::Result<()> {
        self.append(records)?;
        self.remove_unneeded(spool);
        for _ in 1..self.segments.len() {
            let Some(oldest) = self.segments.front().filter(|_| self.bytes > self.max_bytes) else {
                break;
            };
            let held = oldest
                .span
                .iter()
                .flat_map(|(&epoch, &(first, end))| spool.held_only(epoch, first..end));
            let held: Vec<Record> = held.collect();
            self.append(&held)?;
            self.remove_oldest();
        }
        Ok(())
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let (segment, bytes) = self.folder.append(records)?;
        self.note(segment, bytes, records);
        Ok(())
    }

    /// Copies the birth of an epoch.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn save_birth(&mut self, epoch: u64, payload: Bytes) -> io::Result<()> {
        self.folder.put_birth(epoch, payload)?;
        self.births.insert(epoch);
        Ok(())
    }

    fn note(&mut self, id: u64, bytes: u64, records: &[Record]) {
        if self.segments.back().is_none_or(|newest| newest.id != id) {
            let span = BTreeMap::new();
            self.segments.push_back(Segment { id, bytes: 0, span });
        }
        let Some(segment) = self.segments.back_mut() else {
            return;
        };
        segment.bytes += bytes;
        self.bytes += bytes;
        for Record { id, .. } in records {
            let (first, end) = segment.span.entry(id.epoch).or_insert((id.sequence, id.sequence));
            *first = id.sequence.min(*first);
            *end = id.sequence.saturating_add(1).max(*end);
        }
    }

    fn remove_oldest(&mut self) {
        if let Some(oldest) = self.segments.pop_front() {
            self.bytes -= oldest.bytes;
            self.folder.remove(oldest.id);
        }
    }

    /// Deletes what memory no longer holds: oldest segments, and births other than `births` that no segment needs. The
    /// newest segment stays until it is full.
    pub(crate) fn sweep(&mut self, spool: &Spool, births: &BTreeSet<u64>) {
        self.remove_unneeded(spool);
        let mut needed = births.clone();
        needed.extend(self.segments.iter().flat_map(|segment| segment.span.keys()));
        let gone: Vec<u64> = self.births.difference(&needed).copied().collect();
        for epoch in gone {
            self.births.remove(&epoch);
            self.folder.remove_birth(epoch);
        }
    }

    fn remove_unneeded(&mut self, spool: &Spool) {
        while self.segments.len() > 1
            && let Some(oldest) = self.segments.front()
            && !oldest
                .span
                .iter()
                .any(|(&epoch, &(first, end))| spool.holds_any(epoch, first, end))
        {
            self.remove_oldest();
        }
    }
}
