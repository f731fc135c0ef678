//! How the database is reached.

use std::{fs, path::PathBuf, time::Duration};

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};

use crate::store::StoreError;

/// What a person sets.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// `postgres://user@host:port/database?sslmode=...`.
    pub(crate) url: String,
    /// Its first line is the password.
    pub(crate) password_file: Option<PathBuf>,
    /// The schema that is the brain's own.
    pub(crate) schema: String,
    /// How long is waited for another brain's session to end: that of a machine that is gone ends when the server notices.
    pub(crate) lock_patience: Duration,
}

/// Longer than the server takes to notice, by the keepalives below.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(45);

impl Options {
    /// As the driver takes them, and the name of it all that may be told.
    pub(in crate::store) fn connect(&self) -> Result<(PgConnectOptions, String), StoreError> {
        let wrong = |reason: String| StoreError::Schema {
            database: "store.database".to_owned(),
            reason,
        };
        // The reason never has the address in it, for there may be a password in that.
        let mut connect: PgConnectOptions = self
            .url
            .parse()
            .map_err(|_| wrong("no address of the form postgres://user@host:port/database".to_owned()))?;
        if let Some(file) = &self.password_file {
            let text = fs::read_to_string(file).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
            connect = connect.password(text.lines().next().unwrap_or_default());
        }
        let name = format!(
            "postgres://{}@{}:{}/{} ({})",
            connect.get_username(),
            connect.get_host(),
            connect.get_port(),
            connect.get_database().unwrap_or(connect.get_username()),
            self.schema
        );
        let connect = connect.application_name("foreshadow-brain").options([
            ("search_path", format!("\"{}\",public", self.schema)),
            ("timezone", "UTC".to_owned()),
            ("client_min_messages", "warning".to_owned()),
            // A watermark lets agents forget frames: what it covers must outlive the server, whatever the server's default.
            ("synchronous_commit", "on".to_owned()),
            // A server notices within half a minute that a brain's machine is gone, and lets go of its lock.
            ("tcp_keepalives_idle", "10".to_owned()),
            ("tcp_keepalives_interval", "5".to_owned()),
            ("tcp_keepalives_count", "4".to_owned()),
            // So soon it notices, in the midst of a long statement, that the brain has given up waiting for that.
            ("client_connection_check_interval", "5s".to_owned()),
            ("idle_in_transaction_session_timeout", "60s".to_owned()),
            ("lock_timeout", "20s".to_owned()),
        ]);
        Ok((connect.disable_statement_logging(), name))
    }
}
