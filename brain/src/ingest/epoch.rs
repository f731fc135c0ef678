//! One epoch of one stream: its birth, which of its frames have come, and which are durable.

use std::sync::Arc;

use shadow::{
    Birth, Block, EpochMark, Frame,
    codec::{CodecError, Decoder},
};

use super::{RangeSet, Refusal, readings::Columns};
use crate::store::{Stream, memory::Readings};

/// Frames of one epoch that wait, for its birth or for the frame that they are read against.
const MAX_HELD: usize = 256;

/// What is known of an epoch.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    reader: Option<Reader>,
    received: RangeSet,
    durable: RangeSet,
    /// What counts as received because its agent has lost it.
    lost: RangeSet,
    /// Whether `received` holds something that was not sealed yet.
    changed: bool,
    held: Vec<Frame>,
    /// Whether something came that needs the birth, and is not held.
    wanted: bool,
    /// Whether the birth is to be told again, for nobody is known who has signed what came.
    asked: bool,
}

/// A birth, where its columns are, and what has been read with it.
#[derive(Debug)]
struct Reader {
    birth: Arc<Birth>,
    columns: Columns,
    /// Made when the first frame is read: most epochs that a restarted brain knows have none to come.
    decoder: Option<Box<Decoder>>,
    /// Memory for the next frame.
    block: Block,
}

/// What became of a frame that is new.
#[derive(Debug)]
pub(super) enum Take {
    /// It is read.
    Read(Box<Taken>),
    /// The frame with this sequence must be read before it.
    Waits { frame: Frame, reference: u64 },
}

/// A frame that was new and readable.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Of whom.
    pub(crate) stream: Stream,
    /// As it came, for the durable store.
    pub(crate) frame: Frame,
    /// What the hot store keeps of it.
    pub(crate) readings: Readings,
    /// What it is read with.
    pub(crate) birth: Arc<Birth>,
}

impl Epoch {
    /// As it was before a restart.
    pub(super) fn restored(birth: Option<Arc<Birth>>, durable: RangeSet) -> Self {
        Self {
            reader: birth.map(Reader::new),
            received: durable.clone(),
            durable,
            ..Self::default()
        }
    }

    /// The birth is to be told, be it again.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// Takes the birth; tells whether it says something new.
    pub(super) fn begin(&mut self, birth: &Arc<Birth>) -> Result<bool, Refusal> {
        self.asked = false;
        if let Some(known) = &self.reader {
            if known.birth == *birth {
                return Ok(false);
            }
            if known.birth.catalogue != birth.catalogue {
                return Err(Refusal::OtherCatalogue(birth.epoch));
            }
        }
        self.reader = Some(Reader::new(Arc::clone(birth)));
        Ok(true)
    }

    pub(super) fn birth(&self) -> Option<&Arc<Birth>> {
        self.reader.as_ref().map(|reader| &reader.birth)
    }

    /// How many metrics its samples have; 0 without the birth.
    pub(super) fn metrics(&self) -> usize {
        self.birth().map_or(0, |birth| birth.catalogue.len())
    }

    /// Whether a frame has come, be it to wait.
    pub(super) fn has(&self, sequence: u64) -> bool {
        let has_come = self.received.contains(sequence) && !self.lost.contains(sequence);
        has_come || self.held.iter().any(|frame| frame.sequence == sequence)
    }

    /// Nobody has `range`: what of it has not come counts as received from now on. Tells that part.
    pub(super) fn lose(&mut self, range: std::ops::Range<u64>) -> Vec<std::ops::Range<u64>> {
        let parts = self.received.absent(range);
        for part in &parts {
            self.received.insert(part.clone());
            self.lost.insert(part.clone());
            self.changed = true;
        }
        parts
    }

    /// Keeps a frame until the birth comes; tells whether there was room. A frame that waits counts as not
    /// come, so its agent keeps it as well.
    pub(super) fn hold(&mut self, frame: Frame) -> bool {
        let room = self.held.len() < MAX_HELD;
        if room {
            self.held.push(frame);
        }
        room
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held.iter().map(|frame| frame.body.len()).sum()
    }

    /// The frames that waited, in the order of their sequence.
    pub(super) fn release(&mut self) -> Vec<Frame> {
        let mut held = std::mem::take(&mut self.held);
        held.sort_by_key(|frame| frame.sequence);
        held
    }

    /// The frames that waited for the one with this sequence, in the order of their own.
    pub(super) fn release_readers_of(&mut self, sequence: u64) -> Vec<Frame> {
        let reads_it = |frame: &mut Frame| frame.reads_against() == Some(sequence);
        let mut released: Vec<Frame> = self.held.extract_if(.., reads_it).collect();
        released.sort_by_key(|frame| frame.sequence);
        released
    }

    /// The frames that others wait for.
    pub(super) fn references(&self) -> impl Iterator<Item = u64> + '_ {
        self.held.iter().filter_map(Frame::reads_against)
    }

    /// Whether the frame with this sequence has come before, or is lost, and so needs not be sent again.
    pub(super) fn has_come(&self, sequence: u64) -> bool {
        self.received.contains(sequence)
    }

    /// Whether the frame with this sequence is in the store, or was when it was new.
    pub(super) fn is_durable(&self, sequence: u64) -> bool {
        self.durable.contains(sequence)
    }

    /// Whether a sequence can be taken and no gap is given up for it.
    pub(super) fn has_room(&self, sequence: u64) -> bool {
        self.received.has_room(sequence)
    }

    /// Takes a frame that is new. Unless it waits for another it has come, whether it can be read or not.
    pub(super) fn take(&mut self, stream: &Stream, frame: Frame) -> Result<Take, Refusal> {
        let readings = match self.read(&frame) {
            Err(Refusal::Body {
                source: CodecError::Reference { sequence: reference },
                ..
            }) => return Ok(Take::Waits { frame, reference }),
            readings => readings,
        };
        self.came(frame.sequence);
        let readings = readings?;
        let birth = self.birth().ok_or(Refusal::HoldingFull)?;
        Ok(Take::Read(Box::new(Taken {
            stream: stream.clone(),
            birth: Arc::clone(birth),
            readings,
            frame,
        })))
    }

    /// Nobody is to send it again.
    pub(super) fn came(&mut self, sequence: u64) {
        self.received.insert(sequence..sequence.saturating_add(1));
        self.lost.remove(sequence);
        self.changed = true;
    }

    /// Notes that an event has come; tells whether it is new, and can be placed.
    pub(super) fn note(&mut self, sequence: u64) -> bool {
        let Some(reader) = &mut self.reader else {
            self.wanted = true;
            return false;
        };
        let has_come = self.received.contains(sequence) && !self.lost.remove(sequence);
        if has_come || !self.received.has_room(sequence) {
            return false;
        }
        reader.columns.skip(sequence);
        self.received.insert(sequence..sequence.saturating_add(1));
        self.changed = true;
        true
    }

    /// The readings of a frame.
    pub(super) fn read(&mut self, frame: &Frame) -> Result<Readings, Refusal> {
        let Some(reader) = &mut self.reader else {
            return Err(Refusal::HoldingFull);
        };
        reader.decode(frame)?;
        Ok(reader.columns.read(frame.sequence, &reader.block))
    }

    /// Reads a frame for the sake of those that are read against it.
    pub(super) fn prime(&mut self, frame: &Frame) -> Result<(), Refusal> {
        self.reader.as_mut().map_or(Ok(()), |reader| reader.decode(frame))
    }

    /// What has come, if that changed since the last call.
    pub(super) fn seal(&mut self) -> Option<RangeSet> {
        std::mem::take(&mut self.changed).then(|| self.received.clone())
    }

    pub(super) fn committed(&mut self, ranges: &RangeSet) {
        self.durable.extend(ranges);
    }

    /// What is told of it, with at most `room` missing ranges.
    pub(super) fn mark(&self, epoch: u64, room: usize) -> EpochMark {
        let end = self.received.first_not_in(&self.durable).unwrap_or(self.durable.end());
        let never_came = |gap: std::ops::Range<u64>| gap.start..gap.end.min(end);
        // Below `end` all that has come is durable, so that what is not has never come.
        let mut gaps = self.received.gaps().take_while(|gap| gap.start < end).map(never_came);
        let mut missing: Vec<_> = gaps.by_ref().take(room).collect();
        // Past what there is room to tell nothing is claimed.
        let cut = gaps.next().map(|gap| gap.start);
        let waiting = self.waited_for(end).filter(|_| cut.is_none() && missing.len() < room);
        missing.extend(waiting.clone());
        EpochMark {
            epoch,
            durable_below: cut.unwrap_or_else(|| waiting.map_or(end, |gap| gap.end)),
            missing,
            birth_wanted: self.asked || self.reader.is_none() && (self.wanted || !self.held.is_empty()),
        }
    }

    /// Past `end`, where nothing more has come, what frames that are held wait for, and these themselves: without the
    /// first of them none would ever come.
    fn waited_for(&self, end: u64) -> Option<std::ops::Range<u64>> {
        let last = self.held.iter().map(|frame| frame.sequence).max();
        let last = last.filter(|&last| self.reader.is_some() && last >= end && self.received.end() <= end);
        last.map(|last| end..last.saturating_add(1))
    }

    pub(super) fn gap_count(&self) -> usize {
        self.received.ranges().len()
    }

    pub(super) fn missing(&self) -> u64 {
        self.received.missing_within()
    }
}

impl Reader {
    fn new(birth: Arc<Birth>) -> Self {
        Self {
            columns: Columns::new(&birth),
            birth,
            decoder: None,
            block: Block::default(),
        }
    }

    /// Reads `frame` into the block.
    fn decode(&mut self, frame: &Frame) -> Result<(), Refusal> {
        let new = || Box::new(Decoder::new(&self.birth.catalogue));
        let decoder = self.decoder.get_or_insert_with(new);
        decoder.read(frame, &mut self.block).map_err(|source| Refusal::Body {
            epoch: frame.epoch,
            sequence: frame.sequence,
            source,
        })
    }
}
