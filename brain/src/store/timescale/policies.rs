//! What the database does by itself, where its edition can.
//!
//! With the Timescale licence (TSL) old chunks are compressed, chunks past their retention go by a policy, and rows of an
//! hour are a continuous aggregate. The Apache edition refuses all of these: there the brain drops chunks and makes the
//! hours.

use runtime::Span;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, query, query_scalar, raw_sql};

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
const COMPRESS_AFTER_DAYS: u32 = 3;
/// The same of tables that keep no more than that.
const COMPRESS_SHORT_AFTER_DAYS: u32 = 1;

/// Tables that are compressed, by which columns apart and in which order within, and after how many days.
pub(super) const COMPRESSED: [(&str, &str, &str, u32); 5] = [
    ("rollup_10s", "host", "bucket", COMPRESS_SHORT_AFTER_DAYS),
    ("rollup_1m", "host", "bucket", COMPRESS_AFTER_DAYS),
    ("workload_1m", "host, workload", "bucket", COMPRESS_AFTER_DAYS),
    (
        "forecasts",
        "host, resource",
        "made, horizon_s",
        COMPRESS_SHORT_AFTER_DAYS,
    ),
    (
        "workload_forecasts",
        "host, workload, resource",
        "made, horizon_s",
        COMPRESS_SHORT_AFTER_DAYS,
    ),
];

/// The table of the hours, where they are one.
pub(super) const HOURS_TABLE: &str = include_str!("../../../migrations/timescale/hours.sql");

/// Sets the policies if the edition has any; tells who makes the hours.
pub(super) async fn set(connection: &mut PgConnection, retention: &Retention) -> Result<Hours, sqlx::Error> {
    let licence: String = query_scalar("SELECT current_setting('timescaledb.license')")
        .fetch_one(&mut *connection)
        .await?;
    if licence == "timescale" {
        // A schema that was made with the Apache edition keeps its table of hours.
        let hours = hours(connection).await?.unwrap_or(Hours::Theirs);
        if let Err(error) = by_the_database(connection, retention, hours).await {
            tracing::warn!(%error, "the database does not take policies; the brain drops old chunks itself");
        }
    }
    if hours(connection).await?.is_none() {
        raw_sql(HOURS_TABLE).execute(&mut *connection).await?;
    }
    let hours = hours(connection).await?.unwrap_or(Hours::Ours);
    tracing::info!(licence, ?hours, "TimescaleDB's edition");
    Ok(hours)
}

/// Who makes the hours that are there: an aggregate is a view.
async fn hours(connection: &mut PgConnection) -> Result<Option<Hours>, sqlx::Error> {
    let is_view = "SELECT relkind = 'v' FROM pg_class \
                   WHERE relname = 'rollup_1h' AND relnamespace = current_schema()::regnamespace";
    let is_view: Option<bool> = query_scalar(is_view).fetch_optional(connection).await?;
    Ok(is_view.map(|is_view| if is_view { Hours::Theirs } else { Hours::Ours }))
}

/// All policies, or none.
async fn by_the_database(
    connection: &mut PgConnection,
    retention: &Retention,
    hours: Hours,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for statement in statements(retention, hours) {
        query(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

/// What is said to a database with policies, in this order. All of it may be said again.
pub(super) fn statements(retention: &Retention, hours: Hours) -> Vec<String> {
    let mut all = Vec::new();
    if hours == Hours::Theirs {
        all.push(aggregate());
        all.extend(refresh(retention.rollup_1m));
        all.extend(retain("rollup_1h", retention.rollup_1h));
    }
    for (table, segment, order, days) in COMPRESSED {
        all.push(format!(
            "ALTER TABLE {table} SET (timescaledb.compress, timescaledb.compress_segmentby = '{segment}', \
             timescaledb.compress_orderby = '{order}')"
        ));
        all.push(format!(
            "SELECT add_compression_policy('{table}', compress_after => INTERVAL '{days} days', if_not_exists => true)"
        ));
    }
    for (table, span) in [
        ("frames", retention.frames),
        ("rollup_10s", retention.rollup_10s),
        ("rollup_1m", retention.rollup_1m),
        ("workload_1m", retention.rollup_1m),
        ("forecasts", retention.forecasts),
        ("workload_forecasts", retention.forecasts),
    ] {
        all.extend(retain(table, span));
    }
    all
}

/// Hours are made anew wherever minutes have come, however late, of all that is kept of these. They are also unmade
/// wherever minutes were dropped, so the window ends a chunk before that: by then the chunk is not due by any clock.
fn refresh(minutes: Span) -> [String; 2] {
    let (kept_s, chunk_s) = (minutes.as_secs(), 7 * 86_400);
    // Where little is kept; and less than two hours besides the one at the end is refused.
    let start_s = kept_s.saturating_sub(chunk_s).max(kept_s / 2).max(4 * 3_600);
    [
        "SELECT remove_continuous_aggregate_policy('rollup_1h', if_exists => true)".to_owned(),
        format!(
            "SELECT add_continuous_aggregate_policy('rollup_1h', start_offset => INTERVAL '{start_s} seconds', \
             end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '30 minutes')"
        ),
    ]
}

fn retain(table: &str, span: Span) -> [String; 2] {
    [
        format!("SELECT remove_retention_policy('{table}', if_exists => true)"),
        format!(
            "SELECT add_retention_policy('{table}', drop_after => INTERVAL '{} seconds')",
            span.as_secs()
        ),
    ]
}

fn aggregate() -> String {
    format!(
        "CREATE MATERIALIZED VIEW IF NOT EXISTS rollup_1h WITH (timescaledb.continuous) AS {} WITH NO DATA",
        hours_of_minutes()
    )
}

/// What the aggregate is made of.
pub(super) fn hours_of_minutes() -> String {
    let column = |(figure, column): (&Figure, String)| format!(", ({})::real AS {column}", figure.of_minutes(&column));
    let columns: String = each_column(of_hours()).map(column).collect();
    format!(
        "SELECT host, time_bucket(INTERVAL '1 hour', bucket) AS bucket, least(1, sum(coverage) / 60)::real AS coverage{columns} \
         FROM rollup_1m GROUP BY host, time_bucket(INTERVAL '1 hour', bucket)"
    )
}

#[cfg(test)]
mod tests {
    use super::{super::testing::RETENTION, *};

    #[test]
    fn what_goes_after_three_days_is_compressed_after_one() {
        let said = statements(&RETENTION, Hours::Theirs);
        for (table, days) in [
            ("rollup_10s", 1),
            ("rollup_1m", 3),
            ("workload_1m", 3),
            ("forecasts", 1),
        ] {
            let policy = format!(
                "SELECT add_compression_policy('{table}', compress_after => INTERVAL '{days} days', if_not_exists => true)"
            );
            assert!(said.contains(&policy), "{table}: {said:#?}");
        }
    }

    #[test]
    fn a_table_of_hours_is_left_as_it_is() {
        let theirs = statements(&RETENTION, Hours::Theirs);
        let ours = statements(&RETENTION, Hours::Ours);
        let (of_hours, others): (Vec<_>, Vec<_>) = theirs.into_iter().partition(|sql| sql.contains("rollup_1h"));
        assert_eq!((of_hours.len(), others), (5, ours));
    }

    /// The seconds of an interval in the first of `said` with `function` for `table`.
    fn seconds(said: &[String], function: &str, (table, argument): (&str, &str)) -> i64 {
        let call = format!("SELECT {function}('{table}', ");
        let told = said.iter().find(|sql| sql.starts_with(&call)).unwrap();
        let (_, value) = told.split_once(&format!("{argument} => INTERVAL '")).unwrap();
        value.split_once(" seconds'").unwrap().0.parse().unwrap()
    }

    #[test]
    fn hours_are_made_anew_of_all_minutes_that_are_kept_and_of_none_that_are_dropped() {
        const HOUR_S: i64 = 3_600;
        const DAY_S: i64 = 24 * HOUR_S;
        for (kept_s, start_s) in [
            (90 * DAY_S, 83 * DAY_S),
            (1_826 * DAY_S, 1_819 * DAY_S),
            (14 * DAY_S, 7 * DAY_S),
            (10 * DAY_S, 5 * DAY_S),
            (DAY_S, 12 * HOUR_S),
            (HOUR_S, 4 * HOUR_S),
        ] {
            let retention = Retention {
                rollup_1m: Span::from_secs(kept_s.unsigned_abs()),
                ..RETENTION
            };
            let said = statements(&retention, Hours::Theirs);
            let refreshed = seconds(&said, "add_continuous_aggregate_policy", ("rollup_1h", "start_offset"));
            let dropped = seconds(&said, "add_retention_policy", ("rollup_1m", "drop_after"));
            assert_eq!((refreshed, dropped), (start_s, kept_s));
            assert!(refreshed < dropped || dropped <= 4 * HOUR_S, "they overlap");
            // One that was set before with other times is set anew.
            let place = |sql: &str| said.iter().position(|told| told.starts_with(sql)).unwrap();
            let removed = place("SELECT remove_continuous_aggregate_policy('rollup_1h', if_exists => true)");
            assert!(place("CREATE MATERIALIZED VIEW") < removed);
            assert_eq!(removed + 1, place("SELECT add_continuous_aggregate_policy("));
        }
    }
}
