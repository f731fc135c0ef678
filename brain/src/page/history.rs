//! What the store holds, under `/api/v1/history`.
//!
//! Each answer is read from the database itself, over a connection that cannot write. A few are read at a time and none
//! for long, so that the brain's own writing is never held up.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use shadow::{Resource, UnixMs};
use tokio::{sync::SemaphorePermit, time::timeout};
use utoipa::ToSchema;

use super::{Shared, problem::Problem};
use crate::{
    history::{Column, Filter, Moment, Resolution, Series, Told},
    store::{StoreError, reader::History},
};

/// How many answers are read at a time; others wait for a second.
pub(super) const MAX_READS: usize = 2;
const TURN: Duration = Duration::from_secs(1);
/// How long an answer may take to read.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most rows of an answer, and what is answered without `limit`.
const MAX_ROWS: usize = 10_000;
const DEFAULT_ROWS: usize = 1_000;
/// Rows of a series without `limit`.
const DEFAULT_POINTS: usize = 2_000;
/// How long back is looked without `since`.
const DEFAULT_BACK: &str = "1h";

/// What records are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Records {
    host: Option<String>,
    resource: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<String>,
}

/// What rows of a host are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Points {
    host: Option<String>,
    resource: Option<String>,
    since: Option<String>,
    until: Option<String>,
    resolution: Option<String>,
    limit: Option<String>,
}

/// Rows of one host in columns.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SeriesAnswer<'a> {
    host: &'a str,
    /// `10s`, `1m` or `1h`.
    #[schema(value_type = String)]
    resolution: Resolution,
    since_ms: UnixMs,
    until_ms: UnixMs,
    /// Whether older rows were left out.
    more: bool,
    /// When each row begins.
    time_ms: &'a [UnixMs],
    /// Share of each row that samples tell of, 0 to 1.
    coverage: &'a [f32],
    /// The columns that tell something, by name with unit; `null` where nothing is known.
    #[schema(value_type = BTreeMap<String, Vec<Option<f32>>>)]
    columns: BTreeMap<String, &'a [f32]>,
}

/// All hosts.
pub(super) async fn hosts(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let told = read(&shared, async |history| history.hosts().await).await?;
    Ok(Json(told).into_response())
}

/// Rows of one host.
pub(super) async fn series(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<Points>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = query?;
    let host = asked.host.as_deref();
    let host = host.ok_or_else(|| Problem::bad_request("host is missing; /api/v1/history/hosts lists them"))?;
    let within = within(
        asked.since.as_deref(),
        asked.until.as_deref(),
        shared.snapshot().time_ms,
    )?;
    let columns = Column::of(resource(asked.resource.as_deref())?);
    let points = limit(asked.limit.as_deref(), DEFAULT_POINTS)?;
    let resolution = match asked.resolution.as_deref() {
        None | Some("auto") => None,
        Some(word) => Some(word.parse().map_err(|error: String| named("resolution", &error))?),
    };
    let wanted = (resolution, points);
    let series = read(&shared, async |history| {
        history.series(host, &columns, &within, wanted).await
    })
    .await?;
    Ok(Json(SeriesAnswer::of(host, &within, &series)).into_response())
}

impl<'a> SeriesAnswer<'a> {
    fn of(host: &'a str, within: &Range<UnixMs>, series: &'a Series) -> Self {
        let known = series.rows.known();
        Self {
            host,
            resolution: series.resolution,
            since_ms: within.start,
            until_ms: within.end,
            more: series.more,
            time_ms: &series.rows.begin_ms,
            coverage: &series.rows.coverage,
            columns: known.map(|(column, values)| (column.name(), values)).collect(),
        }
    }
}

/// A route that tells records of one kind.
macro_rules! records {
    ($($(#[$about:meta])* $name:ident),+) => {$(
        $(#[$about])*
        pub(super) async fn $name(
            State(shared): State<Arc<Shared>>,
            query: Result<Query<Records>, QueryRejection>,
        ) -> Result<Response, Problem> {
            let Query(asked) = query?;
            let filter = asked.filter(stringify!($name), shared.snapshot().time_ms)?;
            let told: Told<_> = read(&shared, async |history| history.$name(&filter).await).await?;
            Ok(Json(told).into_response())
        }
    )+};
}

records! {
    /// Forecasts by when they were made.
    forecasts,
    /// Anomalies by any of their time.
    anomalies,
    /// Incidents by any of their time.
    incidents,
    /// Commands by when they were issued, with their newest outcome.
    commands,
    /// Proposals by when they were made, with what became of them.
    proposals,
    /// Events by when they happened.
    events
}

/// Plans by when they were made.
pub(super) async fn plans(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<Records>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = query?;
    if asked.host.is_some() || asked.resource.is_some() {
        return Err(Problem::bad_request("host, resource: a plan is of the whole cell"));
    }
    let filter = asked.filter("plans", shared.snapshot().time_ms)?;
    let told = read(&shared, async |history| {
        history.plans(&filter.within, filter.limit).await
    })
    .await?;
    Ok(Json(told).into_response())
}

impl Records {
    fn filter(&self, kind: &str, now_ms: UnixMs) -> Result<Filter, Problem> {
        if ["events", "incidents"].contains(&kind) && self.resource.is_some() {
            return Err(Problem::bad_request(format!("resource: {kind} have none")));
        }
        Ok(Filter {
            hosts: self.host.iter().cloned().collect(),
            resource: resource(self.resource.as_deref())?,
            within: within(self.since.as_deref(), self.until.as_deref(), now_ms)?,
            limit: limit(self.limit.as_deref(), DEFAULT_ROWS)?,
        })
    }
}

fn resource(word: Option<&str>) -> Result<Option<Resource>, Problem> {
    let parsed = word.map(str::parse::<Resource>).transpose();
    parsed.map_err(|error| named("resource", &error))
}

/// Times before the snapshot's, which is virtual in a lab.
fn within(since: Option<&str>, until: Option<&str>, now_ms: UnixMs) -> Result<Range<UnixMs>, Problem> {
    let moment = |name: &str, text: &str| -> Result<UnixMs, Problem> {
        let moment: Moment = text.parse().map_err(|error: String| named(name, &error))?;
        Ok(moment.at(now_ms))
    };
    let until_ms = until.map_or(Ok(now_ms), |text| moment("until", text))?;
    let since_ms = moment("since", since.unwrap_or(DEFAULT_BACK))?;
    if since_ms >= until_ms {
        return Err(Problem::bad_request(
            "since: it must be before until, which is now where it is not named",
        ));
    }
    Ok(since_ms..until_ms)
}

fn limit(text: Option<&str>, default: usize) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(default) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX_ROWS).contains(limit));
    limit.ok_or_else(|| Problem::bad_request(format!("limit: {text:?} is no whole number from 1 to {MAX_ROWS}")))
}

fn named(name: &str, error: &str) -> Problem {
    Problem::bad_request(format!("{name}: {error}"))
}

/// Waits until one more answer may be read from the database.
pub(super) async fn turn(shared: &Shared) -> Result<SemaphorePermit<'_>, Problem> {
    let busy = || Problem::unavailable(format!("{MAX_READS} answers are being read already; ask again later"));
    let turn = timeout(TURN, shared.reads.acquire()).await;
    turn.map_err(|_| busy())?.map_err(|_| busy())
}

/// Reads one answer, when it is its turn.
async fn read<T>(shared: &Shared, ask: impl AsyncFnOnce(&mut History) -> Result<T, StoreError>) -> Result<T, Problem> {
    let _turn = turn(shared).await?;
    let answer = async {
        let mut history = History::open(&shared.page.history).await?;
        let answer = ask(&mut history).await?;
        history.close().await?;
        Ok::<_, StoreError>(answer)
    };
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            // What a database says of itself is for its owner, not for whoever can reach the page.
            tracing::warn!(%error, "history cannot be read");
            Err(Problem::unavailable(
                "the database cannot be read; the brain's log says why",
            ))
        }
        Err(_) => Err(Problem::unavailable(format!(
            "no answer within {PATIENCE:?}; ask for a shorter time, or for one host"
        ))),
    }
}
