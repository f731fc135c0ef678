//! What is kept on disk: the table `[store]`.

use std::path::PathBuf;

use runtime::{Faults, Span};
use serde::{Deserialize, Serialize};

use super::{DAY_S, between};
use crate::store::timescale::{LOCK_PATIENCE, Options, Retention};

/// What is kept on disk, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Where a TimescaleDB is: `postgres://user@host:port/database`. Without it what is kept is in `SQLite`, in `data_dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// A file whose first line is the user's password there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The schema there that is this brain's alone.
    pub schema: String,
    /// How often what has come is made durable, 5 s at most: what comes while a batch is being written waits for the
    /// next one, and so for 10 s at most on a disk that keeps up.
    pub flush_every: Span,
    /// What is kept in memory while the database cannot take it, in bytes. From three quarters on frames are left to the
    /// agents' spools; the last quarter is for what the brain makes itself.
    pub buffer_bytes: usize,
    /// Frames as they came, at full rate.
    pub keep_frames: Span,
    /// Rows of the grid.
    pub keep_rollup_10s: Span,
    /// Rows of a minute.
    pub keep_rollup_1m: Span,
    /// Rows of an hour.
    pub keep_rollup_1h: Span,
    /// Forecasts, one a minute.
    pub keep_forecasts: Span,
    /// Events, anomalies, incidents, proposals, commands, outcomes, plans, models.
    pub keep_events: Span,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            database: None,
            password_file: None,
            schema: "foreshadow".into(),
            flush_every: Span::from_secs(5),
            buffer_bytes: 64 << 20,
            keep_frames: Span::from_secs(2 * DAY_S),
            keep_rollup_10s: Span::from_secs(3 * DAY_S),
            keep_rollup_1m: Span::from_secs(90 * DAY_S),
            keep_rollup_1h: Span::from_secs(1_826 * DAY_S),
            keep_forecasts: Span::from_secs(3 * DAY_S),
            keep_events: Span::from_secs(90 * DAY_S),
        }
    }
}

impl Store {
    pub(super) fn validate(&self, faults: &mut Faults) {
        let own = self
            .schema
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let own = own && self.schema.starts_with(|c: char| c.is_ascii_lowercase()) && self.schema.len() <= 63;
        faults.require(
            own,
            "schema",
            "must be lower-case letters, digits and _, and begin with a letter",
        );
        let secret = self.database.as_ref().is_some_and(|url| has_password(url));
        faults.require(
            !secret,
            "database",
            "must not have the password in it; store.password_file names a file",
        );
        let is_server = self.database.as_ref().is_none_or(|url| {
            ["postgres://", "postgresql://"]
                .iter()
                .any(|scheme| url.starts_with(scheme))
        });
        faults.require(is_server, "database", "must begin with postgres:// or postgresql://");
        let flush = self.flush_every.as_millis();
        let sound = (10..=5_000).contains(&flush);
        faults.require(sound, "flush_every", "must be 10ms to 5s");
        let buffer = (1 << 20..=16 << 30).contains(&(self.buffer_bytes as u64));
        faults.require(buffer, "buffer_bytes", "must be 1048576 to 17179869184");
        for (key, span) in [
            ("keep_frames", self.keep_frames),
            ("keep_rollup_10s", self.keep_rollup_10s),
            ("keep_rollup_1m", self.keep_rollup_1m),
            ("keep_rollup_1h", self.keep_rollup_1h),
            ("keep_forecasts", self.keep_forecasts),
            ("keep_events", self.keep_events),
        ] {
            between(faults, key, span, 60, 10 * 366 * DAY_S);
        }
    }

    /// How a TimescaleDB is reached, where one is set.
    pub(crate) fn timescale(&self) -> Option<Options> {
        Some(Options {
            url: self.database.clone()?,
            password_file: self.password_file.clone(),
            schema: self.schema.clone(),
            lock_patience: LOCK_PATIENCE,
        })
    }

    /// How long a database keeps what it deletes by itself.
    pub(crate) const fn retention(&self) -> Retention {
        Retention {
            frames: self.keep_frames,
            rollup_10s: self.keep_rollup_10s,
            rollup_1m: self.keep_rollup_1m,
            rollup_1h: self.keep_rollup_1h,
            forecasts: self.keep_forecasts,
        }
    }
}

/// Whether an address has a password before its host, or among its parameters.
fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || url.contains("password=")
}
