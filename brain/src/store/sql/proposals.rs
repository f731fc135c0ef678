//! Proposals, and what became of them: written, and asked for.

use serde_json::json;
use shadow::UnixMs;
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, query, query_scalar};

use super::{
    super::dialect::{Connection, Db, Row, at, instant},
    read,
    rows::{self, decode},
    write::text,
};
use crate::{allocate::proposals::Proposal, history::Filter, store::Batch};

/// Each with the newest answer to its command.
const SELECT: &str = "SELECT p.id AS id, p.host AS host, p.made AS made, p.expires AS expires, p.change AS change, \
        p.fate AS fate, p.decided AS decided, p.decided_by AS decided_by, p.reason AS why, p.command_id AS command, \
        o.command_id AS command_id, o.state AS state, o.time AS time, o.reason AS reason, o.changes AS changes, \
        o.actions AS actions \
     FROM proposals p LEFT JOIN outcomes o ON o.command_id = p.command_id \
        AND o.state = (SELECT state FROM outcomes WHERE command_id = p.command_id ORDER BY time DESC, state LIMIT 1)";

pub(super) async fn write(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    for proposal in batch.proposals.values() {
        query(
            "INSERT INTO proposals (id, host, workload, resource, made, expires, change, fate, decided, decided_by, \
                 reason, command_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             ON CONFLICT (id) DO UPDATE SET fate = excluded.fate, decided = excluded.decided, \
                 decided_by = excluded.decided_by, reason = excluded.reason, command_id = excluded.command_id",
        )
        .bind(&proposal.id)
        .bind(&proposal.host)
        .bind(text(&proposal.change.workload))
        .bind(proposal.change.resource.as_str())
        .bind(at(proposal.made_ms))
        .bind(at(proposal.expires_ms))
        .bind(json!(proposal.change).to_string())
        .bind(proposal.fate.as_str())
        .bind(proposal.decided_ms.map(at))
        .bind(text(&proposal.by))
        .bind(text(&proposal.reason))
        .bind(&proposal.command_id)
        .execute(&mut *to)
        .await?;
    }
    Ok(())
}

/// Whether there is one.
pub(super) async fn any(from: &mut Connection) -> Result<bool, sqlx::Error> {
    let there = query_scalar::<_, i64>("SELECT count(*) FROM (SELECT id FROM proposals LIMIT 1) p");
    Ok(there.fetch_one(from).await? > 0)
}

/// Those that were made in a time, newest first, one more than are wanted.
pub(in crate::store) async fn told(from: &mut Connection, filter: &Filter) -> Result<Vec<Proposal>, sqlx::Error> {
    let mut sql = QueryBuilder::<Db>::new(SELECT);
    sql.push(" WHERE TRUE");
    read::within(&mut sql, filter, ["made", "made"]);
    read::of_resource(&mut sql, filter);
    read::newest(&mut sql, filter, "made DESC, id DESC");
    let rows = sql.build().fetch_all(from).await?;
    rows.iter().map(proposal).collect()
}

/// The one of this id, or of the command of this id.
pub(in crate::store) async fn one(from: &mut Connection, id: &str) -> Result<Option<Proposal>, sqlx::Error> {
    let row = query(AssertSqlSafe(format!("{SELECT} WHERE p.id = $1 OR p.command_id = $1")))
        .bind(id)
        .fetch_optional(from)
        .await?;
    row.as_ref().map(proposal).transpose()
}

fn proposal(row: &Row) -> Result<Proposal, sqlx::Error> {
    let fate = row.try_get::<String, _>("fate")?;
    let is_answered = row.try_get::<Option<&str>, _>("state")?.is_some();
    Ok(Proposal {
        id: row.try_get("id")?,
        host: row.try_get("host")?,
        made_ms: instant(row, "made")?,
        expires_ms: instant(row, "expires")?,
        change: serde_json::from_str(row.try_get("change")?).map_err(decode)?,
        fate: serde_json::from_value(fate.into()).map_err(decode)?,
        decided_ms: decided(row)?,
        by: row.try_get("decided_by")?,
        reason: row.try_get("why")?,
        command_id: row.try_get("command")?,
        outcome: if is_answered { Some(rows::outcome(row)?) } else { None },
    })
}

/// When it ended. A point in time is of a type of each driver's own, so that one that lacks is seen by the row's fate.
fn decided(row: &Row) -> Result<Option<UnixMs>, sqlx::Error> {
    match row.try_get::<&str, _>("fate")? {
        "open" => Ok(None),
        _ => instant(row, "decided").map(Some),
    }
}
