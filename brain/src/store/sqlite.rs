//! The embedded store: one `SQLite` file in the data folder, in WAL mode with `synchronous = FULL`.
//!
//! A committed batch outlives a kill of the process and, on a disk that keeps what it says it has synced, a loss of
//! power: agents forget the frames that a watermark covers, so each commit is synced.

use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
};

use shadow::Frame;
use sqlx::{
    Connection as _, SqliteConnection,
    migrate::MigrateError,
    query, query_as,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use self::sql::{prune, recover, references, write};
use super::{
    Batch, Cutoffs, FrameId, Hours, Recovered, Since, Store, StoreError, Stream,
    comments::{self, Comment},
    folder, migrations,
};

mod dialect;
#[path = "sql/mod.rs"]
pub(super) mod sql;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

/// All migrations: version, name, SQL. A version that was released never changes.
const MIGRATIONS: &[migrations::Step] = &[
    (1, "initial", include_str!("../../migrations/sqlite/0001_initial.sql")),
    (2, "events", include_str!("../../migrations/sqlite/0002_events.sql")),
    (3, "holes", include_str!("../../migrations/sqlite/0003_holes.sql")),
    (
        4,
        "references",
        include_str!("../../migrations/sqlite/0004_references.sql"),
    ),
    (5, "query", include_str!("../../migrations/sqlite/0005_query.sql")),
    (
        6,
        "incidents",
        include_str!("../../migrations/sqlite/0006_incidents.sql"),
    ),
    (7, "plans", include_str!("../../migrations/sqlite/0007_plans.sql")),
    (
        8,
        "workload forecasts",
        include_str!("../../migrations/sqlite/0008_workload_forecasts.sql"),
    ),
    (
        9,
        "workload coverage",
        include_str!("../../migrations/sqlite/0009_workload_coverage.sql"),
    ),
    (11, "books", include_str!("../../migrations/sqlite/0011_books.sql")),
    (
        12,
        "proposals",
        include_str!("../../migrations/sqlite/0012_proposals.sql"),
    ),
];

/// Rows that are read ahead of who takes them.
const ROW_BUFFER: usize = 1_000;
/// At most 64 MiB of pages while a start reads, and `SQLite`'s own 2 MB otherwise.
const START_CACHE: &str = "PRAGMA cache_size = -65536";
const CACHE: &str = "PRAGMA cache_size = -2000";

/// A database and the lock on its folder.
#[derive(Debug)]
pub(crate) struct Sqlite {
    connection: SqliteConnection,
    file: PathBuf,
    /// Held, not read: the lock ends with the file.
    _lock: File,
}

impl Sqlite {
    /// Opens `brain.db` in `folder`, both made where they are not there, and brings its schema up to date.
    ///
    /// # Errors
    /// A folder that cannot be written or that another brain uses, a database of a newer version or a broken
    /// one, each named.
    pub(crate) async fn open(folder: &Path) -> Result<Self, StoreError> {
        let lock = folder::lock(folder)?;
        let file = folder.join("brain.db");
        refuse_newer(&file).await?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A watermark lets agents forget frames: it must survive the power's loss as they do.
            .synchronous(SqliteSynchronous::Full)
            // Rows come from a thread of their own: at each full buffer the two wait for one another.
            .row_buffer_size(ROW_BUFFER)
            .pragma("temp_store", "memory");
        let opened = SqliteConnection::connect_with(&options).await;
        let mut connection = opened.map_err(|error| fault(&file, &error))?;
        let migrated = migrations::migrator(MIGRATIONS).run(&mut connection).await;
        migrated.map_err(|error| schema_fault(&file, &error))?;
        let described = describe(&mut connection).await;
        described.map_err(|error| fault(&file, &error))?;
        Ok(Self {
            connection,
            file,
            _lock: lock,
        })
    }
}

impl Store for Sqlite {
    async fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let written = write::batch(&mut self.connection, batch, Hours::Ours, None).await;
        written.map_err(|error| fault(&self.file, &error))
    }

    async fn prune(&mut self, cutoffs: &Cutoffs) -> Result<bool, StoreError> {
        let pruned = prune::older(&mut self.connection, cutoffs, Hours::Ours).await;
        pruned.map_err(|error| fault(&self.file, &error))
    }

    async fn recover(&mut self, since: Since) -> Result<Recovered, StoreError> {
        let read = recovered(&mut self.connection, since).await;
        read.map_err(|error| fault(&self.file, &error))
    }

    async fn find(&mut self, wanted: &[FrameId]) -> Result<Vec<(Stream, Frame)>, StoreError> {
        let found = references::with_theirs(&mut self.connection, wanted).await;
        found.map_err(|error| fault(&self.file, &error))
    }

    async fn close(self) -> Result<(), StoreError> {
        let closed = self.connection.close().await;
        closed.map_err(|error| fault(&self.file, &error))
    }
}

/// Minutes and frames are found by time and lie by host: each page is wanted again and again, once, at a start.
async fn recovered(from: &mut SqliteConnection, since: Since) -> Result<Recovered, sqlx::Error> {
    query(START_CACHE).execute(&mut *from).await?;
    let read = recover::all(from, since).await;
    query(CACHE).execute(from).await?;
    read
}

/// Looks at the version without touching the file: one of a newer brain is to stay as it is.
async fn refuse_newer(file: &Path) -> Result<(), StoreError> {
    if !file.exists() {
        return Ok(());
    }
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .map_err(|error| fault(file, &error))?;
    let newest = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut connection)
        .await;
    connection.close().await.map_err(|error| fault(file, &error))?;
    match newest.map_err(|error| fault(file, &error)) {
        Err(error) if error.is_transient() => Err(error),
        // A file without that table is new or not ours: what follows finds out.
        newest => migrations::refuse_newer(MIGRATIONS, &name(file), newest.unwrap_or(None)),
    }
}

/// Says in words what everything holds, where people look who have nothing but the file. What is said already is not
/// written again: a start needs no room on the disk, and waits for nobody who writes.
async fn describe(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let said = query_as("SELECT relation, name, text FROM comments")
        .fetch_all(&mut *connection)
        .await?;
    let said: BTreeSet<(String, String, String)> = said.into_iter().collect();
    let of = |Comment { relation, column, text }: Comment| (relation, column.unwrap_or_default(), text);
    let all: BTreeSet<_> = comments::all().into_iter().map(of).collect();
    if said == all {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    query("DELETE FROM comments").execute(&mut *transaction).await?;
    for (relation, column, text) in all {
        query("INSERT INTO comments (relation, name, text) VALUES (?, ?, ?)")
            .bind(relation)
            .bind(column)
            .bind(text)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

fn schema_fault(file: &Path, error: &MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => fault(file, error),
        other => StoreError::Schema {
            database: name(file),
            reason: format!("{other}; the file was changed by another program or is damaged"),
        },
    }
}

fn name(file: &Path) -> String {
    file.display().to_string()
}

pub(super) fn fault(file: &Path, error: &sqlx::Error) -> StoreError {
    dialect::told(&name(file), error)
}
