//! What workloads used, a minute each.

use shadow::UnixMs;
use sqlx::{QueryBuilder, Row as _, query};

use super::{
    super::dialect::{Connection, Db, GREATEST, at, instant},
    recover::host,
    rollups::real,
    write::{ROWS_A_STATEMENT, text},
};
use crate::store::{Batch, WorkloadMinutes};

/// The most minutes that are read back: six hours of 2,000 workloads.
const MAX_MINUTES: i64 = 720_000;

pub(super) async fn write(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = batch.workloads.iter().collect();
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Db>::new(
            "INSERT INTO workload_1m (host, workload, bucket, coverage, cpu_cores, memory_bytes) ",
        );
        insert.push_values(chunk, |mut row, ((host, workload, bucket_ms), minute)| {
            let [cpu, memory] = minute.uses;
            row.push_bind(&**host)
                .push_bind(text(workload))
                .push_bind(at(*bucket_ms))
                .push_bind(minute.coverage)
                .push_bind(real(cpu))
                .push_bind(real(memory));
        });
        insert.push(upsert()).build().execute(&mut *to).await?;
    }
    Ok(())
}

/// Of a minute that is told again the better known stays, as of rows of the grid. Minutes of before coverage was kept
/// count as whole.
fn upsert() -> String {
    let there = "coalesce(workload_1m.coverage, 1)";
    let merged = |column: &str| {
        format!(
            "{column} = CASE WHEN excluded.coverage >= {there} THEN coalesce(excluded.{column}, workload_1m.{column}) \
             ELSE coalesce(workload_1m.{column}, excluded.{column}) END"
        )
    };
    format!(
        " ON CONFLICT (host, workload, bucket) DO UPDATE SET {}, {}, coverage = {GREATEST}(excluded.coverage, {there})",
        merged("cpu_cores"),
        merged("memory_bytes")
    )
}

/// The newest minutes since `since_ms`, by host and workload, oldest first.
pub(super) async fn recover(from: &mut Connection, since_ms: UnixMs) -> Result<WorkloadMinutes, sqlx::Error> {
    let rows = query(
        "SELECT host, workload, bucket, cpu_cores, memory_bytes FROM workload_1m WHERE bucket >= $1 \
         ORDER BY bucket DESC LIMIT $2",
    )
    .bind(at(since_ms))
    .bind(MAX_MINUTES)
    .fetch_all(from)
    .await?;
    let mut found = WorkloadMinutes::new();
    for row in rows.iter().rev() {
        let used = |column: usize| Ok::<_, sqlx::Error>(row.try_get::<Option<f32>, _>(column)?.unwrap_or(f32::NAN));
        let minutes = found.entry((host(row, 0)?, row.try_get(1)?)).or_default();
        minutes.push((instant(row, 2)?, [used(3)?, used(4)?]));
    }
    Ok(found)
}
