//! What can end the brain, or keep it from starting.

use std::{io, net::SocketAddr};

use thiserror::Error;

use crate::store::StoreError;

/// Why the brain does not start, or has ended.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration or the policy has faults.
    #[error("the brain's configuration")]
    Config(#[from] runtime::ConfigError),
    /// The forecaster refuses its configuration.
    #[error("forecast: {0}")]
    Forecast(String),
    /// The page cannot listen.
    #[error("page: cannot listen on {address}: {source}; choose another page.listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The list of the page's users.
    #[error("page.users: {0}")]
    Users(#[from] crate::page::login::users::UsersError),
    /// The certificate of the page.
    #[error("page.tls: {0}")]
    Certificate(#[source] trust::TrustError),
    /// The page's server ended.
    #[error("page: {0}")]
    Page(io::Error),
    /// The database, or the folder that it lies in.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A certificate or key that seals need, or the audit log.
    #[error("trust: {0}")]
    Trust(#[from] trust::TrustError),
    /// Topics or the connection to the broker.
    #[error("bus: {0}")]
    Bus(String),
    /// A part of the brain panicked; the log has its message.
    #[error("{0} panicked")]
    Panicked(&'static str),
}

impl Error {
    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Listen { .. } | Self::Page(_) | Self::Bus(_) => true,
            _ => false,
        }
    }
}
