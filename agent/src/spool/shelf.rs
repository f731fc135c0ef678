//! What lies on disk and not in memory: for each segment which serials, and nothing else of them. Pure.
//!
//! 64 MiB of a host's frames are half a million: an entry of each would take more memory than the agent may. So a
//! segment is read back as a whole when its turn has come.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use shadow::EpochMark;

use super::{Kind, Serial, ranges::Ranges};

/// Serials by epoch.
pub(crate) type Serials = BTreeMap<u64, Ranges>;

/// The segments on disk.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    max_bytes: u64,
    bytes: u64,
    segments: BTreeMap<u64, Segment>,
    /// Bytes of the birth of each epoch.
    births: BTreeMap<u64, u64>,
    dead: Dead,
}

/// Files that nothing needs any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) segments: Vec<u64>,
    pub(crate) births: Vec<u64>,
}

#[derive(Debug, Default)]
struct Segment {
    bytes: u64,
    /// Frames and events that are neither durable at the brain nor dropped.
    live: Serials,
    /// Holes that it tells of, and that the brain has not taken in. They are in memory as well.
    holes: BTreeSet<Serial>,
    /// Frames that cannot be read with this segment alone, and the frame that each is read against.
    leaning: BTreeMap<Serial, Serial>,
    /// What of it is in memory as well; `None` while nothing is to be.
    loaded: Option<Loaded>,
}

/// What of a segment is in memory as well.
#[derive(Debug, Clone, Copy)]
struct Loaded {
    /// How many of its frames and events.
    count: usize,
    /// Whether that was all that counted.
    whole: bool,
}

impl Shelf {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            ..Self::default()
        }
    }

    /// A segment has grown by so many bytes.
    pub(crate) fn grow(&mut self, segment: u64, bytes: u64) {
        self.segments.entry(segment).or_default().bytes += bytes;
        self.bytes += bytes;
    }

    /// A record of a segment counts from now on.
    pub(crate) fn put(&mut self, segment: u64, id: Serial, kind: Kind) {
        let segment = self.segments.entry(segment).or_default();
        if matches!(kind, Kind::Hole { .. }) {
            segment.holes.insert(id);
            return;
        }
        if let Some(base) = kind.reads_against(id) {
            let is_here = contains(&segment.live, base) && !segment.leaning.contains_key(&base);
            if !is_here {
                segment.leaning.insert(id, base);
            }
        }
        let live = segment.live.entry(id.epoch).or_default();
        live.insert(id.sequence..id.sequence.saturating_add(1));
    }

    /// The birth of an epoch is there.
    pub(crate) fn put_birth(&mut self, epoch: u64, bytes: u64) {
        let before = self.births.insert(epoch, bytes).unwrap_or(0);
        self.bytes = self.bytes + bytes - before;
    }

    /// Whether the birth of an epoch is there.
    pub(crate) fn has_birth(&self, epoch: u64) -> bool {
        self.births.contains_key(&epoch)
    }

    /// What is on disk, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a frame or an event is there.
    pub(crate) fn holds(&self, id: Serial) -> bool {
        self.segments.values().any(|segment| contains(&segment.live, id))
    }

    /// Takes what is there out of `of`, sequences of `epoch`.
    pub(crate) fn take_out(&self, epoch: u64, of: &mut Ranges) {
        for live in self.segments.values().filter_map(|segment| segment.live.get(&epoch)) {
            live.iter().for_each(|range| of.remove(range));
        }
    }

    /// Whether a segment holds a serial that counts.
    pub(crate) fn has(&self, segment: u64, id: Serial) -> bool {
        self.segments
            .get(&segment)
            .is_some_and(|found| contains(&found.live, id))
    }

    /// What of a segment counts.
    pub(crate) fn live(&self, segment: u64) -> Serials {
        self.segments
            .get(&segment)
            .map(|found| found.live.clone())
            .unwrap_or_default()
    }

    /// What is there of an epoch.
    pub(crate) fn of_epoch(&self, epoch: u64) -> Ranges {
        let mut all = Ranges::default();
        for live in self.segments.values().filter_map(|segment| segment.live.get(&epoch)) {
            live.iter().for_each(|range| all.insert(range));
        }
        all
    }

    /// Forgets what is durable.
    pub(crate) fn mark(&mut self, mark: &EpochMark) {
        for segment in self.segments.values_mut() {
            // The brain takes in a hole as a whole.
            segment
                .holes
                .retain(|hole| hole.epoch != mark.epoch || !mark.covers(hole.sequence));
            if let Some(live) = segment.live.get_mut(&mark.epoch) {
                covered(mark).for_each(|range| live.remove(range));
                segment.tidy();
            }
        }
    }

    /// Forgets `serials`.
    pub(crate) fn forget(&mut self, serials: &Serials) {
        for segment in self.segments.values_mut() {
            for (epoch, ranges) in serials {
                if let Some(live) = segment.live.get_mut(epoch) {
                    ranges.iter().for_each(|range| live.remove(range));
                }
            }
            segment.tidy();
        }
    }

    /// Drops the oldest segment if there are too many bytes; tells which, and the frames and events that it held. The
    /// newest stays, however large.
    pub(crate) fn overflow(&mut self) -> Option<(u64, Serials)> {
        self.bury();
        if self.bytes <= self.max_bytes || self.segments.len() < 2 {
            return None;
        }
        let (&id, oldest) = self.segments.iter_mut().next()?;
        oldest.loaded = None;
        oldest.holes.clear();
        Some((id, std::mem::take(&mut oldest.live)))
    }

    /// Adds to `lost` what is read against any of it, and forgets it.
    pub(crate) fn lose_leaning(&mut self, lost: &mut Serials) {
        for segment in self.segments.values_mut() {
            // Rising: what a frame is read against comes before it.
            let leaning = segment.leaning.iter().filter(|(id, _)| contains(&segment.live, **id));
            for (&id, &base) in leaning {
                if contains(lost, base) {
                    add(lost, id);
                }
            }
        }
        self.forget(&*lost);
    }

    /// Forgets segments that hold nothing any more, and births that nothing needs.
    fn bury(&mut self) {
        let Self {
            bytes,
            segments,
            births,
            dead,
            ..
        } = self;
        segments.retain(|&id, segment| {
            let keep = !(segment.live.is_empty() && segment.holes.is_empty());
            if !keep {
                *bytes -= segment.bytes;
                dead.segments.push(id);
            }
            keep
        });
        let needed: BTreeSet<u64> = segments
            .values()
            .flat_map(|segment| segment.live.keys().copied())
            .collect();
        births.retain(|epoch, size| {
            let keep = needed.contains(epoch);
            if !keep {
                *bytes -= *size;
                dead.births.push(*epoch);
            }
            keep
        });
    }

    /// The files that are to be deleted; told once.
    pub(crate) fn take_dead(&mut self) -> Dead {
        self.bury();
        std::mem::take(&mut self.dead)
    }

    /// The segment with the oldest of what is not in memory, its bytes, and that oldest; `None` while part of that segment is
    /// in memory: what follows is read against the rest of it, and would wait there.
    pub(crate) fn next(&self) -> Option<(u64, u64, Serial)> {
        let (first, id, segment) = self.not_whole().min_by_key(|(first, ..)| *first)?;
        segment.loaded.is_none().then_some((id, segment.bytes, first))
    }

    /// The oldest that lies in other segments than this one and not in memory.
    pub(crate) fn oldest_beside(&self, segment: u64) -> Option<Serial> {
        let others = self.not_whole().filter(|(_, id, _)| *id != segment);
        others.map(|(first, ..)| first).min()
    }

    /// Segments that are not whole in memory, with the oldest of each.
    fn not_whole(&self) -> impl Iterator<Item = (Serial, u64, &Segment)> {
        let segments = self.segments.iter().map(|(id, segment)| (*id, segment));
        let cold = segments.filter(|(_, segment)| !segment.loaded.is_some_and(|loaded| loaded.whole));
        cold.filter_map(|(id, segment)| Some((segment.first()?, id, segment)))
    }

    /// The segment with the newest of what is in memory.
    pub(crate) fn newest_loaded(&self) -> Option<u64> {
        let loaded = self.segments.iter().filter(|(_, segment)| segment.loaded.is_some());
        let newest = loaded.max_by_key(|(_, segment)| segment.first());
        newest.map(|(&id, _)| id)
    }

    /// So many of a segment's frames and events are in memory, and whether these are all.
    pub(crate) fn loaded(&mut self, segment: u64, count: usize, whole: bool) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.loaded = (count > 0).then_some(Loaded { count, whole });
        }
    }

    /// One of a segment's frames and events is no longer in memory.
    pub(crate) fn unload_one(&mut self, segment: u64) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.loaded = segment.loaded.and_then(|Loaded { count, whole }| {
                let count = count.checked_sub(1).filter(|&count| count > 0)?;
                Some(Loaded { count, whole })
            });
        }
    }
}

impl Segment {
    /// The oldest that counts.
    fn first(&self) -> Option<Serial> {
        let (&epoch, ranges) = self.live.first_key_value()?;
        let sequence = ranges.iter().next()?.start;
        Some(Serial { epoch, sequence })
    }

    /// Forgets epochs of which nothing is left.
    fn tidy(&mut self) {
        self.live.retain(|_, ranges| !ranges.is_empty());
    }
}

/// What a mark says is durable.
fn covered(mark: &EpochMark) -> impl Iterator<Item = Range<u64>> + '_ {
    let starts = std::iter::once(0).chain(mark.missing.iter().map(|gap| gap.end));
    let ends = mark.missing.iter().map(|gap| gap.start).chain([mark.durable_below]);
    starts.zip(ends).map(|(start, end)| start..end)
}

/// Whether `id` is among `serials`.
pub(crate) fn contains(serials: &Serials, id: Serial) -> bool {
    serials
        .get(&id.epoch)
        .is_some_and(|ranges| ranges.contains(id.sequence))
}

/// Adds `id` to `serials`.
pub(crate) fn add(serials: &mut Serials, id: Serial) {
    let ranges = serials.entry(id.epoch).or_default();
    ranges.insert(id.sequence..id.sequence.saturating_add(1));
}
