//! The recent window of a host: its newest frames as they came, bounded by time and by bytes.
//!
//! Frames are read against others, so what is kept and let go of is a [`Chain`]: frames of one epoch, of which the first
//! is read by itself and each other one against one of them, if any. Readers take the chains away as they are and decode
//! them without any lock; a frame that comes meanwhile goes into a copy of the newest chain.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use shadow::{Birth, Frame, UnixMs, Vantage};

/// After so many frames the next one that is read by itself begins another chain: of a writer of codec 2 that is the next
/// keyframe.
const LONG: usize = 32;
/// Roughly what a chain takes besides its frames.
const CHAIN_BYTES: usize = 160;

/// How much is kept of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Since when: milliseconds before the present.
    pub(crate) span_ms: i64,
    /// Of all its frames, in bytes of memory.
    pub(crate) bytes: usize,
}

/// The newest frames of a host.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// By vantage, in the order of epochs and of sequences.
    chains: BTreeMap<Vantage, VecDeque<Arc<Chain>>>,
}

/// Frames that are read by themselves or against one another, in the order of their sequences.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    /// What they are read with.
    birth: Arc<Birth>,
    links: Vec<Link>,
    /// One behind the other, in the order in which they came: an allocation each would cost as much as they have bytes.
    bodies: Vec<u8>,
    /// When the newest sample was taken.
    newest_ms: UnixMs,
}

/// A frame without its body.
#[derive(Debug, Clone, Copy)]
struct Link {
    sequence: u64,
    start_ms: UnixMs,
    reference: u32,
    begin: u32,
    length: u32,
    samples: u16,
    codec: u16,
}

impl Recent {
    /// Keeps a frame whose newest sample was taken at `newest_ms`. One that is read against a frame that is not here is
    /// left out.
    pub(crate) fn push(&mut self, vantage: Vantage, birth: &Arc<Birth>, frame: &Frame, newest_ms: UnixMs) {
        let chains = self.chains.entry(vantage).or_default();
        let key = (frame.epoch, frame.sequence);
        let after = chains.partition_point(|chain| chain.key() <= key);
        let home = after.checked_sub(1).and_then(|at| chains.get_mut(at));
        let home = home.filter(|chain| chain.birth.epoch == frame.epoch);
        let joins = |chain: &&mut Arc<Chain>| match frame.reads_against() {
            Some(reference) => chain.has(reference),
            None => chain.links.len() < LONG,
        };
        match home.filter(joins) {
            Some(chain) => Arc::make_mut(chain).insert(frame, newest_ms),
            None if frame.reference == 0 => {
                let before = after.checked_sub(1).and_then(|at| chains.get_mut(at));
                // One that a reader holds stays as it is.
                if let Some(before) = before.and_then(Arc::get_mut) {
                    before.shrink();
                }
                let mut chain = Chain::new(Arc::clone(birth));
                chain.insert(frame, newest_ms);
                chains.insert(after, Arc::new(chain));
            }
            None => {}
        }
    }

    /// Lets go of what was all taken before `oldest_ms`.
    pub(crate) fn forget_before(&mut self, oldest_ms: UnixMs) {
        self.chains.retain(|_, chains| {
            chains.retain(|chain| chain.newest_ms >= oldest_ms);
            !chains.is_empty()
        });
    }

    /// Lets go of the oldest while all has more than `most` bytes.
    pub(crate) fn shed(&mut self, most: usize) {
        let mut bytes = self.bytes();
        while bytes > most {
            let fronts = self.chains.values_mut().filter(|chains| !chains.is_empty());
            let oldest = fronts.min_by_key(|chains| chains.front().map(|chain| chain.newest_ms));
            let Some(let_go) = oldest.and_then(VecDeque::pop_front) else {
                break;
            };
            bytes -= let_go.bytes();
        }
    }

    /// The frames of `vantage` that may hold samples from `since_ms` on, with what they are read against.
    pub(crate) fn since(&self, vantage: Vantage, since_ms: UnixMs) -> Vec<Arc<Chain>> {
        let chains = self.chains.get(&vantage).into_iter().flatten();
        chains.filter(|chain| chain.newest_ms >= since_ms).cloned().collect()
    }

    /// Whether there is no frame.
    pub(crate) fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// Bytes of memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.chains.values().flatten().map(|chain| chain.bytes()).sum()
    }
}

impl Chain {
    const fn new(birth: Arc<Birth>) -> Self {
        Self {
            birth,
            links: Vec::new(),
            bodies: Vec::new(),
            newest_ms: UnixMs::MIN,
        }
    }

    /// What its frames are read with.
    pub(crate) const fn birth(&self) -> &Arc<Birth> {
        &self.birth
    }

    /// Its frames, each after what it is read against.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Frame> + '_ {
        let frame = |link: &Link| {
            let (begin, length) = (link.begin as usize, link.length as usize);
            Some(Frame {
                epoch: self.birth.epoch,
                sequence: link.sequence,
                start_ms: link.start_ms,
                samples: link.samples.into(),
                codec: link.codec.into(),
                reference: link.reference.into(),
                body: self.bodies.get(begin..begin + length)?.to_vec().into(),
            })
        };
        self.links.iter().filter_map(frame)
    }

    fn key(&self) -> (u64, u64) {
        let first = self.links.first().map_or(0, |link| link.sequence);
        (self.birth.epoch, first)
    }

    fn place(&self, sequence: u64) -> Result<usize, usize> {
        self.links.binary_search_by_key(&sequence, |link| link.sequence)
    }

    fn has(&self, sequence: u64) -> bool {
        self.place(sequence).is_ok()
    }

    /// Takes a frame to its place. One that is here already, or that no agent writes, is left out.
    fn insert(&mut self, frame: &Frame, newest_ms: UnixMs) {
        let (Err(at), Some(link)) = (self.place(frame.sequence), Link::of(frame, self.bodies.len())) else {
            return;
        };
        self.links.insert(at, link);
        self.bodies.extend_from_slice(&frame.body);
        self.newest_ms = self.newest_ms.max(newest_ms);
    }

    /// Gives back memory that was taken for frames to come.
    fn shrink(&mut self) {
        self.links.shrink_to_fit();
        self.bodies.shrink_to_fit();
    }

    fn bytes(&self) -> usize {
        CHAIN_BYTES + self.bodies.capacity() + size_of::<Link>() * self.links.capacity()
    }
}

impl Link {
    fn of(frame: &Frame, begin: usize) -> Option<Self> {
        Some(Self {
            sequence: frame.sequence,
            start_ms: frame.start_ms,
            reference: u32::try_from(frame.reference).ok()?,
            begin: u32::try_from(begin).ok()?,
            length: u32::try_from(frame.body.len()).ok()?,
            samples: u16::try_from(frame.samples).ok()?,
            codec: u16::try_from(frame.codec).ok()?,
        })
    }
}
