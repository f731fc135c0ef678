//! Births and frames from the bus: what is known, new, doubled, missing, not readable.
//!
//! Everything here is bounded, and each host pays for itself alone: a stream of broken frames costs its own
//! frames and a counter. A frame is taken in once; whether it is *durable* is told by
//! [`Ingest::committed`], and only that reaches a watermark.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shadow::{Birth, Event, Frame, UnixMs, Vantage, Watermark, wire::MAX_EPOCHS};

mod epoch;
mod ranges;
mod readings;
mod refusal;
mod waiting;

pub(crate) use epoch::Taken;
pub(crate) use ranges::RangeSet;
pub(crate) use refusal::Refusal;

use crate::store::{FrameId, Stream, memory::Readings};
use epoch::{Epoch, Take};

/// Sequences from here on are not believed: at a hundred frames a second they would be reached in 89,000 years.
const MAX_SEQUENCE: u64 = 1 << 48;
/// Metrics in all catalogues of one stream; about 150 bytes each.
const MAX_CATALOGUES: usize = 100_000;
/// Hosts of which frames have come and no birth: they take no place from those that are known.
const MAX_STRANGERS: usize = 256;

/// What is allowed in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Samples later than the present by more are refused; `None` refuses none.
    pub(crate) max_ahead_ms: Option<i64>,
    /// Hosts beyond this number are refused.
    pub(crate) max_hosts: usize,
}

/// All streams, and what has come of each.
#[derive(Debug)]
pub(crate) struct Ingest {
    limits: Limits,
    streams: BTreeMap<Stream, BTreeMap<u64, Epoch>>,
    /// Hosts that were born.
    hosts: BTreeSet<Arc<str>>,
    /// Hosts whose birth has not come.
    strangers: BTreeSet<Arc<str>>,
    /// Streams whose agents should hear a watermark.
    untold: BTreeSet<Stream>,
    /// Frames that are here already and are needed again to read others.
    wanted: BTreeSet<FrameId>,
    held_bytes: usize,
}

/// What became of a frame.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// New and readable; and those that waited for it.
    Taken(Box<Taken>, Vec<Frame>),
    /// It is here already.
    Duplicate,
    /// Its birth, or the frame that it is read against, is not known; it waits.
    Held,
}

impl Ingest {
    /// Nothing has come yet.
    pub(crate) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            streams: BTreeMap::new(),
            hosts: BTreeSet::new(),
            strangers: BTreeSet::new(),
            untold: BTreeSet::new(),
            wanted: BTreeSet::new(),
            held_bytes: 0,
        }
    }

    /// Puts back what was durable of an epoch before a restart.
    pub(crate) fn restore(&mut self, stream: &Stream, birth: Option<Arc<Birth>>, epoch: u64, durable: RangeSet) {
        self.hosts.insert(Arc::clone(&stream.host));
        let epochs = self.streams.entry(stream.clone()).or_default();
        epochs.insert(epoch, Epoch::restored(birth, durable));
        self.evict(stream);
    }

    /// Takes in a birth. Tells `None` when it says nothing new, else the birth and the frames that waited for it.
    ///
    /// # Errors
    /// [`Refusal`]; the stream is as it was before.
    pub(crate) fn birth(&mut self, now_ms: UnixMs, stream: &Stream, payload: &[u8]) -> Result<Option<Born>, Refusal> {
        let birth = shadow::wire::decode_birth(payload)?;
        // Not by its epoch: epochs rise even when a clock that was ahead has been set right.
        self.not_ahead(now_ms, birth.time_ms)?;
        self.admit(stream)?;
        let epochs = self.streams.entry(stream.clone()).or_default();
        let number = birth.epoch;
        let epoch = epochs.entry(number).or_default();
        let birth = Arc::new(birth);
        if !epoch.begin(&birth)? {
            return Ok(None);
        }
        let held = epoch.release();
        self.held_bytes -= held.iter().map(|frame| frame.body.len()).sum::<usize>();
        let mut later = epochs.range(number.saturating_add(1)..);
        // Anybody can send frames of an epoch that never was.
        let newest = !later.any(|(_, epoch)| epoch.birth().is_some());
        self.untold.insert(stream.clone());
        self.evict(stream);
        Ok(Some(Born { birth, held, newest }))
    }

    /// Asks for the birth of an epoch, known or not: nobody is known who signs what comes of it.
    pub(crate) fn ask_birth(&mut self, stream: &Stream, epoch: u64) {
        self.admit_stranger(stream);
        let epochs = self.streams.entry(stream.clone()).or_default();
        epochs.entry(epoch).or_default().ask();
        self.untold.insert(stream.clone());
        self.evict(stream);
    }

    /// Takes in a frame.
    ///
    /// # Errors
    /// [`Refusal`]. Where the frame is what its agent sent and yet is not readable, its sequence counts as come,
    /// or the agent would send it again for ever.
    pub(crate) fn frame(&mut self, now_ms: UnixMs, stream: &Stream, frame: Frame) -> Result<Verdict, Refusal> {
        if frame.sequence >= MAX_SEQUENCE {
            return Err(Refusal::Sequence(frame.sequence));
        }
        self.not_ahead(now_ms, frame.start_ms)?;
        self.admit_stranger(stream);
        let epochs = self.streams.entry(stream.clone()).or_default();
        let epoch = epochs.entry(frame.epoch).or_default();
        if epoch.has(frame.sequence) {
            return Ok(Verdict::Duplicate);
        }
        if epoch.birth().is_none() {
            self.untold.insert(stream.clone());
            let held = self.hold(stream, frame);
            // Also when there was no room: its epoch may be one of many that were made up.
            self.evict(stream);
            return held.map(|()| Verdict::Held);
        }
        if !epoch.has_room(frame.sequence) {
            // Told what is missing, the agent fills gaps from below; this frame comes again then.
            self.untold.insert(stream.clone());
            return Err(Refusal::Gaps(frame.epoch));
        }
        let gaps = epoch.gap_count();
        let taken = epoch.take(stream, frame);
        if epoch.gap_count() > gaps {
            self.untold.insert(stream.clone());
        }
        let taken = match taken? {
            Take::Read(taken) => taken,
            Take::Waits { frame, reference } => return self.wait(stream, frame, reference),
        };
        let next = epoch.release_readers_of(taken.frame.sequence);
        self.held_bytes -= next.iter().map(|frame| frame.body.len()).sum::<usize>();
        if let Some(&(last_ms, _)) = taken.readings.times.last() {
            self.not_ahead(now_ms, last_ms)?;
        }
        Ok(Verdict::Taken(taken, next))
    }

    /// Takes in an event; tells whether it is new. Without the birth of its epoch it is left to its agent, who is asked
    /// for that.
    ///
    /// # Errors
    /// [`Refusal`]; the stream is as it was before.
    pub(crate) fn event(&mut self, now_ms: UnixMs, stream: &Stream, event: &Event) -> Result<bool, Refusal> {
        if event.sequence >= MAX_SEQUENCE {
            return Err(Refusal::Sequence(event.sequence));
        }
        self.not_ahead(now_ms, event.time_ms)?;
        self.admit_stranger(stream);
        let epochs = self.streams.entry(stream.clone()).or_default();
        let epoch = epochs.entry(event.epoch).or_default();
        let gaps = epoch.gap_count();
        let new = epoch.note(event.sequence);
        if epoch.birth().is_none() || epoch.gap_count() > gaps {
            self.untold.insert(stream.clone());
        }
        self.evict(stream);
        Ok(new)
    }

    /// Whether `time_ms` is too far in the future of `now_ms` to be believed.
    pub(crate) fn is_ahead(&self, now_ms: UnixMs, time_ms: UnixMs) -> bool {
        self.not_ahead(now_ms, time_ms).is_err()
    }

    fn not_ahead(&self, now_ms: UnixMs, time_ms: UnixMs) -> Result<(), Refusal> {
        match self.limits.max_ahead_ms {
            Some(most) if time_ms.saturating_sub(now_ms) > most => Err(Refusal::Ahead {
                ahead_ms: time_ms.saturating_sub(now_ms),
                most_ms: most,
            }),
            _ => Ok(()),
        }
    }

    fn admit(&mut self, stream: &Stream) -> Result<(), Refusal> {
        if self.hosts.contains(&stream.host) {
            return Ok(());
        }
        if self.hosts.len() >= self.limits.max_hosts {
            return Err(Refusal::TooManyHosts(self.limits.max_hosts));
        }
        self.strangers.remove(&stream.host);
        self.hosts.insert(Arc::clone(&stream.host));
        Ok(())
    }

    /// Makes room for a host that has sent a frame before its birth, where there is none: another one waits anew.
    fn admit_stranger(&mut self, stream: &Stream) {
        if self.hosts.contains(&stream.host) || !self.strangers.insert(Arc::clone(&stream.host)) {
            return;
        }
        if self.strangers.len() > MAX_STRANGERS
            && let Some(other) = self.strangers.iter().find(|host| **host != stream.host).cloned()
        {
            self.forget(&other);
        }
    }

    /// Forgets a host; it is known again with its next birth.
    pub(crate) fn forget(&mut self, host: &Arc<str>) {
        self.hosts.remove(host);
        self.strangers.remove(host);
        for vantage in [Vantage::Inband, Vantage::Oob] {
            let stream = Stream {
                host: Arc::clone(host),
                vantage,
            };
            self.untold.remove(&stream);
            let epochs = self.streams.remove(&stream).unwrap_or_default();
            self.held_bytes -= epochs.values().map(Epoch::held_bytes).sum::<usize>();
        }
    }

    /// Forgets epochs past what a watermark can tell, and past what one agent may take of memory: first those without
    /// a birth, which anybody can make up, then the oldest.
    fn evict(&mut self, stream: &Stream) {
        let Some(epochs) = self.streams.get_mut(stream) else {
            return;
        };
        let metrics = |epochs: &BTreeMap<u64, Epoch>| epochs.values().map(Epoch::metrics).sum::<usize>();
        while epochs.len() > MAX_EPOCHS || (epochs.len() > 1 && metrics(epochs) > MAX_CATALOGUES) {
            let made_up = epochs.iter().find(|(_, epoch)| epoch.birth().is_none());
            let number = made_up.or_else(|| epochs.first_key_value()).map(|(&number, _)| number);
            let evicted = number.and_then(|number| epochs.remove(&number));
            self.held_bytes -= evicted.map_or(0, |epoch| epoch.held_bytes());
        }
    }

    /// What the frames of an epoch are read with, if that has come.
    pub(crate) fn birth_of(&self, stream: &Stream, epoch: u64) -> Option<&Arc<Birth>> {
        self.streams.get(stream)?.get(&epoch)?.birth()
    }

    /// Everything that has come of the epochs that changed since the last call: durable once it is written.
    pub(crate) fn seal(&mut self) -> BTreeMap<(Stream, u64), RangeSet> {
        let mut sealed = BTreeMap::new();
        for (stream, epochs) in &mut self.streams {
            for (&number, epoch) in epochs {
                if let Some(received) = epoch.seal() {
                    sealed.insert((stream.clone(), number), received);
                }
            }
        }
        sealed
    }

    /// What was sealed is durable now.
    pub(crate) fn committed(&mut self, durable: &BTreeMap<(Stream, u64), RangeSet>) {
        for ((stream, number), ranges) in durable {
            let epoch = self.streams.get_mut(stream).and_then(|epochs| epochs.get_mut(number));
            if let Some(epoch) = epoch {
                epoch.committed(ranges);
                self.untold.insert(stream.clone());
            }
        }
    }

    /// Reads a frame that was taken in before a restart; `None` without its birth.
    ///
    /// # Errors
    /// [`Refusal::Body`].
    pub(crate) fn read_again(&mut self, stream: &Stream, frame: &Frame) -> Result<Option<Readings>, Refusal> {
        let epoch = self
            .streams
            .get_mut(stream)
            .and_then(|epochs| epochs.get_mut(&frame.epoch));
        epoch
            .filter(|epoch| epoch.birth().is_some())
            .map(|epoch| epoch.read(frame))
            .transpose()
    }

    /// Every watermark should be told again.
    pub(crate) fn retell(&mut self) {
        self.untold = self.streams.keys().cloned().collect();
    }

    /// Watermarks that should be told now.
    pub(crate) fn watermarks(&mut self) -> Vec<(Stream, Watermark)> {
        let untold = std::mem::take(&mut self.untold);
        untold
            .into_iter()
            .map(|stream| (stream.clone(), self.watermark(&stream)))
            .collect()
    }

    fn watermark(&self, stream: &Stream) -> Watermark {
        let mut room = shadow::wire::MAX_RANGES;
        let epochs = self.streams.get(stream).into_iter().flatten();
        let mark = |(&number, epoch): (&u64, &Epoch)| {
            let mark = epoch.mark(number, room);
            room -= mark.missing.len();
            mark
        };
        Watermark {
            epochs: epochs.map(mark).collect(),
        }
    }

    /// Frames that are missing between others, over all streams.
    pub(crate) fn missing(&self) -> u64 {
        let epochs = self.streams.values().flat_map(BTreeMap::values);
        epochs.map(Epoch::missing).fold(0, u64::saturating_add)
    }
}

/// A birth that says something new.
#[derive(Debug)]
pub(crate) struct Born {
    /// What was told.
    pub(crate) birth: Arc<Birth>,
    /// Frames that waited for it, to be taken in now.
    pub(crate) held: Vec<Frame>,
    /// Whether no newer one is known.
    pub(crate) newest: bool,
}

#[cfg(test)]
mod tests;
