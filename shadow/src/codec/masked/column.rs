//! One column: marks where it changes, and a token for each change.
//!
//! A token is the difference to the column's last level, zigzag, in nibbles. Since a change is never
//! 0, that number is free and tells of what is no level: a second nibble says which.

use super::{
    super::{CodecError, quantize::MAX_LEVEL},
    bits::{NibbleReader, NibbleWriter, unzigzag, zigzag},
};
use crate::Missing;

/// In place of a difference: the next nibble tells what follows.
const MARKER: u8 = 0;
const ABSENT: u8 = 0;
const FAILED: u8 = 1;
const STALE: u8 = 2;
/// The 16 nibbles of a finite `f64` follow, the lowest first.
const RAW: u8 = 3;
/// The column is back at its last level.
const BACK: u8 = 4;

/// What a column holds in one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    /// A value by its level: at most [`MAX_LEVEL`] either way.
    Level(i64),
    /// A finite value that has no level.
    Raw(f64),
    /// No value.
    Missing(Missing),
}

/// Where a column stands while it is written or read; level 0 before its first row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    cell: Cell,
    last_level: i64,
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            cell: Cell::Level(0),
            last_level: 0,
        }
    }
}

impl Cursor {
    /// What the column holds in the last row written or read.
    pub(crate) const fn cell(&self) -> Cell {
        self.cell
    }

    /// Goes on to `cell`: `false` when nothing changed, else its token is in `tokens`.
    pub(crate) fn write(&mut self, cell: Cell, tokens: &mut NibbleWriter) -> bool {
        let (Cell::Level(before), Cell::Level(level)) = (self.cell, cell) else {
            return self.write_marked(cell, tokens);
        };
        if level != before {
            self.write_level(level, tokens);
        }
        level != before
    }

    /// The difference to the last level, which is another.
    fn write_level(&mut self, level: i64, tokens: &mut NibbleWriter) {
        tokens.varint(zigzag(level - self.last_level));
        self.last_level = level;
        self.cell = Cell::Level(level);
    }

    #[cold]
    fn write_marked(&mut self, cell: Cell, tokens: &mut NibbleWriter) -> bool {
        if cell == self.cell {
            return false;
        }
        self.cell = cell;
        let mut put = |what| {
            tokens.push(MARKER);
            tokens.push(what);
        };
        match cell {
            Cell::Level(level) if level != self.last_level => self.write_level(level, tokens),
            Cell::Level(_) => put(BACK),
            Cell::Missing(Missing::Absent) => put(ABSENT),
            Cell::Missing(Missing::Failed) => put(FAILED),
            Cell::Missing(Missing::Stale) => put(STALE),
            Cell::Raw(value) => {
                put(RAW);
                for byte in value.to_le_bytes() {
                    tokens.push(byte);
                    tokens.push(byte >> 4);
                }
            }
        }
        true
    }

    /// Goes on by the next of `tokens`.
    pub(crate) fn read(&mut self, tokens: &mut NibbleReader<'_>) -> Result<Cell, CodecError> {
        let token = tokens.varint()?;
        self.cell = if token == u64::from(MARKER) {
            self.read_marked(tokens)?
        } else {
            let level = self.last_level.wrapping_add(unzigzag(token));
            if !(-MAX_LEVEL..=MAX_LEVEL).contains(&level) {
                return Err(CodecError::Invalid("level"));
            }
            self.last_level = level;
            Cell::Level(level)
        };
        Ok(self.cell)
    }

    #[cold]
    fn read_marked(&self, tokens: &mut NibbleReader<'_>) -> Result<Cell, CodecError> {
        match tokens.nibble()? {
            ABSENT => Ok(Cell::Missing(Missing::Absent)),
            FAILED => Ok(Cell::Missing(Missing::Failed)),
            STALE => Ok(Cell::Missing(Missing::Stale)),
            BACK => Ok(Cell::Level(self.last_level)),
            RAW => {
                let mut bytes = [0; 8];
                for byte in &mut bytes {
                    *byte = tokens.nibble()? | tokens.nibble()? << 4;
                }
                let value = f64::from_le_bytes(bytes);
                let finite = value.is_finite().then_some(Cell::Raw(value));
                finite.ok_or(CodecError::Invalid("raw value"))
            }
            _ => Err(CodecError::Invalid("marker")),
        }
    }
}
