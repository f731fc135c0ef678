//! A client's place in the exchange.

use std::sync::{Arc, atomic::Ordering};

use super::reader::Reader;
use crate::{
    exchange::{Arrival, Farewell, SessionsFull},
    handshake::Hello,
    message::{Message, Serial},
    outbox::{Close, Outbox},
    router::Gone,
    session::Seat,
    shared::Shared,
};

/// A client's place in the exchange; given up whatever happens, also by a panic.
pub(super) struct Presence {
    pub(super) shared: Arc<Shared>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) farewell: Farewell,
    pub(super) seat: Seat,
}

impl Presence {
    /// Brings a client in. Its answer waits before anything else can.
    pub(super) fn enter(shared: Arc<Shared>, serial: Serial, hello: Hello) -> Result<(Self, Reader), SessionsFull> {
        let permit = hello.badge.permit.clone();
        let account = || shared.waiting.of(hello.badge.name());
        let outbox = Arc::new(Outbox::new(hello.capacity, permit, shared.clock.clone(), account()));
        let arrival = Arrival {
            connection: serial,
            id: hello.id.into(),
            clean: hello.clean,
            expiry_s: hello.expiry_s,
            will: hello.will,
            outbox: outbox.clone(),
            known: Some(hello.badge.known.clone()),
            connack: hello.connack,
        };
        let (seat, clients) = {
            let mut exchange = shared.exchange();
            let seat = exchange.connect(arrival)?;
            if shared.stop.is_triggered() {
                outbox.close(Close::Stopping);
            }
            (seat, exchange.clients() as u64)
        };
        shared.gate.register(serial, hello.badge.clone(), outbox.clone());
        shared.counters.clients_max.fetch_max(clients, Ordering::Relaxed);
        let reader = Reader {
            account: account(),
            shared: shared.clone(),
            outbox: outbox.clone(),
            seat,
            version: hello.capacity.version,
            silence: hello.silence,
            pace: shared.gate.pace(hello.badge.name()),
            badge: hello.badge,
            held: hello.rest.capacity(),
            buffer: hello.rest,
        };
        let presence = Self {
            shared,
            outbox,
            farewell: Farewell::Missing,
            seat,
        };
        Ok((presence, reader))
    }

    fn take_will(&self) -> Option<Message> {
        self.shared.gate.forget(self.seat.connection);
        // Nothing is said any more in the name of who no longer belongs.
        let farewell = match self.farewell {
            Farewell::Missing if !self.outbox.is_unwelcome() => Farewell::Missing,
            Farewell::Missing | Farewell::Said => Farewell::Said,
        };
        let will = self.shared.exchange().disconnect(self.seat, farewell);
        will.filter(|_| !self.shared.stop.is_triggered())
    }

    /// Gives the place up; a will that is due is in the log when this returns.
    pub(super) async fn leave(self) {
        if let Some(will) = self.take_will() {
            // Where the router is gone, the broker ends and nobody waits for the will.
            if let Err(Gone) = self.shared.router.send(will).await {
                tracing::debug!(serial = self.seat.connection, "will is lost with the router");
            }
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(will) = self.take_will() {
            let shared = self.shared.clone();
            tokio::spawn(async move { shared.router.send(will).await });
        }
    }
}
