//! What is newest of incidents, commands and events, of one host or of all: from memory, so what has just come is there.
//! What is older is told by [`super::history`].

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use shadow::UnixMs;
use utoipa::ToSchema;

use super::{Shared, problem::Problem};
use crate::allocate::proposals::Proposal;
use crate::snapshot::{CommandView, EventView, IncidentView, PlanView, ScoresView};

/// Whose records are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    host: Option<String>,
}

/// The newest records of one kind, newest first, at most some hundred.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Newest<T> {
    /// The snapshot's time.
    time_ms: UnixMs,
    rows: Vec<T>,
}

/// A route that tells the newest records of one kind.
macro_rules! newest {
    ($($(#[$about:meta])* $name:ident: $view:ty, $host:expr;)+) => {$(
        $(#[$about])*
        pub(super) async fn $name(
            State(shared): State<Arc<Shared>>,
            query: Result<Query<Of>, QueryRejection>,
        ) -> Result<Response, Problem> {
            let Query(of) = query?;
            let snapshot = shared.snapshot();
            let host: fn(&$view) -> &str = $host;
            let wanted = |view: &&$view| of.host.as_deref().is_none_or(|name| host(view) == name);
            let rows = snapshot.$name.iter().filter(wanted).collect();
            Ok(Json(Newest { time_ms: snapshot.time_ms, rows }).into_response())
        }
    )+};
}

newest! {
    /// Incidents by when they began.
    incidents: IncidentView, |view| &view.host;
    /// Commands by when they were issued, with their newest outcome.
    commands: CommandView, |view| &view.command.host;
    /// Events by when they happened.
    events: EventView, |view| &view.host;
    /// Proposals: those that are open, then those before.
    proposals: Proposal, |view| &view.host;
}

/// What the newest round of allocation came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlanAnswer<'a> {
    /// The snapshot's time.
    time_ms: UnixMs,
    /// `None` before the first round.
    plan: Option<&'a PlanView>,
}

/// The newest plan.
pub(super) async fn plan(State(shared): State<Arc<Shared>>) -> Response {
    let snapshot = shared.snapshot();
    Json(PlanAnswer {
        time_ms: snapshot.time_ms,
        plan: snapshot.plan.as_deref(),
    })
    .into_response()
}

/// How good forecasts are and were.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ScoresAnswer<'a> {
    /// The snapshot's time.
    time_ms: UnixMs,
    scores: &'a ScoresView,
}

/// The scores of all forecasts.
pub(super) async fn scores(State(shared): State<Arc<Shared>>) -> Response {
    let snapshot = shared.snapshot();
    Json(ScoresAnswer {
        time_ms: snapshot.time_ms,
        scores: &snapshot.scores,
    })
    .into_response()
}
