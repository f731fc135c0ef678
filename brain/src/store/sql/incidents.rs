//! Incidents, and what detectors have learnt: written, read back, and asked for.

use std::sync::Arc;

use anomaly::{Acknowledged, Incident};
use shadow::UnixMs;
use sqlx::{Row as _, query};

use super::{
    super::dialect::{Connection, Row, at, instant},
    rows::decode,
};
use crate::store::{Batch, StoredIncident};

/// The columns of an incident, in the order in which they are read.
pub(super) const COLUMNS: &str = "host, since, until, goes_on, signals, acknowledged, acknowledged_by";

pub(super) async fn write(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    for ((host, since_ms), (incident, goes_on)) in &batch.incidents {
        let acknowledged = incident.acknowledged.as_ref();
        query(
            "INSERT INTO incidents \
                 (host, since, until, goes_on, severity, score, cause, signals, acknowledged, acknowledged_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (host, since) \
             DO UPDATE SET until = excluded.until, goes_on = excluded.goes_on, severity = excluded.severity, \
                 score = excluded.score, cause = excluded.cause, signals = excluded.signals, \
                 acknowledged = excluded.acknowledged, acknowledged_by = excluded.acknowledged_by",
        )
        .bind(&**host)
        .bind(at(*since_ms))
        .bind(at(incident.until_ms))
        .bind(*goes_on)
        .bind(incident.severity().as_str())
        .bind(incident.score())
        .bind(without_nul(incident.cause()))
        .bind(without_nul(&serde_json::to_string(&incident.signals).map_err(decode)?))
        .bind(acknowledged.map(|acknowledged| at(acknowledged.time_ms)))
        .bind(acknowledged.map(|acknowledged| without_nul(&acknowledged.by)))
        .execute(&mut *to)
        .await?;
    }
    Ok(())
}

pub(super) async fn write_detectors(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    for (host, (saved_ms, body)) in &batch.detectors {
        query(
            "INSERT INTO detectors (host, saved, body) VALUES ($1, $2, $3) \
             ON CONFLICT (host) DO UPDATE SET saved = excluded.saved, body = excluded.body",
        )
        .bind(&**host)
        .bind(at(*saved_ms))
        .bind(body.as_slice())
        .execute(&mut *to)
        .await?;
    }
    Ok(())
}

/// What the detectors of all hosts have learnt, and until when.
pub(super) async fn detectors(from: &mut Connection) -> Result<Vec<(Arc<str>, UnixMs, Vec<u8>)>, sqlx::Error> {
    let rows = query("SELECT host, saved, body FROM detectors").fetch_all(from).await?;
    let detector = |row: &Row| Ok((row.try_get::<&str, _>(0)?.into(), instant(row, 1)?, row.try_get(2)?));
    rows.iter().map(detector).collect()
}

/// Texts of devices may hold anything; PostgreSQL's hold no NUL.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The newest that were seen since then, oldest first.
pub(super) async fn recover(
    from: &mut Connection,
    since_ms: UnixMs,
    limit: i64,
) -> Result<Vec<StoredIncident>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM incidents WHERE until >= $1 ORDER BY since DESC LIMIT $2");
    let rows = query(sqlx::AssertSqlSafe(sql))
        .bind(at(since_ms))
        .bind(limit)
        .fetch_all(from)
        .await?;
    rows.iter().rev().map(incident).collect()
}

/// An incident out of its [`COLUMNS`].
pub(super) fn incident(row: &Row) -> Result<StoredIncident, sqlx::Error> {
    let acknowledged = match row.try_get::<Option<String>, _>(6)? {
        Some(by) => Some(Acknowledged {
            time_ms: instant(row, 5)?,
            by,
        }),
        None => None,
    };
    let host: Arc<str> = row.try_get::<&str, _>(0)?.into();
    let incident = Incident {
        since_ms: instant(row, 1)?,
        until_ms: instant(row, 2)?,
        signals: serde_json::from_str(row.try_get(4)?).map_err(decode)?,
        acknowledged,
    };
    Ok((host, incident, row.try_get(3)?))
}
