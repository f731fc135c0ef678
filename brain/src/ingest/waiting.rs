//! Frames that cannot be read yet: their birth has not come, or the frame that they are read against.
//!
//! What such a frame waits for may be on its way, or here: a frame that has come before and that no decoder remembers is
//! looked for in the store. What an agent has lost is waited for by nobody.

use shadow::{Frame, Hole};

use super::{Ingest, MAX_SEQUENCE, Refusal, Verdict};
use crate::store::{FrameId, Stream};

/// Frames of all hosts that wait, in bytes.
pub(super) const MAX_HELD_BYTES: usize = 64 << 20;

impl Ingest {
    /// Whether the frame with this sequence has come, or is lost: nobody is to send it again.
    pub(crate) fn has_come(&self, stream: &Stream, epoch: u64, sequence: u64) -> bool {
        let known = self.streams.get(stream).and_then(|epochs| epochs.get(&epoch));
        known.is_some_and(|known| known.has_come(sequence))
    }

    pub(super) fn hold(&mut self, stream: &Stream, frame: Frame) -> Result<(), Refusal> {
        let bytes = frame.body.len();
        if self.held_bytes + bytes > MAX_HELD_BYTES {
            return Err(Refusal::HoldingFull);
        }
        let epoch = self
            .streams
            .get_mut(stream)
            .and_then(|epochs| epochs.get_mut(&frame.epoch));
        if epoch.is_some_and(|epoch| epoch.hold(frame)) {
            self.held_bytes += bytes;
            return Ok(());
        }
        Err(Refusal::HoldingFull)
    }

    /// Holds a frame until the one that it is read against comes, or is read from the store.
    pub(super) fn wait(&mut self, stream: &Stream, frame: Frame, reference: u64) -> Result<Verdict, Refusal> {
        let (epoch, sequence) = (frame.epoch, frame.sequence);
        self.hold(stream, frame)?;
        let known = self.streams.get(stream).and_then(|epochs| epochs.get(&epoch));
        if known.is_some_and(|known| known.has_come(reference)) {
            self.wanted.insert(FrameId {
                stream: stream.clone(),
                epoch,
                sequence: reference,
            });
        } else {
            tracing::debug!(
                host = &*stream.host,
                epoch,
                sequence,
                reference,
                "a frame waits for another"
            );
            self.untold.insert(stream.clone());
        }
        Ok(Verdict::Held)
    }

    /// Takes in what an agent has lost for good: nobody waits for it from now on, and watermarks cover it. Tells the
    /// part of it that has not come; a frame that comes nevertheless is taken.
    ///
    /// # Errors
    /// [`Refusal`]; the stream is as it was before.
    pub(crate) fn hole(&mut self, stream: &Stream, hole: &Hole) -> Result<Vec<Hole>, Refusal> {
        if hole.end > MAX_SEQUENCE {
            return Err(Refusal::Sequence(hole.end));
        }
        self.admit_stranger(stream);
        let epochs = self.streams.entry(stream.clone()).or_default();
        let epoch = epochs.entry(hole.epoch).or_default();
        let parts = epoch.lose(hole.first..hole.end);
        // What waits for any of it is looked for in vain, and so waits no longer.
        let wanted = epoch
            .references()
            .filter(|reference| (hole.first..hole.end).contains(reference));
        self.wanted.extend(wanted.map(|sequence| FrameId {
            stream: stream.clone(),
            epoch: hole.epoch,
            sequence,
        }));
        // Also when all of it is here: the agent tells it until it is covered.
        self.untold.insert(stream.clone());
        self.evict(stream);
        let part = |range: std::ops::Range<u64>| Hole {
            epoch: hole.epoch,
            first: range.start,
            end: range.end,
        };
        Ok(parts.into_iter().map(part).collect())
    }

    /// Stored frames that are to be [found](Self::found), for others are read against them.
    pub(crate) fn take_wanted(&mut self) -> Vec<FrameId> {
        std::mem::take(&mut self.wanted).into_iter().collect()
    }

    /// They could not be looked for.
    pub(crate) fn want(&mut self, frames: Vec<FrameId>) {
        self.wanted.extend(frames);
    }

    /// Reads stored frames, each after its reference, for the sake of those that are read against them; leaves out
    /// those that cannot be read.
    pub(crate) fn prime(&mut self, frames: &mut Vec<(Stream, Frame)>) {
        frames.retain(|(stream, frame)| {
            let epochs = self.streams.get_mut(stream);
            let epoch = epochs.and_then(|epochs| epochs.get_mut(&frame.epoch));
            let primed = epoch.map_or(Ok(()), |epoch| epoch.prime(frame));
            let fault = primed.err();
            if let Some(error) = &fault {
                tracing::warn!(host = &*stream.host, %error, "stored frame left out");
            }
            fault.is_none()
        });
    }

    /// A frame that was looked for has been [primed](Self::prime) with what it is read against, or is not in the store:
    /// gives those that waited for it. What is not durable yet is looked for again. One that waits for what was durable
    /// and is stored no more can never be read: it counts as come, and as a hole.
    pub(crate) fn found(&mut self, id: FrameId, primed: bool) -> Found {
        let epochs = self.streams.get_mut(&id.stream);
        let Some(epoch) = epochs.and_then(|epochs| epochs.get_mut(&id.epoch)) else {
            return Found::default();
        };
        if !primed && !epoch.is_durable(id.sequence) {
            self.wanted.insert(id);
            return Found::default();
        }
        let readers = epoch.release_readers_of(id.sequence);
        self.held_bytes -= readers.iter().map(|frame| frame.body.len()).sum::<usize>();
        if primed {
            let readable = readers.into_iter().map(|frame| (id.stream.clone(), frame)).collect();
            return Found {
                readable,
                ..Found::default()
            };
        }
        let mut found = Found::default();
        for frame in readers {
            tracing::warn!(
                host = &*id.stream.host,
                epoch = id.epoch,
                sequence = frame.sequence,
                reference = id.sequence,
                "a frame is lost: what it is read against is no longer stored"
            );
            epoch.came(frame.sequence);
            // Who waits for that one waits in vain too, and is to learn of it once the hole is durable.
            if epoch.references().any(|reference| reference == frame.sequence) {
                self.wanted.insert(FrameId {
                    sequence: frame.sequence,
                    ..id.clone()
                });
            }
            let hole = Hole {
                epoch: id.epoch,
                first: frame.sequence,
                end: frame.sequence + 1,
            };
            found.lost.push((id.stream.clone(), hole));
        }
        found
    }
}

/// What becomes of frames that waited for another.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// These can be read now.
    pub(crate) readable: Vec<(Stream, Frame)>,
    /// These never can.
    pub(crate) lost: Vec<(Stream, Hole)>,
}
