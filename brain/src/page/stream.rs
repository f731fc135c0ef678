//! Server-sent events that tell an open page when to ask again.
//!
//! `tick`: there is a new snapshot, at most once a second. `quiet`: there was none for five seconds; the
//! engine hangs or is gone. Both carry `{"time_ms", "age_ms"}`: the snapshot's own time, and how long ago it came.
//! `progress`, behind a tick: a training is under way, and how far; it carries `{"part", "done", "of", "loss"}`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{Stream, StreamExt, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{self, Instant},
};

use super::{MAX_STREAMS, Shared, login::Caller, problem::Problem};
use crate::snapshot::Snapshot;

/// The shortest time between two events. A lab takes hundreds of snapshots a second; nobody reads as fast.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest time between two events.
const LONGEST: Duration = Duration::from_secs(5);

/// Opens a stream, unless too many are open. It ends with the session that it was opened in.
pub(super) async fn events(State(shared): State<Arc<Shared>>, Extension(caller): Extension<Caller>) -> Response {
    let Ok(permit) = Arc::clone(&shared.streams).try_acquire_owned() else {
        return Problem::unavailable(format!("{MAX_STREAMS} event streams are open already; close a page"))
            .into_response();
    };
    let closing = shared.closing.clone().cancelled_owned();
    let events = ticks(shared, permit).take_until(closing).take_until(caller.ended());
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

/// One reader's place in the stream of snapshots.
struct Reader {
    shared: Arc<Shared>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    /// When the next event may be sent.
    next: Instant,
    /// Given back when the browser goes.
    _permit: OwnedSemaphorePermit,
}

fn ticks(shared: Arc<Shared>, permit: OwnedSemaphorePermit) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut snapshot = shared.page.snapshot.clone();
    snapshot.mark_changed();
    let reader = Reader {
        shared,
        snapshot,
        next: Instant::now(),
        _permit: permit,
    };
    stream::unfold(reader, |mut reader| async {
        let events = reader.next_events().await;
        Some((stream::iter(events.into_iter().map(Ok)), reader))
    })
    .flatten()
}

impl Reader {
    /// Waits for the next snapshot, but neither less than a second nor more than five.
    async fn next_events(&mut self) -> Vec<Event> {
        time::sleep_until(self.next).await;
        let name = match time::timeout(LONGEST, self.snapshot.changed()).await {
            Ok(Ok(())) => "tick",
            Ok(Err(_)) => {
                // The engine is gone: `changed` returns at once from now on.
                time::sleep(LONGEST).await;
                "quiet"
            }
            Err(_) => "quiet",
        };
        self.next = Instant::now() + SHORTEST;
        let snapshot = Arc::clone(&self.snapshot.borrow_and_update());
        let (time_ms, age_ms) = (snapshot.time_ms, self.shared.pulse.age().as_millis());
        let tick = Event::default()
            .event(name)
            .data(format!(r#"{{"time_ms":{time_ms},"age_ms":{age_ms}}}"#));
        let progress = snapshot.model.progress.as_ref().filter(|_| name == "tick");
        // Numbers and words always have a JSON.
        let progress = progress.and_then(|progress| Event::default().event("progress").json_data(progress).ok());
        [Some(tick), progress].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::BodyDataStream, http::StatusCode};

    use super::*;
    use crate::{
        page::fixture::{page, snapshot},
        snapshot::ProgressView,
    };

    /// The next event of a stream that is not a comment.
    async fn next_event(stream: &mut BodyDataStream) -> Option<String> {
        loop {
            let chunk = stream.next().await?.unwrap();
            let text = String::from_utf8(chunk.to_vec()).unwrap();
            if !text.starts_with(':') {
                return text.lines().next().map(str::to_owned);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_come_at_most_once_a_second_and_tell_of_silence() {
        let page = page();
        let mut stream = page.get("/api/v1/stream").await.into_body().into_data_stream();
        let began = Instant::now();
        assert_eq!(next_event(&mut stream).await.as_deref(), Some("event: tick"));
        assert_eq!(began.elapsed(), Duration::ZERO, "a new page is told at once");
        for _ in 0..100 {
            page.engine.send_replace(Arc::new(snapshot()));
        }
        assert_eq!(next_event(&mut stream).await.as_deref(), Some("event: tick"));
        assert_eq!(began.elapsed().as_secs(), 1, "a hundred snapshots are one event");
        assert_eq!(next_event(&mut stream).await.as_deref(), Some("event: quiet"));
        assert_eq!(began.elapsed().as_secs(), 7);
        page.shared.closing.cancel();
        assert_eq!(next_event(&mut stream).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_training_is_under_way_its_progress_follows_a_tick() {
        let page = page();
        let mut snapshot = snapshot();
        snapshot.model.progress = Some(ProgressView {
            part: "steps",
            done: 30,
            of: 200,
            loss: Some(0.25),
        });
        page.engine.send_replace(Arc::new(snapshot));
        let mut stream = page.get("/api/v1/stream").await.into_body().into_data_stream();
        assert_eq!(next_event(&mut stream).await.as_deref(), Some("event: tick"));
        let progress = stream.next().await.unwrap().unwrap();
        assert_eq!(
            String::from_utf8(progress.to_vec()).unwrap(),
            "event: progress\ndata: {\"part\":\"steps\",\"done\":30,\"of\":200,\"loss\":0.25}\n\n"
        );
        page.shared.closing.cancel();
    }

    #[tokio::test]
    async fn streams_are_bounded_and_given_back() {
        let page = page();
        let mut open = Vec::new();
        for _ in 0..MAX_STREAMS {
            open.push(page.get("/api/v1/stream").await);
        }
        assert_eq!(
            page.get("/api/v1/stream").await.status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
        open.pop();
        assert_eq!(page.get("/api/v1/stream").await.status(), StatusCode::OK);
    }
}
