//! What goes when there is no more room, what goes with it, and the holes that tell of it.

use std::ops::Range;

use bytes::Bytes;
use shadow::{EpochMark, Hole, wire};

use super::{
    Due, Entry, Kind, MAX_HOLES, MAX_REFERENCE, Serial, Spool,
    ranges::Ranges,
    shelf::{self, Serials},
};

impl Spool {
    /// Lets go of what memory has no room for: first what is on disk as well, then the oldest. The newest stays,
    /// however large.
    pub(super) fn make_room(&mut self) -> u64 {
        let mut dropped = 0;
        while self.bytes > self.bounds.memory && self.entries.len() > 1 {
            if let Some(segment) = self.shelf.newest_loaded() {
                self.unload(segment);
                continue;
            }
            let newest = self.entries.last_key_value().map(|(id, _)| *id);
            let oldest = self
                .entries
                .iter()
                .find(|(_, entry)| !entry.is_hole())
                .map(|(id, _)| *id);
            let Some(oldest) = oldest.filter(|_| oldest != newest) else {
                break;
            };
            dropped += self.lose(single(oldest));
        }
        dropped
    }

    pub(super) fn unload(&mut self, segment: u64) {
        let loaded =
            |(id, entry): (&Serial, &Entry)| (entry.segment == Some(segment) && !entry.is_hole()).then_some(*id);
        let ids: Vec<Serial> = self.entries.iter().filter_map(loaded).collect();
        for id in ids {
            self.remove(id);
        }
        self.shelf.loaded(segment, 0, false);
    }

    /// Gives up `lost` and whatever is read against any of it, and declares the hole. Returns how many that are.
    pub(super) fn lose(&mut self, mut lost: Serials) -> u64 {
        loop {
            let before = lost.clone();
            self.shelf.lose_leaning(&mut lost);
            self.add_leaning(&mut lost);
            if lost == before {
                break;
            }
        }
        let mut count = 0;
        for (&epoch, ranges) in &lost {
            for range in ranges.iter() {
                count += range.end - range.start;
                for id in self.between(epoch, &range) {
                    self.remove(id);
                }
                self.declare(epoch, range);
            }
        }
        count
    }

    /// Frames and events in memory with these sequences.
    pub(super) fn between(&self, epoch: u64, range: &Range<u64>) -> Vec<Serial> {
        let [first, end] = [range.start, range.end].map(|sequence| Serial { epoch, sequence });
        let inside = self.entries.range(first..end).filter(|(_, entry)| !entry.is_hole());
        inside.map(|(id, _)| *id).collect()
    }

    /// Adds to `lost` the frames in memory that are read against any of it.
    fn add_leaning(&self, lost: &mut Serials) {
        for epoch in lost.keys().copied().collect::<Vec<u64>>() {
            let (first, last) = bounds(lost, epoch);
            let mut reach = last.saturating_add(MAX_REFERENCE);
            let from = Serial { epoch, sequence: first };
            let to = Serial {
                epoch,
                sequence: u64::MAX,
            };
            // Rising: what a frame is read against comes before it.
            for (&id, entry) in self.entries.range(from..=to) {
                if id.sequence > reach {
                    break;
                }
                let base = entry.kind.reads_against(id);
                if base.is_some_and(|base| shelf::contains(lost, base)) {
                    shelf::add(lost, id);
                    reach = reach.max(id.sequence.saturating_add(MAX_REFERENCE));
                }
            }
        }
    }

    /// Keeps that nobody has these sequences, in one with the holes that it touches.
    pub(super) fn declare(&mut self, epoch: u64, range: Range<u64>) {
        let (mut first, mut end) = (range.start, range.end);
        let [none, past] = [0, range.end].map(|sequence| Serial { epoch, sequence });
        let touching: Vec<(Serial, u64)> = self
            .entries
            .range(none..=past)
            .rev()
            .filter_map(|(id, entry)| match entry.kind {
                Kind::Hole { end } => Some((*id, end)),
                _ => None,
            })
            .take_while(|(_, end)| *end >= first)
            .collect();
        for (id, other_end) in touching {
            first = first.min(id.sequence);
            end = end.max(other_end);
            self.remove(id);
        }
        let id = Serial { epoch, sequence: first };
        let payload = Bytes::from(wire::encode_hole(&Hole { epoch, first, end }));
        let kind = Kind::Hole { end };
        self.save(id, kind, payload.clone());
        self.insert(id, kind, payload, None);
        self.again.insert(id);
        self.forget_holes();
    }

    fn forget_holes(&mut self) {
        while self.holes > MAX_HOLES {
            let oldest = self
                .entries
                .iter()
                .find(|(_, entry)| entry.is_hole())
                .map(|(id, _)| *id);
            let Some(oldest) = oldest else { return };
            tracing::error!(
                epoch = oldest.epoch,
                first = oldest.sequence,
                "too many holes: one is not declared"
            );
            self.remove(oldest);
        }
    }

    /// Answers a watermark that names what was cut and is not here. It is no hole of this spool: the brain may have had
    /// it before, or this watermark may be an old one, so that what is read against it stays and is sent.
    pub(super) fn declare_missing(&mut self, mark: &EpochMark) {
        let cut = match self.newest {
            Some(newest) if mark.epoch < newest.epoch => u64::MAX,
            Some(newest) if mark.epoch == newest.epoch => newest.sequence.saturating_add(1),
            _ => 0,
        };
        for gap in &mark.missing {
            let mut absent = Ranges::default();
            absent.insert(gap.start..gap.end.min(cut));
            let [first, end] = [0, gap.end].map(|sequence| Serial {
                epoch: mark.epoch,
                sequence,
            });
            // From 0: a hole reaches past its first sequence.
            for (id, entry) in self.entries.range(first..end) {
                absent.remove(entry.kind.covers(*id));
            }
            self.shelf.take_out(mark.epoch, &mut absent);
            for range in absent.iter().take(MAX_HOLES) {
                let (epoch, sequence) = (mark.epoch, range.start);
                tracing::warn!(epoch, ?range, "the brain lacks what is not here: told as a hole");
                self.answers.insert(Serial { epoch, sequence }, range.end);
            }
        }
        while self.answers.len() > MAX_HOLES {
            self.answers.pop_first();
        }
    }

    pub(super) fn next_answer(&mut self) -> Option<Due> {
        let (id, end) = self.answers.pop_first()?;
        let (epoch, first) = (id.epoch, id.sequence);
        Some(Due {
            id,
            kind: Kind::Hole { end },
            payload: wire::encode_hole(&Hole { epoch, first, end }).into(),
            again: true,
        })
    }

    /// Lets go of the oldest segments where the disk has too many.
    pub(super) fn trim(&mut self) -> u64 {
        let mut dropped = 0;
        while let Some((segment, lost)) = self.shelf.overflow() {
            self.keep_holes(segment);
            dropped += self.lose(lost);
        }
        dropped
    }

    /// The holes that a segment tells of have to be written again.
    fn keep_holes(&mut self, segment: u64) {
        let of_segment = |entry: &&mut Entry| entry.segment == Some(segment);
        for entry in self.entries.values_mut().filter(of_segment) {
            entry.segment = None;
        }
    }
}

pub(super) fn single(id: Serial) -> Serials {
    let mut serials = Serials::new();
    shelf::add(&mut serials, id);
    serials
}

/// The first and the last sequence of an epoch in `serials`.
fn bounds(serials: &Serials, epoch: u64) -> (u64, u64) {
    let Some(ranges) = serials.get(&epoch) else {
        return (0, 0);
    };
    let first = ranges.iter().next().map_or(0, |range| range.start);
    (first, ranges.iter().last().map_or(0, |range| range.end))
}
