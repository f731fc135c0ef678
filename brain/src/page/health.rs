//! Whether the engine still takes pictures.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shadow::UnixMs;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::Shared;
use crate::snapshot::Snapshot;

/// A snapshot is due every second. Half a minute without one is no hiccup of a busy machine any more.
pub const STALE_AFTER: Duration = Duration::from_secs(30);

/// Remembers when the newest snapshot came, on the monotonic clock: the snapshot's own time may be virtual.
#[derive(Debug)]
pub(super) struct Pulse {
    came: Mutex<Instant>,
}

impl Pulse {
    /// Watches `snapshot` in a task of its own until `closing`.
    pub(super) fn start(mut snapshot: watch::Receiver<Arc<Snapshot>>, closing: CancellationToken) -> Arc<Self> {
        let pulse = Arc::new(Self {
            came: Mutex::new(Instant::now()),
        });
        let watched = Arc::clone(&pulse);
        tokio::spawn(async move {
            while let Some(Ok(())) = closing.run_until_cancelled(snapshot.changed()).await {
                watched.beat();
            }
        });
        pulse
    }

    fn beat(&self) {
        *self.came.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long ago the newest snapshot came.
    pub(super) fn age(&self) -> Duration {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Likewise in whole milliseconds.
    pub(super) fn age_ms(&self) -> u64 {
        u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The answer of `/healthz`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, `stale` (no snapshot for 30 s) or `stopped` (the engine is gone).
    status: &'static str,
    /// Milliseconds since the newest snapshot came.
    snapshot_age_ms: u64,
    /// The newest snapshot's own time (virtual in a lab).
    time_ms: UnixMs,
    /// Hosts in it.
    hosts: usize,
}

/// 200 while snapshots come, else 503.
pub(super) async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    let snapshot = shared.snapshot();
    let age = shared.pulse.age();
    let (code, status) = match shared.page.snapshot.has_changed() {
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopped"),
        Ok(_) if age > STALE_AFTER => (StatusCode::SERVICE_UNAVAILABLE, "stale"),
        Ok(_) => (StatusCode::OK, "ok"),
    };
    let health = Health {
        status,
        snapshot_age_ms: shared.pulse.age_ms(),
        time_ms: snapshot.time_ms,
        hosts: snapshot.hosts.len(),
    };
    (code, Json(health)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{Request, header},
    };
    use serde_json::json;
    use tokio::time;
    use tower::ServiceExt;

    use super::*;
    use crate::page::fixture::{Page, page, snapshot, text};

    #[tokio::test(start_paused = true)]
    async fn health_follows_the_engine() {
        let page = page();
        let check = async |code: StatusCode, word: &str| {
            let (status, health) = page.json("/healthz").await;
            assert_eq!((status, &health["status"]), (code, &json!(word)), "{health}");
        };
        check(StatusCode::OK, "ok").await;
        time::sleep(Duration::from_secs(31)).await;
        check(StatusCode::SERVICE_UNAVAILABLE, "stale").await;
        // Who asks how the cell stands is told as well, for the picture's own time stands still with it.
        for path in ["/api/v1/fleet", "/api/v1/hosts/web-1"] {
            let (status, told) = page.json(path).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            let age_ms = told["age_ms"].as_u64().unwrap();
            assert!((31_000..32_000).contains(&age_ms), "{path}: {age_ms}");
        }
        assert!(text(page.get("/metrics").await).await.contains("foreshadow_age 31\n"));
        page.engine.send_replace(Arc::new(snapshot()));
        time::sleep(Duration::from_millis(1)).await;
        check(StatusCode::OK, "ok").await;
        let Page { engine, router, .. } = page;
        drop(engine);
        let request = Request::get("/healthz").header(header::HOST, "localhost");
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(text(response).await.contains("\"stopped\""));
    }
}
