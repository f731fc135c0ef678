//! What can go wrong in an agent, and what it means to whom.

use std::{
    io,
    path::{Path, PathBuf},
};

use shadow::SourceState;
use thiserror::Error;

/// Why a probe cannot be opened or read.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The machine does not have what the probe reads.
    #[error("{0}")]
    Absent(String),
    /// A file cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file does not look as its man page says.
    #[error("{}: {what}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is not as expected.
        what: String,
    },
}

impl ProbeError {
    /// A fault of reading `path`.
    pub fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// Content of `path` that is not as expected.
    pub fn format(path: &Path, what: impl Into<String>) -> Self {
        Self::Format {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// What it says about the source: expected absence is told from real faults here, and nowhere else.
    ///
    /// A file that does not exist, or whose subsystem is switched off (`EOPNOTSUPP` of PSI booted with
    /// `psi=0`, `ENODEV` of a device that went), is absent; `EACCES` and `EPERM` want a capability.
    pub fn state(&self) -> SourceState {
        let Self::Io { source, .. } = self else {
            return match self {
                Self::Absent(_) => SourceState::Absent,
                _ => SourceState::Failed,
            };
        };
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::Unsupported => SourceState::Absent,
            io::ErrorKind::PermissionDenied => SourceState::NoPermission,
            _ if source.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => SourceState::Absent,
            _ => SourceState::Failed,
        }
    }
}
