//! Frames and events that are kept until they are durable at the brain: a ring in memory, bounded in bytes.
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

/// A brain that is alive makes durable within ten seconds. What it does not know so long after it was sent is
/// lost, and nothing that follows in its epoch may ever show the gap.
const OVERDUE_NS: u64 = 30_000_000_000;

/// Which frame or event of one agent: ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Serial {
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
}

/// What bears a serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Frame,
    Event,
}

/// A frame or an event to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) id: Serial,
    pub(crate) kind: Kind,
    pub(crate) payload: Bytes,
    /// Whether it was sent before.
    pub(crate) again: bool,
}

/// The ring.
#[derive(Debug)]
pub(crate) struct Spool {
    max_bytes: usize,
    bytes: usize,
    entries: BTreeMap<Serial, Entry>,
    /// Never sent, in order.
    fresh: VecDeque<Serial>,
    /// Sent before, and to be sent again, oldest first.
    again: BTreeSet<Serial>,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    payload: Bytes,
    sent_ns: Option<u64>,
}

impl Entry {
    /// Whether it was sent, last `ago_ns` before now or earlier.
    fn was_sent(&self, ago_ns: u64, now_ns: u64) -> bool {
        self.sent_ns.is_some_and(|sent| now_ns.saturating_sub(sent) >= ago_ns)
    }
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

    /// Keeps what is new. Returns how many of the oldest had to go for it.
    pub(crate) fn push(&mut self, id: Serial, kind: Kind, payload: Bytes) -> u64 {
        self.bytes += cost(&payload);
        let sent_ns = None;
        self.entries.insert(id, Entry { kind, payload, sent_ns });
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
                return Some(Due {
                    id,
                    kind: entry.kind,
                    payload: entry.payload.clone(),
                    again,
                });
            }
        }
    }

    /// Puts a frame that could not be sent back in line.
    pub(crate) fn put_back(&mut self, id: Serial, again: bool) {
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
        let first = Serial { epoch, sequence: 0 };
        let end = Serial {
            epoch,
            sequence: mark.durable_below,
        };
        if first >= end {
            return;
        }
        let below: Vec<Serial> = self.entries.range(first..end).map(|(id, _)| *id).collect();
        for id in below {
            if mark.covers(id.sequence) {
                self.remove(id);
            } else if self
                .entries
                .get(&id)
                .is_some_and(|entry| entry.was_sent(UNDER_WAY_NS, now_ns))
            {
                self.again.insert(id);
            }
        }
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

    fn remove(&mut self, id: Serial) {
        if let Some(entry) = self.entries.remove(&id) {
            self.bytes -= cost(&entry.payload);
            self.again.remove(&id);
        }
    }

    /// Whether any frame of `epoch` is kept.
    pub(crate) fn holds(&self, epoch: u64) -> bool {
        let range = Serial { epoch, sequence: 0 }..=Serial {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn id(epoch: u64, sequence: u64) -> Serial {
        Serial { epoch, sequence }
    }

    fn spool(frames: impl IntoIterator<Item = (u64, u64)>) -> Spool {
        let mut spool = Spool::new(1 << 20);
        for (epoch, sequence) in frames {
            spool.push(id(epoch, sequence), Kind::Frame, Bytes::from_static(b"frame"));
        }
        spool
    }

    /// Everything that is due, as (epoch, sequence, again).
    fn due(spool: &mut Spool, now_ns: u64) -> Vec<(u64, u64, bool)> {
        std::iter::from_fn(|| spool.next(now_ns))
            .map(|due| (due.id.epoch, due.id.sequence, due.again))
            .collect()
    }

    fn mark(epoch: u64, durable_below: u64, missing: &[(u64, u64)]) -> EpochMark {
        EpochMark {
            epoch,
            durable_below,
            missing: missing.iter().map(|&(first, end)| first..end).collect(),
            birth_wanted: false,
        }
    }

    #[test]
    fn frames_are_sent_once_and_kept_until_they_are_durable() {
        let mut spool = spool([(1, 0), (1, 1), (1, 2)]);
        assert_eq!(due(&mut spool, 0), [(1, 0, false), (1, 1, false), (1, 2, false)]);
        assert_eq!(due(&mut spool, 0), []);
        spool.mark(&mark(1, 2, &[]), SECOND);
        assert_eq!(spool.len(), 1);
        spool.mark(&mark(1, 3, &[]), SECOND);
        assert_eq!((spool.len(), spool.bytes()), (0, 0));
        spool.mark(&mark(1, 0, &[]), SECOND);
        spool.mark(&mark(7, u64::MAX, &[]), SECOND);
    }

    #[test]
    fn missing_frames_are_sent_again_unless_they_are_under_way() {
        let mut spool = spool((0..6).map(|sequence| (1, sequence)));
        due(&mut spool, 0);
        spool.mark(&mark(1, 5, &[(1, 2), (3, 5)]), SECOND);
        assert_eq!(due(&mut spool, SECOND), [], "sent a second ago");
        spool.mark(&mark(1, 5, &[(1, 2), (3, 5)]), 4 * SECOND);
        assert_eq!(due(&mut spool, 4 * SECOND), [(1, 1, true), (1, 3, true), (1, 4, true)]);
        assert_eq!(spool.len(), 4, "what is missing and what is not told of is kept");
    }

    #[test]
    fn a_lost_tail_is_sent_again_once_in_a_while() {
        let mut spool = spool([(1, 0), (1, 1)]);
        due(&mut spool, 0);
        spool.push(id(2, 0), Kind::Event, Bytes::new());
        spool.mark(&mark(1, 1, &[]), 29 * SECOND);
        spool.send_overdue(29 * SECOND);
        assert_eq!(due(&mut spool, 29 * SECOND), [(2, 0, false)], "may be under way");
        spool.send_overdue(30 * SECOND);
        assert_eq!(due(&mut spool, 30 * SECOND), [(1, 1, true)]);
        spool.send_overdue(58 * SECOND);
        assert_eq!(due(&mut spool, 58 * SECOND), []);
        spool.send_overdue(60 * SECOND);
        assert_eq!(due(&mut spool, 60 * SECOND), [(1, 1, true), (2, 0, true)]);
    }

    #[test]
    fn after_a_lost_connection_new_frames_go_first() {
        let mut spool = spool([(1, 0), (2, 0)]);
        due(&mut spool, 0);
        spool.push(id(2, 1), Kind::Frame, Bytes::new());
        spool.send_again();
        assert_eq!(due(&mut spool, 0), [(2, 1, false), (1, 0, true), (2, 0, true)]);
    }

    #[test]
    fn what_could_not_be_sent_is_next_again() {
        let mut spool = spool([(1, 0), (1, 1)]);
        let first = spool.next(0).unwrap();
        spool.put_back(first.id, first.again);
        assert_eq!(due(&mut spool, 0), [(1, 0, false), (1, 1, false)]);
        spool.send_again();
        let first = spool.next(0).unwrap();
        spool.put_back(first.id, first.again);
        assert_eq!(due(&mut spool, 0), [(1, 0, true), (1, 1, true)]);
        spool.put_back(id(9, 9), true);
        assert_eq!(due(&mut spool, 0), []);
    }

    #[test]
    fn a_full_ring_drops_the_oldest_and_counts_them() {
        let mut spool = Spool::new(3 * (OVERHEAD_BYTES + 10));
        let dropped: Vec<u64> = (0..5)
            .map(|n| spool.push(id(1, n), Kind::Frame, Bytes::from(vec![0; 10])))
            .collect();
        assert_eq!(dropped, [0, 0, 0, 1, 1]);
        assert_eq!(due(&mut spool, 0), [(1, 2, false), (1, 3, false), (1, 4, false)]);
        assert_eq!(
            spool.push(id(1, 9), Kind::Frame, Bytes::from(vec![0; 10_000])),
            3,
            "the newest stays, however large"
        );
        assert_eq!(spool.len(), 1);
    }

    proptest! {
        /// Whatever happens, the bytes add up, the bound holds, and no frame that is not durable, kept and
        /// unsent is forgotten.
        #[test]
        fn the_account_adds_up(steps in prop::collection::vec((0_u8..6, 0_u64..40, 0_usize..300), 1..200)) {
            let mut spool = Spool::new(4_000);
            let mut sequence = 0;
            for (now, &(kind, at, size)) in steps.iter().enumerate() {
                let now_ns = now as u64 * SECOND;
                match kind {
                    0 | 1 => {
                        spool.push(id(1, sequence), Kind::Frame, Bytes::from(vec![0; size]));
                        sequence += 1;
                    }
                    2 => drop(spool.next(now_ns)),
                    3 => spool.send_again(),
                    4 => spool.mark(&mark(1, at.min(sequence), &[(at / 2, at / 2 + 1)]), now_ns),
                    _ => spool.put_back(id(1, at), at % 2 == 0),
                }
                let bytes: usize = spool.entries.values().map(|entry| cost(&entry.payload)).sum();
                prop_assert_eq!(bytes, spool.bytes);
                prop_assert!(bytes <= 4_000);
            }
            spool.send_again();
            let kept: Vec<Serial> = spool.entries.keys().copied().collect();
            let mut told: Vec<Serial> = std::iter::from_fn(|| spool.next(0)).map(|due| due.id).collect();
            told.sort_unstable();
            told.dedup();
            prop_assert_eq!(kept, told);
        }
    }
}
