//! Taking notice of incidents.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
};
use serde::{Deserialize, Serialize};
use shadow::UnixMs;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{Shared, login::Caller, problem::Problem};
use crate::watch::{Acknowledgement, Notice};

/// Who takes notice.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct By {
    /// Needed where nobody logs in; otherwise it is the name of the login.
    by: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    host: String,
    since_ms: UnixMs,
    acknowledged_by: String,
}

/// Acknowledges the incident of `host` that began at `since_ms`. It is durable with the next flush.
pub(super) async fn acknowledge(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, UnixMs)>, PathRejection>,
    Extension(caller): Extension<Caller>,
    body: Result<Json<By>, JsonRejection>,
) -> Result<Json<Done>, Problem> {
    let Path((host, since_ms)) = path?;
    let Json(By { by }) = body?;
    let by = caller.acts_as(by.as_deref())?;
    let (done, wait) = oneshot::channel();
    let asked = Acknowledgement {
        host: host.clone(),
        since_ms,
        by: by.clone(),
        done,
    };
    let busy = || Problem::unavailable("the brain is busy or ending; ask again");
    shared
        .page
        .acknowledge
        .try_send(Notice::Taken(asked))
        .map_err(|_| busy())?;
    if !wait.await.map_err(|_| busy())? {
        return Err(Problem::not_found(format!(
            "no incident of {host:?} that began at {since_ms} is remembered; /api/v1/fleet lists the newest"
        )));
    }
    Ok(Json(Done {
        host,
        since_ms,
        acknowledged_by: by,
    }))
}
