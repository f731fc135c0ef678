//! What waits to become durable, and about how much memory it takes.
//!
//! What the store cannot keep up with is left to the agents, who hold it until a watermark covers it: past
//! `store.buffer_bytes` nothing more is taken of them. Rows stop when frames do. Forecasts have a bound of their own.

use std::collections::BTreeSet;

use shadow::{Birth, Frame, UnixMs};

use super::{Engine, intake::At};
use crate::{
    config::Ticks,
    store::{Batch, flush::Flushed},
};

/// About how many bytes a frame has besides its body, here and in the statement that writes it.
const FRAME_WEIGHT: usize = 256;
/// An event.
pub(super) const EVENT_WEIGHT: usize = 1_024;
/// A hole.
pub(super) const HOLE_WEIGHT: usize = 128;
/// A row of the grid or of a minute.
const ROW_WEIGHT: usize = 256;
/// A minute of a workload.
const WORKLOAD_WEIGHT: usize = 192;

/// What a database may keep in one chunk.
const CHUNK_MS: i64 = 6 * 3_600_000;
/// The most chunks that frames may be in which are past what is kept. A batch locks every chunk that it writes to, and a
/// deletion every one that it drops: a server has room for some thousand locks.
const MAX_OLD_CHUNKS: usize = 200;

/// Chunks of the frames that are past what is kept: those of a clock that is far behind, or of somebody who makes times up.
#[derive(Debug, Default)]
pub(super) struct OldChunks(BTreeSet<i64>);

impl OldChunks {
    /// Whether a frame of this time can be taken.
    fn have_room(&mut self, start_ms: UnixMs) -> bool {
        let chunk = start_ms.div_euclid(CHUNK_MS);
        self.0.contains(&chunk) || (self.0.len() < MAX_OLD_CHUNKS && self.0.insert(chunk))
    }
}

/// A birth.
pub(super) fn birth_weight(birth: &Birth) -> usize {
    1_024 + 64 * (birth.catalogue.len() + birth.inventory.pci.len())
}

/// A frame with its body.
pub(super) fn frame_weight(frame: &Frame) -> usize {
    FRAME_WEIGHT + frame.body.len()
}

fn rows_weight(batch: &Batch) -> usize {
    ROW_WEIGHT * (batch.rollups.len() + batch.minutes.len()) + WORKLOAD_WEIGHT * batch.workloads.len()
}

impl Engine {
    /// About how many bytes wait to become durable.
    pub(super) fn buffered_bytes(&self) -> usize {
        self.buffered + self.rows_under_way + rows_weight(&self.batch)
    }

    /// Whether nothing more is taken of agents; counted then.
    pub(super) fn is_full(&self) -> bool {
        let is_full = self.buffered_bytes() >= self.config.store.buffer_bytes;
        if is_full {
            self.figures.overflow.inc();
        }
        is_full
    }

    /// Whether a frame is left to its agent because frames past what is kept are in too many chunks already; counted then.
    pub(super) fn is_too_old(&mut self, start_ms: UnixMs, now_ms: UnixMs) -> bool {
        let oldest_ms = now_ms.saturating_sub(self.config.store.keep_frames.as_millis());
        // The past of a brain on virtual time may lie anywhere.
        let is_old = start_ms < oldest_ms && self.config.ticks == Ticks::EverySecond;
        let is_too_old = is_old && !self.old_chunks.have_room(start_ms);
        if is_too_old {
            self.figures.overflow.inc();
        }
        is_too_old
    }

    /// What is old is deleted now.
    pub(crate) fn pruned(&mut self) {
        self.old_chunks = OldChunks::default();
    }

    pub(super) fn flushed(&mut self, flushed: Flushed, at: At) {
        match flushed {
            Flushed::Written(batch) => {
                self.figures.flushes.inc();
                self.committed(&batch);
            }
            Flushed::Found { wanted, frames } => self.found(wanted, frames, at),
            Flushed::Slow(span) => tracing::warn!(
                seconds = span.as_secs(),
                "the store takes long; what comes meanwhile waits in memory, then at the agents"
            ),
            Flushed::Retrying(reason) => {
                self.figures.flush_retries.inc();
                tracing::warn!(
                    reason,
                    "the store is busy and is tried again; nothing is lost, agents hold what is not durable"
                );
            }
        }
    }

    /// A batch is durable: only now do watermarks cover its frames.
    pub(crate) fn committed(&mut self, batch: &Batch) {
        let frames: usize = batch.frames.iter().map(|(_, frame)| frame_weight(frame)).sum();
        let births: usize = batch.births.iter().map(|(_, birth)| birth_weight(birth)).sum();
        let others = EVENT_WEIGHT * batch.events.len() + HOLE_WEIGHT * batch.holes.len();
        self.buffered = self.buffered.saturating_sub(frames + births + others);
        self.rows_under_way = 0;
        self.ingest.committed(&batch.watermarks);
        self.tell_watermarks();
    }

    /// Everything that came since the last batch, to be made durable.
    pub(crate) fn seal(&mut self) -> Batch {
        self.close_rows();
        self.batch.watermarks = self.ingest.seal();
        self.rows_under_way = rows_weight(&self.batch);
        std::mem::take(&mut self.batch)
    }
}
