//! Rows by the names of their columns, for readers of databases of any version.

use shadow::{Birth, Command, EpochMark, Event, Finding, Frame, Hole, Outcome, OutcomeState, Severity, UnixMs};
use sqlx::Row as _;

use super::super::dialect::{Row, instant};
use crate::ingest::RangeSet;

pub(in crate::store) fn birth(row: &Row) -> Result<Birth, sqlx::Error> {
    shadow::wire::decode_birth(row.try_get("body")?).map_err(decode)
}

pub(in crate::store) fn frame(row: &Row) -> Result<Frame, sqlx::Error> {
    // Frames of the first versions were all read by themselves.
    let reference = match unsigned(row, "reference") {
        Err(sqlx::Error::ColumnNotFound(_)) => 0,
        told => told?,
    };
    Ok(Frame {
        epoch: unsigned(row, "epoch")?,
        sequence: unsigned(row, "sequence")?,
        start_ms: time(row, "start")?,
        samples: small(row, "samples")?,
        codec: small(row, "codec")?,
        reference,
        body: row.try_get::<Vec<u8>, _>("body")?.into(),
    })
}

pub(in crate::store) fn event(row: &Row) -> Result<Event, sqlx::Error> {
    let severity = row.try_get::<&str, _>("severity")?;
    Ok(Event {
        epoch: unsigned(row, "epoch")?,
        sequence: unsigned(row, "sequence")?,
        time_ms: time(row, "time")?,
        finding: Finding {
            source: row.try_get("source")?,
            subject: row.try_get("subject")?,
            kind: row.try_get("kind")?,
            severity: Severity::from_word(severity).ok_or_else(|| decode(format!("severity {severity:?}")))?,
            text: row.try_get("text")?,
            details: json(row, "details")?,
        },
    })
}

/// What is durable of an epoch, as a watermark tells it.
pub(in crate::store) fn watermark(row: &Row) -> Result<EpochMark, sqlx::Error> {
    let ranges: Vec<[u64; 2]> = json(row, "ranges")?;
    let durable = RangeSet::from_ranges(ranges.into_iter().map(|[start, end]| start..end));
    let mut missing = Vec::new();
    let mut end = 0;
    for range in durable.ranges() {
        if range.start > end {
            missing.push(end..range.start);
        }
        end = range.end;
    }
    Ok(EpochMark {
        epoch: unsigned(row, "epoch")?,
        durable_below: end,
        missing,
        birth_wanted: false,
    })
}

pub(in crate::store) fn hole(row: &Row) -> Result<Hole, sqlx::Error> {
    Ok(Hole {
        epoch: unsigned(row, "epoch")?,
        first: unsigned(row, "first_sequence")?,
        end: unsigned(row, "end_sequence")?,
    })
}

pub(in crate::store) fn command(row: &Row) -> Result<Command, sqlx::Error> {
    Ok(Command {
        id: row.try_get("id")?,
        host: row.try_get("host")?,
        issuer_epoch: unsigned(row, "issuer_epoch")?,
        sequence: unsigned(row, "sequence")?,
        issued_ms: time(row, "issued")?,
        ttl_ms: unsigned(row, "ttl_ms")?,
        dry_run: row.try_get("dry_run")?,
        changes: json(row, "changes")?,
        actions: actions(row)?,
    })
}

pub(in crate::store) fn outcome(row: &Row) -> Result<Outcome, sqlx::Error> {
    let state = row.try_get::<String, _>("state")?;
    Ok(Outcome {
        command_id: row.try_get("command_id")?,
        state: serde_json::from_value::<OutcomeState>(state.into()).map_err(decode)?,
        time_ms: time(row, "time")?,
        reason: row.try_get("reason")?,
        changes: json(row, "changes")?,
        actions: actions(row)?,
    })
}

/// A point in time, which had its unit in the column's name once.
fn time(row: &Row, column: &str) -> Result<UnixMs, sqlx::Error> {
    match instant(row, column) {
        Err(sqlx::Error::ColumnNotFound(_)) => instant(row, &*format!("{column}_ms")),
        told => told,
    }
}

fn small(row: &Row, column: &str) -> Result<u32, sqlx::Error> {
    u32::try_from(row.try_get::<i64, _>(column)?).map_err(decode)
}

fn unsigned(row: &Row, column: &str) -> Result<u64, sqlx::Error> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(decode)
}

/// Commands and answers of the first versions had no actions.
fn actions<T: serde::de::DeserializeOwned>(row: &Row) -> Result<Vec<T>, sqlx::Error> {
    match json(row, "actions") {
        Err(sqlx::Error::ColumnNotFound(_)) => Ok(Vec::new()),
        told => told,
    }
}

fn json<T: serde::de::DeserializeOwned>(row: &Row, column: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(row.try_get(column)?).map_err(decode)
}

pub(in crate::store) fn decode<E: Into<Box<dyn std::error::Error + Send + Sync>>>(error: E) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
