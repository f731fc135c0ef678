//! Frames, events and holes that are kept until they are durable at the brain.
//!
//! Pure: what is to be sent next is asked for, and what the brain says is told. What is here is in memory, bounded in
//! bytes; what was moved to disk is known by its segment alone ([`shelf`]) and comes back as a whole. Past either bound
//! the oldest go, and with a frame all that are read against it. Nobody is left to wait for them: they are declared as
//! a [`shadow::Hole`], which is kept and told until the brain has taken it in.
//!
//! | module | what it does |
//! |---|---|
//! | [`shelf`] | which serials lie on disk, in which segment |
//! | [`record`] | the format of files |
//! | [`folder`] | the files: append, read, recover, delete |
//! | [`mirror`] | the copy in a RAM-backed folder, so that a killed process loses nothing |
//! | [`keeper`] | the task that moves entries to disk and back |

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use bytes::Bytes;
use shadow::EpochMark;

pub(crate) mod folder;
pub(crate) mod keeper;
pub(crate) mod mirror;
pub(crate) mod record;
pub(crate) mod shelf;

pub(crate) mod crc;
mod overflow;
mod ranges;
mod shelving;
#[cfg(test)]
mod tests;

use overflow::single;
use record::{Content, Record};
use shelf::{Dead, Shelf};

/// What a frame costs on top of its bytes: its places in the tables.
const OVERHEAD_BYTES: usize = 160;

/// The brain tells what it misses as soon as it sees a gap, often while the frame is on its way: one that was
/// sent so lately is not sent again.
const UNDER_WAY_NS: u64 = 3_000_000_000;

/// A brain that is alive makes durable within ten seconds. What it does not know so long after it was sent is
/// lost, and nothing that follows in its epoch may ever show the gap.
const OVERDUE_NS: u64 = 30_000_000_000;

/// How far back a frame's reference may lie: there is a frame that is read by itself at least each 60, and events in
/// between are bounded as well.
const MAX_REFERENCE: u64 = 1_024;

/// Holes that are kept; of more, the oldest go, and the brain may wait for what nobody has.
const MAX_HOLES: usize = 1_024;

/// Which frame or event of one agent: ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Serial {
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
}

/// What bears a serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Read against the frame so many sequences before it; 0 by itself.
    Frame {
        reference: u64,
    },
    Event,
    /// Nobody has what lies from its serial up to and without this sequence.
    Hole {
        end: u64,
    },
}

impl Kind {
    /// The frame that must be read before the one with this serial.
    pub(crate) fn reads_against(self, id: Serial) -> Option<Serial> {
        match self {
            Self::Frame { reference } if reference > 0 => Some(Serial {
                sequence: id.sequence.checked_sub(reference)?,
                ..id
            }),
            _ => None,
        }
    }

    /// The sequences that it stands for.
    fn covers(self, id: Serial) -> Range<u64> {
        match self {
            Self::Hole { end } => id.sequence..end,
            _ => id.sequence..id.sequence.saturating_add(1),
        }
    }
}

/// A frame, an event or a hole to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) id: Serial,
    pub(crate) kind: Kind,
    pub(crate) payload: Bytes,
    /// Whether it has to stand behind live data: it was sent before, or is from before the agent's start.
    pub(crate) again: bool,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes in memory; one frame more where all others may wait for it.
    pub(crate) memory: usize,
    /// Bytes on disk.
    pub(crate) disk: u64,
    /// Whether each entry is kept twice in memory: here and in a RAM-backed folder.
    pub(crate) mirrored: bool,
}

/// The ring.
#[derive(Debug)]
pub(crate) struct Spool {
    bounds: Bounds,
    bytes: usize,
    entries: BTreeMap<Serial, Entry>,
    /// Never sent.
    fresh: BTreeSet<Serial>,
    /// What has to stand behind it, oldest first.
    again: BTreeSet<Serial>,
    shelf: Shelf,
    /// The newest that was pushed: what a brain misses past it was never cut.
    newest: Option<Serial>,
    /// What a brain misses and nobody has, by first serial and end: told once each time that a watermark names it.
    answers: BTreeMap<Serial, u64>,
    holes: usize,
    /// What came since it was asked for last.
    unsaved: Vec<Record>,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    payload: Bytes,
    sent_ns: Option<u64>,
    /// The segment on disk that has it, too.
    segment: Option<u64>,
}

impl Entry {
    /// Whether it was sent, last `ago_ns` before now or earlier.
    fn was_sent(&self, ago_ns: u64, now_ns: u64) -> bool {
        self.sent_ns.is_some_and(|sent| now_ns.saturating_sub(sent) >= ago_ns)
    }

    fn is_hole(&self) -> bool {
        matches!(self.kind, Kind::Hole { .. })
    }

    fn record(&self, id: Serial) -> Record {
        Record {
            id,
            content: Content::Numbered(self.kind),
            payload: self.payload.clone(),
        }
    }
}

impl Spool {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            bytes: 0,
            entries: BTreeMap::new(),
            fresh: BTreeSet::new(),
            again: BTreeSet::new(),
            shelf: Shelf::new(bounds.disk),
            newest: None,
            answers: BTreeMap::new(),
            holes: 0,
            unsaved: Vec::new(),
        }
    }

    /// Keeps what is new. Returns how many frames and events had to go for it.
    pub(crate) fn push(&mut self, id: Serial, kind: Kind, payload: Bytes) -> u64 {
        self.newest = self.newest.max(Some(id));
        self.save(id, kind, payload.clone());
        self.insert(id, kind, payload, None);
        self.fresh.insert(id);
        // What it is read against may have gone before it came.
        let unreadable = kind.reads_against(id).is_some_and(|base| self.is_lost(base));
        let dropped = if unreadable { self.lose(single(id)) } else { 0 };
        dropped + self.make_room()
    }

    /// Whether a serial lies in a hole. Nothing else lies in one, so it is the next entry below.
    fn is_lost(&self, id: Serial) -> bool {
        let below = self.entries.range(..=id).next_back();
        below.is_some_and(|(at, entry)| {
            entry.is_hole() && at.epoch == id.epoch && entry.kind.covers(*at).contains(&id.sequence)
        })
    }

    /// What came since the last call, for a copy that outlives the process.
    pub(crate) fn take_unsaved(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.unsaved)
    }

    fn save(&mut self, id: Serial, kind: Kind, payload: Bytes) {
        if self.bounds.mirrored {
            let content = Content::Numbered(kind);
            self.unsaved.push(Record { id, content, payload });
        }
    }

    fn insert(&mut self, id: Serial, kind: Kind, payload: Bytes, segment: Option<u64>) {
        self.remove(id);
        self.bytes += self.cost(&payload);
        self.holes += usize::from(matches!(kind, Kind::Hole { .. }));
        let entry = Entry {
            kind,
            payload,
            sent_ns: None,
            segment,
        };
        self.entries.insert(id, entry);
    }

    fn remove(&mut self, id: Serial) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.bytes -= self.cost(&entry.payload);
        self.again.remove(&id);
        self.fresh.remove(&id);
        if entry.is_hole() {
            self.holes -= 1;
        } else if let Some(segment) = entry.segment {
            self.shelf.unload_one(segment);
        }
    }

    fn cost(&self, payload: &Bytes) -> usize {
        let copy = if self.bounds.mirrored {
            payload.len() + record::RECORD_BYTES
        } else {
            0
        };
        payload.len() + OVERHEAD_BYTES + copy
    }

    /// What to send next: new ones, and behind them, where the link has room for a `backlog`, those that are sent
    /// again; each in order.
    pub(crate) fn next(&mut self, now_ns: u64, backlog: bool) -> Option<Due> {
        let (id, again) = match self.fresh.pop_first() {
            Some(id) => (id, false),
            None if !backlog => return None,
            None => match self.next_answer() {
                Some(answer) => return Some(answer),
                None => (self.again.pop_first()?, true),
            },
        };
        let entry = self.entries.get_mut(&id)?;
        entry.sent_ns = Some(now_ns);
        Some(Due {
            id,
            kind: entry.kind,
            payload: entry.payload.clone(),
            again,
        })
    }

    /// Puts a frame that could not be sent back in line.
    pub(crate) fn put_back(&mut self, id: Serial, again: bool) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if again {
            self.again.insert(id);
        } else {
            entry.sent_ns = None;
            self.fresh.insert(id);
        }
    }

    /// Whether anything stands behind live data.
    pub(crate) fn has_backlog(&self) -> bool {
        !(self.again.is_empty() && self.answers.is_empty())
    }

    /// Gives up what can never be sent. Returns how many frames and events that are.
    pub(crate) fn give_up(&mut self, id: Serial) -> u64 {
        self.lose(single(id))
    }

    /// The connection was lost: whatever was sent and is not durable is sent again.
    pub(crate) fn send_again(&mut self) {
        let sent = self.entries.iter().filter(|(_, entry)| entry.sent_ns.is_some());
        self.again.extend(sent.map(|(id, _)| *id));
    }

    /// Forgets what is durable, puts what is missing in line, and declares what is missing and not here, up to
    /// what was cut: a brain is not to wait for what nobody has.
    pub(crate) fn mark(&mut self, mark: &EpochMark, now_ns: u64) {
        let epoch = mark.epoch;
        let [first, end] = [0, mark.durable_below].map(|sequence| Serial { epoch, sequence });
        let below: Vec<(Serial, Kind)> = self
            .entries
            .range(first..end)
            .map(|(id, entry)| (*id, entry.kind))
            .collect();
        for (id, kind) in below {
            let range = kind.covers(id);
            if mark
                .missing
                .iter()
                .all(|gap| gap.end <= range.start || range.end <= gap.start)
                && range.end <= mark.durable_below
            {
                self.remove(id);
            } else if self
                .entries
                .get(&id)
                .is_some_and(|entry| entry.was_sent(UNDER_WAY_NS, now_ns))
            {
                self.again.insert(id);
            }
        }
        self.shelf.mark(mark);
        self.declare_missing(mark);
    }

    /// Nobody can read an epoch whose birth is nowhere: all of it is given up. Returns how many frames and events.
    pub(crate) fn give_up_epoch(&mut self, epoch: u64) -> u64 {
        let mut ranges = self.shelf.of_epoch(epoch);
        for id in self.between(epoch, &(0..u64::MAX)) {
            ranges.insert(id.sequence..id.sequence.saturating_add(1));
        }
        if ranges.is_empty() {
            return 0;
        }
        self.lose([(epoch, ranges)].into())
    }

    /// The brain lives, for a watermark came: puts in line what was sent so long ago that it must be lost, such
    /// as the tail of an epoch that has ended.
    pub(crate) fn send_overdue(&mut self, now_ns: u64) {
        let overdue = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.was_sent(OVERDUE_NS, now_ns));
        self.again.extend(overdue.map(|(id, _)| *id));
    }

    /// A birth lies on disk.
    pub(crate) fn put_birth(&mut self, epoch: u64, bytes: u64) {
        self.shelf.put_birth(epoch, bytes);
    }

    /// Whether the disk has the birth of an epoch.
    pub(crate) fn has_birth(&self, epoch: u64) -> bool {
        self.shelf.has_birth(epoch)
    }

    /// The files on disk that nothing needs any more; told once.
    pub(crate) fn take_dead(&mut self) -> Dead {
        self.shelf.take_dead()
    }

    /// Whether memory has any of the serials of `epoch` from `first` up to and without `end`.
    pub(crate) fn holds_any(&self, epoch: u64, first: u64, end: u64) -> bool {
        let [first, end] = [first, end].map(|sequence| Serial { epoch, sequence });
        self.entries.range(first..end).next().is_some()
    }

    /// What memory has of these sequences of `epoch`, and the disk has not.
    pub(crate) fn held_only(&self, epoch: u64, range: Range<u64>) -> impl Iterator<Item = Record> + '_ {
        let [first, end] = [range.start, range.end].map(|sequence| Serial { epoch, sequence });
        let inside = self.entries.range(first..end);
        let only_here = inside.filter(|(_, entry)| entry.segment.is_none());
        only_here.map(|(&id, entry)| entry.record(id))
    }

    /// Epochs of which something is in memory.
    pub(crate) fn epochs(&self) -> BTreeSet<u64> {
        self.entries.keys().map(|id| id.epoch).collect()
    }

    /// Whether any frame of `epoch` is in memory.
    pub(crate) fn holds(&self, epoch: u64) -> bool {
        self.holds_any(epoch, 0, u64::MAX)
    }

    /// Whether anything was sent so long ago and is not durable.
    pub(crate) fn has_waited(&self, ago_ns: u64, now_ns: u64) -> bool {
        self.entries.values().any(|entry| entry.was_sent(ago_ns, now_ns))
    }

    /// How many frames, events and holes are in memory.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What they take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is on disk, in bytes.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.shelf.bytes()
    }
}
