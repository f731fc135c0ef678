//! Starting the brain, and what whoever started it holds of it.

use std::{fs, net::SocketAddr, ops::Range, path::Path, sync::Arc};

use runtime::{Clock, ConfigError, Metrics, Shutdown};
use shadow::UnixMs;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use trust::{
    Trust,
    audit::{Audit, Keep},
};

use crate::{
    Config, Error, alerting,
    config::Ticks,
    dispatch::next_issuer_epoch,
    engine::{Engine, Parts, status},
    history::Database,
    metrics::Metric,
    page::{self, Certificates, Door, PageState},
    policy::{self, Policy},
    run::{Edges, Request, Time, run},
    scada,
    snapshot::Snapshot,
    store::{Recovered, Since, Sqlite, Store, Timescale, flush::Flusher, meta, start},
};

/// Requests of a handle that may wait.
const REQUESTS: usize = 64;

/// Rows of the grid that a start reads back before it takes anything in: with the minutes of workloads of the same time, a
/// second's work. Older ones follow beside.
const ROWS_AT_START: i64 = 90_000;

/// A running brain.
#[derive(Debug)]
pub struct Handle {
    page_addr: SocketAddr,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    ingested: watch::Receiver<u64>,
    connected: watch::Receiver<bool>,
    requests: mpsc::Sender<Request>,
    task: Option<JoinHandle<Result<(), Error>>>,
}

/// Starts a brain: opens the data folder, reads back what it has, listens for the page, and connects to the
/// broker, which need not be there yet. Ends when `shutdown` is given.
///
/// # Errors
/// [`Error`] when the configuration or the policy has faults, the data folder cannot be used, or the page
/// cannot listen. Nothing runs then.
pub async fn start(config: Config, clock: Clock, shutdown: Shutdown) -> Result<Handle, Error> {
    runtime::config::check(&config, "brain")?;
    // Faults that a person has to mend are told before anything is made.
    let entrance = entrance(&config, &clock)?;
    let rules = (policy(&config)?, believed(&config)?, entrance);
    let since = since(&config, clock.now_ms());
    match config.store.timescale() {
        None => {
            let open = || Sqlite::open(&config.data_dir);
            let opened = Box::pin(start::ready(open, since, start::PATIENCE, &shutdown)).await?;
            Box::pin(start_on(opened, since, rules, config, clock, shutdown)).await
        }
        Some(options) => {
            let retention = config.store.retention();
            let open = || Timescale::open(&options, &retention, &config.data_dir);
            let opened = Box::pin(start::ready(open, since, start::PATIENCE, &shutdown)).await?;
            Box::pin(start_on(opened, since, rules, config, clock, shutdown)).await
        }
    }
}

/// Reads rows of `older` beside the brain's work: nobody waits for it.
fn fill(engine: &Engine, older: Range<UnixMs>, shutdown: &Shutdown) {
    if older.is_empty() {
        return;
    }
    let (past, stop) = (engine.past().clone(), shutdown.clone());
    drop(tokio::task::spawn_blocking(move || {
        past.fill(&older, &|| stop.is_triggered());
    }));
}

async fn start_on(
    (store, recovered): (impl Store, Recovered),
    since: Since,
    rules: (Policy, Option<Arc<Trust>>, Entrance),
    config: Config,
    clock: Clock,
    shutdown: Shutdown,
) -> Result<Handle, Error> {
    let (policy, trust, (door, certificates)) = rules;
    let now_ms = clock.now_ms();
    let audit = Audit::start(&config.data_dir.join("audit.jsonl"), Keep::default())?;
    let older = since.rollups_ms..recovered.rollups_since_ms;
    let issuer_epoch = next_issuer_epoch(now_ms, last_epoch(&recovered));
    let listener = listen(config.page.listen).await?;
    let page_addr = listener.local_addr().map_err(Error::Page)?;

    let metrics = Metrics::new();
    let (trained_in, trained) = mpsc::channel(1);
    let mut engine = Engine::new(Parts {
        policy,
        metrics: metrics.clone(),
        now_ms,
        models: config.data_dir.join("models"),
        trained: trained_in,
        issuer_epoch,
        durable: Some(Database::of(&config)),
        trust,
        audit: Some(audit),
        config: config.clone(),
    })?;
    engine.restore(recovered, clock.monotonic_ns());
    engine.tell_identity("in use");
    fill(&engine, older, &shutdown);
    let (snapshot_in, snapshot) = watch::channel(Arc::clone(engine.snapshot()));
    let snapshot_age = metrics.gauge(Metric::SnapshotAgeSeconds);
    alerting::start(&config, &snapshot, page_addr, &metrics, &shutdown);
    scada::start(&config, &snapshot, &shutdown);
    let (ingested_in, ingested) = watch::channel(0);
    let (connected_in, connected) = watch::channel(false);
    let (acknowledge, notices) = mpsc::channel(REQUESTS);
    let (freeze, switches) = mpsc::channel(REQUESTS);
    let (decide, verdicts) = mpsc::channel(REQUESTS);
    let page = PageState {
        acknowledge,
        freeze,
        decide,
        snapshot: snapshot.clone(),
        series: Arc::new(engine.past().clone()) as _,
        history: Database::of(&config),
        metrics: Arc::new(move |age| {
            snapshot_age.set(age.as_secs_f64());
            metrics.render()
        }),
        names: config.page.names.clone(),
        door,
        certificates,
    };
    let page_stop = Shutdown::new();
    let page_stopped = page_stop.clone();
    let page = tokio::spawn(page::serve(listener, page, async move { page_stopped.wait().await }));
    config.broker.check().map_err(|error| Error::Bus(error.to_string()))?;
    let (client, bus_events) = bus::connect(bus_config(&config, now_ms)?);
    let (requests, requests_in) = mpsc::channel(REQUESTS);
    let edges = Edges {
        client,
        bus_events,
        requests: requests_in,
        trained,
        notices,
        switches,
        verdicts,
        flusher: Flusher::start(store),
        page,
        page_stop,
        snapshot: snapshot_in,
        ingested: ingested_in,
        connected: connected_in,
        shutdown,
        time: Time::new(clock, config.ticks),
    };
    tracing::info!(page = %page_addr, data = %config.data_dir.display(), "brain started");
    Ok(Handle {
        page_addr,
        snapshot,
        ingested,
        connected,
        requests,
        task: Some(tokio::spawn(run(engine, edges, config))),
    })
}

/// The issuer epoch of the brain before, if there was one.
fn last_epoch(recovered: &Recovered) -> Option<u64> {
    recovered.meta.get(meta::ISSUER_EPOCH)?.parse().ok()
}

impl Handle {
    /// Where the page listens.
    pub const fn page_addr(&self) -> SocketAddr {
        self.page_addr
    }

    /// The newest picture; a new one comes with every tick.
    pub fn snapshot(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// How many frames were taken in so far.
    pub fn ingested(&self) -> watch::Receiver<u64> {
        self.ingested.clone()
    }

    /// Whether the broker is there and has taken the subscriptions: frames sent before reach the brain only when
    /// their agent sends them again.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    /// Makes it `time_ms` for a brain with [`Ticks::Manual`]. Returns when all that follows from it is done,
    /// with [`forecast.wait`](crate::config::Forecast::wait) a training as well; at once when the brain has ended.
    pub async fn tick(&self, time_ms: UnixMs) {
        let (done, wait) = oneshot::channel();
        if self.requests.send(Request::Tick { time_ms, done }).await.is_ok() {
            // An error means that the brain has ended: `join` tells why.
            drop(wait.await);
        }
    }

    /// How well was forecast since the brain started; `None` when it has ended.
    pub async fn scores(&self) -> Option<forecast::ScoreTable> {
        let (tell, wait) = oneshot::channel();
        self.requests.send(Request::Scores(tell)).await.ok()?;
        wait.await.ok()
    }

    /// Waits until the brain has ended by a failure; never returns when it ends because it was told to.
    pub async fn failed(&mut self) -> Error {
        match self.ended().await {
            Err(error) => error,
            Ok(()) => std::future::pending().await,
        }
    }

    /// Waits until the brain has ended.
    ///
    /// # Errors
    /// Why, when it was not told to.
    pub async fn join(mut self) -> Result<(), Error> {
        self.ended().await
    }

    async fn ended(&mut self) -> Result<(), Error> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let ended = task.await;
        self.task = None;
        ended.unwrap_or(Err(Error::Panicked("the engine")))
    }
}

/// Who comes in to the page, and by which certificate it is known.
type Entrance = (Arc<Door>, Option<Arc<Certificates>>);

fn entrance(config: &Config, clock: &Clock) -> Result<Entrance, Error> {
    // A lab's clock leaps, and people who look at it do not.
    let clock = if clock.is_manual() {
        Clock::system()
    } else {
        clock.clone()
    };
    let certificates = config.page.tls.clone().map(Certificates::load).transpose();
    let certificates = certificates.map_err(Error::Certificate)?.map(Arc::new);
    Ok((Arc::new(Door::open(&config.page, clock)?), certificates))
}

fn believed(config: &Config) -> Result<Option<Arc<Trust>>, Error> {
    let Some(files) = &config.trust else {
        // On loopback that is how it comes, and nobody is to be alarmed.
        if !config.broker.is_here() {
            let broker = &config.broker.host;
            tracing::warn!(
                broker,
                "no [trust]: commands have no seal and agents are believed; for loopback and trials only"
            );
        }
        return Ok(None);
    };
    Ok(Some(Arc::new(Trust::load(files.clone(), &config.cell)?)))
}

fn policy(config: &Config) -> Result<Policy, ConfigError> {
    let Some(path) = &config.allocate.policy else {
        return Ok(Policy::built_in());
    };
    policy_of(path)
}

/// Reads the policy file at `path`.
///
/// # Errors
/// [`ConfigError`] when it cannot be read, or with all its faults.
pub fn policy_of(path: &Path) -> Result<Policy, ConfigError> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
        file: file.clone(),
        source,
    })?;
    Policy::parse(&text).map_err(|refused| {
        let fault = |fault: policy::Fault| runtime::config::Fault {
            key: fault.path,
            line: None,
            message: fault.what,
        };
        let faults = refused.faults.into_iter().map(fault).collect();
        ConfigError::Invalid { file, faults }
    })
}

/// A brain on virtual time takes all there is: its past may lie anywhere.
fn since(config: &Config, now_ms: UnixMs) -> Since {
    let ago = |ms: i64| match config.ticks {
        Ticks::EverySecond => now_ms.saturating_sub(ms),
        Ticks::Manual => i64::MIN,
    };
    Since {
        rollups_ms: ago(config.grid.length.as_millis()),
        rows: match config.ticks {
            Ticks::EverySecond => ROWS_AT_START,
            Ticks::Manual => i64::MAX,
        },
        step_ms: config.grid.step_ms(),
        events_ms: ago(config.store.keep_events.as_millis()),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })
}

fn bus_config(config: &Config, now_ms: UnixMs) -> Result<bus::Config, Error> {
    let topics = bus::Topics::new(&config.prefix, &config.cell).map_err(|error| Error::Bus(error.to_string()))?;
    let will = status(&topics, "offline", now_ms);
    let filters = [
        topics.births(),
        topics.deltas(),
        topics.events(),
        topics.holes(),
        topics.outcomes(),
        topics.statuses(),
    ];
    let id = topics.client_id("brain");
    let mut bus = bus::Config::at(config.broker.clone(), id);
    bus.will = Some(bus::Will {
        topic: will.topic,
        payload: will.payload,
        retain: true,
    });
    bus.subscriptions = filters
        .into_iter()
        .map(|filter| (filter, bus::Qos::AtLeastOnce))
        .collect();
    bus.queue = 4_096;
    bus.events = 4_096;
    Ok(bus)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn brains_of_other_cells_and_prefixes_are_other_clients() {
        let id = |prefix: &str, cell: &str| {
            let config = Config {
                prefix: prefix.into(),
                cell: cell.into(),
                ..Config::default()
            };
            bus_config(&config, 0).unwrap().client_id
        };
        let ids =
            [("foreshadow", "main"), ("foreshadow", "edge"), ("test", "main")].map(|(prefix, cell)| id(prefix, cell));
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3, "{ids:?}");
        assert_eq!(
            id("foreshadow", "main"),
            ids[0],
            "a restarted brain takes its own place"
        );
    }
}
