//! Files of `/proc` and `/sys` that are opened once and read again and again.

use std::{
    cell::{Cell, RefCell},
    fs::File,
    ops::Deref,
    path::{Path, PathBuf},
};

use rustix::io::{Errno, pread};

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

    /// Which text of its tape a file of this thread gives when it is read; `None`, and it is read from the system.
    static PLAYED: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Runs `work`, in which files are as they were when they were put on tape for the time `number`.
pub(super) fn play<T>(number: usize, work: impl FnOnce() -> T) -> T {
    PLAYED.set(Some(number));
    let done = work();
    PLAYED.set(None);
    done
}

/// What a file held at several times, one after the other, to be looked at later: what is cold to be read is not to be cold
/// to be parsed each time as well.
#[derive(Default)]
struct Tape {
    bytes: Vec<u8>,
    /// Where each text ends, or why there is none; it begins where the one before ends.
    ends: Vec<(usize, Option<Errno>)>,
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
    tape: RefCell<Tape>,
}

impl KeptFile {
    /// Opens `path` and reads it once, so that what is there but cannot be read shows at once.
    pub(super) fn open(path: PathBuf) -> Result<Self, ProbeError> {
        let file = File::open(&path).map_err(|fault| ProbeError::io(&path, fault))?;
        let tape = RefCell::default();
        let kept = Self { path, file, tape };
        kept.read()?;
        Ok(kept)
    }

    /// The whole content as it is now. Allocates only for what is longer than anything that the thread has read, or while
    /// another text is held. Within [`play`], what it held then.
    pub(super) fn read(&self) -> Result<Text, ProbeError> {
        let room = ROOM.try_with(Cell::take).unwrap_or_default();
        let mut text = Text { room, length: 0 };
        let taped = PLAYED.get().and_then(|number| self.taped(number, &mut text));
        match taped.unwrap_or_else(|| self.fetch(0, &mut text.room).map(|length| text.length = length)) {
            Ok(()) => Ok(text),
            Err(Errno::FBIG) => Err(self.format(format!("longer than {MAX_BYTES} bytes"))),
            Err(fault) => Err(ProbeError::io(&self.path, fault.into())),
        }
    }

    /// Puts its content as it is now on tape, as the text `number`: 0 begins a new tape. Returns how much is on it, in bytes. A fault is told when it is played.
    pub(super) fn record(&self, number: usize) -> usize {
        let mut tape = self.tape.borrow_mut();
        let Tape { bytes, ends } = &mut *tape;
        ends.truncate(number);
        let begin = ends.last().map_or(0, |(end, _)| *end);
        // Of one that was opened since, what came before is not known.
        ends.resize(number, (begin, Some(Errno::NODATA)));
        // A table that is read in two parts may have changed in between.
        let room = begin + FIRST_BYTES.max(begin / number.max(1) * 2);
        if bytes.len() < room {
            bytes.resize(room, 0);
        }
        let read = self.fetch(begin, bytes);
        let end = read.unwrap_or(begin);
        ends.push((end, read.err()));
        end
    }

    /// What it held then, as `text`; `None` where that is not on tape.
    fn taped(&self, number: usize, text: &mut Text) -> Option<Result<(), Errno>> {
        let tape = self.tape.borrow();
        let (end, fault) = *tape.ends.get(number)?;
        let before = number.checked_sub(1).and_then(|before| tape.ends.get(before));
        let bytes = tape.bytes.get(before.map_or(0, |(end, _)| *end)..end)?;
        if text.room.len() < bytes.len() {
            text.room.resize(bytes.len(), 0);
        }
        text.room.get_mut(..bytes.len())?.copy_from_slice(bytes);
        text.length = bytes.len();
        Some(fault.map_or(Ok(()), Err))
    }

    /// Reads its content into `room` behind the first `begin` bytes, and returns where it ends there.
    fn fetch(&self, begin: usize, room: &mut Vec<u8>) -> Result<usize, Errno> {
        let mut end = begin;
        loop {
            if end == room.len() {
                grow(begin, room)?;
            }
            let free = room.get_mut(end..).unwrap_or_default();
            let asked = free.len();
            let count = pread(&self.file, free, (end - begin) as u64)?;
            end += count;
            if count == 0 || (count < asked && count + LONGEST_LINE < PAGE_BYTES) {
                return Ok(end);
            }
        }
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

/// Makes more room behind the first `begin` bytes.
#[cold]
fn grow(begin: usize, room: &mut Vec<u8>) -> Result<(), Errno> {
    if room.len() - begin >= MAX_BYTES {
        return Err(Errno::FBIG);
    }
    room.resize((room.len() * 2).max(begin + FIRST_BYTES), 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::Tree;

    #[test]
    fn a_tape_tells_what_a_file_held() {
        let tree = Tree::new(&[("a", "first")]);
        let file = KeptFile::open(tree.place().path("a")).unwrap();
        let played = |number| play(number, || file.read().map(|text| text.to_vec()));
        file.record(0);
        tree.set("a", &"x".repeat(20_000));
        file.record(1);
        tree.set("a", "third");
        assert_eq!(played(0).unwrap(), b"first");
        assert_eq!(played(1).unwrap().len(), 20_000);
        assert_eq!(played(0).unwrap(), b"first", "as often as wanted");
        assert_eq!(played(2).unwrap(), b"third", "not on tape: from the system");
        assert_eq!(&*file.read().unwrap(), b"third");
        file.record(0);
        assert_eq!(played(0).unwrap(), b"third");
        file.record(3);
        assert!(played(1).is_err() && played(2).is_err(), "never recorded");
        assert_eq!(played(3).unwrap(), b"third");
    }
}
