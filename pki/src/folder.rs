//! The folder that an authority is kept in: one change at a time, whole or not at all.
//!
//! ```text
//! index.json              everything that was issued: the truth; all but the keys follows from it
//! keys/ID.key             the key of an authority, here or on a medium of its own
//! ca.pem crl.pem          the authorities, and what they have revoked
//! issued/NAME/            what a part is given: identity.pem, ca.pem, crl.pem
//! issued/.NAME.SERIAL     an identity that was not handed out yet when the process ended
//! audit.jsonl             who has done what and when, each line chained to the one before
//! ```

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use trust::{
    TrustError,
    audit::{Entry, Log},
    files,
};

use crate::{
    Index, PkiError,
    bundle::{self, IDENTITY},
    index,
};

const INDEX: &str = "index.json";

/// The folder of an authority.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

/// A change under way: nobody else makes one, and nothing has happened yet.
#[derive(Debug)]
pub struct Change<'a> {
    /// What is to be written.
    pub index: Index,
    /// What is told in the audit log.
    pub entries: Vec<Entry>,
    folder: &'a Folder,
    _lock: File,
}

impl Folder {
    /// The folder at `path`, whatever it holds.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the audit log is.
    pub fn audit(&self) -> PathBuf {
        self.path.join("audit.jsonl")
    }

    /// Where a part's files are.
    pub fn issued(&self, name: &str) -> PathBuf {
        self.path.join("issued").join(name)
    }

    /// The file of the key of the authority `id`: in `keys`, or beside the index.
    pub fn key(&self, keys: Option<&Path>, id: &str) -> PathBuf {
        let keys = keys.map_or_else(|| self.path.join("keys"), Path::to_owned);
        keys.join(format!("{id}.key"))
    }

    /// What was issued, as it is now.
    ///
    /// # Errors
    /// [`PkiError`] when there is no authority, or the file is of no use.
    pub fn index(&self) -> Result<Index, PkiError> {
        let path = self.path.join(INDEX);
        let bytes = match files::read(&path) {
            Err(TrustError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(PkiError::Nothing(self.path.clone()));
            }
            other => other?,
        };
        let content = |what: String| TrustError::Content {
            path: path.clone(),
            what,
        };
        let found: Index = serde_json::from_slice(&bytes).map_err(|error| content(error.to_string()))?;
        if found.version != index::VERSION {
            let what = format!(
                "version {}, and this program knows {}; take the program that wrote it last",
                found.version,
                index::VERSION
            );
            return Err(content(what).into());
        }
        Ok(found)
    }

    /// Begins the folder with `index`, which holds nothing but its authority.
    ///
    /// # Errors
    /// [`PkiError::Exists`] when an authority is kept there.
    pub fn begin(&self, index: Index, entries: Vec<Entry>) -> Result<(), PkiError> {
        files::folder(&self.path)?;
        let lock = self.lock()?;
        if self.path.join(INDEX).exists() {
            return Err(PkiError::Exists(self.path.clone()));
        }
        let change = Change {
            index,
            entries,
            folder: self,
            _lock: lock,
        };
        change.commit()
    }

    /// Begins a change, after what an interrupted one has left was brought to its end.
    ///
    /// # Errors
    /// As [`Folder::index`].
    pub fn change(&self) -> Result<Change<'_>, PkiError> {
        // Before the lock makes a file: a folder that is none stays as it is.
        self.index()?;
        let lock = self.lock()?;
        let change = Change {
            index: self.index()?,
            entries: Vec::new(),
            folder: self,
            _lock: lock,
        };
        change.recover()?;
        Ok(change)
    }

    /// Waits until no other process changes the folder: changes take milliseconds.
    fn lock(&self) -> Result<File, PkiError> {
        let path = self.path.join("lock");
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let fault = |source| TrustError::File {
            path: path.clone(),
            source,
        };
        let file = opened.map_err(fault)?;
        flock(&file, FlockOperation::LockExclusive).map_err(|error| fault(error.into()))?;
        Ok(file)
    }
}

impl Change<'_> {
    /// Writes an identity beside its place: it takes it with [`Change::commit`], and also if that is interrupted.
    ///
    /// # Errors
    /// [`PkiError::File`].
    pub fn stage(&self, name: &str, serial: &str, pem: &str) -> Result<(), PkiError> {
        files::folder(&self.folder.issued(name))?;
        Ok(files::replace(&self.staged(name, serial), pem.as_bytes())?)
    }

    /// Makes the change: the audit log first, so that nothing happens that is not told; then the index, at which it has
    /// happened; then what follows from it.
    ///
    /// # Errors
    /// [`PkiError::File`].
    pub fn commit(mut self) -> Result<(), PkiError> {
        let mut log = Log::open(&self.folder.audit())?;
        for entry in self.entries.drain(..) {
            log.append(&entry)?;
        }
        log.sync()?;
        let content = |error: serde_json::Error| TrustError::Content {
            path: self.folder.path.join(INDEX),
            what: error.to_string(),
        };
        let json = serde_json::to_vec(&self.index).map_err(content)?;
        if json.len() as u64 > files::MAX_FILE {
            let most = files::MAX_FILE;
            return Err(PkiError::Asked(format!(
                "the index would be longer than {most} bytes: too many certificates for one cell"
            )));
        }
        files::replace(&self.folder.path.join(INDEX), &json)?;
        self.recover()
    }

    /// Brings everything in line with the index.
    fn recover(&self) -> Result<(), PkiError> {
        let (ca, crl) = (self.index.bundle(), self.index.lists());
        let folder = self.folder.path.join("issued");
        bundle::refresh(&self.folder.path, &ca, &crl)?;
        let Ok(entries) = fs::read_dir(&folder) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            match name.strip_prefix('.').and_then(|rest| rest.rsplit_once('.')) {
                Some((name, serial)) => self.settle(&entry.path(), name, serial)?,
                None if entry.path().is_dir() => bundle::refresh(&entry.path(), &ca, &crl)?,
                None => {}
            }
        }
        Ok(())
    }

    /// An identity whose certificate is in the index takes its place; one that is not was never issued.
    fn settle(&self, staged: &Path, name: &str, serial: &str) -> Result<(), PkiError> {
        let known = self.index.issued.iter().any(|issued| issued.serial == serial);
        let done = if known {
            fs::rename(staged, self.folder.issued(name).join(IDENTITY))
        } else {
            fs::remove_file(staged)
        };
        let fault = |source| TrustError::File {
            path: staged.to_owned(),
            source,
        };
        Ok(done.map_err(fault)?)
    }

    fn staged(&self, name: &str, serial: &str) -> PathBuf {
        self.folder.path.join("issued").join(format!(".{name}.{serial}"))
    }
}
