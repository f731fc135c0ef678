//! Why files are of no use, and why a seal does not hold.

use std::{
    io,
    path::{Path, PathBuf},
};

use shadow::WireError;
use thiserror::Error;

/// Why certificates, keys or logs are of no use.
#[derive(Debug, Error)]
pub enum TrustError {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {what}", path = .path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what would be right.
        what: String,
    },
}

impl TrustError {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    pub(crate) fn content(path: &Path, what: impl Into<String>) -> Self {
        Self::Content {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}

/// Why a message is not taken for what it says it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SealError {
    /// Nobody vouches for it.
    #[error("it is not sealed, and this part was given authorities to ask: only sealed messages count")]
    Missing,
    /// What should be its seal is none.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The certificate is none, or none of an authority that is asked, or not good now.
    #[error("its certificate is refused: {0}")]
    Certificate(String),
    /// The certificate is good, but not for this.
    #[error("its certificate does not have the name {0}")]
    Name(String),
    /// The bytes are not those that were signed, or they were signed for something else.
    #[error(
        "its signature does not hold: it was changed, or is meant for another cell, host, vantage or kind of message"
    )]
    Signature,
    /// It is signed, and nobody is known who may have done it.
    #[error("no birth under seal has come that tells who signs for this host; it was asked for")]
    Unborn,
    /// Nothing to seal with.
    #[error("no certificate of this part is good now; issue another")]
    NoIdentity,
}
