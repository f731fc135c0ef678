//! Retention.

use sqlx::{SqliteConnection, query};

use crate::store::Cutoffs;

/// The most rows deleted from one table in one call, so that writes are never held up for long.
const ROWS_A_CALL: i64 = 5_000;

pub(super) async fn older(connection: &mut SqliteConnection, cutoffs: &Cutoffs) -> Result<bool, sqlx::Error> {
    let deletions = [
        (
            "DELETE FROM frames WHERE (host, vantage, epoch, sequence) IN \
             (SELECT host, vantage, epoch, sequence FROM frames WHERE start_ms < ?1 LIMIT ?2)",
            cutoffs.frames,
        ),
        (
            "DELETE FROM rollup_10s WHERE (host, bucket_ms) IN \
             (SELECT host, bucket_ms FROM rollup_10s WHERE bucket_ms < ?1 LIMIT ?2)",
            cutoffs.rollup_10s,
        ),
        (
            "DELETE FROM rollup_1m WHERE (host, bucket_ms) IN \
             (SELECT host, bucket_ms FROM rollup_1m WHERE bucket_ms < ?1 LIMIT ?2)",
            cutoffs.rollup_1m,
        ),
        (
            "DELETE FROM workload_1m WHERE (host, workload, bucket_ms) IN \
             (SELECT host, workload, bucket_ms FROM workload_1m WHERE bucket_ms < ?1 LIMIT ?2)",
            cutoffs.rollup_1m,
        ),
        (
            "DELETE FROM forecasts WHERE (host, resource, made_ms, horizon_s) IN \
             (SELECT host, resource, made_ms, horizon_s FROM forecasts WHERE made_ms < ?1 LIMIT ?2)",
            cutoffs.forecasts,
        ),
        (
            "DELETE FROM commands WHERE id IN (SELECT id FROM commands WHERE issued_ms < ?1 LIMIT ?2)",
            cutoffs.events,
        ),
        (
            "DELETE FROM outcomes WHERE (command_id, state) IN \
             (SELECT command_id, state FROM outcomes WHERE time_ms < ?1 LIMIT ?2)",
            cutoffs.events,
        ),
        (
            "DELETE FROM events WHERE (host, vantage, epoch, sequence) IN \
             (SELECT host, vantage, epoch, sequence FROM events WHERE time_ms < ?1 LIMIT ?2)",
            cutoffs.events,
        ),
        ("DELETE FROM holes WHERE told_ms < ?1", cutoffs.frames),
        ("DELETE FROM anomalies WHERE until_ms < ?1", cutoffs.events),
        ("DELETE FROM models WHERE trained_ms < ?1", cutoffs.events),
        (
            // A birth goes once it is old, no frame is read with it, and a newer one of its agent is there.
            "DELETE FROM births WHERE epoch < ?1 * 1000 \
             AND NOT EXISTS (SELECT 1 FROM frames f WHERE f.host = births.host AND f.vantage = births.vantage \
                             AND f.epoch = births.epoch) \
             AND EXISTS (SELECT 1 FROM births b WHERE b.host = births.host AND b.vantage = births.vantage \
                         AND b.epoch > births.epoch)",
            cutoffs.frames,
        ),
        ("DELETE FROM hosts WHERE last_sample_ms < ?1", cutoffs.rollup_1m),
        (
            // Of a host of which nothing else is left.
            "DELETE FROM births WHERE epoch < ?1 * 1000 AND NOT EXISTS (SELECT 1 FROM hosts h WHERE h.host = births.host)",
            cutoffs.rollup_1m,
        ),
        (
            "DELETE FROM watermarks WHERE epoch < ?1 * 1000 \
             AND NOT EXISTS (SELECT 1 FROM births b WHERE b.host = watermarks.host \
                             AND b.vantage = watermarks.vantage AND b.epoch = watermarks.epoch)",
            cutoffs.frames,
        ),
    ];
    let mut more = false;
    for (sql, before_ms) in deletions {
        let mut delete = query(sql).bind(before_ms);
        if sql.contains("?2") {
            delete = delete.bind(ROWS_A_CALL);
        }
        let deleted = delete.execute(&mut *connection).await?.rows_affected();
        more |= deleted >= ROWS_A_CALL.unsigned_abs();
    }
    Ok(more)
}
