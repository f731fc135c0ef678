//! Rows of the grid: seven channels, each in several columns.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use shadow::{Channel, UnixMs};
use sqlx::{AssertSqlSafe, QueryBuilder, query};

use super::super::dialect::{Connection, Db, GREATEST, LEAST, at};
use crate::store::{Batch, Hours, Rollup};

/// Databases take 32,766 variables a statement or more; this many rows of 37 columns stay below.
const ROWS_A_STATEMENT: usize = 800;

/// A minute, or what a row of `rollup_1m` holds.
const MINUTE_MS: i64 = 60_000;

/// What a row of `rollup_1h` holds.
const HOUR_MS: i64 = 3_600_000;

/// The columns of the channels' means, in the order of [`Channel::ALL`]. A column of another figure has its name after it.
pub(in crate::store) const CHANNELS: [&str; Channel::COUNT] = [
    "cpu",
    "memory",
    "network_rx_bytes_per_s",
    "network_tx_bytes_per_s",
    "disk_read_bytes_per_s",
    "disk_write_bytes_per_s",
    "power_w",
];

/// What is kept of each channel: the ending of its column, how a row that is told again changes it, and the figure.
struct Figure {
    ending: &'static str,
    merge: Merge,
    of: fn(&Rollup) -> &[f32; Channel::COUNT],
}

/// How a figure of a row that is there already is merged with what is told anew.
#[derive(Clone, Copy)]
enum Merge {
    /// What is told anew knows all that came.
    Replace,
    /// It never falls: after a restart a row knows only the mean of what came before, and after the clock was set back
    /// perhaps nothing.
    Largest,
}

const FIGURES: [Figure; 2] = [
    Figure {
        ending: "",
        merge: Merge::Replace,
        of: |rollup| &rollup.mean,
    },
    Figure {
        ending: "_max",
        merge: Merge::Largest,
        of: |rollup| &rollup.max,
    },
];

/// Rows of the grid, with the minutes and the hours that they change.
pub(super) async fn write(to: &mut Connection, batch: &Batch, hours: Hours) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = batch.rollups.iter().collect();
    for chunk in rows.chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Db>::new(format!("INSERT INTO rollup_10s ({}) ", columns()));
        insert.push_values(chunk, |mut row, ((host, bucket_ms), rollup)| {
            row.push_bind(&**host)
                .push_bind(at(*bucket_ms))
                .push_bind(rollup.coverage);
            for value in FIGURES.iter().flat_map(|figure| (figure.of)(rollup)) {
                row.push_bind(real(*value));
            }
        });
        insert
            .push(upsert("rollup_10s", Figure::merged))
            .build()
            .execute(&mut *to)
            .await?;
    }
    let minutes: BTreeSet<_> = rows
        .iter()
        .map(|((host, ms), rollup)| (host, ms.div_euclid(MINUTE_MS) * MINUTE_MS, rollup.step_ms))
        .collect();
    let sql = of_finer("rollup_1m", "rollup_10s");
    for &(host, begin_ms, step_ms) in &minutes {
        let share = step_ms as f64 / step_ms.max(MINUTE_MS) as f64;
        coarser(to, &sql, host, begin_ms..begin_ms + MINUTE_MS, share).await?;
    }
    if hours == Hours::Ours {
        let sql = of_finer("rollup_1h", "rollup_1m");
        for (host, begin_ms) in whole_hours(&minutes, &batch.hosts) {
            coarser(
                to,
                &sql,
                host,
                begin_ms..begin_ms + HOUR_MS,
                MINUTE_MS as f64 / HOUR_MS as f64,
            )
            .await?;
        }
    }
    Ok(())
}

/// The hours to be made: those whose last minute has changed, and those that were over before.
fn whole_hours<'a>(
    minutes: &BTreeSet<(&'a Arc<str>, i64, i64)>,
    newest: &BTreeMap<Arc<str>, UnixMs>,
) -> BTreeSet<(&'a Arc<str>, i64)> {
    let whole = |&(host, minute_ms, step_ms): &(&'a Arc<str>, i64, i64)| {
        let hour_ms = minute_ms.div_euclid(HOUR_MS) * HOUR_MS;
        let is_last = minute_ms + step_ms.max(MINUTE_MS) >= hour_ms + HOUR_MS;
        let is_over = newest
            .get(host)
            .is_some_and(|&newest_ms| newest_ms >= hour_ms + HOUR_MS);
        (is_last || is_over).then_some((host, hour_ms))
    };
    minutes.iter().filter_map(whole).collect()
}

/// Makes the row of `span` by what [`of_finer`] says. `share`: of it, what a finer row spans.
async fn coarser(
    to: &mut Connection,
    sql: &str,
    host: &str,
    span: Range<UnixMs>,
    share: f64,
) -> Result<(), sqlx::Error> {
    query(AssertSqlSafe(sql.to_owned()))
        .bind(host)
        .bind(at(span.start))
        .bind(at(span.end))
        .bind(share)
        .execute(to)
        .await?;
    Ok(())
}

/// A row is always taken from its finer ones anew, so late rows and repeated batches give the same. A finer row counts by
/// the share of it that is known.
fn of_finer(coarse: &str, fine: &str) -> String {
    let figures: Vec<_> = each_column().map(|(figure, column)| figure.of_finer(&column)).collect();
    format!(
        "INSERT INTO {coarse} ({}) SELECT host, $2, {LEAST}(1.0, sum(coverage) * $4), {} \
         FROM {fine} WHERE host = $1 AND bucket >= $2 AND bucket < $3 GROUP BY host{}",
        columns(),
        figures.join(", "),
        upsert(coarse, |_, _, column| format!("excluded.{column}")),
    )
}

/// The columns of a table of rows, in the order in which they are written.
fn columns() -> String {
    let mut columns = "host, bucket, coverage".to_owned();
    each_column().for_each(|(_, column)| columns.extend([", ", &column]));
    columns
}

fn upsert(table: &str, value: impl Fn(&Figure, &str, &str) -> String) -> String {
    let mut sql = " ON CONFLICT (host, bucket) DO UPDATE SET coverage = excluded.coverage".to_owned();
    for (figure, column) in each_column() {
        sql.extend([", ", &column, " = ", &value(figure, table, &column)]);
    }
    sql
}

fn each_column() -> impl Iterator<Item = (&'static Figure, String)> {
    let of = |figure: &'static Figure| CHANNELS.map(|channel| (figure, format!("{channel}{}", figure.ending)));
    FIGURES.iter().flat_map(of)
}

impl Figure {
    /// What a column becomes when its row is told again.
    fn merged(&self, table: &str, column: &str) -> String {
        match self.merge {
            Merge::Replace => format!("excluded.{column}"),
            // Written so because the largest of a number and of nothing is nothing to some databases.
            Merge::Largest => format!(
                "{GREATEST}(coalesce(excluded.{column}, {table}.{column}), \
                 coalesce({table}.{column}, excluded.{column}))"
            ),
        }
    }

    /// What a column of a coarser row is. Of nothing known nothing is known.
    fn of_finer(&self, column: &str) -> String {
        match self.merge {
            Merge::Replace => format!(
                "sum({column} * coverage) / nullif(sum(CASE WHEN {column} IS NULL THEN 0 ELSE coverage END), 0)"
            ),
            Merge::Largest => format!("max({column})"),
        }
    }
}

/// NaN and infinities have no place in a column: they are NULL.
pub(super) fn real(value: f32) -> Option<f32> {
    value.is_finite().then_some(value)
}
