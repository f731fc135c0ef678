//! What a restarted brain goes on with.

use std::{collections::BTreeMap, sync::Arc};

use shadow::{Birth, Command, Event, Frame, Outcome, OutcomeState, UnixMs, Vantage};
use sqlx::{AssertSqlSafe, Row as _, query};

use super::{
    super::dialect::{Connection, Row, at, instant},
    books, incidents, proposals, references,
    rows::{self, decode},
    workloads,
};
use crate::{
    dispatch::MAX_SENT,
    ingest::RangeSet,
    store::{AnomalyRow, Recovered, Since, StoredAnomaly, StoredRow, Stream, figures::CHANNELS, meta},
};

/// The newest events and anomalies that are read back; older ones stay in the database.
const MAX_EVENTS: i64 = 500;
/// The newest commands that are read back: as many as a brain remembers, so that their answers find them.
const MAX_COMMANDS: i64 = MAX_SENT as i64;
/// The newest births of all hosts that are read back.
const MAX_BIRTHS: i64 = 100_000;
/// The most frames read back to fill the row of the grid that was open when the last brain ended: those of a minute and
/// a row of 5,000 hosts.
const MAX_TAIL: i64 = 400_000;

/// A frame that began this long before a row may still hold samples of it.
const LONGEST_FRAME_MS: i64 = 60_000;

pub(in crate::store) async fn all(from: &mut Connection, since: Since) -> Result<Recovered, sqlx::Error> {
    let meta = meta(from).await?;
    let closed_ms = meta.get(meta::CLOSED_MS).and_then(|text| text.parse::<UnixMs>().ok());
    let tail = match closed_ms {
        Some(closed_ms) => tail(from, closed_ms.max(since.rollups_ms)).await?,
        None => Vec::new(),
    };
    let hosts = hosts(from).await?;
    let each = since.rows / i64::try_from(hosts.len().max(1)).unwrap_or(i64::MAX);
    let newest_ms = closed_ms.unwrap_or(UnixMs::MIN);
    let rollups_since_ms = newest_ms
        .saturating_sub(each.saturating_mul(since.step_ms))
        .max(since.rollups_ms);
    Ok(Recovered {
        references: references::of(from, &tail).await?,
        hosts,
        rollups_since_ms,
        births: births(from).await?,
        watermarks: watermarks(from).await?,
        rollups: rollups(from, rollups_since_ms).await?,
        workloads: workloads::recover(from, rollups_since_ms).await?,
        tail,
        commands: commands(from, since.events_ms).await?,
        anomalies: anomalies(from, since.events_ms).await?,
        incidents: incidents::recover(from, since.events_ms, MAX_EVENTS).await?,
        detectors: incidents::detectors(from).await?,
        books: books::recover(from).await?,
        events: events(from, since.events_ms).await?,
        has_proposals: proposals::any(from).await?,
        meta,
    })
}

async fn meta(from: &mut Connection) -> Result<BTreeMap<String, String>, sqlx::Error> {
    let rows = query("SELECT key, value FROM meta").fetch_all(from).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

async fn hosts(from: &mut Connection) -> Result<BTreeMap<Arc<str>, UnixMs>, sqlx::Error> {
    let rows = query("SELECT host, last_sample FROM hosts").fetch_all(from).await?;
    rows.iter().map(|row| Ok((host(row, 0)?, instant(row, 1)?))).collect()
}

async fn births(from: &mut Connection) -> Result<Vec<(Stream, Birth)>, sqlx::Error> {
    let rows = query("SELECT host, vantage, body FROM births ORDER BY epoch DESC LIMIT $1")
        .bind(MAX_BIRTHS)
        .fetch_all(from)
        .await?;
    let mut births = Vec::with_capacity(rows.len());
    for row in rows.iter().rev() {
        let stream = stream(row)?;
        match shadow::wire::decode_birth(row.try_get(2)?) {
            Ok(birth) => births.push((stream, birth)),
            Err(error) => tracing::warn!(host = &*stream.host, %error, "stored birth left out"),
        }
    }
    Ok(births)
}

async fn watermarks(from: &mut Connection) -> Result<BTreeMap<(Stream, u64), RangeSet>, sqlx::Error> {
    let rows = query("SELECT host, vantage, epoch, ranges FROM watermarks")
        .fetch_all(from)
        .await?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let ranges: Vec<[u64; 2]> = json(row, 3)?;
        let set = RangeSet::from_ranges(ranges.into_iter().map(|[start, end]| start..end));
        found.insert((stream(row)?, unsigned(row, 2)?), set);
    }
    Ok(found)
}

type Rollups = BTreeMap<Arc<str>, Vec<StoredRow>>;

async fn rollups(from: &mut Connection, since_ms: UnixMs) -> Result<Rollups, sqlx::Error> {
    let hosts = query("SELECT host FROM hosts ORDER BY host")
        .fetch_all(&mut *from)
        .await?;
    let sql = format!(
        "SELECT bucket, coverage, {} FROM rollup_10s WHERE host = $1 AND bucket >= $2 ORDER BY bucket",
        CHANNELS.join(", ")
    );
    let mut found = Rollups::new();
    // Host by host, so that the rows of the whole cell are never held twice.
    for row in &hosts {
        let name = host(row, 0)?;
        let rows = query(AssertSqlSafe(sql.clone()))
            .bind(&*name)
            .bind(at(since_ms))
            .fetch_all(&mut *from)
            .await?;
        let read = rows.iter().map(rollup).collect::<Result<Vec<_>, _>>()?;
        if !read.is_empty() {
            found.insert(name, read);
        }
    }
    Ok(found)
}

pub(super) fn rollup(row: &Row) -> Result<StoredRow, sqlx::Error> {
    let mut mean = [f32::NAN; 7];
    for (column, value) in mean.iter_mut().enumerate() {
        *value = row.try_get::<Option<f32>, _>(column + 2)?.unwrap_or(f32::NAN);
    }
    Ok(StoredRow {
        begin_ms: instant(row, 0)?,
        coverage: row.try_get(1)?,
        mean,
    })
}

async fn tail(from: &mut Connection, closed_ms: UnixMs) -> Result<Vec<(Stream, Frame)>, sqlx::Error> {
    let sql = "SELECT * FROM frames WHERE start >= $1 ORDER BY start DESC, host, vantage, sequence DESC LIMIT $2";
    let rows = query(sql)
        .bind(at(closed_ms.saturating_sub(LONGEST_FRAME_MS)))
        .bind(MAX_TAIL)
        .fetch_all(from)
        .await?;
    if rows.len() as i64 >= MAX_TAIL {
        tracing::warn!(
            frames = rows.len(),
            "the row that was open lacks what older frames tell of it"
        );
    }
    rows.iter()
        .rev()
        .map(|row| Ok((stream(row)?, rows::frame(row)?)))
        .collect()
}

async fn commands(from: &mut Connection, since_ms: UnixMs) -> Result<Vec<(Command, Option<Outcome>)>, sqlx::Error> {
    let rows = query(
        "SELECT c.id, c.host, c.issuer_epoch, c.sequence, c.issued, c.ttl_ms, c.dry_run, c.changes, \
                o.state, o.time, o.reason, o.changes, c.actions, o.actions \
         FROM (SELECT * FROM commands WHERE issued >= $1 ORDER BY issued DESC, id LIMIT $2) c \
         LEFT JOIN outcomes o ON o.command_id = c.id ORDER BY c.issued DESC, c.id, o.time DESC",
    )
    .bind(at(since_ms))
    .bind(MAX_COMMANDS)
    .fetch_all(from)
    .await?;
    let mut found: Vec<(Command, Option<Outcome>)> = Vec::with_capacity(rows.len());
    for row in &rows {
        let command = command(row)?;
        // The newest answer of a command comes first; the others are history.
        if found.last().is_none_or(|(last, _)| last.id != command.id) {
            let answer = outcome(&command.id, row)?;
            found.push((command, answer));
        }
    }
    found.reverse();
    Ok(found)
}

pub(super) fn command(row: &Row) -> Result<Command, sqlx::Error> {
    Ok(Command {
        id: row.try_get(0)?,
        host: row.try_get(1)?,
        issuer_epoch: unsigned(row, 2)?,
        sequence: unsigned(row, 3)?,
        issued_ms: instant(row, 4)?,
        ttl_ms: unsigned(row, 5)?,
        dry_run: row.try_get(6)?,
        changes: json(row, 7)?,
        actions: json(row, 12)?,
    })
}

pub(super) fn outcome(command_id: &str, row: &Row) -> Result<Option<Outcome>, sqlx::Error> {
    let Some(word) = row.try_get::<Option<String>, _>(8)? else {
        return Ok(None);
    };
    let state = serde_json::from_value::<OutcomeState>(word.into()).map_err(decode)?;
    Ok(Some(Outcome {
        command_id: command_id.to_owned(),
        state,
        time_ms: instant(row, 9)?,
        reason: row.try_get(10)?,
        changes: json(row, 11)?,
        actions: json(row, 13)?,
    }))
}

async fn events(from: &mut Connection, since_ms: UnixMs) -> Result<Vec<(Stream, Event)>, sqlx::Error> {
    let rows = query(
        "SELECT * FROM events \
         WHERE time >= $1 ORDER BY time DESC LIMIT $2",
    )
    .bind(at(since_ms))
    .bind(MAX_EVENTS)
    .fetch_all(from)
    .await?;
    rows.iter()
        .rev()
        .map(|row| Ok((stream(row)?, rows::event(row)?)))
        .collect()
}

async fn anomalies(from: &mut Connection, since_ms: UnixMs) -> Result<Vec<StoredAnomaly>, sqlx::Error> {
    let rows = query(
        "SELECT host, resource, since, until, score, evidence FROM anomalies \
         WHERE since >= $1 ORDER BY since DESC LIMIT $2",
    )
    .bind(at(since_ms))
    .bind(MAX_EVENTS)
    .fetch_all(from)
    .await?;
    let anomaly = |row: &Row| -> Result<StoredAnomaly, sqlx::Error> {
        let resource = row.try_get::<&str, _>(1)?.parse().map_err(decode::<String>)?;
        let told = AnomalyRow {
            until_ms: instant(row, 3)?,
            score: row.try_get(4)?,
            evidence: row.try_get(5)?,
        };
        Ok((host(row, 0)?, resource, instant(row, 2)?, told))
    };
    rows.iter().rev().map(anomaly).collect()
}

pub(super) fn stream(row: &Row) -> Result<Stream, sqlx::Error> {
    let vantage = row.try_get::<&str, _>(1)?;
    Ok(Stream {
        host: host(row, 0)?,
        vantage: vantage.parse::<Vantage>().map_err(decode)?,
    })
}

pub(super) fn host(row: &Row, column: usize) -> Result<Arc<str>, sqlx::Error> {
    row.try_get::<&str, _>(column).map(Arc::from)
}

fn unsigned(row: &Row, column: usize) -> Result<u64, sqlx::Error> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(decode)
}

fn json<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> Result<T, sqlx::Error> {
    serde_json::from_str(row.try_get(column)?).map_err(decode)
}
