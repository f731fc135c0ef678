//! Reading the durable past, beside the task that writes: what memory does not reach back to.

use std::{path::Path, sync::Arc};

use shadow::UnixMs;
use sqlx::{Connection, Row, SqliteConnection, query, sqlite::SqliteConnectOptions, sqlite::SqliteRow};
use tokio::runtime::Runtime;

use super::{StoreError, StoredRow, sqlite::fault};

/// Reads the durable past of one host after the other, oldest row first. It blocks: only for threads that may wait.
pub(crate) trait History {
    /// All hosts of which anything is durable, by name.
    ///
    /// # Errors
    /// What the database answers.
    fn hosts(&mut self) -> Result<Vec<Arc<str>>, StoreError>;

    /// Rows of the grid of `host` that begin from `since_ms` on, before `until_ms`.
    ///
    /// # Errors
    /// What the database answers.
    fn rows(&mut self, host: &str, span: Span) -> Result<Vec<StoredRow>, StoreError>;

    /// Minutes of `host`, or rows of the grid where these are longer.
    ///
    /// # Errors
    /// What the database answers.
    fn minutes(&mut self, host: &str, span: Span) -> Result<Vec<StoredRow>, StoreError>;
}

/// From when and before when, in unix milliseconds.
pub(crate) type Span = std::ops::Range<UnixMs>;

/// Opens the durable past; a reader is opened, used and closed again.
pub(crate) type Open = Arc<dyn Fn() -> Result<Box<dyn History>, StoreError> + Send + Sync>;

/// A connection of its own that only reads, so that it never keeps the writer waiting: in WAL mode readers see the
/// database as it was when they began.
#[derive(Debug)]
pub(crate) struct SqliteHistory {
    connection: SqliteConnection,
    /// The thread at hand drives it.
    runtime: Runtime,
    file: Box<Path>,
}

impl SqliteHistory {
    /// Opens the database in `folder`, which is there already.
    ///
    /// # Errors
    /// What the database answers.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let file = folder.join("brain.db");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|source| StoreError::Folder {
            folder: folder.to_owned(),
            source,
        })?;
        let options = SqliteConnectOptions::new().filename(&file).read_only(true);
        let opened = runtime.block_on(SqliteConnection::connect_with(&options));
        Ok(Self {
            connection: opened.map_err(|error| fault(&file, &error))?,
            runtime,
            file: file.into(),
        })
    }

    fn read(&mut self, table: &'static str, host: &str, span: Span) -> Result<Vec<StoredRow>, StoreError> {
        let rows = query(table).bind(host).bind(span.start).bind(span.end);
        let rows = self.runtime.block_on(rows.fetch_all(&mut self.connection));
        let rows = rows.and_then(|rows| rows.iter().map(stored).collect());
        rows.map_err(|error| fault(&self.file, &error))
    }
}

impl History for SqliteHistory {
    fn hosts(&mut self) -> Result<Vec<Arc<str>>, StoreError> {
        let rows = query("SELECT host FROM hosts ORDER BY host").fetch_all(&mut self.connection);
        let name = |row: &SqliteRow| row.try_get::<&str, _>(0).map(Arc::from);
        let hosts = self.runtime.block_on(rows);
        let hosts = hosts.and_then(|rows| rows.iter().map(name).collect());
        hosts.map_err(|error| fault(&self.file, &error))
    }

    fn rows(&mut self, host: &str, span: Span) -> Result<Vec<StoredRow>, StoreError> {
        let of_the_grid = "SELECT bucket_ms, coverage, cpu, memory, network_rx_bytes_per_s, network_tx_bytes_per_s, \
             disk_read_bytes_per_s, disk_write_bytes_per_s, power_w FROM rollup_10s \
             WHERE host = ? AND bucket_ms >= ? AND bucket_ms < ? ORDER BY bucket_ms";
        self.read(of_the_grid, host, span)
    }

    fn minutes(&mut self, host: &str, span: Span) -> Result<Vec<StoredRow>, StoreError> {
        let of_a_minute = "SELECT bucket_ms, coverage, cpu, memory, network_rx_bytes_per_s, network_tx_bytes_per_s, \
             disk_read_bytes_per_s, disk_write_bytes_per_s, power_w FROM rollup_1m \
             WHERE host = ? AND bucket_ms >= ? AND bucket_ms < ? ORDER BY bucket_ms";
        self.read(of_a_minute, host, span)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the grid holds single precision")]
fn stored(row: &SqliteRow) -> Result<StoredRow, sqlx::Error> {
    let mut mean = [f32::NAN; 7];
    for (column, value) in mean.iter_mut().enumerate() {
        *value = row
            .try_get::<Option<f64>, _>(column + 2)?
            .map_or(f32::NAN, |value| value as f32);
    }
    Ok(StoredRow {
        begin_ms: row.try_get(0)?,
        coverage: row.try_get::<f64, _>(1)? as f32,
        mean,
    })
}

#[cfg(test)]
mod tests;
