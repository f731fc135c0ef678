//! What all connections share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime::Shutdown;
use rustls::ServerConfig;

use crate::{Figures, Limits, exchange::Exchange, router::Router, sys::Counters};

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) router: Router,
    pub(crate) counters: Counters,
    /// Given before connections are ended: then no will is published, for nobody is left to read it.
    pub(crate) stop: Shutdown,
    /// What encryption at the port needs.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    exchange: Mutex<Exchange>,
}

impl Shared {
    pub(crate) fn new(limits: Limits, tls: Option<Arc<ServerConfig>>, router: Router, stop: Shutdown) -> Self {
        Self {
            exchange: Mutex::new(Exchange::new(&limits)),
            limits,
            tls,
            router,
            counters: Counters::new(),
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
            ..self.counters.figures()
        }
    }
}
