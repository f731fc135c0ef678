//! A place for a database of a test: a schema of the server that `FORESHADOW_TEST_DATABASE_URL` names.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use runtime::Span;

use super::{Options, Retention, Timescale, dialect::Connection};
use crate::{
    store::{StoreError, reader::Database},
    testing::step_aside,
};

static PLACES: AtomicU32 = AtomicU32::new(0);

/// A schema of the test's own, and a folder that goes with it. The schema stays: the server is for tests alone.
pub(in crate::store) struct Place {
    pub(super) options: Options,
    pub(super) folder: tempfile::TempDir,
}

/// Long enough for every test.
pub(super) const RETENTION: Retention = {
    let year = Span::from_secs(366 * 86_400);
    Retention {
        frames: year,
        rollup_10s: year,
        rollup_1m: year,
        rollup_1h: year,
        forecasts: year,
    }
};

impl Place {
    /// `None`, and a printed reason, where no server is named.
    pub(in crate::store) fn new() -> Option<Self> {
        let Ok(url) = std::env::var("FORESHADOW_TEST_DATABASE_URL") else {
            step_aside("FORESHADOW_TEST_DATABASE_URL names no TimescaleDB");
            return None;
        };
        Some(Self::at(url))
    }

    /// On the server at `url`.
    pub(super) fn at(url: String) -> Self {
        let of_ours = PLACES.fetch_add(1, Ordering::Relaxed);
        Self {
            options: Options {
                url,
                password_file: None,
                schema: format!("test_{}_{of_ours}", std::process::id()),
                lock_patience: Duration::ZERO,
            },
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The store in it.
    pub(in crate::store) async fn open(&self) -> Timescale {
        self.try_open().await.unwrap()
    }

    /// The same for those who only read.
    pub(in crate::store) fn database(&self) -> Database {
        Database::server(self.options.clone())
    }

    pub(super) async fn try_open(&self) -> Result<Timescale, StoreError> {
        Timescale::open(&self.options, &RETENTION, self.folder.path()).await
    }
}

/// Past the store.
pub(in crate::store) fn connection(store: &mut Timescale) -> &mut Connection {
    store.connection.as_mut().unwrap()
}

/// Tables and views with their columns.
pub(in crate::store) const COLUMNS: &str = "SELECT c.relname::text, a.attname::text FROM pg_class c \
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v') \
     AND c.relname <> '_sqlx_migrations'";

/// What is said of them.
pub(in crate::store) const COMMENTS: &str = "SELECT c.relname::text, a.attname::text, d.description FROM pg_description d \
     JOIN pg_class c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass \
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0 \
     WHERE c.relnamespace = current_schema()::regnamespace";

/// How many days longer than told rows may stay: the longest chunk.
pub(in crate::store) const SLACK_DAYS: i64 = 7;
