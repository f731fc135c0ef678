//! The last minutes of a host at full rate, from the frames that are kept in memory.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use shadow::{Reading, UnixMs, Vantage};
use utoipa::ToSchema;

use super::{Shared, api, problem::Problem};

/// The longest time that a request may ask for: what a brain keeps may be shorter.
const MAX_SECONDS: u32 = 3_600;
/// What is answered without `seconds`.
const DEFAULT_SECONDS: u32 = 60;
/// Metrics of one request.
const MAX_METRICS: usize = 64;

/// What to read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecentQuery {
    metrics: Option<String>,
    seconds: Option<String>,
    vantage: Option<String>,
}

/// Values of some metrics of one host at full rate.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Recent {
    host: String,
    /// `inband` or `oob`.
    vantage: &'static str,
    /// The time that was asked for.
    since_ms: UnixMs,
    /// The snapshot's time.
    until_ms: UnixMs,
    /// As they were asked for.
    metrics: Vec<String>,
    /// Unix milliseconds, oldest first.
    times_ms: Vec<UnixMs>,
    /// One list a metric, each as long as `times_ms`: values, or the word that tells why there is none.
    #[schema(value_type = Vec<Vec<serde_json::Value>>)]
    columns: Vec<Vec<Reading>>,
}

/// Values of `metrics` (names, with commas between) in the last `seconds` (1 to 3600) before the snapshot's time, as seen
/// from `vantage` (`inband` unless it is said).
pub(super) async fn recent(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<RecentQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Path(host) = path?;
    let Query(query) = query?;
    let (metrics, seconds, vantage) = (query.metrics()?, query.seconds()?, query.vantage()?);
    let until_ms = shared.snapshot().time_ms;
    let since_ms = until_ms.saturating_sub(i64::from(seconds) * 1_000);
    let (asked, of) = (metrics.clone(), host.clone());
    let read = api::history(&shared, move |source| {
        let names: Vec<&str> = asked.iter().map(String::as_str).collect();
        source.recent(&of, vantage, &names, since_ms)
    });
    let mut told = read.await?.map_or_else(|| api::nothing_of(&shared, &host), Ok)?;
    told.columns.resize(metrics.len(), Vec::new());
    Ok(Json(Recent {
        host,
        vantage: vantage.as_str(),
        since_ms,
        until_ms,
        metrics,
        times_ms: told.times_ms,
        columns: told.columns,
    })
    .into_response())
}

impl RecentQuery {
    fn metrics(&self) -> Result<Vec<String>, Problem> {
        let text = self.metrics.as_deref().unwrap_or_default();
        let metrics: Vec<String> = text
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        if (1..=MAX_METRICS).contains(&metrics.len()) {
            return Ok(metrics);
        }
        let told = format!("metrics: 1 to {MAX_METRICS} names with commas between, as in metrics=host.cpu,host.memory");
        Err(Problem::bad_request(told))
    }

    fn seconds(&self) -> Result<u32, Problem> {
        let Some(text) = &self.seconds else {
            return Ok(DEFAULT_SECONDS);
        };
        let seconds = text.parse().ok().filter(|seconds| (1..=MAX_SECONDS).contains(seconds));
        let told = || format!("seconds: {text:?} is no whole number from 1 to {MAX_SECONDS}");
        seconds.ok_or_else(|| Problem::bad_request(told()))
    }

    fn vantage(&self) -> Result<Vantage, Problem> {
        let Some(text) = &self.vantage else {
            return Ok(Vantage::Inband);
        };
        let told = |error| Problem::bad_request(format!("vantage: {error}"));
        text.parse().map_err(told)
    }
}
