//! Rows of the grid: seven channels, each in several columns.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shadow::UnixMs;
use sqlx::{AssertSqlSafe, QueryBuilder, query};

use super::{
    super::dialect::{Connection, Db, GREATEST, LEAST, at, instant},
    recover::host,
};
use crate::store::{
    Batch, Hours, Rollup,
    figures::{FIGURES, Figure, Merge, each_column, of_hours},
};

/// Databases take 32,766 variables a statement or more; this many rows of 37 columns stay below.
const ROWS_A_STATEMENT: usize = 800;

/// No channel of a host has a smaller amount.
const SMALLEST: f32 = 1e-30;

/// What a row of `rollup_1m` holds at least.
const MINUTE_MS: i64 = 60_000;

/// What a row of `rollup_1h` holds.
const HOUR_MS: i64 = 3_600_000;

/// A host and when an hour of it begins.
type HostHour = (Arc<str>, UnixMs);

/// Rows of the grid and minutes, with the hours that they change. `ended` are hours that are over besides.
pub(super) async fn write(
    to: &mut Connection,
    batch: &Batch,
    hours: Hours,
    ended: BTreeSet<HostHour>,
) -> Result<(), sqlx::Error> {
    rows(to, "rollup_10s", &batch.rollups).await?;
    rows(to, "rollup_1m", &batch.minutes).await?;
    if hours == Hours::Ours {
        let mut changed = whole_hours(batch);
        changed.extend(ended);
        make(to, changed).await?;
    }
    Ok(())
}

async fn make(to: &mut Connection, hours: BTreeSet<HostHour>) -> Result<(), sqlx::Error> {
    let sql = hour();
    for (host, begin_ms) in hours {
        query(AssertSqlSafe(sql.clone()))
            .bind(&*host)
            .bind(at(begin_ms))
            .bind(at(begin_ms + HOUR_MS))
            .execute(&mut *to)
            .await?;
    }
    Ok(())
}

/// The hours in which hosts were heard last before `batch` tells later ones of them: who falls silent before an hour's
/// last minute has that hour, too. To be asked before the batch's hosts are written.
pub(super) async fn ended(
    from: &mut Connection,
    batch: &Batch,
    hours: Hours,
) -> Result<BTreeSet<HostHour>, sqlx::Error> {
    if hours != Hours::Ours || batch.minutes.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = query("SELECT host, last_sample FROM hosts").fetch_all(from).await?;
    let mut ended = BTreeSet::new();
    for row in &rows {
        let (host, hour_ms) = (host(row, 0)?, hour_of(instant(row, 1)?));
        let newest_ms = batch.hosts.get(&host).copied().unwrap_or(UnixMs::MIN);
        if hour_of(newest_ms) > hour_ms {
            ended.insert((host, hour_ms));
        }
    }
    Ok(ended)
}

/// Makes the last hours of hosts that have been silent since before `now_ms`, where they were not made yet.
pub(super) async fn end(to: &mut Connection, now_ms: UnixMs) -> Result<(), sqlx::Error> {
    let silent = "SELECT host, last_sample FROM hosts WHERE last_sample < $1";
    let rows = query(silent).bind(at(hour_of(now_ms))).fetch_all(&mut *to).await?;
    let mut missing = BTreeSet::new();
    for row in &rows {
        let (host, hour_ms) = (host(row, 0)?, hour_of(instant(row, 1)?));
        let there = query("SELECT 1 FROM rollup_1h WHERE host = $1 AND bucket = $2")
            .bind(&*host)
            .bind(at(hour_ms))
            .fetch_optional(&mut *to)
            .await?;
        if there.is_none() {
            missing.insert((host, hour_ms));
        }
    }
    make(to, missing).await
}

const fn hour_of(time_ms: UnixMs) -> UnixMs {
    time_ms.saturating_sub(time_ms.rem_euclid(HOUR_MS))
}

async fn rows(
    to: &mut Connection,
    table: &str,
    rows: &BTreeMap<(Arc<str>, UnixMs), Rollup>,
) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = rows.iter().collect();
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Db>::new(format!("INSERT INTO {table} ({}) ", columns(&FIGURES)));
        insert.push_values(chunk, |mut row, ((host, bucket_ms), rollup)| {
            row.push_bind(&**host)
                .push_bind(at(*bucket_ms))
                .push_bind(rollup.coverage);
            for value in FIGURES.iter().flat_map(|figure| (figure.of)(rollup)) {
                row.push_bind(real(*value));
            }
        });
        let merged = |figure: &Figure, column: &str| merged(figure, table, column);
        let coverage = format!("{GREATEST}(excluded.coverage, {table}.coverage)");
        let upsert = upsert(&FIGURES, &coverage, merged);
        insert.push(upsert).build().execute(&mut *to).await?;
    }
    Ok(())
}

/// The hours to be made: those whose last minute has changed, and those that were over before.
fn whole_hours(batch: &Batch) -> BTreeSet<HostHour> {
    let whole = |((host, minute_ms), minute): (&'_ (Arc<str>, UnixMs), &Rollup)| {
        let hour_ms = hour_of(*minute_ms);
        let is_last = minute_ms + minute.step_ms.max(MINUTE_MS) >= hour_ms + HOUR_MS;
        let newest_ms = batch.hosts.get(host).copied().unwrap_or(UnixMs::MIN);
        (is_last || newest_ms >= hour_ms + HOUR_MS).then_some(hour_ms)
    };
    let hours = batch
        .minutes
        .iter()
        .filter_map(|minute| Some((Arc::clone(&minute.0.0), whole(minute)?)));
    hours.collect()
}

/// An hour is always taken from its minutes anew, so late ones and repeated batches give the same. A minute counts by the
/// share of it that is known.
fn hour() -> String {
    let figures: Vec<_> = each_column(of_hours())
        .map(|(figure, column)| figure.of_minutes(&column))
        .collect();
    format!(
        "INSERT INTO rollup_1h ({}) SELECT host, $2, {LEAST}(1.0, sum(coverage) / 60), {} \
         FROM rollup_1m WHERE host = $1 AND bucket >= $2 AND bucket < $3 GROUP BY host{}",
        columns(of_hours()),
        figures.join(", "),
        upsert(of_hours(), "excluded.coverage", |_, column| format!(
            "excluded.{column}"
        )),
    )
}

/// The columns of a table of rows, in the order in which they are written.
fn columns(figures: impl IntoIterator<Item = &'static Figure>) -> String {
    let mut columns = "host, bucket, coverage".to_owned();
    each_column(figures).for_each(|(_, column)| columns.extend([", ", &column]));
    columns
}

fn upsert(
    figures: impl IntoIterator<Item = &'static Figure>,
    coverage: &str,
    value: impl Fn(&Figure, &str) -> String,
) -> String {
    let mut sql = format!(" ON CONFLICT (host, bucket) DO UPDATE SET coverage = {coverage}");
    for (figure, column) in each_column(figures) {
        sql.extend([", ", &column, " = ", &value(figure, &column)]);
    }
    sql
}

/// What a column becomes when its row is told again.
fn merged(figure: &Figure, table: &str, column: &str) -> String {
    let extreme = match figure.merge {
        Merge::Mean | Merge::Newest => {
            return format!(
                "CASE WHEN excluded.coverage >= {table}.coverage THEN coalesce(excluded.{column}, {table}.{column}) \
                 ELSE coalesce({table}.{column}, excluded.{column}) END"
            );
        }
        Merge::Largest => GREATEST,
        Merge::Smallest => LEAST,
    };
    // Written so because the larger of a number and of nothing is nothing to some databases.
    format!("{extreme}(coalesce(excluded.{column}, {table}.{column}), coalesce({table}.{column}, excluded.{column}))")
}

/// NaN and infinities have no place in a column: they are NULL. What is next to nothing is nothing, for some databases
/// refuse a mean that is too small for a column.
pub(super) fn real(value: f32) -> Option<f32> {
    value
        .is_finite()
        .then_some(if value.abs() < SMALLEST { 0.0 } else { value })
}
