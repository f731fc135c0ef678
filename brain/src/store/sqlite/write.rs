//! A batch into the tables, in one transaction.

use serde_json::json;
use shadow::{Birth, Command, Outcome};
use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection, query};

use crate::store::{Batch, ModelRow, Stream};

/// `SQLite` takes 32,766 variables a statement; this many rows of at most 17 columns stay below.
const ROWS_A_STATEMENT: usize = 1_024;

/// A minute, or what a row of `rollup_1m` holds.
const MINUTE_MS: i64 = 60_000;

pub(super) async fn batch(connection: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    hosts(&mut transaction, batch).await?;
    for (stream, told) in &batch.births {
        birth(&mut transaction, stream, told).await?;
    }
    frames(&mut transaction, batch).await?;
    events(&mut transaction, batch).await?;
    holes(&mut transaction, batch).await?;
    rollups(&mut transaction, batch).await?;
    workloads(&mut transaction, batch).await?;
    forecasts(&mut transaction, batch).await?;
    anomalies(&mut transaction, batch).await?;
    for sent in &batch.commands {
        command(&mut transaction, sent).await?;
    }
    for answer in &batch.outcomes {
        outcome(&mut transaction, answer).await?;
    }
    for trained in &batch.models {
        model(&mut transaction, trained).await?;
    }
    meta(&mut transaction, batch).await?;
    watermarks(&mut transaction, batch).await?;
    transaction.commit().await
}

async fn hosts(to: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    for (host, newest_ms) in &batch.hosts {
        query(
            "INSERT INTO hosts VALUES (?1, ?2, ?2) \
             ON CONFLICT DO UPDATE SET last_sample_ms = max(last_sample_ms, excluded.last_sample_ms)",
        )
        .bind(&**host)
        .bind(newest_ms)
        .execute(&mut *to)
        .await?;
    }
    Ok(())
}

async fn birth(to: &mut SqliteConnection, stream: &Stream, birth: &Birth) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO births VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET time_ms = excluded.time_ms, agent_version = excluded.agent_version, \
         kernel = excluded.kernel, os = excluded.os, cpu_model = excluded.cpu_model, cpu_cores = excluded.cpu_cores, \
         memory_bytes = excluded.memory_bytes, network_bytes_per_s = excluded.network_bytes_per_s, \
         disk_bytes_per_s = excluded.disk_bytes_per_s, power_w = excluded.power_w, body = excluded.body",
    )
    .bind(&*stream.host)
    .bind(stream.vantage.as_str())
    .bind(signed(birth.epoch))
    .bind(birth.time_ms)
    .bind(&birth.agent_version)
    .bind(&birth.inventory.kernel)
    .bind(&birth.inventory.os)
    .bind(&birth.inventory.cpu_model)
    .bind(birth.capacity.cpu_cores)
    .bind(birth.capacity.memory_bytes)
    .bind(birth.capacity.network_bytes_per_s)
    .bind(birth.capacity.disk_bytes_per_s)
    .bind(birth.capacity.power_w)
    .bind(shadow::wire::encode_birth(birth))
    .execute(to)
    .await?;
    Ok(())
}

async fn frames(to: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    for chunk in batch.frames.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO frames ");
        insert.push_values(chunk, |mut row, (stream, frame)| {
            row.push_bind(&*stream.host)
                .push_bind(stream.vantage.as_str())
                .push_bind(signed(frame.epoch))
                .push_bind(signed(frame.sequence))
                .push_bind(frame.start_ms)
                .push_bind(i64::from(frame.samples))
                .push_bind(i64::from(frame.codec))
                .push_bind(&*frame.body)
                .push_bind(signed(frame.reference));
        });
        insert.push(" ON CONFLICT DO NOTHING");
        insert.build().execute(&mut *to).await?;
    }
    Ok(())
}

async fn events(to: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    for (stream, event) in &batch.events {
        let finding = &event.finding;
        query("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(&*stream.host)
            .bind(stream.vantage.as_str())
            .bind(signed(event.epoch))
            .bind(signed(event.sequence))
            .bind(event.time_ms)
            .bind(&finding.source)
            .bind(&finding.subject)
            .bind(&finding.kind)
            .bind(finding.severity.as_str())
            .bind(&finding.text)
            .bind(json!(finding.details).to_string())
            .execute(&mut *to)
            .await?;
    }
    Ok(())
}

async fn holes(to: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    for (stream, hole, told_ms) in &batch.holes {
        query(
            "INSERT INTO holes VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT DO UPDATE SET end_sequence = max(end_sequence, excluded.end_sequence)",
        )
        .bind(&*stream.host)
        .bind(stream.vantage.as_str())
        .bind(signed(hole.epoch))
        .bind(signed(hole.first))
        .bind(signed(hole.end))
        .bind(told_ms)
        .execute(&mut *to)
        .await?;
    }
    Ok(())
}

async fn rollups(to: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = batch.rollups.iter().collect();
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO rollup_10s ");
        insert.push_values(chunk, |mut row, ((host, bucket_ms), rollup)| {
            row.push_bind(&**host)
                .push_bind(bucket_ms)
                .push_bind(f64::from(rollup.coverage));
            for &value in rollup.mean.iter().chain(&rollup.max) {
                row.push_bind(real(value));
            }
        });
        insert.push(UPSERT_ROLLUP).build().execute(&mut *to).await?;
    }
    let mut minutes: Vec<_> = rows
        .iter()
        .map(|((host, ms), rollup)| (host, ms.div_euclid(MINUTE_MS), rollup.step_ms))
        .collect();
    minutes.dedup();
    for (host, minute, step_ms) in minutes {
        rollup_minute(to, host, minute * MINUTE_MS, step_ms).await?;
    }
    Ok(())
}

/// A mean is replaced, for its row knows all that came. A maximum never falls: after a restart its row knows only the mean
/// of what came before, and after the clock was set back perhaps nothing. (`max` of NULL and a number is NULL.)
const UPSERT_ROLLUP: &str = " ON CONFLICT DO UPDATE SET coverage = excluded.coverage, \
    cpu = excluded.cpu, memory = excluded.memory, \
    network_rx_bytes_per_s = excluded.network_rx_bytes_per_s, \
    network_tx_bytes_per_s = excluded.network_tx_bytes_per_s, \
    disk_read_bytes_per_s = excluded.disk_read_bytes_per_s, \
    disk_write_bytes_per_s = excluded.disk_write_bytes_per_s, power_w = excluded.power_w, \
    cpu_max = max(ifnull(excluded.cpu_max, cpu_max), \
        ifnull(cpu_max, excluded.cpu_max)), \
    memory_max = max(ifnull(excluded.memory_max, memory_max), \
        ifnull(memory_max, excluded.memory_max)), \
    network_rx_bytes_per_s_max = max(ifnull(excluded.network_rx_bytes_per_s_max, network_rx_bytes_per_s_max), \
        ifnull(network_rx_bytes_per_s_max, excluded.network_rx_bytes_per_s_max)), \
    network_tx_bytes_per_s_max = max(ifnull(excluded.network_tx_bytes_per_s_max, network_tx_bytes_per_s_max), \
        ifnull(network_tx_bytes_per_s_max, excluded.network_tx_bytes_per_s_max)), \
    disk_read_bytes_per_s_max = max(ifnull(excluded.disk_read_bytes_per_s_max, disk_read_bytes_per_s_max), \
        ifnull(disk_read_bytes_per_s_max, excluded.disk_read_bytes_per_s_max)), \
    disk_write_bytes_per_s_max = max(ifnull(excluded.disk_write_bytes_per_s_max, disk_write_bytes_per_s_max), \
        ifnull(disk_write_bytes_per_s_max, excluded.disk_write_bytes_per_s_max)), \
    power_w_max = max(ifnull(excluded.power_w_max, power_w_max), \
        ifnull(power_w_max, excluded.power_w_max))";

/// A minute is always taken from its rows anew, so late rows and repeated batches give the same. A row counts by the
/// share of it that is known.
async fn rollup_minute(to: &mut SqliteConnection, host: &str, begin_ms: i64, step_ms: i64) -> Result<(), sqlx::Error> {
    query(
        "INSERT OR REPLACE INTO rollup_1m \
         SELECT host, ?2, min(1.0, sum(coverage) * ?4 / max(?4, ?3 - ?2)), \
                sum(cpu * coverage) / sum(iif(cpu IS NULL, 0, coverage)), \
                sum(memory * coverage) / sum(iif(memory IS NULL, 0, coverage)), \
                sum(network_rx_bytes_per_s * coverage) / sum(iif(network_rx_bytes_per_s IS NULL, 0, coverage)), \
                sum(network_tx_bytes_per_s * coverage) / sum(iif(network_tx_bytes_per_s IS NULL, 0, coverage)), \
                sum(disk_read_bytes_per_s * coverage) / sum(iif(disk_read_bytes_per_s IS NULL, 0, coverage)), \
                sum(disk_write_bytes_per_s * coverage) / sum(iif(disk_write_bytes_per_s IS NULL, 0, coverage)), \
                sum(power_w * coverage) / sum(iif(power_w IS NULL, 0, coverage)), \
                max(cpu_max), max(memory_max), max(network_rx_bytes_per_s_max), \
                max(network_tx_bytes_per_s_max), max(disk_read_bytes_per_s_max), \
                max(disk_write_bytes_per_s_max), max(power_w_max) \
         FROM rollup_10s WHERE host = ?1 AND bucket_ms >= ?2 AND bucket_ms < ?3 GROUP BY host",
    )
    .bind(host)
    .bind(begin_ms)
    .bind(begin_ms + MINUTE_MS)
    .bind(step_ms)
    .execute(to)
    .await?;
    Ok(())
}

async fn workloads(to: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = batch.workloads.iter().collect();
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT OR REPLACE INTO workload_1m ");
        insert.push_values(chunk, |mut row, ((host, workload, bucket_ms), [cpu, memory])| {
            row.push_bind(&**host)
                .push_bind(workload)
                .push_bind(bucket_ms)
                .push_bind(real(*cpu))
                .push_bind(real(*memory));
        });
        insert.build().execute(&mut *to).await?;
    }
    Ok(())
}

async fn forecasts(to: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    for chunk in batch.forecasts.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT OR REPLACE INTO forecasts ");
        insert.push_values(chunk, |mut row, (host, forecast)| {
            let horizon_s = i64::from(forecast.horizon_s);
            row.push_bind(&**host)
                .push_bind(forecast.resource.as_str())
                .push_bind(forecast.made_ms)
                .push_bind(horizon_s)
                .push_bind(forecast.made_ms.saturating_add(1_000 * horizon_s));
            for value in forecast.quantiles.to_array() {
                row.push_bind(value);
            }
            row.push_bind(forecast.rung.as_str())
                .push_bind(forecast.skill)
                .push_bind(forecast.coverage);
        });
        insert.build().execute(&mut *to).await?;
    }
    Ok(())
}

async fn anomalies(to: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    for ((host, resource, since_ms), row) in &batch.anomalies {
        query("INSERT OR REPLACE INTO anomalies VALUES (?, ?, ?, ?, ?, ?)")
            .bind(&**host)
            .bind(resource.as_str())
            .bind(since_ms)
            .bind(row.until_ms)
            .bind(row.score)
            .bind(&row.evidence)
            .execute(&mut *to)
            .await?;
    }
    Ok(())
}

async fn command(to: &mut SqliteConnection, command: &Command) -> Result<(), sqlx::Error> {
    query("INSERT OR REPLACE INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(&command.id)
        .bind(&command.host)
        .bind(signed(command.issuer_epoch))
        .bind(signed(command.sequence))
        .bind(command.issued_ms)
        .bind(signed(command.ttl_ms))
        .bind(command.dry_run)
        .bind(json!(command.changes).to_string())
        .execute(to)
        .await?;
    Ok(())
}

async fn outcome(to: &mut SqliteConnection, outcome: &Outcome) -> Result<(), sqlx::Error> {
    query("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?)")
        .bind(&outcome.command_id)
        .bind(outcome.state.as_str())
        .bind(outcome.time_ms)
        .bind(&outcome.reason)
        .bind(json!(outcome.changes).to_string())
        .execute(to)
        .await?;
    Ok(())
}

async fn model(to: &mut SqliteConnection, model: &ModelRow) -> Result<(), sqlx::Error> {
    query("INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?, ?)")
        .bind(&model.version)
        .bind(model.trained_ms)
        .bind(signed(model.rows))
        .bind(signed(model.took_ms))
        .bind(&model.note)
        .execute(to)
        .await?;
    Ok(())
}

async fn meta(to: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    for (key, value) in &batch.meta {
        query("INSERT OR REPLACE INTO meta VALUES (?, ?)")
            .bind(*key)
            .bind(value)
            .execute(&mut *to)
            .await?;
    }
    Ok(())
}

async fn watermarks(to: &mut SqliteConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    for ((stream, epoch), durable) in &batch.watermarks {
        let ranges: Vec<_> = durable.ranges().iter().map(|r| [r.start, r.end]).collect();
        query("INSERT OR REPLACE INTO watermarks VALUES (?, ?, ?, ?)")
            .bind(&*stream.host)
            .bind(stream.vantage.as_str())
            .bind(signed(*epoch))
            .bind(json!(ranges).to_string())
            .execute(&mut *to)
            .await?;
    }
    Ok(())
}

/// A number that is known to be small enough, or else the largest that a column holds.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// NaN and infinities have no place in a column: they are NULL.
fn real(value: f32) -> Option<f64> {
    value.is_finite().then_some(f64::from(value))
}
