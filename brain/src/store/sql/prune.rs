//! Retention.

use sqlx::{AssertSqlSafe, Connection as _, query, query_scalar};

use super::{
    super::dialect::{Connection, DROP_CHUNKS, at},
    rollups,
};
use crate::store::{Cutoffs, Hours};

/// The most rows deleted from one table in one call, so that writes are never held up for long.
const ROWS_A_CALL: i64 = 5_000;

/// The most chunks dropped of one table in one call: each is locked ten times or so, with its indexes and what belongs to
/// it, and a server has room for some thousand locks.
const CHUNKS_A_CALL: i64 = 64;

/// A table whose rows go once they are old: its key, the column that tells how old, and whether it is kept in chunks of
/// time where the database has such.
pub(super) struct Table {
    pub(super) name: &'static str,
    key: &'static str,
    time: &'static str,
    pub(super) chunks: bool,
    pub(super) kept: fn(&Cutoffs) -> i64,
}

const fn chunked(name: &'static str, key: &'static str, time: &'static str, kept: fn(&Cutoffs) -> i64) -> Table {
    Table {
        chunks: true,
        ..whole(name, key, time, kept)
    }
}

const fn whole(name: &'static str, key: &'static str, time: &'static str, kept: fn(&Cutoffs) -> i64) -> Table {
    Table {
        name,
        key,
        time,
        chunks: false,
        kept,
    }
}

pub(super) const TABLES: [Table; 18] = [
    chunked("frames", "host, vantage, epoch, sequence", "start", |c| c.frames),
    chunked("rollup_10s", "host, bucket", "bucket", |c| c.rollup_10s),
    chunked("rollup_1m", "host, bucket", "bucket", |c| c.rollup_1m),
    chunked("workload_1m", "host, workload, bucket", "bucket", |c| c.rollup_1m),
    chunked("forecasts", "host, resource, made, horizon_s", "made", |c| c.forecasts),
    chunked(
        "workload_forecasts",
        "host, workload, resource, made, horizon_s",
        "made",
        |c| c.forecasts,
    ),
    whole("commands", "id", "issued", |c| c.events),
    whole("outcomes", "command_id, state", "time", |c| c.events),
    whole("events", "host, vantage, epoch, sequence", "time", |c| c.events),
    whole("holes", "host, vantage, epoch, first_sequence", "told", |c| c.frames),
    whole("anomalies", "host, resource, since", "until", |c| c.events),
    whole("incidents", "host, since", "until", |c| c.events),
    whole("detectors", "host", "saved", |c| c.events),
    whole("books", "host, resource", "saved", |c| c.events),
    whole("proposals", "id", "made", |c| c.events),
    whole("plans", "time", "time", |c| c.events),
    whole("savings", "host, day, resource, issuer_epoch", "day", |c| c.rollup_1h),
    whole("models", "version", "trained", |c| c.events),
];

pub(super) const HOURS: Table = whole("rollup_1h", "host, bucket", "bucket", |c| c.rollup_1h);

/// Deletes what is older than `cutoffs`; tells whether more is left. What is deleted of one table stays deleted if the
/// next one takes too long: no two need each other.
pub(in crate::store) async fn older(
    connection: &mut Connection,
    cutoffs: &Cutoffs,
    hours: Hours,
) -> Result<bool, sqlx::Error> {
    let more = tables(connection, cutoffs, hours).await?;
    if !more {
        let mut transaction = connection.begin().await?;
        if hours == Hours::Ours {
            rollups::end(&mut transaction, cutoffs.now).await?;
        }
        hosts(&mut transaction, cutoffs).await?;
        transaction.commit().await?;
    }
    Ok(more)
}

async fn tables(connection: &mut Connection, cutoffs: &Cutoffs, hours: Hours) -> Result<bool, sqlx::Error> {
    let mut more = false;
    if hours == Hours::Ours {
        more |= delete(connection, &HOURS, cutoffs).await?;
    }
    for table in &TABLES {
        match DROP_CHUNKS.filter(|_| table.chunks) {
            Some(drop_chunks) => {
                let before = at((table.kept)(cutoffs));
                let drop = query_scalar::<_, i64>(drop_chunks).bind(table.name).bind(before);
                let dropped = drop.bind(CHUNKS_A_CALL).fetch_one(&mut *connection).await?;
                more |= dropped >= CHUNKS_A_CALL;
            }
            None => more |= delete(connection, table, cutoffs).await?,
        }
    }
    Ok(more)
}

async fn delete(connection: &mut Connection, table: &Table, cutoffs: &Cutoffs) -> Result<bool, sqlx::Error> {
    let Table { name, key, time, .. } = table;
    let sql = format!("DELETE FROM {name} WHERE ({key}) IN (SELECT {key} FROM {name} WHERE {time} < $1 LIMIT $2)");
    let delete = query(AssertSqlSafe(sql))
        .bind(at((table.kept)(cutoffs)))
        .bind(ROWS_A_CALL);
    let deleted = delete.execute(connection).await?.rows_affected();
    Ok(deleted >= ROWS_A_CALL.unsigned_abs())
}

/// What a person may ask of a host's past: a birth that tells the same as the one before it says nothing new.
const INVENTORY: [&str; 9] = [
    "agent_version",
    "kernel",
    "os",
    "cpu_model",
    "cpu_cores",
    "memory_bytes",
    "network_bytes_per_s",
    "disk_bytes_per_s",
    "power_w",
];

/// Hosts that are gone, births that tell nothing new or are old, and watermarks that nothing is read with any more.
async fn hosts(connection: &mut Connection, cutoffs: &Cutoffs) -> Result<(), sqlx::Error> {
    const OF_SILENT_HOSTS: &str = "DELETE FROM births WHERE epoch < $1 \
        AND NOT EXISTS (SELECT 1 FROM hosts h WHERE h.host = births.host AND h.last_sample >= $2)";
    // An epoch is a time in microseconds.
    let epoch = |time_ms: i64| time_ms.saturating_mul(1_000);
    let (frames, events) = (epoch(cutoffs.frames), epoch(cutoffs.events));
    query("DELETE FROM hosts WHERE last_sample < $1")
        // As long as its hours are there.
        .bind(at(cutoffs.rollup_1h))
        .execute(&mut *connection)
        .await?;
    let old_watermarks = format!(
        "DELETE FROM watermarks WHERE epoch < $1 AND (NOT EXISTS ({}) OR {})",
        "SELECT 1 FROM births b WHERE b.host = watermarks.host AND b.vantage = watermarks.vantage \
         AND b.epoch = watermarks.epoch",
        unused("watermarks"),
    );
    let same: Vec<_> = INVENTORY
        .map(|column| format!("b.{column} IS NOT DISTINCT FROM births.{column}"))
        .into();
    let old_births = format!(
        "DELETE FROM births WHERE epoch < $1 AND {} AND (epoch < $2 OR EXISTS (SELECT 1 FROM births b \
         WHERE b.host = births.host AND b.vantage = births.vantage AND b.epoch = (SELECT max(o.epoch) FROM births o \
         WHERE o.host = births.host AND o.vantage = births.vantage AND o.epoch < births.epoch) AND {}))",
        unused("births"),
        same.join(" AND "),
    );
    query(OF_SILENT_HOSTS)
        .bind(epoch(cutoffs.rollup_1m))
        .bind(at(cutoffs.rollup_1m))
        .execute(&mut *connection)
        .await?;
    query(AssertSqlSafe(old_watermarks))
        .bind(frames)
        .execute(&mut *connection)
        .await?;
    query(AssertSqlSafe(old_births))
        .bind(frames)
        .bind(events)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Whether an epoch is not the newest of its stream, and no frame of it is left.
fn unused(table: &str) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM frames f WHERE f.host = {table}.host AND f.vantage = {table}.vantage \
         AND f.epoch = {table}.epoch) \
         AND EXISTS (SELECT 1 FROM births n WHERE n.host = {table}.host AND n.vantage = {table}.vantage \
         AND n.epoch > {table}.epoch)"
    )
}
