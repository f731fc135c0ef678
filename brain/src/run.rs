//! The one loop: waits for the next event, lets the engine take its step, and carries out what it tells.
//!
//! Every source is bounded. The bus holds senders back when its events are not fetched; the store's task has
//! room for one batch; a handle's requests wait in a queue. Views that do not fit into the bus's queue are told
//! a second later, watermarks and commands wait in the engine's outbox.

use std::{sync::Arc, time::Duration};

use bus::{BusError, Client};
use runtime::Shutdown;
use shadow::UnixMs;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    Config, Error,
    dispatch::{FreezeSwitch, Verdict},
    engine::{Engine, Event, Publication},
    learning::Trained,
    snapshot::Snapshot,
    store::{Cutoffs, flush::Flusher},
    watch::Notice,
};

pub(crate) use self::time::Time;
use self::time::{Timers, due};

mod time;

/// At the end, what is under way is taken in until nothing has come for so long, but no longer than this.
const QUIET: Duration = Duration::from_millis(200);
const DRAIN: Duration = Duration::from_millis(700);
/// How long the last batch may take then, the goodbye to the broker, and the page.
const LAST_FLUSH: Duration = Duration::from_millis(1_500);
const GOODBYE: Duration = Duration::from_millis(200);
const LAST_PAGE: Duration = Duration::from_millis(100);
/// Publications that wait for the bus; past it the oldest are dropped. Watermarks among them are told anew at
/// the next connection.
const MAX_WAITING: usize = 10_000;

/// What a handle asks.
#[derive(Debug)]
pub(crate) enum Request {
    Tick { time_ms: UnixMs, done: oneshot::Sender<()> },
    Scores(oneshot::Sender<forecast::ScoreTable>),
}

/// Everything around the engine.
pub(crate) struct Edges {
    pub(crate) client: Client,
    pub(crate) bus_events: mpsc::Receiver<bus::Event>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) trained: mpsc::Receiver<Trained>,
    pub(crate) notices: mpsc::Receiver<Notice>,
    pub(crate) switches: mpsc::Receiver<FreezeSwitch>,
    pub(crate) verdicts: mpsc::Receiver<Verdict>,
    pub(crate) flusher: Flusher,
    pub(crate) page: JoinHandle<std::io::Result<()>>,
    pub(crate) page_stop: Shutdown,
    pub(crate) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(crate) ingested: watch::Sender<u64>,
    pub(crate) connected: watch::Sender<bool>,
    pub(crate) shutdown: Shutdown,
    pub(crate) time: Time,
}

/// Runs the brain until it is told to end.
pub(crate) async fn run(mut engine: Engine, mut edges: Edges, config: Config) -> Result<(), Error> {
    let mut timers = Timers::new(&config);
    let mut waiting = Vec::new();
    let ended = loop {
        match edges.next(&mut timers).await {
            Ok(Turn::Event(event)) => edges.handle(&mut engine, event),
            Ok(Turn::Flush) => {
                edges.flush(&mut engine);
                edges.find(&mut engine);
            }
            Ok(Turn::Views) => {
                engine.renew();
                edges.publish_views(&mut engine);
            }
            Ok(Turn::Prune) => edges.prune(&mut engine, &config),
            Ok(Turn::End) => break Ok(()),
            Err(error) => break Err(error),
        }
        if engine.is_hurried() {
            edges.flush(&mut engine);
        }
        edges.publish(&mut engine, &mut waiting);
        edges.show(&engine);
        // Whoever waits for a tick sees what came of it; who no longer waits need not be told.
        engine
            .done()
            .into_iter()
            .for_each(|done| done.send(()).unwrap_or_default());
    };
    let stopped = Box::pin(edges.stop(engine, waiting)).await;
    ended.and(stopped)
}

/// What is to be done next.
enum Turn {
    /// The engine takes a step.
    Event(Event),
    /// What has come is made durable.
    Flush,
    /// Views are published.
    Views,
    /// Old rows are deleted.
    Prune,
    /// The brain ends.
    End,
}

impl Edges {
    /// What is to be done next. What keeps the brain going comes before messages, so that no flood of them can
    /// hold it up.
    async fn next(&mut self, timers: &mut Timers) -> Result<Turn, Error> {
        let event = tokio::select! {
            biased;
            () = self.shutdown.wait() => return Ok(Turn::End),
            () = due(timers.tick.as_mut()) => Event::Tick { time_ms: self.time.now().0, done: None },
            request = self.requests.recv() => match request {
                Some(request) => request.into(),
                // The handle is gone, and with it whoever could stop this brain in order.
                None => return Ok(Turn::End),
            },
            flushed = self.flusher.next() => match flushed {
                Some(flushed) => Event::Flushed(flushed),
                // Why it has ended is told when it is finished.
                None => return Ok(Turn::End),
            },
            Some(told) = self.notices.recv() => Event::Notice(told),
            Some(switch) = self.switches.recv() => Event::Freeze(switch),
            Some(verdict) = self.verdicts.recv() => Event::Verdict(verdict),
            Some(trained) = self.trained.recv() => Event::Trained(Box::new(trained)),
            _ = timers.flush.tick() => return Ok(Turn::Flush),
            _ = timers.publish.tick() => return Ok(Turn::Views),
            _ = timers.prune.tick() => return Ok(Turn::Prune),
            page = &mut self.page => return Err(page_ended(page)),
            event = self.bus_events.recv() => match event {
                Some(event) => Event::Bus(event),
                None => return Err(Error::Bus("the client has ended".into())),
            },
        };
        Ok(Turn::Event(event))
    }

    fn handle(&mut self, engine: &mut Engine, event: Event) {
        let (now_ms, monotonic_ns) = self.time.now();
        engine.handle(event, now_ms, monotonic_ns);
    }

    /// Hands over what has come, unless the batch before is still under way.
    fn flush(&mut self, engine: &mut Engine) {
        if self.flusher.is_writing() {
            return;
        }
        let batch = engine.seal();
        if !batch.is_empty() {
            self.flusher.write(batch);
        }
    }

    /// Has stored frames looked for that others are read against: behind the batch that was just handed over, for they may
    /// be in it.
    fn find(&self, engine: &mut Engine) {
        let wanted = engine.take_wanted();
        if !wanted.is_empty() && !self.flusher.find(wanted.clone()) {
            engine.want(wanted);
        }
    }

    /// Has what is old deleted, if the clock can be trusted with it.
    fn prune(&self, engine: &mut Engine, config: &Config) {
        if self.time.is_trusted() {
            self.flusher.prune(cutoffs(config, engine.now_ms()));
            engine.pruned();
        }
    }

    /// Watermarks and commands, in order; what does not fit waits.
    fn publish(&self, engine: &mut Engine, waiting: &mut Vec<Publication>) {
        waiting.extend(engine.take_outbox());
        let full = waiting
            .iter()
            .position(|publication| self.send(engine, publication) == Sent::Full);
        waiting.drain(..full.unwrap_or(waiting.len()));
        let old = waiting.len().saturating_sub(MAX_WAITING);
        waiting.drain(..old);
    }

    fn publish_views(&self, engine: &mut Engine) {
        let views = engine.changed_views();
        let mut full = false;
        let mut published = 0;
        for view in &views {
            full |= !full && self.send(engine, view) == Sent::Full;
            if full {
                engine.not_published(&view.topic);
            } else {
                published += 1;
            }
        }
        engine.published(published);
    }

    fn send(&self, engine: &mut Engine, publication: &Publication) -> Sent {
        let Publication {
            topic,
            payload,
            qos,
            retain,
        } = publication;
        match self.client.try_publish(topic.clone(), payload.clone(), *qos, *retain) {
            Ok(()) => Sent::Taken,
            Err(BusError::Full { .. }) => Sent::Full,
            Err(error) => {
                tracing::warn!(topic, %error, "not published");
                engine.not_published(topic);
                Sent::Refused
            }
        }
    }

    fn show(&self, engine: &Engine) {
        self.snapshot.send_if_modified(|shown| {
            let newer = !Arc::ptr_eq(shown, engine.snapshot());
            if newer {
                *shown = Arc::clone(engine.snapshot());
            }
            newer
        });
        show(&self.ingested, engine.ingested());
        show(&self.connected, engine.is_connected());
    }

    /// Takes in what agents that have stopped before have told: it is on its way through the broker.
    async fn drain(&mut self, engine: &mut Engine) {
        let end = Instant::now() + DRAIN;
        while let Ok(Ok(Some(event))) = timeout_at(end, timeout(QUIET, self.bus_events.recv())).await {
            self.handle(engine, Event::Bus(event));
        }
    }

    /// In order: no more intake, everything durable, the agents told so, goodbye, the page last. Three seconds at most.
    async fn stop(mut self, mut engine: Engine, mut waiting: Vec<Publication>) -> Result<(), Error> {
        engine.stop();
        self.drain(&mut engine).await;
        let flushed = timeout(LAST_FLUSH, last_flush(self.flusher, &mut engine)).await;
        let flushed = flushed.unwrap_or_else(|_| {
            tracing::error!(
                "the store did not take the last batch in time: agents still hold its frames, the audit log has commands and \
                 outcomes; what else the brain has made since is lost"
            );
            Ok(())
        });
        waiting.extend(engine.take_outbox());
        waiting.push(engine.status("offline"));
        for Publication {
            topic,
            payload,
            qos,
            retain,
        } in waiting
        {
            if let Err(error) = self.client.try_publish(topic, payload, qos, retain) {
                tracing::debug!(%error, "not published at the end");
            }
        }
        self.client.disconnect(GOODBYE).await;
        self.page_stop.trigger("the brain ends");
        // One that has ended before is why the brain ends, and was told.
        if !self.page.is_finished()
            && let Ok(Ok(Err(error))) = timeout(LAST_PAGE, &mut self.page).await
        {
            tracing::warn!(%error, "page");
        }
        flushed
    }
}

/// Tells whoever watches, when it is news.
fn show<T: PartialEq>(to: &watch::Sender<T>, value: T) {
    to.send_if_modified(|shown| {
        let news = *shown != value;
        *shown = value;
        news
    });
}

async fn last_flush(mut flusher: Flusher, engine: &mut Engine) -> Result<(), Error> {
    while flusher.is_writing() {
        match flusher.next().await {
            Some(flushed) => engine.handle(Event::Flushed(flushed), engine.now_ms(), 0),
            None => break,
        }
    }
    engine.last_savings();
    let batch = engine.seal();
    if !batch.is_empty() {
        flusher.write(batch);
    }
    for batch in flusher.finish().await? {
        engine.committed(&batch);
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Taken,
    Refused,
    Full,
}

impl From<Request> for Event {
    fn from(request: Request) -> Self {
        match request {
            Request::Tick { time_ms, done } => Self::Tick {
                time_ms,
                done: Some(done),
            },
            Request::Scores(tell) => Self::Scores(tell),
        }
    }
}

fn page_ended(ended: Result<std::io::Result<()>, tokio::task::JoinError>) -> Error {
    match ended {
        Ok(Ok(())) => Error::Page(std::io::Error::other("the server has ended")),
        Ok(Err(error)) => Error::Page(error),
        Err(_) => Error::Panicked("the page"),
    }
}

fn cutoffs(config: &Config, now_ms: UnixMs) -> Cutoffs {
    let ago = |span: runtime::Span| now_ms.saturating_sub(span.as_millis());
    let store = &config.store;
    Cutoffs {
        now: now_ms,
        frames: ago(store.keep_frames),
        rollup_10s: ago(store.keep_rollup_10s),
        rollup_1m: ago(store.keep_rollup_1m),
        rollup_1h: ago(store.keep_rollup_1h),
        forecasts: ago(store.keep_forecasts),
        events: ago(store.keep_events),
    }
}

#[cfg(test)]
mod tests;
