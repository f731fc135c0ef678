//! What is asked of history. Statements are made of names of ours; what others tell is bound.

use std::ops::Range;

use shadow::{Channel, Forecast, Quantiles, Shares, UnixMs};
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, query, query_scalar};

use super::{
    super::dialect::{Connection, Db, Row, at, instant},
    incidents, recover,
    rows::{self, decode},
};
use crate::{
    history::{
        AnomalyView, Column, CommandView, EventView, Figure, Filter, ForecastRow, HostRow, IncidentView, Resolution,
        Rows,
    },
    journal,
    store::{figures::CHANNELS, reader::First},
};

/// The version of the schema.
pub(in crate::store) async fn version(from: &mut Connection) -> Result<Option<i64>, sqlx::Error> {
    query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(from)
        .await
}

pub(in crate::store) async fn hosts(from: &mut Connection, limit: usize) -> Result<Vec<HostRow>, sqlx::Error> {
    let rows = query(
        "SELECT h.host, h.first_seen, h.last_sample, b.agent_version, b.os, b.cpu_model, b.cpu_cores, b.memory_bytes \
         FROM hosts h LEFT JOIN births b ON b.host = h.host \
             AND b.vantage = (SELECT min(vantage) FROM births WHERE host = h.host) \
             AND b.epoch = (SELECT max(epoch) FROM births WHERE host = h.host AND vantage = b.vantage) \
         ORDER BY h.host LIMIT $1",
    )
    .bind(count(limit))
    .fetch_all(from)
    .await?;
    rows.iter().map(host).collect()
}

fn host(row: &Row) -> Result<HostRow, sqlx::Error> {
    Ok(HostRow {
        host: row.try_get(0)?,
        first_seen_ms: instant(row, 1)?,
        last_sample_ms: instant(row, 2)?,
        agent_version: row.try_get(3)?,
        os: row.try_get(4)?,
        cpu_model: row.try_get(5)?,
        cpu_cores: row.try_get(6)?,
        memory_bytes: row.try_get(7)?,
    })
}

const fn table(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::TenSeconds => "rollup_10s",
        Resolution::Minute => "rollup_1m",
        Resolution::Hour => "rollup_1h",
    }
}

/// When the oldest row of `host` within a time begins.
pub(in crate::store) async fn oldest(
    from: &mut Connection,
    host: &str,
    resolution: Resolution,
    within: &Range<UnixMs>,
) -> Result<Option<UnixMs>, sqlx::Error> {
    let table = table(resolution);
    let sql =
        format!("SELECT bucket FROM {table} WHERE host = $1 AND bucket >= $2 AND bucket < $3 ORDER BY bucket LIMIT 1");
    let row = query(AssertSqlSafe(sql))
        .bind(host)
        .bind(at(within.start))
        .bind(at(within.end))
        .fetch_optional(from)
        .await?;
    row.as_ref().map(|row| instant(row, 0)).transpose()
}

/// At most `limit` rows of `host` that begin within a time, in the order in which they are told.
pub(in crate::store) async fn rows(
    from: &mut Connection,
    host: &str,
    (resolution, columns): (Resolution, &[Column]),
    within: &Range<UnixMs>,
    (first, limit): (First, usize),
) -> Result<Rows, sqlx::Error> {
    let mut sql = "SELECT bucket, coverage".to_owned();
    for column in columns {
        sql.extend([", ", &selected(resolution, *column)]);
    }
    let table = table(resolution);
    let order = match first {
        First::Oldest => "ASC",
        First::Newest => "DESC",
    };
    sql.extend([
        " FROM ",
        table,
        " WHERE host = $1 AND bucket >= $2 AND bucket < $3 ORDER BY bucket ",
        order,
        " LIMIT $4",
    ]);
    let found = query(AssertSqlSafe(sql))
        .bind(host)
        .bind(at(within.start))
        .bind(at(within.end))
        .bind(count(limit))
        .fetch_all(from)
        .await?;
    let mut told = Rows::new(columns);
    for row in &found {
        told.begin_ms.push(instant(row, 0)?);
        told.coverage.push(row.try_get(1)?);
        for (index, column) in told.values.iter_mut().enumerate() {
            column.push(row.try_get::<Option<f32>, _>(index + 2)?.unwrap_or(f32::NAN));
        }
    }
    Ok(told)
}

/// A column of a table; hours have fewer of them.
fn selected(resolution: Resolution, column: Column) -> String {
    let Column { channel, figure } = column;
    if resolution == Resolution::Hour && matches!(figure, Figure::Last | Figure::P95) {
        return "CAST(NULL AS real)".to_owned();
    }
    format!("{}{}", name(channel), figure.ending())
}

fn name(channel: Channel) -> &'static str {
    CHANNELS.get(channel.index()).copied().unwrap_or_default()
}

pub(in crate::store) async fn forecasts(
    from: &mut Connection,
    filter: &Filter,
) -> Result<Vec<ForecastRow>, sqlx::Error> {
    let mut sql = QueryBuilder::<Db>::new(
        "SELECT host, resource, made, horizon_s, p50, p90, p95, p99, rung, skill, coverage FROM forecasts WHERE TRUE",
    );
    within(&mut sql, filter, ["made", "made"]);
    of_resource(&mut sql, filter);
    newest(&mut sql, filter, "made DESC, host DESC, resource DESC, horizon_s DESC");
    let rows = sql.build().fetch_all(from).await?;
    rows.iter().map(forecast).collect()
}

fn forecast(row: &Row) -> Result<ForecastRow, sqlx::Error> {
    let quantile = |column: usize| row.try_get(column);
    let rung: String = row.try_get(8)?;
    let forecast = Forecast {
        resource: row.try_get::<&str, _>(1)?.parse().map_err(decode::<String>)?,
        made_ms: instant(row, 2)?,
        horizon_s: u32::try_from(row.try_get::<i64, _>(3)?).map_err(decode)?,
        quantiles: Quantiles {
            p50: quantile(4)?,
            p90: quantile(5)?,
            p95: quantile(6)?,
            p99: quantile(7)?,
        },
        rung: serde_json::from_value(rung.into()).map_err(decode)?,
        shares: Shares::default(),
        skill: row.try_get(9)?,
        coverage: row.try_get(10)?,
    };
    Ok(ForecastRow {
        host: row.try_get(0)?,
        forecast,
    })
}

pub(in crate::store) async fn anomalies(
    from: &mut Connection,
    filter: &Filter,
) -> Result<Vec<AnomalyView>, sqlx::Error> {
    let mut sql =
        QueryBuilder::<Db>::new("SELECT host, resource, since, until, score, evidence FROM anomalies WHERE TRUE");
    within(&mut sql, filter, ["until", "since"]);
    of_resource(&mut sql, filter);
    newest(&mut sql, filter, "since DESC, host DESC, resource DESC");
    let rows = sql.build().fetch_all(from).await?;
    let anomaly = |row: &Row| {
        Ok(AnomalyView {
            host: row.try_get(0)?,
            resource: row.try_get::<&str, _>(1)?.parse().map_err(decode::<String>)?,
            since_ms: instant(row, 2)?,
            until_ms: instant(row, 3)?,
            score: row.try_get(4)?,
            evidence: row.try_get(5)?,
        })
    };
    rows.iter().map(anomaly).collect()
}

pub(in crate::store) async fn incidents(
    from: &mut Connection,
    filter: &Filter,
) -> Result<Vec<IncidentView>, sqlx::Error> {
    let mut sql = QueryBuilder::<Db>::new("SELECT ");
    sql.push(incidents::COLUMNS).push(" FROM incidents WHERE TRUE");
    within(&mut sql, filter, ["until", "since"]);
    newest(&mut sql, filter, "since DESC, host DESC");
    let rows = sql.build().fetch_all(from).await?;
    let view = |row: &Row| {
        incidents::incident(row).map(|(host, incident, goes_on)| IncidentView::of(&host, &incident, goes_on))
    };
    rows.iter().map(view).collect()
}

pub(in crate::store) async fn commands(
    from: &mut Connection,
    filter: &Filter,
) -> Result<Vec<CommandView>, sqlx::Error> {
    let mut sql = QueryBuilder::<Db>::new(
        "SELECT c.id, c.host, c.issuer_epoch, c.sequence, c.issued, c.ttl_ms, c.dry_run, c.changes, \
                o.state, o.time, o.reason, o.changes, c.actions, o.actions \
         FROM commands c LEFT JOIN outcomes o ON o.command_id = c.id \
             AND o.state = (SELECT state FROM outcomes WHERE command_id = c.id ORDER BY time DESC, state LIMIT 1) \
         WHERE TRUE",
    );
    within(&mut sql, filter, ["issued", "issued"]);
    if let Some(resource) = filter.resource {
        // As this brain writes it: within a text the quotation marks would have a stroke before them.
        sql.push(" AND c.changes LIKE ")
            .push_bind(format!("%\"resource\":\"{resource}\"%"));
    }
    newest(&mut sql, filter, "c.issued DESC, c.id DESC");
    let rows = sql.build().fetch_all(from).await?;
    let answered = |row: &Row| {
        let command = recover::command(row)?;
        let outcome = recover::outcome(&command.id, row)?;
        Ok(CommandView { command, outcome })
    };
    rows.iter().map(answered).collect()
}

pub(in crate::store) async fn events(from: &mut Connection, filter: &Filter) -> Result<Vec<EventView>, sqlx::Error> {
    let mut sql = QueryBuilder::<Db>::new("SELECT * FROM events WHERE TRUE");
    within(&mut sql, filter, ["time", "time"]);
    newest(
        &mut sql,
        filter,
        "time DESC, host DESC, vantage DESC, epoch DESC, sequence DESC",
    );
    let rows = sql.build().fetch_all(from).await?;
    let event = |row: &Row| Ok(journal::view(&recover::stream(row)?, &rows::event(row)?));
    rows.iter().map(event).collect()
}

/// Of the hosts and the time that are asked for: what ends at or after its begin, and begins before its end.
pub(super) fn within(sql: &mut QueryBuilder<Db>, filter: &Filter, [end, begin]: [&str; 2]) {
    sql.push(format_args!(" AND {end} >= "))
        .push_bind(at(filter.within.start));
    sql.push(format_args!(" AND {begin} < "))
        .push_bind(at(filter.within.end));
    if filter.hosts.is_empty() {
        return;
    }
    sql.push(" AND host IN (");
    let mut hosts = sql.separated(", ");
    for host in &filter.hosts {
        hosts.push_bind(host.clone());
    }
    sql.push(")");
}

pub(super) fn of_resource(sql: &mut QueryBuilder<Db>, filter: &Filter) {
    if let Some(resource) = filter.resource {
        sql.push(" AND resource = ").push_bind(resource.as_str());
    }
}

/// One more than are wanted, which tells that there are more.
pub(super) fn newest(sql: &mut QueryBuilder<Db>, filter: &Filter, order: &str) {
    sql.push(format_args!(" ORDER BY {order} LIMIT "))
        .push_bind(count(filter.limit() + 1));
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(in crate::store) mod tests;
