//! Blocks to bodies.

use std::sync::Arc;

use super::{
    super::{CodecError, MAX_CODED_READINGS, check_block, check_length},
    coder::{Coder, HEADER, LINK, Writing},
    draft::Draft,
    extreme,
    front::Front,
    grid::Grid,
    memory::{Column, Memory},
    priors::Priors,
    tans::Sink,
    trial::{Frame, Trial},
};
use crate::{Block, Catalogue, Metric, UnixMs};

/// How many frames a keyframe stands for, itself included.
const KEYFRAME: u64 = 60;

/// The longest time that it stands for, in milliseconds.
const KEYFRAME_MS: u64 = 300_000;

/// How many frames there are from one that is read against the keyframe to the next. Those between are read
/// each against the one before.
const RUN: u64 = 8;

/// Links are tried on the first so many of the frames that may tell them, then on fewer.
const EAGER: u64 = 4;

/// A trial costs as much as writing the frame does, so of short frames at most each so many-th is taken.
const MOST_STRIDE: usize = 3;

/// So many rows are enough to try links on.
const TRIAL_ROWS: usize = 80;

/// What a frame has, as bits of its first symbol: the frames after the next may be read against it.
pub(super) const KEPT: u8 = 1;
/// It tells links.
pub(super) const LINKED: u8 = 2;
/// It tells gaps.
pub(super) const GAPS: u8 = 4;
/// It tells the timer's period.
pub(super) const PERIOD: u8 = 8;
/// Its runs are told in quick classes.
pub(super) const QUICK: u8 = 16;

/// Writes the bodies of one epoch.
#[derive(Debug)]
pub(crate) struct Writer {
    /// Metrics that have extremes, and their columns.
    asking: Vec<(usize, Metric)>,
    grids: Vec<Grid>,
    priors: Arc<Priors>,
    /// After the last frame.
    memory: Memory,
    last: Option<Mark>,
    /// After the last keyframe.
    key_memory: Memory,
    key: Option<Mark>,
    trial: Trial,
    /// Where columns stood before a frame that links are tried on.
    tried: Vec<Column>,
    /// How many frames there were that may tell links.
    chances: u64,
    frame: Draft,
    sink: Sink,
    front: Front,
    /// Context and symbol of all that was written, where tables are to be counted.
    pub(super) tally: Option<Vec<(usize, u8)>>,
}

/// A frame that others may be read against.
#[derive(Debug, Clone, Copy)]
struct Mark {
    sequence: u64,
    start_ms: UnixMs,
    /// How many frames are before it since the keyframe.
    frames: u64,
}

/// What a frame is read against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Nothing,
    Keyframe,
    Last,
}

impl Writer {
    /// A writer of dense frames, or of quick ones.
    pub(crate) fn new(catalogue: &Catalogue, quick: bool) -> Self {
        Self {
            asking: extreme::asking(catalogue),
            grids: catalogue.metrics().iter().map(Grid::new).collect(),
            priors: Arc::clone(Priors::trained()),
            memory: Memory::new(catalogue.len()),
            last: None,
            key_memory: Memory::new(catalogue.len()),
            key: None,
            trial: Trial::default(),
            tried: Vec::new(),
            chances: 0,
            frame: Draft::new(quick),
            sink: Sink::default(),
            front: Front::default(),
            tally: None,
        }
    }

    /// The same with other tables, and all that is written counted.
    pub(super) fn counting(catalogue: &Catalogue, quick: bool, priors: Arc<Priors>) -> Self {
        Self {
            priors,
            tally: Some(Vec::new()),
            ..Self::new(catalogue, quick)
        }
    }

    /// Lets the next frame be read by itself.
    pub(crate) fn restart(&mut self) {
        self.key = None;
        self.last = None;
    }

    /// Replaces `body` by `block`, the frame `sequence` of `epoch`. Returns how much smaller the sequence of the frame is
    /// that it is read against; 0 = none.
    ///
    /// # Errors
    /// [`CodecError`] when the block is empty or too large for a frame, was not made for this catalogue, or
    /// its times do not rise. The next frame then is read by itself.
    pub(crate) fn write(
        &mut self,
        (epoch, sequence): (u64, u64),
        block: &Block,
        body: &mut Vec<u8>,
    ) -> Result<u64, CodecError> {
        let (key, last) = (self.key.take(), self.last.take());
        check_block(block, self.grids.len(), MAX_CODED_READINGS)?;
        let start_ms = block.times_ms.first().copied().unwrap_or_default();
        let base = base(key, last, sequence, start_ms);
        match base {
            Base::Nothing => self.memory.clear(),
            Base::Keyframe => self.memory.copy_from(&self.key_memory),
            Base::Last => {}
        }
        body.clear();
        self.frame.mark_seconds(epoch, &block.times_ms);
        self.code(base, block)?;
        body.reserve_exact(self.front.bytes().len() + self.sink.room());
        body.extend_from_slice(self.front.bytes());
        self.sink.finish(self.priors.tables(), body);
        check_length(body)?;
        let frames = match base {
            Base::Nothing => 0,
            _ => last.map_or(0, |last| last.frames + 1),
        };
        let mark = Mark {
            sequence,
            start_ms,
            frames,
        };
        self.last = Some(mark);
        self.key = key;
        if base == Base::Nothing {
            self.key = self.last;
            self.key_memory.copy_from(&self.memory);
        }
        let against = match base {
            Base::Nothing => None,
            Base::Keyframe => key,
            Base::Last => last,
        };
        Ok(against.map_or(0, |against| sequence - against.sequence))
    }

    fn code(&mut self, base: Base, block: &Block) -> Result<(), CodecError> {
        let Self {
            asking,
            grids,
            memory,
            trial,
            tried,
            chances,
            frame,
            sink,
            front,
            tally,
            ..
        } = self;
        sink.clear();
        front.clear();
        let mut coder = Writing {
            priors: &self.priors,
            sink,
            front,
            tally: tally.as_mut(),
        };
        let mut has = if base == Base::Nothing { KEPT } else { 0 };
        has |= if frame.quick { QUICK } else { 0 };
        let mut links = Vec::new();
        if base != Base::Last && !frame.quick {
            links.extend(
                memory
                    .columns
                    .iter()
                    .enumerate()
                    .map(|(at, column)| trial.best(at, column.link)),
            );
        }
        let linked = links
            .iter()
            .zip(&memory.columns)
            .any(|(&link, column)| link != column.link);
        has |= if linked { LINKED } else { 0 };
        has |= if block.gaps_us.iter().any(|&gap_us| gap_us > 0) {
            GAPS
        } else {
            0
        };
        let period_us = memory.clock.period_for(&block.gaps_us);
        has |= if period_us == memory.clock.period_us { 0 } else { PERIOD };
        coder.symbol(HEADER, has);
        if linked {
            for (column, link) in memory.columns.iter_mut().zip(links) {
                let same = link == column.link;
                coder.symbol(LINK, if same { 0 } else { link.number() + 1 });
                column.relink(link);
            }
        }
        if has & PERIOD != 0 {
            coder.bits(32, period_us.into());
            memory.clock.set_period(period_us);
        }
        let before = memory.clock.moment();
        frame.write_times(&mut coder, memory, block, has & GAPS != 0);
        if frame.quick {
            frame.write_apart(&mut coder, (grids, &mut memory.columns), before, block);
        } else {
            frame.quantize(grids, block);
            *chances += u64::from(base != Base::Last);
            let tries = base != Base::Last && (*chances <= EAGER || chances.is_multiple_of(trial_stride(block)));
            if tries {
                tried.clone_from(&memory.columns);
            }
            frame.follow(grids, &mut memory.columns, before);
            if tries {
                trial.run(&Frame {
                    grids,
                    moments: &frame.moments.rows,
                    columns: tried,
                    sheet: &frame.sheet,
                });
            }
            frame.write_classes(&mut coder, &mut memory.columns);
        }
        frame.write_symbols(&mut coder, block);
        frame.write_extremes(&mut coder, asking, grids, block)
    }
}

/// Links are tried on each so many-th frame that may tell them.
fn trial_stride(block: &Block) -> u64 {
    (TRIAL_ROWS / block.len().max(1)).clamp(1, MOST_STRIDE) as u64
}

/// What a frame is to be read against.
fn base(key: Option<Mark>, last: Option<Mark>, sequence: u64, start_ms: UnixMs) -> Base {
    let (Some(key), Some(last)) = (key, last) else {
        return Base::Nothing;
    };
    let frames = last.frames + 1;
    let old = start_ms.abs_diff(key.start_ms) >= KEYFRAME_MS;
    if frames >= KEYFRAME || old || sequence <= last.sequence {
        Base::Nothing
    } else if frames.is_multiple_of(RUN) {
        Base::Keyframe
    } else {
        Base::Last
    }
}
