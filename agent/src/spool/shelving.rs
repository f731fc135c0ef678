//! Entries that move between memory and disk, and what is put back at a start.

use bytes::Bytes;

use super::{
    Kind, Serial, Spool,
    record::{self, Content, Record},
    shelf::{self, Serials},
};

impl Spool {
    /// Puts back what a RAM-backed folder has kept, to be sent behind live data. Holes come [last](Self::recovered).
    pub(crate) fn recover(&mut self, id: Serial, kind: Kind, payload: Bytes) {
        self.insert(id, kind, payload, None);
        self.again.insert(id);
    }

    /// Puts back what a segment on disk has kept.
    pub(crate) fn recover_shelved(&mut self, segment: u64, id: Serial, kind: Kind) {
        // What is in memory, or in a segment before, need not be read back.
        if !(self.entries.contains_key(&id) || self.shelf.holds(id)) {
            self.shelf.put(segment, id, kind);
        }
    }

    /// A segment on disk has so many bytes.
    pub(crate) fn recover_segment(&mut self, segment: u64, bytes: u64) {
        self.shelf.grow(segment, bytes);
    }

    /// After everything was put back: what lies in `holes` is lost, whatever a file still has of it. Returns how many
    /// frames and events there was no room for.
    pub(crate) fn recovered(&mut self, holes: Serials) -> u64 {
        self.lose(holes);
        self.trim() + self.make_room()
    }

    /// The oldest of what is not on disk, some `most` bytes of it.
    pub(crate) fn to_shelve(&self, most: usize) -> Vec<Record> {
        let mut bytes = 0;
        let unshelved = self.entries.iter().filter(|(_, entry)| entry.segment.is_none());
        let records = unshelved.map_while(|(&id, entry)| {
            let room = bytes < most;
            bytes += entry.payload.len() + record::RECORD_BYTES;
            room.then(|| entry.record(id))
        });
        records.collect()
    }

    /// `records` are in `segment` now, which has grown by `bytes`: memory lets go of them. What has become durable
    /// meanwhile does not count any more. Returns how many of the oldest on disk had to go for it.
    pub(crate) fn shelved(&mut self, segment: u64, bytes: u64, records: &[Record]) -> u64 {
        self.shelf.grow(segment, bytes);
        for Record { id, content, .. } in records {
            let Content::Numbered(kind) = *content else { continue };
            let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.kind == kind) else {
                continue;
            };
            if entry.is_hole() {
                // A hole stays: it is to be told, and to grow.
                entry.segment = Some(segment);
            } else {
                self.remove(*id);
            }
            self.shelf.put(segment, *id, kind);
        }
        self.trim()
    }

    /// The segment that should be read back now: the oldest, when little else waits and memory has room for it. What of
    /// later segments is in memory makes room: the brain cannot read it before what this one has.
    pub(crate) fn next_load(&mut self, low: usize) -> Option<u64> {
        if self.again.len() >= low {
            return None;
        }
        let (segment, bytes, first) = self.shelf.next()?;
        while !self.fits(bytes, first) {
            let later = self.shelf.newest_loaded()?;
            self.unload(later);
        }
        Some(segment)
    }

    /// Whether memory has room for a segment of so many bytes.
    fn fits(&self, bytes: u64, first: Serial) -> bool {
        let room = self.bounds.memory.saturating_sub(self.bytes) as u64;
        // A segment of small frames takes some three times its bytes. One alone is read as far as it goes; when all that is in
        // memory may wait for it, however little that is.
        bytes.saturating_mul(3) <= room
            || (self.shelf.newest_loaded().is_none() && (room * 2 > self.bounds.memory as u64 || self.is_older(first)))
    }

    /// Whether a frame or an event on disk is older than all in memory.
    fn is_older(&self, id: Serial) -> bool {
        let oldest = self.entries.iter().find(|(_, entry)| !entry.is_hole());
        oldest.is_none_or(|(oldest, _)| id < *oldest)
    }

    /// A segment was read back: oldest first, as far as memory has room, and up to what lies in another segment. So
    /// whatever is in memory can be read by the brain without what is not, and makes room for it. What should be in the
    /// segment and is not is lost: returns how many that are.
    pub(crate) fn load(&mut self, segment: u64, mut records: Vec<Record>) -> u64 {
        let damaged = self.damaged(segment, &records);
        let until = self.shelf.oldest_beside(segment);
        records.retain(|Record { id, content, .. }| {
            let is_hole = matches!(content, Content::Numbered(Kind::Hole { .. }) | Content::Birth);
            let counts = self.shelf.has(segment, *id) && !shelf::contains(&damaged, *id);
            counts && !is_hole && !self.entries.contains_key(id)
        });
        records.sort_by_key(|record| record.id);
        let (mut count, wanted) = (0, records.len());
        for Record { id, content, payload } in records {
            let Content::Numbered(kind) = content else { continue };
            // One is always taken that all others may wait for.
            let room = self.is_older(id) || self.bytes + self.cost(&payload) <= self.bounds.memory;
            if !room || until.is_some_and(|until| id > until) {
                break;
            }
            self.insert(id, kind, payload, Some(segment));
            self.again.insert(id);
            count += 1;
        }
        self.shelf.loaded(segment, count, count == wanted);
        if damaged.is_empty() { 0 } else { self.lose(damaged) }
    }

    /// What a segment should have and `records` have not, or that is read against that.
    fn damaged(&self, segment: u64, records: &[Record]) -> Serials {
        let mut damaged = self.shelf.live(segment);
        for Record { id, .. } in records {
            if let Some(ranges) = damaged.get_mut(&id.epoch) {
                ranges.remove(id.sequence..id.sequence.saturating_add(1));
            }
        }
        damaged.retain(|_, ranges| !ranges.is_empty());
        for Record { id, content, .. } in records {
            let Content::Numbered(kind) = *content else { continue };
            if kind
                .reads_against(*id)
                .is_some_and(|base| shelf::contains(&damaged, base))
            {
                shelf::add(&mut damaged, *id);
            }
        }
        damaged
    }
}
