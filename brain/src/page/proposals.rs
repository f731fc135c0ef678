//! Proposals, decided on by the same people as the cell is frozen by ([`super::freeze`]).

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
};
use serde::Deserialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{Shared, freeze::why, login::Caller, problem::Problem};
use crate::{
    allocate::proposals::{Proposal, Refusal},
    dispatch::Verdict,
};

/// Who approves.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Yes {
    /// Needed where nobody logs in; otherwise it is the name of the login.
    by: Option<String>,
}

/// Who declines, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct No {
    /// Needed where nobody logs in; otherwise it is the name of the login.
    by: Option<String>,
    #[serde(default)]
    reason: String,
}

/// What was proposed is commanded, unless something holds it back now. Who asks again is told the same.
pub(super) async fn approve(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    Extension(caller): Extension<Caller>,
    body: Result<Json<Yes>, JsonRejection>,
) -> Result<Json<Proposal>, Problem> {
    let (Path(id), Json(Yes { by })) = (id?, body?);
    decide(&shared, id, true, (caller.acts_as(by.as_deref())?, String::new())).await
}

/// It is not made, and not proposed again for a while. Who asks again is told the same.
pub(super) async fn decline(
    State(shared): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
    Extension(caller): Extension<Caller>,
    body: Result<Json<No>, JsonRejection>,
) -> Result<Json<Proposal>, Problem> {
    let (Path(id), Json(No { by, reason })) = (id?, body?);
    decide(&shared, id, false, (caller.acts_as(by.as_deref())?, why(reason)?)).await
}

async fn decide(
    shared: &Shared,
    id: String,
    approves: bool,
    (by, reason): (String, String),
) -> Result<Json<Proposal>, Problem> {
    let (done, wait) = oneshot::channel();
    let asked = Verdict {
        id: id.clone(),
        approves,
        by,
        reason,
        done,
    };
    let busy = || Problem::unavailable("the brain is busy or ending; ask again");
    shared.page.decide.try_send(asked).map_err(|_| busy())?;
    let decided = wait.await.map_err(|_| busy())?;
    decided.map(Json).map_err(|refusal| match refusal {
        Refusal::Unknown => Problem::not_found(format!(
            "no proposal {id:?} is remembered; /api/v1/proposals lists those that are open"
        )),
        Refusal::Lapsed(reason) => Problem::gone(format!("it has lapsed: {reason}")),
        Refusal::Decided(told) => Problem::conflict(format!("it was {told}")),
        Refusal::Unfit(reason) => Problem::conflict(format!("it cannot be made now: {reason}")),
    })
}
