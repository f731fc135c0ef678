//! What can go wrong in an agent, and what it means to whom.

use std::{
    io,
    path::{Path, PathBuf},
};

use shadow::SourceState;
use thiserror::Error;

use crate::bmc::BmcError;

/// Why a probe cannot be opened or read.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The machine does not have what the probe reads.
    #[error("{0}")]
    Absent(String),
    /// The host's BMC does not answer.
    #[error("BMC at {address}: {source}")]
    Bmc {
        /// Where it is.
        address: String,
        /// Why not.
        source: BmcError,
    },
    /// A file cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file cannot be read by this process.
    #[error("{}: no permission; it takes {needs}", path.display())]
    NoPermission {
        /// Which file.
        path: PathBuf,
        /// The capability, group or setting that gives it.
        needs: &'static str,
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
                Self::NoPermission { .. } => SourceState::NoPermission,
                Self::Bmc { source, .. } => source.state(),
                _ => SourceState::Failed,
            };
        };
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::Unsupported => SourceState::Absent,
            io::ErrorKind::PermissionDenied => SourceState::NoPermission,
            _ if source.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => SourceState::Absent,
            _ => SourceState::Failed,
        }
    }
}

/// Why a sample is not taken, or a publisher cannot go on.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The host's name cannot be a level of a topic.
    #[error("host {0}")]
    Host(#[from] shadow::NameError),
    /// No birth was told yet, so that nobody could read the frame.
    #[error("sample before the first birth")]
    NoBirth,
    /// Samples of an epoch must be pushed in the order of their times.
    #[error("sample at {time_ms} is not later than {last_ms}, the one before")]
    TimeNotRising {
        /// Of this sample, in unix milliseconds.
        time_ms: shadow::UnixMs,
        /// Of the one before.
        last_ms: shadow::UnixMs,
    },
    /// Another agent speaks for the same host, or the one before has not ended.
    #[error("{}: another agent uses this spool; stop that one, or give each its own folder", .0.display())]
    InUse(PathBuf),
    /// One of its tasks has ended.
    #[error("a task of the publisher has ended: {0}")]
    Ended(String),
}

/// Why an agent cannot start or go on.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The machine's own name cannot be a level of a topic.
    #[error("this machine's name cannot be used, so set `host` in the agent's configuration: {0}")]
    HostName(shadow::NameError),
    /// Prefix or cell cannot be levels of a topic.
    #[error(transparent)]
    Topic(#[from] bus::TopicError),
    /// A certificate, key or password that the connection needs.
    #[error(transparent)]
    Credential(#[from] bus::CredentialError),
    /// A certificate or key that seals need.
    #[error(transparent)]
    Trust(#[from] trust::TrustError),
    /// Publishing failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The system gives no thread to sample in.
    #[error("no thread to sample in: {0}")]
    Thread(#[source] std::io::Error),
    /// A task has ended by a panic.
    #[error("the agent's {task} has ended: {reason}")]
    Panicked {
        /// Which.
        task: &'static str,
        /// What it said.
        reason: String,
    },
}
