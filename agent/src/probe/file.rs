//! Files of `/proc` and `/sys` that are opened once and read again and again.

use std::{
    cell::Cell,
    fs::File,
    ops::Deref,
    path::{Path, PathBuf},
};

use rustix::io::pread;

use crate::error::ProbeError;

/// The most that is read of one file: `/proc/stat` of a host with 4,096 cores has less.
const MAX_BYTES: usize = 4 << 20;

/// The room that a text gets at first; it doubles as long as the content fills it.
const FIRST_BYTES: usize = 8 << 10;

/// The kernel hands out tables of many lines a page at a time, and stops a page where the next line does not fit: a read
/// that ends well below a page has reached the end, and the second one, that would only say so, is spared.
const PAGE_BYTES: usize = 4 << 10;

/// No line of a table that spans pages is longer.
const LONGEST_LINE: usize = 1 << 10;

thread_local! {
    /// Where the files of a thread are read into, one after the other: a tenth of a second later all memory is cold, and
    /// room of its own for each file would be fetched anew for each.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a file held when it was read. Its room serves the next file that its thread reads.
pub(super) struct Text {
    room: Vec<u8>,
    length: usize,
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.room.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // A thread that ends has no place for it any more, and needs none.
        ROOM.try_with(|room| room.set(std::mem::take(&mut self.room))).ok();
    }
}

/// A file that is kept open.
pub(super) struct KeptFile {
    path: PathBuf,
    file: File,
}

impl KeptFile {
    /// Opens `path` and reads it once, so that what is there but cannot be read shows at once.
    pub(super) fn open(path: PathBuf) -> Result<Self, ProbeError> {
        let file = File::open(&path).map_err(|fault| ProbeError::io(&path, fault))?;
        let kept = Self { path, file };
        kept.read()?;
        Ok(kept)
    }

    /// The whole content as it is now. Allocates only for what is longer than anything that the thread has read, or while
    /// another text is held.
    pub(super) fn read(&self) -> Result<Text, ProbeError> {
        let room = ROOM.try_with(Cell::take).unwrap_or_default();
        let mut text = Text { room, length: 0 };
        loop {
            if text.length == text.room.len() {
                self.grow(&mut text.room)?;
            }
            let room = text.room.get_mut(text.length..).unwrap_or_default();
            let asked = room.len();
            let read = pread(&self.file, room, text.length as u64);
            let count = read.map_err(|fault| ProbeError::io(&self.path, fault.into()))?;
            text.length += count;
            if count == 0 || (count < asked && count + LONGEST_LINE < PAGE_BYTES) {
                return Ok(text);
            }
        }
    }

    fn grow(&self, room: &mut Vec<u8>) -> Result<(), ProbeError> {
        if room.len() >= MAX_BYTES {
            return Err(self.format(format!("longer than {MAX_BYTES} bytes")));
        }
        room.resize((room.len() * 2).max(FIRST_BYTES), 0);
        Ok(())
    }

    /// The only number in the file.
    pub(super) fn number(&self) -> Result<u64, ProbeError> {
        let text = self.read()?;
        let found = super::parse::fields(&text).next().and_then(super::parse::number);
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
