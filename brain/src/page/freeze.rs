//! The freeze switch, turned by the same people as incidents are acknowledged by ([`super::incidents`]).

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{State, rejection::JsonRejection},
};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{Shared, login::Caller, problem::Problem};
use crate::dispatch::{Freeze, FreezeSwitch};

/// The most characters of a reason.
const MAX_REASON: usize = 256;

/// Who turns it, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Turn {
    /// Needed where nobody logs in; otherwise it is the name of the login.
    by: Option<String>,
    #[serde(default)]
    reason: String,
}

/// How it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stands {
    frozen: bool,
    freeze: Option<Freeze>,
}

/// How the switch stands.
pub(super) async fn stands(State(shared): State<Arc<Shared>>) -> Json<Stands> {
    Json(of(shared.snapshot().freeze.clone()))
}

/// Nothing is changed from now on, or changes are made again. It is durable with the next flush.
pub(super) async fn turn<const FREEZES: bool>(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    body: Result<Json<Turn>, JsonRejection>,
) -> Result<Json<Stands>, Problem> {
    let Json(Turn { by, reason }) = body?;
    let (done, wait) = oneshot::channel();
    let asked = FreezeSwitch {
        is_on: FREEZES,
        by: caller.acts_as(by.as_deref())?,
        reason: why(reason)?,
        done,
    };
    let busy = || Problem::unavailable("the brain is busy or ending; ask again");
    shared.page.freeze.try_send(asked).map_err(|_| busy())?;
    Ok(Json(of(wait.await.map_err(|_| busy())?)))
}

/// A reason that can stand in a line, or none.
pub(super) fn why(reason: String) -> Result<String, Problem> {
    if reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!(
            "reason: at most {MAX_REASON} characters in a line"
        )));
    }
    Ok(reason)
}

fn of(freeze: Option<Freeze>) -> Stands {
    Stands {
        frozen: freeze.is_some(),
        freeze,
    }
}
