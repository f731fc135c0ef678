//! What can be wrong with a store.

use std::{io, path::PathBuf};

use thiserror::Error;

/// What can be wrong with a store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The folder cannot be used.
    #[error("data folder {folder}: {source}; it must be there or creatable, and writable for this user")]
    Folder {
        /// Its path.
        folder: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another brain runs on the folder or on the database.
    #[error("{0}: another brain uses it; stop that one or choose another")]
    InUse(String),
    /// The database was written by a newer version.
    #[error(
        "{database}: its schema has version {found}, this brain knows {known}; use a newer foreshadow or another database"
    )]
    Newer {
        /// Its file, or where it is reached.
        database: String,
        /// Version found.
        found: i64,
        /// Newest version known.
        known: i64,
    },
    /// The schema could not be brought up to date, or lacks what it needs.
    #[error("{database}: {reason}")]
    Schema {
        /// Its file, or where it is reached.
        database: String,
        /// What is wrong.
        reason: String,
    },
    /// After a connection was lost, the database is not as this brain has left it.
    #[error(
        "{0}: the last batch that this brain has made durable is not the last one there: a standby took over that lacked \
         it, an older copy was restored, or another brain wrote meanwhile; start the brain again, and it goes on from \
         what is there"
    )]
    Changed(String),
    /// Busy, locked, full, or away: later it may work.
    #[error("{database}: {reason}")]
    Busy {
        /// Its file, or where it is reached.
        database: String,
        /// The database's answer.
        reason: String,
    },
    /// Anything else that the database answers.
    #[error("{database}: {reason}")]
    Database {
        /// Its file, or where it is reached.
        database: String,
        /// The database's answer.
        reason: String,
    },
}

impl StoreError {
    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}
