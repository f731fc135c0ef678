//! Accepts connections, stops in order.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use runtime::{LogLimit, Shutdown};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinHandle, JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    BrokerError, Config, Figures,
    connection::serve,
    message::Message,
    outbox::Close,
    router::{self, Gone, Returning},
    shared::Shared,
    sys::{self, add},
    tls, upkeep,
};

/// How long connections may take to end when the broker stops.
const STOP: Duration = Duration::from_millis(800);

/// How long to wait when no connection can be accepted (no file descriptor left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

static TOO_MANY: LogLimit = LogLimit::new(Duration::from_secs(10));
static ACCEPT: LogLimit = LogLimit::new(Duration::from_secs(10));

/// A broker that runs.
pub struct Handle {
    addr: SocketAddr,
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
    let addr = config.listen;
    let bind = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BrokerError::InUse { addr },
        _ => BrokerError::Bind { addr, source },
    };
    let tls = config.tls.as_ref().map(tls::load).transpose()?;
    let listener = TcpListener::bind(addr).await.map_err(bind)?;
    let addr = listener.local_addr().map_err(bind)?;
    let (router, returning) = router::start()?;
    // A child: the broker can end alone, when its router fails.
    let shared = Arc::new(Shared::new(&config, tls, router, shutdown.child())?);
    let parts = Parts {
        listener,
        returning,
        sys_interval: config.sys_interval.duration(),
    };
    let task = tokio::spawn(run(parts, shared.clone()));
    tracing::info!(%addr, "broker listens");
    Ok(Handle {
        addr,
        shared,
        task: Some(task),
    })
}

impl Handle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it has done so far.
    pub fn figures(&self) -> Figures {
        self.shared.figures()
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
    listener: TcpListener,
    returning: Returning,
    sys_interval: Duration,
}

async fn run(parts: Parts, shared: Arc<Shared>) -> Result<(), BrokerError> {
    let mut background = JoinSet::new();
    background.spawn(dispatch(parts.returning, shared.clone()));
    background.spawn(tell_figures(parts.sys_interval, shared.clone()));
    background.spawn(upkeep::run(shared.clone()));
    let mut clients = JoinSet::new();
    let result = tokio::select! {
        () = shared.stop.wait() => Ok(()),
        () = accept(&parts.listener, &mut clients, &shared) => Ok(()),
        // Neither of the two ends by itself.
        ended = background.join_next() => match ended {
            Some(Err(error)) => Err(internal(&error)),
            Some(Ok(())) | None => Err(BrokerError::Router("its thread has ended".to_owned())),
        },
    };
    // First nobody comes in any more, then everyone is sent out.
    drop(parts.listener);
    shared.stop.trigger("the broker ends");
    shared.exchange().close_all(Close::Stopping);
    let all_gone = timeout(STOP, async { while clients.join_next().await.is_some() {} }).await;
    if all_gone.is_err() {
        tracing::warn!(
            connections = clients.len(),
            "connections did not end in time and are cut"
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

/// Accepts connections for ever.
async fn accept(listener: &TcpListener, clients: &mut JoinSet<()>, shared: &Arc<Shared>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => admit(stream, peer, clients, shared),
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

fn admit(stream: TcpStream, peer: SocketAddr, clients: &mut JoinSet<()>, shared: &Arc<Shared>) {
    if clients.len() >= shared.limits.max_connections {
        if let Some(suppressed) = TOO_MANY.pass(shared.counters.now_ns()) {
            tracing::warn!(%peer, limit = clients.len(), suppressed, "too many connections: closed");
        }
        return;
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "messages may be delayed");
    }
    clients.spawn(serve(stream, peer, shared.clone()));
}

/// Hands what comes out of the router to those who want it, until the router is gone.
async fn dispatch(mut returning: Returning, shared: Arc<Shared>) {
    loop {
        // A journal that lags makes publishers wait.
        shared.journal.room().await;
        match returning.next().await {
            Ok(message) => deliver(&shared, message),
            Err(Gone) => return,
        }
    }
}

fn deliver(shared: &Shared, message: Message) {
    let done = shared.exchange().dispatch(message);
    if done.dropped > 0 {
        add(&shared.counters.dropped, done.dropped);
    }
}

/// Tells the `$SYS` tree at once and then each `every`, for ever.
async fn tell_figures(every: Duration, shared: Arc<Shared>) {
    if every.is_zero() {
        std::future::pending::<()>().await;
    }
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for message in sys::messages(&shared.figures()) {
            deliver(&shared, message);
        }
    }
}

fn internal(error: &JoinError) -> BrokerError {
    BrokerError::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_router_that_fails_ends_the_broker_with_an_error() {
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            ..Config::default()
        };
        let mut handle = start(config, Shutdown::new()).await.unwrap();
        handle.sabotage().await;
        let error = handle.ended().await.unwrap_err();
        assert!(matches!(error, BrokerError::Router(_)), "{error}");
        assert!(handle.ended().await.is_ok(), "told once");
    }
}
