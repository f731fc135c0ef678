//! Codec 2: levels, predicted from the metric's own past and, in dense frames, from other columns; residuals in plain bits
//! (quick frames) or by tANS with trained tables (dense ones). `docs/wire-format.md` tells it to the byte,
//! `docs/decisions/0007-codec-2.md` and `0021-quick-frames.md` why it is as it is.
//!
//! Writer and reader keep the same [`Memory`](memory::Memory): where each column stands. A frame begins with an empty one,
//! or with the one that the frame it names has left behind. Nothing but residuals is told, and how they are told depends on
//! the class that the writer chose for their run: in a quick frame how many bits each takes, in a dense one which table, of
//! those that never change (`entropy/priors.bin`). So a memory is small and a frame by itself is not much longer.
//!
//! | file | step |
//! |---|---|
//! | `entropy/memory.rs` | where columns stand |
//! | `entropy/grid.rs` | values to levels, in counts where the time that a rate is taken over is known |
//! | `entropy/clock.rs` | times and gaps |
//! | `entropy/link.rs` | columns that follow others |
//! | `entropy/sheet.rs` | the levels of a frame, column by column |
//! | `entropy/trial.rs` | which column follows which: the writer of dense frames tries |
//! | `entropy/extreme.rs` | exact maxima and minima of seconds |
//! | `entropy/class.rs` | runs, and how far their residuals lie from 0: the writer of dense frames chooses |
//! | `entropy/quick.rs` | runs of quick frames |
//! | `entropy/front.rs` | plain bits |
//! | `entropy/coder.rs` | residuals to symbols and bits |
//! | `entropy/tans.rs` | symbols to bytes |
//! | `entropy/priors.rs` | how likely each symbol is in each context |
//! | `entropy/writer.rs`, `entropy/draft.rs` | blocks to bodies |
//! | `entropy/reader.rs`, `entropy/column.rs` | bodies to blocks |
//! | `entropy/lanes.rs`, `entropy/lanes/part.rs` | columns of quick frames to bits |
//! | `entropy/apart.rs` | and back |
//! | `entropy/training.rs` | recorded telemetry to tables |

mod apart;
mod class;
mod clock;
mod coder;
mod column;
mod draft;
mod extreme;
mod front;
mod grid;
mod lanes;
mod link;
mod memory;
mod priors;
mod quick;
mod reader;
mod sheet;
mod tans;
#[cfg(test)]
mod tests;
mod training;
mod trial;
mod writer;

pub(super) use reader::Reader;
pub use training::Tally;
pub(super) use writer::Writer;

use crate::Missing;

/// A level, or why there is none: what a column holds in one row.
///
/// Levels are at most 2^53 either way, so that the lowest numbers are free for what is no level.
type Cell = i64;

const ABSENT: Cell = i64::MIN;
const FAILED: Cell = i64::MIN + 1;
const STALE: Cell = i64::MIN + 2;
/// A value without a level; it travels beside.
const RAW: Cell = i64::MIN + 3;

/// In place of a residual: the level is as expected again, behind a missing cell.
const BACK: Cell = i64::MIN + 4;

const fn is_level(cell: Cell) -> bool {
    cell > BACK
}

const fn missing_cell(why: Missing) -> Cell {
    match why {
        Missing::Absent => ABSENT,
        Missing::Failed => FAILED,
        Missing::Stale => STALE,
    }
}

const fn cell_missing(cell: Cell) -> Option<Missing> {
    match cell {
        ABSENT => Some(Missing::Absent),
        FAILED => Some(Missing::Failed),
        STALE => Some(Missing::Stale),
        _ => None,
    }
}
