//! Plans, what was saved, and one command with all that came of it: written, and asked for.

use shadow::{Command, Outcome, UnixMs};
use sqlx::{QueryBuilder, Row as _, query};

use super::{
    super::dialect::{Connection, Db, Row, at, instant},
    rows::{self, decode},
    write::{signed, text},
};
use crate::{
    history::{PlanView, SavingView, Uses},
    store::{Batch, PlanRow, SavingRow},
};

/// Rows of one statement: twelve values each.
const ROWS_A_STATEMENT: usize = 500;

pub(super) async fn write(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    for plan in &batch.plans {
        query(
            "INSERT INTO plans (time, mode, hosts, raised, lowered, told, changes_left, queued, throttled, unmet, wakes, \
                 renewed, pool, queue, words) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING",
        )
        .bind(at(plan.time_ms))
        .bind(&plan.mode)
        .bind(signed(plan.hosts))
        .bind(signed(plan.raised))
        .bind(signed(plan.lowered))
        .bind(signed(plan.told))
        .bind(signed(plan.changes_left))
        .bind(signed(plan.queued))
        .bind(signed(plan.throttled))
        .bind(signed(plan.unmet))
        .bind(signed(plan.wakes))
        .bind(signed(plan.renewed))
        .bind(&plan.pool)
        .bind(&plan.queue)
        .bind(text(&plan.words))
        .execute(&mut *to)
        .await?;
    }
    savings(to, batch).await
}

async fn savings(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = batch.savings.iter().collect();
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Db>::new(
            "INSERT INTO savings (host, day, resource, issuer_epoch, held, used, given_back, watched_s, over_s, acted_s, \
             changes, hurts) ",
        );
        insert.push_values(chunk, |mut row, ((host, day_ms, resource), saved)| {
            row.push_bind(host.as_str())
                .push_bind(at(*day_ms))
                .push_bind(resource.as_str())
                .push_bind(signed(saved.issuer_epoch))
                .push_bind(saved.held)
                .push_bind(saved.used)
                .push_bind(saved.given_back)
                .push_bind(saved.watched_s)
                .push_bind(saved.over_s)
                .push_bind(saved.acted_s)
                .push_bind(signed(saved.changes))
                .push_bind(signed(saved.hurts));
        });
        insert.push(
            " ON CONFLICT (host, day, resource, issuer_epoch) DO UPDATE SET held = excluded.held, used = excluded.used, \
             given_back = excluded.given_back, watched_s = excluded.watched_s, over_s = excluded.over_s, \
             acted_s = excluded.acted_s, changes = excluded.changes, hurts = excluded.hurts",
        );
        insert.build().execute(&mut *to).await?;
    }
    Ok(())
}

/// Plans of a time, newest first, at most `limit`.
pub(in crate::store) async fn plans(
    from: &mut Connection,
    (since_ms, until_ms): (UnixMs, UnixMs),
    limit: i64,
) -> Result<Vec<PlanView>, sqlx::Error> {
    let rows = query("SELECT * FROM plans WHERE time >= $1 AND time < $2 ORDER BY time DESC LIMIT $3")
        .bind(at(since_ms))
        .bind(at(until_ms))
        .bind(limit)
        .fetch_all(from)
        .await?;
    let plan = |row: &Row| {
        Ok(PlanRow {
            time_ms: instant(row, "time")?,
            mode: row.try_get("mode")?,
            hosts: count(row, "hosts")?,
            raised: count(row, "raised")?,
            lowered: count(row, "lowered")?,
            told: count(row, "told")?,
            changes_left: count(row, "changes_left")?,
            queued: count(row, "queued")?,
            throttled: count(row, "throttled")?,
            unmet: count(row, "unmet")?,
            wakes: count(row, "wakes")?,
            renewed: count(row, "renewed")?,
            pool: row.try_get("pool")?,
            queue: row.try_get("queue")?,
            words: row.try_get("words")?,
        })
    };
    rows.iter().map(plan).collect()
}

/// What was held and used on days of a time, by host, day and resource; at most `limit`, the newest.
pub(in crate::store) async fn saved(
    from: &mut Connection,
    (since_ms, until_ms): (UnixMs, UnixMs),
    limit: i64,
) -> Result<Vec<SavingView>, sqlx::Error> {
    let rows = query(
        "SELECT * FROM savings WHERE day >= $1 AND day < $2 ORDER BY day DESC, host, resource, issuer_epoch LIMIT $3",
    )
    .bind(at(since_ms))
    .bind(at(until_ms))
    .bind(limit)
    .fetch_all(from)
    .await?;
    let saving = |row: &Row| {
        Ok(SavingView {
            host: row.try_get("host")?,
            day_ms: instant(row, "day")?,
            resource: row.try_get::<&str, _>("resource")?.parse().map_err(decode::<String>)?,
            saved: SavingRow {
                issuer_epoch: count(row, "issuer_epoch")?,
                held: row.try_get("held")?,
                used: row.try_get("used")?,
                given_back: row.try_get("given_back")?,
                watched_s: row.try_get("watched_s")?,
                over_s: row.try_get("over_s")?,
                acted_s: row.try_get("acted_s")?,
                changes: count(row, "changes")?,
                hurts: count(row, "hurts")?,
            },
        })
    };
    rows.iter().map(saving).collect()
}

/// The command of this id, and every answer to it, oldest first.
pub(in crate::store) async fn command(
    from: &mut Connection,
    id: &str,
) -> Result<Option<(Command, Vec<Outcome>)>, sqlx::Error> {
    let row = query("SELECT * FROM commands WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *from)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let answers = query("SELECT * FROM outcomes WHERE command_id = $1 ORDER BY time, state")
        .bind(id)
        .fetch_all(from)
        .await?;
    let answers = answers.iter().map(rows::outcome).collect::<Result<_, _>>()?;
    Ok(Some((rows::command(&row)?, answers)))
}

/// Commands for `host` that were issued in a time, oldest first, at most `limit`.
pub(in crate::store) async fn later(
    from: &mut Connection,
    host: &str,
    (since_ms, until_ms): (UnixMs, UnixMs),
    limit: i64,
) -> Result<Vec<Command>, sqlx::Error> {
    let rows = query(
        "SELECT * FROM commands WHERE host = $1 AND issued > $2 AND issued < $3 ORDER BY issued, sequence LIMIT $4",
    )
    .bind(host)
    .bind(at(since_ms))
    .bind(at(until_ms))
    .bind(limit)
    .fetch_all(from)
    .await?;
    rows.iter().map(rows::command).collect()
}

/// What `workload` of `host` used minute by minute in a time, oldest first: cores and bytes.
pub(in crate::store) async fn uses(
    from: &mut Connection,
    (host, workload): (&str, &str),
    (since_ms, until_ms): (UnixMs, UnixMs),
) -> Result<Vec<Uses>, sqlx::Error> {
    let rows = query(
        "SELECT bucket, cpu_cores, memory_bytes FROM workload_1m \
         WHERE host = $1 AND workload = $2 AND bucket >= $3 AND bucket < $4 ORDER BY bucket",
    )
    .bind(host)
    .bind(workload)
    .bind(at(since_ms))
    .bind(at(until_ms))
    .fetch_all(from)
    .await?;
    let uses = |row: &Row| {
        Ok(Uses {
            begin_ms: instant(row, "bucket")?,
            cpu_cores: real(row, "cpu_cores")?,
            memory_bytes: real(row, "memory_bytes")?,
        })
    };
    rows.iter().map(uses).collect()
}

fn count(row: &Row, column: &str) -> Result<u64, sqlx::Error> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(decode)
}

/// A number that a server keeps in single precision.
fn real(row: &Row, column: &str) -> Result<Option<f64>, sqlx::Error> {
    let wide = row.try_get::<Option<f64>, _>(column);
    wide.or_else(|_| Ok(row.try_get::<Option<f32>, _>(column)?.map(f64::from)))
}
