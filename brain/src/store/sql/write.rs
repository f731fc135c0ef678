//! A batch into the tables, in one transaction.

use std::borrow::Cow;

use serde_json::json;
use shadow::{Birth, Command, Outcome};
use sqlx::{Connection as _, QueryBuilder, query};

use super::{
    super::dialect::{Connection, Db, GREATEST, at},
    books, forecasts, incidents, plans, proposals, rollups, workloads,
};
use crate::store::{Batch, Hours, ModelRow, Stream, meta};

/// Databases take 32,766 variables a statement or more; this many rows of at most 13 columns stay below.
pub(super) const ROWS_A_STATEMENT: usize = 1_024;

/// `mark`, where there is one, says that this batch was the last.
pub(in crate::store) async fn batch(
    connection: &mut Connection,
    batch: &Batch,
    hours: Hours,
    mark: Option<&str>,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let ended = rollups::ended(&mut transaction, batch, hours).await?;
    hosts(&mut transaction, batch).await?;
    for (stream, told) in &batch.births {
        birth(&mut transaction, stream, told).await?;
    }
    frames(&mut transaction, batch).await?;
    events(&mut transaction, batch).await?;
    holes(&mut transaction, batch).await?;
    rollups::write(&mut transaction, batch, hours, ended).await?;
    workloads::write(&mut transaction, batch).await?;
    forecasts::write(&mut transaction, batch).await?;
    anomalies(&mut transaction, batch).await?;
    incidents::write(&mut transaction, batch).await?;
    incidents::write_detectors(&mut transaction, batch).await?;
    books::write(&mut transaction, batch).await?;
    for sent in &batch.commands {
        command(&mut transaction, sent).await?;
    }
    for answer in &batch.outcomes {
        outcome(&mut transaction, answer).await?;
    }
    plans::write(&mut transaction, batch).await?;
    proposals::write(&mut transaction, batch).await?;
    for trained in &batch.models {
        model(&mut transaction, trained).await?;
    }
    meta(&mut transaction, batch, mark).await?;
    watermarks(&mut transaction, batch).await?;
    transaction.commit().await
}

async fn hosts(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = batch.hosts.iter().collect();
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Db>::new("INSERT INTO hosts (host, first_seen, last_sample) ");
        insert.push_values(chunk, |mut row, (host, newest_ms)| {
            row.push_bind(&***host)
                .push_bind(at(**newest_ms))
                .push_bind(at(**newest_ms));
        });
        insert.push(format_args!(
            " ON CONFLICT (host) DO UPDATE SET last_sample = {GREATEST}(hosts.last_sample, excluded.last_sample)"
        ));
        insert.build().execute(&mut *to).await?;
    }
    Ok(())
}

async fn birth(to: &mut Connection, stream: &Stream, birth: &Birth) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO births (host, vantage, epoch, time, agent_version, kernel, os, cpu_model, cpu_cores, memory_bytes, \
         network_bytes_per_s, disk_bytes_per_s, power_w, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         ON CONFLICT (host, vantage, epoch) DO UPDATE SET time = excluded.time, \
         agent_version = excluded.agent_version, kernel = excluded.kernel, os = excluded.os, \
         cpu_model = excluded.cpu_model, cpu_cores = excluded.cpu_cores, memory_bytes = excluded.memory_bytes, \
         network_bytes_per_s = excluded.network_bytes_per_s, disk_bytes_per_s = excluded.disk_bytes_per_s, \
         power_w = excluded.power_w, body = excluded.body",
    )
    .bind(&*stream.host)
    .bind(stream.vantage.as_str())
    .bind(signed(birth.epoch))
    .bind(at(birth.time_ms))
    .bind(text(&birth.agent_version))
    .bind(text(&birth.inventory.kernel))
    .bind(text(&birth.inventory.os))
    .bind(text(&birth.inventory.cpu_model))
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

async fn frames(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    for chunk in batch.frames.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Db>::new(
            "INSERT INTO frames (host, vantage, epoch, sequence, start, samples, codec, body, reference) ",
        );
        insert.push_values(chunk, |mut row, (stream, frame)| {
            row.push_bind(&*stream.host)
                .push_bind(stream.vantage.as_str())
                .push_bind(signed(frame.epoch))
                .push_bind(signed(frame.sequence))
                .push_bind(at(frame.start_ms))
                .push_bind(i64::from(frame.samples))
                .push_bind(i64::from(frame.codec))
                .push_bind(&*frame.body)
                .push_bind(signed(frame.reference));
        });
        insert.push(" ON CONFLICT DO NOTHING").build().execute(&mut *to).await?;
    }
    Ok(())
}

async fn events(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    for chunk in batch.events.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Db>::new(
            "INSERT INTO events (host, vantage, epoch, sequence, time, source, subject, kind, severity, text, details) ",
        );
        insert.push_values(chunk, |mut row, (stream, event)| {
            let finding = &event.finding;
            row.push_bind(&*stream.host)
                .push_bind(stream.vantage.as_str())
                .push_bind(signed(event.epoch))
                .push_bind(signed(event.sequence))
                .push_bind(at(event.time_ms))
                .push_bind(text(&finding.source))
                .push_bind(text(&finding.subject))
                .push_bind(text(&finding.kind))
                .push_bind(finding.severity.as_str())
                .push_bind(text(&finding.text))
                .push_bind(json!(finding.details).to_string());
        });
        insert.push(" ON CONFLICT DO NOTHING").build().execute(&mut *to).await?;
    }
    Ok(())
}

async fn holes(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    for (stream, hole, told_ms) in &batch.holes {
        let mut insert =
            QueryBuilder::<Db>::new("INSERT INTO holes (host, vantage, epoch, first_sequence, end_sequence, told) ");
        insert.push_values([hole], |mut row, hole| {
            row.push_bind(&*stream.host)
                .push_bind(stream.vantage.as_str())
                .push_bind(signed(hole.epoch))
                .push_bind(signed(hole.first))
                .push_bind(signed(hole.end))
                .push_bind(at(*told_ms));
        });
        insert.push(format_args!(
            " ON CONFLICT (host, vantage, epoch, first_sequence) \
             DO UPDATE SET end_sequence = {GREATEST}(holes.end_sequence, excluded.end_sequence)"
        ));
        insert.build().execute(&mut *to).await?;
    }
    Ok(())
}

async fn anomalies(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    for ((host, resource, since_ms), row) in &batch.anomalies {
        query(
            "INSERT INTO anomalies (host, resource, since, until, score, evidence) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (host, resource, since) \
             DO UPDATE SET until = excluded.until, score = excluded.score, evidence = excluded.evidence",
        )
        .bind(&**host)
        .bind(resource.as_str())
        .bind(at(*since_ms))
        .bind(at(row.until_ms))
        .bind(row.score)
        .bind(text(&row.evidence))
        .execute(&mut *to)
        .await?;
    }
    Ok(())
}

async fn command(to: &mut Connection, command: &Command) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO commands (id, host, issuer_epoch, sequence, issued, ttl_ms, dry_run, changes, actions) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
    )
    .bind(&command.id)
    .bind(&command.host)
    .bind(signed(command.issuer_epoch))
    .bind(signed(command.sequence))
    .bind(at(command.issued_ms))
    .bind(signed(command.ttl_ms))
    .bind(command.dry_run)
    .bind(json!(command.changes).to_string())
    .bind(json!(command.actions).to_string())
    .execute(to)
    .await?;
    Ok(())
}

async fn outcome(to: &mut Connection, outcome: &Outcome) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO outcomes (command_id, state, time, reason, changes, actions) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (command_id, state) DO UPDATE SET time = excluded.time, reason = excluded.reason, \
         changes = excluded.changes, actions = excluded.actions",
    )
    .bind(text(&outcome.command_id))
    .bind(outcome.state.as_str())
    .bind(at(outcome.time_ms))
    .bind(text(&outcome.reason))
    .bind(json!(outcome.changes).to_string())
    .bind(json!(outcome.actions).to_string())
    .execute(to)
    .await?;
    Ok(())
}

async fn model(to: &mut Connection, model: &ModelRow) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO models (version, trained, rows, took_ms, note) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (version) DO UPDATE SET trained = excluded.trained, rows = excluded.rows, \
         took_ms = excluded.took_ms, note = excluded.note",
    )
    .bind(&model.version)
    .bind(at(model.trained_ms))
    .bind(signed(model.rows))
    .bind(signed(model.took_ms))
    .bind(&model.note)
    .execute(to)
    .await?;
    Ok(())
}

async fn meta(to: &mut Connection, batch: &Batch, mark: Option<&str>) -> Result<(), sqlx::Error> {
    let told = batch.meta.iter().map(|(key, value)| (*key, value.as_str()));
    for (key, value) in told.chain(mark.map(|mark| (meta::LAST_BATCH, mark))) {
        query("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
            .bind(key)
            .bind(value)
            .execute(&mut *to)
            .await?;
    }
    Ok(())
}

async fn watermarks(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = batch.watermarks.iter().collect();
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Db>::new("INSERT INTO watermarks (host, vantage, epoch, ranges) ");
        insert.push_values(chunk, |mut row, ((stream, epoch), durable)| {
            let ranges: Vec<_> = durable.ranges().iter().map(|r| [r.start, r.end]).collect();
            row.push_bind(&*stream.host)
                .push_bind(stream.vantage.as_str())
                .push_bind(signed(*epoch))
                .push_bind(json!(ranges).to_string());
        });
        insert.push(" ON CONFLICT (host, vantage, epoch) DO UPDATE SET ranges = excluded.ranges");
        insert.build().execute(&mut *to).await?;
    }
    Ok(())
}

/// A number that is known to be small enough, or else the largest that a column holds.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What came from elsewhere, without the one character that a database may refuse, and the batch with it.
pub(super) fn text(told: &str) -> Cow<'_, str> {
    if told.contains('\0') {
        Cow::Owned(told.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(told)
    }
}
