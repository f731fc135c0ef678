//! Frames that are kept until they are durable at the brain: a ring in memory, bounded in bytes.
//!
//! Pure: what is to be sent next is asked for, and what the brain says is told. When the ring is full the
//! oldest frames go; they are counted, and the brain sees a gap in their sequence.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use shadow::EpochMark;

/// What a frame costs on top of its bytes: its places in the tables.
const OVERHEAD_BYTES: usize = 160;

/// The brain tells what it misses as soon as it sees a gap, often while the frame is on its way: one that was
/// sent so lately is not sent again.
const UNDER_WAY_NS: u64 = 3_000_000_000;

/// Which frame of one agent: ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FrameId {
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
}

/// A frame to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) id: FrameId,
    pub(crate) payload: Bytes,
    /// Whether it was sent before.
    pub(crate) again: bool,
}

/// The ring.
#[derive(Debug)]
pub(crate) struct Spool {
    max_bytes: usize,
    bytes: usize,
    entries: BTreeMap<FrameId, Entry>,
    /// Never sent, in order.
    fresh: VecDeque<FrameId>,
    /// Sent before, and to be sent again, oldest first.
    again: BTreeSet<FrameId>,
}

#[derive(Debug)]
struct Entry {
    payload: Bytes,
    sent_ns: Option<u64>,
}

impl Spool {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            entries: BTreeMap::new(),
            fresh: VecDeque::new(),
            again: BTreeSet::new(),
        }
    }

    /// Keeps a new frame. Returns how many of the oldest had to go for it.
    pub(crate) fn push(&mut self, id: FrameId, payload: Bytes) -> u64 {
        self.bytes += cost(&payload);
        self.entries.insert(id, Entry { payload, sent_ns: None });
        self.fresh.push_back(id);
        let mut dropped = 0;
        while self.bytes > self.max_bytes && self.entries.len() > 1 {
            let Some(oldest) = self.entries.keys().next().copied() else {
                break;
            };
            self.remove(oldest);
            dropped += 1;
        }
        dropped
    }

    /// The next frame to send: new ones before those that are sent again, each in order.
    pub(crate) fn next(&mut self, now_ns: u64) -> Option<Due> {
        loop {
            let fresh = self.fresh.pop_front();
            let id = fresh.or_else(|| self.again.pop_first())?;
            // What was dropped or is durable by now is still in line.
            if let Some(entry) = self.entries.get_mut(&id) {
                let again = entry.sent_ns.replace(now_ns).is_some();
                let payload = entry.payload.clone();
                return Some(Due { id, payload, again });
            }
        }
    }

    /// Puts a frame that could not be sent back in line.
    pub(crate) fn put_back(&mut self, id: FrameId, again: bool) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if again {
            self.again.insert(id);
        } else {
            entry.sent_ns = None;
            self.fresh.push_front(id);
        }
    }

    /// The connection was lost: whatever was sent and is not durable is sent again.
    pub(crate) fn send_again(&mut self) {
        let sent = self.entries.iter().filter(|(_, entry)| entry.sent_ns.is_some());
        self.again.extend(sent.map(|(id, _)| *id));
    }

    /// Forgets what is durable, and puts what is missing in line.
    pub(crate) fn mark(&mut self, mark: &EpochMark, now_ns: u64) {
        let epoch = mark.epoch;
        let first = FrameId { epoch, sequence: 0 };
        let end = FrameId {
            epoch,
            sequence: mark.durable_below,
        };
        if first >= end {
            return;
        }
        let below: Vec<FrameId> = self.entries.range(first..end).map(|(id, _)| *id).collect();
        for id in below {
            if mark.covers(id.sequence) {
                self.remove(id);
            } else if self.is_overdue(id, now_ns) {
                self.again.insert(id);
            }
        }
    }

    fn is_overdue(&self, id: FrameId, now_ns: u64) -> bool {
        let sent = self.entries.get(&id).and_then(|entry| entry.sent_ns);
        sent.is_some_and(|sent| now_ns.saturating_sub(sent) >= UNDER_WAY_NS)
    }

    fn remove(&mut self, id: FrameId) {
        if let Some(entry) = self.entries.remove(&id) {
            self.bytes -= cost(&entry.payload);
            self.again.remove(&id);
        }
    }

    /// Whether any frame of `epoch` is kept.
    pub(crate) fn holds(&self, epoch: u64) -> bool {
        let range = FrameId { epoch, sequence: 0 }..=FrameId {
            epoch,
            sequence: u64::MAX,
        };
        self.entries.range(range).next().is_some()
    }

    /// How many frames are kept.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What they take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn cost(payload: &Bytes) -> usize {
    payload.len() + OVERHEAD_BYTES
}
