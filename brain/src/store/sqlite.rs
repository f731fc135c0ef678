//! The embedded store: one `SQLite` file in the data folder, in WAL mode with `synchronous = FULL`.
//!
//! A committed batch outlives a kill of the process and, on a disk that keeps what it says it has synced, a loss of
//! power: agents forget the frames that a watermark covers, so each commit is synced.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use shadow::Frame;
use sqlx::{
    Connection, SqlSafeStr, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{Batch, Cutoffs, FrameId, Recovered, Since, Store, StoreError, Stream};

mod prune;
mod recover;
mod references;
pub(super) mod rows;
mod write;

#[cfg(test)]
mod tests;

/// All migrations: version, name, SQL. A version that was released never changes.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "initial", include_str!("../../migrations/0001_initial.sql")),
    (2, "events", include_str!("../../migrations/0002_events.sql")),
    (3, "holes", include_str!("../../migrations/0003_holes.sql")),
    (4, "references", include_str!("../../migrations/0004_references.sql")),
];

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
        let lock = lock(folder)?;
        let file = folder.join("brain.db");
        refuse_newer(&file).await?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A watermark lets agents forget frames: it must survive the power's loss as they do.
            .synchronous(SqliteSynchronous::Full)
            .pragma("temp_store", "memory");
        let opened = SqliteConnection::connect_with(&options).await;
        let mut connection = opened.map_err(|error| fault(&file, &error))?;
        let migrated = migrator().run(&mut connection).await;
        migrated.map_err(|error| schema_fault(&file, &error))?;
        Ok(Self {
            connection,
            file,
            _lock: lock,
        })
    }
}

impl Store for Sqlite {
    async fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let written = write::batch(&mut self.connection, batch).await;
        written.map_err(|error| fault(&self.file, &error))
    }

    async fn prune(&mut self, cutoffs: &Cutoffs) -> Result<bool, StoreError> {
        let pruned = prune::older(&mut self.connection, cutoffs).await;
        pruned.map_err(|error| fault(&self.file, &error))
    }

    async fn recover(&mut self, since: Since) -> Result<Recovered, StoreError> {
        let read = recover::all(&mut self.connection, since).await;
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

/// Makes the folder, proves that it can be written, and keeps other brains out of it.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let fault = |source| StoreError::Folder {
        folder: folder.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(fault)?;
    let file = File::create(folder.join("brain.lock")).map_err(fault)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(fault(source)),
    }
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Looks at the version without touching the file: one of a newer brain is to stay as it is.
async fn refuse_newer(file: &Path) -> Result<(), StoreError> {
    if !file.exists() {
        return Ok(());
    }
    let known = MIGRATIONS.last().map_or(0, |&(version, ..)| version);
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .map_err(|error| fault(file, &error))?;
    let newest = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut connection)
        .await;
    connection.close().await.map_err(|error| fault(file, &error))?;
    // A file without that table is new or not ours: what follows finds out.
    match newest.unwrap_or(None) {
        Some(found) if found > known => Err(StoreError::Newer {
            file: file.to_owned(),
            found,
            known,
        }),
        _ => Ok(()),
    }
}

fn schema_fault(file: &Path, error: &MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => fault(file, error),
        other => StoreError::Schema {
            file: file.to_owned(),
            reason: format!("{other}; the file was changed by another program or is damaged"),
        },
    }
}

/// Primary result codes after which trying again may help: busy, locked, out of memory, I/O, full, and
/// those of a file or a journal that cannot be opened just now. <https://www.sqlite.org/rescode.html>
const TRANSIENT: [i32; 6] = [5, 6, 7, 10, 13, 14];

pub(super) fn fault(file: &Path, error: &sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|e| e.code()?.parse::<i32>().ok());
    let (file, reason) = (file.to_owned(), error.to_string());
    // The lowest byte of an extended code is the primary one.
    if code.is_some_and(|code| TRANSIENT.contains(&(code & 0xff))) {
        StoreError::Busy { file, reason }
    } else {
        StoreError::Database { file, reason }
    }
}
