//! The JSON answers under `/api/v1`.

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
use shadow::{Resource, UnixMs};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::{
    Shared,
    fleet::{Fleet, HostDetail},
    problem::Problem,
};
use crate::snapshot::SeriesSource;

/// The longest history that a request may ask for: a day.
const MAX_MINUTES: u32 = 1_440;
/// What is answered without `minutes`.
const DEFAULT_MINUTES: u32 = 60;

/// The whole snapshot.
pub(super) async fn snapshot(State(shared): State<Arc<Shared>>) -> Response {
    Json(&*shared.snapshot()).into_response()
}

/// Counts, the model and the totals.
pub(super) async fn fleet(State(shared): State<Arc<Shared>>) -> Response {
    Json(Fleet::of(&shared.snapshot(), shared.pulse.age_ms())).into_response()
}

/// One host with all that belongs to it.
pub(super) async fn host(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(host) = path?;
    let snapshot = shared.snapshot();
    let detail = HostDetail::of(&snapshot, shared.pulse.age_ms(), &host).ok_or_else(|| unknown_host(&host))?;
    Ok(Json(detail).into_response())
}

/// What to read of the history.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeriesQuery {
    resource: Option<String>,
    minutes: Option<String>,
}

/// Recent values of one resource of one host.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Series {
    host: String,
    resource: Resource,
    /// The unit of the values: `1`, `B/s` or `W`.
    unit: &'static str,
    /// The time that was asked for.
    since_ms: UnixMs,
    /// The snapshot's time.
    until_ms: UnixMs,
    /// `[unix ms, value]`, oldest first, gaps left out.
    points: Vec<(UnixMs, f64)>,
}

/// Values of the last `minutes` (1 to 1440) before the snapshot's time.
pub(super) async fn series(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<SeriesQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Path(host) = path?;
    let Query(query) = query?;
    let (resource, minutes) = query.check()?;
    let until_ms = shared.snapshot().time_ms;
    let since_ms = until_ms.saturating_sub(i64::from(minutes) * 60_000);
    // What is older than memory comes from the database: not for anybody who makes names up, and not all at once.
    let nothing = nothing_of(&shared, &host)?;
    let _turn = super::history::turn(&shared).await?;
    let asked = host.clone();
    let points = history(&shared, move |source| source.series(&asked, resource, since_ms)).await?;
    let points = points.unwrap_or(nothing);
    Ok(Json(Series {
        host,
        resource,
        unit: resource.unit(),
        since_ms,
        until_ms,
        points,
    })
    .into_response())
}

impl SeriesQuery {
    fn check(&self) -> Result<(Resource, u32), Problem> {
        let resource = self.resource.as_deref().ok_or_else(|| {
            Problem::bad_request("resource is missing; it is one of cpu, memory, network, disk, power")
        })?;
        let resource = resource
            .parse()
            .map_err(|error| Problem::bad_request(format!("resource: {error}")))?;
        let minutes = match &self.minutes {
            None => DEFAULT_MINUTES,
            Some(text) => parse_minutes(text)?,
        };
        Ok((resource, minutes))
    }
}

fn parse_minutes(text: &str) -> Result<u32, Problem> {
    let minutes = text.parse().ok().filter(|minutes| (1..=MAX_MINUTES).contains(minutes));
    minutes.ok_or_else(|| Problem::bad_request(format!("minutes: {text:?} is no whole number from 1 to {MAX_MINUTES}")))
}

/// Reads history where waiting is no harm.
pub(super) async fn history<T: Send + 'static>(
    shared: &Shared,
    read: impl FnOnce(&dyn SeriesSource) -> T + Send + 'static,
) -> Result<T, Problem> {
    let source = Arc::clone(&shared.page.series);
    let read = spawn_blocking(move || read(&*source)).await;
    read.map_err(|_| Problem::unavailable("the history could not be read; the brain's log says why"))
}

/// Of a host that is known and has been silent for long there is no history: nothing of it, and no fault.
pub(super) fn nothing_of<T: Default>(shared: &Shared, host: &str) -> Result<T, Problem> {
    let snapshot = shared.snapshot();
    let known = snapshot.hosts.iter().any(|known| known.name == host);
    if known {
        Ok(T::default())
    } else {
        Err(unknown_host(host))
    }
}

pub(super) fn unknown_host(host: &str) -> Problem {
    Problem::not_found(format!(
        "no host {host:?} was ever seen; /api/v1/hosts lists those that were"
    ))
}
