//! Files of `/proc` and `/sys` that are opened once and read again and again.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::error::ProbeError;

/// The most that is read of one file: `/proc/stat` of a host with 4,096 cores has less.
const MAX_BYTES: usize = 4 << 20;

/// The room that a file gets at first; it doubles as long as the content fills it.
const FIRST_BYTES: usize = 8 << 10;

/// The kernel hands out tables of many lines a page at a time, and stops a page where the next line does not fit: a read
/// that ends well below a page has reached the end, and the second one, that would only say so, is spared.
const PAGE_BYTES: usize = 4 << 10;

/// No line of a table that spans pages is longer.
const LONGEST_LINE: usize = 1 << 10;

/// A file that is kept open.
pub(super) struct KeptFile {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

impl KeptFile {
    /// Opens `path` and reads it once, so that what is there but cannot be read shows at once.
    pub(super) fn open(path: PathBuf) -> Result<Self, ProbeError> {
        let file = File::open(&path).map_err(|fault| ProbeError::io(&path, fault))?;
        let mut kept = Self {
            path,
            file,
            buffer: vec![0; FIRST_BYTES],
        };
        kept.read()?;
        Ok(kept)
    }

    /// The whole content as it is now. Allocates only while the content outgrows what it was before.
    pub(super) fn read(&mut self) -> Result<&[u8], ProbeError> {
        let mut length = 0;
        loop {
            let room = self.buffer.get_mut(length..).unwrap_or_default();
            let read = self.file.read_at(room, length as u64);
            match read.map_err(|fault| ProbeError::io(&self.path, fault))? {
                0 => break,
                count => length += count,
            }
            if length + LONGEST_LINE < PAGE_BYTES {
                break;
            }
            if length == self.buffer.len() {
                self.grow()?;
            }
        }
        Ok(self.buffer.get(..length).unwrap_or_default())
    }

    fn grow(&mut self) -> Result<(), ProbeError> {
        if self.buffer.len() >= MAX_BYTES {
            return Err(self.format(format!("longer than {MAX_BYTES} bytes")));
        }
        self.buffer.resize(self.buffer.len() * 2, 0);
        Ok(())
    }

    /// The only number in the file.
    pub(super) fn number(&mut self) -> Result<u64, ProbeError> {
        let found = super::parse::fields(self.read()?).next().and_then(super::parse::number);
        found.ok_or_else(|| self.format("is not a whole number"))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The fault that its content is not as expected.
    pub(super) fn format(&self, what: impl Into<String>) -> ProbeError {
        ProbeError::format(&self.path, what)
    }
}
