//! Why nothing is issued, revoked or enrolled.

use std::{io, path::PathBuf};

use thiserror::Error;
use trust::TrustError;

/// Why nothing is issued, revoked or enrolled.
#[derive(Debug, Error)]
pub enum PkiError {
    /// A file or a folder.
    #[error(transparent)]
    File(#[from] TrustError),
    /// There is no authority.
    #[error("{path}: no authority is kept here; `foreshadow pki init` makes one, --dir names another folder", path = .0.display())]
    Nothing(PathBuf),
    /// There is one.
    #[error("{path}: an authority is kept here already, and is left as it is; --dir names another folder", path = .0.display())]
    Exists(PathBuf),
    /// The key of an authority is not where it should be.
    #[error("{path}: the key of the authority is not here: put its medium in, or name its folder with --keys", path = .0.display())]
    Key(PathBuf),
    /// What was asked for cannot be.
    #[error("{0}")]
    Asked(String),
    /// A certificate, a request or a list is of no use.
    #[error("certificates: {0}")]
    Issue(#[from] rcgen::Error),
    /// The system has no random numbers to give.
    #[error("the system gives no random numbers; is /dev/urandom there?")]
    Random,
    /// The server of enrolment, or the way to it.
    #[error("{peer}: {source}")]
    Network {
        /// Who, or which address.
        peer: String,
        /// The system's answer.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The server does not enrol this host.
    #[error("not enrolled: {0}")]
    Refused(String),
}

impl PkiError {
    pub(crate) fn asked(what: impl Into<String>) -> Self {
        Self::Asked(what.into())
    }

    pub(crate) fn network(peer: &(impl ToString + ?Sized)) -> impl FnOnce(io::Error) -> Self {
        let peer = peer.to_string();
        move |source| Self::Network { peer, source }
    }
}
