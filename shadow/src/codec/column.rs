//! One column: marks where it changes, and a token for each change.
//!
//! A token is the difference to the column's last index, zigzag, in nibbles. Since a change is never
//! 0, that number is free and tells of what is no index: a second nibble says which.

use super::{
    CodecError,
    bits::{NibbleReader, NibbleWriter, unzigzag, zigzag},
    grid::MAX_INDEX,
};
use crate::Missing;

/// In place of a difference: the next nibble tells what follows.
const MARKER: u8 = 0;
const ABSENT: u8 = 0;
const FAILED: u8 = 1;
const STALE: u8 = 2;
/// The 16 nibbles of a finite `f64` follow, the lowest first.
const RAW: u8 = 3;
/// The column is back at its last index.
const BACK: u8 = 4;

/// What a column holds in one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    /// A value on the grid, by its index: at most [`MAX_INDEX`] either way.
    Index(i64),
    /// A finite value that the grid does not have.
    Raw(f64),
    /// No value.
    Missing(Missing),
}

/// Where a column stands while it is written or read; index 0 before its first row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    cell: Cell,
    last_index: i64,
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            cell: Cell::Index(0),
            last_index: 0,
        }
    }
}

impl Cursor {
    /// What the column holds in the last row written or read.
    pub(super) const fn cell(&self) -> Cell {
        self.cell
    }

    /// Goes on to `cell`: `false` when nothing changed, else its token is in `tokens`.
    pub(super) fn write(&mut self, cell: Cell, tokens: &mut NibbleWriter) -> bool {
        if cell == self.cell {
            return false;
        }
        self.cell = cell;
        match cell {
            Cell::Index(index) if index != self.last_index => {
                tokens.varint(zigzag(index - self.last_index));
                self.last_index = index;
            }
            Cell::Index(_) => put_marker(tokens, BACK),
            Cell::Missing(Missing::Absent) => put_marker(tokens, ABSENT),
            Cell::Missing(Missing::Failed) => put_marker(tokens, FAILED),
            Cell::Missing(Missing::Stale) => put_marker(tokens, STALE),
            Cell::Raw(value) => {
                put_marker(tokens, RAW);
                for byte in value.to_le_bytes() {
                    tokens.push(byte);
                    tokens.push(byte >> 4);
                }
            }
        }
        true
    }

    /// Goes on by the next of `tokens`.
    pub(super) fn read(&mut self, tokens: &mut NibbleReader<'_>) -> Result<Cell, CodecError> {
        let token = tokens.varint()?;
        self.cell = if token == u64::from(MARKER) {
            self.read_marked(tokens)?
        } else {
            let index = self.last_index.wrapping_add(unzigzag(token));
            if !(-MAX_INDEX..=MAX_INDEX).contains(&index) {
                return Err(CodecError::Invalid("index"));
            }
            self.last_index = index;
            Cell::Index(index)
        };
        Ok(self.cell)
    }

    #[cold]
    fn read_marked(&self, tokens: &mut NibbleReader<'_>) -> Result<Cell, CodecError> {
        match tokens.nibble()? {
            ABSENT => Ok(Cell::Missing(Missing::Absent)),
            FAILED => Ok(Cell::Missing(Missing::Failed)),
            STALE => Ok(Cell::Missing(Missing::Stale)),
            BACK => Ok(Cell::Index(self.last_index)),
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

fn put_marker(tokens: &mut NibbleWriter, what: u8) {
    tokens.push(MARKER);
    tokens.push(what);
}
