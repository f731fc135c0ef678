//! What outlives the process: what goes to disk and comes back, and what is put back at a start.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{LOW, Outbox, SPILL_BYTES};
use crate::spool::{
    Kind,
    record::{Content, Record},
    shelf::{Dead, Serials},
};

/// What is to be done on disk.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    /// Appended first: holes that tell of what is deleted are among them.
    pub(crate) spill: Vec<Record>,
    /// Births of `spill` that are not on disk yet.
    pub(crate) births: Vec<(u64, Bytes)>,
    pub(crate) dead: Dead,
    /// A segment to be read back.
    pub(crate) load: Option<u64>,
    /// Births to be read back.
    pub(crate) wanted: BTreeSet<u64>,
}

impl Chores {
    pub(crate) fn is_empty(&self) -> bool {
        self.spill.is_empty() && self.dead == Dead::default() && self.load.is_none() && self.wanted.is_empty()
    }
}

impl Outbox {
    /// What to do on disk now. Whoever asks does it, and tells.
    pub(crate) fn chores(&mut self, now_ns: u64) -> Chores {
        let alone = self.is_alone(now_ns);
        let spill = if alone {
            self.spool.to_shelve(SPILL_BYTES)
        } else {
            Vec::new()
        };
        // First, for a birth that goes may be needed anew.
        let dead = self.spool.take_dead();
        Chores {
            births: self.births_of(&spill),
            spill,
            dead,
            load: if self.connected && !alone {
                self.spool.next_load(LOW)
            } else {
                None
            },
            wanted: std::mem::take(&mut self.wanted),
        }
    }

    /// Everything that disk has not, for the last time.
    pub(crate) fn last_chores(&mut self) -> Chores {
        let spill = self.spool.to_shelve(SPILL_BYTES);
        let dead = self.spool.take_dead();
        Chores {
            births: self.births_of(&spill),
            spill,
            dead,
            ..Chores::default()
        }
    }

    fn births_of(&self, records: &[Record]) -> Vec<(u64, Bytes)> {
        let epochs: BTreeSet<u64> = records.iter().map(|record| record.id.epoch).collect();
        let missing = epochs.into_iter().filter(|epoch| !self.spool.has_birth(*epoch));
        missing
            .filter_map(|epoch| Some((epoch, self.births.get(&epoch)?.clone())))
            .collect()
    }

    /// The birth of an epoch is on disk, and takes so many bytes.
    pub(crate) fn shelved_birth(&mut self, epoch: u64, bytes: u64) {
        self.spool.put_birth(epoch, bytes);
    }

    /// `records` are on disk, in a segment that has grown by `bytes`.
    pub(crate) fn shelved(&mut self, segment: u64, bytes: u64, records: &[Record]) {
        self.counters.dropped += self.spool.shelved(segment, bytes, records);
        self.forget_births();
    }

    /// A segment was read back, with the births that its frames are read with.
    pub(crate) fn loaded(&mut self, segment: u64, records: Vec<Record>, births: Vec<(u64, Bytes)>) {
        self.counters.dropped += self.spool.load(segment, records);
        for (epoch, birth) in births {
            self.found_birth(epoch, birth);
        }
        // One that was in memory when the segment was read may have gone since.
        let gone = self.unborn().into_iter().filter(|epoch| self.spool.has_birth(*epoch));
        let gone: Vec<u64> = gone.collect();
        self.wanted.extend(gone);
    }

    /// A birth was read back: it is told.
    pub(crate) fn found_birth(&mut self, epoch: u64, birth: Bytes) {
        self.births.entry(epoch).or_insert(birth);
        self.tell_birth(epoch);
    }

    /// Epochs whose births are in memory.
    pub(crate) fn birth_epochs(&self) -> BTreeSet<u64> {
        self.births.keys().copied().collect()
    }

    /// Puts back what a RAM-backed folder has kept.
    pub(crate) fn recover(&mut self, record: Record, holes: &mut Serials) {
        let Record { id, content, payload } = record;
        match content {
            Content::Birth => self.found_birth(id.epoch, payload),
            Content::Numbered(Kind::Hole { end }) => holes.entry(id.epoch).or_default().insert(id.sequence..end),
            Content::Numbered(kind) => self.spool.recover(id, kind, payload),
        }
    }

    /// Puts back what the disk has kept: a segment, or a birth where it is none.
    pub(crate) fn recover_disk(&mut self, segment: Option<u64>, bytes: u64, records: &[Record], holes: &mut Serials) {
        if let Some(segment) = segment {
            self.spool.recover_segment(segment, bytes);
        }
        for Record { id, content, .. } in records {
            match (*content, segment) {
                (Content::Birth, None) => self.spool.put_birth(id.epoch, bytes),
                (Content::Numbered(kind), Some(segment)) => {
                    if let Kind::Hole { end } = kind {
                        holes.entry(id.epoch).or_default().insert(id.sequence..end);
                    }
                    self.spool.recover_shelved(segment, *id, kind);
                }
                _ => {}
            }
        }
    }

    /// Epochs whose frames are in memory, and whose birth is not.
    pub(crate) fn unborn(&self) -> Vec<u64> {
        let epochs = self.spool.epochs().into_iter();
        epochs.filter(|epoch| !self.births.contains_key(epoch)).collect()
    }

    /// Everything was put back.
    pub(crate) fn recovered(&mut self, holes: Serials) {
        self.counters.dropped += self.spool.recovered(holes);
        self.forget_births();
    }
}
