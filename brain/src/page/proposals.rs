//! Proposals, decided on by the same people as the cell is frozen by ([`super::freeze`]).

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
};
use serde::Deserialize;
use tokio::{sync::oneshot, time::timeout};
use utoipa::ToSchema;

use super::{Shared, freeze::why, login::Caller, problem::Problem};
use crate::{
    allocate::proposals::{Proposal, Refusal},
    dispatch::Verdict,
};

/// How long a decision may take to become durable: less than `foreshadow approve` waits for an answer.
const NOTED_WITHIN: Duration = Duration::from_secs(8);

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
    answer(wait).await?.map(Json).map_err(|refusal| match refusal {
        Refusal::Unknown => Problem::not_found(format!(
            "no proposal {id:?} is remembered; /api/v1/proposals lists those that are open"
        )),
        Refusal::Lapsed(reason) => Problem::gone(format!("it has lapsed: {reason}")),
        Refusal::Decided(told) => Problem::conflict(format!("it was {told}")),
        Refusal::Unfit(reason) => Problem::conflict(format!("it cannot be made now: {reason}")),
    })
}

/// What became of it, once that is durable.
///
/// # Errors
/// When the brain ends meanwhile, or the store has not taken it in time: nothing comes of what nobody waits for.
async fn answer(mut wait: oneshot::Receiver<Result<Proposal, Refusal>>) -> Result<Result<Proposal, Refusal>, Problem> {
    let late = || {
        let within = NOTED_WITHIN.as_secs();
        Problem::unavailable(format!(
            "the store has not noted it within {within} s: nothing was changed, and it stays open"
        ))
    };
    let ended = || {
        Problem::unavailable(
            "the brain ends: when it is back, `foreshadow proposals --all` tells whether this was noted",
        )
    };
    if let Ok(answer) = timeout(NOTED_WITHIN, &mut wait).await {
        return answer.map_err(|_| ended());
    }
    // What is told at this very moment is heard; later nothing is.
    wait.close();
    wait.try_recv().map_err(|_| late())
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_noted_in_time_is_told_so_and_cannot_be_answered_any_more() {
        let (done, wait) = oneshot::channel();
        let begun = Instant::now();
        let late = answer(wait).await.unwrap_err();
        assert_eq!(begun.elapsed(), NOTED_WITHIN);
        let told = serde_json::to_value(&late).unwrap();
        assert_eq!(
            (told["status"].as_u64(), told["detail"].as_str()),
            (
                Some(503),
                Some("the store has not noted it within 8 s: nothing was changed, and it stays open")
            )
        );
        assert!(done.is_closed() && done.send(Err(Refusal::Unknown)).is_err());

        let (done, wait) = oneshot::channel();
        tokio::spawn(async move {
            sleep(NOTED_WITHIN / 2).await;
            done.send(Err(Refusal::Unknown)).unwrap();
        });
        assert_eq!(answer(wait).await, Ok(Err(Refusal::Unknown)));
        let (done, wait) = oneshot::channel();
        drop(done);
        let ended = serde_json::to_value(answer(wait).await.unwrap_err()).unwrap();
        assert!(
            ended["detail"].as_str().unwrap().starts_with("the brain ends: "),
            "{ended}"
        );
    }
}
