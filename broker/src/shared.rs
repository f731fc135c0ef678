//! What all connections share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use runtime::{Clock, Metrics, Shutdown, metrics::Counters as Labelled};

use crate::{
    BrokerError, Config, Figures, Limits, Reload,
    access::Gate,
    durable::Journal,
    exchange::Exchange,
    metrics::Metric,
    router::Router,
    sys::{Counters, figures},
    waiting::Waiting,
};

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    /// Pages that may connect over WebSocket.
    pub(crate) origins: Vec<String>,
    pub(crate) router: Router,
    pub(crate) counters: Counters,
    pub(crate) clock: Clock,
    /// What survives a restart.
    pub(crate) journal: Journal,
    /// Connections that did not get in, and those that ended, by reason.
    pub(crate) refused: Labelled,
    pub(crate) ended: Labelled,
    pub(crate) metrics: Metrics,
    /// Given before connections are ended: then no will is published, for nobody is left to read it.
    pub(crate) stop: Shutdown,
    /// Who gets in, and what they may do.
    pub(crate) gate: Gate,
    /// What waits for connected clients, and of which packets are not complete.
    pub(crate) waiting: Waiting,
    exchange: Mutex<Exchange>,
}

impl Shared {
    /// All of it, with what has survived in the folder for it.
    pub(crate) fn new(config: &Config, gate: Gate, router: Router, stop: Shutdown) -> Result<Self, BrokerError> {
        let metrics = Metrics::new();
        let origins = config.websocket.as_ref().map(|websocket| websocket.origins.clone());
        let clock = Clock::system();
        let (journal, restored) = match &config.data {
            Some(path) => Journal::open(path, config.fsync).map(|(journal, restored)| (journal, Some(restored)))?,
            None => (Journal::default(), None),
        };
        let mut exchange = Exchange::new(&config.limits, journal.clone(), clock.clone());
        if let Some(restored) = restored {
            tracing::info!(
                retained = restored.retained.len(),
                sessions = restored.sessions.len(),
                "restored"
            );
            exchange.restore(restored);
        }
        gate.note_files("files read", &Reload::default());
        Ok(Self {
            exchange: Mutex::new(exchange),
            waiting: Waiting::new(&config.limits),
            limits: config.limits.clone(),
            origins: origins.unwrap_or_default(),
            gate,
            router,
            counters: Counters::new(),
            clock,
            journal,
            refused: metrics.counters(Metric::Refused, "reason"),
            ended: metrics.counters(Metric::Ended, "reason"),
            metrics,
            stop,
        })
    }

    /// The exchange, for a moment: never across an `await`.
    pub(crate) fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads all files anew, sends away who may no longer do what it could, and ends the sessions of those who may not even
    /// come in any more. As slow as [`Gate::reload`].
    pub(crate) fn reload(&self) -> Reload {
        let mut reload = self.gate.reload();
        let mut known = self.exchange().known();
        known.retain(|(_, known)| self.gate.is_banished(known));
        let mut exchange = self.exchange();
        for (number, known) in known {
            reload.sessions += usize::from(exchange.banish(number, &known));
        }
        drop(exchange);
        self.gate.note_files("files read anew", &reload);
        reload
    }

    /// All figures now.
    pub(crate) fn figures(&self) -> Figures {
        let census = self.exchange().census();
        Figures {
            router_restarts: self.router.restarts(),
            refused: self.gate.refused.now(),
            waiting_bytes: self.waiting.bytes() as u64,
            ..figures(&self.counters, census)
        }
    }
}
