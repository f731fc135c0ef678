//! What was expected, of hosts and of workloads.

use std::collections::BTreeMap;

use shadow::Forecast;
use sqlx::{QueryBuilder, query_builder::Separated};

use super::{
    super::dialect::{Connection, Db, at},
    write::{ROWS_A_STATEMENT, text},
};
use crate::store::Batch;

/// The columns of a forecast, after those that say whose it is.
const COLUMNS: &str = "resource, made, horizon_s, due, p50, p90, p95, p99, rung, skill, coverage";

/// What becomes of a row that is there already, after the columns that say whose it is.
const AGAIN: &str = "resource, made, horizon_s) DO UPDATE SET due = excluded.due, p50 = excluded.p50, \
                     p90 = excluded.p90, p95 = excluded.p95, p99 = excluded.p99, rung = excluded.rung, \
                     skill = excluded.skill, coverage = excluded.coverage";

pub(super) async fn write(to: &mut Connection, batch: &Batch) -> Result<(), sqlx::Error> {
    let of_hosts = batch.forecasts.iter().map(|(host, forecast)| (&**host, forecast));
    for chunk in newest(of_hosts).chunks(ROWS_A_STATEMENT) {
        let mut insert = QueryBuilder::<Db>::new(format!("INSERT INTO forecasts (host, {COLUMNS}) "));
        insert.push_values(chunk, |mut row, (host, forecast)| {
            row.push_bind(*host);
            values(&mut row, forecast);
        });
        insert.push(format_args!(" ON CONFLICT (host, {AGAIN}"));
        insert.build().execute(&mut *to).await?;
    }
    let of_workloads = batch.workload_forecasts.iter();
    let of_workloads = of_workloads.map(|(host, workload, forecast)| ((&**host, workload), forecast));
    for chunk in newest(of_workloads).chunks(ROWS_A_STATEMENT) {
        let mut insert =
            QueryBuilder::<Db>::new(format!("INSERT INTO workload_forecasts (host, workload, {COLUMNS}) "));
        insert.push_values(chunk, |mut row, ((host, workload), forecast)| {
            row.push_bind(*host).push_bind(text(workload));
            values(&mut row, forecast);
        });
        insert.push(format_args!(" ON CONFLICT (host, workload, {AGAIN}"));
        insert.build().execute(&mut *to).await?;
    }
    Ok(())
}

/// The last one counts where two were made for the same: a statement may not change a row twice.
fn newest<'a, Of: Ord + Copy>(all: impl Iterator<Item = (Of, &'a Forecast)>) -> Vec<(Of, &'a Forecast)> {
    let keyed = all.map(|(of, forecast)| {
        let key = (of, forecast.resource, forecast.made_ms, forecast.horizon_s);
        (key, forecast)
    });
    let newest: BTreeMap<_, _> = keyed.collect();
    newest.into_iter().map(|((of, ..), forecast)| (of, forecast)).collect()
}

/// In the order of [`COLUMNS`].
fn values(row: &mut Separated<'_, Db, &'static str>, forecast: &Forecast) {
    let horizon_s = i64::from(forecast.horizon_s);
    row.push_bind(forecast.resource.as_str())
        .push_bind(at(forecast.made_ms))
        .push_bind(horizon_s)
        .push_bind(at(forecast.made_ms.saturating_add(1_000 * horizon_s)));
    for value in forecast.quantiles.to_array() {
        row.push_bind(value);
    }
    row.push_bind(forecast.rung.as_str())
        .push_bind(forecast.skill)
        .push_bind(forecast.coverage);
}
