//! Why the broker did not start, or ended.

use std::{io, net::SocketAddr, path::PathBuf};

use thiserror::Error;

use crate::{AccessError, TlsError};

/// Why the broker did not start, or ended without being told to.
#[derive(Debug, Error)]
pub enum BrokerError {
    /// Something else listens there.
    #[error(
        "broker: {addr} is in use, perhaps by another broker; stop that one, or set `listen` to another port (0 takes a free one)"
    )]
    InUse {
        /// Where it was to listen.
        addr: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("broker: cannot listen on {addr}: {source}")]
    Bind {
        /// Where it was to listen.
        addr: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// What survives a restart can be neither read nor written.
    #[error("broker: cannot use {}: {source}; give it rights to that folder, or set `data` to another one", path.display())]
    Data {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The socket file cannot be listened on.
    #[error("broker: cannot listen at {path}: {what}; set `unix_socket` to another path, or leave it out", path = .path.display())]
    Socket {
        /// Where it was to listen.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Certificates, keys or authorities are of no use.
    #[error("broker: TLS: {0}")]
    Tls(#[from] TlsError),
    /// A list of users or of rules is of no use.
    #[error("broker: {0}")]
    Access(#[from] AccessError),
    /// rumqttd's router could not be started, or fails again and again.
    #[error("broker: the router has failed: {0}; the log says why, start the broker again")]
    Router(String),
    /// A task of the broker has panicked.
    #[error("broker: internal error: {0}")]
    Internal(String),
}
