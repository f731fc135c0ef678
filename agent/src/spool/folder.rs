//! The files of a journal: segments that are only ever appended to, and a file for each birth.
//!
//! `0000000000000001.seg`, `0000000000000002.seg`, ...: [records](super::record), oldest first. A new process begins a
//! new segment, so that nothing is ever written behind a torn record. `<epoch>.birth`: one record. `lock`: held while
//! an agent uses the folder.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::record::{self, Contents, HEADER, Record};

/// The longest file that is read: a segment with its last record, which may be large.
const MAX_FILE: u64 = 16 << 20;

/// When what was written is made to survive a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fsync {
    /// When the kernel likes: some half minute may be lost.
    Never,
    /// When a segment is full: at most one segment is lost.
    Segment,
    /// At each write: nothing is lost that was written.
    Always,
}

/// A folder that this process has for itself.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    lock: File,
    segment_bytes: u64,
    fsync: Fsync,
    current: Option<Current>,
    next: u64,
    buffer: Vec<u8>,
}

/// The segment that is appended to.
#[derive(Debug)]
struct Current {
    id: u64,
    file: File,
    bytes: u64,
}

/// What a file of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Segment(u64),
    Birth(u64),
    Lock,
}

impl Folder {
    /// Takes a folder, which is created where it is not there. Segments are closed past `segment_bytes`.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::WouldBlock`] when another agent has it.
    pub(crate) fn open(path: &Path, segment_bytes: u64, fsync: Fsync) -> io::Result<Self> {
        let lock = lock(path)?;
        Ok(Self {
            path: path.to_owned(),
            lock,
            segment_bytes,
            fsync,
            current: None,
            next: 1,
            buffer: Vec::new(),
        })
    }

    /// Reads all files, one at a time: births first, then segments, oldest first. `take` gets the segment's number
    /// (`None` of a birth), its bytes and what is in it. What cannot be read is logged and left where it is.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn recover(&mut self, mut take: impl FnMut(Option<u64>, u64, Contents)) -> io::Result<()> {
        let mut names: Vec<Name> = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let file = entry?.file_name();
            let name = Name::parse(&file.to_string_lossy());
            if name.is_none() {
                tracing::warn!(folder = %self.path.display(), ?file, "not a file of the spool: left alone");
            }
            names.extend(name);
        }
        names.sort_by_key(|name| match name {
            Name::Lock => (0, 0),
            Name::Birth(epoch) => (1, *epoch),
            Name::Segment(id) => (2, *id),
        });
        for name in names {
            let segment = match name {
                Name::Lock => continue,
                Name::Birth(_) => None,
                Name::Segment(id) => {
                    self.next = self.next.max(id.saturating_add(1));
                    Some(id)
                }
            };
            match self.read_file(name) {
                Ok(Some((bytes, contents))) => take(segment, bytes, contents),
                Ok(None) => {}
                Err(error) => tracing::error!(file = %self.file(name).display(), %error, "not readable"),
            }
        }
        Ok(())
    }

    /// Appends `records` to one segment; tells which, and how much it has grown. All of them are there, or none is to
    /// be counted on.
    ///
    /// # Errors
    /// What the system says: a full disk, a folder that is read-only or gone.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<(u64, u64)> {
        // Of a folder that was deleted the file is still open, and nobody would ever find what is written there.
        if self
            .current
            .as_ref()
            .is_some_and(|current| !self.file(Name::Segment(current.id)).exists())
        {
            self.current = None;
            self.lock = lock(&self.path)?;
        }
        let (mut current, new) = match self.current.take() {
            Some(current) => (current, false),
            None => (self.begin()?, true),
        };
        self.buffer.clear();
        if new {
            self.buffer.extend(HEADER);
        }
        for record in records {
            record.write(&mut self.buffer);
        }
        let mut written = current.file.write_all(&self.buffer);
        if self.fsync == Fsync::Always {
            written = written.and_then(|()| current.file.sync_data());
        }
        if let Err(error) = written {
            // Nothing is appended behind what may be torn. A segment that holds nothing else is of no use.
            if new {
                drop(fs::remove_file(self.file(Name::Segment(current.id))));
            }
            return Err(error);
        }
        let grown = self.buffer.len() as u64;
        current.bytes += grown;
        let id = current.id;
        if current.bytes < self.segment_bytes {
            self.current = Some(current);
        } else if self.fsync == Fsync::Segment {
            current.file.sync_data()?;
        }
        Ok((id, grown))
    }

    fn begin(&mut self) -> io::Result<Current> {
        let id = self.next;
        let file = self.create(Name::Segment(id))?;
        self.next += 1;
        Ok(Current { id, file, bytes: 0 })
    }

    /// Keeps the birth of an epoch; tells how many bytes that takes.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn put_birth(&mut self, epoch: u64, payload: Bytes) -> io::Result<u64> {
        let name = Name::Birth(epoch);
        drop(fs::remove_file(self.file(name)));
        let mut bytes = HEADER.to_vec();
        Record::birth(epoch, payload).write(&mut bytes);
        let mut file = self.create(name)?;
        let mut written = file.write_all(&bytes);
        if self.fsync != Fsync::Never {
            written = written.and_then(|()| file.sync_data());
        }
        if let Err(error) = written {
            drop(fs::remove_file(self.file(name)));
            return Err(error);
        }
        Ok(bytes.len() as u64)
    }

    /// The birth of an epoch; `None` when it is not there or not whole.
    pub(crate) fn birth(&self, epoch: u64) -> Option<Bytes> {
        let (_, contents) = self.read_file(Name::Birth(epoch)).ok()??;
        let birth = contents
            .records
            .into_iter()
            .find(|record| *record == Record::birth(epoch, record.payload.clone()));
        birth.map(|record| record.payload)
    }

    /// What a segment holds. Its payloads are views of one buffer.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn read(&self, segment: u64) -> io::Result<Contents> {
        let read = self.read_file(Name::Segment(segment))?;
        Ok(read.map(|(_, contents)| contents).unwrap_or_default())
    }

    /// Deletes a segment.
    pub(crate) fn remove(&mut self, segment: u64) {
        if self.current.as_ref().is_some_and(|current| current.id == segment) {
            self.current = None;
        }
        self.delete(Name::Segment(segment));
    }

    /// Deletes the birth of an epoch.
    pub(crate) fn remove_birth(&self, epoch: u64) {
        self.delete(Name::Birth(epoch));
    }

    fn delete(&self, name: Name) {
        let path = self.file(name);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %path.display(), %error, "not deleted");
        }
    }

    fn file(&self, name: Name) -> PathBuf {
        self.path.join(match name {
            Name::Segment(id) => format!("{id:016}.seg"),
            Name::Birth(epoch) => format!("{epoch}.birth"),
            Name::Lock => "lock".to_owned(),
        })
    }

    /// A new file; its name survives a loss of power where that is asked for.
    fn create(&self, name: Name) -> io::Result<File> {
        let file = OpenOptions::new().create_new(true).append(true).open(self.file(name))?;
        if self.fsync != Fsync::Never {
            File::open(&self.path)?.sync_all()?;
        }
        Ok(file)
    }

    /// Its bytes, and what is in them; `None`, which is logged, when it is not of this version.
    fn read_file(&self, name: Name) -> io::Result<Option<(u64, Contents)>> {
        let path = self.file(name);
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        if length > MAX_FILE {
            tracing::warn!(file = %path.display(), length, "too long for a file of the spool: left alone");
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        file.take(MAX_FILE).read_to_end(&mut bytes)?;
        let bytes = Bytes::from(bytes);
        let Some(contents) = record::read_all(bytes.clone()) else {
            let version = record::version(&bytes);
            tracing::warn!(file = %path.display(), ?version, "not a file of this version of the spool: left alone");
            return Ok(None);
        };
        for damage in &contents.damage {
            let (offset, lost) = (damage.start, damage.len());
            tracing::warn!(file = %path.display(), offset, lost, "bytes of the spool are damaged or torn");
        }
        Ok(Some((bytes.len() as u64, contents)))
    }
}

/// Creates the folder where it is not there, and takes its lock.
fn lock(path: &Path) -> io::Result<File> {
    fs::create_dir_all(path)?;
    let file = OpenOptions::new().create(true).append(true).open(path.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(io::ErrorKind::WouldBlock, "another agent uses it")),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

impl Name {
    fn parse(name: &str) -> Option<Self> {
        if name == "lock" {
            return Some(Self::Lock);
        }
        let (number, ending) = name.split_once('.')?;
        // Not by `parse` alone, which would take a sign.
        let number = number
            .parse()
            .ok()
            .filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))?;
        match ending {
            "seg" => Some(Self::Segment(number)),
            "birth" => Some(Self::Birth(number)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{Kind, Serial, record::Content};

    fn frame(sequence: u64) -> Record {
        Record {
            id: Serial { epoch: 1, sequence },
            content: Content::Numbered(Kind::Frame { reference: 0 }),
            payload: Bytes::from(vec![7; 100]),
        }
    }

    fn open(path: &Path) -> Folder {
        Folder::open(path, 300, Fsync::Always).unwrap()
    }

    /// Segments and births with what is in them: sequences of frames, or the epoch.
    fn found(folder: &mut Folder) -> Vec<(Option<u64>, Vec<u64>)> {
        let mut found = Vec::new();
        let take = |segment, _, contents: Contents| {
            let number = |record: &Record| match record.content {
                Content::Birth => record.id.epoch,
                Content::Numbered(_) => record.id.sequence,
            };
            found.push((segment, contents.records.iter().map(number).collect()));
        };
        folder.recover(take).unwrap();
        found
    }

    #[test]
    fn segments_are_closed_when_they_are_full_and_never_opened_again() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("spool/web-1.inband");
        let mut folder = open(&path);
        assert_eq!(folder.append(&[frame(0), frame(1)]).unwrap(), (1, 292));
        assert_eq!(folder.append(&[frame(2)]).unwrap(), (1, 140));
        assert_eq!(folder.append(&[frame(3)]).unwrap(), (2, 152));
        assert!(folder.put_birth(9, Bytes::from_static(b"birth")).unwrap() > 40);
        drop(folder);

        let mut folder = open(&path);
        assert_eq!(
            found(&mut folder),
            [(None, vec![9]), (Some(1), vec![0, 1, 2]), (Some(2), vec![3])]
        );
        assert_eq!(folder.append(&[frame(4)]).unwrap().0, 3);
        assert_eq!(folder.birth(9), Some(Bytes::from_static(b"birth")));
        assert_eq!(folder.birth(8), None);
        folder.remove(1);
        folder.remove(3);
        folder.remove(7);
        folder.remove_birth(9);
        assert_eq!(
            folder.append(&[frame(5)]).unwrap().0,
            4,
            "the one that was written to is gone"
        );
        assert_eq!(found(&mut folder), [(Some(2), vec![3]), (Some(4), vec![5])]);
    }

    #[test]
    fn a_folder_has_one_agent() {
        let temp = tempfile::tempdir().unwrap();
        let folder = open(temp.path());
        let second = Folder::open(temp.path(), 300, Fsync::Never).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(folder);
        open(temp.path());
    }

    #[test]
    fn files_of_others_and_of_later_versions_are_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let later = b"fshspool\x02\0\0\0something new";
        for (name, bytes) in [
            ("0000000000000007.seg", &later[..]),
            ("0000000000000008.seg", b"fshsp"),
            ("+9.seg", b""),
            ("notes.txt", b"mine"),
            ("3.birth", b"not a birth"),
        ] {
            fs::write(temp.path().join(name), bytes).unwrap();
        }
        let mut folder = open(temp.path());
        assert_eq!(found(&mut folder), [(Some(8), vec![])]);
        assert_eq!(folder.append(&[frame(0)]).unwrap().0, 9);
        assert_eq!(fs::read(temp.path().join("0000000000000007.seg")).unwrap(), later);
        assert_eq!(fs::read(temp.path().join("notes.txt")).unwrap(), b"mine");
    }

    #[test]
    fn a_folder_that_vanishes_is_made_anew() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("spool");
        let mut folder = open(&path);
        folder.append(&[frame(0)]).unwrap();
        fs::remove_dir_all(&path).unwrap();
        assert!(folder.read(1).is_err());
        assert_eq!(folder.append(&[frame(1)]).unwrap().0, 2);
        assert_eq!(folder.read(2).unwrap().records, [frame(1)]);
        assert!(
            Folder::open(&path, 300, Fsync::Never).is_err(),
            "its lock is held again"
        );
    }

    /// `/dev/full` of a disk: every write fails.
    #[test]
    fn what_cannot_be_written_is_an_error_and_leaves_nothing_behind() {
        let temp = tempfile::tempdir().unwrap();
        let mut folder = open(temp.path());
        std::os::unix::fs::symlink("/dev/full", temp.path().join("x")).unwrap();
        folder.append(&[frame(0)]).unwrap();
        let full = OpenOptions::new().append(true).open(temp.path().join("x")).unwrap();
        let current = folder.current.as_mut().unwrap();
        current.file = full;
        let error = folder.append(&[frame(1)]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        assert_eq!(
            folder.append(&[frame(1)]).unwrap().0,
            2,
            "nothing is appended behind a torn record"
        );
    }
}
