//! What all connections share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime::{Clock, Shutdown};
use rustls::ServerConfig;

use crate::{
    BrokerError, Config, Figures, Limits,
    durable::Journal,
    exchange::Exchange,
    router::Router,
    sys::{Counters, figures},
};

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) router: Router,
    pub(crate) counters: Counters,
    pub(crate) clock: Clock,
    /// What survives a restart.
    pub(crate) journal: Journal,
    /// Given before connections are ended: then no will is published, for nobody is left to read it.
    pub(crate) stop: Shutdown,
    /// What encryption at the port needs.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    exchange: Mutex<Exchange>,
}

impl Shared {
    /// All of it, with what has survived in the folder for it.
    pub(crate) fn new(
        config: &Config,
        tls: Option<Arc<ServerConfig>>,
        router: Router,
        stop: Shutdown,
    ) -> Result<Self, BrokerError> {
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
        Ok(Self {
            exchange: Mutex::new(exchange),
            limits: config.limits.clone(),
            tls,
            router,
            counters: Counters::new(),
            clock,
            journal,
            stop,
        })
    }

    /// The exchange, for a moment: never across an `await`.
    pub(crate) fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All figures now.
    pub(crate) fn figures(&self) -> Figures {
        let census = self.exchange().census();
        figures(&self.counters, census)
    }
}
