//! What waits to become durable, and about how much memory it takes.
//!
//! What the store cannot keep up with is left to the agents, who hold it until a watermark covers it: past
//! three quarters of `store.buffer_bytes` nothing more is taken of them, and rows stop when frames do. What the brain makes
//! itself ([`records`]) is counted as well and nobody else has it, so nothing of it is ever left out: past seven eighths it
//! stores no forecasts, makes no plans, and leaves what was learnt for later. What comes all the same has the last eighth:
//! rows of what was taken, outcomes of what was commanded, incidents that end, sums that are kept once.

use std::{collections::BTreeSet, time::Duration};

use runtime::LogLimit;
use shadow::{Birth, Frame, UnixMs};

use super::{Engine, intake::At, records};
use crate::{
    config::Ticks,
    store::{Batch, flush::Flushed, memory::Changed},
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

/// Eighths of `store.buffer_bytes` from which on nothing is taken of agents, and nothing made that need not be.
const TAKEN: usize = 6;
const MADE: usize = 7;

/// How often it is told that there is no room.
static NO_ROOM: LogLimit = LogLimit::new(Duration::from_mins(1));

/// What a database may keep in one chunk: of frames, and of minutes.
const CHUNK_MS: i64 = 6 * 3_600_000;
const WEEK_MS: i64 = 7 * 24 * 3_600_000;
/// The most chunks of each table that may hold what is past what is kept of frames. A batch locks every chunk that it writes
/// to, and one that it makes eleven times and more, with its indexes and what belongs to it: that is 2,200 locks for frames,
/// minutes and those of workloads. By its own defaults a server has room for 6,400.
const MAX_OLD_CHUNKS: usize = 64;
const HOUR_MS: i64 = 3_600_000;

/// Chunks of what is past what is kept of frames: of a clock that is far behind, or of somebody who makes times up.
#[derive(Debug, Default)]
pub(super) struct OldChunks {
    frames: BTreeSet<i64>,
    minutes: BTreeSet<i64>,
}

impl OldChunks {
    /// Those of what is in `batch`.
    fn of(batch: &Batch, oldest_ms: UnixMs) -> Self {
        let chunks = |time_ms: UnixMs, chunk_ms: i64| (time_ms < oldest_ms).then_some(time_ms.div_euclid(chunk_ms));
        let minutes = batch.minutes.keys().map(|(_, begin_ms)| *begin_ms);
        let minutes = minutes.chain(batch.workloads.keys().map(|(.., begin_ms)| *begin_ms));
        let frames = batch.frames.iter().map(|(_, frame)| frame.start_ms);
        Self {
            frames: frames.filter_map(|start_ms| chunks(start_ms, CHUNK_MS)).collect(),
            minutes: minutes.filter_map(|begin_ms| chunks(begin_ms, WEEK_MS)).collect(),
        }
    }

    /// Whether a frame of this time can be taken.
    fn have_room(&mut self, start_ms: UnixMs) -> bool {
        Self::has_room(&mut self.frames, start_ms.div_euclid(CHUNK_MS))
    }

    /// Whether a minute of this time can be.
    fn have_room_for_minute(&mut self, begin_ms: UnixMs) -> bool {
        Self::has_room(&mut self.minutes, begin_ms.div_euclid(WEEK_MS))
    }

    fn has_room(chunks: &mut BTreeSet<i64>, chunk: i64) -> bool {
        chunks.contains(&chunk) || (chunks.len() < MAX_OLD_CHUNKS && chunks.insert(chunk))
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
        self.buffered + self.under_way + rows_weight(&self.batch) + self.records
    }

    /// Counts what the brain has made itself, and tells when there is no room for more.
    pub(super) fn count_records(&mut self, monotonic_ns: u64) {
        self.records = records::weight(&self.batch);
        if !self.has_room()
            && let Some(_) = NO_ROOM.pass(monotonic_ns)
        {
            tracing::warn!(
                bytes = self.buffered_bytes(),
                "the store is away and seven eighths of store.buffer_bytes are full: until it is back no forecasts are stored \
                 and no plans made; all else waits"
            );
        }
    }

    /// Whether the brain makes what it need not make: forecasts for the store, plans, copies of what was learnt. A plan
    /// would rest on what is old by now, and nothing is commanded that cannot be recorded.
    pub(super) fn has_room(&self) -> bool {
        !self.is_past(MADE)
    }

    fn is_past(&self, eighths: usize) -> bool {
        self.buffered_bytes() >= self.config.store.buffer_bytes / 8 * eighths
    }

    /// Whether nothing more is taken of agents; counted then.
    pub(super) fn is_full(&self) -> bool {
        let is_full = self.is_past(TAKEN);
        if is_full {
            self.figures.overflow.inc();
        }
        is_full
    }

    /// Whether a frame is left to its agent because frames past what is kept are in too many chunks already; counted then.
    pub(super) fn is_too_old(&mut self, start_ms: UnixMs, now_ms: UnixMs) -> bool {
        let oldest_ms = self.oldest_ms(now_ms);
        // The past of a brain on virtual time may lie anywhere.
        let is_old = start_ms < oldest_ms && self.config.ticks == Ticks::EverySecond;
        let is_too_old = is_old && !self.old_chunks.have_room(start_ms);
        if is_too_old {
            self.figures.overflow.inc();
        }
        is_too_old
    }

    /// Leaves out minutes that are told too late: those past what is kept of them, for their hour is made of minutes that
    /// are deleted by now and would be made anew of these alone, and those that lie in too many chunks. Their frames are
    /// kept as long as any.
    pub(super) fn leave_out_old(&mut self, changed: &mut Changed) {
        // The past of a brain on virtual time may lie anywhere.
        if self.config.ticks != Ticks::EverySecond {
            return;
        }
        let kept_ms = self.now_ms.saturating_sub(self.config.store.keep_rollup_1m.as_millis());
        let first_hour_ms = kept_ms
            .saturating_add(HOUR_MS - 1)
            .div_euclid(HOUR_MS)
            .saturating_mul(HOUR_MS);
        let (oldest_ms, chunks) = (self.oldest_ms(self.now_ms), &mut self.old_chunks);
        let mut is_kept = |begin_ms: UnixMs| {
            begin_ms >= first_hour_ms && (begin_ms >= oldest_ms || chunks.have_room_for_minute(begin_ms))
        };
        let before = changed.minutes.len() + changed.workloads.len();
        changed.minutes.retain(|(_, begin_ms), _| is_kept(*begin_ms));
        changed.workloads.retain(|(.., begin_ms), _| is_kept(*begin_ms));
        let left_out = before - changed.minutes.len() - changed.workloads.len();
        if left_out > 0 {
            self.figures.records_dropped.with("minutes").add(left_out as u64);
            tracing::debug!(left_out, "minutes that are told too late");
        }
    }

    /// What is old and durable is deleted now: only what waits is still to be counted, however long it waits.
    pub(crate) fn pruned(&mut self) {
        self.old_chunks = OldChunks::of(&self.batch, self.oldest_ms(self.now_ms));
    }

    fn oldest_ms(&self, now_ms: UnixMs) -> UnixMs {
        now_ms.saturating_sub(self.config.store.keep_frames.as_millis())
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

    /// A batch is durable: only now do watermarks cover its frames, and only now is carried out what was decided.
    pub(crate) fn committed(&mut self, batch: &Batch) {
        let frames: usize = batch.frames.iter().map(|(_, frame)| frame_weight(frame)).sum();
        let births: usize = batch.births.iter().map(|(_, birth)| birth_weight(birth)).sum();
        let others = EVENT_WEIGHT * batch.events.len() + HOLE_WEIGHT * batch.holes.len();
        self.buffered = self.buffered.saturating_sub(frames + births + others);
        self.under_way = 0;
        self.ingest.committed(&batch.watermarks);
        self.tell_watermarks();
        self.decisions_noted();
    }

    /// Everything that came since the last batch, to be made durable.
    pub(crate) fn seal(&mut self) -> Batch {
        self.close_rows();
        self.batch.watermarks = self.ingest.seal();
        self.under_way = rows_weight(&self.batch) + records::weight(&self.batch);
        self.records = 0;
        self.decisions.seal();
        std::mem::take(&mut self.batch)
    }
}
