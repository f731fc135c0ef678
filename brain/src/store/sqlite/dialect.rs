//! How SQLite is spoken to.

use shadow::UnixMs;
use sqlx::{ColumnIndex, Row as _};

/// The driver.
pub(in crate::store) type Db = sqlx::Sqlite;
/// A connection of it.
pub(in crate::store) type Connection = sqlx::SqliteConnection;
/// A row of it.
pub(in crate::store) type Row = sqlx::sqlite::SqliteRow;

/// The larger of two values.
pub(in crate::store) const GREATEST: &str = "max";
/// The smaller of two values.
pub(in crate::store) const LEAST: &str = "min";

/// A point in time as a column takes it.
pub(in crate::store) const fn at(time_ms: UnixMs) -> UnixMs {
    time_ms
}

/// A point in time out of a column.
pub(in crate::store) fn instant(row: &Row, column: impl ColumnIndex<Row>) -> Result<UnixMs, sqlx::Error> {
    row.try_get(column)
}

/// How whole chunks of old rows are dropped: here there are none.
pub(in crate::store) const DROP_CHUNKS: Option<&str> = None;
