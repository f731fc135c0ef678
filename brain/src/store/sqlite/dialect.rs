//! How SQLite is spoken to.

use shadow::UnixMs;
use sqlx::{ColumnIndex, Row as _};

use crate::store::StoreError;

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

/// Primary result codes after which trying again may help: busy, locked, out of memory, I/O, full, and
/// those of a file or a journal that cannot be opened just now. <https://www.sqlite.org/rescode.html>
const TRANSIENT: [i32; 6] = [5, 6, 7, 10, 13, 14];

/// An answer as the brain takes it.
pub(in crate::store) fn told(name: &str, error: &sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|e| e.code()?.parse::<i32>().ok());
    let (database, reason) = (name.to_owned(), error.to_string());
    // The lowest byte of an extended code is the primary one.
    if code.is_some_and(|code| TRANSIENT.contains(&(code & 0xff))) {
        StoreError::Busy { database, reason }
    } else {
        StoreError::Database { database, reason }
    }
}

/// Names of all tables.
pub(in crate::store) const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table'";
