//! Starts, watches and stops all parts in order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use runtime::{LogLimit, Shutdown};
use tokio::{
    net::TcpListener,
    task::{JoinError, JoinHandle, JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    BrokerError, Config, Figures, Refusal, Reload,
    access::Gate,
    connection::serve,
    message::Message,
    metrics,
    outbox::Close,
    ports::{self, Arrival, Ports},
    router::{self, Gone, Returning},
    shared::Shared,
    sys::{self, add},
    upkeep,
};

/// How long it may take until all that was acknowledged has been delivered when the broker stops. A process has five
/// seconds.
const DRAIN: Duration = Duration::from_secs(3);

/// How often it is looked whether certificates of clients have expired.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How long to wait when no connection can be accepted (no file descriptor left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long nothing is handed on when a client is far behind, so that a burst does not end its connection. All publishers
/// wait for that time, so it is short: some 30,000 messages a second still pass, whatever a client does.
const SLOW_DOWN: Duration = Duration::from_millis(5);

static TOO_MANY: LogLimit = LogLimit::new(Duration::from_secs(10));
static ACCEPT: LogLimit = LogLimit::new(Duration::from_secs(10));

/// A broker that runs.
pub struct Handle {
    addr: SocketAddr,
    websocket: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    shared: Arc<Shared>,
    task: Option<JoinHandle<Result<(), BrokerError>>>,
}

/// Starts a broker that runs until `shutdown`.
///
/// Must be called within a tokio runtime.
///
/// # Errors
/// [`BrokerError`] when the address is in use or cannot be listened on, or the router does not start.
pub async fn start(config: Config, shutdown: Shutdown) -> Result<Handle, BrokerError> {
    let gate = Gate::new(&config)?;
    let ports = Ports::open(&config).await?;
    let metrics = match config.metrics {
        Some(addr) => Some(ports::listen(addr).await?),
        None => None,
    };
    let addr = ports.addr().unwrap_or(config.listen);
    let websocket = ports.websocket();
    let metrics_addr = metrics.as_ref().and_then(|listener| listener.local_addr().ok());
    let (router, returning) = router::start()?;
    // A child: the broker can end alone, when its router fails.
    let shared = Arc::new(Shared::new(&config, gate, router, shutdown.child())?);
    metrics::register(&shared.metrics, &shared);
    let parts = Parts {
        ports,
        metrics,
        returning,
        sys_interval: config.sys_interval.duration(),
    };
    let task = tokio::spawn(run(parts, shared.clone()));
    tracing::info!(%addr, ?websocket, unix = ?config.unix_socket, metrics = ?metrics_addr, "broker listens");
    if config.tls.is_none() && !(addr.ip().is_loopback() && websocket.is_none_or(|addr| addr.ip().is_loopback())) {
        tracing::warn!("other machines may connect, and without [tls] their passwords travel in the clear");
    }
    Ok(Handle {
        addr,
        websocket,
        metrics: metrics_addr,
        shared,
        task: Some(task),
    })
}

impl Handle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens for WebSocket; `None` without it.
    pub fn websocket(&self) -> Option<SocketAddr> {
        self.websocket
    }

    /// Where `/metrics` is served; `None` without it.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// What it has done so far.
    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }

    /// Reads certificates, lists of revoked ones, users and rules anew. What is of no use leaves what was there before; who
    /// may no longer do what it could is sent away.
    pub async fn reload(&self) -> Reload {
        let shared = self.shared.clone();
        let reload = tokio::task::spawn_blocking(move || shared.reload()).await;
        reload.unwrap_or_else(|error| Reload {
            faults: vec![internal(&error)],
            ended: 0,
            sessions: 0,
        })
    }

    /// Waits until the broker has ended; the call may be given up and made again.
    ///
    /// # Errors
    /// Why it ended, when it was not told to. Told once.
    pub async fn ended(&mut self) -> Result<(), BrokerError> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let ended = task.await;
        self.task = None;
        ended.unwrap_or_else(|error| Err(internal(&error)))
    }

    /// Makes the router's thread panic.
    #[cfg(test)]
    pub(crate) async fn sabotage(&self) {
        self.shared.router.sabotage().await;
    }
}

struct Parts {
    ports: Ports,
    metrics: Option<TcpListener>,
    returning: Returning,
    sys_interval: Duration,
}

async fn run(mut parts: Parts, shared: Arc<Shared>) -> Result<(), BrokerError> {
    let mut background = JoinSet::new();
    background.spawn(dispatch(parts.returning, shared.clone()));
    background.spawn(tell_figures(parts.sys_interval, shared.clone()));
    background.spawn(keep_up(shared.clone()));
    background.spawn(end_expired(shared.clone()));
    if let Some(listener) = parts.metrics {
        background.spawn(serve_metrics(listener, shared.clone()));
    }
    let mut clients = JoinSet::new();
    let result = tokio::select! {
        () = shared.stop.wait() => Ok(()),
        () = accept(&mut parts.ports, &mut clients, &shared) => Ok(()),
        // None of them ends by itself, but for the one that waits for the router.
        Some(ended) = background.join_next() => ended.unwrap_or_else(|error| Err(internal(&error))),
    };
    // First nobody comes in any more, then everyone is sent out.
    drop(parts.ports);
    shared.stop.trigger("the broker ends");
    if timeout(DRAIN, drain(&mut clients, &shared)).await.is_err() {
        tracing::warn!(
            connections = clients.len(),
            "connections did not take in time what waits for them, and are cut"
        );
    }
    clients.shutdown().await;
    background.shutdown().await;
    let journal = shared.journal.clone();
    if let Err(error) = spawn_blocking(move || journal.close()).await {
        tracing::error!(%error, "journal has failed");
    }
    if let Err(error) = &result {
        tracing::error!(%error, "broker has failed");
    }
    result
}

/// Delivers all that was acknowledged, and ends each connection once its client has it. What publishers go on to send
/// is not acknowledged any more.
async fn drain(clients: &mut JoinSet<()>, shared: &Shared) {
    if let Err(Gone) = shared.router.close().await {
        tracing::debug!("the router is gone: what was under way in it is lost");
    }
    shared.exchange().close_all(Close::Stopping);
    while clients.join_next().await.is_some() {}
}

/// Accepts connections for ever.
async fn accept(ports: &mut Ports, clients: &mut JoinSet<()>, shared: &Arc<Shared>) {
    loop {
        tokio::select! {
            accepted = ports.accept() => match accepted {
                Ok((arrival, peer)) => admit(arrival, peer, clients, shared),
                Err(error) => {
                    if let Some(suppressed) = ACCEPT.pass(shared.counters.now_ns()) {
                        tracing::warn!(%error, suppressed, "connection cannot be accepted");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = clients.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "connection has failed; others are not concerned");
            },
        }
    }
}

fn admit(arrival: Arrival, peer: SocketAddr, clients: &mut JoinSet<()>, shared: &Arc<Shared>) {
    let free = clients.len() < shared.limits.max_connections;
    let admitted = if free {
        shared.gate.admit(peer.ip())
    } else {
        Err(Refusal::Connection)
    };
    let admission = match admitted {
        Ok(admission) => admission,
        Err(why) => {
            shared.gate.refused.count(why);
            shared.refused.with(if free { why.as_str() } else { "too_many" }).inc();
            if let Some(suppressed) = TOO_MANY.pass(shared.counters.now_ns()) {
                let (connections, why) = (clients.len(), why.as_str());
                tracing::warn!(%peer, connections, why, suppressed, "too many connections: closed");
            }
            return;
        }
    };
    clients.spawn(serve(arrival, peer, admission, shared.clone()));
}

/// Hands what comes out of the router to those who want it, until routers have failed too often.
async fn dispatch(mut returning: Returning, shared: Arc<Shared>) -> Result<(), BrokerError> {
    let mut messages = Vec::new();
    loop {
        // A journal that lags makes publishers wait.
        shared.journal.room().await;
        returning.next(&mut messages).await?;
        if deliver(&shared, messages.drain(..)) {
            sleep(SLOW_DOWN).await;
        }
    }
}

/// Returns whether a client that must not miss anything is far behind.
fn deliver(shared: &Shared, messages: impl IntoIterator<Item = Message>) -> bool {
    let mut exchange = shared.exchange();
    let (mut dropped, mut behind) = (0, false);
    for message in messages {
        let done = exchange.dispatch(message);
        dropped += done.dropped;
        (0..done.unretained).for_each(|_| shared.gate.refused.count(Refusal::Retain));
        behind |= done.behind;
    }
    add(&shared.counters.dropped, dropped);
    behind
}

/// Tells the `$SYS` tree at once and then each `every`, for ever.
async fn tell_figures(every: Duration, shared: Arc<Shared>) -> Result<(), BrokerError> {
    if every.is_zero() {
        std::future::pending::<()>().await;
    }
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let figures = shared.figures();
        deliver(&shared, sys::messages(&figures));
    }
}

async fn serve_metrics(listener: TcpListener, shared: Arc<Shared>) -> Result<(), BrokerError> {
    metrics::serve(listener, shared).await;
    Ok(())
}

async fn keep_up(shared: Arc<Shared>) -> Result<(), BrokerError> {
    upkeep::run(shared).await;
    Ok(())
}

/// Sends away whose certificate has expired, for ever.
async fn end_expired(shared: Arc<Shared>) -> Result<(), BrokerError> {
    let mut ticks = interval(LOOK_AGAIN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.gate.end_expired();
    }
}

fn internal(error: &JoinError) -> BrokerError {
    BrokerError::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
    use tokio::sync::mpsc;

    use super::*;

    async fn started() -> Handle {
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..Config::default()
        };
        start(config, Shutdown::new()).await.unwrap()
    }

    #[tokio::test]
    async fn a_router_that_fails_is_replaced_and_connections_and_retained_messages_stay() {
        let mut handle = started().await;
        let (client, mut messages) = subscriber(handle.addr()).await;
        publish(&client, "a").await;
        assert_eq!(messages.recv().await.unwrap(), "a");
        handle.sabotage().await;
        for payload in ["b", "c"] {
            publish(&client, payload).await;
            assert_eq!(messages.recv().await.unwrap(), payload);
        }
        assert_eq!((handle.figures().router_restarts, handle.figures().clients), (1, 1));
        assert_eq!(
            handle.figures().retained,
            1 + sys::messages(&handle.figures()).len() as u64
        );
        handle.shared.stop.trigger("test");
        handle.ended().await.unwrap();
    }

    #[tokio::test]
    async fn a_router_that_fails_again_and_again_ends_the_broker_with_an_error() {
        let mut handle = started().await;
        for restarts in 0..4 {
            while handle.figures().router_restarts < restarts {
                tokio::task::yield_now().await;
            }
            handle.sabotage().await;
        }
        let error = handle.ended().await.unwrap_err();
        assert!(matches!(error, BrokerError::Router(_)), "{error}");
        assert!(error.to_string().contains("the 4. time within 10 minutes"), "{error}");
        assert!(handle.ended().await.is_ok(), "told once");
    }

    async fn subscriber(addr: SocketAddr) -> (AsyncClient, mpsc::UnboundedReceiver<String>) {
        let options = MqttOptions::new("c", addr.ip().to_string(), addr.port());
        let (client, mut eventloop) = AsyncClient::new(options, 10);
        client.subscribe("t", QoS::AtLeastOnce).await.unwrap();
        let (sender, messages) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(event) = eventloop.poll().await {
                if let Event::Incoming(Incoming::Publish(publish)) = event {
                    sender
                        .send(String::from_utf8_lossy(&publish.payload).into_owned())
                        .unwrap();
                }
            }
        });
        (client, messages)
    }

    async fn publish(client: &AsyncClient, payload: &str) {
        client.publish("t", QoS::AtLeastOnce, true, payload).await.unwrap();
    }
}
