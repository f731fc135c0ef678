//! What all connections share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use runtime::{Metrics, Shutdown, metrics::Counters as Labelled};

use crate::{
    Config, Figures, Limits, access::Gate, exchange::Exchange, metrics::Metric, router::Router, sys::Counters,
};

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    /// Pages that may connect over WebSocket.
    pub(crate) origins: Vec<String>,
    pub(crate) router: Router,
    pub(crate) counters: Counters,
    /// Connections that did not get in, and those that ended, by reason.
    pub(crate) refused: Labelled,
    pub(crate) ended: Labelled,
    pub(crate) metrics: Metrics,
    /// Given before connections are ended: then no will is published, for nobody is left to read it.
    pub(crate) stop: Shutdown,
    /// Who gets in, and what they may do.
    pub(crate) gate: Gate,
    exchange: Mutex<Exchange>,
}

impl Shared {
    pub(crate) fn new(config: &Config, gate: Gate, router: Router, stop: Shutdown) -> Self {
        let metrics = Metrics::new();
        let origins = config.websocket.as_ref().map(|websocket| websocket.origins.clone());
        Self {
            exchange: Mutex::new(Exchange::new(&config.limits)),
            limits: config.limits.clone(),
            origins: origins.unwrap_or_default(),
            gate,
            router,
            counters: Counters::new(),
            refused: metrics.counters(Metric::Refused, "reason"),
            ended: metrics.counters(Metric::Ended, "reason"),
            metrics,
            stop,
        }
    }

    /// The exchange, for a moment: never across an `await`.
    pub(crate) fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All figures now.
    pub(crate) fn figures(&self) -> Figures {
        let exchange = self.exchange();
        Figures {
            clients: exchange.clients() as u64,
            retained: exchange.retained().0 as u64,
            subscriptions: exchange.subscriptions() as u64,
            router_restarts: self.router.restarts(),
            refused: self.gate.refused.now(),
            ..self.counters.figures()
        }
    }
}
