//! What the database does by itself, where its edition can.
//!
//! With the Timescale licence (TSL) old chunks are compressed, chunks past their retention go by a policy, and rows of an
//! hour are a continuous aggregate. The Apache edition refuses all of these: there the brain drops chunks and makes the
//! hours.

use runtime::Span;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, query, query_scalar};

use crate::store::{
    Hours,
    figures::{Figure, each_column, of_hours},
};

/// How long rows of the chunked tables are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// Frames.
    pub(crate) frames: Span,
    /// Rows of the grid.
    pub(crate) rollup_10s: Span,
    /// Rows of a minute.
    pub(crate) rollup_1m: Span,
    /// Rows of an hour.
    pub(crate) rollup_1h: Span,
    /// Forecasts.
    pub(crate) forecasts: Span,
}

/// Chunks are compressed after this: what agents keep in their spools comes sooner.
const COMPRESS_AFTER: &str = "3 days";

/// Sets the policies if the edition has any; tells who makes the hours.
pub(super) async fn set(connection: &mut PgConnection, retention: &Retention) -> Result<Hours, sqlx::Error> {
    let licence: String = query_scalar("SELECT current_setting('timescaledb.license')")
        .fetch_one(&mut *connection)
        .await?;
    if licence == "timescale"
        && let Err(error) = by_the_database(connection, retention).await
    {
        tracing::warn!(%error, "the database does not take policies; the brain drops old chunks itself");
    }
    // Where the hours are an aggregate, this leaves them as they are.
    let table = HOURS_TABLE.to_owned() + &columns() + ", PRIMARY KEY (host, bucket))";
    query(AssertSqlSafe(table)).execute(&mut *connection).await?;
    let is_view: bool = query_scalar("SELECT relkind = 'v' FROM pg_class WHERE oid = 'rollup_1h'::regclass")
        .fetch_one(&mut *connection)
        .await?;
    let hours = if is_view { Hours::Theirs } else { Hours::Ours };
    tracing::info!(licence, ?hours, "TimescaleDB's edition");
    Ok(hours)
}

/// All policies, or none.
async fn by_the_database(connection: &mut PgConnection, retention: &Retention) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for statement in statements(retention) {
        query(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// What is said to a database with policies, in this order. All of it may be said again.
fn statements(retention: &Retention) -> Vec<String> {
    let mut all = vec![
        aggregate(),
        "SELECT add_continuous_aggregate_policy('rollup_1h', start_offset => INTERVAL '3 days', \
         end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '30 minutes', if_not_exists => true)"
            .to_owned(),
    ];
    for (table, segment, order) in [
        ("rollup_10s", "host", "bucket"),
        ("rollup_1m", "host", "bucket"),
        ("workload_1m", "host, workload", "bucket"),
        ("forecasts", "host, resource", "made, horizon_s"),
        ("workload_forecasts", "host, workload, resource", "made, horizon_s"),
    ] {
        all.push(format!(
            "ALTER TABLE {table} SET (timescaledb.compress, timescaledb.compress_segmentby = '{segment}', \
             timescaledb.compress_orderby = '{order}')"
        ));
        all.push(format!(
            "SELECT add_compression_policy('{table}', compress_after => INTERVAL '{COMPRESS_AFTER}', \
             if_not_exists => true)"
        ));
    }
    for (table, span) in [
        ("frames", retention.frames),
        ("rollup_10s", retention.rollup_10s),
        ("rollup_1m", retention.rollup_1m),
        ("workload_1m", retention.rollup_1m),
        ("rollup_1h", retention.rollup_1h),
        ("forecasts", retention.forecasts),
        ("workload_forecasts", retention.forecasts),
    ] {
        all.push(format!("SELECT remove_retention_policy('{table}', if_exists => true)"));
        all.push(format!(
            "SELECT add_retention_policy('{table}', drop_after => INTERVAL '{} seconds')",
            span.as_secs()
        ));
    }
    all
}

const HOURS_TABLE: &str = "CREATE TABLE IF NOT EXISTS rollup_1h (host text NOT NULL, bucket timestamptz NOT NULL, \
                           coverage real NOT NULL";

fn columns() -> String {
    let column = |(_, column)| format!(", {column} real");
    each_column(of_hours()).map(column).collect()
}

fn aggregate() -> String {
    let column = |(figure, column): (&Figure, String)| format!(", ({})::real AS {column}", figure.of_minutes(&column));
    let columns: String = each_column(of_hours()).map(column).collect();
    format!(
        "CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_1h WITH (timescaledb.continuous) AS \
         SELECT host, time_bucket(INTERVAL '1 hour', bucket) AS bucket, least(1, sum(coverage) / 60)::real AS coverage{columns} \
         FROM rollup_1m GROUP BY host, time_bucket(INTERVAL '1 hour', bucket) WITH NO DATA"
    )
}
