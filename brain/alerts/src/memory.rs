//! What a receiver was told, in a file of its own.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::desk::Kept;

/// Where it is.
pub(crate) struct Memory {
    file: PathBuf,
}

impl Memory {
    /// Of the receiver `name`, in `folder`.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        Self {
            file: folder.join(format!("{name}.json")),
        }
    }

    /// What was kept; `None` before the first time. What cannot be read is told and begun anew.
    pub(crate) fn read(&self) -> Option<Kept> {
        let text = match fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!("{}: {error}; this receiver begins anew", self.file.display());
                return None;
            }
        };
        let kept = serde_json::from_slice(&text);
        kept.inspect_err(|error| tracing::warn!("{}: {error}; this receiver begins anew", self.file.display()))
            .ok()
    }

    /// Keeps it, so that a power loss leaves either what was or what is.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn write(&self, kept: &Kept) -> io::Result<()> {
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = self.file.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(kept)?)?;
        file.sync_all()?;
        fs::rename(new, &self.file)
    }
}
