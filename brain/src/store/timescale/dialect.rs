//! How PostgreSQL is spoken to.

use shadow::UnixMs;
use sqlx::{ColumnIndex, Row as _};
use time::OffsetDateTime;

/// The driver.
pub(in crate::store) type Db = sqlx::Postgres;
/// A connection of it.
pub(in crate::store) type Connection = sqlx::PgConnection;
/// A row of it.
pub(in crate::store) type Row = sqlx::postgres::PgRow;

/// The larger of two values.
pub(in crate::store) const GREATEST: &str = "greatest";
/// The smaller of two values.
pub(in crate::store) const LEAST: &str = "least";

/// The latest time that the driver tells: the end of the year 9999.
const LATEST_MS: UnixMs = 253_402_300_799_999;

/// A point in time as a column takes it; one before 1970 or past the year 9999 is the nearest of these.
pub(in crate::store) fn at(time_ms: UnixMs) -> OffsetDateTime {
    let nanoseconds = i128::from(time_ms.clamp(0, LATEST_MS)) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A point in time out of a column.
pub(in crate::store) fn instant(row: &Row, column: impl ColumnIndex<Row>) -> Result<UnixMs, sqlx::Error> {
    let time: OffsetDateTime = row.try_get(column)?;
    Ok(i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(LATEST_MS))
}

/// How whole chunks of old rows are dropped: of the table `$1` those that end before `$2`, the oldest `$3` at most; how many
/// there were.
pub(in crate::store) const DROP_CHUNKS: Option<&str> = Some(
    "SELECT count(*) FROM drop_chunks($1::text::regclass, older_than => least($2::timestamptz, \
     (SELECT range_end FROM timescaledb_information.chunks WHERE hypertable_schema = current_schema() \
     AND hypertable_name = $1::text ORDER BY range_end OFFSET $3::bigint - 1 LIMIT 1)))",
);

/// Names of all tables.
pub(in crate::store) const TABLES: &str =
    "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'";
