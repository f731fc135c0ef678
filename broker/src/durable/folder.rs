//! The folder of a journal: `0000000000000007.log`, the newest file, is what counts.
//!
//! A file begins with all that held then; changes are appended. Its successor is written under another name and takes
//! its place when it is complete, so that there is one good file at any time. `lock`: held while a broker uses the
//! folder.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    panic::{AssertUnwindSafe, UnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use super::{
    record::{self, Change, Encoder, HEADER, Mark},
    restored::Restored,
};

/// How much is encoded before it is written.
const CHUNK: usize = 1024 * 1024;

/// A folder that this process has for itself.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Held as long as this lives.
    _lock: File,
    number: u64,
    /// The file that is appended to; none before the first, and after a failure.
    file: Option<File>,
    encoder: Encoder,
    buffer: Vec<u8>,
    /// Length of the file, and how long it was when it was complete.
    bytes: u64,
    complete_bytes: u64,
}

impl Folder {
    /// Takes a folder, which is created where it is not there.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::WouldBlock`] when another broker has it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = OpenOptions::new().create(true).append(true).open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(io::ErrorKind::WouldBlock, "another broker uses it"),
            TryLockError::Error(error) => error,
        })?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
            number: 0,
            file: None,
            encoder: Encoder::default(),
            buffer: Vec::new(),
            bytes: 0,
            complete_bytes: 0,
        })
    }

    /// Reads what holds. What cannot be read is told, and set aside as `NUMBER.damaged`.
    ///
    /// # Errors
    /// When folder or file cannot be read at all.
    pub(super) fn recover(&mut self) -> io::Result<Restored> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if let Some(number) = name.strip_suffix(".log").and_then(|number| number.parse::<u64>().ok()) {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        self.number = numbers.last().copied().unwrap_or(0);
        for number in numbers.into_iter().rev() {
            if let Some(restored) = self.read(number)? {
                return Ok(restored);
            }
        }
        Ok(Restored::default())
    }

    fn read(&self, number: u64) -> io::Result<Option<Restored>> {
        let path = self.file(number, "log");
        let bytes = fs::read(&path)?;
        if !bytes.starts_with(&HEADER) {
            tracing::error!(file = %path.display(), "not a journal of this version: set aside, nothing is restored from it");
            self.set_aside(number)?;
            return Ok(None);
        }
        let contents = record::read_all(bytes.into());
        let mut restored = Restored::default();
        contents.changes.into_iter().for_each(|change| restored.apply(change));
        if contents.damaged {
            // Of a session it cannot be told what is missing: its client shall not believe that nothing is.
            let (lost, sessions) = (contents.lost, restored.sessions.len());
            tracing::error!(
                file = %path.display(), lost, sessions,
                "journal is damaged: copied to .damaged; retained messages are restored as far as they are readable, sessions end"
            );
            restored.sessions.clear();
            self.set_aside(number)?;
        } else if contents.lost > 0 {
            tracing::warn!(file = %path.display(), lost = contents.lost, "journal ends in the middle of a write: cut off there");
        }
        Ok(Some(restored))
    }

    /// Gives a file a second name. Under the first it is deleted when its successor is complete.
    fn set_aside(&self, number: u64) -> io::Result<()> {
        let aside = self.file(number, "damaged");
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::hard_link(self.file(number, "log"), aside),
        }
    }

    /// Appends changes. After a failure nothing is written before the next [`Change::Begin`].
    ///
    /// # Errors
    /// What the system says: a full disk, a folder that is read-only or gone.
    pub(super) fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        let written = whole(AssertUnwindSafe(|| self.append_all(changes)));
        if written.is_err() {
            self.file = None;
            self.buffer.clear();
        }
        written
    }

    fn append_all(&mut self, changes: &[Change]) -> io::Result<()> {
        for change in changes {
            match change {
                Change::Begin => self.begin()?,
                Change::Complete => {
                    self.encoder.write(change, &mut self.buffer);
                    self.complete()?;
                }
                change => self.encoder.write(change, &mut self.buffer),
            }
            if self.buffer.len() >= CHUNK {
                self.flush()?;
            }
        }
        self.flush()
    }

    fn begin(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file = None;
        let path = self.file(self.number + 1, "new");
        let mut options = OpenOptions::new();
        self.file = Some(options.create(true).write(true).truncate(true).open(path)?);
        let mut mark = Mark::default();
        let random = rustls::crypto::ring::default_provider().secure_random;
        random
            .fill(&mut mark)
            .map_err(|_| io::Error::other("the system has no random numbers"))?;
        self.encoder = Encoder::begin(mark, &mut self.buffer);
        self.bytes = 0;
        Ok(())
    }

    fn complete(&mut self) -> io::Result<()> {
        self.flush()?;
        self.sync()?;
        let next = self.number + 1;
        fs::rename(self.file(next, "new"), self.file(next, "log"))?;
        File::open(&self.path)?.sync_all()?;
        self.number = next;
        self.complete_bytes = self.bytes;
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let old = path.extension().is_some_and(|ending| ending == "log") && path != self.file(next, "log");
            if old && let Err(error) = fs::remove_file(&path) {
                tracing::warn!(file = %path.display(), %error, "not deleted");
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(&self.buffer)?;
            self.bytes += self.buffer.len() as u64;
        }
        self.buffer.clear();
        self.buffer.shrink_to(2 * CHUNK);
        Ok(())
    }

    /// Makes what was appended survive a loss of power.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let synced = self.file.as_ref().map_or(Ok(()), File::sync_data);
        if synced.is_err() {
            // What the system could not write it may have dropped: all is written anew.
            self.file = None;
        }
        synced
    }

    /// Whether anything is written.
    pub(super) fn works(&self) -> bool {
        self.file.is_some()
    }

    /// How long the file is, and how long it was when it was complete.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.bytes, self.complete_bytes)
    }

    fn file(&self, number: u64, ending: &str) -> PathBuf {
        self.path.join(format!("{number:016}.{ending}"))
    }
}

/// A panic while writing is a failure as any other: whoever waits for an answer must not wait for ever.
fn whole(work: impl FnOnce() -> io::Result<()> + UnwindSafe) -> io::Result<()> {
    catch_unwind(work).unwrap_or_else(|_| Err(io::Error::other("the writer has panicked")))
}

#[cfg(test)]
mod tests;
