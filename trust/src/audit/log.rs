//! One audit log, open for appending by this process alone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{Entry, Keep, Line, MAX_LINE, What};
use crate::{
    TrustError,
    files::sync_folder,
    secret::{Digest, digest, hex},
};

/// An audit log that is appended to.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    keep: Keep,
    file: File,
    bytes: u64,
    /// The number of the next line.
    next: u64,
    /// The digest of the last line.
    before: Digest,
    /// What is told before the next entry: that a file begins, or that a line was torn.
    first: Option<Entry>,
}

impl Log {
    /// Opens the log at `path`, or begins one, and keeps as much as by default.
    ///
    /// # Errors
    /// [`TrustError`] when it cannot be opened, another process appends to it, or what it holds is no audit log.
    pub fn open(path: &Path) -> Result<Self, TrustError> {
        Self::keeping(path, Keep::default())
    }

    /// As [`Log::open`], and keeps as much as `keep` says.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn keeping(path: &Path, keep: Keep) -> Result<Self, TrustError> {
        let mut log = Self {
            path: path.to_owned(),
            keep,
            file: open(path)?,
            bytes: 0,
            next: 0,
            before: [0; 32],
            first: None,
        };
        log.resume()?;
        Ok(log)
    }

    /// Finds where the chain goes on.
    fn resume(&mut self) -> Result<(), TrustError> {
        let mut tail = tail(&mut self.file).map_err(TrustError::file(&self.path))?;
        self.bytes = self.file.metadata().map_err(TrustError::file(&self.path))?.len();
        let torn = tail.split_off(whole(&tail)).len() as u64;
        if torn > 0 {
            // Half a line is none. It goes, and that it was there is told.
            self.bytes -= torn;
            self.file.set_len(self.bytes).map_err(TrustError::file(&self.path))?;
            self.first = Some(Entry::new(0, What::Torn, "torn", "").with("bytes", torn));
        }
        if self.bytes == 0 {
            self.first = Some(Entry::new(0, What::Begin, "begin", ""));
            // A process that ended right after it had renamed a full file.
            let Some((_, full)) = full_files(&self.path).pop() else {
                return Ok(());
            };
            let opened = File::open(&full).and_then(|mut file| self::tail(&mut file));
            tail = opened.map_err(TrustError::file(&full))?;
        }
        if let Some(last) = tail.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()) {
            let line: Line = serde_json::from_slice(last)
                .map_err(|error| TrustError::content(&self.path, format!("no audit log: its last line is {error}")))?;
            (self.next, self.before) = (line.n.saturating_add(1), digest(last));
        }
        Ok(())
    }

    /// Appends a line. It is safe from a loss of power after [`Log::sync`].
    ///
    /// # Errors
    /// [`TrustError::File`]; the line is not there then.
    pub fn append(&mut self, entry: &Entry) -> Result<(), TrustError> {
        if self.bytes >= self.keep.file_bytes {
            self.rotate()?;
        }
        if let Some(first) = self.first.take() {
            let time_ms = entry.time_ms;
            self.write(&Entry { time_ms, ..first })?;
        }
        self.write(entry)
    }

    fn write(&mut self, entry: &Entry) -> Result<(), TrustError> {
        let line = Line::new(self.next, entry, hex(&self.before));
        let mut text = serde_json::to_vec(&line).map_err(|error| TrustError::content(&self.path, error.to_string()))?;
        if text.len() > MAX_LINE {
            return Err(TrustError::content(
                &self.path,
                format!("an entry of more than {MAX_LINE} bytes"),
            ));
        }
        let found = digest(&text);
        text.push(b'\n');
        let start = self.bytes;
        if let Err(source) = self.file.write_all(&text) {
            self.mend(start);
            return Err(TrustError::file(&self.path)(source));
        }
        self.bytes += text.len() as u64;
        (self.next, self.before) = (self.next.saturating_add(1), found);
        Ok(())
    }

    /// A line that was not written whole, as on a full disk, is taken off again.
    fn mend(&mut self, start: u64) {
        if let Err(error) = self.file.set_len(start) {
            tracing::error!(path = %self.path.display(), %error, "the audit log ends within a line");
        }
    }

    /// Waits until all lines are safe from a loss of power.
    ///
    /// # Errors
    /// [`TrustError::File`].
    pub fn sync(&self) -> Result<(), TrustError> {
        self.file.sync_data().map_err(TrustError::file(&self.path))
    }

    fn rotate(&mut self) -> Result<(), TrustError> {
        self.sync()?;
        let mut full = full_files(&self.path);
        let number = full.last().map_or(1, |(number, _)| number + 1);
        let moved = numbered(&self.path, number);
        fs::rename(&self.path, &moved).map_err(TrustError::file(&moved))?;
        full.push((number, moved));
        let surplus = full.len().saturating_sub(self.keep.files);
        for (_, oldest) in full.drain(..surplus) {
            fs::remove_file(&oldest).map_err(TrustError::file(&oldest))?;
        }
        self.file = open(&self.path)?;
        sync_folder(&self.path).map_err(TrustError::file(&self.path))?;
        self.bytes = 0;
        self.first = Some(Entry::new(0, What::Begin, "begin", ""));
        Ok(())
    }
}

/// The full files of the log at `path`, oldest first, each with its number.
pub(super) fn full_files(path: &Path) -> Vec<(u64, PathBuf)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else {
        return Vec::new();
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let number = |entry: fs::DirEntry| {
        let found = entry.file_name().to_string_lossy().into_owned();
        let number: u64 = found.strip_prefix(&name)?.strip_prefix('.')?.parse().ok()?;
        Some((number, numbered(path, number)))
    };
    let mut files: Vec<(u64, PathBuf)> = entries.flatten().filter_map(number).collect();
    files.sort_unstable();
    files
}

fn numbered(path: &Path, number: u64) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{number}"));
    path.with_file_name(name)
}

fn open(path: &Path) -> Result<File, TrustError> {
    let opened = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    let file = opened.map_err(TrustError::file(path))?;
    let held = |_| {
        TrustError::content(
            path,
            "another process writes this audit log; end that one, or name another file",
        )
    };
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(held)?;
    Ok(file)
}

/// The end of a file: its last line, and half a one behind it.
fn tail(file: &mut File) -> io::Result<Vec<u8>> {
    let most = 2 * (MAX_LINE as u64 + 1);
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How many bytes of `tail` are whole lines.
fn whole(tail: &[u8]) -> usize {
    tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}
