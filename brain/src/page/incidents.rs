//! Taking notice of incidents.
//!
//! The page has no login, so only who is on the brain's own machine may do it: the connection must come from a loopback
//! address. And a web site that such a person visits must not do it for them: the body must be JSON, which no browser sends
//! elsewhere without asking first, and an `Origin`, where there is one, must be the page's own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{
        ConnectInfo, Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::{Extensions, HeaderMap, Uri, header, uri::Authority},
};
use runtime::{Clock, LogLimit};
use serde::{Deserialize, Serialize};
use shadow::UnixMs;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{Shared, problem::Problem};
use crate::watch::{Acknowledgement, Notice};

/// The most characters of a name.
const MAX_NAME: usize = 64;

/// Refusals that the engine is told of: one each 10 s, with the number of the others.
const TOLD: Duration = Duration::from_secs(10);

/// When it was told last that somebody may not take notice.
#[derive(Debug)]
pub(super) struct Strangers {
    clock: Clock,
    limit: LogLimit,
}

impl Default for Strangers {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            limit: LogLimit::new(TOLD),
        }
    }
}

/// Who takes notice.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct By {
    by: String,
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
    extensions: Extensions,
    headers: HeaderMap,
    body: Result<Json<By>, JsonRejection>,
) -> Result<Json<Done>, Problem> {
    admit(&shared, &extensions, &headers)?;
    let Path((host, since_ms)) = path?;
    let Json(By { by }) = body?;
    let by = name(&by)?;
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

/// Lets in who is there, and no other site; the engine is told of others.
pub(super) fn admit(shared: &Shared, extensions: &Extensions, headers: &HeaderMap) -> Result<(), Problem> {
    let caller = extensions.get().map(|ConnectInfo(address)| *address);
    check_caller(caller, headers).map_err(|why| {
        tell_refused(shared, caller, why);
        Problem::forbidden(why)
    })
}

/// Whether somebody there may do this; otherwise why not.
fn check_caller(caller: Option<SocketAddr>, headers: &HeaderMap) -> Result<(), &'static str> {
    if !caller.is_some_and(|address| address.ip().to_canonical().is_loopback()) {
        return Err("this is done from the brain's own machine only, or through a proxy on it with its own login");
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let origin: Option<Uri> = origin.to_str().ok().and_then(|text| text.parse().ok());
    let origin = origin.as_ref().and_then(Uri::authority).map(Authority::as_str);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if origin.is_some() && origin == host {
        return Ok(());
    }
    Err("another web site may not do this")
}

/// Tells the engine, which keeps an audit log; one that is busy is not told.
fn tell_refused(shared: &Shared, caller: Option<SocketAddr>, why: &str) {
    let Strangers { clock, limit } = &shared.strangers;
    let Some(suppressed) = limit.pass(clock.monotonic_ns()) else {
        return;
    };
    let from = caller.map(|address| address.to_string()).unwrap_or_default();
    let why = why.to_owned();
    let told = shared
        .page
        .acknowledge
        .try_send(Notice::Refused { from, why, suppressed });
    if told.is_err() {
        tracing::warn!(?caller, "a request was refused, and the brain is too busy to note it");
    }
}

/// A name that can stand in a line.
pub(super) fn name(by: &str) -> Result<String, Problem> {
    let by = by.trim();
    if by.is_empty() || by.chars().count() > MAX_NAME || by.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!(
            "by: a name of 1 to {MAX_NAME} characters is needed"
        )));
    }
    Ok(by.to_owned())
}
